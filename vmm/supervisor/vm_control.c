/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/supervisor/vm_control_internal.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "vmm/base/cleanup.h"
#include "vmm/supervisor/store.h"

/* ---- from the monitor ------------------------------------------------------- */

int vm_control_set_paused(struct vm_control *control, bool paused, struct error *error)
{
    bool was = control->paused;

    control->paused = paused;
    return was == paused ? 0 : store_set_paused(control->owner.entry, paused, error);
}

/* The monitor has closed the request's files. */
static void drop_request(struct vm_control *control)
{
    control->awaited = control->owed = control->resumed = false;
    control->failure = (struct error)ERROR_INIT;
    snapshot_folder_drop(&control->folder);
    if (control->request.header.type == REQUEST_SNAPSHOT)
        vm_process_files_written(control->process, false);
}

/* Also where nobody waits any more: what the configuration says is what the VM has. */
static void take_change(struct vm_control *control, bool done)
{
    if (control->request.header.type == REQUEST_REPLACE_DISK)
        vm_control_settle_disk(control, done);
    if (control->request.header.type == REQUEST_SET_RATE && done)
        vm_control_rate_is_set(control);
}

static void answered(struct vm_control *control, const struct answer *answer)
{
    bool saves = control->request.header.type == REQUEST_SNAPSHOT;
    bool counts = control->request.header.type == REQUEST_STATISTICS;
    struct error error = ERROR_INIT;

    take_change(control, answer->error_number == 0);
    if (control->owed) {
        drop_request(control);
        return;
    }
    control->awaited = false;
    control->was_paused = control->paused;
    /* No reason to lose a snapshot, though. */
    if (vm_control_set_paused(control, answer->paused && !control->resumed, &error) < 0 && saves)
        error = (struct error)ERROR_INIT;
    control->resumed = false;
    if (control->failure.number) {
        error = control->failure;
        control->failure = (struct error)ERROR_INIT;
    } else {
        answer_take_error(answer, &error);
    }
    if (!error.number && saves) {
        vm_control_saved(control);
        return;
    }
    drop_request(control);
    if (error.number)
        control_socket_refuse(control->socket, &error);
    else
        control_socket_answer(control->socket, counts ? vm_status_statistics(&answer->statistics) : NULL);
}

/* The monitor has ended.  A snapshot that was saved before is kept all the same, with its room in memory. */
static void give_up_request(struct vm_control *control)
{
    bool awaited = control->awaited;
    struct error error = ERROR_INIT;

    take_change(control, false);
    drop_request(control);
    error_set(&error, ESRCH, "the VM ended before it was done");
    if (awaited)
        control_socket_refuse(control->socket, &error);
}

static int is_silent(const struct vm_control *control, struct error *error)
{
    return error_set(error, ETIMEDOUT, "its process does not answer; see what its disk waits for, or use "
                     "'mote stop %s'", control->owner.entry->name);
}

/* Once the monitor listens again it carries the request out, and then what makes up for that; until then its answer is owed. */
static void lose_patience(struct vm_control *control)
{
    struct message undo = { .header.type = control->paused ? REQUEST_PAUSE : REQUEST_RESUME };
    struct error error = control->failure;

    control->awaited = control->resumed = false;
    control->failure = (struct error)ERROR_INIT;
    control->owed = true;
    snapshot_folder_drop(&control->folder);
    vm_process_request(control->process, &undo, NULL, 0, NULL, &(struct error)ERROR_INIT);
    if (!error.number)
        is_silent(control, &error);
    control_socket_refuse(control->socket, &error);
}

static void replied(void *context, enum vm_reply reply, const struct answer *answer)
{
    switch (reply) {
    case VM_ANSWERED:
        answered(context, answer);
        break;
    case VM_SILENT:
        lose_patience(context);
        break;
    case VM_GONE:
        give_up_request(context);
        break;
    }
}

/* ---- to the monitor --------------------------------------------------------- */

static int check_process(const struct vm_control *control, struct error *error)
{
    if (vm_process_listens(control->process))
        return 0;
    return error_set(error, EAGAIN, "is being started, or ends; see 'mote ps', and try again");
}

int vm_control_send_files(struct vm_control *control, const struct message *request, const int *fds, size_t fd_count,
                          struct error *error)
{
    struct vm_reply_handler handler = { .replied = replied, .context = control };
    int result = check_process(control, error);

    if (result == 0)
        result = vm_process_request(control->process, request, fds, fd_count, &handler, error);
    if (result < 0)
        return result;
    control->request = *request;
    control->awaited = true;
    return 0;
}

