/* SPDX-License-Identifier: Apache-2.0 */
/* The devices of a configuration file in Firecracker's schema. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "vmm/base/cleanup.h"
#include "vmm/config/firecracker.h"
#include "vmm/config/mac.h"

/* ---- rate limiters ------------------------------------------------------ */

#define MILLISECOND 1000000ull

struct bucket {
    uint64_t size;
    uint64_t refill_time; /* ms */
    uint64_t one_time_burst;
};

/* What BUCKET is to have; untouched where OBJECT is NULL or sets no limit. */
static int read_bucket(const struct loading *loading, const char *path, const char *name,
                       struct json_object *object, struct token_bucket_config *bucket)
{
    static const struct json_key keys[] = {
        { "size", JSON_NUMBER, true, offsetof(struct bucket, size), 0, TOKEN_BUCKET_MAX },
        { "refill_time", JSON_NUMBER, true, offsetof(struct bucket, refill_time), 0, 86400000 },
        { "one_time_burst", JSON_NUMBER, false, offsetof(struct bucket, one_time_burst), 0,
          TOKEN_BUCKET_MAX },
    };
    struct bucket said = { .size = 0 };
    char joined[96];
    int result;

    if (!object)
        return 0;
    snprintf(joined, sizeof(joined), "%s.%s", path, name);
    result = MEMBERS(loading, joined, object, keys, &said);
    /* Firecracker: either of them 0 means no limit. */
    if (result == 0 && said.size > 0 && said.refill_time > 0)
        *bucket = (struct token_bucket_config){
            .size = said.size, .refill_ns = said.refill_time * MILLISECOND, .once = said.one_time_burst,
        };
    return result;
}

/* The same of the member NAME of PATH, a limiter's OBJECT. */
static int read_limiter(const struct loading *loading, const char *path, const char *name,
                        struct json_object *object, struct rate_limit_config *limit)
{
    struct {
        struct json_object *bandwidth, *ops;
    } parts = { .ops = NULL };
    const struct json_key keys[] = {
        { "bandwidth", JSON_MEMBERS, false, 0 },
        { "ops", JSON_MEMBERS, false, sizeof(struct json_object *) },
    };
    char joined[96];
    int result;

    if (!object)
        return 0;
    snprintf(joined, sizeof(joined), "%s.%s", path, name);
    if ((result = MEMBERS(loading, joined, object, keys, &parts)) < 0 ||
        (result = read_bucket(loading, joined, "bandwidth", parts.bandwidth, &limit->bytes)) < 0)
        return result;
    return read_bucket(loading, joined, "ops", parts.ops, &limit->operations);
}

static struct device_config *add_device(const struct loading *loading, enum device_type type)
{
    return vm_config_add_device(loading->config, type, loading->reader->error);
}

#define FAILED(loading) (-(loading)->reader->error->number)

/* ---- drives ------------------------------------------------------------- */

static const char *const engines[] = {
    [DISK_ENGINE_URING] = "Async", [DISK_ENGINE_SYNC] = "Sync", NULL,
};
static const char *const caches[] = { "Unsafe", "Writeback", NULL };

struct drive {
    const char *id, *path, *partuuid;
    bool is_root, is_read_only;
    unsigned int engine, cache;
    struct json_object *limiter;
};

static int read_drive(const struct loading *loading, const char *path, struct json_object *object,
                      struct drive *drive)
{
    static const struct json_key keys[] = {
        { "drive_id", JSON_TEXT, true, offsetof(struct drive, id) },
        { "path_on_host", JSON_TEXT, true, offsetof(struct drive, path) },
        { "is_root_device", JSON_FLAG, true, offsetof(struct drive, is_root) },
        { "is_read_only", JSON_FLAG, false, offsetof(struct drive, is_read_only) },
        { "partuuid", JSON_TEXT, false, offsetof(struct drive, partuuid) },
        /* Mote always offers flush: "Unsafe" gets more than it asks for. */
        { "cache_type", JSON_CHOICE, false, offsetof(struct drive, cache), .choices = caches },
        { "io_engine", JSON_CHOICE, false, offsetof(struct drive, engine), .choices = engines },
        { "rate_limiter", JSON_MEMBERS, false, offsetof(struct drive, limiter) },
        { "socket", JSON_REFUSED, .why = "a vhost-user disk is not possible; use path_on_host" },
    };

