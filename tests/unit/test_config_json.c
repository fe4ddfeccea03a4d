/* SPDX-License-Identifier: Apache-2.0 */
/* What configurations are made into reads as the same configuration: every option, every field, by every form. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
/* After those that it needs. */
#include <cmocka.h>

#include "tests/support/config_forms.h"
#include "vmm/base/cleanup.h"
#include "vmm/config/vm_options.h"

/* CONFIG by JSON, whose second writing is the same to the byte, by the wire and by a copy.  WHAT is for the message. */
static void assert_round_trip(const struct vm_config *config, const char *what)
{
    struct error error = ERROR_INIT;
    cleanup_free char *json = config_to_json(config, &error), *again = NULL;
    struct vm_config back;

    if (!json || config_from_json(&back, json, &error) < 0)
        fail_msg("%s: %s", what, error.message);
    if (!vm_config_equal(config, &back))
        fail_msg("%s: is another one by JSON: %s", what, json);
    again = config_to_json(&back, &error);
    assert_string_equal(json, again);
    vm_config_release(&back);

    if (config_by_wire(&back, config, &error) < 0)
        fail_msg("%s: %s", what, error.message);
    if (!vm_config_equal(config, &back))
        fail_msg("%s: is another one by the wire", what);
    vm_config_release(&back);

    assert_int_equal(vm_config_copy(&back, config, &error), 0);
    assert_true(vm_config_equal(config, &back));
    vm_config_release(&back);
}

/* ---- the options of the VM ---------------------------------------------- */

/* Sets ROW's option to the first value that it takes and that is not the default. */
static bool set_something(struct vm_config *config, const struct option_row *row)
{
    static const char *const values[] = { "3", "7M", "a \"b\" \\ \t\x7f ä,=%", NULL };
    const char *const *lists[] = { row->choices, values };
    const struct vm_config untouched = vm_config_default();

    for (size_t list = 0; list < ARRAY_LENGTH(lists); list++) {
        for (size_t i = 0; lists[list] && lists[list][i]; i++) {
            struct error error = ERROR_INIT;

            *config = vm_config_default();
            if (row->set(config, row, lists[list][i], &error) == 0 && !vm_config_equal(config, &untouched))
                return true;
        }
    }
    return false;
}

static void test_every_option_of_the_vm(void **state)
{
    struct option_row rows[VM_OPTION_ROWS];
    size_t plain = 0;

    (void)state;
    vm_option_rows(rows);
    for (size_t i = 0; i < VM_OPTION_ROWS; i++) {
        struct vm_config config;

        if (rows[i].context)
            continue; /* a device, below */
        plain++;
        if (!set_something(&config, &rows[i]))
            fail_msg("--%s: sets nothing that vm_schema knows", rows[i].name);
        assert_round_trip(&config, rows[i].name);
        vm_config_release(&config);
    }
    assert_int_equal(plain + DEVICE_TYPE_COUNT, VM_OPTION_ROWS);
}

/* ---- the options of devices --------------------------------------------- */

/* For each type the first part of its option, and a value for each key that no row of a schema reads. */
static const struct sample {
    const char *first;
    const char *const *values; /* "key", "value", …; NULL at the end */
} samples[DEVICE_TYPE_COUNT] = {
    [DEVICE_TYPE_DISK] = { "a,,b.img", (const char *const[]){ "block-size", "4096", NULL } },
    [DEVICE_TYPE_BALLOON] = { "16M", (const char *const[]){ NULL } },
    [DEVICE_TYPE_ENTROPY] = { "on", (const char *const[]){ NULL } },
    [DEVICE_TYPE_NET] = { "user", (const char *const[]){ "forward", "tcp:[::1]:8080:80", NULL } },
    [DEVICE_TYPE_CONSOLE] = { "name=unix:/a,,b", (const char *const[]){ NULL } },
    [DEVICE_TYPE_VSOCK] = { "4:/a,,b", (const char *const[]){ NULL } },
};

