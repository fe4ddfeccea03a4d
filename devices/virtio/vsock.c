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
 * This file has the device: its queues, the table of connections, and the rules
 * for packets that belong to none.  vsock_connection.c has the streams.
 *
 * Fairness.  Connections with something for the guest stand in a queue, and
 * each gives one packet a turn.  Whatever is served stops at the queue's size
 * and goes on after the loop's other sources.
 *
 * Bounds.  At most VSOCK_CONNECTIONS_MAX connections, those included that are
 * only written out; more get RST.  RSTs for packets of no connection wait in a
 * ring of fixed size; while that is full, the guest's packets wait too.
 */
#include "devices/virtio/vsock.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "devices/backend/socket_broker.h"
#include "devices/backend/socket_handoff.h"
#include "devices/backend/unix_listener.h"
#include "devices/virtio/vsock_table.h"
#include "vmm/cleanup.h"
#include "vmm/state.h"

#define QUEUE_SIZE 256
#define RESETS_MAX 64
#define ACCEPTS_PER_EVENT 16

struct vsock {
    struct virtio_device virtio;
    struct vsock_owner owner;
    const struct vsock_options *options;
    uint8_t config[8];
    struct unix_listener listener;
    int reaper_fd; /* rings when there are dead connections */
    struct log_limit misdirected;

    bool active;
    bool event_owed;     /* a transport reset, for the event queue */
    bool guest_waits;    /* its packets, for room in RESETS */
    struct vsock_table table;
    size_t first_reset, resets_used;
    struct vsock_header resets[RESETS_MAX];
    struct iovec segments[QUEUE_SIZE];
};

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

/* ---- to the guest --------------------------------------------------------- */

/* RST for a packet that belongs to no connection. */
static void refuse(struct vsock *vsock, const struct vsock_header *packet)
{
    size_t at = (vsock->first_reset + vsock->resets_used) % RESETS_MAX;

    if (packet->op == VSOCK_OP_RST)
        return;
    vsock->resets[at] = (struct vsock_header){
        .source_cid = packet->destination_cid,
        .source_port = packet->destination_port,
        .destination_port = packet->source_port,
        .type = packet->type,
        .op = VSOCK_OP_RST,
    };
    vsock->resets_used++;
}

/* The next packet for the guest into a buffer of its; false when there is none. */
static bool next_packet(struct vsock *vsock, struct vsock_header *header,
                        struct chain_cursor *payload)
{
    struct vsock_connection *connection;

    if (vsock->resets_used > 0) {
        *header = vsock->resets[vsock->first_reset];
        vsock->first_reset = (vsock->first_reset + 1) % RESETS_MAX;
        vsock->resets_used--;
        return true;
    }
    while ((connection = TAILQ_FIRST(&vsock->table.queue))) {
        bool found = vsock_connection_packet(connection, header, payload);

        header->source_cid = VSOCK_CID_HOST;
        vsock_table_dequeue(&vsock->table, connection);
        vsock_connection_settle(connection); /* to the end of the queue, if there is more */
        if (found)
            return true;
    }
    return false;
}

static bool is_due(const struct vsock *vsock)
{
    return vsock->resets_used > 0 || !TAILQ_EMPTY(&vsock->table.queue);
}

/* 1: a packet was put into a buffer; 0: none was due, or no buffer; or -EPROTO. */
static int fill_buffer(struct vsock *vsock)
{
    struct virtqueue *queue = &vsock->virtio.queues[VSOCK_RX];
    struct virtio_chain chain = { .segments = vsock->segments, .capacity = QUEUE_SIZE };
    struct chain_cursor start, payload;
    struct vsock_header header;
    int result;

    if (!is_due(vsock))
        return 0;
    result = virtqueue_pop(queue, &chain);
    if (result <= 0)
        return result;
    start = payload = chain_writable(&chain);
    if (chain.readable > 0 || chain.writable_bytes <= sizeof(header))
        return -EPROTO;
    chain_skip(&payload, sizeof(header));
    if (!next_packet(vsock, &header, &payload)) {
        virtqueue_unpop(queue, chain.head);
        return 0;
    }
    header.destination_cid = vsock->options->cid;
    chain_write(&start, &header, sizeof(header));
    virtqueue_push(queue, chain.head, (uint32_t)sizeof(header) + header.length);
    return 1;
}

