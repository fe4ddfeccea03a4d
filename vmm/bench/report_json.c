/* SPDX-License-Identifier: Apache-2.0 */
#include <json-c/json.h>

#include "vmm/bench/report.h"
#include "vmm/base/cleanup.h"
#include "vmm/base/utf8.h"

/* NULL, JSON's null, for an empty one. */
static struct json_object *text_value(const char *text)
{
    cleanup_free char *clean = utf8_clean(text);

    return clean && *clean ? json_object_new_string(clean) : NULL;
}

static void add_text(struct json_object *object, const char *key, const char *text)
{
    json_object_object_add(object, key, text_value(text));
}

static void add_number(struct json_object *object, const char *key, double value)
{
    json_object_object_add(object, key, json_object_new_double(value));
}

static struct json_object *host_value(const struct host *host)
{
    struct json_object *object = json_object_new_object();

    add_text(object, "kernel", host->kernel);
    add_text(object, "processor", host->processor);
    json_object_object_add(object, "cpus", json_object_new_int64(host->cpus));
    json_object_object_add(object, "memory_bytes", json_object_new_uint64(host->memory));
    add_text(object, "machine", host->machine);
    add_text(object, "mitigations", host->mitigations);
    add_text(object, "cgroup", host->cgroup);
    add_text(object, "user", host->user);
    return object;
}

static struct json_object *metric_value(const struct results *results, const struct entry *entry,
                                        enum metric metric)
{
    const struct samples *samples = &entry->samples[metric];
    struct json_object *object = json_object_new_object(), *list = json_object_new_array();
    struct summary summary = samples_summary(samples);
    double ratio = entry_ratio(results, entry, metric);

    add_text(object, "unit", metrics[metric].unit);
    add_number(object, "min", summary.minimum);
    add_number(object, "p50", summary.p50);
    add_number(object, "p90", summary.p90);
    add_number(object, "p99", summary.p99);
    add_number(object, "max", summary.maximum);
    json_object_object_add(object, "ratio_to_mote",
                           ratio > 0 ? json_object_new_double(ratio) : NULL);
    for (size_t i = 0; i < samples->count; i++)
        json_object_array_add(list, json_object_new_double(samples->values[i]));
    json_object_object_add(object, "samples", list);
    return object;
}

static struct json_object *entry_object(const struct results *results, const struct entry *entry)
{
    struct json_object *object = json_object_new_object(), *measured = json_object_new_object();

    add_text(object, "name", entry->contender->name);
    add_text(object, "class", class_names[entry->contender->class]);
    add_text(object, "ratio_base", entry->contender->base);
    add_text(object, "program", entry->program);
    add_text(object, "version", entry->version);
    add_text(object, "command", entry->contender->command);
    json_object_object_add(object, "failures", json_object_new_int64(entry->failures));
    add_text(object, "failure", entry->program[0] ? entry->failure : "not here");
    for (enum metric metric = 0; metric < METRIC_COUNT; metric++)
        if (entry->samples[metric].count > 0)
            json_object_object_add(measured, metrics[metric].key,
                                   metric_value(results, entry, metric));
    json_object_object_add(object, "metrics", measured);
    return object;
}

static struct json_object *steps_value(const struct results *results)
{
    struct json_object *list = json_object_new_array();

    for (size_t i = 0; i < results->step_count; i++) {
        struct json_object *step = json_object_new_object();

        add_text(step, "name", results->steps[i].name);
        add_number(step, "ms", results->steps[i].ms);
        json_object_array_add(list, step);
    }
    return list;
}

void report_json(const struct results *results, FILE *stream)
{
    struct json_object *document = json_object_new_object(), *list = json_object_new_array();
    struct json_object *notes = json_object_new_array();

    add_text(document, "mote", MOTE_VERSION);
    json_object_object_add(document, "host", host_value(&results->host));
    add_text(document, "kernel", results->kernel);
    add_text(document, "stock_kernel", results->stock_kernel);
    json_object_object_add(document, "memory_budget_bytes",
                           json_object_new_uint64(results->memory_budget));
    for (size_t i = 0; i < results->count; i++)
        if (results->entries[i].chosen)
            json_object_array_add(list, entry_object(results, &results->entries[i]));
    json_object_object_add(document, "contenders", list);
    json_object_object_add(document, "mote_steps", steps_value(results));
    for (size_t i = 0; i < results->note_count; i++)
        json_object_array_add(notes, text_value(results->notes[i]));
    json_object_object_add(document, "notes", notes);
    fprintf(stream, "%s\n", json_object_to_json_string_ext(document, JSON_C_TO_STRING_PRETTY |
                                                           JSON_C_TO_STRING_NOSLASHESCAPE));
    json_object_put(document);
}
