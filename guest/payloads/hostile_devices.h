/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_PAYLOAD_HOSTILE_DEVICES_H
#define MOTE_PAYLOAD_HOSTILE_DEVICES_H

/* Requests that are well-formed for the ring and wrong for the device. */

#include "hostile.h"

/* ---- disk (virtio 1.2, 5.2.6) --------------------------------------------- */

/* A header of TYPE for SECTOR, LENGTH bytes of data and a status byte. */
static void disk(uint32_t type, uint64_t sector, uint32_t length, uint16_t flags)
{
    *(uint32_t *)buffers[0] = type;
    *(uint64_t *)(buffers[0] + 8) = sector;
    describe(0, BUFFER(0), 16, DESC_NEXT, 1);
    describe(1, BUFFER(1), length, DESC_NEXT | flags, 2);
    describe(2, BUFFER(2), 1, DESC_WRITE, 0);
    offer(0);
}
static void disk_unknown_type(struct virtio *v) { (void)v; disk(0x7777, 0, 512, DESC_WRITE); }
static void disk_beyond_end(struct virtio *v) { (void)v; disk(0, 1 << 20, 512, DESC_WRITE); }
static void disk_write_beyond_end(struct virtio *v) { (void)v; disk(1, 1 << 20, 512, 0); }
static void disk_sector_overflows(struct virtio *v) { (void)v; disk(0, UINT64_MAX, 512, DESC_WRITE); }
static void disk_bytes_overflow(struct virtio *v) { (void)v; disk(1, 1ull << 55, 512, 0); }
static void disk_across_end(struct virtio *v) { (void)v; disk(0, 2047, 4096, DESC_WRITE); }
static void disk_part_of_sector(struct virtio *v) { (void)v; disk(0, 0, 100, DESC_WRITE); }
static void disk_read_into_readable(struct virtio *v) { (void)v; disk(0, 0, 512, 0); }
static void disk_write_of_writable(struct virtio *v) { (void)v; disk(1, 0, 512, DESC_WRITE); }
static void disk_flush_with_data(struct virtio *v) { (void)v; disk(4, 77, 512, 0); }
static void disk_id_of_a_byte(struct virtio *v) { (void)v; disk(8, 0, 1, DESC_WRITE); }
static void disk_discard(uint64_t sector, uint32_t count, uint32_t flags, uint32_t length)
{
    *(uint64_t *)buffers[1] = sector;
    *(uint32_t *)(buffers[1] + 8) = count;
    *(uint32_t *)(buffers[1] + 12) = flags;
    disk(11, 0, length, 0);
}
static void disk_discard_overflows(struct virtio *v) { (void)v; disk_discard(UINT64_MAX - 1, UINT32_MAX, 0, 16); }
static void disk_discard_beyond(struct virtio *v) { (void)v; disk_discard(2000, 100, 0, 16); }
static void disk_discard_flags(struct virtio *v) { (void)v; disk_discard(0, 1, UINT32_MAX, 16); }
static void disk_discard_odd(struct virtio *v) { (void)v; disk_discard(0, 1, 0, 15); }
static void disk_discard_many(struct virtio *v) { (void)v; disk_discard(0, 1, 0, 4096); }
/* These three are right: the host's calls for them. */
static void disk_write(struct virtio *v) { (void)v; disk(1, 0, 4096, 0); }
static void disk_flush(struct virtio *v)
{
    (void)v;
    *(uint32_t *)buffers[0] = 4;
    describe(0, BUFFER(0), 16, DESC_NEXT, 1);
    describe(1, BUFFER(2), 1, DESC_WRITE, 0);
    offer(0);
}
static void disk_write_zeroes(struct virtio *v)
{
    (void)v;
    *(uint64_t *)buffers[1] = 8;
    *(uint32_t *)(buffers[1] + 8) = 8;
    *(uint32_t *)(buffers[1] + 12) = 0;
    disk(13, 0, 16, 0);
}
static void disk_no_status(struct virtio *v) { (void)v; describe(0, BUFFER(0), 16, 0, 0); offer(0); }
static void disk_short_header(struct virtio *v)
{
    (void)v;
    describe(0, BUFFER(0), 15, DESC_NEXT, 1);
    describe(1, BUFFER(2), 1, DESC_WRITE, 0);
    offer(0);
}
static void disk_status_alone(struct virtio *v) { (void)v; describe(0, BUFFER(2), 1, DESC_WRITE, 0); offer(0); }
/* A byte a descriptor: header, then status. */
static void disk_split_header(struct virtio *v)
{
    (void)v;
    for (unsigned int i = 0; i < 16; i++)
        describe(i, BUFFER(0) + i, 1, DESC_NEXT, (uint16_t)(i + 1));
    describe(16, BUFFER(2), 1, DESC_WRITE, 0);
    offer(0);
}

