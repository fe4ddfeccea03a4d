/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes progress that can be checked: numbers by a recurrence, kept in memory,
 * told every so often, and their sum at the end.  One that was saved and restored
 * amid of it says the same as one that was not.
 *
 *   steps=N   how many numbers; default 20000
 */
#include "boot_info.h"

#define TABLE 4096u

static uint64_t table[TABLE];
/* Pages of the kernel's file, which it comes to read one after the other. */
static const uint64_t constants[TABLE] = { [0 ... TABLE - 1] = 1442695040888963407u };

void payload_main(int protocol, const void *argument)
{
    struct boot_info info = boot_info(protocol, argument);
    const char *text = option(&info, "steps");
    uint64_t steps = text ? option_number(text) : 20000, value = 1, sum = 0;

    print("started\n");
    for (uint64_t i = 1; i <= steps; i++) {
        value = value * 6364136223846793005u + constants[i * (TABLE - 1) / steps] + i;
        table[value >> 52] ^= value;
        if (i % 500 == 0) {
            print_number(i);
            print("\n");
        }
    }
    for (uint64_t i = 0; i < TABLE; i++)
        sum = sum * 31 + table[i];
    print("sum ");
    print_hex(sum);
    print("\n");
    power_off();
}
