/* SPDX-License-Identifier: Apache-2.0 */
/* The console device, and --port NAME=file:PATH|unix:PATH|fd:N, of which each adds a port to it. */
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>

#include "vmm/base/cleanup.h"
#include "vmm/base/host_path.h"
#include "vmm/base/options.h"
#include "vmm/config/device.h"
#include "vmm/config/settings.h"

#define WORDS "file:PATH, unix:PATH or fd:N"
#define PORTS_MAX (CONSOLE_PORTS_MAX - 1)

static const char *const kind_names[] = {
    [HOST_PORT_FILE] = "file", [HOST_PORT_UNIX] = "unix", [HOST_PORT_FD] = "fd", NULL,
};

#define PORT(member) SCHEMA_FIELD(struct virtio_console_port, member)

static const struct schema_row port_rows[] = {
    { "name", SCHEMA_TEXT, PORT(name) },
    { "kind", SCHEMA_CHOICE, PORT(host.kind), .choices = kind_names },
    { "path", SCHEMA_TEXT, PORT(host.path) },
    { "fd", SCHEMA_DESCRIPTOR, PORT(host.fd) },
};
static const struct virtio_console_port port_defaults = { .host.fd = -1 };
static const struct schema port_schema = {
    port_rows, ARRAY_LENGTH(port_rows), sizeof(port_defaults), &port_defaults,
};
static const struct schema_row rows[] = {
    { "ports", SCHEMA_LIST, SCHEMA_FIELD(struct virtio_console_options, ports), .maximum = PORTS_MAX,
      .nested = &port_schema, .count_offset = offsetof(struct virtio_console_options, count),
      .is_not_for_settings = true },
};
static const struct schema schema = {
    rows, ARRAY_LENGTH(rows), sizeof(struct virtio_console_options), NULL,
};

/* ---- the option --------------------------------------------------------- */

static int read_descriptor(const char *text, struct host_port_options *host, struct error *error)
{
    uint64_t number;
    int result = options_number("port NAME=fd:", text, 3, 1 << 20, &number, error);

    host->kind = HOST_PORT_FD;
    if (result == 0)
        host->fd = (int)number;
    return result;
}

static int read_host(const char *name, const char *value, struct host_port_options *host,
                     struct config_pool *pool, struct error *error)
{
    const char *path = strchr(value, ':');

    if (strncmp(value, "fd:", 3) == 0)
        return read_descriptor(value + 3, host, error);
    if (!path || path[1] == '\0')
        return error_set(error, EINVAL, "--port %s: '%s' names nothing; give " WORDS, name, value);
    path++;
    if (strncmp(value, "file:", 5) == 0)
        host->kind = HOST_PORT_FILE;
    else if (strncmp(value, "unix:", 5) == 0)
        host->kind = HOST_PORT_UNIX;
    else
        return error_set(error, EINVAL, "--port %s: '%s' is unknown; give " WORDS, name, value);
    host->path = config_pool_text(pool, path);
    return host->path ? 0 : error_system(error, ENOMEM, "--port %s", name);
}

static int read_port(struct device_config *device, struct settings *settings,
                     struct config_pool *pool, struct error *error)
{
    struct virtio_console_options *console = &device->console;
    struct setting *first = &settings->items[0];
    struct virtio_console_port port = port_defaults;
    int result;

    if (!first->value || first->key[0] == '\0')
        return error_set(error, EINVAL, "--port %s: the name is missing; give --port NAME=" WORDS,
                         first->value ? first->value : "");
    first->taken = true;
    result = read_host(first->key, first->value, &port.host, pool, error);
    if (result < 0)
        return result;
    port.name = config_pool_text(pool, first->key);
    if (!port.name)
        return error_system(error, ENOMEM, "--port");
    console->ports[console->count++] = port;
    return 0;
}

static int merge_ports(struct device_config *device, const struct device_config *more,
                       struct error *error)
{
    struct virtio_console_options *console = &device->console;

    for (size_t i = 0; i < more->console.count; i++) {
        if (console->count == PORTS_MAX)
            return error_set(error, E2BIG, "--port %s: over %d ports; give fewer",
                             more->console.ports[i].name, PORTS_MAX);
        console->ports[console->count++] = more->console.ports[i];
    }
    return 0;
}

