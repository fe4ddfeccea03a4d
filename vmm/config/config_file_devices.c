/* SPDX-License-Identifier: Apache-2.0 */
/* The devices of a configuration file, each as the text of its command-line option. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/config/config_file_internal.h"

#define NUMBER_MAX (UINT64_MAX >> 14) /* room for the sums of a token bucket */

/* ---- option texts ------------------------------------------------------- */

/* Writes VALUE as a part of an option: a comma inside of it is doubled. */
static void put_value(FILE *stream, const char *value)
{
    for (; *value; value++) {
        if (*value == ',')
            fputc(',', stream);
        fputc(*value, stream);
    }
}

/* Ends the text in STREAM and hands the device over. */
static int add_device(const struct loading *loading, const char *option, FILE *stream, char **text)
{
    int result;

    if (fclose(stream) != 0)
        result = error_system(loading->error, ENOMEM, "--config-file");
    else
        result = loading->add(loading->context, option, *text, loading->error);
    free(*text);
    return result;
}

static FILE *open_text(const struct loading *loading, char **text, size_t *size)
{
    FILE *stream = open_memstream(text, size);

    if (!stream)
        error_system(loading->error, errno, "--config-file");
    return stream;
}

/* ---- rate limiters ------------------------------------------------------ */

struct bucket {
    uint64_t size;
    uint64_t refill_time; /* ms */
    uint64_t one_time_burst;
};

struct limiter {
    struct bucket bandwidth, ops;
};

static int read_bucket(const struct loading *loading, const char *path, const char *name,
                       struct json_object *object, struct bucket *bucket)
{
    static const struct json_key keys[] = {
        { "size", JSON_NUMBER, true, offsetof(struct bucket, size), 0, NUMBER_MAX },
        { "refill_time", JSON_NUMBER, true, offsetof(struct bucket, refill_time), 0, 86400000 },
        { "one_time_burst", JSON_NUMBER, false, offsetof(struct bucket, one_time_burst), 0,
          NUMBER_MAX },
    };
    char joined[96];
    int result;

    if (!object)
        return 0;
    snprintf(joined, sizeof(joined), "%s.%s", path, name);
    result = MEMBERS(loading, joined, object, keys, bucket);
    /* Firecracker: either of them 0 means no limit. */
    if (result == 0 && (bucket->size == 0 || bucket->refill_time == 0))
        *bucket = (struct bucket){ .size = 0 };
    return result;
}

static int read_limiter(const struct loading *loading, const char *path,
                        struct json_object *object, struct limiter *limiter)
{
    struct {
        struct json_object *bandwidth, *ops;
    } parts = { .ops = NULL };
    const struct json_key keys[] = {
        { "bandwidth", JSON_MEMBERS, false, 0 },
        { "ops", JSON_MEMBERS, false, sizeof(struct json_object *) },
    };
    int result;

    *limiter = (struct limiter){ .ops.size = 0 };
    if (!object)
        return 0;
    if ((result = MEMBERS(loading, path, object, keys, &parts)) < 0 ||
        (result = read_bucket(loading, path, "bandwidth", parts.bandwidth,
                              &limiter->bandwidth)) < 0)
        return result;
    return read_bucket(loading, path, "ops", parts.ops, &limiter->ops);
}

/* In a second, at least 1. */
static uint64_t per_second(const struct bucket *bucket)
{
    uint64_t rate = bucket->size * 1000 / bucket->refill_time;

    return rate ? rate : 1;
}

/* The keys of the option, PREFIX before each; rate_limit.h has their meaning. */
static void put_bucket(FILE *stream, const char *prefix, const char *rate, const char *burst,
                       const char *once, const struct bucket *bucket)
{
    if (!bucket->size)
        return;
    fprintf(stream, ",%s%s=%llu,%s%s=%llu", prefix, rate, (unsigned long long)per_second(bucket),
            prefix, burst, (unsigned long long)bucket->size);
    if (bucket->one_time_burst)
        fprintf(stream, ",%s%s=%llu", prefix, once, (unsigned long long)bucket->one_time_burst);
}

static void put_limiter(FILE *stream, const char *prefix, const struct limiter *limiter)
{
    put_bucket(stream, prefix, "rate", "burst", "once", &limiter->bandwidth);
    put_bucket(stream, prefix, "ops", "ops-burst", "ops-once", &limiter->ops);
}

/* ---- drives ------------------------------------------------------------- */

enum { ENGINE_SYNC, ENGINE_ASYNC, ENGINE_UNSAID };
static const char *const engines[] = { "Sync", "Async", NULL };
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

    *drive = (struct drive){ .engine = ENGINE_UNSAID };
    return MEMBERS(loading, path, object, keys, drive);
}

