/* SPDX-License-Identifier: Apache-2.0 */
/* The plan of an image as one process sends it and another takes it, and answers that are none. */
#include "tests/support/fixture.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/images/image_plan.h"
#include "vmm/images/json_wire.h"

static char *written(const char *text, size_t *length)
{
    struct json_object *value = json_tokener_parse(text);
    char *bytes = NULL;
    FILE *file = open_memstream(&bytes, length);

    assert_int_equal(json_wire_write(file, value), 0);
    fclose(file);
    json_object_put(value);
    return bytes;
}

static void test_values(void **state)
{
    static const char *const values[] = {
        "{\"entrypoint\":[\"sh\",\"-c\"],\"user\":\"\",\"n\":-7,\"yes\":true,\"no\":false,\"none\":null}",
        "{\"deep\":{\"a\":[[],{}]}}",
        "[]", "\"\\u00fc\"", "null",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        struct json_object *before = json_tokener_parse(values[i]), *after;
        size_t length;
        char *bytes = written(values[i], &length);

        assert_int_equal(json_wire_read(bytes, length, &after), 0);
        assert_true(json_object_equal(before, after));
        json_object_put(before);
        json_object_put(after);
        free(bytes);
    }
}

static void test_values_that_are_cut_or_longer(void **state)
{
    size_t length;
    char *bytes = written("{\"a\":[\"b\",1,true],\"c\":null}", &length), more[256];
    struct json_object *value;

    (void)state;
    for (size_t i = 0; i < length; i++)
        assert_int_equal(json_wire_read(bytes, i, &value), -EBADMSG);
    memcpy(more, bytes, length);
    more[length] = 'n';
    assert_int_equal(json_wire_read(more, length + 1, &value), -EBADMSG);
    free(bytes);
}

static void test_values_that_lie(void **state)
{
    /* A text of 4 GiB, lists of as many, NUL in a text, an unknown tag, a key that is no text. */
    static const struct {
        const char *bytes;
        size_t length;
    } lies[] = {
        { "s\xff\xff\xff\xff" "abc", 8 }, { "a\xff\xff\xff\xff" "nnn", 8 },
        { "o\xff\xff\xff\xff" "nnn", 8 }, { "s\3\0\0\0a\0b", 8 },
        { "x", 1 },                       { "o\1\0\0\0nn", 7 },
        { "a\1\0\1\0n", 6 },
    };
    char deep[5 * (JSON_WIRE_DEPTH + 2)];
    struct json_object *value;

    (void)state;
    for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
        assert_int_equal(json_wire_read(lies[i].bytes, lies[i].length, &value), -EBADMSG);
        assert_null(value);
    }
    for (size_t i = 0; i < sizeof(deep) / 5; i++)
        memcpy(deep + 5 * i, i + 1 < sizeof(deep) / 5 ? "a\1\0\0" : "a\0\0\0", 5);
    assert_int_equal(json_wire_read(deep, sizeof(deep), &value), -EBADMSG);
}

static void test_answers_that_are_none(void **state)
{
    struct image_plan *plan = calloc(1, sizeof(*plan));
    struct error error = ERROR_INIT;
    size_t length = 8 + 2 * sizeof(struct plan_layer);
    char *bytes = calloc(1, length + 5);

    (void)state;
    bytes[0] = 2;
    memcpy(bytes + length, "o\0\0\0", 5);
    assert_int_equal(plan_decode(plan, bytes, length + 5, &error), 0);
    assert_int_equal(plan->count, 2);
    plan_release(plan);
    for (size_t i = 0; i < length + 5; i++) {
        assert_int_equal(plan_decode(plan, bytes, i, &error), -EBADMSG);
        plan_release(plan);
    }
    bytes[length] = 'a'; /* no object */
    assert_int_equal(plan_decode(plan, bytes, length + 5, &error), -EBADMSG);
    plan_release(plan);
    bytes[0] = 0;
    assert_int_equal(plan_decode(plan, bytes, length + 5, &error), -EBADMSG);
    memset(bytes, 0xff, 4);
    assert_int_equal(plan_decode(plan, bytes, length + 5, &error), -EBADMSG);
    assert_non_null(strstr(error.message, "fetch the image anew"));
    free(bytes);
    free(plan);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_values_that_are_cut_or_longer),
        cmocka_unit_test(test_values_that_lie),
        cmocka_unit_test(test_answers_that_are_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