/* Those of every rate limit; a burst needs its rate. */
static const char *rate_value(const char *key)
{
    static const char *const values[][2] = {
        { "rate", "3M" }, { "ops", "7" }, { "burst", "5K" }, { "once", "9" }, { "ops-burst", "3" }, { "ops-once", "4" },
    };

    if (strncmp(key, "rx-", 3) == 0 || strncmp(key, "tx-", 3) == 0)
        key += 3;
    for (size_t i = 0; i < ARRAY_LENGTH(values); i++)
        if (strcmp(key, values[i][0]) == 0)
            return values[i][1];
    return NULL;
}

static const char *value_of(enum device_type type, const char *key)
{
    for (const char *const *value = samples[type].values; *value; value += 2)
        if (strcmp(*value, key) == 0)
            return value[1];
    return rate_value(key);
}

/* The rate limit that KEY needs, to stand before it; or "". */
static void put_needed(char *text, size_t size, const char *key)
{
    int prefix = strncmp(key, "rx-", 3) == 0 || strncmp(key, "tx-", 3) == 0 ? 3 : 0;
    const char *rest = key + prefix;

    text[0] = '\0';
    if (strcmp(rest, "burst") == 0 || strcmp(rest, "once") == 0)
        snprintf(text, size, ",%.*srate=1M", prefix, key);
    else if (strncmp(rest, "ops-", 4) == 0)
        snprintf(text, size, ",%.*sops=1000", prefix, key);
}

/* "FIRST,…" with TAIL behind it, as the option of TYPE. */
static struct vm_config with_option(enum device_type type, const char *tail)
{
    struct vm_config config = vm_config_default();
    struct error error = ERROR_INIT;
    char text[256];

    snprintf(text, sizeof(text), "%s%s", samples[type].first, tail);
    if (vm_config_add_option(&config, type, text, &error) < 0)
        fail_msg("--%s %s: %s", device_rows[type]->option, text, error.message);
    return config;
}

/* A key that the option takes has to show in the configuration, and to come back. */
static void try_key(enum device_type type, const char *key, const char *value)
{
    char needed[32], tail[128];
    struct vm_config without, with;

    put_needed(needed, sizeof(needed), key);
    without = with_option(type, needed);
    snprintf(tail, sizeof(tail), "%s,%s=%s", needed, key, value);
    with = with_option(type, tail);
    if (vm_config_equal(&without, &with))
        fail_msg("--%s: %s= shows in no row of its schema", device_rows[type]->option, key);
    assert_round_trip(&with, key);
    vm_config_release(&without);
    vm_config_release(&with);
}

/* A value of ROW on the command line that is not the default. */
static const char *row_value(const struct schema_row *row, const void *defaults, char *text, size_t size)
{
    uint64_t number = 0;
    unsigned int choice;

    switch (row->kind) {
    case SCHEMA_FLAG:
        return *((const bool *)defaults + row->offset) ? "off" : "on";
    case SCHEMA_NUMBER:
        memcpy(&number, (const char *)defaults + row->offset, row->size);
        snprintf(text, size, "%llu", (unsigned long long)(number == row->maximum ? row->minimum : row->maximum));
        return text;
    case SCHEMA_CHOICE:
        memcpy(&choice, (const char *)defaults + row->offset, sizeof(choice));
        return row->choices[choice == 0];
    case SCHEMA_DESCRIPTOR:
        return "7";
    case SCHEMA_MAC:
        return "52:54:00:12:34:56";
    default:
        return "te,,xt";
    }
}

static void test_every_key_of_a_device(void **state)
{
    (void)state;
    for (size_t i = 0; i < DEVICE_TYPE_COUNT; i++) {
        enum device_type type = (enum device_type)i;
        const struct schema *schema = device_rows[i]->schema;
        struct device_config defaults;
        struct vm_config config = with_option(type, "");

        assert_round_trip(&config, device_rows[i]->option);
        vm_config_release(&config);
        device_config_init(&defaults, type);
        for (size_t row = 0; row < schema->count; row++) {
            char text[32];

            if (!schema->rows[row].is_not_for_settings)
                try_key(type, schema->rows[row].key,
                        row_value(&schema->rows[row], device_config_values(&defaults), text, sizeof(text)));
        }
        for (const char *const *key = device_rows[i]->known; *key; key++) {
            if (!value_of(type, *key))
                fail_msg("--%s: %s= has no value here to be tried with", device_rows[i]->option, *key);
            try_key(type, *key, value_of(type, *key));
        }
    }
}

