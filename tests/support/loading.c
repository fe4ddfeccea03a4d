/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/loading.h"

#include <fcntl.h>
#include <string.h>

struct guest_memory *loading_memory(uint64_t low, uint64_t high)
{
    const struct guest_range ranges[] = { { 0, low }, { LOADING_HIGH, high } };
    struct guest_memory *memory = NULL;
    struct error error = ERROR_INIT;

    if (guest_memory_create(&memory, ranges, high ? 2 : 1, &error) < 0)
        fail_msg("%s", error.message);
    return memory;
}

uint8_t *loading_bytes(const struct guest_memory *memory, uint64_t address, uint64_t length)
{
    struct guest_slice slice;

    assert_int_equal(guest_memory_slice(memory, address, length, &slice), 0);
    return slice.bytes;
}

int loading_page_map(void)
{
    int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);

    assert_true(fd >= 0);
    return fd;
}

void loading_assert_zero(const struct guest_memory *memory, uint64_t address, uint64_t length)
{
    const uint8_t *bytes = loading_bytes(memory, address, length);

    for (uint64_t i = 0; i < length; i++)
        if (bytes[i] != 0)
            fail_msg("0x%llx was written", (unsigned long long)(address + i));
}

void loading_assert_error(int result, const struct error *error, int number, const char *text)
{
    if (result != -number || !strstr(error->message, text) || strchr(error->message, '\n'))
        fail_msg("result %d, expected %d with '%s'; message: %s", result, -number, text,
                 error->message);
    assert_int_equal(error->number, number);
}

void loading_apply(const struct loading_case *broken, struct crafted *crafted)
{
    for (size_t i = 0; i < POKES_MAX; i++)
        craft_poke(crafted, &broken->pokes[i]);
    if (broken->file_size)
        crafted->size = broken->file_size;
}

size_t loading_add(struct CMUnitTest *tests, const void *cases, size_t stride, size_t count,
                   CMUnitTestFunction function)
{
    for (size_t i = 0; i < count; i++) {
        /* cmocka hands the case on as void *; no test writes to it. */
        union {
            const void *in;
            void *out;
        } state = { (const char *)cases + i * stride };

        tests[i] = (struct CMUnitTest){
            .name = *(const char *const *)state.in,
            .test_func = function,
            .initial_state = state.out,
        };
    }
    return count;
}
