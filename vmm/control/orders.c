/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/control/orders.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vmm/control/aside.h"
#include "vmm/control/control_socket.h"
#include "vmm/cleanup.h"
#include "vmm/sandbox/sandbox.h"
#include "vmm/snapshot/folder.h"
#include "vmm/store.h"
#include "vmm/vm.h"

/* Snapshots that a VM remembers to have been at. */
#define MOMENTS 32

struct orders {
    struct orders_owner owner;
    struct control_socket *control;
    int channel;
    struct sandbox *sandbox; /* of the monitor behind it */
    bool in_flight;
    struct order order; /* in flight */
    bool went_on;            /* has been told so since */
    struct error failure;    /* met while another order makes up for it */
    struct snapshot_folder folder;
    struct aside keeping; /* FOLDER, once it is written */
    bool paused;
    bool was_paused; /* before the snapshot */
    struct event_loop *loop;
    bool ending; /* the loop runs until FOLDER is kept */
    size_t moment_count;
    uint8_t moments[MOMENTS][SNAPSHOT_ID_SIZE]; /* ids: what the VM came from, and was saved as */
};

/* ---- to the monitor -------------------------------------------------------- */

static int send_order(struct orders *orders, const struct order *order, const int *fds,
                      size_t fd_count, struct error *error)
{
    int result;

    if (orders->channel < 0)
        return error_set(error, EAGAIN, "is being started, or ends; see 'mote ps', and try again");
    result = order_send(orders->channel, order, fds, fd_count, error);
    if (result < 0)
        return result;
    orders->order = *order;
    orders->in_flight = true;
    return 0;
}

static void remember(struct orders *orders, const uint8_t id[SNAPSHOT_ID_SIZE])
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
                    const struct vm_snapshot_source *base, struct order *order,
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

static int send_snapshot(struct orders *orders, const struct order *order,
                         const struct vm_snapshot_source *base, struct error *error)
{
    int fds[ORDER_FDS] = { orders->folder.state_fd, orders->folder.memory_fd, base->memory_fd };

    memcpy(fds + 3, base->base_fds, base->base_count * sizeof(int));
    sandbox_allow_file(orders->sandbox, orders->folder.state_fd, VM_STATE_ROOM);
    sandbox_allow_file(orders->sandbox, orders->folder.memory_fd, orders->owner.vm->memory);
    return send_order(orders, order, fds, 2 + order->base_count, error);
}

static int begin_snapshot(struct orders *orders, const struct control_request *request,
                          struct error *error)
{
    struct order order = { .kind = ORDER_SNAPSHOT, .stop = request->stop };
    struct vm_snapshot_source base = SNAPSHOT_SOURCE_INIT;
    int result = 0;

    if (getrandom(order.id, sizeof(order.id), 0) != (ssize_t)sizeof(order.id))
        return error_system(error, errno, "snapshot");
    if (request->base)
        result = snapshot_folder_open_sealed(&base, request->base, error);
    if (result == 0)
        result = snapshot_folder_begin(&orders->folder, request->folder, orders->owner.vm->memory,
                                       order.id, error);
    if (result == 0 && request->base)
        result = set_base(orders, request, &base, &order, error);
    if (result == 0)
        result = send_snapshot(orders, &order, &base, error);
    if (result < 0) {
        snapshot_folder_drop(&orders->folder);
        sandbox_files_written(orders->sandbox, false);
    }
    snapshot_source_close(&base);
    return result;
}

/* ---- from the monitor ------------------------------------------------------ */

/* The VM stands still for an end that does not come. */
static void go_on_after(struct orders *orders, const struct error *failure)
{
    struct order order = { .kind = ORDER_RESUME };
    struct error error = ERROR_INIT;

    if (send_order(orders, &order, NULL, 0, &error) < 0)
        control_socket_refuse(orders->control, failure);
    else
        orders->failure = *failure;
}

/* Aside, as a disk may take its time. */
static int keep_snapshot(void *context, struct error *error)
{
    struct orders *orders = context;
    int result = snapshot_folder_seal_state(&orders->folder, orders->owner.vm, error);

    if (result == 0)
        return snapshot_folder_finish(&orders->folder, error);
    snapshot_folder_drop(&orders->folder);
    return result;
}

