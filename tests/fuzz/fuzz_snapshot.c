/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What stands around a snapshot's state: a seal, and the maps of a chain of
 * memory files.  Oracles: a seal that is taken is within its bounds and is
 * written as it was read; of a chain that is taken each page of the restored
 * memory is the one that a look at the maps, page by page, tells.
 */
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/fuzz/fuzz.h"
#include "tests/support/saved.h"
#include "tests/support/guest_read.h"
#include "vmm/base/cleanup.h"
#include "vmm/snapshot/memory_chain.h"
#include "vmm/snapshot/memory_sum.h"
#include "vmm/supervisor/snapshot/seal.h"
#include "vmm/snapshot/working_set.h"

#define PAGE_SIZE MEMORY_FILE_PAGE
/* In two regions, and no multiple of eight. */
#define LOW_PAGES 21u
#define PAGES 29u
#define SIZE (PAGES * PAGE_SIZE)

static const uint8_t id[SNAPSHOT_ID_SIZE] = "fuzz";

static int file_of(const void *bytes, size_t length)
{
    int fd = memfd_create("fuzz", MFD_CLOEXEC);

    fuzz_require(fd >= 0);
    fuzz_require(pwrite(fd, bytes, length, 0) == (ssize_t)length);
    return fd;
}

/* ---- the seal -------------------------------------------------------------- */

static void seal(const uint8_t *data, size_t size)
{
    static const uint8_t header[] = { 'M', 'O', 'T', 'E', 'V', 'M', '\r', '\n', 1, 0, 0, 0 };
    struct saved saved = { .length = sizeof(header) + size };
    struct error error = ERROR_INIT;
    cleanup_fd int fd = -1, copy = -1;
    struct seal read, again;

    saved.bytes = malloc(saved.length);
    fuzz_require(saved.bytes != NULL);
    memcpy(saved.bytes, header, sizeof(header));
    memcpy(saved.bytes + sizeof(header), data, size);
    saved_seal(&saved);
    fd = file_of(saved.bytes, saved.length);
    if (seal_read(&read, fd, &error) == 0) {
        fuzz_require(read.size % PAGE_SIZE == 0 && memory_file_length(read.size, MEMORY_DIFFERENCE) > read.size);
        fuzz_require(!read.base || (read.base[0] && strlen(read.base) <= SEAL_PATH_MAX));
        copy = file_of("", 0);
        fuzz_require(seal_write(&read, copy, &error) == 0 && seal_read(&again, copy, &error) == 0);
        fuzz_require(again.sum == read.sum && again.size == read.size && !again.base == !read.base);
        seal_release(&again);
    } else {
        fuzz_require(error.message[0] != '\0');
    }
    seal_release(&read);
    saved_release(&saved);
}

/* ---- the chain ------------------------------------------------------------- */

/* Each page of file NUMBER begins with that, where the map's second half does not make it a hole. */
static int memory_file(struct fuzz_input *input, uint8_t number, bool last)
{
    enum memory_file_kind kind = last ? MEMORY_FULL : MEMORY_DIFFERENCE;
    struct error error = ERROR_INIT;
    uint32_t map = (uint32_t)fuzz_take(input, 4), holes = (uint32_t)fuzz_take(input, 4);
    int fd = file_of("", 0);

    fuzz_require(memory_file_begin(fd, SIZE, id, kind, &error) == 0);
    for (unsigned int page = 0; page < PAGES; page++)
        if (!(holes >> page & 1))
            fuzz_require(pwrite(fd, &number, 1, page * PAGE_SIZE) == 1);
    if (!last)
        fuzz_require(pwrite(fd, &map, sizeof(map), SIZE + PAGE_SIZE) == (ssize_t)sizeof(map));
    if (fuzz_take(input, 1) == 0xff)
        fuzz_require(ftruncate(fd, (off_t)(fuzz_take(input, 4) % (SIZE + 3 * PAGE_SIZE))) == 0);
    return fd;
}

/* What the maps say, asked one by one, without a chain. */
static uint8_t expected(const int *fds, size_t count, unsigned int page)
{
    uint8_t byte = 0;
    uint32_t map;
    size_t i = 0;

    while (i + 1 < count && pread(fds[i], &map, sizeof(map), SIZE + PAGE_SIZE) == (ssize_t)sizeof(map) &&
           !(map >> page & 1))
        i++;
    fuzz_require(pread(fds[i], &byte, 1, page * PAGE_SIZE) == 1);
    return byte;
}

