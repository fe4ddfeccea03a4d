/* SPDX-License-Identifier: Apache-2.0 */
/* The client's side of a control socket. */

#include <errno.h>
#include <json-c/json_tokener.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "vmm/supervisor/control_socket.h"
#include "vmm/base/cleanup.h"

#define WAITING_MS 100

/* What is said is the same whether the VM's supervisor hung up before it read the request, amid it or after. */
static int ended(struct error *error)
{
    return error_set(error, EPIPE, "control socket: the VM ended before it answered, or has no descriptor "
                     "left for this; see 'mote ps'");
}

static bool hung_up(int number)
{
    return number == EPIPE || number == ECONNRESET;
}

static int send_line(int fd, struct json_object *request, struct error *error)
{
    const char *text = json_object_to_json_string_ext(request, JSON_C_TO_STRING_PLAIN);
    cleanup_free char *line = NULL;
    int length = text ? asprintf(&line, "%s\n", text) : -1;

    if (length < 0)
        return error_system(error, ENOMEM, "control socket");
    if (length > CONTROL_LINE_MAX)
        return error_set(error, E2BIG, "control socket: the request is too long; use a shorter path");
    if (send(fd, line, (size_t)length, MSG_NOSIGNAL) != length)
        return hung_up(errno) ? ended(error) : error_system(error, errno, "control socket");
    return 0;
}

static void await(int fd, const struct control_waiting *waiting)
{
    struct pollfd answer = { .fd = fd, .events = POLLIN };

    while (waiting && poll(&answer, 1, WAITING_MS) == 0)
        waiting->passes(waiting->context);
}

/* The answer's line into LINE, whose '\n' becomes its end. */
static int receive_line(int fd, char *line, size_t size, const struct control_waiting *waiting,
                        struct error *error)
{
    size_t length = 0;

    while (length < size - 1) {
        ssize_t got;

        await(fd, waiting);
        got = recv(fd, line + length, size - 1 - length, 0);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return hung_up(errno) ? ended(error) : error_system(error, errno, "control socket");
        if (got == 0)
            break;
        length += (size_t)got;
        line[length] = '\0';
        if (strchr(line, '\n')) {
            *strchr(line, '\n') = '\0';
            return 0;
        }
    }
    return ended(error);
}

static int judge(struct json_object *reply, struct error *error)
{
    struct json_object *value;

    if (json_object_object_get_ex(reply, "ok", &value) && json_object_get_boolean(value))
        return 0;
    if (json_object_object_get_ex(reply, "error", &value))
        return error_set(error, EIO, "%s", json_object_get_string(value));
    return error_set(error, EIO, "control socket: gave no answer that this mote knows; use the mote "
                     "that runs the VM");
}

static int ask(int fd, struct json_object *request, struct json_object **reply,
               const struct control_waiting *waiting, struct error *error)
{
    char line[CONTROL_LINE_MAX];
    int result = send_line(fd, request, error);

    if (result == 0)
        result = receive_line(fd, line, sizeof(line), waiting, error);
    if (result < 0)
        return result;
    *reply = json_tokener_parse(line);
    result = judge(*reply, error);
    if (result < 0)
        json_object_put(*reply);
    return result;
}

int control_socket_ask(int folder, struct json_object *request, struct json_object **reply,
                       const struct control_waiting *waiting, struct error *error)
{
    struct sockaddr_un name = { .sun_family = AF_UNIX };
    cleanup_fd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int result;

    snprintf(name.sun_path, sizeof(name.sun_path), "/proc/self/fd/%d/control", folder);
    if (fd < 0)
        result = error_system(error, errno, "control socket");
    else if (connect(fd, (struct sockaddr *)&name, sizeof(name)) < 0)
        result = error_set(error, errno, errno == ENOENT || errno == ECONNREFUSED
                           ? "is being started, or has ended; see 'mote ps'"
                           : "control socket: %s", strerror(errno));
    else
        result = ask(fd, request, reply, waiting, error);
    json_object_put(request);
    return result;
}
