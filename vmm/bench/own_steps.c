/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the time of `mote run` goes: the timeline of its verdict, over some
 * starts.  These are not among the measured ones: they write a file more.
 */
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vmm/bench/bench.h"
#include "vmm/base/cleanup.h"

/* One start's marks: a step lasts from the mark before to its own. */
static size_t read_steps(const char *path, struct step steps[STEPS_MAX])
{
    struct json_object *verdict = json_object_from_file(path), *list, *name, *at;
    double before = 0;
    size_t count = 0;

    if (json_object_object_get_ex(verdict, "timeline", &list) &&
        json_object_is_type(list, json_type_array))
        for (size_t i = 0; i < json_object_array_length(list) && count < STEPS_MAX; i++) {
            struct json_object *mark = json_object_array_get_idx(list, i);

            if (!json_object_object_get_ex(mark, "name", &name) ||
                !json_object_object_get_ex(mark, "at_ms", &at))
                break;
            snprintf(steps[count].name, sizeof(steps[count].name), "%s",
                     json_object_get_string(name));
            steps[count++].ms = json_object_get_double(at) - before;
            before = json_object_get_double(at);
        }
    json_object_put(verdict);
    return count;
}

/* The command line of `mote run` with "--verdict PATH" after "run". */
static bool make_words(struct bench *bench, const struct entry *entry, const char *path,
                       struct text_list *words)
{
    struct text_list plain = { .count = 0 };
    struct error ignored = ERROR_INIT;
    int result = workshop_words(&bench->workshop, entry, JOB_ONCE, &plain, &ignored);

    for (size_t i = 0; result == 0 && i < plain.count; i++) {
        result = text_list_add(words, plain.items[i], &ignored);
        if (result == 0 && i == 1)
            result = text_list_add(words, "--verdict", &ignored);
        if (result == 0 && i == 1)
            result = text_list_add(words, path, &ignored);
    }
    text_list_release(&plain);
    return result == 0;
}

static bool run_once(struct bench *bench, struct entry *entry, const char *path)
{
    struct text_list words = { .count = 0 };
    struct error ignored = ERROR_INIT;
    struct instance instance;
    bool good = make_words(bench, entry, path, &words) &&
                instance_start(&instance, words.items, false, &ignored) == 0;

    text_list_release(&words);
    if (!good)
        return false;
    good = bench_finish(bench, entry, &instance, 1);
    bench_settle(&instance, 1);
    instance_close(&instance);
    return good;
}

static bool is_same_course(const struct step *a, const struct step *b, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(a[i].name, b[i].name) != 0)
            return false;
    return true;
}

void bench_own_steps(struct bench *bench, unsigned int runs)
{
    struct entry *entry = results_find(&bench->results, "mote");
    struct samples samples[STEPS_MAX] = { { .values = NULL } };
    struct results *results = &bench->results;
    char path[PATH_MAX];

    snprintf(path, sizeof(path), "%s/verdict", bench->workshop.folder);
    for (unsigned int run = 0; run < runs && entry && bench_is_able(entry); run++) {
        struct step steps[STEPS_MAX];
        size_t count;

        if (!bench_has_time(bench, entry, 1, bench->deadline) || !run_once(bench, entry, path))
            break;
        count = read_steps(path, steps);
        if (results->step_count == 0) {
            memcpy(results->steps, steps, sizeof(steps));
            results->step_count = count;
        }
        /* Threads may have marked in another order; that run is left out. */
        if (count == results->step_count && is_same_course(steps, results->steps, count))
            for (size_t i = 0; i < count; i++)
                samples_add(&samples[i], steps[i].ms);
    }
    for (size_t i = 0; i < STEPS_MAX; i++) {
        if (i < results->step_count)
            results->steps[i].ms = samples_summary(&samples[i]).p50;
        samples_release(&samples[i]);
    }
}