static const struct attack disk_attacks[] = {
    A(disk_write, LIVES), A(disk_flush, LIVES), A(disk_write_zeroes, LIVES),
    A(disk_unknown_type, LIVES), A(disk_beyond_end, LIVES), A(disk_write_beyond_end, LIVES),
    A(disk_sector_overflows, LIVES), A(disk_bytes_overflow, LIVES), A(disk_across_end, LIVES),
    A(disk_part_of_sector, LIVES), A(disk_read_into_readable, LIVES),
    A(disk_write_of_writable, LIVES), A(disk_flush_with_data, LIVES), A(disk_id_of_a_byte, LIVES),
    A(disk_discard_overflows, LIVES), A(disk_discard_beyond, LIVES), A(disk_discard_flags, LIVES),
    A(disk_discard_odd, LIVES), A(disk_discard_many, LIVES), A(disk_no_status, LIVES),
    A(disk_short_header, LIVES), A(disk_status_alone, LIVES), A(disk_split_header, LIVES),
};

/* ---- net (5.1.6) ---------------------------------------------------------- */

static void frame(const uint8_t *header, uint32_t length)
{
    for (unsigned int i = 0; i < 12; i++)
        buffers[0][i] = header[i];
    describe(0, BUFFER(0), length, 0, 0);
    offer(0);
}
/* flags, type, header length, segment size, checksum start and offset, buffers */
static void net_no_header(struct virtio *v) { (void)v; frame((uint8_t[12]){ 0 }, 5); }
static void net_header_alone(struct virtio *v) { (void)v; frame((uint8_t[12]){ 0 }, 12); }
static void net_unknown_segments(struct virtio *v) { (void)v; frame((uint8_t[12]){ 1, 0x7f, 0xff, 0xff, 0xff, 0xff }, 1000); }
static void net_checksum_outside(struct virtio *v) { (void)v; frame((uint8_t[12]){ 1, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff }, 100); }
static void net_segments_of_nothing(struct virtio *v) { (void)v; frame((uint8_t[12]){ 1, 1, 0, 0, 0, 0 }, 4000); }
static void net_longest(struct virtio *v)
{
    (void)v;
    for (unsigned int i = 0; i < QUEUE_SIZE; i++)
        describe(i, 4 << 20, 4096, i + 1 < QUEUE_SIZE ? DESC_NEXT : 0, (uint16_t)(i + 1));
    offer(0);
}
static void net_frames_of_a_byte(struct virtio *v)
{
    (void)v;
    for (unsigned int i = 0; i < QUEUE_SIZE; i++) {
        describe(i, BUFFER(0), 1, 0, 0);
        offer((uint16_t)i);
    }
}

static const struct attack net_attacks[] = {
    A(net_no_header, LIVES), A(net_header_alone, LIVES), A(net_unknown_segments, LIVES),
    A(net_checksum_outside, LIVES), A(net_segments_of_nothing, LIVES), A(net_longest, LIVES),
    A(net_frames_of_a_byte, LIVES),
};

/* ---- vsock (5.10.6) ------------------------------------------------------- */

static void packet(uint64_t from, uint64_t to, uint32_t port, uint32_t length, uint16_t type,
                   uint16_t operation)
{
    uint32_t *words = (uint32_t *)buffers[0];

    *(uint64_t *)&words[0] = from;
    *(uint64_t *)&words[2] = to;
    words[4] = port;
    words[5] = 80;
    words[6] = length;
    words[7] = type | (uint32_t)operation << 16;
    words[8] = 0;
    words[9] = UINT32_MAX; /* room */
    words[10] = 0x80000000; /* forwarded more than was sent */
    describe(0, BUFFER(0), 44, 0, 0);
    offer(0);
}
static void vsock_as_another(struct virtio *v) { (void)v; packet(77, 2, 1, 0, 1, 1); }
static void vsock_to_another(struct virtio *v) { (void)v; packet(3, UINT64_MAX, 1, 0, 1, 1); }
static void vsock_unknown_type(struct virtio *v) { (void)v; packet(3, 2, 1, 0, 0xffff, 1); }
static void vsock_unknown_operation(struct virtio *v) { (void)v; packet(3, 2, 1, 0, 1, 0xffff); }
static void vsock_data_without_connection(struct virtio *v) { (void)v; packet(3, 2, 1, 0, 1, 5); }
static void vsock_length_lies(struct virtio *v) { (void)v; packet(3, 2, 1, UINT32_MAX, 1, 5); }
static void vsock_response_unasked(struct virtio *v) { (void)v; packet(3, 2, 1, 0, 1, 2); }
static void vsock_credit_unasked(struct virtio *v) { (void)v; packet(3, 2, 1, 0, 1, 6); }
static void vsock_short_header(struct virtio *v) { (void)v; packet(3, 2, 1, 0, 1, 1); rings.desc[0].length = 43; }
static void vsock_connect_flood(struct virtio *v)
{
    for (uint32_t port = 0; port < 200; port++) {
        packet(3, 2, port, 0, 1, 1);
        notify(v);
    }
}

