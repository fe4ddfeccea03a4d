/* SPDX-License-Identifier: Apache-2.0 */
/* Percentiles are measured values, slopes are those of lines, orders are fair. */
#include "vmm/bench/statistics.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
/* After those that it needs. */
#include <cmocka.h>

#include "vmm/bench/results.h"
#include "vmm/base/cleanup.h"

static struct samples samples;

static int set_up(void **state)
{
    (void)state;
    samples = (struct samples){ .values = NULL };
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    samples_release(&samples);
    return 0;
}

/* Falling, so that the order in which they come is not the sorted one. */
static void add_down_from(unsigned int count)
{
    for (unsigned int value = count; value > 0; value--)
        assert_int_equal(samples_add(&samples, value), 0);
}

static void none_and_one(void **state)
{
    struct summary summary = samples_summary(&samples);

    (void)state;
    assert_int_equal(summary.count, 0);
    assert_true(summary.p50 == 0 && summary.maximum == 0);
    assert_null(samples_sorted(&samples));
    add_down_from(1);
    summary = samples_summary(&samples);
    assert_int_equal(summary.count, 1);
    assert_true(summary.minimum == 1 && summary.p25 == 1 && summary.p50 == 1 && summary.p99 == 1 &&
                summary.maximum == 1);
}

static void percentiles_are_nearest_ranks(void **state)
{
    struct summary summary;

    (void)state;
    add_down_from(4);
    summary = samples_summary(&samples);
    assert_true(summary.minimum == 1 && summary.p25 == 1 && summary.p50 == 2 && summary.p75 == 3);
    assert_true(summary.p90 == 4 && summary.p99 == 4 && summary.maximum == 4);
    samples_release(&samples);
    add_down_from(200);
    summary = samples_summary(&samples);
    assert_true(summary.p25 == 50 && summary.p50 == 100 && summary.p75 == 150);
    assert_true(summary.p90 == 180 && summary.p99 == 198 && summary.maximum == 200);
    assert_true(samples.values[0] == 200); /* the samples themselves stay in order */
}

static void slopes(void **state)
{
    const double x[] = { 1, 2, 3, 4 }, line[] = { 10, 12.5, 15, 17.5 }, noise[] = { 1, 3, 2, 4 };
    const double same[] = { 5, 5, 5, 5 };

    (void)state;
    assert_true(slope(x, line, 4) > 2.4999 && slope(x, line, 4) < 2.5001);
    assert_true(slope(x, noise, 4) > 0.7999 && slope(x, noise, 4) < 0.8001);
    assert_true(slope(same, line, 4) == 0);
    assert_true(slope(x, line, 0) == 0);
}

/* Each of six orders of three comes about as often as any other. */
static void orders_are_fair(void **state)
{
    unsigned int seen[27] = { 0 };
    uint64_t random = 88172645463325252ull;

    (void)state;
    for (unsigned int i = 0; i < 6000; i++) {
        size_t order[] = { 0, 1, 2 };

        shuffle(order, 3, &random);
        assert_int_equal(order[0] + order[1] + order[2], 3);
        seen[order[0] * 9 + order[1] * 3 + order[2]]++;
    }
    for (size_t i = 0, orders = 0; i < ARRAY_LENGTH(seen); i++)
        if (seen[i] > 0) {
            assert_in_range(seen[i], 850, 1150);
            assert_in_range(++orders, 1, 6);
        }
}

/* To the row of Mote of its own class; to nothing where that has no figure. */
static void ratios(void **state)
{
    struct results results = { .count = 0 };
    struct entry *qemu;

    (void)state;
    assert_int_equal(results_init(&results), 0);
    qemu = results_find(&results, "qemu");
    assert_non_null(qemu);
    samples_add(&qemu->samples[METRIC_RESULT], 30);
    assert_true(entry_ratio(&results, qemu, METRIC_RESULT) == 0);
    samples_add(&results_find(&results, "mote")->samples[METRIC_RESULT], 1);
    assert_true(entry_ratio(&results, qemu, METRIC_RESULT) == 0);
    samples_add(&results_find(&results, "mote-boot")->samples[METRIC_RESULT], 10);
    assert_true(entry_ratio(&results, qemu, METRIC_RESULT) == 3);
    samples_release(&results_find(&results, "mote-boot")->samples[METRIC_RESULT]);
    samples_add(&results_find(&results, "mote-boot")->samples[METRIC_RESULT], 0);
    assert_true(entry_ratio(&results, qemu, METRIC_RESULT) == 0);
    results_release(&results);
}

/* Every row's base is a row of Mote's own, there is but one of each name, classes are in order. */
static void table_is_sound(void **state)
{
    struct results results = { .count = 0 };

    (void)state;
    assert_int_equal(results_init(&results), 0);
    for (size_t i = 0; i < results.count; i++) {
        const struct contender *contender = results.entries[i].contender;
        const struct entry *base = results_find(&results, contender->base);

        assert_ptr_equal(results_find(&results, contender->name), &results.entries[i]);
        assert_non_null(base);
        assert_string_equal(base->contender->program, "mote");
        assert_true(strncmp(contender->command, "@program", 8) == 0);
        assert_true(i == 0 || contender[-1].class <= contender->class);
    }
    results_release(&results);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(none_and_one, set_up, tear_down),
        cmocka_unit_test_setup_teardown(percentiles_are_nearest_ranks, set_up, tear_down),
        cmocka_unit_test_setup_teardown(slopes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(orders_are_fair, set_up, tear_down),
        cmocka_unit_test_setup_teardown(ratios, set_up, tear_down),
        cmocka_unit_test_setup_teardown(table_is_sound, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