/* ---- the fields of devices ---------------------------------------------- */

static void change_all(const struct schema *schema, void *target);

/* TARGET's field of ROW becomes another one. */
static void change(const struct schema_row *row, void *target)
{
    char *field = (char *)target + row->offset;
    uint64_t number = 0;
    size_t count = row->maximum;

    switch (row->kind) {
    case SCHEMA_TEXT:
        *(const char **)(void *)field = "/a \"b\"\\\n\x01 ä";
        break;
    case SCHEMA_WORD:
        memset(field, 'w', row->size - 1);
        field[row->size - 1] = '\0';
        break;
    case SCHEMA_FLAG:
        *(bool *)field = !*(bool *)field;
        break;
    case SCHEMA_NUMBER:
        memcpy(&number, field, row->size);
        number = number == row->maximum ? row->minimum : row->maximum;
        memcpy(field, &number, row->size);
        break;
    case SCHEMA_CHOICE:
        *(unsigned int *)(void *)field = *(unsigned int *)(void *)field == 0;
        break;
    case SCHEMA_DESCRIPTOR:
        *(int *)(void *)field = INT32_MAX;
        break;
    case SCHEMA_MAC:
        memset(field, 0xfe, row->size); /* locally administered, of one interface */
        break;
    case SCHEMA_OBJECT:
        change_all(row->nested, field);
        break;
    case SCHEMA_LIST:
        memcpy((char *)target + row->count_offset, &count, sizeof(count));
        for (size_t i = 0; i < count; i++) {
            schema_default(row->nested, field + i * row->nested->size);
            change_all(row->nested, field + i * row->nested->size);
        }
        break;
    }
}

static void change_all(const struct schema *schema, void *target)
{
    for (size_t i = 0; i < schema->count; i++)
        change(&schema->rows[i], target);
}

/* Each alone, at the ends of its range: what no option can say yet, a file or a snapshot can. */
static void test_every_field_of_a_device(void **state)
{
    (void)state;
    for (size_t type = 0; type < DEVICE_TYPE_COUNT; type++) {
        const struct schema *schema = device_rows[type]->schema;

        for (size_t i = 0; i < schema->count; i++) {
            struct vm_config config = vm_config_default();
            struct error error = ERROR_INIT;
            struct device_config *device = vm_config_add_device(&config, (enum device_type)type, &error);
            struct device_config was;

            device_config_init(&was, (enum device_type)type);
            assert_true(device_config_equal(device, &was));
            change(&schema->rows[i], device_config_options(device));
            if (device_config_equal(device, &was))
                fail_msg("%s.%s: is not compared", device_rows[type]->name, schema->rows[i].key);
            assert_round_trip(&config, schema->rows[i].key);
            vm_config_release(&config);
        }
    }
}

/* Where nothing is the default, it says so: an entropy device without its limits. */
static void test_nothing_in_place_of_a_default(void **state)
{
    struct vm_config config = vm_config_default();
    struct error error = ERROR_INIT;
    struct device_config *device = vm_config_add_device(&config, DEVICE_TYPE_ENTROPY, &error);

    (void)state;
    device->entropy.rate = (struct rate_limit_config){ .bytes.size = 0 };
    assert_round_trip(&config, "entropy without limits");
    vm_config_release(&config);
}

/* ---- what is wrong ------------------------------------------------------ */

