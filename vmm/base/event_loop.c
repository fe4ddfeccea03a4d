/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/base/event_loop.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/eventfd.h>

#include "vmm/base/cleanup.h"

#define EVENTS_PER_WAIT 32

/*
 * Sources stand in a table indexed by descriptor; epoll carries the index and
 * the registration's serial number.  An event of a source that an earlier
 * handler of the same batch removed, or replaced under the same number, then
 * carries a stale serial and is dropped.
 */
struct slot {
    bool used;
    uint32_t serial;
    struct event_source source;
};

struct event_loop {
    int epoll_fd;
    int stop_fd;
    bool stopping; /* only on the loop's thread */
    uint32_t next_serial;
    pthread_mutex_t lock; /* guards the table; innermost, never held in a handler */
    size_t slot_count;
    struct slot *slots;
};

static void stop_requested(void *context, uint32_t events)
{
    struct event_loop *loop = context;
    eventfd_t count;

    (void)events;
    eventfd_read(loop->stop_fd, &count);
    loop->stopping = true;
}

int event_loop_create(struct event_loop **loop, struct error *error)
{
    cleanup_free struct event_loop *created = calloc(1, sizeof(*created));
    cleanup_fd int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    cleanup_fd int stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    struct event_source stop;
    int result;

    if (!created || epoll_fd < 0 || stop_fd < 0)
        return error_system(error, created ? errno : ENOMEM, "event loop");
    created->epoll_fd = epoll_fd;
    created->stop_fd = stop_fd;
    pthread_mutex_init(&created->lock, NULL);
    stop = (struct event_source){
        .fd = stop_fd, .events = EPOLLIN, .handler = stop_requested, .context = created,
    };
    result = event_loop_add(created, &stop);
    if (result < 0) {
        free(created->slots);
        return error_system(error, -result, "event loop");
    }
    steal_fd(&epoll_fd);
    steal_fd(&stop_fd);
    *loop = steal_pointer(&created);
    return 0;
}

void event_loop_destroy(struct event_loop *loop)
{
    if (!loop)
        return;
    close(loop->epoll_fd);
    close(loop->stop_fd);
    pthread_mutex_destroy(&loop->lock);
    free(loop->slots);
    free(loop);
}

static int grow_table(struct event_loop *loop, size_t needed)
{
    size_t count = loop->slot_count ? loop->slot_count : 32;
    struct slot *slots;

    if (needed <= loop->slot_count)
        return 0;
    while (count < needed)
        count *= 2;
    slots = reallocarray(loop->slots, count, sizeof(*slots));
    if (!slots)
        return -ENOMEM;
    for (size_t i = loop->slot_count; i < count; i++)
        slots[i] = (struct slot){ .used = false };
    loop->slots = slots;
    loop->slot_count = count;
    return 0;
}

static struct epoll_event slot_event(const struct slot *slot, uint32_t events)
{
    return (struct epoll_event){
        .events = events,
        .data.u64 = (uint64_t)slot->serial << 32 | (uint32_t)slot->source.fd,
    };
}

static int add_locked(struct event_loop *loop, const struct event_source *source)
{
    struct epoll_event event;
    struct slot *slot;
    int result;

    result = grow_table(loop, (size_t)source->fd + 1);
    if (result < 0)
        return result;
    slot = &loop->slots[source->fd];
    if (slot->used)
        return -EEXIST;
    *slot = (struct slot){ .serial = loop->next_serial++, .source = *source };
    event = slot_event(slot, source->events);
    if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, source->fd, &event) < 0)
        return -errno;
    slot->used = true;
    return 0;
}

int event_loop_add(struct event_loop *loop, const struct event_source *source)
{
    int result;

    if (source->fd < 0)
        return -EBADF;
    pthread_mutex_lock(&loop->lock);
    result = add_locked(loop, source);
    pthread_mutex_unlock(&loop->lock);
    return result;
}

/* The slot in use for FD, or NULL.  With the table's lock held. */
static struct slot *find_slot(struct event_loop *loop, int fd)
{
    if (fd < 0 || (size_t)fd >= loop->slot_count || !loop->slots[fd].used)
        return NULL;
    return &loop->slots[fd];
}

int event_loop_modify(struct event_loop *loop, int fd, uint32_t events)
{
    struct slot *slot;
    int result = -ENOENT;

    pthread_mutex_lock(&loop->lock);
    slot = find_slot(loop, fd);
    if (slot && slot->source.events == events) {
        result = 0;
    } else if (slot) {
        struct epoll_event event = slot_event(slot, events);

        result = epoll_ctl(loop->epoll_fd, EPOLL_CTL_MOD, fd, &event) < 0 ? -errno : 0;
        if (result == 0)
            slot->source.events = events;
    }
    pthread_mutex_unlock(&loop->lock);
    return result;
}

void event_loop_remove(struct event_loop *loop, int fd)
{
    struct slot *slot;

    pthread_mutex_lock(&loop->lock);
    slot = find_slot(loop, fd);
    if (slot) {
        epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
        slot->used = false;
    }
    pthread_mutex_unlock(&loop->lock);
}

static void dispatch(struct event_loop *loop, const struct epoll_event *event)
{
    int fd = (int)(uint32_t)event->data.u64;
    uint32_t serial = (uint32_t)(event->data.u64 >> 32);
    struct event_source source = { .handler = NULL };
    struct slot *slot;

    pthread_mutex_lock(&loop->lock);
    slot = find_slot(loop, fd);
    if (slot && slot->serial == serial)
        source = slot->source;
    pthread_mutex_unlock(&loop->lock);
    if (!source.handler)
        return;
    if (source.lock)
        pthread_mutex_lock(source.lock);
    source.handler(source.context, event->events);
    if (source.lock)
        pthread_mutex_unlock(source.lock);
}

int event_loop_run(struct event_loop *loop, struct error *error)
{
    struct epoll_event events[EVENTS_PER_WAIT];

    /* A stop that came before the run is still in the descriptor. */
    loop->stopping = false;
    while (!loop->stopping) {
        int count = epoll_wait(loop->epoll_fd, events, EVENTS_PER_WAIT, -1);

        if (count < 0 && errno != EINTR)
            return error_system(error, errno, "event loop: epoll_wait");
        /* All of them, a stop among them or not: an edge comes only once. */
        for (int i = 0; i < count; i++)
            dispatch(loop, &events[i]);
    }
    return 0;
}

void event_loop_stop(struct event_loop *loop)
{
    /* The counter saturates only after 2^64 stops; nothing else can fail. */
    eventfd_write(loop->stop_fd, 1);
}
