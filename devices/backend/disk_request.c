/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/backend/disk_request.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdlib.h>
#include <string.h>

#include "devices/backend/disk_overlay.h"

/* Of one step, without a byte of progress. */
#define RETRIES_MAX 64
#define BOUNCE_ALIGNMENT 4096

static void finish(struct disk_request *request, int result)
{
    request->result = result;
    request->finished = true;
}

/* The sync, or what had to follow it, is over for all who share it. */
static void finish_flush(struct disk_request *request, struct disk_file *file, int result)
{
    if (request->leads)
        disk_sync_end(&file->sync, result, &request->released);
    request->leads = false;
    finish(request, result);
}

static bool fits_direct(const struct disk_request *request, const struct disk_file *file)
{
    for (unsigned int i = 0; i < request->count; i++)
        if ((uintptr_t)request->segments[i].iov_base % file->memory_alignment ||
            request->segments[i].iov_len % file->offset_alignment)
            return false;
    return true;
}

void disk_request_begin(struct disk_request *request, const struct disk_file *file)
{
    request->result = 0;
    request->left = request->length;
    request->first = request->retries = 0;
    request->by_hand = request->finished = request->bounced = false;
    request->flushed_once = request->leads = false;
    request->released = (struct request_list){ .head = NULL };
    request->cut = 0;
    request->flushing = request->operation == DISK_FLUSH;
    if (request->operation != DISK_READ && request->operation != DISK_WRITE)
        return;
    if ((request->offset | request->length) % file->offset_alignment)
        finish(request, -EINVAL);
    else if (request->length == 0)
        finish(request, 0);
    else
        request->bounced = file->direct && !fits_direct(request, file);
}

static bool need_bounce(struct disk_request *request)
{
    if (!request->bounce)
        request->bounce = aligned_alloc(BOUNCE_ALIGNMENT, DISK_BOUNCE_SIZE);
    if (!request->bounce)
        finish(request, -ENOMEM);
    return request->bounce != NULL;
}

static size_t bounce_length(uint64_t left)
{
    return left < DISK_BOUNCE_SIZE ? (size_t)left : DISK_BOUNCE_SIZE;
}

/* Copies LENGTH bytes between the bounce buffer and the segments from FIRST on. */
static void copy_bounce(struct disk_request *request, size_t length, bool to_segments)
{
    uint8_t *bounce = request->bounce;

    for (unsigned int i = request->first; length > 0; i++) {
        const struct iovec *segment = &request->segments[i];
        size_t part = segment->iov_len < length ? segment->iov_len : length;

        if (to_segments)
            memcpy(segment->iov_base, bounce, part);
        else
            memcpy(bounce, segment->iov_base, part);
        bounce += part;
        length -= part;
    }
}

static void consume_segments(struct disk_request *request, size_t length)
{
    while (length > 0) {
        struct iovec *segment = &request->segments[request->first];

        if (segment->iov_len > length) {
            segment->iov_base = (uint8_t *)segment->iov_base + length;
            segment->iov_len -= length;
            return;
        }
        length -= segment->iov_len;
        request->first++;
    }
}

/* The step ends after LENGTH bytes, which its segments have at least. */
static void shorten(struct disk_request *request, uint64_t length)
{
    struct iovec *segment = &request->segments[request->first];

    while (segment->iov_len < length)
        length -= segment++->iov_len;
    request->cut = segment->iov_len - (size_t)length;
    segment->iov_len = (size_t)length;
    request->step.count = (unsigned int)(segment - &request->segments[request->first]) + 1;
}

/* What was cut off is there again, for the next step. */
static void lengthen(struct disk_request *request)
{
    if (request->cut > 0)
        request->segments[request->first + request->step.count - 1].iov_len += request->cut;
    request->cut = 0;
}

static void choose_layer(struct disk_request *request, const struct disk_overlay *overlay)
{
    struct disk_step *step = &request->step;

    step->in_overlay = true;
    if (step->call == DISK_CALL_READ)
        shorten(request, disk_overlay_run(overlay, step->offset, request->left,
                                          &step->in_overlay));
    if (step->in_overlay)
        step->offset += disk_overlay_start(overlay);
}

