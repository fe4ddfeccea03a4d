/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/fixture.h"

#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static void test_levels(void **state)
{
    struct log log = memory_log(LOG_WARN);
    char text[256];

    (void)state;
    log_error(&log, "one %d", 1);
    log_warn(&log, "two");
    log_info(&log, "three");
    log_debug(&log, "four");
    assert_string_equal(memory_log_text(&log, text, sizeof(text)),
                        "mote: error: one 1\nmote: warn: two\n");
    close(log.fd);
}

static void test_names(void **state)
{
    (void)state;
    for (int level = 0; level < LOG_LEVEL_COUNT; level++)
        assert_non_null(log_level_names[level]);
    assert_string_equal(log_level_names[LOG_INFO], "info");
    assert_null(log_level_names[LOG_LEVEL_COUNT]);
}

static void test_raw_terminal(void **state)
{
    struct log log = memory_log(LOG_INFO);
    char text[64];

    (void)state;
    log.raw_terminal = true;
    log_info(&log, "line");
    assert_string_equal(memory_log_text(&log, text, sizeof(text)), "mote: line\r\n");
    close(log.fd);
}

/* However long the line: one line, cut, with its end. */
static void test_long_lines(void **state)
{
    char *text = calloc(1, 8192), *back = calloc(1, 8192);

    (void)state;
    for (size_t length = 990; length < 1100; length++) {
        struct log log = memory_log(LOG_INFO);

        log.raw_terminal = length % 2;
        memset(text, 'x', length);
        text[length] = '\0';
        log_info(&log, "%s", text);
        memory_log_text(&log, back, 8192);
        assert_true(strlen(back) < 1024);
        assert_ptr_equal(strchr(back, '\n'), back + strlen(back) - 1);
        close(log.fd);
    }
    free(text);
    free(back);
}

static void test_limit(void **state)
{
    struct log log = memory_log(LOG_WARN);
    struct log_limit limit = { 0 }, other = { 0 }, quiet = { 0 };
    char text[2048];

    (void)state;
    for (unsigned int i = 0; i < 100000; i++) {
        log_limited(&log, &limit, LOG_WARN, "again %u", i);
        log_limited(&log, &quiet, LOG_DEBUG, "too quiet to count");
    }
    assert_int_equal(memory_log_lines(&log), 11);
    memory_log_text(&log, text, sizeof(text));
    assert_non_null(strstr(text, "again 9\n"));
    assert_null(strstr(text, "again 10"));
    assert_non_null(strstr(text, "further messages"));
    log_limited(&log, &other, LOG_WARN, "another kind");
    assert_int_equal(memory_log_lines(&log), 12);
    close(log.fd);
}

/* Limits that begin anew with each start of a VM share one allowance, also with processes forked later. */
static void test_allowance(void **state)
{
    struct log log = memory_log(LOG_WARN);
    struct error error = ERROR_INIT;
    char text[16384];
    pid_t pid;

    (void)state;
    assert_int_equal(log_share(&log, &error), 0);
    pid = fork();
    assert_true(pid >= 0);
    for (unsigned int start = 0; start < 1000; start++) {
        struct log_limit limit = { 0 };

        for (unsigned int i = 0; pid == 0 && i < 12; i++)
            log_limited(&log, &limit, LOG_WARN, "again");
        log_limited(&log, NULL, LOG_WARN, "once a start");
    }
    if (pid == 0)
        _exit(0);
    waitpid(pid, NULL, 0);
    /* A refill meanwhile lets through a line or two, on a slow machine. */
    assert_in_range(memory_log_lines(&log), LOG_ALLOWANCE + 1, LOG_ALLOWANCE + 10);
    memory_log_text(&log, text, sizeof(text));
    assert_non_null(strstr(text, "the guest causes too many messages: of these, one in 10 s"));
    log_error(&log, "ours are not limited");
    log_tell_left_out(&log);
    memory_log_text(&log, text, sizeof(text));
    assert_non_null(strstr(text, "ours are not limited\n"));
    assert_non_null(strstr(text, " messages that the guest caused were left out\n"));
    assert_in_range(atoi(strstr(text, "not limited\n") + strlen("not limited\nmote: warn: ")),
                    13000, 14000 - LOG_ALLOWANCE + 11);
    munmap(log.allowance, sizeof(*log.allowance));
    close(log.fd);
}