    *drive = (struct drive){ .engine = DISK_ENGINE_URING };
    return MEMBERS(loading, path, object, keys, drive);
}

static int add_drive(const struct loading *loading, const char *path, const struct drive *drive)
{
    struct device_config *device = add_device(loading, DEVICE_TYPE_DISK);
    int result = device ? firecracker_text(loading, drive->path, &device->disk.path) : FAILED(loading);

    if (result < 0)
        return result;
    device->disk.read_only = drive->is_read_only;
    device->disk.engine = (enum disk_engine_kind)drive->engine;
    return read_limiter(loading, path, "rate_limiter", drive->limiter, &device->disk.rate);
}

/* The root drive comes first, as /dev/vda, and is named to the kernel. */
int firecracker_drives(const struct loading *loading, struct json_object *list,
                       struct root_drive *root)
{
    size_t count = list ? json_object_array_length(list) : 0;

    for (int roots = 1; roots >= 0; roots--) {
        for (size_t i = 0; i < count; i++) {
            struct json_object *object = json_object_array_get_idx(list, i);
            struct drive drive;
            char path[32];
            int result;

            snprintf(path, sizeof(path), "drives[%zu]", i);
            if (!json_object_is_type(object, json_type_object))
                return json_reader_wrong(loading->reader, path, "is no object; write it in braces");
            result = read_drive(loading, path, object, &drive);
            if (result < 0)
                return result;
            if (drive.is_root && roots && root->path)
                return json_reader_wrong(loading->reader, path, "is a second root device; set "
                                         "is_root_device to false");
            if (drive.is_root != (roots == 1))
                continue;
            if (drive.is_root)
                *root = (struct root_drive){ drive.path, drive.partuuid, drive.is_read_only };
            result = add_drive(loading, path, &drive);
            if (result < 0)
                return result;
        }
    }
    return 0;
}

/* ---- network ------------------------------------------------------------ */

struct interface {
    const char *id, *tap, *mac;
    struct json_object *receive, *transmit;
};

static int read_interface(const struct loading *loading, const char *path,
                          struct json_object *object, struct interface *interface)
{
    static const struct json_key keys[] = {
        { "iface_id", JSON_TEXT, true, offsetof(struct interface, id) },
        { "host_dev_name", JSON_TEXT, true, offsetof(struct interface, tap) },
        { "guest_mac", JSON_TEXT, false, offsetof(struct interface, mac) },
        { "rx_rate_limiter", JSON_MEMBERS, false, offsetof(struct interface, receive) },
        { "tx_rate_limiter", JSON_MEMBERS, false, offsetof(struct interface, transmit) },
        { "allow_mmds_requests", JSON_REFUSED, .why = "Mote has no metadata service; remove it" },
    };

    *interface = (struct interface){ .id = NULL };
    return MEMBERS(loading, path, object, keys, interface);
}

static int add_interface(const struct loading *loading, const char *path,
                         const struct interface *interface)
{
    struct device_config *device = add_device(loading, DEVICE_TYPE_NET);
    struct net_options *net = device ? &device->net : NULL;
    const char *fault;
    int result;

    if (!device)
        return FAILED(loading);
    if (strlen(interface->tap) >= sizeof(net->tap))
        return json_reader_wrong(loading->reader, path, "host_dev_name is no interface's name; give the name "
                                 "that 'ip link' shows");
    net->kind = NET_TAP;
    strcpy(net->tap, interface->tap);
    if (interface->mac && (fault = mac_parse(interface->mac, net->mac)))
        return json_reader_wrong(loading->reader, path, "guest_mac '%.40s' %s", interface->mac, fault);
    result = read_limiter(loading, path, "rx_rate_limiter", interface->receive, &net->receive_rate);
    return result < 0 ? result : read_limiter(loading, path, "tx_rate_limiter", interface->transmit,
                                              &net->transmit_rate);
}

