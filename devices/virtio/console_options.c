/* SPDX-License-Identifier: Apache-2.0 */
/* --port NAME=file:PATH|unix:PATH|fd:N */

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "devices/backend/unix_listener.h"
#include "vmm/base/settings.h"
#include "devices/virtio/console.h"
#include "vmm/base/cleanup.h"
#include "vmm/base/options.h"

#define WORDS "file:PATH, unix:PATH or fd:N"

static int check_name(const struct virtio_console_options *options, const char *name,
                      struct error *error)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                  "._-";

    if (name[0] == '\0' || strlen(name) > CONSOLE_NAME_MAX ||
        name[strspn(name, allowed)] != '\0')
        return error_set(error, EINVAL, "--port: the name '%.80s' does not do; use 1 to %d "
                         "letters, digits, dots, dashes", name, CONSOLE_NAME_MAX);
    for (size_t i = 0; i < options->count; i++)
        if (strcmp(options->ports[i].name, name) == 0)
            return error_set(error, EEXIST, "--port %s: is given twice; choose another name", name);
    return 0;
}

/* Here, while no descriptor is ours yet. */
static int read_descriptor(const char *name, const char *text, struct host_port_options *host,
                           struct error *error)
{
    uint64_t number;
    int result = options_number("port NAME=fd:", text, 3, 1 << 20, &number, error);

    if (result < 0)
        return result;
    host->kind = HOST_PORT_FD;
    host->fd = (int)number;
    if (fcntl(host->fd, F_GETFD) < 0)
        return error_set(error, EBADF, "--port %s: descriptor %d is not open; open it in the "
                         "shell, such as by %d<>FILE", name, host->fd, host->fd);
    return 0;
}

static int read_host(const char *name, const char *value, struct host_port_options *host,
                     struct error *error)
{
    const char *path = strchr(value, ':');

    if (strncmp(value, "fd:", 3) == 0)
        return read_descriptor(name, value + 3, host, error);
    if (!path || path[1] == '\0')
        return error_set(error, EINVAL, "--port %s: '%s' names nothing; give " WORDS, name, value);
    path++;
    if (strncmp(value, "file:", 5) == 0)
        host->kind = HOST_PORT_FILE;
    else if (strncmp(value, "unix:", 5) == 0)
        host->kind = HOST_PORT_UNIX;
    else
        return error_set(error, EINVAL, "--port %s: '%s' is unknown; give " WORDS, name, value);
    if (host->kind == HOST_PORT_UNIX && unix_path_check("port", path, 0, error) < 0)
        return -ENAMETOOLONG;
    host->path = strdup(path);
    return host->path ? 0 : error_system(error, ENOMEM, "--port %s", name);
}

static int add_port(struct virtio_console_options *options, struct settings *settings,
                    struct error *error)
{
    static const char *const known[] = { NULL };
    struct setting *first = &settings->items[0];
    struct virtio_console_port port = { .host.fd = -1 };
    int result;

    if (!first->value || first->key[0] == '\0')
        return error_set(error, EINVAL, "--port %s: the name is missing; give --port NAME=" WORDS,
                         first->value ? first->value : "");
    first->taken = true;
    if (options->count == CONSOLE_PORTS_MAX - 1)
        return error_set(error, E2BIG, "--port %s: over %d ports; give fewer", first->key,
                         CONSOLE_PORTS_MAX - 1);
    if ((result = settings_finish(settings, known, error)) < 0 ||
        (result = check_name(options, first->key, error)) < 0 ||
        (result = read_host(first->key, first->value, &port.host, error)) < 0)
        return result;
    port.name = strdup(first->key);
    if (!port.name) {
        free(port.host.path);
        return error_system(error, ENOMEM, "--port");
    }
    options->ports[options->count++] = port;
    return 0;
}

int virtio_console_parse(const char *text, void **options, struct error *error)
{
    struct virtio_console_options *console = *options;
    struct settings settings;
    int result = settings_parse(&settings, "port", text, error);

    if (result < 0)
        return result;
    if (!console)
        console = calloc(1, sizeof(*console));
    if (console)
        result = add_port(console, &settings, error);
    else
        result = error_system(error, ENOMEM, "--port");
    settings_release(&settings);
    /* What is new and failed goes; what was there stays the config's. */
    if (result < 0 && !*options)
        virtio_console_release(console);
    else
        *options = console;
    return result;
}

/* A file or a socket beside the saved VM's. */
int virtio_console_for_clone(struct settings *settings, const char *name, char **copy, struct error *error)
{
    const struct setting *port = &settings->items[0];
    cleanup_free char *first = NULL;

    if (!name)
        return 0;
    if (!port->value || strncmp(port->value, "fd:", 3) == 0)
        return error_set(error, EINVAL, "--port %s: fd: cannot be had by several VMs; give --port "
                         "NAME=file:PATH or unix:PATH", port->key);
    if (asprintf(&first, "%s=%s.%s", port->key, port->value, name) < 0)
        return error_system(error, ENOMEM, "--port");
    return settings_again(settings, first, NULL, copy, error);
}

void virtio_console_release(void *options)
{
    struct virtio_console_options *console = options;

    for (size_t i = 0; console && i < console->count; i++) {
        free(console->ports[i].name);
        free(console->ports[i].host.path);
    }
    free(console);
}

int virtio_console_open_host(void *options, struct event_loop *loop, struct error *error)
{
    struct virtio_console_options *console = options;
    int result = 0;

    (void)loop;
    for (size_t i = 0; console && result == 0 && i < console->count; i++)
        result = host_port_open_host(&console->ports[i].host, console->ports[i].name, error);
    return result;
}

void virtio_console_close_host(void *options)
{
    struct virtio_console_options *console = options;

    for (size_t i = 0; console && i < console->count; i++)
        host_port_close_host(&console->ports[i].host);
}
