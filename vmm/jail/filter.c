/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The program searches for the call's number in a tree of comparisons, at whose
 * leaves stand the rules of one call each:
 *
 *       load number
 *       if it is at least MIDDLE: go to the upper half of the calls
 *       …
 *       if it is not CALL: go to the leaf's end
 *       load argument; and MASK; if not VALUE: go to the next rule of CALL
 *       return "allow"
 *       …
 *       return OTHERWISE
 *
 * A tree, since the kernel tries every number there is when it takes a program,
 * to know those that are always allowed: a list of comparisons takes it longer.
 */

#include "vmm/jail/filter.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <unistd.h>

/* A jump's reach is a byte. */
#define REACH_MAX 255
#define CALLS_MAX 128
/* From here on Linux' calls are younger than the lists (6.6), and x32's: nobody has looked at them. */
#define UNKNOWN_CALLS 452u

struct program {
    struct sock_filter *code;
    size_t length;
    bool full;
};

static void add(struct program *program, uint16_t code, uint32_t k, uint8_t if_true,
                uint8_t if_false)
{
    if (program->length == FILTER_LENGTH_MAX) {
        program->full = true;
        return;
    }
    program->code[program->length++] =
        (struct sock_filter){ .code = code, .jt = if_true, .jf = if_false, .k = k };
}

static void load(struct program *program, size_t offset)
{
    add(program, BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset, 0, 0);
}

static void answer(struct program *program, uint32_t value)
{
    add(program, BPF_RET | BPF_K, value, 0, 0);
}

/* Lets the jump at AT, taken where its comparison fails, lead to what comes next. */
static void jump_here(struct program *program, size_t at)
{
    size_t distance = program->length - at - 1;

    if (distance > REACH_MAX)
        program->full = true;
    else
        program->code[at].jf = (uint8_t)distance;
}

/* The low half of an argument: little-endian machines have it first. */
static size_t argument_offset(unsigned int argument)
{
    size_t offset = offsetof(struct seccomp_data, args) + (argument - 1u) * 8u;

    return __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? offset : offset + 4;
}

static void translate_rule(struct program *program, const struct filter_rule *rule,
                           const struct filter_descriptors *descriptors)
{
    size_t jumps[FILTER_CONDITIONS_MAX + 1], count = 0;

    if (rule->descriptor == FILTER_HANDOFF) {
        if (!descriptors || !descriptors->hands_over)
            return;
        load(program, argument_offset(1));
        jumps[count++] = program->length;
        add(program, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)descriptors->handoff, 0, 0);
    }
    for (size_t i = 0; i < FILTER_CONDITIONS_MAX && rule->conditions[i].argument; i++) {
        const struct filter_condition *condition = &rule->conditions[i];

        load(program, argument_offset(condition->argument));
        if (condition->mask != UINT32_MAX && condition->mask != 0)
            add(program, BPF_ALU | BPF_AND | BPF_K, condition->mask, 0, 0);
        jumps[count++] = program->length;
        add(program, BPF_JMP | BPF_JEQ | BPF_K,
            condition->mask ? condition->value : (uint32_t)getpid(), 0, 0);
    }
    answer(program, rule->refusal ? SECCOMP_RET_ERRNO | (uint32_t)rule->refusal
                                  : SECCOMP_RET_ALLOW);
    for (size_t i = 0; i < count && !program->full; i++)
        jump_here(program, jumps[i]);
}

/* Each comparison that holds leads to the answer behind the last; what fails them all goes on after that. */
static void translate_outputs(struct program *program, const struct filter_rule *rule,
                              const struct filter_descriptors *descriptors)
{
    if (!descriptors || descriptors->output_count == 0)
        return;
    load(program, argument_offset(1));
    for (size_t left = descriptors->output_count; left > 0; left--)
        add(program, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)descriptors->outputs[left - 1],
            (uint8_t)(left - 1), left == 1);
    answer(program, SECCOMP_RET_ERRNO | (uint32_t)rule->refusal);
}

/* A list's calls, each once, by number. */
struct calls {
    size_t count;
    int numbers[CALLS_MAX];
};

static bool add_call(struct calls *calls, int number)
{
    size_t at = calls->count;

    for (size_t i = 0; i < calls->count; i++)
        if (calls->numbers[i] == number)
            return true;
    if (calls->count == CALLS_MAX)
        return false;
    for (; at > 0 && calls->numbers[at - 1] > number; at--)
        calls->numbers[at] = calls->numbers[at - 1];
    calls->numbers[at] = number;
    calls->count++;
    return true;
}

struct translation {
    struct program program;
    const struct filter_list *list;
    const struct filter_descriptors *descriptors;
    uint32_t otherwise;
};

static void translate_rules_of(struct translation *translation, const struct filter_list *list, int call)
{
    struct program *program = &translation->program;

    for (size_t i = 0; i < list->count && !program->full; i++) {
        const struct filter_rule *rule = &list->rules[i];

        if (rule->call == call && rule->descriptor == FILTER_OUTPUT)
            translate_outputs(program, rule, translation->descriptors);
        else if (rule->call == call)
            translate_rule(program, rule, translation->descriptors);
    }
}

static void translate_leaf(struct translation *translation, int call)
{
    struct program *program = &translation->program;
    size_t jump = program->length;

    add(program, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)call, 0, 0);
    for (const struct filter_list *list = translation->list; list; list = list->more)
        translate_rules_of(translation, list, call);
    if (!program->full)
        jump_here(program, jump);
    answer(program, translation->otherwise);
}

/* COUNT of the calls, from NUMBERS on.  Recursion ends after the logarithm of their number. */
static void translate_tree(struct translation *translation, const int *numbers, size_t count)
{
    struct program *program = &translation->program;
    size_t half = count / 2, jump;

    if (count == 1) {
        translate_leaf(translation, numbers[0]);
        return;
    }
    add(program, BPF_JMP | BPF_JGE | BPF_K, (uint32_t)numbers[half], 0, 1);
    jump = program->length;
    add(program, BPF_JMP | BPF_JA, 0, 0, 0);
    translate_tree(translation, numbers, half);
    if (!program->full)
        program->code[jump].k = (uint32_t)(program->length - jump - 1);
    translate_tree(translation, numbers + half, count - half);
}

size_t filter_translate(const struct filter_list *list, const struct filter_descriptors *descriptors,
                        uint32_t architecture, uint32_t otherwise, struct sock_filter *code)
{
    struct translation translation = {
        .program = { .code = code }, .list = list, .descriptors = descriptors, .otherwise = otherwise,
    };
    struct program *program = &translation.program;
    const struct filter_rule *rule;
    struct calls calls = { .count = 0 };

    for (size_t i = 0; (rule = filter_rule_at(list, i)); i++)
        if (!add_call(&calls, rule->call))
            return 0;
    load(program, offsetof(struct seccomp_data, arch));
    add(program, BPF_JMP | BPF_JEQ | BPF_K, architecture, 1, 0);
    answer(program, SECCOMP_RET_KILL_PROCESS);
    load(program, offsetof(struct seccomp_data, nr));
    if (otherwise == SECCOMP_RET_ALLOW) {
        add(program, BPF_JMP | BPF_JGE | BPF_K, UNKNOWN_CALLS, 0, 1);
        answer(program, SECCOMP_RET_ERRNO | ENOSYS);
    }
    if (calls.count > 0)
        translate_tree(&translation, calls.numbers, calls.count);
    else
        answer(program, otherwise);
    return program->full ? 0 : program->length;
}
