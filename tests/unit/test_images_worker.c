/* SPDX-License-Identifier: Apache-2.0 */
/* What a process that reads an archive answers, which may be in the archive's hands. */
#include "vmm/images/worker.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>
/* After those that it needs. */
#include <cmocka.h>

#include "vmm/jail/sandbox.h"

static int say(void *context, int pipe, struct error *error)
{
    return worker_answer(pipe, context, strlen(context), error);
}

static int fail_in_color(void *context, int pipe, struct error *error)
{
    (void)context;
    (void)pipe;
    error->number = 5;
    strcpy(error->message, "\033[2Jtwo\nlines");
    return -5;
}

static int leave_amid_the_answer(void *context, int pipe, struct error *error)
{
    (void)worker_answer(pipe, context, strlen(context), error);
    _exit(0);
}

static int run(int (*what)(void *context, int pipe, struct error *error), const char *words, void *answer, size_t size,
               size_t *length, struct error *error)
{
    struct sandbox_config config = SANDBOX_CONFIG_DEFAULT;
    struct log log = LOG_INIT;
    struct worker worker = { .folder = -1, .what = "the worker", .run = what, .context = (void *)(uintptr_t)words };
    struct sandbox *sandbox;
    int result;

    log.level = LOG_ERROR; /* that it is off is no news */
    config.mode = SANDBOX_OFF;
    config.kind = SANDBOX_ARCHIVES;
    *error = (struct error)ERROR_INIT;
    assert_int_equal(sandbox_create(&sandbox, &config, &log, error), 0);
    worker.sandbox = sandbox;
    result = worker_run(&worker, answer, size, length, error);
    sandbox_destroy(sandbox);
    return result;
}

static void test_answers(void **state)
{
    struct error error;
    char answer[4];
    size_t length;

    (void)state;
    assert_int_equal(run(say, "four", answer, sizeof(answer), &length, &error), 0);
    assert_int_equal(length, 4);
    assert_memory_equal(answer, "four", 4);
    assert_int_equal(run(say, "no", answer, sizeof(answer), &length, &error), 0);
    assert_int_equal(length, 2);
    /* Where none is wanted there is no place for one. */
    assert_int_equal(run(say, "", NULL, 0, &length, &error), 0);
    assert_int_equal(length, 0);
}

static void test_answers_of_an_archive(void **state)
{
    struct error error;
    char answer[4] = "";
    size_t length;

    (void)state;
    assert_true(run(say, "fifth", answer, sizeof(answer), &length, &error) < 0);
    assert_true(run(say, "x", NULL, 0, &length, &error) < 0);
    assert_true(run(leave_amid_the_answer, "four", answer, sizeof(answer), &length, &error) < 0);
    assert_string_equal(answer, "");
    assert_int_equal(run(fail_in_color, "", answer, sizeof(answer), &length, &error), -5);
    assert_string_equal(error.message, "?[2Jtwo?lines");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_answers_of_an_archive),
    };

    return cmocka_run_group_tests_name("image workers", tests, NULL, NULL);
}
