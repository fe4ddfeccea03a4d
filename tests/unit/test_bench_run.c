/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Real starts of stand-ins: shell scripts that work, fail, hang, print nothing,
 * go to the background, or print all but the line.
 */
#include "tests/support/workshop_bench.h"

#include <errno.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/bench/process_tree.h"
#include "vmm/base/cleanup.h"

/* A contender of that NAME which is the shell SCRIPT. */
static struct entry *put(const char *name, const char *script)
{
    struct entry *entry = results_find(&bench.results, name);
    FILE *file;

    snprintf(entry->program, sizeof(entry->program), "%s/%s", folder, name);
    file = fopen(entry->program, "w");
    assert_non_null(file);
    fprintf(file, "#!/bin/sh\n%s\n", script);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(entry->program, 0755), 0);
    entry->chosen = true;
    return entry;
}

static int measure(void)
{
    struct error error = ERROR_INIT;

    assert_int_equal(instances_prepare(&error), 0);
    return bench_measure(&bench, &error);
}

static size_t count_of(const struct entry *entry, enum metric metric)
{
    return entry->samples[metric].count;
}

#define WORKS "case \"$1\" in --version) echo 'stand-in 1';; *) echo mote-probe 1;; esac"

/* ---- starts --------------------------------------------------------------- */

static void one_that_works(void **state)
{
    struct entry *crun = put("crun", WORKS);

    (void)state;
    assert_int_equal(measure(), 0);
    assert_int_equal(count_of(crun, METRIC_RESULT), 2);
    assert_int_equal(count_of(crun, METRIC_END), 2);
    assert_int_equal(count_of(crun, METRIC_FREED), 2);
    assert_int_equal(count_of(crun, METRIC_CPU), 2);
    /* It said 1 ns, which is before its spawn: another clock. */
    assert_int_equal(count_of(crun, METRIC_WORKLOAD), 0);
    assert_string_equal(crun->version, "stand-in 1");
    assert_int_equal(crun->failures, 0);
    assert_true(entry_value(crun, METRIC_RESULT, STATISTIC_P50) <=
                entry_value(crun, METRIC_END, STATISTIC_P50));
}

/* A failure is one contender's own, with its last words as they can be shown. */
static void failures_have_reasons(void **state)
{
    struct entry *crun = put("crun", WORKS);
    struct entry *runc = put("runc", "echo first >&2; printf 'no \\033[1mcgroup\\n\\n' >&2; exit 3");
    struct entry *podman = put("podman", "echo something else");
    struct entry *bubblewrap = put("bubblewrap", "echo mote-probe 1; kill -9 $$");
    /* The reason is in what it prints, and standard error has but a word; lines may be endless. */
    struct entry *runsc = put("runsc", "echo 'missing KVM capability'; echo bye; echo Shutdown >&2; exit 1");
    struct entry *other = put("podman-default", "printf 'a\\nfailed to run\\n\\nStack backtrace:\\n 0: x\\n' >&2; exit 1");
    struct entry *nspawn = put("systemd-nspawn", "head -c 5000 /dev/zero | tr '\\0' x >&2; exit 1");

    (void)state;
    assert_int_equal(measure(), 0);
    assert_int_equal(count_of(crun, METRIC_RESULT), 2);
    assert_string_equal(runc->failure, "status 3: first | no ?[1mcgroup");
    assert_string_equal(podman->failure, "the job printed nothing: something else");
    assert_string_equal(bubblewrap->failure, "signal 9: mote-probe 1");
    assert_string_equal(runsc->failure,
                        "status 1: Shutdown; it printed: missing KVM capability | bye");
    assert_string_equal(other->failure, "status 1: a | failed to run");
    assert_true(strlen(nspawn->failure) > 100 && strlen(nspawn->failure) < 250);
    assert_int_equal(count_of(runc, METRIC_RESULT) + count_of(podman, METRIC_RESULT) +
                     count_of(bubblewrap, METRIC_RESULT), 0);
}

/* It works once, and then no more: what it had counts, and it is left alone. */
static void three_failures_are_enough(void **state)
{
    struct entry *crun = put("crun", "test \"$1\" = --version && exit 0; echo x >>$0.count;"
                             "test $(wc -l <$0.count) -gt 2 && exit 1; echo mote-probe 1");

    (void)state;
    options.runs = 20;
    assert_int_equal(measure(), 0);
    assert_int_equal(crun->failures, 3);
    assert_int_equal(count_of(crun, METRIC_RESULT), 1);
    assert_string_equal(crun->failure, "status 1 without a message; 'mote bench --list' shows its command");
}

static void nothing_is_left_to_measure(void **state)
{
    struct error error = ERROR_INIT;

    (void)state;
    assert_int_equal(bench_measure(&bench, &error), -ENOENT);
    assert_non_null(strstr(error.message, "--list"));
    put("crun", "echo broken >&2; exit 1");
    assert_int_equal(bench_measure(&bench, &error), -EIO);
    assert_non_null(strstr(error.message, "crun: status 1: broken"));
}