/* Gives the guest what is due, as far as its buffers go. */
static void serve_guest(struct vsock *vsock)
{
    struct virtqueue *queue = &vsock->virtio.queues[VSOCK_RX];
    struct vsock_connection *connection;
    unsigned int budget = QUEUE_SIZE;
    int result = 1;

    if (!vsock->active)
        return;
    while (budget > 0 && result > 0) {
        result = fill_buffer(vsock);
        budget--;
        /* Only who waits for a buffer wants to hear of one; it may have come just now. */
        if (result == 0 && is_due(vsock) && virtqueue_enable_notify(queue))
            result = 1;
    }
    if (result < 0) {
        virtio_needs_reset(&vsock->virtio, "a buffer for received packets");
        return;
    }
    if (result > 0)
        virtio_kick_again(&vsock->virtio, VSOCK_RX);
    virtio_notify(&vsock->virtio, VSOCK_RX);
    /* Who still has to wait for a buffer is not polled meanwhile. */
    TAILQ_FOREACH(connection, &vsock->table.queue, in_queue)
        vsock_connection_poll(connection);
    if (vsock->guest_waits && vsock->resets_used < RESETS_MAX)
        virtio_kick_again(&vsock->virtio, VSOCK_TX);
}

static void connections_serve(struct vsock_owner *owner)
{
    serve_guest(of_owner(owner));
}

/* ---- from the guest ------------------------------------------------------- */

/* The host's end of a connection of the guest's to PORT, or a negative errno. */
static int connect_host(const struct vsock_options *options, uint32_t port)
{
    cleanup_free char *path = NULL;

    if (options->broker)
        return socket_broker_connect(options->broker, port);
    if (!options->path)
        return socket_handoff_send(options->handoff, port);
    if (asprintf(&path, "%s_%u", options->path, port) < 0)
        return -ENOMEM;
    return unix_connect(path);
}

static void open_connection(struct vsock *vsock, const struct vsock_header *request)
{
    struct vsock_connection *connection = NULL;
    int fd = -1;

    if (vsock->table.count < VSOCK_CONNECTIONS_MAX)
        fd = connect_host(vsock->options, request->destination_port);
    if (fd >= 0)
        connection = vsock_connection_of_guest(&vsock->owner, fd, request);
    if (!connection) {
        if (fd >= 0)
            close(fd);
        refuse(vsock, request);
        return;
    }
    vsock_table_add(&vsock->table, connection);
    vsock_table_enter(&vsock->table, connection);
    vsock_connection_settle(connection);
}

static void receive(struct vsock *vsock, const struct vsock_header *header,
                    struct chain_cursor *payload)
{
    struct vsock_connection *connection;

    if (header->source_cid != vsock->options->cid) {
        /* Nobody whom an answer could reach. */
        log_limited(vsock->virtio.env.log, &vsock->misdirected, LOG_WARN,
                    "vsock: the guest sent a packet as CID %llu, but is %llu; it is dropped",
                    (unsigned long long)header->source_cid,
                    (unsigned long long)vsock->options->cid);
        return;
    }
    if (header->destination_cid != VSOCK_CID_HOST || header->type != VSOCK_TYPE_STREAM) {
        refuse(vsock, header);
        return;
    }
    connection = vsock_table_find(&vsock->table, header->source_port, header->destination_port);
    if (connection)
        vsock_connection_receive(connection, header, payload);
    else if (header->op == VSOCK_OP_REQUEST)
        open_connection(vsock, header);
    else
        refuse(vsock, header);
}

/* 1, 0 when there is none, or -EPROTO. */
static int take_packet(struct vsock *vsock)
{
    struct virtqueue *queue = &vsock->virtio.queues[VSOCK_TX];
    struct virtio_chain chain = { .segments = vsock->segments, .capacity = QUEUE_SIZE };
    struct vsock_header header;
    struct chain_cursor cursor;
    int result = virtqueue_pop(queue, &chain);

    if (result <= 0)
        return result;
    cursor = chain_readable(&chain);
    if (chain_read(&cursor, &header, sizeof(header)) < sizeof(header) ||
        header.length > chain_left(&cursor))
        return -EPROTO;
    receive(vsock, &header, &cursor);
    virtqueue_push(queue, chain.head, 0);
    return 1;
}

