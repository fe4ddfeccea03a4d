/* SPDX-License-Identifier: Apache-2.0 */
/* Orders, where they are carried out: in the VM's process, on the thread of its event loop. */

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "vmm/monitor/order.h"
#include "vmm/monitor/vm.h"

static int save(struct vm *vm, const struct order *order, const int *fds, struct error *error)
{
    struct vm_snapshot_target target = {
        .state_fd = fds[0], .memory_fd = fds[1], .base_count = order->base_count,
    };
    bool was_paused = vm_is_paused(vm);
    int result;

    if (target.base_count > SNAPSHOT_CHAIN_MAX || fds[1 + target.base_count] < 0)
        return error_set(error, EBADF, "snapshot: the VM has as many files open as it may; have its "
                         "guest close connections");
    memcpy(target.id, order->id, sizeof(target.id));
    memcpy(target.base_fds, fds + 2, target.base_count * sizeof(*fds));
    memcpy(target.base_id, order->base_id, sizeof(target.base_id));
    /* Not an instruction after it, or the disks would be ahead of the snapshot. */
    if (order->stop)
        vm_pause(vm);
    result = vm_save(vm, &target, error);
    if (result < 0 && !was_paused)
        vm_resume(vm);
    return result;
}

void order_obey(struct vm *vm, int channel, const struct order *order, int fds[ORDER_FDS])
{
    struct order_answer answer = { .error_number = 0 };
    struct error error = ERROR_INIT;

    switch (order->kind) {
    case ORDER_PAUSE:
        vm_pause(vm);
        break;
    case ORDER_RESUME:
        vm_resume(vm);
        break;
    case ORDER_SNAPSHOT:
        save(vm, order, fds, &error);
        break;
    case ORDER_BALLOON:
        vm_set_balloon(vm, order->target, &error);
        break;
    case ORDER_REFRESH:
        vm_refresh(vm);
        break;
    case ORDER_RECORD:
        vm_record(vm);
        break;
    }
    /* Before the answer, upon which those in memory may be removed, and their room in the cgroup. */
    order_close_files(fds);
    answer.paused = vm_is_paused(vm);
    answer.error_number = error.number;
    memcpy(answer.message, error.message, sizeof(answer.message));
    /* A supervisor that does not hear it sees the end of the process. */
    if (!order->silent)
        send(channel, &answer, sizeof(answer), MSG_NOSIGNAL);
}