static int add_drive(const struct loading *loading, const char *path, const struct drive *drive)
{
    static const char *const engine_options[] = {
        [ENGINE_SYNC] = ",engine=sync", [ENGINE_ASYNC] = ",engine=uring", [ENGINE_UNSAID] = "",
    };
    struct limiter limiter;
    char joined[96];
    char *text;
    size_t size;
    FILE *stream;
    int result;

    snprintf(joined, sizeof(joined), "%s.rate_limiter", path);
    result = read_limiter(loading, joined, drive->limiter, &limiter);
    if (result < 0)
        return result;
    stream = open_text(loading, &text, &size);
    if (!stream)
        return -ENOMEM;
    put_value(stream, drive->path);
    fprintf(stream, "%s%s", drive->is_read_only ? ",ro" : "", engine_options[drive->engine]);
    put_limiter(stream, "", &limiter);
    return add_device(loading, "disk", stream, &text);
}

/* The root drive comes first, as /dev/vda, and is named to the kernel. */
int config_add_drives(const struct loading *loading, struct json_object *list,
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

static int add_interface(const struct loading *loading, const char *path,
                         struct json_object *object)
{
    static const struct json_key keys[] = {
        { "iface_id", JSON_TEXT, true, offsetof(struct interface, id) },
        { "host_dev_name", JSON_TEXT, true, offsetof(struct interface, tap) },
        { "guest_mac", JSON_TEXT, false, offsetof(struct interface, mac) },
        { "rx_rate_limiter", JSON_MEMBERS, false, offsetof(struct interface, receive) },
        { "tx_rate_limiter", JSON_MEMBERS, false, offsetof(struct interface, transmit) },
        { "allow_mmds_requests", JSON_REFUSED, .why = "Mote has no metadata service; remove it" },
    };
    struct interface interface = { .id = NULL };
    struct limiter receive, transmit;
    char joined[96];
    char *text;
    size_t size;
    FILE *stream;
    int result = MEMBERS(loading, path, object, keys, &interface);

    if (result < 0)
        return result;
    snprintf(joined, sizeof(joined), "%s.rx_rate_limiter", path);
    if ((result = read_limiter(loading, joined, interface.receive, &receive)) < 0)
        return result;
    snprintf(joined, sizeof(joined), "%s.tx_rate_limiter", path);
    if ((result = read_limiter(loading, joined, interface.transmit, &transmit)) < 0)
        return result;
    stream = open_text(loading, &text, &size);
    if (!stream)
        return -ENOMEM;
    fputs("tap:", stream);
    put_value(stream, interface.tap);
    if (interface.mac) {
        fputs(",mac=", stream);
        put_value(stream, interface.mac);
    }
    put_limiter(stream, "rx-", &receive);
    put_limiter(stream, "tx-", &transmit);
    return add_device(loading, "net", stream, &text);
}

int config_add_interfaces(const struct loading *loading, struct json_object *list)
{
    size_t count = list ? json_object_array_length(list) : 0;
    int result = 0;

    for (size_t i = 0; result == 0 && i < count; i++) {
        struct json_object *object = json_object_array_get_idx(list, i);
        char path[48];

        snprintf(path, sizeof(path), "network-interfaces[%zu]", i);
        if (!json_object_is_type(object, json_type_object))
            return json_reader_wrong(loading->reader, path, "is no object; write it in braces");
        result = add_interface(loading, path, object);
    }
    return result;
}

/* ---- the single devices ------------------------------------------------- */

int config_add_vsock(const struct loading *loading, struct json_object *object)
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
    char *text;
    size_t size;
    FILE *stream;
    int result;

    if (!object)
        return 0;
    if ((result = MEMBERS(loading, "vsock", object, keys, &vsock)) < 0)
        return result;
    stream = open_text(loading, &text, &size);
    if (!stream)
        return -ENOMEM;
    fprintf(stream, "%llu:", (unsigned long long)vsock.cid);
    put_value(stream, vsock.path);
    return add_device(loading, "vsock", stream, &text);
}

int config_add_entropy(const struct loading *loading, struct json_object *object)
{
    static const struct json_key keys[] = { { "rate_limiter", JSON_MEMBERS, false, 0 } };
    struct json_object *limits = NULL;
    struct limiter limiter;
    char *text;
    size_t size;
    FILE *stream;
    int result;

    if (!object)
        return 0;
    if ((result = MEMBERS(loading, "entropy", object, keys, &limits)) < 0 ||
        (result = read_limiter(loading, "entropy.rate_limiter", limits, &limiter)) < 0)
        return result;
    stream = open_text(loading, &text, &size);
    if (!stream)
        return -ENOMEM;
    fputs("on", stream);
    put_limiter(stream, "", &limiter);
    return add_device(loading, "entropy", stream, &text);
}

int config_add_balloon(const struct loading *loading, struct json_object *object)
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
    char *text;
    size_t size;
    FILE *stream;
    int result;

    if (!object)
        return 0;
    if ((result = MEMBERS(loading, "balloon", object, keys, &balloon)) < 0)
        return result;
    stream = open_text(loading, &text, &size);
    if (!stream)
        return -ENOMEM;
    fprintf(stream, "%lluM%s%s", (unsigned long long)balloon.mib,
            balloon.deflate_on_oom ? ",deflate-on-oom" : "",
            balloon.reporting ? ",reporting" : "");
    if (balloon.stats)
        fprintf(stream, ",stats=%llu", (unsigned long long)balloon.stats);
    return add_device(loading, "balloon", stream, &text);
}
