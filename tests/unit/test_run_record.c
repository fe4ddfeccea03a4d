/* SPDX-License-Identifier: Apache-2.0 */
/* The guest's records: in every cut, out of order, too long, and no records at all. */
#include "vmm/job/record.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
/* After those that it needs. */
#include <cmocka.h>

#include "vmm/base/cleanup.h"

static uint8_t bytes[8192];
static size_t length;
static struct record_reader reader;
static struct record record;

static int set_up(void **state)
{
    (void)state;
    length = 0;
    reader = (struct record_reader){ .used = 0 };
    return 0;
}

static void put(uint32_t type, const void *payload, size_t size)
{
    struct run_header header = { type, (uint32_t)size };

    memcpy(bytes + length, &header, sizeof(header));
    if (size > 0)
        memcpy(bytes + length + sizeof(header), payload, size);
    length += sizeof(header) + size;
}

static void put_hello(void)
{
    put(RUN_HELLO, &(struct run_hello){ RUN_VERSION }, sizeof(struct run_hello));
}

static void put_failed(uint32_t failure, uint32_t number, const char *text)
{
    uint8_t payload[RUN_GUEST_RECORD_MAX];
    struct run_failed failed = { failure, number };

    memcpy(payload, &failed, sizeof(failed));
    memcpy(payload + sizeof(failed), text, strlen(text));
    put(RUN_FAILED, payload, sizeof(failed) + strlen(text));
}

/* Reads all in pieces of SIZE; the last result. */
static int read_in_pieces(size_t size, unsigned int *count)
{
    *count = 0;
    for (size_t at = 0; at < length; at += size) {
        const uint8_t *next = bytes + at;
        size_t left = size < length - at ? size : length - at;
        int result;

        while ((result = record_read(&reader, &next, &left, &record)) == 1)
            (*count)++;
        if (result < 0)
            return result;
        assert_int_equal(left, 0);
    }
    return 0;
}

static int read_all(void)
{
    unsigned int count;

    return read_in_pieces(length, &count);
}

static void test_every_cut(void **state)
{
    struct run_ended ended = { .exited = 1, .status = 42, .cpu_us = 1234567, .oom_kills = 1 };

    (void)state;
    put_hello();
    put(RUN_STARTED, NULL, 0);
    put(RUN_ENDED, &ended, sizeof(ended));
    for (size_t size = 1; size <= length; size++) {
        unsigned int count;

        reader = (struct record_reader){ .used = 0 };
        assert_int_equal(read_in_pieces(size, &count), 0);
        assert_int_equal(count, 3);
        assert_int_equal(record.type, RUN_ENDED);
        assert_int_equal(record.ended.status, 42);
        assert_int_equal(record.ended.cpu_us, 1234567);
    }
}

static void test_failure_is_one_printable_line(void **state)
{
    (void)state;
    put_hello();
    put_failed(RUN_FAILED_SETUP, 2, "mount\n\x1b[2J /dev/vda\xff");
    assert_int_equal(read_all(), 0);
    assert_int_equal(record.failed.number, 2);
    assert_string_equal(record.text, "mount??[2J /dev/vda?");
}

static void test_longest_text(void **state)
{
    char text[RUN_GUEST_RECORD_MAX];

    (void)state;
    memset(text, 'x', sizeof(text));
    text[RUN_GUEST_RECORD_MAX - sizeof(struct run_failed)] = '\0';
    put_hello();
    put_failed(RUN_FAILED_EXEC, 2, text);
    assert_int_equal(read_all(), 0);
    assert_int_equal(strlen(record.text), RUN_GUEST_RECORD_MAX - sizeof(struct run_failed));
}

static void test_order(void **state)
{
    static const uint32_t wrong[][2] = {
        { RUN_HELLO, RUN_HELLO }, { RUN_HELLO, RUN_ENDED }, { RUN_STARTED, 0 }, { RUN_ENDED, 0 },
        { RUN_FAILED, 0 }, { RUN_JOB, 0 }, { RUN_SIGNAL, 0 }, { RUN_WINDOW, 0 }, { 0, 0 },
        { RUN_PREPARE, 0 }, { RUN_PREPARED, 0 }, { RUN_ENDED + 1, 0 }, { UINT32_MAX, 0 },
    };
    static const size_t sizes[] = {
        [RUN_HELLO] = sizeof(struct run_hello), [RUN_ENDED] = sizeof(struct run_ended),
        [RUN_FAILED] = sizeof(struct run_failed), [RUN_STARTED] = 0,
    };
    static const uint8_t zeros[64];

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(wrong); i++) {
        set_up(NULL);
        for (size_t j = 0; j < 2 && (j == 0 || wrong[i][j]); j++)
            put(wrong[i][j], zeros, wrong[i][j] < ARRAY_LENGTH(sizes) ? sizes[wrong[i][j]] : 0);
        assert_int_equal(read_all(), -EPROTO);
    }
}

