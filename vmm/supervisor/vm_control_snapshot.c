/* SPDX-License-Identifier: Apache-2.0 */
/* A snapshot that is asked for: its files before the VM's process writes them, and afterwards. */

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "vmm/supervisor/snapshot/own.h"
#include "vmm/supervisor/vm_control_internal.h"

/* ---- before ---------------------------------------------------------------- */

void vm_control_remember(struct vm_control *control, const uint8_t id[SNAPSHOT_ID_SIZE])
{
    memcpy(control->snapshot_ids[control->snapshot_count++ % SNAPSHOT_IDS_MAX], id, SNAPSHOT_ID_SIZE);
}

/*
 * The VM's process gets to read its base's memory: so that is one that the VM was,
 * and no other VM's.
 */
static int check_base(const struct vm_control *control, const struct vm_snapshot_source *base,
                      const char *path, struct error *error)
{
    for (size_t i = 0; i < control->snapshot_count && i < SNAPSHOT_IDS_MAX; i++)
        if (memcmp(control->snapshot_ids[i], base->id, SNAPSHOT_ID_SIZE) == 0)
            return 0;
    return error_set(error, EINVAL, "snapshot %s: is none that this VM was restored from or, of late, "
                     "saved as; leave --diff out", path);
}

/* SAVING's snapshot, which was begun, is to be the difference from BASE. */
static int set_base(struct vm_control *control, const struct snapshot_arguments *asked,
                    const struct vm_snapshot_source *base, struct vm_saving *saving, struct error *error)
{
    int result = check_base(control, base, asked->base, error);

    if (result == 0 && base->base_count == SNAPSHOT_CHAIN_MAX - 1)
        result = error_set(error, ELOOP, "snapshot %s: has %zu bases below it already; fold it by "
                           "'mote snapshot merge' first", asked->base, base->base_count);
    if (result < 0)
        return result;
    saving->base = base;
    saving->request.base_count = (uint32_t)base->base_count + 1;
    memcpy(saving->request.base_id, base->id, sizeof(saving->request.base_id));
    return snapshot_folder_set_base(&control->folder, asked->folder, asked->base, base->id, error);
}

int vm_control_begin_snapshot(struct vm_control *control, const struct snapshot_arguments *asked, struct error *error)
{
    struct vm_saving saving = { .memory = control->owner.vm->memory, .request.stop = asked->stop };
    struct vm_snapshot_source base = SNAPSHOT_SOURCE_INIT;
    int result = 0;

    if (getrandom(saving.request.id, sizeof(saving.request.id), 0) != (ssize_t)sizeof(saving.request.id))
        return error_system(error, errno, "snapshot");
    if (asked->base)
        result = snapshot_folder_open_sealed(&base, asked->base, error);
    if (result == 0)
        result = snapshot_folder_begin(&control->folder, asked->folder, saving.memory, saving.request.id, error);
    if (result == 0 && asked->base)
        result = set_base(control, asked, &base, &saving, error);
    if (result == 0) {
        saving.state_fd = control->folder.state_fd;
        saving.memory_fd = control->folder.memory_fd;
        result = vm_control_save(control, &saving, error);
    }
    if (result < 0) {
        snapshot_folder_drop(&control->folder);
        vm_process_files_written(control->process, false);
    }
    snapshot_source_close(&base);
    return result;
}

/* ---- afterwards ------------------------------------------------------------ */

/* The VM is paused for an end that does not come. */
static void resume_after(struct vm_control *control, const struct error *failure)
{
    struct message request = { .header.type = REQUEST_RESUME };
    struct error error = ERROR_INIT;

    vm_control_set_paused(control, false, &error);
    if (vm_control_send(control, &request, &error) < 0)
        control_socket_refuse(control->socket, failure);
    else
        control->failure = *failure;
}

/* In the background, as a disk may take its time. */
static int keep_snapshot(void *context, struct error *error)
{
    struct vm_control *control = context;
    int result = snapshot_folder_seal_state(&control->folder, control->owner.vm, error);

    if (result == 0) {
        snapshot_own_note(control->folder.state_fd, control->folder.seal.id);
        return snapshot_folder_finish(&control->folder, error);
    }
    snapshot_folder_drop(&control->folder);
    return result;
}

static void snapshot_kept(void *context, const struct error *error)
{
    struct vm_control *control = context;
    bool stop = control->request.snapshot.stop;

    /* What is left is that of a child that was killed. */
    snapshot_folder_drop(&control->folder);
    vm_process_files_written(control->process, error->number == 0);
    if (error->number == 0) {
        vm_control_remember(control, control->request.snapshot.id);
        control_socket_answer(control->socket, NULL);
        if (stop)
            control->owner.stop(control->owner.context);
    } else if (stop && !control->was_paused) {
        resume_after(control, error);
    } else {
        control_socket_refuse(control->socket, error);
    }
    if (control->ending)
        event_loop_stop(control->loop);
}

void vm_control_saved(struct vm_control *control)
{
    struct error error = ERROR_INIT;

    if (background_task_start(&control->keeping, control->loop, keep_snapshot, snapshot_kept, control, &error) < 0)
        snapshot_kept(control, &error);
}