int vm_control_send_file(struct vm_control *control, const struct message *request, int fd, uint64_t size,
                         struct error *error)
{
    int result = check_process(control, error);

    if (result == 0)
        vm_process_allow_file(control->process, fd, size);
    return result < 0 ? result : vm_control_send_files(control, request, &fd, 1, error);
}

int vm_control_send(struct vm_control *control, const struct message *request, struct error *error)
{
    return vm_control_send_files(control, request, NULL, 0, error);
}

int vm_control_save(struct vm_control *control, const struct vm_saving *saving, struct error *error)
{
    struct vm_reply_handler handler = { .replied = replied, .context = control };
    int result = check_process(control, error);

    if (result == 0)
        result = vm_process_save(control->process, saving, &handler, error);
    if (result < 0)
        return result;
    control->request = (struct message){ .header.type = REQUEST_SNAPSHOT, .snapshot = saving->request };
    control->awaited = true;
    return 0;
}

void vm_control_attach(struct vm_control *control, struct vm_process *process)
{
    struct error error = ERROR_INIT;

    if (!control)
        return;
    vm_control_set_paused(control, false, &error);
    control->process = process;
    control->began_ms = vm_status_now_ms();
}

void vm_control_resume(struct vm_control *control)
{
    struct message request = { .header.type = REQUEST_RESUME };
    struct error error = ERROR_INIT;

    if (!control || !control->process || (!control->paused && !control->awaited))
        return;
    /* One that does not listen has ended, or is ended by its owner's patience. */
    if (vm_process_request(control->process, &request, NULL, 0, NULL, &error) < 0)
        return;
    control->resumed = control->awaited;
    /* Nobody asked who could be told of an error: `mote ps` is wrong then. */
    vm_control_set_paused(control, false, &error);
}

void vm_control_abandon(struct vm_control *control)
{
    if (control)
        background_task_abandon(&control->keeping, "snapshot: given up, as the VM was told to end; save it again");
}

int vm_control_finish(struct vm_control *control, struct error *error)
{
    if (!control || !background_task_works(&control->keeping))
        return 0;
    control->ending = true;
    return event_loop_run(control->loop, error);
}

/* ---- from a client ---------------------------------------------------------- */

static void asked(void *context, const struct verb_request *request)
{
    struct vm_control *control = context;
    const struct vm_verb *verb = request->verb;
    struct error error = ERROR_INIT;
    int result = 0;

    if (control->owner.is_job && verb->job_refusal)
        result = error_set(&error, ENOTSUP, "%s", verb->job_refusal);
    else if (control->owed && !verb->at_once)
        result = is_silent(control, &error);
    if (result == 0)
        result = verb->handle(control, request, &error);
    if (result < 0)
        control_socket_refuse(control->socket, &error);
}

/* ---- life ------------------------------------------------------------------- */

int vm_control_create(struct vm_control **control, const struct vm_control_owner *owner,
                      struct event_loop *loop, struct error *error)
{
    struct vm_control *created = calloc(1, sizeof(*created));
    struct control_owner asker = { .asked = asked, .context = created };
    int result;

    if (!created)
        return error_system(error, ENOMEM, "--name");
    created->owner = *owner;
    created->folder = (struct snapshot_folder)SNAPSHOT_FOLDER_INIT;
    created->keeping = (struct background_task)BACKGROUND_TASK_INIT;
    created->loop = loop;
    if (owner->vm->snapshot)
        vm_control_remember(created, owner->vm->snapshot->id);
    /* A snapshot longer than files may become (ulimit -f) is an error, not the VM's end. */
    if (!owner->is_job)
        signal(SIGXFSZ, SIG_IGN);
    result = control_socket_create(&created->socket, owner->entry->folder, loop, &asker, error);
    if (result < 0)
        free(created);
    else
        *control = created;
    return result;
}

void vm_control_leave(struct vm_control *control)
{
    struct store_entry entry;

    if (!control)
        return;
    entry = *control->owner.entry;
    control_socket_close(control->socket);
    store_close(&entry);
    snapshot_folder_leave(&control->folder);
    cleanup_close(&control->keeping.fd);
}

void vm_control_destroy(struct vm_control *control)
{
    if (!control)
        return;
    background_task_end(&control->keeping);
    control_socket_destroy(control->socket);
    unlinkat(control->owner.entry->folder, "control", 0);
    snapshot_folder_drop(&control->folder);
    free(control);
}
