/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A disk whose file is replaced while the guest runs: each time that the device tells of a change by an interrupt for its
 * configuration, the guest prints the disk's size in sectors and the text that its first sector begins with.
 *
 *   changes=N   powers off after so many, from 1 to 9
 */
#include "boot_info.h"
#include "paging.h"
#include "virtio.h"

#define INTERRUPT_CONFIG 2u
#define HEADER 0
#define DATA 1
#define STATUS 2
#define TEXT_SIZE 8

static bool find_disk(struct virtio *disk)
{
    for (unsigned int i = 0; i < 16; i++) {
        disk->base = VIRTIO_WINDOWS + i * VIRTIO_WINDOW_SIZE;
        if (get_register(disk, REG_DEVICE_ID) == ID_BLOCK)
            return true;
    }
    return false;
}

/* The header, all zero, asks for a read of sector 0. */
static void print_first_sector(const struct virtio *disk, uint16_t reads)
{
    char text[TEXT_SIZE + 1] = "";

    buffers[STATUS][0] = 0xee;
    describe(HEADER, (uint64_t)buffers[HEADER], 16, DESC_NEXT, DATA);
    describe(DATA, (uint64_t)buffers[DATA], 512, DESC_NEXT | DESC_WRITE, STATUS);
    describe(STATUS, (uint64_t)buffers[STATUS], 1, DESC_WRITE, 0);
    offer(HEADER);
    notify(disk);
    if (!await(disk, reads, 2000) || buffers[STATUS][0] != 0) {
        print("not read");
        return;
    }
    for (unsigned int i = 0; i < TEXT_SIZE; i++)
        text[i] = (char)buffers[DATA][i];
    print(text);
}

static void print_change(const struct virtio *disk, uint16_t reads)
{
    print_hex(get_register(disk, REG_CONFIG));
    print(" ");
    print_first_sector(disk, reads);
    print("\n");
}

void payload_main(int protocol, const void *argument)
{
    struct boot_info info = boot_info(protocol, argument);
    const char *changes = option(&info, "changes");
    struct virtio disk = { .id = ID_BLOCK };
    uint16_t left = changes ? (uint16_t)(changes[0] - '0') : 1, reads = 1;

    map_memory();
    if (!find_disk(&disk)) {
        print("no disk\n");
        power_off();
    }
    start(&disk);
    print("begins with ");
    print_change(&disk, reads++);
    for (; left > 0; left--) {
        while (!(get_register(&disk, REG_INTERRUPT) & INTERRUPT_CONFIG))
            __asm__ volatile("pause");
        set_register(&disk, REG_ACK, INTERRUPT_CONFIG);
        print("became ");
        print_change(&disk, reads++);
    }
    power_off();
}
