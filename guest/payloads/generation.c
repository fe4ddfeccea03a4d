/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Waits for another VM generation ID: the guest ends in the moment in which it
 * goes on from a snapshot.
 *
 *   end=fault   by a triple fault, at once; without it the ID is told first
 */
#include "boot_info.h"

#define GENERATION ((volatile const uint64_t *)0xef000)

void payload_main(int protocol, const void *argument)
{
    struct boot_info info = boot_info(protocol, argument);
    bool fault = option(&info, "end") != NULL;
    uint64_t before = GENERATION[0];

    print("started\n");
    while (GENERATION[0] == before)
        __asm__ volatile("pause");
    if (fault) {
        static const struct {
            uint16_t limit;
            uint64_t base;
        } __attribute__((packed)) no_table = { 0, 0 };

        __asm__ volatile("lidt %0; ud2" : : "m"(no_table));
    }
    print("generation ");
    print_hex(GENERATION[0]);
    print("\n");
    power_off();
}