/* A monitor that a guest has taken over writes into the allowance what it likes. */
static void test_an_allowance_in_a_guests_hands(void **state)
{
    static const long long times[] = { LLONG_MIN, LLONG_MIN + 1, -1, 0, LLONG_MAX, LLONG_MAX - 1 };
    static const unsigned int counts[] = { 0, UINT_MAX, INT_MAX, LOG_ALLOWANCE + 1 };
    struct error error = ERROR_INIT;

    (void)state;
    for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++)
        for (size_t j = 0; j < sizeof(counts) / sizeof(counts[0]); j++) {
            struct log log = memory_log(LOG_WARN);

            assert_int_equal(log_share(&log, &error), 0);
            atomic_store(&log.allowance->refilled_at, times[i]);
            atomic_store(&log.allowance->lines, counts[j]);
            for (unsigned int line = 0; line < 3 * LOG_ALLOWANCE; line++)
                log_limited(&log, NULL, LOG_WARN, "again");
            assert_in_range(memory_log_lines(&log), 1, LOG_ALLOWANCE + 10);
            munmap(log.allowance, sizeof(*log.allowance));
            close(log.fd);
        }
}

static void test_nothing_left_out(void **state)
{
    struct log log = memory_log(LOG_WARN);
    struct error error = ERROR_INIT;

    (void)state;
    log_tell_left_out(&log);
    assert_int_equal(log_share(&log, &error), 0);
    log_limited(&log, NULL, LOG_WARN, "one");
    log_tell_left_out(&log);
    assert_int_equal(memory_log_lines(&log), 1);
    munmap(log.allowance, sizeof(*log.allowance));
    close(log.fd);
}

struct shared {
    struct log log;
    struct log_limit limit;
};

static void *log_much(void *context)
{
    struct shared *shared = context;

    for (unsigned int i = 0; i < 10000; i++)
        log_limited(&shared->log, &shared->limit, LOG_WARN, "from a thread");
    return NULL;
}

static void test_limit_across_threads(void **state)
{
    struct shared shared = { .log = memory_log(LOG_WARN) };
    pthread_t threads[4];

    (void)state;
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, log_much, &shared), 0);
    for (size_t i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(memory_log_lines(&shared.log), 11);
    close(shared.log.fd);
}

/* A supervisor does not stand still with whoever reads its lines; the first is waited for, a second long. */
static void test_a_reader_that_stopped(void **state)
{
    struct log log = { .level = LOG_INFO };
    struct error error = ERROR_INIT;
    char bytes[4096] = "";
    int ends[2];

    (void)state;
    assert_int_equal(pipe2(ends, O_NONBLOCK), 0);
    while (write(ends[1], bytes, sizeof(bytes)) > 0)
        continue;
    assert_int_equal(fcntl(ends[1], F_SETFL, 0), 0);
    log.fd = ends[1];
    assert_int_equal(log_share(&log, &error), 0);
    alarm(20);
    for (unsigned int i = 0; i < 100; i++)
        log_warn(&log, "nobody reads this");
    alarm(0);
    /* And once it reads again, it gets the next one. */
    assert_int_equal(read(ends[0], bytes, sizeof(bytes)), sizeof(bytes));
    log_warn(&log, "this is read");
    while (read(ends[0], bytes, sizeof(bytes) - 1) == (ssize_t)sizeof(bytes) - 1)
        continue;
    assert_non_null(memmem(bytes, sizeof(bytes), "this is read", 12));
    close(ends[0]);
    close(ends[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_levels),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_raw_terminal),
        cmocka_unit_test(test_long_lines),
        cmocka_unit_test(test_limit),
        cmocka_unit_test(test_limit_across_threads),
        cmocka_unit_test(test_allowance),
        cmocka_unit_test(test_an_allowance_in_a_guests_hands),
        cmocka_unit_test(test_nothing_left_out),
        cmocka_unit_test(test_a_reader_that_stopped),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