/* A guest that becomes a template says one thing more, once and before the job. */
static void test_prepared(void **state)
{
    static const uint32_t wrong[] = { RUN_HELLO, RUN_PREPARED, RUN_ENDED, RUN_JOB };

    (void)state;
    put_hello();
    put(RUN_PREPARED, NULL, 0);
    put(RUN_STARTED, NULL, 0);
    put(RUN_ENDED, &(struct run_ended){ .exited = 1 }, sizeof(struct run_ended));
    assert_int_equal(read_all(), 0);
    set_up(NULL);
    put_hello();
    put(RUN_PREPARED, NULL, 0);
    put_failed(RUN_FAILED_EXEC, 2, "no-such-program");
    assert_int_equal(read_all(), 0);
    for (size_t i = 0; i < ARRAY_LENGTH(wrong); i++) {
        set_up(NULL);
        put_hello();
        put(RUN_PREPARED, NULL, 0);
        put(wrong[i], NULL, 0);
        assert_int_equal(read_all(), -EPROTO);
    }
    set_up(NULL);
    put_hello();
    put(RUN_STARTED, NULL, 0);
    put(RUN_PREPARED, NULL, 0);
    assert_int_equal(read_all(), -EPROTO);
}

static void test_failure_while_it_runs_is_the_last(void **state)
{
    (void)state;
    put_hello();
    put(RUN_STARTED, NULL, 0);
    put_failed(RUN_FAILED_SETUP, 0, "poll");
    assert_int_equal(read_all(), 0);
    length = 0;
    put(RUN_ENDED, &(struct run_ended){ .exited = 1 }, sizeof(struct run_ended));
    assert_int_equal(read_all(), -EPROTO);
}

static void test_lengths(void **state)
{
    static const struct {
        uint32_t type, length;
    } wrong[] = {
        { RUN_HELLO, 0 }, { RUN_HELLO, 3 }, { RUN_HELLO, 5 }, { RUN_HELLO, UINT32_MAX },
        { RUN_HELLO, RUN_GUEST_RECORD_MAX + 1 },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(wrong); i++) {
        struct run_header header = { wrong[i].type, wrong[i].length };

        set_up(NULL);
        memcpy(bytes, &header, sizeof(header));
        length = sizeof(header); /* refused before a byte of it has come */
        assert_int_equal(read_all(), -EPROTO);
    }
    set_up(NULL);
    put_hello();
    put_failed(RUN_FAILED_SETUP, 0, "");
    ((struct run_header *)(void *)(bytes + 12))->length = RUN_GUEST_RECORD_MAX + 1;
    assert_int_equal(read_all(), -EPROTO);
}

static void test_values(void **state)
{
    static const struct run_ended wrong[] = {
        { .exited = 2 }, { .exited = 1, .status = 256 }, { .exited = 0, .status = 65 },
        { .exited = UINT32_MAX, .status = UINT32_MAX },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(wrong); i++) {
        set_up(NULL);
        put_hello();
        put(RUN_STARTED, NULL, 0);
        put(RUN_ENDED, &wrong[i], sizeof(wrong[i]));
        assert_int_equal(read_all(), -EPROTO);
    }
    set_up(NULL);
    put_hello();
    put_failed(RUN_FAILED_DIRECTORY, 20, "/srv");
    assert_int_equal(read_all(), 0);
    set_up(NULL);
    put_hello();
    put_failed(4, 0, "");
    assert_int_equal(read_all(), -EPROTO);
    set_up(NULL);
    put_hello();
    put_failed(RUN_FAILED_EXEC, 4096, "");
    assert_int_equal(read_all(), -EPROTO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_every_cut, set_up),
        cmocka_unit_test_setup(test_failure_is_one_printable_line, set_up),
        cmocka_unit_test_setup(test_longest_text, set_up),
        cmocka_unit_test_setup(test_order, set_up),
        cmocka_unit_test_setup(test_prepared, set_up),
        cmocka_unit_test_setup(test_failure_while_it_runs_is_the_last, set_up),
        cmocka_unit_test_setup(test_lengths, set_up),
        cmocka_unit_test_setup(test_values, set_up),
    };

    return cmocka_run_group_tests_name("run record", tests, NULL, NULL);
}
