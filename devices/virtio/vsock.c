/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The socket device (virtio 1.2, 5.10): streams between ports of the guest and
 * unix sockets of the host, by the convention that Firecracker made known.
 *
 *   host to guest   a client connects to PATH and sends "CONNECT <port>\n"; it
 *                   reads "OK <host port>\n" once the guest has accepted
 *   guest to host   the guest connects to CID 2; we connect to PATH_<port>
 *
 * or, without a PATH, only the guest connects, and each connection is handed to
 * another process by a descriptor (see socket_handoff.h).
 *
 * A client that does not say CONNECT in time is dropped; so many may be about it,
 * and where there are more the one that has taken longest goes.
 *
 * vsock_internal.h names the parts.  At most VSOCK_CONNECTIONS_MAX connections,
 * those included that are only written out; more get RST.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "devices/virtio/vsock_internal.h"
#include "vmm/machine/state.h"

#define ACCEPTS_PER_EVENT 16
#define SECOND 1000000000ull

static struct vsock *of_owner(struct vsock_owner *owner)
{
    return (struct vsock *)(void *)((char *)owner - offsetof(struct vsock, owner));
}

/* ---- what connections ask for ----------------------------------------------- */

static void connection_named(struct vsock_owner *owner, struct vsock_connection *connection)
{
    vsock_table_enter_named(&of_owner(owner)->table, connection);
}

static void connection_ready(struct vsock_owner *owner, struct vsock_connection *connection)
{
    vsock_table_queue(&of_owner(owner)->table, connection);
}

static void connection_forget(struct vsock_owner *owner, struct vsock_connection *connection)
{
    vsock_table_forget(&of_owner(owner)->table, connection);
}

static void connection_over(struct vsock_owner *owner, struct vsock_connection *connection)
{
    struct vsock *vsock = of_owner(owner);

    vsock_table_kill(&vsock->table, connection);
    eventfd_write(vsock->reaper_fd, 1);
}

static void connections_serve(struct vsock_owner *owner)
{
    vsock_serve_guest(of_owner(owner));
}

static void accept_clients(struct vsock *vsock, bool wanted)
{
    if (vsock->listener.fd >= 0)
        event_loop_modify(vsock->virtio.env.loop, vsock->listener.fd, wanted ? EPOLLIN : 0);
}

/* On the loop's thread; see vsock_connection.h. */
static void reap(void *context, uint32_t events)
{
    struct vsock *vsock = context;
    eventfd_t count;

    (void)events;
    eventfd_read(vsock->reaper_fd, &count);
    vsock_table_bury(&vsock->table);
    /* It may have run out of descriptors. */
    accept_clients(vsock, vsock->active);
}

static void drop_connections(struct vsock *vsock)
{
    while (!TAILQ_EMPTY(&vsock->table.living))
        vsock_connection_abandon(TAILQ_FIRST(&vsock->table.living));
    vsock->resets_used = 0;
    vsock->guest_waits = false;
}

/* ---- the host's clients --------------------------------------------------- */

uint64_t vsock_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * SECOND + (uint64_t)now.tv_nsec;
}

/* Of those that have not said CONNECT: their number, and the one that came first, or NULL. */
static unsigned int count_naming(const struct vsock *vsock, struct vsock_connection **first)
{
    struct vsock_connection *connection;
    unsigned int count = 0;

    *first = NULL;
    TAILQ_FOREACH(connection, &vsock->table.living, in_list) {
        if (connection->state != VSOCK_NAMING)
            continue;
        if (count++ == 0)
            *first = connection;
    }
    return count;
}

/* The timer rings when the first of them has had its time. */
static void time_naming(struct vsock *vsock, uint64_t now)
{
    struct vsock_connection *first;
    uint64_t end;

    if (count_naming(vsock, &first) == 0)
        return;
    end = first->accepted + VSOCK_NAMING_SECONDS * SECOND;
    timer_set_ns(&vsock->naming, end > now ? end - now : 1);
    vsock->naming_timed = true;
}

static void naming_ends(void *context)
{
    struct vsock *vsock = context;
    struct vsock_connection *first;
    uint64_t now = vsock_now();

    vsock->naming_timed = false;
    while (count_naming(vsock, &first) > 0 &&
           now - first->accepted >= VSOCK_NAMING_SECONDS * SECOND)
        vsock_connection_abandon(first);
    time_naming(vsock, now);
}

/* Who says CONNECT at once has a place, however many others say nothing. */
static void make_room(struct vsock *vsock)
{
    struct vsock_connection *first;

    if ((count_naming(vsock, &first) >= VSOCK_NAMING_MAX ||
         vsock->table.count >= VSOCK_CONNECTIONS_MAX) && first)
        vsock_connection_abandon(first);
}

/* False: none is waiting. */
static bool accept_client(struct vsock *vsock)
{
    struct vsock_connection *connection = NULL;
    int fd = unix_listener_accept(&vsock->listener);

    if (fd < 0) {
        /* Out of descriptors: until a connection ends. */
        if (fd == -EMFILE || fd == -ENFILE || fd == -ENOMEM || fd == -ENOBUFS)
            accept_clients(vsock, false);
        return false;
    }
    make_room(vsock);
    if (vsock->table.count < VSOCK_CONNECTIONS_MAX)
        connection = vsock_connection_of_host(&vsock->owner, fd);
    if (!connection) {
        close(fd);
        return true;
    }
    connection->accepted = vsock_now();
    vsock_table_add(&vsock->table, connection);
    if (!vsock->naming_timed)
        time_naming(vsock, connection->accepted);
    return true;
}