static bool step_transfer(struct disk_request *request, const struct disk_file *file,
                          enum disk_call call)
{
    struct disk_step *step = &request->step;

    *step = (struct disk_step){
        .call = call,
        .offset = request->offset + (request->length - request->left),
        .segments = &request->segments[request->first],
        .count = request->count - request->first,
    };
    if (file->overlay)
        choose_layer(request, file->overlay);
    if (!request->bounced)
        return true;
    if (!need_bounce(request))
        return false;
    request->piece = (struct iovec){ request->bounce, bounce_length(request->left) };
    if (call == DISK_CALL_WRITE)
        copy_bounce(request, request->piece.iov_len, false);
    step->segments = &request->piece;
    step->count = 1;
    return true;
}

static bool step_range(struct disk_request *request, const struct disk_file *file)
{
    const struct disk_range *range = &request->ranges[request->first];
    bool punch = request->operation == DISK_DISCARD || (range->unmap && file->can_discard);

    request->step = (struct disk_step){
        .call = DISK_CALL_ALLOCATE,
        .mode = (punch ? FALLOC_FL_PUNCH_HOLE : FALLOC_FL_ZERO_RANGE) | FALLOC_FL_KEEP_SIZE,
        .offset = range->offset,
        .length = range->length,
    };
    if (file->overlay)
        choose_layer(request, file->overlay);
    if (!request->by_hand)
        return true;
    if (!need_bounce(request))
        return false;
    request->piece = (struct iovec){ request->bounce, bounce_length(range->length) };
    memset(request->bounce, 0, request->piece.iov_len);
    request->step.call = DISK_CALL_WRITE;
    request->step.segments = &request->piece;
    request->step.count = 1;
    return true;
}

static enum disk_step_kind step_flush(struct disk_request *request, struct disk_file *file)
{
    enum disk_sync_place place = DISK_SYNC_LEADS;

    request->step = (struct disk_step){
        .call = DISK_CALL_SYNC, .in_overlay = file->overlay != NULL,
    };
    if (file->overlay && disk_overlay_is_temporary(file->overlay)) {
        finish(request, 0); /* a host that crashes takes all of it */
        return DISK_STEP_FINISHED;
    }
    if (!request->leads)
        place = disk_sync_join(&file->sync, request);
    if (place == DISK_SYNC_WAITS)
        return DISK_STEP_WAIT;
    if (place == DISK_SYNC_FAILED) {
        finish(request, -EIO);
        return DISK_STEP_FINISHED;
    }
    request->leads = true;
    if (file->overlay)
        request->mark = disk_overlay_mark(file->overlay);
    return DISK_STEP_CALL;
}

static bool step_operation(struct disk_request *request, const struct disk_file *file)
{
    switch (request->operation) {
    case DISK_READ:
        return step_transfer(request, file, DISK_CALL_READ);
    case DISK_WRITE:
        return step_transfer(request, file, DISK_CALL_WRITE);
    case DISK_DISCARD:
    case DISK_ZERO:
        return step_range(request, file);
    case DISK_FLUSH:
        break;
    }
    return false;
}

enum disk_step_kind disk_request_step(struct disk_request *request, struct disk_file *file)
{
    if (request->finished)
        return DISK_STEP_FINISHED;
    if (request->flushing)
        return step_flush(request, file);
    return step_operation(request, file) ? DISK_STEP_CALL : DISK_STEP_FINISHED;
}

/* All is done but, perhaps, the flush. */
static void complete(struct disk_request *request)
{
    if (request->durable && request->operation != DISK_READ)
        request->flushing = true;
    else
        finish(request, 0);
}

/* Zeroes behind the first BYTES of what the step's buffers hold, as far as they go. */
static void clear_behind(const struct disk_step *step, uint64_t bytes, uint64_t count)
{
    for (unsigned int i = 0; i < step->count && count > 0; i++) {
        const struct iovec *segment = &step->segments[i];
        uint64_t skipped = bytes < segment->iov_len ? bytes : segment->iov_len;
        uint64_t part = segment->iov_len - skipped < count ? segment->iov_len - skipped : count;

        memset((uint8_t *)segment->iov_base + skipped, 0, part);
        bytes -= skipped;
        count -= part;
    }
}

