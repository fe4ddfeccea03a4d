/* SPDX-License-Identifier: Apache-2.0 */
/* What the supervisor asks of a VM, where it is carried out: in the monitor, on the thread of its event loop. */

#include <errno.h>
#include <string.h>

#include "devices/virtio/block.h"
#include "vmm/monitor/protocol.h"
#include "vmm/monitor/vm.h"

static int save(struct vm *vm, const struct request_snapshot *request, const int *fds, struct error *error)
{
    struct vm_snapshot_target target = {
        .state_fd = fds[0], .memory_fd = fds[1], .base_count = request->base_count,
    };
    bool was_paused = vm_is_paused(vm);
    int result;

    if (target.base_count > SNAPSHOT_CHAIN_MAX)
        return error_set(error, EINVAL, "snapshot: has more bases than %d", SNAPSHOT_CHAIN_MAX);
    memcpy(target.id, request->id, sizeof(target.id));
    memcpy(target.base_fds, fds + 2, target.base_count * sizeof(*fds));
    memcpy(target.base_id, request->base_id, sizeof(target.base_id));
    /* Not an instruction after it, or the disks would be ahead of the snapshot. */
    if (request->stop)
        vm_pause(vm);
    result = vm_save(vm, &target, error);
    if (result < 0 && !was_paused)
        vm_resume(vm);
    return result;
}

static int replace_disk(struct vm *vm, const struct message *request, int *fds, struct error *error)
{
    struct block_host host = { .disk = request->replace_disk.disk, .slot = request->replace_disk.slot };
    int result;

    host.disk.fd = fds[0];
    host.disk.overlay_fd = -1;
    result = vm_replace_disk(vm, request->replace_disk.device, &host, request->replace_disk.path, error);
    if (result == 0)
        fds[0] = -1; /* the disk's */
    return result;
}

static int perform(struct vm *vm, const struct message *request, int *fds, struct error *error)
{
    if (request->header.fd_count > 0 && fds[request->header.fd_count - 1] < 0)
        return error_set(error, EBADF, "the VM has as many files open as it may; have its guest close connections");
    switch (request->header.type) {
    case REQUEST_STOP:
        vm_stop(vm, request->stop.origin == STOP_BY_SIGNAL ? "signal" : "control socket");
        break;
    case REQUEST_PAUSE:
        vm_pause(vm);
        break;
    case REQUEST_RESUME:
        vm_resume(vm);
        break;
    case REQUEST_SNAPSHOT:
        return save(vm, &request->snapshot, fds, error);
    case REQUEST_BALLOON:
        return vm_set_balloon(vm, request->balloon.target, error);
    case REQUEST_REPLACE_DISK:
        return replace_disk(vm, request, fds, error);
    case REQUEST_SET_RATE:
        return vm_set_rate(vm, request->set_rate.device, &request->set_rate.receive, &request->set_rate.transmit, fds,
                           error);
    case REQUEST_REFRESH:
        vm_refresh(vm);
        break;
    case REQUEST_STATISTICS: /* with the answer */
        break;
    case REQUEST_RECORD:
        vm_record(vm);
        break;
    default:
        break;
    }
    return 0;
}

void handle_request(struct vm *vm, int channel, const struct message *request, int fds[MESSAGE_FDS_MAX])
{
    struct message answer = { .header = { .type = MESSAGE_ANSWER, .id = request->header.id } };
    struct error error = ERROR_INIT;

    perform(vm, request, fds, &error);
    /* Before the answer, upon which those in memory may be removed, and their room in the cgroup. */
    message_close_files(fds);
    if (!request->header.id)
        return;
    answer.answer.paused = vm_is_paused(vm);
    if (request->header.type == REQUEST_STATISTICS)
        vm_read_statistics(vm, &answer.answer.statistics);
    answer.answer.error_number = error.number;
    memcpy(answer.answer.message, error.message, sizeof(error.message));
    /* A supervisor that does not hear it sees the end of the process. */
    message_send(channel, &answer, NULL, 0, 0);
}
