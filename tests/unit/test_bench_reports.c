/* SPDX-License-Identifier: Apache-2.0 */
/* The reports, of results that other programs' texts try to break. */
#include "vmm/bench/report.h"

#include <ctype.h>
#include <json-c/json.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
/* After those that it needs. */
#include <cmocka.h>

#include "vmm/bench/html.h"
#include "vmm/base/cleanup.h"

#define HOSTILE "</p><script>alert('x')</script> & \"q\", \x01\x1b[31m \xff\xc3 ]]>"

static struct results results;
static char *text;
static size_t length;

static int set_up(void **state)
{
    const double starts[] = { 4, 1, 3, 2, 0 };

    (void)state;
    results = (struct results){ .host = { .kernel = HOSTILE, .processor = HOSTILE, .cpus = 2 } };
    if (results_init(&results) < 0)
        return -1;
    for (size_t i = 0; i < results.count; i++) {
        struct entry *entry = &results.entries[i];

        entry->chosen = true;
        strcpy(entry->program, "/bin/a, program");
        for (size_t j = 0; j < ARRAY_LENGTH(starts); j++)
            samples_add(&entry->samples[METRIC_RESULT], starts[j] * ((double)i + 1));
        samples_add(&entry->samples[METRIC_DENSITY], 12);
    }
    strcpy(results.kernel, HOSTILE);
    strcpy(results_find(&results, "crun")->version, HOSTILE);
    results_find(&results, "crun")->failures = 2;
    strcpy(results_find(&results, "crun")->failure, HOSTILE);
    results_find(&results, "runsc")->program[0] = '\0';
    samples_release(&results_find(&results, "runsc")->samples[METRIC_RESULT]);
    samples_release(&results_find(&results, "runsc")->samples[METRIC_DENSITY]);
    results.step_count = 3;
    strcpy(results.steps[0].name, "main");
    results.steps[1] = (struct step){ HOSTILE, 2 };
    results.steps[2] = (struct step){ "backwards", -1 };
    results_note(&results, "%s", HOSTILE);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    results_release(&results);
    free(text);
    text = NULL;
    return 0;
}

static void write_report(void (*report)(const struct results *, FILE *))
{
    FILE *stream = open_memstream(&text, &length);

    assert_non_null(stream);
    report(&results, stream);
    assert_int_equal(fclose(stream), 0);
    assert_int_equal(strlen(text), length);
}

/* ---- JSON ----------------------------------------------------------------- */

static struct json_object *member(struct json_object *object, const char *key)
{
    struct json_object *value;

    assert_true(json_object_object_get_ex(object, key, &value));
    return value;
}

static void json_can_be_read(void **state)
{
    struct json_object *document, *list, *first, *metric;

    (void)state;
    write_report(report_json);
    document = json_tokener_parse(text);
    assert_non_null(document);
    list = member(document, "contenders");
    assert_int_equal(json_object_array_length(list), results.count);
    first = json_object_array_get_idx(list, 0);
    assert_string_equal(json_object_get_string(member(first, "name")), "process");
    metric = member(member(first, "metrics"), "start.result");
    assert_true(json_object_get_double(member(metric, "p50")) == 2);
    assert_int_equal(json_object_array_length(member(metric, "samples")), 5);
    assert_null(strstr(text, "\xff"));
    assert_null(strchr(text, '\x1b'));
    assert_int_equal(json_object_array_length(member(document, "mote_steps")), 3);
    json_object_put(document);
}

/* ---- CSV ------------------------------------------------------------------ */

/* The fields of one line, by RFC 4180; moves *AT behind it. */
static unsigned int count_fields(const char **at)
{
    unsigned int fields = 1;
    bool quoted = false;

    for (; **at && (quoted || **at != '\n'); (*at)++) {
        if (**at == '"')
            quoted = !quoted;
        else if (**at == ',' && !quoted)
            fields++;
    }
    assert_false(quoted);
    *at += **at == '\n';
    return fields;
}

static void csv_has_its_columns(void **state)
{
    unsigned int lines = 0;

    (void)state;
    write_report(report_csv);
    for (const char *at = text; *at; lines++)
        assert_int_equal(count_fields(&at), 12);
    /* The head, two metrics of all but the absent one, that one and the one that failed. */
    assert_int_equal(lines, 1 + 2 * (results.count - 1) + 2);
    assert_non_null(strstr(text, "& \"\"q\"\", "));
    assert_non_null(strstr(text, "runsc,container,failed,,0,,,,,,,not here\n"));
}

/* What a spreadsheet would compute. */
static void csv_has_no_formula(void **state)
{
    (void)state;
    strcpy(results_find(&results, "crun")->failure, "=1+1");
    write_report(report_csv);
    assert_non_null(strstr(text, ",\"'=1+1\"\n"));
}

/* ---- HTML ----------------------------------------------------------------- */

/* An entity of XML's own, or a number. */
static const char *check_entity(const char *at)
{
    static const char *const known[] = { "&amp;", "&lt;", "&gt;", "&quot;", "&#39;" };

    for (size_t i = 0; i < ARRAY_LENGTH(known); i++)
        if (strncmp(at, known[i], strlen(known[i])) == 0)
            return at + strlen(known[i]);
    fail_msg("an '&' that begins no entity: %.20s", at);
    return NULL;
}

