/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The program compares the call's number with one call after the other, the
 * first of the list first.  Behind each comparison stand that call's rules:
 *
 *       load number
 *       if not CALL: go to the next call
 *       load argument; and MASK; if not VALUE: go to the next rule of CALL
 *       return "allow"
 *       …
 *       return OTHERWISE
 */

#include "vmm/sandbox/filter.h"

#include <linux/seccomp.h>
#include <stdbool.h>
#include <unistd.h>

/* A jump's reach is a byte. */
#define REACH_MAX 255

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
static size_t argument_offset(const struct filter_condition *condition)
{
    size_t offset = offsetof(struct seccomp_data, args) + (condition->argument - 1u) * 8u;

    return __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? offset : offset + 4;
}

static void translate_rule(struct program *program, const struct filter_rule *rule)
{
    size_t jumps[FILTER_CONDITIONS_MAX], count = 0;

    for (size_t i = 0; i < FILTER_CONDITIONS_MAX && rule->conditions[i].argument; i++) {
        const struct filter_condition *condition = &rule->conditions[i];

        load(program, argument_offset(condition));
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

/* Whether an earlier rule is of the same call: then all of them have been translated with that. */
static bool is_done(const struct filter_rule *rules, size_t index)
{
    for (size_t i = 0; i < index; i++)
        if (rules[i].call == rules[index].call)
            return true;
    return false;
}

/* All rules of the call of rule FIRST. */
static void translate_call(struct program *program, const struct filter_rule *rules, size_t count,
                           size_t first, uint32_t otherwise)
{
    size_t jump = program->length;

    add(program, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)rules[first].call, 0, 0);
    for (size_t i = first; i < count && !program->full; i++)
        if (rules[i].call == rules[first].call)
            translate_rule(program, &rules[i]);
    answer(program, otherwise);
    if (!program->full)
        jump_here(program, jump);
}

size_t filter_translate(const struct filter_rule *rules, size_t count, uint32_t architecture,
                        uint32_t otherwise, struct sock_filter *code)
{
    struct program program = { .code = code };

    load(&program, offsetof(struct seccomp_data, arch));
    add(&program, BPF_JMP | BPF_JEQ | BPF_K, architecture, 1, 0);
    answer(&program, SECCOMP_RET_KILL_PROCESS);
    load(&program, offsetof(struct seccomp_data, nr));
    for (size_t i = 0; i < count && !program.full; i++)
        if (!is_done(rules, i))
            translate_call(&program, rules, count, i, otherwise);
    answer(&program, otherwise);
    return program.full ? 0 : program.length;
}
