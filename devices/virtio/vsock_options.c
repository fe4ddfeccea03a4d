/* SPDX-License-Identifier: Apache-2.0 */
/* --vsock CID:PATH */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "devices/backend/socket_broker.h"
#include "devices/backend/unix_listener.h"
#include "devices/settings.h"
#include "devices/virtio/vsock.h"
#include "vmm/options.h"

void virtio_vsock_release(void *options)
{
    struct vsock_options *vsock = options;

    if (vsock)
        free(vsock->path);
    free(vsock);
}

static int read_options(struct vsock_options *options, const char *value, struct error *error)
{
    const char *colon = strchr(value, ':');
    char cid[24];
    int result;

    if (!colon || colon[1] == '\0')
        return error_set(error, EINVAL, "--vsock %s: the path is missing; give --vsock CID:PATH, "
                         "such as 3:/tmp/vm.sock", value);
    snprintf(cid, sizeof(cid), "%.*s", (int)(colon - value), value);
    result = options_number("vsock, the CID", cid, VSOCK_CID_MIN, UINT32_MAX - 1, &options->cid,
                            error);
    if (result == 0)
        result = unix_path_check("vsock", colon + 1, VSOCK_PATH_SUFFIX, error);
    if (result < 0)
        return result;
    options->path = strdup(colon + 1);
    return options->path ? 0 : error_system(error, ENOMEM, "--vsock");
}

int virtio_vsock_parse(const char *text, void **options, struct error *error)
{
    static const char *const known[] = { NULL };
    struct settings settings;
    struct vsock_options *parsed;
    const char *value;
    int result;

    if (*options)
        return error_set(error, EINVAL, "--vsock: is given twice; one device has all ports, give "
                         "it once");
    result = settings_parse(&settings, "vsock", text, error);
    if (result < 0)
        return result;
    parsed = calloc(1, sizeof(*parsed));
    if (!parsed)
        result = error_system(error, ENOMEM, "--vsock");
    if (result == 0)
        result = settings_main(&settings, "CID:PATH", &value, error);
    if (result == 0)
        result = settings_finish(&settings, known, error);
    if (result == 0)
        result = read_options(parsed, value, error);
    settings_release(&settings);
    if (result < 0)
        virtio_vsock_release(parsed);
    else
        *options = parsed;
    return result;
}

int virtio_vsock_open_host(void *options, struct event_loop *loop, struct error *error)
{
    struct vsock_options *vsock = options;
    int result = unix_listener_make(&vsock->listener, "vsock", vsock->path, error);

    if (result == 0)
        result = socket_broker_create(&vsock->broker, vsock->path, loop, error);
    return result;
}

void virtio_vsock_close_host(void *options)
{
    struct vsock_options *vsock = options;

    socket_broker_destroy(vsock->broker);
    unix_listener_destroy(vsock->listener);
    vsock->broker = NULL;
    vsock->listener = NULL;
}
