/* SPDX-License-Identifier: Apache-2.0 */
/* A snapshot that is asked for: its files before the VM's process writes them, and afterwards. */

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "vmm/supervisor/orders_internal.h"
#include "vmm/supervisor/snapshot/own.h"
#include "vmm/monitor/vm.h"

/* ---- before ---------------------------------------------------------------- */

void orders_remember(struct orders *orders, const uint8_t id[SNAPSHOT_ID_SIZE])
{
    memcpy(orders->moments[orders->moment_count++ % MOMENTS], id, SNAPSHOT_ID_SIZE);
}

/*
 * The VM's process gets to read its base's memory: so that is one that the VM was,
 * and no other VM's.
 */
static int check_base(const struct orders *orders, const struct vm_snapshot_source *base,
                      const char *path, struct error *error)
{
    for (size_t i = 0; i < orders->moment_count && i < MOMENTS; i++)
        if (memcmp(orders->moments[i], base->id, SNAPSHOT_ID_SIZE) == 0)
            return 0;
    return error_set(error, EINVAL, "snapshot %s: is none that this VM was restored from or, of late, "
                     "saved as; leave --diff out", path);
}

/* ORDER's snapshot, which was begun, is to be the difference from BASE. */
static int set_base(struct orders *orders, const struct control_request *request,
                    const struct vm_snapshot_source *base, struct request_snapshot *order,
                    struct error *error)
{
    int result = check_base(orders, base, request->base, error);

    if (result == 0 && base->base_count == SNAPSHOT_CHAIN_MAX - 1)
        result = error_set(error, ELOOP, "snapshot %s: has %zu bases below it already; fold it by "
                           "'mote snapshot merge' first", request->base, base->base_count);
    if (result < 0)
        return result;
    order->base_count = (uint32_t)base->base_count + 1;
    memcpy(order->base_id, base->id, sizeof(order->base_id));
    return snapshot_folder_set_base(&orders->folder, request->folder, request->base, base->id, error);
}

static int send_snapshot(struct orders *orders, struct message *order,
                         const struct vm_snapshot_source *base, struct error *error)
{
    int fds[MESSAGE_FDS_MAX] = { orders->folder.state_fd, orders->folder.memory_fd, base->memory_fd };

    memcpy(fds + 3, base->base_fds, base->base_count * sizeof(int));
    sandbox_allow_file(orders->sandbox, orders->folder.state_fd, VM_STATE_ROOM);
    sandbox_allow_file(orders->sandbox, orders->folder.memory_fd, orders->owner.vm->memory);
    return orders_send(orders, order, fds, 2 + order->snapshot.base_count, error);
}

int orders_begin_snapshot(struct orders *orders, const struct control_request *request,
                          struct error *error)
{
    struct message order = { .header.type = REQUEST_SNAPSHOT, .snapshot.stop = request->stop };
    struct vm_snapshot_source base = SNAPSHOT_SOURCE_INIT;
    int result = 0;

    if (getrandom(order.snapshot.id, sizeof(order.snapshot.id), 0) != (ssize_t)sizeof(order.snapshot.id))
        return error_system(error, errno, "snapshot");
    if (request->base)
        result = snapshot_folder_open_sealed(&base, request->base, error);
    if (result == 0)
        result = snapshot_folder_begin(&orders->folder, request->folder, orders->owner.vm->memory,
                                       order.snapshot.id, error);
    if (result == 0 && request->base)
        result = set_base(orders, request, &base, &order.snapshot, error);
    if (result == 0)
        result = send_snapshot(orders, &order, &base, error);
    if (result < 0) {
        snapshot_folder_drop(&orders->folder);
        sandbox_files_written(orders->sandbox, false);
    }
    snapshot_source_close(&base);
    return result;
}

/* ---- afterwards ------------------------------------------------------------ */

/* The VM stands still for an end that does not come. */
static void go_on_after(struct orders *orders, const struct error *failure)
{
    struct message order = { .header.type = REQUEST_RESUME };
    struct error error = ERROR_INIT;

    orders_set_paused(orders, false, &error);
    if (orders_send(orders, &order, NULL, 0, &error) < 0)
        control_socket_refuse(orders->control, failure);
    else
        orders->failure = *failure;
}

/* Aside, as a disk may take its time. */
static int keep_snapshot(void *context, struct error *error)
{
    struct orders *orders = context;
    int result = snapshot_folder_seal_state(&orders->folder, orders->owner.vm, error);

    if (result == 0) {
        snapshot_own_note(orders->folder.state_fd, orders->folder.seal.id);
        return snapshot_folder_finish(&orders->folder, error);
    }
    snapshot_folder_drop(&orders->folder);
    return result;
}

static void snapshot_kept(void *context, const struct error *error)
{
    struct orders *orders = context;
    bool stop = orders->order.snapshot.stop;

    /* What is left is that of a child that was killed. */
    snapshot_folder_drop(&orders->folder);
    sandbox_files_written(orders->sandbox, error->number == 0);
    if (error->number == 0) {
        orders_remember(orders, orders->order.snapshot.id);
        control_socket_answer(orders->control, NULL);
        if (stop)
            orders->owner.stop(orders->owner.context);
    } else if (stop && !orders->was_paused) {
        go_on_after(orders, error);
    } else {
        control_socket_refuse(orders->control, error);
    }
    if (orders->ending)
        event_loop_stop(orders->loop);
}

void orders_snapshot_saved(struct orders *orders)
{
    struct error error = ERROR_INIT;

    if (background_task_start(&orders->keeping, orders->loop, keep_snapshot, snapshot_kept, orders, &error) < 0)
        snapshot_kept(orders, &error);
}