/* A read of BYTES came to the file's own end: what the disk has behind it are zeroes. */
static uint64_t fill_up(const struct disk_request *request, const struct disk_file *file,
                        uint64_t bytes)
{
    const struct disk_step *step = &request->step;
    uint64_t end = step->offset + bytes, asked = 0, missing;

    if (step->call != DISK_CALL_READ || end < file->size - file->padding || end >= file->size)
        return bytes;
    for (unsigned int i = 0; i < step->count; i++)
        asked += step->segments[i].iov_len;
    missing = file->size - end;
    if (missing > asked - bytes)
        missing = asked - bytes;
    clear_behind(step, bytes, missing);
    return bytes + missing;
}

static void transferred(struct disk_request *request, const struct disk_file *file, uint64_t bytes)
{
    if (file->padding)
        bytes = fill_up(request, file, bytes);
    /* A part of a block cannot be gone on with by O_DIRECT. */
    bytes -= bytes % file->offset_alignment;
    if (bytes == 0) {
        finish(request, request->step.call == DISK_CALL_READ ? -ENODATA : -EIO);
        return;
    }
    request->retries = 0;
    if (request->bounced && request->step.call == DISK_CALL_READ)
        copy_bounce(request, bytes, true);
    if (file->overlay && request->step.call == DISK_CALL_WRITE)
        disk_overlay_wrote(file->overlay, request->offset + (request->length - request->left),
                           bytes);
    consume_segments(request, bytes);
    request->left -= bytes;
    if (request->left == 0)
        complete(request);
}

static void range_done(struct disk_request *request, const struct disk_file *file, uint64_t bytes)
{
    struct disk_range *range = &request->ranges[request->first];

    if (bytes == 0) {
        finish(request, -EIO);
        return;
    }
    request->retries = 0;
    if (file->overlay)
        disk_overlay_wrote(file->overlay, range->offset, bytes);
    range->offset += bytes;
    range->length -= bytes;
    if (range->length == 0 && ++request->first == request->range_count)
        complete(request);
}

static void failed(struct disk_request *request, int result)
{
    if ((result == -EINTR || result == -EAGAIN) && ++request->retries < RETRIES_MAX)
        return;
    if (result == -EOPNOTSUPP && request->operation == DISK_ZERO && !request->by_hand)
        request->by_hand = true;
    else
        finish(request, result);
}

/* Once more where the map was not stable before. */
static void synced(struct disk_request *request, struct disk_file *file)
{
    int result = file->overlay ? disk_overlay_settle(file->overlay, request->mark,
                                                     request->flushed_once) : 0;

    request->flushed_once = true;
    if (result <= 0)
        finish_flush(request, file, result);
}

void disk_request_stepped(struct disk_request *request, struct disk_file *file, int64_t result)
{
    const struct disk_step *step = &request->step;

    if (file->fault)
        result = file->fault(file->fault_context, step, result);
    lengthen(request);
    if (result < 0 && step->call == DISK_CALL_SYNC)
        finish_flush(request, file, (int)result);
    else if (result < 0)
        failed(request, (int)result);
    else if (step->call == DISK_CALL_SYNC)
        synced(request, file);
    else if (step->call == DISK_CALL_ALLOCATE)
        range_done(request, file, step->length);
    else if (request->by_hand)
        range_done(request, file, (uint64_t)result);
    else
        transferred(request, file, (uint64_t)result);
}

void disk_request_abandoned(struct disk_request *request, struct disk_file *file, int64_t result)
{
    if (file->fault)
        result = file->fault(file->fault_context, &request->step, result);
    if (result < 0 && request->step.call == DISK_CALL_SYNC)
        disk_sync_fail(&file->sync);
}

void disk_request_release(struct disk_request *request)
{
    free(request->bounce);
    request->bounce = NULL;
}
