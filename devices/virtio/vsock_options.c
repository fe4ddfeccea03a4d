/* SPDX-License-Identifier: Apache-2.0 */
/* --vsock CID:PATH, or CID,handoff=N */

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>

#include "devices/backend/socket_broker.h"
#include "devices/backend/unix_listener.h"
#include "vmm/base/settings.h"
#include "devices/virtio/vsock.h"
#include "vmm/base/cleanup.h"
#include "vmm/base/options.h"

void virtio_vsock_release(void *options)
{
    struct vsock_options *vsock = options;

    free(vsock->path);
    free(vsock);
}

static int read_cid(struct vsock_options *options, const char *value, size_t length,
                    struct error *error)
{
    char cid[24];

    snprintf(cid, sizeof(cid), "%.*s", (int)(length < sizeof(cid) ? length : sizeof(cid) - 1),
             value);
    return options_number("vsock, the CID", cid, VSOCK_CID_MIN, UINT32_MAX - 1, &options->cid,
                          error);
}

/* CID:PATH */
static int read_path(struct vsock_options *options, const char *value, struct error *error)
{
    const char *colon = strchr(value, ':');
    int result;

    if (!colon || colon[1] == '\0')
        return error_set(error, EINVAL, "--vsock %s: the path is missing; give --vsock CID:PATH, "
                         "such as 3:/tmp/vm.sock", value);
    result = read_cid(options, value, (size_t)(colon - value), error);
    if (result == 0)
        result = unix_path_check("vsock", colon + 1, VSOCK_PATH_SUFFIX, error);
    if (result < 0)
        return result;
    options->path = strdup(colon + 1);
    return options->path ? 0 : error_system(error, ENOMEM, "--vsock");
}

/* CID alone: the guest's connections go over the socket HANDOFF. */
static int read_handoff(struct vsock_options *options, const char *value, uint64_t handoff,
                        struct error *error)
{
    int type;
    socklen_t length = sizeof(type);

    if (strchr(value, ':'))
        return error_set(error, EINVAL, "--vsock %s: has a path and handoff=; give one of them",
                         value);
    options->handoff = (int)handoff;
    if (getsockopt(options->handoff, SOL_SOCKET, SO_TYPE, &type, &length) < 0 ||
        type != SOCK_SEQPACKET)
        return error_set(error, EINVAL, "--vsock: handoff=%d is no socket of kind SOCK_SEQPACKET; "
                         "give the descriptor of one", options->handoff);
    return read_cid(options, value, strlen(value), error);
}

static int read_options(void *target, struct settings *settings, struct error *error)
{
    static const char *const known[] = { "handoff", NULL };
    struct vsock_options *options = target;
    uint64_t handoff = UINT64_MAX;
    const char *value;
    int result;

    if ((result = settings_main(settings, "CID:PATH", &value, error)) < 0 ||
        (result = settings_number(settings, "handoff", 0, INT_MAX, &handoff, error)) < 0 ||
        (result = settings_finish(settings, known, error)) < 0)
        return result;
    if (handoff != UINT64_MAX)
        return read_handoff(options, value, handoff, error);
    return read_path(options, value, error);
}

int virtio_vsock_parse(const char *text, void **options, struct error *error)
{
    static const struct settings_reader reader = {
        .option = "vsock", .size = sizeof(struct vsock_options), .read = read_options,
        .release = virtio_vsock_release,
    };

    if (*options)
        return error_set(error, EINVAL, "--vsock: is given twice; one device has all ports, give "
                         "it once");
    return settings_read(&reader, text, options, error);
}

/* From here on it is left to chance that no two VMs have the same. */
#define RANDOM_CID_MIN (1u << 20)

/* A CID, and a socket beside the saved VM's. */
int virtio_vsock_for_clone(struct settings *settings, const char *name, char **copy, struct error *error)
{
    cleanup_free char *first = NULL;
    const char *value, *colon;
    uint32_t cid;
    int result = name ? settings_main(settings, "CID:PATH", &value, error) : 0;

    if (!name || result < 0)
        return result;
    colon = strchr(value, ':');
    if (!colon)
        return error_set(error, EINVAL, "--vsock %s: handoff= cannot be had by several VMs; give "
                         "--vsock CID:PATH", value);
    do
        if (getrandom(&cid, sizeof(cid), 0) != (ssize_t)sizeof(cid))
            return error_system(error, errno, "--vsock: a random CID");
    while (cid < RANDOM_CID_MIN || cid == UINT32_MAX);
    if (asprintf(&first, "%u:%s.%s", cid, colon + 1, name) < 0)
        return error_system(error, ENOMEM, "--vsock");
    return settings_again(settings, first, NULL, copy, error);
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