static void clients_arrived(void *context, uint32_t events)
{
    struct vsock *vsock = context;

    (void)events;
    for (unsigned int i = 0; vsock->active && i < ACCEPTS_PER_EVENT; i++)
        if (!accept_client(vsock))
            break;
}

/* ---- the class ------------------------------------------------------------ */

static void vsock_destroy(struct virtio_device *device)
{
    struct vsock *vsock = (struct vsock *)device;

    drop_connections(vsock);
    vsock_table_bury(&vsock->table);
    if (vsock->listener.fd >= 0)
        event_loop_remove(device->env.loop, vsock->listener.fd);
    unix_listener_close(&vsock->listener);
    if (vsock->reaper_fd >= 0) {
        event_loop_remove(device->env.loop, vsock->reaper_fd);
        close(vsock->reaper_fd);
    }
    timer_close(&vsock->naming);
    free(vsock);
}

static int add_source(struct vsock *vsock, int fd, uint32_t events, event_handler handler,
                      struct error *error)
{
    struct event_source source = {
        .fd = fd, .events = events, .handler = handler, .context = vsock,
        .lock = vsock->virtio.env.lock,
    };
    int result = event_loop_add(vsock->virtio.env.loop, &source);

    return result < 0 ? error_system(error, -result, "--vsock") : 0;
}

static int open_host(struct vsock *vsock, struct error *error)
{
    int result;

    vsock->reaper_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (vsock->reaper_fd < 0)
        return error_system(error, errno, "--vsock");
    result = add_source(vsock, vsock->reaper_fd, EPOLLIN, reap, error);
    if (result < 0 || !vsock->options->path)
        return result;
    if (vsock->options->listener)
        result = unix_listener_borrow(&vsock->listener, vsock->options->listener, error);
    else
        result = unix_listener_open(&vsock->listener, "vsock", vsock->options->path, error);
    if (result < 0)
        return result;
    result = add_source(vsock, vsock->listener.fd, 0, clients_arrived, error);
    if (result < 0)
        return result;
    result = timer_open_locked(&vsock->naming, vsock->virtio.env.loop, vsock->virtio.env.lock,
                               naming_ends, vsock);
    return result < 0 ? error_system(error, -result, "--vsock") : 0;
}

static int vsock_create(struct virtio_device **device, const struct virtio_env *env,
                        const void *options, struct error *error)
{
    static const struct token_bucket_config connects = {
        VSOCK_CONNECTS_AT_ONCE, SECOND * VSOCK_CONNECTS_AT_ONCE / VSOCK_CONNECTS_IN_A_SECOND, 0,
    };
    struct vsock *vsock = calloc(1, sizeof(*vsock));
    int result;

    if (!vsock)
        return error_system(error, ENOMEM, "--vsock");
    vsock->reaper_fd = -1;
    vsock->naming = (struct timer)TIMER_INIT;
    token_bucket_init(&vsock->connects, &connects, vsock_now());
    virtio_device_init(&vsock->virtio, &virtio_vsock_class, env, VSOCK_QUEUES, VSOCK_F_STREAM,
                       vsock->config);
    vsock->options = options;
    vsock->owner = (struct vsock_owner){
        .loop = env->loop,
        .lock = env->lock,
        .named = connection_named,
        .ready = connection_ready,
        .forget = connection_forget,
        .over = connection_over,
        .serve = connections_serve,
    };
    vsock->listener = (struct unix_listener)UNIX_LISTENER_INIT;
    memcpy(vsock->config, &vsock->options->cid, sizeof(vsock->config));
    vsock_table_init(&vsock->table);
    result = open_host(vsock, error);
    if (result < 0) {
        vsock_destroy(&vsock->virtio);
        return result;
    }
    *device = &vsock->virtio;
    return 0;
}

/*
 * A loaded device has none of the saved one's connections, and perhaps another
 * CID: the transport reset tells the driver of both (5.10.6.7).
 */
static void vsock_activate(struct virtio_device *device, bool loaded)
{
    struct vsock *vsock = (struct vsock *)device;

    if (loaded)
        vsock->event_owed = true;
    vsock->active = true;
    accept_clients(vsock, true);
}

static void vsock_state(struct virtio_device *device, struct state *state)
{
    uint64_t cid = ((struct vsock *)device)->options->cid;

    state_u64(state, &cid);
    state_require(state, cid >= VSOCK_CID_MIN && cid < UINT32_MAX, "the guest's CID");
}

static void vsock_reset(struct virtio_device *device)
{
    struct vsock *vsock = (struct vsock *)device;

    vsock->active = vsock->event_owed = false;
    accept_clients(vsock, false);
    drop_connections(vsock);
}

static void vsock_kick(struct virtio_device *device, unsigned int queue)
{
    struct vsock *vsock = (struct vsock *)device;

    if (queue == VSOCK_TX)
        vsock_serve_host(vsock);
    else if (queue == VSOCK_RX)
        vsock_serve_guest(vsock);
    else
        vsock_serve_event(vsock);
}

const struct virtio_device_class virtio_vsock_class = {
    .name = "vsock",
    .id = VIRTIO_ID_VSOCK,
    .queue_size = VSOCK_QUEUE_SIZE,
    .config_size = 8,
    .create = vsock_create,
    .destroy = vsock_destroy,
    .activate = vsock_activate,
    .reset = vsock_reset,
    .kick = vsock_kick,
    .state = vsock_state,
    .state_version = 1,
};