/* ---- whether it fits together ------------------------------------------- */

static int validate_name(const struct virtio_console_options *console, size_t index,
                         struct error *error)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                  "._-";
    const char *name = console->ports[index].name ? console->ports[index].name : "";

    if (name[0] == '\0' || strlen(name) > CONSOLE_NAME_MAX ||
        name[strspn(name, allowed)] != '\0')
        return error_set(error, EINVAL, "--port: the name '%.80s' does not do; use 1 to %d "
                         "letters, digits, dots, dashes", name, CONSOLE_NAME_MAX);
    for (size_t i = 0; i < index; i++)
        if (strcmp(console->ports[i].name, name) == 0)
            return error_set(error, EEXIST, "--port %s: is given twice; choose another name", name);
    return 0;
}

static int validate_port(const struct virtio_console_port *port, struct error *error)
{
    const struct host_port_options *host = &port->host;

    if ((host->kind == HOST_PORT_FD) == (host->fd < 0) || (host->kind != HOST_PORT_FD) == !host->path ||
        (host->path && !host->path[0]))
        return error_set(error, EINVAL, "--port %s: names nothing, or too much; give " WORDS, port->name);
    if (host->kind == HOST_PORT_FD && fcntl(host->fd, F_GETFD) < 0)
        return error_set(error, EBADF, "--port %s: descriptor %d is not open; open it in the "
                         "shell, such as by %d<>FILE", port->name, host->fd, host->fd);
    return host->kind == HOST_PORT_UNIX ? host_path_check_socket("port", host->path, 0, error) : 0;
}

static int validate_console(const struct device_config *device, struct error *error)
{
    const struct virtio_console_options *console = &device->console;
    int result = 0;

    for (size_t i = 0; result == 0 && i < console->count; i++) {
        result = validate_name(console, i, error);
        if (result == 0)
            result = validate_port(&console->ports[i], error);
    }
    return result;
}

/* ---- the host and clones ------------------------------------------------ */

static bool console_reaches_host(const struct device_config *device)
{
    return device->console.count > 0;
}

/* A file or a socket beside the saved VM's. */
static int console_for_clone(struct device_config *device, const char *name, struct config_pool *pool,
                             struct error *error)
{
    struct virtio_console_options *console = &device->console;

    for (size_t i = 0; name && i < console->count; i++) {
        struct virtio_console_port *port = &console->ports[i];
        cleanup_free char *path = NULL;

        if (port->host.kind == HOST_PORT_FD)
            return error_set(error, EINVAL, "--port %s: fd: cannot be had by several VMs; give --port "
                             "NAME=file:PATH or unix:PATH", port->name);
        if (asprintf(&path, "%s.%s", port->host.path, name) < 0) {
            path = NULL;
            return error_system(error, ENOMEM, "--port");
        }
        port->host.path = config_pool_text(pool, path);
        if (!port->host.path)
            return error_system(error, ENOMEM, "--port");
    }
    return 0;
}

static void describe_console(const struct device_config *device, FILE *stream)
{
    const struct virtio_console_options *console = &device->console;

    for (size_t i = 0; i < console->count; i++) {
        const struct virtio_console_port *port = &console->ports[i];

        fprintf(stream, "%s--port %.64s=%s:", i ? ", " : "", port->name, kind_names[port->host.kind]);
        if (port->host.kind == HOST_PORT_FD)
            fprintf(stream, "%d", port->host.fd);
        else
            fprintf(stream, "%.64s", port->host.path);
    }
}

static const char *const known[] = { NULL };

const struct device_row console_row = {
    .name = "console",
    .option = "port",
    .argument = "NAME=WHERE",
    .help = "a port of the console device: file:PATH, unix:PATH\n"
            "or fd:N; /dev/virtio-ports/NAME in the guest",
    .schema = &schema,
    .is_single = true,
    .read = read_port,
    .merge = merge_ports,
    .known = known,
    .validate = validate_console,
    .reaches_host = console_reaches_host,
    .for_clone = console_for_clone,
    .describe = describe_console,
};
