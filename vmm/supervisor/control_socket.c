/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/supervisor/control_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "vmm/base/cleanup.h"
#include "vmm/base/json_reader.h"

struct client {
    struct control_socket *control;
    int fd; /* -1: this place is free */
    bool ended; /* it sends nothing more */
    size_t length;
    char line[CONTROL_LINE_MAX];
};

struct control_socket {
    struct event_loop *loop;
    struct control_owner owner;
    int fd;
    int spare; /* is closed for whom no descriptor is left; -1: none either */
    bool busy;    /* the owner has not answered yet */
    bool serving; /* serve_all() is at work further up */
    struct client *asking; /* NULL while busy: that client is gone */
    struct client clients[CONTROL_CLIENTS_MAX];
};

/* ---- requests -------------------------------------------------------------- */

static void ask_owner(struct client *client, const struct verb_request *request,
                      const struct error *error)
{
    struct control_socket *control = client->control;
    struct client *asking = control->asking;
    bool busy = control->busy;

    control->busy = true;
    control->asking = client;
    if (request)
        control->owner.asked(control->owner.context, request);
    else
        control_socket_refuse(control, error);
    /* That was between another's request and its answer. */
    if (busy) {
        control->busy = true;
        control->asking = asking;
    }
}

/* A line of CLIENT's; false: it has to wait until another's is answered. */
static bool take(struct client *client, const char *line, size_t length)
{
    struct verb_request request;
    struct error error = ERROR_INIT;
    struct json_reader reader;
    int result = json_reader_parse(&reader, "request", line, length, &error);
    bool waits;

    if (result == 0)
        result = verb_request_parse(&request, &reader, &error);
    waits = client->control->busy && result == 0 && !request.verb->at_once;
    if (!waits)
        ask_owner(client, result == 0 ? &request : NULL, &error);
    json_reader_close(&reader);
    return !waits;
}

/* ---- clients --------------------------------------------------------------- */

static void drop(struct client *client)
{
    if (client->control->asking == client)
        client->control->asking = NULL;
    event_loop_remove(client->control->loop, client->fd);
    close(client->fd);
    client->fd = -1;
}

/* The first line goes to the owner, what follows it stays; false: all of it does, for now. */
static bool serve(struct client *client, size_t length)
{
    if (!take(client, client->line, length))
        return false;
    client->length -= length + 1;
    memmove(client->line, client->line + length + 1, client->length);
    return true;
}

/* One client's turn; false if it has nothing to ask, has to wait, or is gone for good. */
static bool turn(struct client *client)
{
    const char *end;

    /* Its answers come in the order of its requests. */
    if (client->fd < 0 || client == client->control->asking)
        return false;
    end = memchr(client->line, '\n', client->length);
    if (end)
        return serve(client, (size_t)(end - client->line));
    if (client->ended || client->length == sizeof(client->line))
        drop(client);
    else
        event_loop_modify(client->control->loop, client->fd, EPOLLIN);
    return false;
}

static void serve_all(struct control_socket *control)
{
    bool more = true;

    if (control->serving)
        return;
    control->serving = true;
    while (more) {
        more = false;
        for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++)
            more = turn(&control->clients[i]) || more;
    }
    control->serving = false;
}

static void client_sent(void *context, uint32_t events)
{
    struct client *client = context;
    ssize_t length = -1;

    if (client->length < sizeof(client->line) && !client->ended)
        length = recv(client->fd, client->line + client->length,
                      sizeof(client->line) - client->length, MSG_DONTWAIT);
    if (length < 0 && (errno == EAGAIN || errno == EINTR) && !(events & (EPOLLHUP | EPOLLERR)))
        return;
    if (length < 0) {
        drop(client);
        return;
    }
    client->ended = length == 0;
    client->length += (size_t)length;
    /* What is not read yet waits until the line in hand is served. */
    if (client->ended || memchr(client->line, '\n', client->length) ||
        client->length == sizeof(client->line))
        event_loop_modify(client->control->loop, client->fd, 0);
    if (!client->control->busy || client->control->asking != client)
        serve_all(client->control);
}

/* The folder is the user's alone; this is for those to whom they gave a descriptor of it. */
static bool is_ours(int fd)
{
    struct ucred peer;
    socklen_t size = sizeof(peer);

    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 &&
           (peer.uid == geteuid() || peer.uid == 0);
}

static void welcome(struct control_socket *control, int fd)
{
    struct event_source source = { .fd = fd, .events = EPOLLIN, .handler = client_sent };
    struct client *client = control->clients;

    while (client < control->clients + CONTROL_CLIENTS_MAX && client->fd >= 0)
        client++;
    source.context = client;
    if (client == control->clients + CONTROL_CLIENTS_MAX || !is_ours(fd) ||
        event_loop_add(control->loop, &source) < 0) {
        close(fd);
        return;
    }
    client->control = control;
    client->fd = fd;
    client->ended = false;
    client->length = 0;
}

