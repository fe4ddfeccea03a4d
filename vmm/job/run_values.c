/* SPDX-License-Identifier: Apache-2.0 */
/* Values of `mote run`'s options that are more than a word or a number. */
#include <ctype.h>
#include <errno.h>
#include <json-c/json_object.h>
#include <json-c/json_tokener.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/base/cleanup.h"
#include "vmm/config/forward.h"
#include "vmm/base/options.h"
#include "vmm/job/run_options.h"

#define ENTRYPOINT_DEPTH 3
/* A hundred years; more is a typing error. */
#define DURATION_MAX_MS (100ull * 365 * 24 * 3600 * 1000)

static const struct {
    const char *name;
    uint64_t ms;
} units[] = {
    { "", 1000 }, { "s", 1000 }, { "ms", 1 }, { "m", 60000 }, { "h", 3600000 }, { "d", 86400000 },
};

/* Digits with at most three more behind a point, as thousandths; false for anything else. */
static bool read_thousandths(const char *text, const char **end, uint64_t *value)
{
    uint64_t scale = 1000;
    bool point = false;

    *value = 0;
    if (!isdigit((unsigned char)*text))
        return false;
    for (; isdigit((unsigned char)*text) || (*text == '.' && !point); text++) {
        if (*text == '.') {
            point = true;
            continue;
        }
        if (point && scale == 1)
            return false;
        if (point)
            scale /= 10;
        if (*value > UINT64_MAX / 10000000)
            return false;
        *value = *value * 10 + (uint64_t)(*text - '0');
    }
    *value *= scale;
    *end = text;
    return true;
}

int run_duration(const char *name, const char *value, uint64_t *ms, struct error *error)
{
    uint64_t thousandths;
    const char *unit;

    if (read_thousandths(value, &unit, &thousandths))
        for (size_t i = 0; i < ARRAY_LENGTH(units); i++) {
            if (strcmp(unit, units[i].name) != 0)
                continue;
            if (thousandths > DURATION_MAX_MS * 1000 / units[i].ms ||
                thousandths * units[i].ms < 1000)
                break;
            *ms = thousandths * units[i].ms / 1000;
            return 0;
        }
    return error_set(error, EINVAL, "--%s %s: is no time; give seconds, or a number with ms, s, "
                     "m, h or d, such as 1.5m", name, value);
}

static int copy_part(char **part, const char *from, size_t length, const char *option,
                     struct error *error)
{
    *part = strndup(from, length);
    return *part ? 0 : error_system(error, ENOMEM, "--%s", option);
}

/* The last comma's word counts: the folder's own name may have others. */
int run_output_parse(const char *value, char **folder, bool *merge, struct error *error)
{
    const char *comma = strrchr(value, ',');

    *merge = comma && strcmp(comma, ",merge") == 0;
    if (!*merge)
        comma = value + strlen(value);
    if (comma == value)
        return error_set(error, EINVAL, "--output %s: names no directory; give DIR or DIR,merge",
                         value);
    return copy_part(folder, value, (size_t)(comma - value), "output", error);
}

static int volume_mode(const char *value, const char *mode, struct error *error)
{
    if (strcmp(mode, "ro") == 0)
        return 0;
    if (strcmp(mode, "rw") == 0)
        return error_set(error, ENOTSUP, "--volume %s: writable sharing cannot be had yet; use "
                         "':ro' here, and --output for what comes back", value);
    return error_set(error, EINVAL, "--volume %s: '%s' is unknown; use ':ro'", value, mode);
}

int run_volume_parse(const char *value, struct run_volume *volume, struct error *error)
{
    const char *first = strchr(value, ':');
    const char *second = first ? strchr(first + 1, ':') : NULL;
    size_t target_length;
    int result;

    if (!first || first == value)
        return error_set(error, EINVAL, "--volume %s: lacks a part; give HOST:GUEST:ro",
                         value);
    if (!second)
        return error_set(error, ENOTSUP, "--volume %s: writable sharing cannot be had yet; add "
                         "':ro', and use --output for what comes back", value);
    result = volume_mode(value, second + 1, error);
    if (result < 0)
        return result;
    target_length = (size_t)(second - first - 1);
    while (target_length > 1 && first[target_length] == '/')
        target_length--;
    if (first[1] != '/' || target_length < 2)
        return error_set(error, EINVAL, "--volume %s: the guest's path '%.*s' does not begin "
                         "with '/', or is the root itself; give another", value,
                         (int)target_length, first + 1);
    if ((result = copy_part(&volume->source, value, (size_t)(first - value), "volume", error)) < 0)
        return result;
    if ((result = copy_part(&volume->target, first + 1, target_length, "volume", error)) < 0)
        free(volume->source);
    return result;
}