static void test_files_that_are_wrong(void **state)
{
    static const char *const wrong[][2] = {
        { "{\"mote\": 2}", "mote: 2 is out of range" },
        { "{\"mote\": 1, \"cpu\": 1}", "cpu: is an unknown key; did you mean cpus?" },
        { "{\"mote\": 1, \"cpus\": 0}", "cpus: 0 is out of range; give 1 to 64" },
        { "{\"mote\": 1, \"cpus\": 65}", "cpus: 65 is out of range; give 1 to 64" },
        { "{\"mote\": 1, \"memory\": -1}", "memory: -1 is out of range" },
        { "{\"mote\": 1, \"console\": \"none at all\"}", "console: 'none at all' is unknown; use one of serial" },
        { "{\"mote\": 1, \"devices\": {}}", "devices: is an object; give an array" },
        { "{\"mote\": 1, \"devices\": [1]}", "devices[0]: is no object; write it in braces" },
        { "{\"mote\": 1, \"devices\": [{}]}", "devices[0]: has no \"type\" that is known; use one of disk, " },
        { "{\"mote\": 1, \"devices\": [{\"type\": \"disk\"}, {\"type\": \"gpu\"}]}", "devices[1]: has no \"type\"" },
        { "{\"mote\": 1, \"devices\": [{\"type\": 1}]}", "devices[0]: has no \"type\"" },
        { "{\"mote\": 1, \"devices\": [{\"type\": \"disk\", \"queues\": 17}]}",
          "devices[0].queues: 17 is out of range; give 1 to 16" },
        { "{\"mote\": 1, \"devices\": [{\"type\": \"disk\", \"serial\": \"123456789012345678901\"}]}",
          "devices[0].serial: '123456789012345678901' is too long; give up to 20" },
        { "{\"mote\": 1, \"devices\": [{\"type\": \"disk\", \"fd\": 2147483648}]}", "devices[0].fd: 2147483648 is out" },
        { "{\"mote\": 1, \"devices\": [{\"type\": \"disk\", \"rate\": {\"bytes\": {\"sise\": 1}}}]}",
          "devices[0].rate.bytes.sise: is an unknown key; did you mean size?" },
        { "{\"mote\": 1, \"devices\": [{\"type\": \"net\", \"mac\": \"1\"}]}", "devices[0].mac: '1' is no MAC address" },
        { "{\"mote\": 1, \"devices\": [{\"type\": \"net\", \"mac\": \"00:00:00:00:00:00\"}]}",
          "devices[0].mac: '00:00:00:00:00:00' belongs to no single interface" },
        { "{\"mote\": 1, \"devices\": [{\"type\": \"net\", \"forward\": [{\"host-port\": 0}]}]}",
          "devices[0].forward[0].host-port: 0 is out of range; give 1 to 65535" },
        { "{\"mote\": 1, \"devices\": [{\"type\": \"net\", \"kind\": \"user\", \"forward\": [{\"host-port\": 1}]}]}",
          "devices[0].forward[0].guest-port: is missing" },
        { "{\"mote\": 1, \"devices\": [{\"type\": \"vsock\", \"cid\": 2}]}", "devices[0].cid: 2 is out of range" },
        { "{\"mote\": 1, \"devices\": [{\"type\": \"console\", \"ports\": [{}, 1]}]}",
          "devices[0].ports[1]: is no object" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(wrong); i++) {
        struct vm_config config;
        struct error error = ERROR_INIT;

        if (config_from_json(&config, wrong[i][0], &error) == 0 || !strstr(error.message, wrong[i][1]))
            fail_msg("%s: %s", wrong[i][0], error.message);
        vm_config_release(&config);
    }
}

/* What is in range may still make no device: the same messages as an option's. */
static void test_devices_that_are_wrong(void **state)
{
    static const char *const wrong[][2] = {
        { "{\"type\": \"disk\"}", "--disk: the PATH is missing" },
        { "{\"type\": \"disk\", \"path\": \"x\", \"overlay\": \"y\", \"ro\": true}", "exclude each other" },
        { "{\"type\": \"disk\", \"path\": \"x\", \"serial\": \"ä\"}", "plain ASCII" },
        { "{\"type\": \"disk\", \"path\": \"x\", \"block-size\": 1024}", "cannot be had" },
        { "{\"type\": \"disk\", \"path\": \"x\", \"rate\": {\"bytes\": {\"size\": 1}}}", "lacks its size or the time" },
        { "{\"type\": \"disk\", \"path\": \"x\", \"rate\": {\"operations\": {\"once\": 1}}}", "lacks its size" },
        { "{\"type\": \"net\", \"kind\": \"tap\"}", "no interface's name" },
        { "{\"type\": \"net\", \"kind\": \"tap\", \"tap\": \"../x\"}", "no interface's name" },
        { "{\"type\": \"net\", \"kind\": \"user\", \"tap\": \"x\"}", "no interface's name" },
        { "{\"type\": \"net\", \"kind\": \"tap-fd\"}", "is out of range" },
        { "{\"type\": \"net\", \"local\": true}", "local is for --net user" },
        { "{\"type\": \"net\", \"queues\": 2}", "queues= is for" },
        { "{\"type\": \"net\", \"kind\": \"user\", \"forward\": [{\"host-port\": 1, \"guest-port\": 1, "
          "\"address\": \"--one-off\"}]}", "no address of the host's" },
        { "{\"type\": \"console\", \"ports\": [{}]}", "the name '' does not do" },
        { "{\"type\": \"console\", \"ports\": [{\"name\": \"a\", \"kind\": \"unix\"}]}", "names nothing" },
        { "{\"type\": \"console\", \"ports\": [{\"name\": \"a\", \"path\": \"x\", \"fd\": 3}]}", "or too much" },
        { "{\"type\": \"vsock\"}", "the path is missing" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(wrong); i++) {
        struct vm_config config;
        struct error error = ERROR_INIT;
        char text[512];

        snprintf(text, sizeof(text), "{\"mote\": 1, \"kernel\": \"k\", \"devices\": [%s]}", wrong[i][0]);
        if (config_from_json(&config, text, &error) < 0)
            fail_msg("%s", error.message);
        if (vm_config_validate(&config, &error) == 0 || !strstr(error.message, wrong[i][1]))
            fail_msg("%s: %s", wrong[i][0], error.message);
        vm_config_release(&config);
    }
}

/* A configuration that a program made has to keep to the ranges, too. */
static void test_values_out_of_range(void **state)
{
    (void)state;
    for (size_t type = 0; type < DEVICE_TYPE_COUNT; type++) {
        const struct schema *schema = device_rows[type]->schema;

        for (size_t i = 0; i < schema->count; i++) {
            const struct schema_row *row = &schema->rows[i];
            struct device_config device;
            struct error error = ERROR_INIT;

            device_config_init(&device, (enum device_type)type);
            memset((char *)device_config_options(&device) + row->offset, 0xff, row->kind == SCHEMA_LIST ? 0 : row->size);
            if (row->kind == SCHEMA_LIST)
                memset((char *)device_config_options(&device) + row->count_offset, 0xff, sizeof(size_t));
            else if (row->kind != SCHEMA_CHOICE && row->kind != SCHEMA_WORD &&
                     (row->kind != SCHEMA_NUMBER || row->maximum >> (8 * row->size - 1) != 0))
                continue;
            assert_int_equal(device_config_validate(&device, &error), -ERANGE);
            assert_non_null(strstr(error.message, row->key));
        }
    }
}

static void test_texts_that_json_cannot_say(void **state)
{
    struct vm_config config = vm_config_default();
    struct error error = ERROR_INIT;

    (void)state;
    config.initrd = "/boot/\xff";
    assert_null(config_to_json(&config, &error));
    assert_int_equal(error.number, EILSEQ);
    assert_non_null(strstr(error.message, "\"initrd\": \"/boot/"));
    assert_non_null(strstr(error.message, "is no UTF-8, which JSON needs; rename the file"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_option_of_the_vm),
        cmocka_unit_test(test_every_key_of_a_device),
        cmocka_unit_test(test_every_field_of_a_device),
        cmocka_unit_test(test_nothing_in_place_of_a_default),
        cmocka_unit_test(test_files_that_are_wrong),
        cmocka_unit_test(test_devices_that_are_wrong),
        cmocka_unit_test(test_values_out_of_range),
        cmocka_unit_test(test_texts_that_json_cannot_say),
    };

    return cmocka_run_group_tests_name("the forms of a configuration", tests, NULL, NULL);
}
