/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_TEST_MACHINE_H
#define MOTE_TEST_MACHINE_H

/* A machine as vm.c would make it, with the platform's devices and WINDOWS virtio windows. */

#include <stddef.h>
#include <stdint.h>

#include "vmm/machine/machine.h"

struct test_machine {
    struct machine machine;
    struct machine_device devices[MACHINE_DEVICES_MAX];
};

/* Fails the running test when it cannot.  End it by test_machine_destroy(). */
void test_machine_create(struct test_machine *test, uint64_t memory_size, unsigned int cpus,
                         size_t windows);
void test_machine_destroy(struct test_machine *test);

/* The bytes of the guest at ADDRESS; fails the running test when they are not RAM. */
uint8_t *test_machine_bytes(const struct test_machine *test, uint64_t address, size_t length);

/* The sum of LENGTH bytes modulo 256. */
uint8_t test_sum(const void *bytes, size_t length);

#endif