static void serve_host(struct vsock *vsock)
{
    struct virtqueue *queue = &vsock->virtio.queues[VSOCK_TX];
    unsigned int budget = QUEUE_SIZE;
    int result = 1;

    virtqueue_disable_notify(queue);
    vsock->guest_waits = false;
    while (budget > 0 && result > 0) {
        /* Each packet may need one. */
        vsock->guest_waits = vsock->resets_used == RESETS_MAX;
        if (vsock->guest_waits)
            break;
        result = take_packet(vsock);
        budget--;
        if (result == 0 && virtqueue_enable_notify(queue))
            result = 1;
    }
    if (result < 0) {
        virtio_needs_reset(&vsock->virtio, "a packet shorter than it says");
        return;
    }
    if (result > 0 && !vsock->guest_waits)
        virtio_kick_again(&vsock->virtio, VSOCK_TX);
    virtio_notify(&vsock->virtio, VSOCK_TX);
    serve_guest(vsock);
}

/* ---- events --------------------------------------------------------------- */

static void serve_event(struct vsock *vsock)
{
    const uint32_t transport_reset = 0;
    struct virtqueue *queue = &vsock->virtio.queues[VSOCK_EVENT];
    struct virtio_chain chain = { .segments = vsock->segments, .capacity = QUEUE_SIZE };
    struct chain_cursor cursor;
    int result;

    if (!vsock->active || !vsock->event_owed)
        return;
    result = virtqueue_pop(queue, &chain);
    if (result == 0 && virtqueue_enable_notify(queue))
        result = virtqueue_pop(queue, &chain);
    if (result == 0)
        return;
    if (result < 0 || chain.writable_bytes < sizeof(transport_reset)) {
        virtio_needs_reset(&vsock->virtio, "a buffer for events");
        return;
    }
    cursor = chain_writable(&chain);
    chain_write(&cursor, &transport_reset, sizeof(transport_reset));
    virtqueue_push(queue, chain.head, sizeof(transport_reset));
    vsock->event_owed = false;
    virtio_notify(&vsock->virtio, VSOCK_EVENT);
}

static void drop_connections(struct vsock *vsock)
{
    while (!TAILQ_EMPTY(&vsock->table.living))
        vsock_connection_abandon(TAILQ_FIRST(&vsock->table.living));
    vsock->resets_used = 0;
    vsock->guest_waits = false;
}

void virtio_vsock_transport_reset(struct virtio_device *device)
{
    struct vsock *vsock = (struct vsock *)device;

    drop_connections(vsock);
    vsock->event_owed = true;
    serve_event(vsock);
}

/* ---- the host's clients --------------------------------------------------- */

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
    if (vsock->table.count < VSOCK_CONNECTIONS_MAX)
        connection = vsock_connection_of_host(&vsock->owner, fd);
    if (connection)
        vsock_table_add(&vsock->table, connection);
    else
        close(fd);
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
    return add_source(vsock, vsock->listener.fd, 0, clients_arrived, error);
}

static int vsock_create(struct virtio_device **device, const struct virtio_env *env,
                        const void *options, struct error *error)
{
    struct vsock *vsock = calloc(1, sizeof(*vsock));
    int result;

    if (!vsock)
        return error_system(error, ENOMEM, "--vsock");
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

static void vsock_activate(struct virtio_device *device)
{
    struct vsock *vsock = (struct vsock *)device;

    vsock->active = true;
    accept_clients(vsock, true);
}

/*
 * A loaded device has none of the saved one's connections, and perhaps another
 * CID: the transport reset tells the driver of both (5.10.6.7).
 */
static void vsock_resume(struct virtio_device *device)
{
    ((struct vsock *)device)->event_owed = true;
    vsock_activate(device);
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
        serve_host(vsock);
    else if (queue == VSOCK_RX)
        serve_guest(vsock);
    else
        serve_event(vsock);
}

const struct virtio_device_class virtio_vsock_class = {
    .name = "vsock",
    .id = VIRTIO_ID_VSOCK,
    .queue_size = QUEUE_SIZE,
    .config_size = 8,
    .single = true,
    .parse = virtio_vsock_parse,
    .release = virtio_vsock_release,
    .open_host = virtio_vsock_open_host,
    .close_host = virtio_vsock_close_host,
    .create = vsock_create,
    .destroy = vsock_destroy,
    .activate = vsock_activate,
    .reset = vsock_reset,
    .kick = vsock_kick,
    .state = vsock_state,
    .state_version = 1,
    .resume = vsock_resume,
};
