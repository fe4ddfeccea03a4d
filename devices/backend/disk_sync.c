/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/backend/disk_sync.h"

#include <errno.h>

#include "devices/backend/disk_request.h"

enum disk_sync_place disk_sync_join(struct disk_sync *sync, struct disk_request *request)
{
    enum disk_sync_place place = DISK_SYNC_LEADS;

    pthread_mutex_lock(&sync->lock);
    if (sync->failed)
        place = DISK_SYNC_FAILED;
    else if (sync->running)
        place = DISK_SYNC_WAITS;
    if (place == DISK_SYNC_WAITS)
        request_list_add(&sync->waiting, request);
    sync->running |= place == DISK_SYNC_LEADS;
    pthread_mutex_unlock(&sync->lock);
    return place;
}

static void finish_all(struct request_list *list, int result, struct request_list *released)
{
    struct disk_request *request;

    while ((request = request_list_take(list))) {
        request->result = result;
        request->finished = true;
        request_list_add(released, request);
    }
}

void disk_sync_end(struct disk_sync *sync, int result, struct request_list *released)
{
    struct disk_request *leader;

    pthread_mutex_lock(&sync->lock);
    sync->failed |= result < 0;
    finish_all(&sync->riders, sync->failed && result == 0 ? -EIO : result, released);
    if (sync->failed)
        finish_all(&sync->waiting, -EIO, released);
    leader = request_list_take(&sync->waiting);
    sync->running = leader != NULL;
    if (leader) {
        leader->leads = true;
        sync->riders = sync->waiting;
        sync->waiting = (struct request_list){ .head = NULL };
        request_list_add(released, leader);
    }
    pthread_mutex_unlock(&sync->lock);
}

void disk_sync_fail(struct disk_sync *sync)
{
    pthread_mutex_lock(&sync->lock);
    sync->failed = true;
    pthread_mutex_unlock(&sync->lock);
}

bool disk_sync_has_failed(struct disk_sync *sync)
{
    bool failed;

    pthread_mutex_lock(&sync->lock);
    failed = sync->failed;
    pthread_mutex_unlock(&sync->lock);
    return failed;
}

void disk_sync_renew(struct disk_sync *sync)
{
    pthread_mutex_lock(&sync->lock);
    sync->failed = false;
    pthread_mutex_unlock(&sync->lock);
}

void disk_sync_cancel(struct disk_sync *sync)
{
    pthread_mutex_lock(&sync->lock);
    sync->running = false;
    sync->riders = sync->waiting = (struct request_list){ .head = NULL };
    pthread_mutex_unlock(&sync->lock);
}
