/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/backend/disk_ring.h"

#include <errno.h>
#include <stdlib.h>

#include "vmm/base/cleanup.h"

#define SLOTS (DISK_RING_FILES + 1)

static int restrict_ring(struct disk_ring *ring)
{
    static const uint8_t operations[] = {
        IORING_OP_READ, IORING_OP_READV, IORING_OP_WRITE, IORING_OP_WRITEV, IORING_OP_FSYNC,
        IORING_OP_FALLOCATE,
    };
    struct io_uring_restriction rules[ARRAY_LENGTH(operations) + 3] = { { .opcode = 0 } };
    unsigned int count = 0;

    for (size_t i = 0; i < ARRAY_LENGTH(operations); i++)
        rules[count++] = (struct io_uring_restriction){
            .opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = operations[i],
        };
    rules[count++] = (struct io_uring_restriction){
        .opcode = IORING_RESTRICTION_SQE_FLAGS_ALLOWED, .sqe_flags = IOSQE_FIXED_FILE,
    };
    if (ring->has_slots) {
        rules[count++] = (struct io_uring_restriction){
            .opcode = IORING_RESTRICTION_SQE_FLAGS_REQUIRED, .sqe_flags = IOSQE_FIXED_FILE,
        };
        rules[count++] = (struct io_uring_restriction){
            .opcode = IORING_RESTRICTION_REGISTER_OP, .register_op = IORING_REGISTER_FILES_UPDATE,
        };
    }
    if (io_uring_register_restrictions(&ring->ring, rules, count) < 0)
        return -ENOSYS;
    return io_uring_enable_rings(&ring->ring);
}

/* Disabled, to be restricted first; where that is unknown, open to all. */
static int open_ring(struct disk_ring *ring, const struct disk_host *host, unsigned int slot)
{
    int files[SLOTS] = { -1, -1, host->overlay_fd };
    int result = io_uring_queue_init(DISK_IN_FLIGHT_MAX, &ring->ring, IORING_SETUP_R_DISABLED);
    bool disabled = result == 0;

    if (result == -EINVAL)
        result = io_uring_queue_init(DISK_IN_FLIGHT_MAX, &ring->ring, 0);
    if (result < 0)
        return result;
    files[slot] = host->fd;
    /* Saves the kernel some work a request, too; it works without as well. */
    ring->has_slots = io_uring_register_files(&ring->ring, files, SLOTS) == 0;
    result = disabled ? restrict_ring(ring) : 0;
    if (result < 0)
        io_uring_queue_exit(&ring->ring);
    return result;
}

int disk_ring_create(struct disk_ring **ring, const struct disk_host *host, unsigned int slot)
{
    struct disk_ring *created = calloc(1, sizeof(*created));
    int result;

    if (!created)
        return -ENOMEM;
    result = open_ring(created, host, slot);
    if (result < 0)
        free(created);
    else
        *ring = created;
    return result;
}

int disk_ring_set_file(struct disk_ring *ring, unsigned int slot, int fd)
{
    int result = ring->has_slots ? io_uring_register_files_update(&ring->ring, slot, &fd, 1) : 0;

    return result < 0 ? result : 0;
}

void disk_ring_destroy(struct disk_ring *ring)
{
    if (!ring)
        return;
    io_uring_queue_exit(&ring->ring);
    free(ring);
}