int firecracker_interfaces(const struct loading *loading, struct json_object *list)
{
    size_t count = list ? json_object_array_length(list) : 0;
    int result = 0;

    for (size_t i = 0; result == 0 && i < count; i++) {
        struct json_object *object = json_object_array_get_idx(list, i);
        struct interface interface;
        char path[48];

        snprintf(path, sizeof(path), "network-interfaces[%zu]", i);
        if (!json_object_is_type(object, json_type_object))
            return json_reader_wrong(loading->reader, path, "is no object; write it in braces");
        result = read_interface(loading, path, object, &interface);
        if (result == 0)
            result = add_interface(loading, path, &interface);
    }
    return result;
}

/* ---- the single devices ------------------------------------------------- */

int firecracker_vsock(const struct loading *loading, struct json_object *object)
{
    struct vsock {
        uint64_t cid;
        const char *path;
    } vsock = { .path = NULL };
    static const struct json_key keys[] = {
        { "guest_cid", JSON_NUMBER, true, offsetof(struct vsock, cid), 3, UINT32_MAX - 1 },
        { "uds_path", JSON_TEXT, true, offsetof(struct vsock, path) },
        { "vsock_id", JSON_IGNORED, false, 0 },
    };
    struct device_config *device;
    int result;

    if (!object)
        return 0;
    if ((result = MEMBERS(loading, "vsock", object, keys, &vsock)) < 0)
        return result;
    device = add_device(loading, DEVICE_TYPE_VSOCK);
    if (!device)
        return FAILED(loading);
    device->vsock.cid = vsock.cid;
    return firecracker_text(loading, vsock.path, &device->vsock.path);
}

int firecracker_entropy(const struct loading *loading, struct json_object *object)
{
    static const struct json_key keys[] = { { "rate_limiter", JSON_MEMBERS, false, 0 } };
    struct json_object *limits = NULL;
    struct device_config *device;
    int result;

    if (!object)
        return 0;
    if ((result = MEMBERS(loading, "entropy", object, keys, &limits)) < 0)
        return result;
    device = add_device(loading, DEVICE_TYPE_ENTROPY);
    return device ? read_limiter(loading, "entropy", "rate_limiter", limits, &device->entropy.rate)
                  : FAILED(loading);
}

int firecracker_balloon(const struct loading *loading, struct json_object *object)
{
    struct balloon {
        uint64_t mib, stats;
        bool deflate_on_oom, reporting;
    } balloon = { .mib = 0 };
    static const struct json_key keys[] = {
        { "amount_mib", JSON_NUMBER, true, offsetof(struct balloon, mib), 0, UINT32_MAX },
        { "deflate_on_oom", JSON_FLAG, true, offsetof(struct balloon, deflate_on_oom) },
        { "stats_polling_interval_s", JSON_NUMBER, false, offsetof(struct balloon, stats), 0,
          86400 },
        { "free_page_reporting", JSON_FLAG, false, offsetof(struct balloon, reporting) },
        { "free_page_hinting", JSON_REFUSED,
          .why = "free page hinting is not possible; set free_page_reporting in its place" },
    };
    struct device_config *device;
    int result;

    if (!object)
        return 0;
    if ((result = MEMBERS(loading, "balloon", object, keys, &balloon)) < 0)
        return result;
    device = add_device(loading, DEVICE_TYPE_BALLOON);
    if (!device)
        return FAILED(loading);
    device->balloon = (struct balloon_options){
        .size = balloon.mib << 20,
        .deflate_on_oom = balloon.deflate_on_oom,
        .reporting = balloon.reporting,
        .stats = balloon.stats,
    };
    return 0;
}
