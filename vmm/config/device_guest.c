/* SPDX-License-Identifier: Apache-2.0 */
/* The devices that reach nothing of the host: --balloon SIZE[,…] and --entropy on[,…] */
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "vmm/base/cleanup.h"
#include "vmm/base/options.h"
#include "vmm/config/device.h"
#include "vmm/config/rate.h"
#include "vmm/config/settings.h"

/* ---- the balloon -------------------------------------------------------- */

#define FIELD(member) SCHEMA_FIELD(struct balloon_options, member)
#define STATS_SECONDS_MAX 86400

static const struct schema_row balloon_rows[] = {
    { "size", SCHEMA_NUMBER, FIELD(size), 0, UINT64_MAX, .is_not_for_settings = true },
    { "deflate-on-oom", SCHEMA_FLAG, FIELD(deflate_on_oom) },
    { "reporting", SCHEMA_FLAG, FIELD(reporting) },
    { "stats", SCHEMA_NUMBER, FIELD(stats), 0, STATS_SECONDS_MAX },
};
static const struct schema balloon_schema = {
    balloon_rows, ARRAY_LENGTH(balloon_rows), sizeof(struct balloon_options), NULL,
};
static const char *const none_known[] = { NULL };

static int read_balloon(struct device_config *device, struct settings *settings,
                        struct config_pool *pool, struct error *error)
{
    const char *size;
    int result = settings_main(settings, "SIZE", &size, error);

    (void)pool;
    return result < 0 ? result : options_size("balloon", size, &device->balloon.size, error);
}

/* Its size is checked against the guest's memory by the device, now and later. */
static int validate_balloon(const struct device_config *device, struct error *error)
{
    (void)device;
    (void)error;
    return 0;
}

static void describe_balloon(const struct device_config *device, FILE *stream)
{
    fprintf(stream, "--balloon %lluK", (unsigned long long)(device->balloon.size >> 10));
}

const struct device_row balloon_row = {
    .name = "balloon",
    .option = "balloon",
    .argument = "SIZE[,…]",
    .help = "take SIZE of the guest's memory back:\n"
            "deflate-on-oom, stats=SECONDS, reporting",
    .schema = &balloon_schema,
    .read = read_balloon,
    .known = none_known,
    .validate = validate_balloon,
    .describe = describe_balloon,
};

/* ---- entropy ------------------------------------------------------------ */

#define SECOND 1000000000ull

static const struct schema_row entropy_rows[] = {
    RATE_ROW("rate", struct entropy_options, rate),
};
static const struct entropy_options entropy_defaults = {
    .rate = {
        .bytes = { ENTROPY_DEFAULT_BYTES, SECOND, 0 },
        .operations = { ENTROPY_DEFAULT_OPERATIONS, SECOND, 0 },
    },
};
static const struct schema entropy_schema = {
    entropy_rows, ARRAY_LENGTH(entropy_rows), sizeof(entropy_defaults), &entropy_defaults,
};
static const char *const entropy_known[] = { RATE_KEYS, NULL };

static int read_entropy(struct device_config *device, struct settings *settings,
                        struct config_pool *pool, struct error *error)
{
    const char *value;
    int result = settings_main(settings, "word 'on'", &value, error);

    (void)pool;
    if (result < 0)
        return result;
    if (strcmp(value, "on") != 0)
        return error_set(error, EINVAL, "--entropy: '%s' is not understood; give --entropy on",
                         value);
    return rate_from_settings(settings, "", &device->entropy.rate, error);
}

static int validate_entropy(const struct device_config *device, struct error *error)
{
    return rate_validate("entropy", &device->entropy.rate, error);
}

static void describe_entropy(const struct device_config *device, FILE *stream)
{
    (void)device;
    fputs("--entropy on", stream);
}

const struct device_row entropy_row = {
    .name = "entropy",
    .option = "entropy",
    .argument = "on[,…]",
    .help = "random numbers from the host: rate=, ops=, burst=",
    .schema = &entropy_schema,
    .read = read_entropy,
    .known = entropy_known,
    .validate = validate_entropy,
    .describe = describe_entropy,
};