/* 0: it is no array of strings without NULs, and stands for itself. */
static int read_words(const char *value, struct text_list *words, struct error *error)
{
    struct json_tokener *tokener = json_tokener_new_ex(ENTRYPOINT_DEPTH);
    struct json_object *array = NULL;
    size_t length = strlen(value);
    int result = 0;

    if (!tokener)
        return error_system(error, ENOMEM, "--entrypoint");
    json_tokener_set_flags(tokener, JSON_TOKENER_STRICT);
    if (length < INT_MAX)
        array = json_tokener_parse_ex(tokener, value, (int)length + 1);
    if (json_object_is_type(array, json_type_array)) {
        result = 1;
        for (size_t i = 0; result == 1 && i < json_object_array_length(array); i++) {
            struct json_object *word = json_object_array_get_idx(array, i);
            const char *text = json_object_get_string(word);

            if (!json_object_is_type(word, json_type_string) ||
                strlen(text) != (size_t)json_object_get_string_len(word))
                result = 0;
            else if (text_list_add(words, text, error) < 0)
                result = -error->number;
        }
    }
    json_object_put(array);
    json_tokener_free(tokener);
    return result;
}

int run_entrypoint_parse(const char *value, struct text_list *words, struct error *error)
{
    int result = value[0] == '[' ? read_words(value, words, error) : 0;

    if (result != 0)
        return result < 0 ? result : 0;
    text_list_release(words);
    return value[0] ? text_list_add(words, value, error) : 0;
}

int run_net_parse(const char *value, unsigned int *net, struct passt_options *network, struct error *error)
{
    const struct {
        const char *word;
        bool *open;
    } known[] = {
        { "local", &network->local },
        { "link-local", &network->link_local },
        { "host-loopback", &network->host_loopback },
    };
    const char *comma = strchr(value, ',');
    size_t length = comma ? (size_t)(comma - value) : strlen(value);

    *net = length == 4 && strncmp(value, "user", 4) == 0 ? RUN_NET_USER : RUN_NET_NONE;
    if (*net == RUN_NET_NONE && strcmp(value, "none") != 0)
        return error_set(error, EINVAL, "--net %s: is unknown; give none or user, or user with "
                         ",local ,link-local or ,host-loopback behind it", value);
    network->local = network->link_local = network->host_loopback = false;
    while (comma) {
        const char *word = comma + 1;
        bool found = false;

        length = strcspn(word, ",");
        for (size_t i = 0; i < ARRAY_LENGTH(known); i++)
            if (strlen(known[i].word) == length && strncmp(word, known[i].word, length) == 0)
                found = *known[i].open = true;
        if (!found)
            return error_set(error, EINVAL, "--net %s: '%.*s' is unknown; give local, link-local or "
                             "host-loopback", value, (int)length, word);
        comma = word[length] ? word + length : NULL;
    }
    return 0;
}

int run_publish_parse(const char *value, struct passt_forward *forward, struct error *error)
{
    const char *slash = strchr(value, '/'), *protocol = slash ? slash + 1 : "tcp", *fault;
    cleanup_free char *ports = strndup(value, slash ? (size_t)(slash - value) : strlen(value));

    if (!ports)
        return error_system(error, ENOMEM, "--publish");
    if (strcmp(protocol, "tcp") != 0 && strcmp(protocol, "udp") != 0)
        return error_set(error, EINVAL, "--publish %s: '%s' is no protocol; give /tcp or /udp", value,
                         protocol);
    *forward = (struct passt_forward){ .udp = strcmp(protocol, "udp") == 0 };
    if ((fault = forward_parse(ports, forward)))
        return error_set(error, EINVAL, "--publish %s: %s", value, fault);
    if (passt_forward_is_ipv6(forward))
        return error_set(error, EAFNOSUPPORT, "--publish %s: the address is IPv6, which a job's "
                         "network has not; give an IPv4 address, such as 127.0.0.1", value);
    return 0;
}
