/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/config/rate.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "vmm/base/cleanup.h"
#include "vmm/base/options.h"

#define SECOND 1000000000ull

static const struct schema_row bucket_rows[] = {
    { "size", SCHEMA_NUMBER, SCHEMA_FIELD(struct token_bucket_config, size), 0, TOKEN_BUCKET_MAX },
    { "refill-ns", SCHEMA_NUMBER, SCHEMA_FIELD(struct token_bucket_config, refill_ns), 0, UINT64_MAX },
    { "once", SCHEMA_NUMBER, SCHEMA_FIELD(struct token_bucket_config, once), 0, TOKEN_BUCKET_MAX },
};
static const struct schema bucket_schema = {
    bucket_rows, ARRAY_LENGTH(bucket_rows), sizeof(struct token_bucket_config), NULL,
};
static const struct schema_row rate_rows[] = {
    { "bytes", SCHEMA_OBJECT, SCHEMA_FIELD(struct rate_limit_config, bytes), .nested = &bucket_schema },
    { "operations", SCHEMA_OBJECT, SCHEMA_FIELD(struct rate_limit_config, operations),
      .nested = &bucket_schema },
};
const struct schema rate_schema = {
    rate_rows, ARRAY_LENGTH(rate_rows), sizeof(struct rate_limit_config), NULL,
};

/* ---- the option --------------------------------------------------------- */

/* The keys of one bucket; operations are plain numbers, bytes may have a unit. */
struct bucket_keys {
    const char *rate, *burst, *once;
    bool has_units;
};

/* A number above 0; *NUMBER stays 0 where the key is absent. */
static int take_tokens(struct settings *settings, const char *prefix, const char *key,
                       bool has_units, uint64_t *number, struct error *error)
{
    const char *text = NULL;
    char full[32], name[64];
    int result;

    snprintf(full, sizeof(full), "%s%s", prefix, key);
    if (!has_units)
        return settings_number(settings, full, 1, TOKEN_BUCKET_MAX, number, error);
    result = settings_text(settings, full, &text, error);
    if (result < 0 || !text)
        return result;
    snprintf(name, sizeof(name), "%s …,%s", settings->option, full);
    if (!isdigit((unsigned char)text[strlen(text) - 1]))
        result = options_size(name, text, number, error);
    else
        result = options_number(name, text, 1, TOKEN_BUCKET_MAX, number, error);
    if (result == 0 && (*number == 0 || *number > TOKEN_BUCKET_MAX))
        result = error_set(error, ERANGE, "--%s %s: is out of range; give a rate such as 10M",
                           name, text);
    return result;
}

static int parse_bucket(struct settings *settings, const char *prefix,
                        const struct bucket_keys *keys, struct token_bucket_config *bucket,
                        struct error *error)
{
    uint64_t rate = 0, burst = 0, once = 0;
    unsigned __int128 refill;
    int result;

    if ((result = take_tokens(settings, prefix, keys->rate, keys->has_units, &rate, error)) < 0 ||
        (result = take_tokens(settings, prefix, keys->burst, keys->has_units, &burst,
                              error)) < 0 ||
        (result = take_tokens(settings, prefix, keys->once, keys->has_units, &once, error)) < 0)
        return result;
    if (!rate && (burst || once))
        return error_set(error, EINVAL, "--%s: %s%s= is nothing without a rate; add %s%s=",
                         settings->option, prefix, burst ? keys->burst : keys->once, prefix,
                         keys->rate);
    if (!rate)
        return 0;
    refill = (unsigned __int128)(burst ? burst : rate) * SECOND / rate;
    if (refill == 0 || refill > UINT64_MAX)
        return error_set(error, ERANGE, "--%s: %s%s= is out of proportion to %s%s=; give about a "
                         "second's worth", settings->option, prefix, keys->burst, prefix,
                         keys->rate);
    *bucket = (struct token_bucket_config){
        .size = burst ? burst : rate, .refill_ns = (uint64_t)refill, .once = once,
    };
    return 0;
}

int rate_from_settings(struct settings *settings, const char *prefix,
                       struct rate_limit_config *config, struct error *error)
{
    static const struct bucket_keys bytes = { "rate", "burst", "once", true };
    static const struct bucket_keys operations = { "ops", "ops-burst", "ops-once", false };
    int result = parse_bucket(settings, prefix, &bytes, &config->bytes, error);

    return result < 0 ? result
                      : parse_bucket(settings, prefix, &operations, &config->operations, error);
}

int rate_of_directions(struct settings *settings, struct rate_limit_config *receive,
                       struct rate_limit_config *transmit, struct error *error)
{
    int result = rate_from_settings(settings, "", receive, error);

    if (result < 0)
        return result;
    *transmit = *receive;
    result = rate_from_settings(settings, "rx-", receive, error);
    return result < 0 ? result : rate_from_settings(settings, "tx-", transmit, error);
}

int rate_parse(const char *option, const char *text, struct rate_limit_config *receive,
               struct rate_limit_config *transmit, struct error *error)
{
    static const struct schema nothing = { NULL, 0, 0, NULL };
    static const char *const known[] = { RATE_KEYS, RATE_KEYS_OF("rx-"), RATE_KEYS_OF("tx-"), NULL };
    static const char *const known_of_one[] = { RATE_KEYS, NULL };
    struct settings settings;
    int result;

    *receive = (struct rate_limit_config){ .bytes = { 0 } };
    if (transmit)
        *transmit = *receive;
    if (strcmp(text, "unlimited") == 0)
        return 0;
    result = settings_parse(&settings, option, text, error);
    if (result < 0)
        return result;
    result = transmit ? rate_of_directions(&settings, receive, transmit, error)
                      : rate_from_settings(&settings, "", receive, error);
    if (result == 0)
        result = settings_finish(&settings, &nothing, transmit ? known : known_of_one, error);
    settings_release(&settings);
    return result;
}

int rate_validate(const char *option, const struct rate_limit_config *config, struct error *error)
{
    const struct token_bucket_config *buckets[] = { &config->bytes, &config->operations };

    for (size_t i = 0; i < ARRAY_LENGTH(buckets); i++)
        if ((buckets[i]->size == 0) != (buckets[i]->refill_ns == 0) || (buckets[i]->once && !buckets[i]->size))
            return error_set(error, EINVAL, "--%s: a rate limit lacks its size or the time in which it is "
                             "filled; give both, or none", option);
    return 0;
}
