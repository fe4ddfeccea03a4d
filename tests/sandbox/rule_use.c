/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rule_use: reads system calls as "KIND NAME ARGUMENT…" (KIND: vcpu, io, control or unpack; arguments in hex) and prints a line
 * for each rule of the sandbox's lists: "used", "unused" or "rare" (needed, as the list says, by what no test brings
 * about), the kind and the rule.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/base/cleanup.h"
#include "vmm/jail/lists.h"

#define RULES_MAX 128

#define CALL(number, name) [number] = #name,
static const char *const call_names[] = {
#include "vmm/jail/call_names.inc"
};
static const char *const kinds[SANDBOX_THREAD_COUNT] = {
    [SANDBOX_VCPU] = "vcpu", [SANDBOX_IO] = "io", [SANDBOX_CONTROL] = "control",
    [SANDBOX_UNPACK] = "unpack",
};
static bool used[SANDBOX_THREAD_COUNT][RULES_MAX];

static bool matches(const struct filter_rule *rule, const char *name, const unsigned long *arguments)
{
    /* Of outputs the traces know nothing: only an attacker changes what is in one. */
    if (strcmp(call_names[rule->call], name) != 0 || rule->descriptor)
        return false;
    for (size_t i = 0; i < FILTER_CONDITIONS_MAX && rule->conditions[i].argument; i++) {
        const struct filter_condition *condition = &rule->conditions[i];
        uint32_t value = (uint32_t)arguments[condition->argument - 1u];

        /* The process's own PID is 1 inside of its namespace. */
        if (condition->mask ? (value & condition->mask) != condition->value : value != 1)
            return false;
    }
    return true;
}

static void note(const char *kind, const char *name, const unsigned long *arguments)
{
    for (size_t k = 0; k < SANDBOX_THREAD_COUNT; k++) {
        if (strcmp(kinds[k], kind) != 0)
            continue;
        for (size_t i = 0; filter_rule_at(&filter_lists[k], i); i++)
            if (matches(filter_rule_at(&filter_lists[k], i), name, arguments)) {
                used[k][i] = true;
                return;
            }
    }
}

static void tell(size_t kind, size_t index)
{
    const struct filter_rule *rule = filter_rule_at(&filter_lists[kind], index);

    printf("%s %s: %s", used[kind][index] ? "used" : rule->rare ? "rare" : "unused",
           filter_lists[kind].name, call_names[rule->call]);
    for (size_t i = 0; i < FILTER_CONDITIONS_MAX && rule->conditions[i].argument; i++)
        printf(", argument %u is 0x%x", rule->conditions[i].argument, rule->conditions[i].value);
    puts(rule->descriptor == FILTER_OUTPUT ? ", of an output" : rule->descriptor ? ", of the handoff" : rule->refusal ? ", refused" : "");
}

int main(void)
{
    char line[512], kind[16], name[40];
    unsigned long a[6];

    while (fgets(line, sizeof(line), stdin)) {
        memset(a, 0, sizeof(a));
        if (sscanf(line, "%15s %39s %lx %lx %lx %lx %lx %lx", kind, name, &a[0], &a[1], &a[2], &a[3],
                   &a[4], &a[5]) >= 2)
            note(kind, name, a);
    }
    for (size_t k = 0; k < SANDBOX_THREAD_COUNT; k++)
        for (size_t i = 0; filter_rule_at(&filter_lists[k], i); i++)
            tell(k, i);
    return 0;
}
