/* SPDX-License-Identifier: Apache-2.0 */
/* What a VM is asked, and how long its monitor may take for an answer. */

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vmm/base/cleanup.h"
#include "vmm/supervisor/vm_process_internal.h"

/*
 * How long the monitor may be silent: it may have been broken, or wait for a disk.  A snapshot gets more
 * the further its memory is, which its file's offset tells (memory_file_write()), so it may take as long as it
 * keeps such a rate, and its last part may be that all of it goes to a server when the file is closed.
 * The offset is the monitor's to set, but counts as far as there is memory: in the end there is an end.
 */
#define PATIENCE_SECONDS 20
#define SLOWEST (4u << 20) /* bytes a second */

/* ---- silence ---------------------------------------------------------------- */

static uint64_t patience_with(const struct pending_request *pending)
{
    off_t offset = pending->memory_fd < 0 ? 0 : lseek(pending->memory_fd, 0, SEEK_CUR);
    uint64_t done = offset < 0 ? 0 : (uint64_t)offset;

    return PATIENCE_SECONDS + (done < pending->memory ? done : pending->memory) / SLOWEST;
}

static bool somebody_waits(const struct vm_process *process)
{
    for (size_t i = 0; i < REQUESTS_MAX; i++)
        if (process->pending[i].id && !process->pending[i].silent)
            return true;
    return false;
}

static void count_on(struct vm_process *process)
{
    if (somebody_waits(process))
        timer_set(&process->request_timer, 1000);
}

/* Seconds that this process has seen: a user may have stopped both. */
static void second_passed(void *context)
{
    struct vm_process *process = context;

    for (size_t i = 0; i < REQUESTS_MAX; i++) {
        struct pending_request *pending = &process->pending[i];

        if (!pending->id || pending->silent || ++pending->seconds < patience_with(pending))
            continue;
        pending->silent = true;
        pending->handler.replied(pending->handler.context, VM_SILENT, NULL);
    }
    count_on(process);
}

/* ---- answers ---------------------------------------------------------------- */

bool vm_requests_answered(struct vm_process *process, const struct message *answer)
{
    for (size_t i = 0; i < REQUESTS_MAX; i++) {
        struct pending_request pending = process->pending[i];

        if (!pending.id || pending.id != answer->header.id)
            continue;
        process->pending[i].id = 0;
        if (!somebody_waits(process))
            timer_set(&process->request_timer, 0);
        pending.handler.replied(pending.handler.context, VM_ANSWERED, &answer->answer);
        return true;
    }
    return false;
}

void vm_requests_fail(struct vm_process *process)
{
    if (process->request_timer.fd >= 0)
        timer_set(&process->request_timer, 0);
    for (size_t i = 0; i < REQUESTS_MAX; i++) {
        struct pending_request pending = process->pending[i];

        process->pending[i].id = 0;
        if (pending.id)
            pending.handler.replied(pending.handler.context, VM_GONE, NULL);
    }
}

/* ---- requests --------------------------------------------------------------- */

bool vm_process_listens(const struct vm_process *process)
{
    return process && process->channel >= 0;
}

static struct pending_request *find_free(struct vm_process *process)
{
    for (size_t i = 0; i < REQUESTS_MAX; i++)
        if (!process->pending[i].id)
            return &process->pending[i];
    return NULL;
}

static int send_request(struct vm_process *process, struct message *request, const int *fds, size_t fd_count,
                        struct error *error)
{
    if (process->channel < 0 || message_send(process->channel, request, fds, fd_count, MSG_DONTWAIT) < 0)
        return error_set(error, ESRCH, "the VM has ended, or does not listen; see 'mote ps'");
    return 0;
}

/* REQUEST, whose answer HANDLER waits for; AWAITED has the snapshot's file, if it is one. */
static int request_answer(struct vm_process *process, struct message *request, const int *fds, size_t fd_count,
                          const struct pending_request *awaited, struct error *error)
{
    struct pending_request *pending = find_free(process);
    int result;

    if (!pending)
        return error_set(error, EBUSY, "its process owes %d answers already; try again later", REQUESTS_MAX);
    request->header.id = ++process->last_id ? process->last_id : ++process->last_id; /* 0 asks for no answer */
    result = send_request(process, request, fds, fd_count, error);
    if (result < 0)
        return result;
    *pending = *awaited;
    pending->id = request->header.id;
    /* Without a clock it is waited for without end, as `stop` helps. */
    vm_process_set_timer(process, &process->request_timer, second_passed, 1000);
    return 0;
}

int vm_process_request(struct vm_process *process, const struct message *request, const int *fds, size_t fd_count,
                       const struct vm_reply_handler *handler, struct error *error)
{
    struct pending_request awaited = { .memory_fd = -1 };
    struct message message = *request;

    /* A disk may be longer than any file of the VM's was to become. */
    if (message.header.type == REQUEST_REFRESH && process->runs)
        sandbox_files_grew(process->sandbox);
    message.header.id = 0;
    if (!handler)
        return send_request(process, &message, fds, fd_count, error);
    awaited.handler = *handler;
    return request_answer(process, &message, fds, fd_count, &awaited, error);
}

void vm_process_allow_file(struct vm_process *process, int fd, uint64_t size)
{
    if (!process->runs)
        return;
    sandbox_allow_file(process->sandbox, fd, size);
    sandbox_files_grew(process->sandbox);
    sandbox_files_written(process->sandbox, true);
}

int vm_process_save(struct vm_process *process, const struct vm_saving *saving, const struct vm_reply_handler *handler,
                    struct error *error)
{
    struct message request = { .header.type = REQUEST_SNAPSHOT, .snapshot = saving->request };
    struct pending_request awaited = {
        .handler = *handler, .memory_fd = saving->memory_fd, .memory = saving->memory,
    };
    int fds[MESSAGE_FDS_MAX] = { saving->state_fd, saving->memory_fd };

    if (saving->base) {
        fds[2] = saving->base->memory_fd;
        memcpy(fds + 3, saving->base->base_fds, saving->base->base_count * sizeof(int));
    }
    sandbox_allow_file(process->sandbox, saving->state_fd, VM_STATE_ROOM);
    sandbox_allow_file(process->sandbox, saving->memory_fd, saving->memory);
    return request_answer(process, &request, fds, 2 + request.snapshot.base_count, &awaited, error);
}

void vm_process_files_written(struct vm_process *process, bool kept)
{
    if (process)
        sandbox_files_written(process->sandbox, kept);
}
