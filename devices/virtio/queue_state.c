/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "devices/virtio/queue.h"
#include "vmm/machine/state.h"

static void check_loaded(struct virtqueue *queue, struct state *state, bool ready)
{
    bool untouched = queue->last_avail == 0 && queue->used_index == 0 &&
                     queue->notified_used == 0;

    state_require(state, ready || untouched, "the index of a queue that is not ready");
    /* As many came back as were taken. */
    state_require(state, queue->broken || queue->last_avail == queue->used_index,
                  "the indices of a queue");
    state_require(state, !ready || virtqueue_enable(queue) == 0, "a queue's size or addresses");
}

void virtqueue_state(struct virtqueue *queue, struct state *state)
{
    struct error error = ERROR_INIT;
    bool ready = queue->ready;

    if (!state_is_loading(state) && queue->in_use > 0 && !queue->broken) {
        error_set(&error, EBUSY, "snapshot: a device holds %u chains of its queue", queue->in_use);
        state_fail(state, &error);
    }
    state_u32(state, &queue->size);
    state_u64(state, &queue->desc_address);
    state_u64(state, &queue->avail_address);
    state_u64(state, &queue->used_address);
    state_bool(state, &ready);
    state_u16(state, &queue->last_avail);
    state_u16(state, &queue->used_index);
    state_u16(state, &queue->notified_used);
    if (state_is_loading(state))
        check_loaded(queue, state, ready);
}
