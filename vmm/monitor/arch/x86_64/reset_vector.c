/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one piece of firmware that a stock kernel calls: the reset vector.
 *
 * Linux takes hardware-reduced ACPI as a sign of EFI and reboots by EFI first.
 * Finding none, it goes back to real mode and jumps to F000:FFF0, where a PC's
 * firmware starts.  Here that place resets the machine by the ACPI reset
 * register; without it the guest would run through the BIOS area for ever.
 */

#include <errno.h>

#include "boot.h"
#include "layout.h"
#include "vmm/machine/power_registers.h"

#define RESET_PORT (LAYOUT_POWER_PORT + POWER_RESET)

int boot_write_reset_vector(struct guest_memory *memory, struct error *error)
{
    /* mov $RESET_PORT, %dx; mov $POWER_RESET_VALUE, %al; out %al, %dx; hlt; jmp to the hlt */
    static const uint8_t code[] = {
        0xba, RESET_PORT & 0xff, RESET_PORT >> 8, 0xb0, POWER_RESET_VALUE,
        0xee, 0xf4, 0xeb, 0xfd,
    };
    _Static_assert(sizeof(code) <= LAYOUT_HIGH_RAM - LAYOUT_RESET_VECTOR, "below 1 MiB");

    if (guest_memory_write(memory, LAYOUT_RESET_VECTOR, code, sizeof(code)) < 0)
        return error_set(error, ENOMEM, "guest memory: too small; give --memory 2M or more");
    return 0;
}