/* There is no descriptor for the next one: it is told so by the end of its connection. */
static bool turn_away(struct control_socket *control)
{
    int fd;

    if (control->spare < 0)
        return false;
    close(control->spare);
    fd = accept4(control->fd, NULL, NULL, SOCK_CLOEXEC);
    if (fd >= 0)
        close(fd);
    control->spare = fcntl(control->fd, F_DUPFD_CLOEXEC, 0);
    return fd >= 0;
}

/*
 * All that wait, as the loop tells of each arrival once (EPOLLET): one that cannot
 * be taken must not keep the supervisor busy.  It is tried again with the next.
 */
static void client_came(void *context, uint32_t events)
{
    struct control_socket *control = context;
    bool more = true;

    (void)events;
    while (more) {
        int fd = accept4(control->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

        if (fd >= 0)
            welcome(control, fd);
        else if (errno == EMFILE || errno == ENFILE)
            more = turn_away(control);
        else
            more = errno == EINTR || errno == ECONNABORTED;
    }
}

/* ---- answers --------------------------------------------------------------- */

static void answer(struct control_socket *control, struct json_object *reply)
{
    struct client *client = control->asking;
    const char *text = json_object_to_json_string_ext(reply, JSON_C_TO_STRING_PLAIN |
                                                      JSON_C_TO_STRING_NOSLASHESCAPE);
    cleanup_free char *line = NULL;
    int length = text ? asprintf(&line, "%s\n", text) : -1;

    control->busy = false;
    control->asking = NULL;
    if (client && (length < 0 || send(client->fd, line, (size_t)length,
                                      MSG_NOSIGNAL | MSG_DONTWAIT) != length))
        drop(client);
    json_object_put(reply);
    serve_all(control);
}

void control_socket_answer(struct control_socket *control, struct json_object *reply)
{
    struct json_object *object = reply ? reply : json_object_new_object();

    json_object_object_add(object, "ok", json_object_new_boolean(true));
    answer(control, object);
}

void control_socket_refuse(struct control_socket *control, const struct error *error)
{
    struct json_object *object = json_object_new_object();

    json_object_object_add(object, "ok", json_object_new_boolean(false));
    json_object_object_add(object, "error", json_object_new_string(error->message));
    answer(control, object);
}

/* ---- life ------------------------------------------------------------------ */

/* By way of the folder's descriptor, as its path may be longer than a socket's name. */
static struct sockaddr_un name_of(int folder)
{
    struct sockaddr_un name = { .sun_family = AF_UNIX };

    snprintf(name.sun_path, sizeof(name.sun_path), "/proc/self/fd/%d/control", folder);
    return name;
}

int control_socket_create(struct control_socket **control, int folder, struct event_loop *loop,
                   const struct control_owner *owner, struct error *error)
{
    struct sockaddr_un name = name_of(folder);
    struct control_socket *created = calloc(1, sizeof(*created));
    struct event_source source = { .events = EPOLLIN | EPOLLET, .handler = client_came };
    int result = 0;

    if (!created)
        return error_system(error, ENOMEM, "control socket");
    created->loop = loop;
    created->owner = *owner;
    for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++)
        created->clients[i].fd = -1;
    created->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (created->fd < 0 || bind(created->fd, (struct sockaddr *)&name, sizeof(name)) < 0 ||
        listen(created->fd, CONTROL_CLIENTS_MAX) < 0)
        result = error_system(error, errno, "control socket");
    created->spare = fcntl(created->fd, F_DUPFD_CLOEXEC, 0);
    source.fd = created->fd;
    source.context = created;
    if (result == 0 && (result = event_loop_add(loop, &source)) < 0)
        error_system(error, -result, "control socket");
    if (result < 0) {
        cleanup_close(&created->spare);
        cleanup_close(&created->fd);
        free(created);
        return result;
    }
    *control = created;
    return 0;
}

void control_socket_close(struct control_socket *control)
{
    for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++)
        cleanup_close(&control->clients[i].fd);
    cleanup_close(&control->spare);
    close(control->fd);
}

void control_socket_destroy(struct control_socket *control)
{
    if (!control)
        return;
    for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++)
        if (control->clients[i].fd >= 0)
            drop(&control->clients[i]);
    event_loop_remove(control->loop, control->fd);
    cleanup_close(&control->spare);
    close(control->fd);
    free(control);
}
