/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_LOADING_H
#define MOTE_LOADING_H

/* What the loaders' tests share: memory to load into, and tables of broken images. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/support/crafted.h"
#include "vmm/machine/guest_memory.h"

#define MIB (1ull << 20)
#define LOADING_HIGH 0x100000000ull /* where the second region of memory lies */

/* RAM of LOW bytes at 0 and, unless HIGH is 0, HIGH bytes at 4 GiB. */
struct guest_memory *loading_memory(uint64_t low, uint64_t high);

/* The guest's bytes at ADDRESS; fails the running test when they are not RAM. */
uint8_t *loading_bytes(const struct guest_memory *memory, uint64_t address, uint64_t length);

/* The pages of this process, as a snapshot looks at them; the caller's to close. */
int loading_page_map(void);

/* Fails unless [address, address + length) is zero. */
void loading_assert_zero(const struct guest_memory *memory, uint64_t address, uint64_t length);

/* Fails unless RESULT is -NUMBER and MESSAGE one line that holds TEXT. */
void loading_assert_error(int result, const struct error *error, int number, const char *text);

/*
 * One field broken, or a few.  The loader must fail with NUMBER and a message
 * that holds TEXT; with NUMBER 0 it must succeed.
 */
#define POKES_MAX 4
struct loading_case {
    const char *name; /* of the test: [a-z0-9_] */
    struct poke pokes[POKES_MAX];
    uint64_t file_size; /* 0: as crafted */
    uint64_t memory;    /* bytes of RAM, 0 for 64 MiB */
    int number;
    const char *text;
};

void loading_apply(const struct loading_case *broken, struct crafted *crafted);

/* A test each for the COUNT cases, whose first member is the name, from TESTS on. */
size_t loading_add(struct CMUnitTest *tests, const void *cases, size_t stride, size_t count,
                   CMUnitTestFunction function);
#define LOADING_ADD(tests, cases, function)                                                        \
    loading_add(tests, cases, sizeof((cases)[0]), sizeof(cases) / sizeof((cases)[0]), function)

#endif
