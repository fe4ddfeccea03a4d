/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_X86_LAYOUT_H
#define MOTE_X86_LAYOUT_H

/*
 * Guest-physical memory as Mote lays it out before the first instruction.
 *
 *   0x0000_0500  GDT of the entry state
 *   0x0000_6000  hvm_start_info (PVH)
 *   0x0000_7000  boot_params (64-bit entry)
 *   0x0000_9000  page tables: one each of PML4, PDPT and PD map 1 GiB
 *   0x0002_0000  command line, up to 64 KiB with its NUL
 *   0x0004_0000  setup_data header and device tree, up to 128 KiB
 *   0x000a_0000  end of low RAM; the BIOS area, reserved:
 *   0x000e_0000    RSDP, then the other ACPI tables
 *   0x000e_f000    VM generation ID
 *   0x000f_0000    MP table
 *   0x000f_fff0    reset vector of real mode
 *   0x0010_0000  kernel, initrd, the guest's RAM
 *   0xc000_0000  end of RAM below 4 GiB; MMIO:
 *   0xcfff_0000    pvpanic, boot mark, power (the ports 0x600 once more)
 *   0xd000_0000    virtio-mmio windows of 4 KiB
 *   0xfec0_0000    IOAPIC
 *   0xfee0_0000    local APICs
 *   0xfffb_c000    pages that KVM needs on Intel
 * 0x1_0000_0000  the rest of the guest's RAM
 */

#define LAYOUT_GDT 0x500ull
#define LAYOUT_PVH_INFO 0x6000ull
#define LAYOUT_BOOT_PARAMS 0x7000ull
#define LAYOUT_PAGE_TABLES 0x9000ull
#define LAYOUT_COMMAND_LINE 0x20000ull
#define LAYOUT_COMMAND_LINE_SIZE 0x10000ull
#define LAYOUT_SETUP_DATA 0x40000ull
#define LAYOUT_SETUP_DATA_SIZE 0x20000ull
#define LAYOUT_LOW_RAM_END 0xa0000ull
#define LAYOUT_ACPI 0xe0000ull
#define LAYOUT_ACPI_SIZE 0xf000ull
#define LAYOUT_GENERATION 0xef000ull
#define LAYOUT_GENERATION_SIZE 16
#define LAYOUT_MP_TABLE 0xf0000ull
#define LAYOUT_MP_TABLE_SIZE 0xfff0ull
#define LAYOUT_RESET_VECTOR 0xffff0ull
#define LAYOUT_HIGH_RAM 0x100000ull
/* What the entry state's page tables map one to one, from 0. */
#define LAYOUT_IDENTITY_MAPPED 0x40000000ull
#define LAYOUT_MMIO 0xc0000000ull
#define LAYOUT_PVPANIC 0xcfff0000ull
#define LAYOUT_BOOT_MARK 0xcfff1000ull
#define LAYOUT_POWER 0xcfff2000ull
#define LAYOUT_VIRTIO 0xd0000000ull
#define LAYOUT_VIRTIO_SIZE 0x1000ull
#define LAYOUT_IOAPIC 0xfec00000ull
#define LAYOUT_IOAPIC_SIZE 0x1000ull
#define LAYOUT_LAPIC 0xfee00000ull
#define LAYOUT_IDENTITY_MAP_PAGE 0xfffbc000ull
#define LAYOUT_TSS 0xfffbd000ull
#define LAYOUT_RAM_ABOVE_4G 0x100000000ull

#define LAYOUT_SERIAL_PORT 0x3f8
#define LAYOUT_SERIAL_GSI 4
#define LAYOUT_I8042_PORT 0x60
#define LAYOUT_POWER_PORT 0x600

/*
 * IOAPIC inputs: each virtio window has its own from LAYOUT_VIRTIO_GSI on, so
 * that no interrupt is ever shared.  The version register tells a driver how
 * many there are: those that ISA had, and more for devices beyond them.  Linux
 * accepts up to 127.
 */
#define LAYOUT_IOAPIC_PINS 120
#define LAYOUT_IOAPIC_PINS_MIN 16
#define LAYOUT_VIRTIO_GSI 5
#define LAYOUT_VIRTIO_WINDOWS 100
#define LAYOUT_GENERATION_GSI 3 /* low: of the pins a guest is told of only as many as it needs */

#endif
