/* SPDX-License-Identifier: Apache-2.0 */
/* --vsock CID:PATH, or CID,handoff=N */
#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>

#include "vmm/base/cleanup.h"
#include "vmm/base/host_path.h"
#include "vmm/base/options.h"
#include "vmm/config/device.h"
#include "vmm/config/settings.h"

#define FIELD(member) SCHEMA_FIELD(struct vsock_options, member)

static const struct schema_row rows[] = {
    { "cid", SCHEMA_NUMBER, FIELD(cid), VSOCK_CID_MIN, UINT32_MAX - 1, .is_not_for_settings = true },
    { "path", SCHEMA_TEXT, FIELD(path), .is_not_for_settings = true },
    { "handoff", SCHEMA_DESCRIPTOR, FIELD(handoff) },
};
static const struct vsock_options defaults = { .cid = VSOCK_CID_MIN, .handoff = -1 };
static const struct schema schema = { rows, ARRAY_LENGTH(rows), sizeof(defaults), &defaults };

static int read_vsock(struct device_config *device, struct settings *settings,
                      struct config_pool *pool, struct error *error)
{
    struct vsock_options *vsock = &device->vsock;
    const char *value, *colon;
    char cid[24];
    int result = settings_main(settings, "CID:PATH", &value, error);

    if (result < 0)
        return result;
    colon = strchr(value, ':');
    snprintf(cid, sizeof(cid), "%.*s", colon ? (int)(colon - value) : (int)sizeof(cid) - 1, value);
    result = options_number("vsock, the CID", cid, VSOCK_CID_MIN, UINT32_MAX - 1, &vsock->cid, error);
    if (result < 0 || !colon || !colon[1])
        return result;
    vsock->path = config_pool_text(pool, colon + 1);
    return vsock->path ? 0 : error_system(error, ENOMEM, "--vsock");
}

static int validate_handoff(int fd, struct error *error)
{
    int type;
    socklen_t length = sizeof(type);

    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) < 0 || type != SOCK_SEQPACKET)
        return error_set(error, EINVAL, "--vsock: handoff=%d is no socket of kind SOCK_SEQPACKET; "
                         "give the descriptor of one", fd);
    return 0;
}

static int validate_vsock(const struct device_config *device, struct error *error)
{
    const struct vsock_options *vsock = &device->vsock;
    unsigned int cid = (unsigned int)vsock->cid;

    if (vsock->path && vsock->handoff >= 0)
        return error_set(error, EINVAL, "--vsock %u:%s: has a path and handoff=; give one of them",
                         cid, vsock->path);
    if (vsock->handoff >= 0)
        return validate_handoff(vsock->handoff, error);
    if (!vsock->path || !vsock->path[0])
        return error_set(error, EINVAL, "--vsock %u: the path is missing; give --vsock CID:PATH, "
                         "such as 3:/tmp/vm.sock", cid);
    return host_path_check_socket("vsock", vsock->path, VSOCK_PATH_SUFFIX, error);
}

static bool vsock_reaches_host(const struct device_config *device)
{
    (void)device;
    return true;
}

/* From here on it is left to chance that no two VMs have the same. */
#define RANDOM_CID_MIN (1u << 20)

/* A CID, and a socket beside the saved VM's. */
static int vsock_for_clone(struct device_config *device, const char *name, struct config_pool *pool,
                           struct error *error)
{
    struct vsock_options *vsock = &device->vsock;
    cleanup_free char *path = NULL;
    uint32_t cid;

    if (!name)
        return 0;
    if (!vsock->path)
        return error_set(error, EINVAL, "--vsock %u: handoff= cannot be had by several VMs; give "
                         "--vsock CID:PATH", (unsigned int)vsock->cid);
    do
        if (getrandom(&cid, sizeof(cid), 0) != (ssize_t)sizeof(cid))
            return error_system(error, errno, "--vsock: a random CID");
    while (cid < RANDOM_CID_MIN || cid == UINT32_MAX);
    if (asprintf(&path, "%s.%s", vsock->path, name) < 0) {
        path = NULL;
        return error_system(error, ENOMEM, "--vsock");
    }
    vsock->cid = cid;
    vsock->path = config_pool_text(pool, path);
    return vsock->path ? 0 : error_system(error, ENOMEM, "--vsock");
}

static void describe_vsock(const struct device_config *device, FILE *stream)
{
    const struct vsock_options *vsock = &device->vsock;

    fprintf(stream, "--vsock %u", (unsigned int)vsock->cid);
    if (vsock->path)
        fprintf(stream, ":%.64s", vsock->path);
}

static const char *const known[] = { NULL };

const struct device_row vsock_row = {
    .name = "vsock",
    .option = "vsock",
    .argument = "CID:PATH",
    .help = "sockets between guest and host: CONNECT <port> on\n"
            "the unix socket PATH, and PATH_<port> for the guest's",
    .schema = &schema,
    .is_single = true,
    .read = read_vsock,
    .known = known,
    .validate = validate_vsock,
    .reaches_host = vsock_reaches_host,
    .for_clone = vsock_for_clone,
    .describe = describe_vsock,
};