static void snapshot_kept(void *context, const struct error *error)
{
    struct orders *orders = context;
    bool stop = orders->order.stop;

    /* What is left is that of a child that was killed. */
    snapshot_folder_drop(&orders->folder);
    sandbox_files_written(orders->sandbox, error->number == 0);
    if (error->number == 0) {
        remember(orders, orders->order.id);
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

static void snapshot_saved(struct orders *orders)
{
    struct error error = ERROR_INIT;

    if (aside_start(&orders->keeping, orders->loop, keep_snapshot, snapshot_kept, orders, &error) < 0)
        snapshot_kept(orders, &error);
}

/* Also for `mote ps`; an error is of that. */
static int set_paused(struct orders *orders, bool paused, struct error *error)
{
    bool was = orders->paused;

    orders->paused = paused;
    return was == paused ? 0 : store_set_paused(orders->owner.entry, paused, error);
}

void orders_answered(struct orders *orders, const struct order_answer *answer)
{
    struct error error = ERROR_INIT;

    /* One that nobody waits for comes from an attacker. */
    if (!orders || !orders->in_flight)
        return;
    orders->in_flight = false;
    orders->was_paused = orders->paused;
    /* No reason to lose a snapshot, though. */
    if (set_paused(orders, answer->paused != 0 && !orders->went_on, &error) < 0 &&
        orders->order.kind == ORDER_SNAPSHOT)
        error = (struct error)ERROR_INIT;
    orders->went_on = false;
    if (orders->failure.number) {
        error = orders->failure;
        orders->failure = (struct error)ERROR_INIT;
    } else {
        order_take_error(answer, &error);
    }
    if (!error.number && orders->order.kind == ORDER_SNAPSHOT) {
        snapshot_saved(orders);
        return;
    }
    snapshot_folder_drop(&orders->folder);
    if (orders->order.kind == ORDER_SNAPSHOT)
        sandbox_files_written(orders->sandbox, false);
    if (error.number)
        control_socket_refuse(orders->control, &error);
    else
        control_socket_answer(orders->control, NULL);
}

/* The monitor has ended.  A snapshot that was saved before is kept all the same, with its room in memory. */
static void give_up_order(struct orders *orders)
{
    struct error error = ERROR_INIT;

    if (!orders->in_flight)
        return;
    orders->in_flight = orders->went_on = false;
    orders->failure = (struct error)ERROR_INIT;
    snapshot_folder_drop(&orders->folder);
    if (orders->order.kind == ORDER_SNAPSHOT)
        sandbox_files_written(orders->sandbox, false);
    error_set(&error, ESRCH, "the VM ended before it was done");
    control_socket_refuse(orders->control, &error);
}

void orders_channel(struct orders *orders, int channel, struct sandbox *sandbox)
{
    struct error error = ERROR_INIT;

    if (!orders)
        return;
    set_paused(orders, false, &error);
    /* First of all: the next client is asked for its order before that returns. */
    orders->channel = channel;
    if (channel < 0)
        give_up_order(orders);
    orders->sandbox = sandbox;
}

void orders_go_on(struct orders *orders)
{
    struct order order = { .kind = ORDER_RESUME, .silent = true };
    struct error error = ERROR_INIT;

    if (!orders || (!orders->paused && !orders->in_flight))
        return;
    /* One that does not listen has ended, or is ended by its owner's patience. */
    if (order_send(orders->channel, &order, NULL, 0, &error) < 0)
        return;
    orders->went_on = orders->in_flight;
    /* Nobody asked who could be told of an error: `mote ps` is wrong then. */
    set_paused(orders, false, &error);
}

void orders_abandon(struct orders *orders)
{
    if (orders)
        aside_abandon(&orders->keeping, "snapshot: given up, as the VM was told to end; save it again");
}

int orders_end(struct orders *orders, struct error *error)
{
    if (!orders || !aside_works(&orders->keeping))
        return 0;
    orders->ending = true;
    return event_loop_run(orders->loop, error);
}

/* ---- requests -------------------------------------------------------------- */

static struct json_object *status_of(const struct orders *orders)
{
    const struct vm_config *vm = orders->owner.vm;
    struct json_object *reply = json_object_new_object();

    json_object_object_add(reply, "name", json_object_new_string(orders->owner.entry->name));
    json_object_object_add(reply, "state", json_object_new_string(orders->paused ? "paused" : "running"));
    json_object_object_add(reply, "pid", json_object_new_int64(getpid()));
    json_object_object_add(reply, "cpus", json_object_new_int64(vm->cpus));
    json_object_object_add(reply, "memory", json_object_new_int64((int64_t)vm->memory));
    return reply;
}

/* What makes no sense for a job. */
static int refuse_for_job(const struct orders *orders, enum control_command command,
                          struct error *error)
{
    if (!orders->owner.is_job)
        return 0;
    if (command == CONTROL_SNAPSHOT)
        return error_set(error, ENOTSUP, "is a job, whose copies would have nobody to talk to; save a VM of "
                         "'mote boot --name', or start jobs from a saved guest by 'mote run --warm'");
    if (command == CONTROL_BALLOON)
        return error_set(error, ENODEV, "is a job, which has no balloon; limit it by --memory");
    return 0;
}

static void asked(void *context, const struct control_request *request)
{
    struct orders *orders = context;
    struct order order = { .kind = 0 };
    struct error error = ERROR_INIT;
    int result = refuse_for_job(orders, (enum control_command)request->command, &error);

    if (result < 0) {
        control_socket_refuse(orders->control, &error);
        return;
    }
    switch ((enum control_command)request->command) {
    case CONTROL_STATUS:
        control_socket_answer(orders->control, status_of(orders));
        return;
    case CONTROL_STOP:
        control_socket_answer(orders->control, NULL);
        orders->owner.stop(orders->owner.context);
        return;
    case CONTROL_SNAPSHOT:
        result = begin_snapshot(orders, request, &error);
        break;
    case CONTROL_PAUSE:
        order.kind = ORDER_PAUSE;
        result = send_order(orders, &order, NULL, 0, &error);
        break;
    case CONTROL_RESUME:
        order.kind = ORDER_RESUME;
        result = send_order(orders, &order, NULL, 0, &error);
        break;
    case CONTROL_BALLOON:
        order = (struct order){ .kind = ORDER_BALLOON, .target = request->target };
        result = send_order(orders, &order, NULL, 0, &error);
        break;
    case CONTROL_COMMAND_COUNT:
        break;
    }
    if (result < 0)
        control_socket_refuse(orders->control, &error);
}

/* ---- life ------------------------------------------------------------------ */

int orders_create(struct orders **orders, const struct orders_owner *owner,
                  struct event_loop *loop, struct error *error)
{
    struct orders *created = calloc(1, sizeof(*created));
    struct control_owner asker = { .asked = asked, .context = created };
    int result;

    if (!created)
        return error_system(error, ENOMEM, "--name");
    created->owner = *owner;
    created->channel = -1;
    created->folder = (struct snapshot_folder)SNAPSHOT_FOLDER_INIT;
    created->keeping = (struct aside)ASIDE_INIT;
    created->loop = loop;
    if (owner->vm->snapshot)
        remember(created, owner->vm->snapshot->id);
    /* A snapshot longer than files may become (ulimit -f) is an error, not the VM's end. */
    if (!owner->is_job)
        signal(SIGXFSZ, SIG_IGN);
    result = control_socket_create(&created->control, owner->entry->folder, loop, &asker, error);
    if (result < 0) {
        free(created);
        return result;
    }
    *orders = created;
    return 0;
}

void orders_close(struct orders *orders)
{
    struct store_entry entry;

    if (!orders)
        return;
    entry = *orders->owner.entry;
    control_socket_close(orders->control);
    store_close(&entry);
    snapshot_folder_leave(&orders->folder);
    cleanup_close(&orders->keeping.fd);
}

void orders_destroy(struct orders *orders)
{
    if (!orders)
        return;
    aside_end(&orders->keeping);
    control_socket_destroy(orders->control);
    unlinkat(orders->owner.entry->folder, "control", 0);
    snapshot_folder_drop(&orders->folder);
    free(orders);
}
