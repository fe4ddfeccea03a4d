/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes progress that can be checked: numbers by a recurrence, kept in memory,
 * told every so often, and their sum at the end.  One that was saved and restored
 * amid of it says the same as one that was not.
 *
 *   steps=N   how many numbers; default 20000
 *   hold=N    waits at the Nth, which is a multiple of 500, for a byte at the serial port: however slow a test is, the
 *             guest has not ended before it was saved
 *   part=N    waits there for another generation ID than at first, which a copy has
 */
#include "boot_info.h"

#define TABLE 4096u
#define GENERATION ((volatile const uint64_t *)0xef000)

static uint64_t table[TABLE];
/* Pages of the kernel's file, which it comes to read one after the other. */
static const uint64_t constants[TABLE] = { [0 ... TABLE - 1] = 1442695040888963407u };

static void await_byte(void)
{
    out8(SERIAL_MCR, SERIAL_MCR_RTS);
    while (!(in8(SERIAL_LSR) & SERIAL_LSR_DATA))
        __asm__ volatile("pause");
}

static void await_other_generation(uint64_t before)
{
    while (GENERATION[0] == before)
        __asm__ volatile("pause");
}

static uint64_t number_option(const struct boot_info *info, const char *name, uint64_t otherwise)
{
    const char *text = option(info, name);

    return text ? option_number(text) : otherwise;
}

void payload_main(int protocol, const void *argument)
{
    struct boot_info info = boot_info(protocol, argument);
    uint64_t steps = number_option(&info, "steps", 20000), hold = number_option(&info, "hold", 0);
    uint64_t part = number_option(&info, "part", 0), generation = GENERATION[0], value = 1, sum = 0;

    print("started\n");
    for (uint64_t i = 1; i <= steps; i++) {
        value = value * 6364136223846793005u + constants[i * (TABLE - 1) / steps] + i;
        table[value >> 52] ^= value;
        if (i % 500 == 0) {
            print_number(i);
            print("\n");
            if (i == hold)
                await_byte();
            if (i == part)
                await_other_generation(generation);
        }
    }
    for (uint64_t i = 0; i < TABLE; i++)
        sum = sum * 31 + table[i];
    print("sum ");
    print_hex(sum);
    print("\n");
    power_off();
}