static const struct attack vsock_attacks[] = {
    A(vsock_as_another, LIVES), A(vsock_to_another, LIVES), A(vsock_unknown_type, LIVES),
    A(vsock_unknown_operation, LIVES), A(vsock_data_without_connection, LIVES),
    A(vsock_length_lies, LIVES), A(vsock_response_unasked, LIVES), A(vsock_credit_unasked, LIVES),
    A(vsock_short_header, LIVES), A(vsock_connect_flood, LIVES),
};

/* ---- balloon (5.5.6), entropy (5.4.6), console (5.3.6) -------------------- */

static void pages(uint32_t first, uint32_t second, uint32_t length)
{
    uint32_t *words = (uint32_t *)buffers[0];

    words[0] = first;
    words[1] = second;
    describe(0, BUFFER(0), length, 0, 0);
    offer(0);
}
static void balloon_page_huge(struct virtio *v) { (void)v; pages(UINT32_MAX, 0x80000000, 8); }
static void balloon_page_in_hole(struct virtio *v) { (void)v; pages(0xd0000, 0xfec00, 8); }
static void balloon_page_at_end(struct virtio *v) { (void)v; pages(0x2000, 0x1fff, 8); }
static void balloon_part_of_number(struct virtio *v) { (void)v; pages(0x1800, 0x1801, 7); }
static void balloon_same_page(struct virtio *v) { (void)v; pages(0x1800, 0x1800, 8); }
static void balloon_writable(struct virtio *v) { (void)v; describe(0, BUFFER(0), 4, DESC_WRITE, 0); offer(0); }

static const struct attack balloon_attacks[] = {
    A(balloon_page_huge, LIVES), A(balloon_page_in_hole, LIVES), A(balloon_page_at_end, LIVES),
    A(balloon_part_of_number, LIVES), A(balloon_same_page, LIVES), A(balloon_writable, LIVES),
};

static void entropy_readable(struct virtio *v) { (void)v; describe(0, BUFFER(0), 64, 0, 0); offer(0); }
/* More requests than a ring's 16-bit index counts. */
static void entropy_index_wraps(struct virtio *v)
{
    for (uint32_t i = 0; i < 70000; i += QUEUE_SIZE / 2) {
        for (unsigned int j = 0; j < QUEUE_SIZE / 2; j++) {
            describe(j, BUFFER(1), 1, DESC_WRITE, 0);
            offer((uint16_t)j);
        }
        notify(v);
        await(v, rings.avail.index, WORK_MS);
    }
}
static const struct attack entropy_attacks[] = {
    A(entropy_readable, LIVES), A(entropy_index_wraps, LIVES),
};

static void control(struct virtio *v, uint32_t port, uint32_t event_and_value, uint32_t length)
{
    struct virtio other = { .base = v->base, .id = v->id, .queue = 3 };
    uint32_t *words = (uint32_t *)buffers[0];

    negotiate(&other);
    offer_own_queue(&other);
    drive(&other);
    words[0] = port;
    words[1] = event_and_value;
    describe(0, BUFFER(0), length, 0, 0);
    offer(0);
    notify(&other);
}
static void console_control_any_port(struct virtio *v) { control(v, UINT32_MAX, 3, 8); }
static void console_control_any_event(struct virtio *v) { control(v, 0, UINT32_MAX, 8); }
static void console_control_short(struct virtio *v) { control(v, 0, 0, 7); }
static void console_control_long(struct virtio *v) { control(v, 0, 0, 4096); }
static void console_control_before_features(struct virtio *v) { control(v, 1, 6 | 1u << 16, 8); }
static void console_megabyte(struct virtio *v)
{
    (void)v;
    for (unsigned int i = 0; i < QUEUE_SIZE; i++) {
        describe(i, 4 << 20, 16 << 10, 0, 0);
        offer((uint16_t)i);
    }
}
static const struct attack console_attacks[] = {
    A(console_control_any_port, LIVES), A(console_control_any_event, LIVES),
    A(console_control_short, LIVES), A(console_control_long, LIVES),
    A(console_control_before_features, LIVES), A(console_megabyte, LIVES),
};

static inline const struct attack *device_attacks(uint32_t id, size_t *count)
{
#define LIST(of, attacks) case of: *count = sizeof(attacks) / sizeof(attacks[0]); return attacks
    switch (id) {
    LIST(ID_BLOCK, disk_attacks);
    LIST(ID_NET, net_attacks);
    LIST(ID_VSOCK, vsock_attacks);
    LIST(ID_BALLOON, balloon_attacks);
    LIST(ID_ENTROPY, entropy_attacks);
    LIST(ID_CONSOLE, console_attacks);
    }
#undef LIST
    *count = 0;
    return NULL;
}

#endif
