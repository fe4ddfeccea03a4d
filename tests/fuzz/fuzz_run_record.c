/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a guest may say to the supervisor: any bytes, in pieces whose sizes are
 * the guest's too.  The same bytes in other pieces give the same records.
 */
#include <string.h>

#include "tests/fuzz/fuzz.h"
#include "vmm/job/record.h"

struct digest {
    uint64_t records, sum;
    int result;
};

static void note(struct digest *digest, const struct record *record)
{
    size_t length = strnlen(record->text, sizeof(record->text));

    fuzz_require(length < sizeof(record->text));
    for (size_t i = 0; i < length; i++)
        fuzz_require(record->text[i] >= ' ' && record->text[i] <= '~');
    if (record->type == RUN_ENDED)
        fuzz_require(record->ended.status <= 255);
    digest->records++;
    digest->sum = digest->sum * 31 + record->type + length;
}

static struct digest read_in_pieces(const uint8_t *data, size_t size, size_t piece)
{
    struct record_reader reader = { .used = 0 };
    struct digest digest = { .records = 0 };
    struct record record;

    for (size_t at = 0; at < size && digest.result == 0; at += piece) {
        const uint8_t *next = data + at;
        size_t left = piece < size - at ? piece : size - at;

        while ((digest.result = record_read(&reader, &next, &left, &record)) == 1)
            note(&digest, &record);
        fuzz_require(digest.result < 0 || left == 0);
    }
    return digest;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct digest one, other;

    if (size < 2)
        return 0;
    one = read_in_pieces(data + 1, size - 1, size - 1);
    other = read_in_pieces(data + 1, size - 1, data[0] % 64 + 1);
    fuzz_require(one.records == other.records && one.sum == other.sum &&
                 one.result == other.result);
    /* HELLO, PREPARED, STARTED, ENDED or FAILED: nobody has more to say. */
    fuzz_require(one.records <= 4);
    return 0;
}
