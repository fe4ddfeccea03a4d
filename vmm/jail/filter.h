/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_SANDBOX_FILTER_H
#define MOTE_SANDBOX_FILTER_H

/*
 * A list of system calls, and its translation into the BPF program that the
 * kernel runs before each call.
 *
 * A rule allows a call, or refuses it with an errno; a call that matches no rule
 * ends the process.  Of several rules of one call the first that matches counts.
 * A condition compares the low 32 bits of an argument after a mask: every
 * argument that the lists look at is an int in the kernel's eyes.
 */

#include <linux/filter.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FILTER_CONDITIONS_MAX 3
#define FILTER_LENGTH_MAX 768
#define FILTER_OUTPUTS_MAX 64

struct filter_condition {
    uint8_t argument; /* from 1 on, as the manual counts; 0: no condition */
    uint32_t mask;    /* 0: VALUE is the process's own PID */
    uint32_t value;
};

/* What the first argument, a descriptor, has to be for a rule to match. */
enum filter_descriptor { FILTER_ANY, FILTER_OUTPUT, FILTER_HANDOFF };

struct filter_rule {
    int16_t call;    /* SYS_… */
    uint8_t refusal; /* the errno, 0 to allow */
    bool rare;       /* no test uses it */
    uint8_t descriptor; /* enum filter_descriptor */
    struct filter_condition conditions[FILTER_CONDITIONS_MAX];
};

struct filter_list {
    const char *name; /* of the kind of thread */
    const struct filter_rule *rules;
    size_t count;
    const struct filter_list *more; /* rules that follow these; NULL: none */
};

/* Rule INDEX of LIST and what follows it; NULL beyond the last. */
static inline const struct filter_rule *filter_rule_at(const struct filter_list *list, size_t index)
{
    for (; list; index -= list->count, list = list->more)
        if (index < list->count)
            return &list->rules[index];
    return NULL;
}

/* ARGUMENT is VALUE; or is VALUE in the bits of MASK. */
#define IS(argument, value) { argument, UINT32_MAX, (uint32_t)(value) }
#define MASKED(argument, mask, value) { argument, mask, value }
#define OWN_PID(argument) { argument, 0, 0 }

#define ALLOW(name) { .call = SYS_##name }
#define ALLOW_IF(name, ...) { .call = SYS_##name, .conditions = { __VA_ARGS__ } }
/* WHEN such a rule is needed stands in the list for its readers; the program has no use for it. */
#define RARE(name, when) { .call = SYS_##name, .rare = true }
#define RARE_IF(name, when, ...) { .call = SYS_##name, .rare = true, .conditions = { __VA_ARGS__ } }
#define REFUSE(name, number) { .call = SYS_##name, .refusal = number }
#define REFUSE_IF(name, number, ...)                                                               \
    { .call = SYS_##name, .refusal = number, .conditions = { __VA_ARGS__ } }
#define RARE_REFUSAL_IF(name, number, when, ...)                                                   \
    { .call = SYS_##name, .refusal = number, .rare = true, .conditions = { __VA_ARGS__ } }
/* By an attacker alone, so that it is rare. */
#define REFUSE_OUTPUTS(name, number)                                                               \
    { .call = SYS_##name, .refusal = number, .rare = true, .descriptor = FILTER_OUTPUT }
/* Of the socket for connections alone, and nothing where there is none. */
#define HANDOFF_IF(name, when, ...)                                                                \
    { .call = SYS_##name, .rare = true, .descriptor = FILTER_HANDOFF, .conditions = { __VA_ARGS__ } }
#define REFUSE_HANDOFF(name, number)                                                               \
    { .call = SYS_##name, .refusal = number, .rare = true, .descriptor = FILTER_HANDOFF }

/* The descriptors that lists tell from others. */
struct filter_descriptors {
    size_t output_count; /* of files that may grow, and not be changed otherwise */
    int outputs[FILTER_OUTPUTS_MAX];
    bool hands_over;
    int handoff; /* the one socket over which other descriptors may be sent */
};

/*
 * Translates LIST, with DESCRIPTORS (NULL for none), for processors of ARCHITECTURE (AUDIT_ARCH_…) into PROGRAM,
 * which has room for FILTER_LENGTH_MAX instructions.  Returns their number, or 0
 * if they have no room.  OTHERWISE is the kernel's answer (SECCOMP_RET_…) to a
 * call that no rule matches; if that allows it, calls that are younger than the
 * lists, and other numbers for the same calls (x32), are not there: ENOSYS.
 */
size_t filter_translate(const struct filter_list *list, const struct filter_descriptors *descriptors,
                        uint32_t architecture, uint32_t otherwise, struct sock_filter *program);

#endif