/* Attributes NAME="VALUE" up to '>' or '/>'; returns what follows '<TAG'. */
static const char *check_attributes(const char *at)
{
    while (*at != '>' && strncmp(at, "/>", 2) != 0) {
        assert_int_equal(*at, ' ');
        for (at++; isalnum((unsigned char)*at) || *at == '-'; at++)
            continue;
        assert_int_equal(strncmp(at, "=\"", 2), 0);
        for (at += 2; *at != '"';) {
            assert_true(*at && *at != '<');
            at = *at == '&' ? check_entity(at) : at + 1;
        }
        at++;
    }
    return at;
}

/* Well-formed, as XML has it: each tag is closed in its order, no byte is out of place. */
static void check_page(const char *page)
{
    char open[32][16];
    unsigned int depth = 0;

    assert_int_equal(strncmp(page, "<!DOCTYPE html>\n", 16), 0);
    for (const char *at = page + 16; *at;) {
        bool closing = at[0] == '<' && at[1] == '/';
        size_t name = strspn(at + 1 + closing, "abcdefghijklmnopqrstuvwxyz0123456789");

        assert_true((unsigned char)*at >= ' ' || *at == '\n' || *at == '\t');
        if (*at == '&') {
            at = check_entity(at);
        } else if (*at != '<') {
            at++;
        } else if (closing) {
            assert_true(depth-- > 0);
            assert_true(strlen(open[depth]) == name && strncmp(open[depth], at + 2, name) == 0);
            at += 2 + name + 1;
        } else {
            assert_true(name > 0 && name < sizeof(open[0]) && depth < ARRAY_LENGTH(open));
            snprintf(open[depth++], sizeof(open[0]), "%.*s", (int)name, at + 1);
            at = check_attributes(at + 1 + name);
            depth -= *at == '/';
            at += *at == '/' ? 2 : 1;
        }
    }
    assert_int_equal(depth, 0);
}

static void page_is_well_formed(void **state)
{
    (void)state;
    write_report(report_html);
    check_page(text);
    assert_null(strstr(text, "<script"));
    assert_non_null(strstr(text, "&lt;script&gt;"));
    assert_null(strstr(text, "\xff"));
    assert_null(strstr(text, "nan"));
    assert_null(strstr(text, "inf"));
}

/* It stands alone: nothing is fetched. */
static void page_fetches_nothing(void **state)
{
    static const char *const ways[] = { "src=", "href=", "url(", "@import", "<link", "<iframe" };

    (void)state;
    write_report(report_html);
    for (size_t i = 0; i < ARRAY_LENGTH(ways); i++)
        assert_null(strstr(text, ways[i]));
}

/* Of nothing at all, as of a bench that was stopped. */
/* No two curves look alike, and the longest name has room before its chart. */
static void charts_tell_all_apart(void **state)
{
    const char *at;
    char seen[256][16];
    size_t count = 0;

    (void)state;
    write_report(report_html);
    for (at = strstr(text, "class=\"curve c"); at; at = strstr(at + 1, "class=\"curve c")) {
        snprintf(seen[count], sizeof(seen[0]), "%.*s", (int)strcspn(at + 13, "\""), at + 13);
        for (size_t i = 0; i < count; i++)
            assert_string_not_equal(seen[i], seen[count]);
        count++;
        assert_true(count < ARRAY_LENGTH(seen));
    }
    assert_int_equal(count, results.count - 1);
    for (size_t i = 0; i < results.count; i++)
        assert_true(strlen(results.entries[i].contender->name) * 15 / 2 < HTML_LABEL);
}

static void nothing_was_measured(void **state)
{
    (void)state;
    results_release(&results);
    results = (struct results){ .count = 0 };
    assert_int_equal(results_init(&results), 0);
    write_report(report_html);
    check_page(text);
    free(text);
    write_report(report_table);
    free(text);
    write_report(report_csv);
    assert_int_equal(strncmp(text, "contender,", 10), 0);
}

/* All the same, and nearly nothing: scales must have a width. */
static void equal_samples(void **state)
{
    (void)state;
    for (size_t i = 0; i < results.count; i++) {
        samples_release(&results.entries[i].samples[METRIC_RESULT]);
        samples_add(&results.entries[i].samples[METRIC_RESULT], i % 2 ? 1 : 0);
    }
    write_report(report_html);
    check_page(text);
    assert_null(strstr(text, "nan"));
    assert_null(strstr(text, "inf"));
}

/* ---- the table ------------------------------------------------------------ */

static void table_names_all(void **state)
{
    (void)state;
    strcpy(results_find(&results, "crun")->failure, "no cgroup");
    write_report(report_table);
    assert_non_null(strstr(text, "failed: crun, 2 times: no cgroup"));
    assert_non_null(strstr(text, "not here: runsc (apt install runsc"));
    for (size_t i = 0; i < results.count; i++)
        assert_non_null(strstr(text, results.entries[i].contender->name));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(json_can_be_read, set_up, tear_down),
        cmocka_unit_test_setup_teardown(csv_has_its_columns, set_up, tear_down),
        cmocka_unit_test_setup_teardown(csv_has_no_formula, set_up, tear_down),
        cmocka_unit_test_setup_teardown(page_is_well_formed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(page_fetches_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(charts_tell_all_apart, set_up, tear_down),
        cmocka_unit_test_setup_teardown(nothing_was_measured, set_up, tear_down),
        cmocka_unit_test_setup_teardown(equal_samples, set_up, tear_down),
        cmocka_unit_test_setup_teardown(table_names_all, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