static void check_memory(struct memory_chain *chain, const int *fds, size_t count)
{
    const struct guest_range ranges[] = {
        { 0, LOW_PAGES * PAGE_SIZE }, { 1ull << 32, (PAGES - LOW_PAGES) * PAGE_SIZE },
    };
    struct guest_memory *memory;
    struct error error = ERROR_INIT;

    fuzz_require(guest_memory_create_from(&memory, ranges, 2, fds[count - 1], &error) == 0);
    fuzz_require(memory_chain_map(chain, memory, &error) == 0);
    for (unsigned int page = 0; page < PAGES; page++) {
        uint64_t address = page < LOW_PAGES ? page * PAGE_SIZE
                                            : (1ull << 32) + (page - LOW_PAGES) * PAGE_SIZE;
        uint8_t byte, wanted = expected(fds, count, page);
        const uint8_t *bytes;

        fuzz_require(guest_read(memory, address, &byte, 1) == 0 && byte == wanted);
        fuzz_require(memory_chain_page(chain, page, &bytes, &error) == 0 && bytes[0] == wanted);
        fuzz_require(memory_chain_has_data(chain, page) || wanted == 0);
    }
    guest_memory_destroy(memory);
}

static void chain(struct fuzz_input *input)
{
    int fds[SNAPSHOT_CHAIN_MAX];
    size_t count = 1 + fuzz_take(input, 1) % 4;
    struct error error = ERROR_INIT;
    struct memory_chain chain;
    bool sound = true;

    for (size_t i = 0; i < count; i++)
        fds[i] = memory_file(input, (uint8_t)(i + 1), i + 1 == count);
    for (size_t i = 0; i < count; i++)
        sound = memory_file_check(fds[i], SIZE, id, i + 1 == count ? MEMORY_FULL : MEMORY_DIFFERENCE,
                                  &error) == 0 && sound;
    if (sound) {
        if (memory_chain_open(&chain, fds, count, SIZE, &error) == 0)
            check_memory(&chain, fds, count);
        memory_chain_close(&chain);
    }
    fuzz_require(sound || error.message[0] != '\0');
    for (size_t i = 0; i < count; i++)
        close(fds[i]);
}

/* ---- what was touched ------------------------------------------------------ */

/* A header and a map, of which the sum is made to fit. */
static void touched(struct fuzz_input *input)
{
    struct vm_snapshot_source source = SNAPSHOT_SOURCE_INIT;
    const struct guest_range ram = { .address = 0, .size = SIZE };
    uint8_t bytes[2 * PAGE_SIZE] = { 0 };
    struct error error = ERROR_INIT;
    struct guest_memory *memory;
    struct memory_chain chain;
    uint64_t sum;

    memcpy(bytes, "MOTETCH\n\1\0\0\0\0\0\0\0", 16);
    memcpy(bytes + 16, &(uint64_t){ SIZE }, 8);
    memcpy(bytes + 24, id, sizeof(id));
    while (input->size > 0) {
        size_t at = fuzz_take(input, 2) % sizeof(bytes);

        bytes[at] = (uint8_t)fuzz_take(input, 1);
    }
    sum = xxh64(bytes + PAGE_SIZE, PAGE_SIZE, 0);
    memcpy(bytes + 40, &sum, sizeof(sum));
    memcpy(source.id, id, sizeof(id));
    source.size = SIZE;
    source.memory_fd = file_of("", 0);
    source.working_set_fd = file_of(bytes, sizeof(bytes));
    fuzz_require(memory_file_begin(source.memory_fd, SIZE, id, MEMORY_FULL, &error) == 0);
    fuzz_require(memory_chain_open_source(&chain, &source, SIZE, &error) == 0);
    fuzz_require(guest_memory_create_from(&memory, &ram, 1, source.memory_fd, &error) == 0);
    source.awaits_job = true;
    working_set_read_ahead(&source, &chain, memory);
    guest_memory_destroy(memory);
    memory_chain_close(&chain);
    close(source.memory_fd);
    close(source.working_set_fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = { data, size };
    uint8_t what = (uint8_t)fuzz_take(&input, 1);

    if (what & 1)
        seal(input.bytes, input.size);
    else if (what & 2)
        touched(&input);
    else
        chain(&input);
    return 0;
}