/* What goes to the background is waited for, charged, and at last killed. */
static void background(void **state)
{
    struct entry *crun = put("crun", "test \"$1\" = --version && exit 0; echo mote-probe 1;"
                             "(sleep 0.3; i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done) >/dev/null &");

    (void)state;
    assert_int_equal(measure(), 0);
    assert_int_equal(count_of(crun, METRIC_FREED), 2);
    assert_true(entry_value(crun, METRIC_FREED, STATISTIC_P50) >
                entry_value(crun, METRIC_END, STATISTIC_P50) + 200);
    assert_true(entry_value(crun, METRIC_CPU, STATISTIC_P50) > 5);
}

/* Its line comes in pieces, after more than the buffer holds. */
static void noise_before_the_line(void **state)
{
    struct entry *crun = put("crun", "test \"$1\" = --version && exit 0; head -c 10000 /dev/zero;"
                             "printf 'xmote-pro'; sleep 0.1; printf 'be 77'; sleep 0.1; echo; exit 0");

    (void)state;
    options.runs = 1;
    assert_int_equal(measure(), 0);
    assert_int_equal(count_of(crun, METRIC_RESULT), 1);
    assert_true(entry_value(crun, METRIC_RESULT, STATISTIC_P50) > 190);
}

static void a_hang_ends(void **state)
{
    char script[] = "sleep 1000";
    struct entry *crun = put("crun", script);
    char *words[] = { crun->program, NULL };
    struct error error = ERROR_INIT;
    struct instance instance;
    char why[256];

    (void)state;
    assert_int_equal(instances_prepare(&error), 0);
    assert_int_equal(instance_start(&instance, words, false, &error), 0);
    assert_false(instances_wait(&instance, 1, GOAL_END, now_ns() + SECOND / 5, &never));
    instance_failure(&instance, why, sizeof(why));
    assert_string_equal(why, "the job printed nothing in time");
    bench_settle(&instance, 1);
    assert_true(instance.ended > 0);
    instance_close(&instance);
    assert_int_equal(tree_kill(), 0);
}

static void no_such_program(void **state)
{
    char program[] = "/no/such/program";
    char *words[] = { program, NULL };
    struct error error = ERROR_INIT;
    struct instance instance;

    (void)state;
    assert_int_equal(instance_start(&instance, words, true, &error), -ENOENT);
    assert_non_null(strstr(error.message, "/no/such/program"));
}

/* Ours is raised, for hundreds of them; what they inherit is the user's. */
static void the_limit_of_files_is_the_users(void **state)
{
    struct entry *crun = put("crun", "test \"$1\" = --version && exit 0; test $(ulimit -n) = 200 || exit 9;"
                             "echo mote-probe 1");
    struct rlimit limit;

    (void)state;
    assert_int_equal(measure(), 0);
    assert_int_equal(crun->failures, 0);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_int_equal(limit.rlim_cur, limit.rlim_max);
}

/* ---- the other axes ------------------------------------------------------- */

#define IDLES "case \"$1\" in --version) ;; *) echo mote-probe 1;" \
              "case \"$*\" in *idle*) cat >/dev/null;; esac;; esac"

/* Figures come with the line; one that takes no part is not asked. */
static void figures_of_the_job(void **state)
{
    struct entry *bubblewrap = put("bubblewrap", "case \"$*\" in *block*) echo mote-probe 1 2000.5 30;;"
                                   "*network*) echo mote-probe 1 7;; *) echo mote-probe 1;; esac");
    struct entry *crun = put("crun", "echo mote-probe 1 5 5"), *runc = put("runc", "case \"$*\" in "
                             "*block*) echo 'mote-probe: /mote-data: bad' >&2; exit 1;;"
                             "*) echo mote-probe 1;; esac");

    (void)state;
    options.axes = "block,network";
    assert_int_equal(measure(), 0);
    assert_true(entry_value(bubblewrap, METRIC_BLOCK_RANDOM, STATISTIC_P50) == 2000.5);
    assert_true(entry_value(bubblewrap, METRIC_BLOCK_STREAM, STATISTIC_P50) == 30);
    assert_true(entry_value(crun, METRIC_BLOCK_RANDOM, STATISTIC_P50) == 5);
    assert_int_equal(count_of(crun, METRIC_NETWORK_TRIPS), 0);
    assert_string_equal(runc->failure, "status 1: mote-probe: /mote-data: bad");
    /* Without an address of this host's there is a note, else its one figure. */
    assert_int_equal(count_of(bubblewrap, METRIC_NETWORK_TRIPS) + bench.results.note_count, 1);
    assert_int_equal(count_of(bubblewrap, METRIC_NETWORK_OUT), 0);
}

/* The job's own words are found amid what a VM's console says last. */
static void own_words_say_more(void **state)
{
    struct entry *crun = put("crun", "echo mote-probe: eth0: gone; echo reboot: last words; exit 1");

    (void)state;
    assert_int_equal(bench_measure(&bench, &(struct error)ERROR_INIT), -EIO);
    assert_string_equal(crun->failure, "status 1: mote-probe: eth0: gone");
}

