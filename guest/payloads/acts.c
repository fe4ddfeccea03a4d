/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest that has taken over its monitor: it says by port writes what a thread
 * of the monitor's shall try (see tests/sandbox/acts.c).
 *
 *   act=N      the number of the act
 *   thread=K   0: a vCPU's; 1: the I/O thread; 2: the one that controls
 */
#include "boot_info.h"

#define ACT_PORT 0x5e0
#define THREAD_PORT 0x5e2
#define DONE_PORT 0x5e3

void payload_main(int protocol, const void *argument)
{
    struct boot_info info = boot_info(protocol, argument);
    const char *act = option(&info, "act"), *thread = option(&info, "thread");

    print("started\n");
    out16(ACT_PORT, act ? (uint16_t)option_number(act) : 0);
    out8(THREAD_PORT, thread ? (uint8_t)option_number(thread) : 0);
    while (in8(DONE_PORT) == 0)
        __asm__ volatile("pause");
    print("survived\n");
    power_off();
}
