/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_TEST_TOOL_H
#define MOTE_TEST_TOOL_H

/*
 * Other people's tools as judges of what Mote writes.  A missing tool fails the
 * test: a check that quietly does not happen is none.
 */

#include <stddef.h>

struct test_directory {
    char path[64];
};

void test_directory_create(struct test_directory *directory);
void test_directory_remove(struct test_directory *directory);

/* Writes LENGTH bytes to DIRECTORY/NAME. */
void test_directory_write(const struct test_directory *directory, const char *name,
                          const void *bytes, size_t length);

/*
 * Runs ARGUMENTS, found by PATH, in DIRECTORY and fails the running test unless
 * it returns 0.  Its standard output and error, together and cut to SIZE - 1
 * bytes, go to OUTPUT.
 */
void test_tool_run(const struct test_directory *directory, char *const arguments[], char *output,
                   size_t size);

#endif