static void all_axes(void **state)
{
    struct entry *crun = put("crun", IDLES);

    (void)state;
    options.axes = "at-once,rate,memory,density";
    options.memory_budget = 8 << 20;
    options.at_once = 9;
    assert_int_equal(measure(), 0);
    assert_int_equal(crun->failures, 0);
    for (enum metric metric = METRIC_AT_ONCE_1; metric <= METRIC_RATE; metric++)
        assert_int_equal(count_of(crun, metric), 1);
    assert_true(entry_value(crun, METRIC_RATE, STATISTIC_P50) > 1);
    assert_int_equal(count_of(crun, METRIC_HELD_SLOPE), 1);
    assert_true(entry_value(crun, METRIC_PSS, STATISTIC_P50) > 0);
    assert_int_equal(count_of(crun, METRIC_RESULT), 0);
    assert_int_equal(tree_kill(), 0);
}

/*
 * Its own place for containers works once, as podman's does on an overlay, and
 * ours always; that is told.  What only lists them proves nothing: the row decides.
 */
static void podman_gets_storage_that_works(void **state)
{
    struct entry *podman = put("podman", "case \"$1\" in --version|ps) exit 0;; esac\n"
                               "test \"$1\" = --root || echo x >>$0.count\n"
                               "test \"$1\" = --root || test $(wc -l <$0.count) = 1 ||"
                               "{ echo 'no overlay here' >&2; exit 125; }\n"
                               "test \"$1\" = run || test -d \"${2%/podman}\" && echo mote-probe 1");
    struct entry *other = put("podman-default", WORKS);

    (void)state;
    assert_int_equal(measure(), 0);
    assert_int_equal(podman->failures, 0);
    assert_string_equal(podman->failure, "");
    assert_int_equal(count_of(podman, METRIC_RESULT), 2);
    assert_int_equal(bench.results.note_count, 1);
    assert_non_null(strstr(bench.results.notes[0], "podman fails with its own storage"));
    assert_non_null(strstr(bench.results.notes[0], "no overlay here"));
    assert_false(other->has_lent_storage);
}

static void podman_keeps_storage_that_works(void **state)
{
    struct entry *podman = put("podman", "test \"$1\" != --root && echo mote-probe 1");

    (void)state;
    assert_int_equal(measure(), 0);
    assert_int_equal(podman->failures, 0);
    assert_int_equal(bench.results.note_count, 0);
}

/* It is not its storage, or not alone: both failures are told, and its own storage stays. */
static void podman_fails_with_either_storage(void **state)
{
    struct entry *podman = put("podman", "test \"$1\" = --version && exit 0\n"
                               "test \"$1\" = --root && { echo 'of the other' >&2; exit 1; }\n"
                               "echo 'no crun here' >&2; exit 125");

    (void)state;
    put("crun", WORKS);
    assert_int_equal(measure(), 0);
    assert_int_equal(podman->failures, 1);
    assert_string_equal(podman->failure, "status 125: no crun here; "
                        "with storage of vfs here: status 1: of the other");
    assert_false(podman->has_lent_storage);
    assert_int_equal(bench.results.note_count, 0);
}

/* A minute is a minute, whatever a contender does. */
static void quick_has_an_end(void **state)
{
    struct entry *crun = put("crun", "test \"$1\" = --version && exit 0; sleep 1000");
    int64_t begun = now_ns();

    (void)state;
    options.quick = true;
    bench.deadline = begun + SECOND;
    put("runc", WORKS);
    assert_int_equal(measure(), -EIO);
    assert_true(now_ns() - begun < 30 * SECOND);
    assert_true(crun->failures > 0);
    assert_string_equal(results_find(&bench.results, "runc")->failure,
                        "was not begun within the minute of --quick");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(one_that_works, set_up, tear_down),
        cmocka_unit_test_setup_teardown(failures_have_reasons, set_up, tear_down),
        cmocka_unit_test_setup_teardown(three_failures_are_enough, set_up, tear_down),
        cmocka_unit_test_setup_teardown(nothing_is_left_to_measure, set_up, tear_down),
        cmocka_unit_test_setup_teardown(background, set_up, tear_down),
        cmocka_unit_test_setup_teardown(noise_before_the_line, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_hang_ends, set_up, tear_down),
        cmocka_unit_test_setup_teardown(no_such_program, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_limit_of_files_is_the_users, set_up, tear_down),
        cmocka_unit_test_setup_teardown(figures_of_the_job, set_up, tear_down),
        cmocka_unit_test_setup_teardown(own_words_say_more, set_up, tear_down),
        cmocka_unit_test_setup_teardown(all_axes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(podman_gets_storage_that_works, set_up, tear_down),
        cmocka_unit_test_setup_teardown(podman_keeps_storage_that_works, set_up, tear_down),
        cmocka_unit_test_setup_teardown(podman_fails_with_either_storage, set_up, tear_down),
        cmocka_unit_test_setup_teardown(quick_has_an_end, set_up, tear_down),
    };
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = 200;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
