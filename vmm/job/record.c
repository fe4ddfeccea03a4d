/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/job/record.h"

#include <errno.h>
#include <string.h>

/* Which record may follow which, and how long it is: a struct and at most so much text. */
struct record_rule {
    enum run_record_type after;
    size_t size;
    bool has_text;
};

static const struct record_rule rules[] = {
    [RUN_HELLO] = { 0, sizeof(struct run_hello), false },
    [RUN_PREPARED] = { RUN_HELLO, 0, false },
    [RUN_STARTED] = { RUN_HELLO, 0, false },
    [RUN_FAILED] = { RUN_HELLO, sizeof(struct run_failed), true },
    [RUN_ENDED] = { RUN_STARTED, sizeof(struct run_ended), false },
};

static bool is_allowed(const struct record_reader *reader, const struct run_header *header)
{
    const struct record_rule *rule;
    enum run_record_type last = reader->last;
    bool is_of_guest = header->type == RUN_HELLO || header->type == RUN_PREPARED ||
                       header->type == RUN_STARTED || header->type == RUN_FAILED ||
                       header->type == RUN_ENDED;

    if (!is_of_guest)
        return false;
    /* It may have been prepared, or not. */
    if (last == RUN_PREPARED && header->type != RUN_PREPARED)
        last = RUN_HELLO;
    rule = &rules[header->type];
    if (header->length < rule->size || header->length > RUN_GUEST_RECORD_MAX ||
        (!rule->has_text && header->length > rule->size))
        return false;
    /* What goes wrong may do so while the job runs, too. */
    return last == rule->after || (header->type == RUN_FAILED && last == RUN_STARTED);
}

/* The words end up on the user's terminal. */
static void copy_text(char *text, const uint8_t *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++)
        text[i] = bytes[i] < ' ' || bytes[i] > '~' ? '?' : (char)bytes[i];
    text[length] = '\0';
}

static bool take_values(const uint8_t *payload, size_t length, struct record *record)
{
    switch (record->type) {
    case RUN_HELLO:
        memcpy(&record->hello, payload, sizeof(record->hello));
        return true;
    case RUN_FAILED:
        memcpy(&record->failed, payload, sizeof(record->failed));
        copy_text(record->text, payload + sizeof(record->failed),
                  length - sizeof(record->failed));
        return (record->failed.failure == RUN_FAILED_SETUP ||
                record->failed.failure == RUN_FAILED_EXEC ||
                record->failed.failure == RUN_FAILED_DIRECTORY) && record->failed.number < 4096;
    case RUN_ENDED:
        memcpy(&record->ended, payload, sizeof(record->ended));
        return record->ended.exited <= 1 &&
               record->ended.status <= (record->ended.exited ? 255u : 64u);
    default:
        return true;
    }
}

/* As much as is missing to WANTED bytes; whether it is there now. */
static bool gather(struct record_reader *reader, const uint8_t **bytes, size_t *length,
                   size_t wanted)
{
    size_t missing = wanted > reader->used ? wanted - reader->used : 0;
    size_t taken = missing < *length ? missing : *length;

    if (taken > 0)
        memcpy(reader->bytes + reader->used, *bytes, taken);
    reader->used += taken;
    *bytes += taken;
    *length -= taken;
    return taken == missing;
}

int record_read(struct record_reader *reader, const uint8_t **bytes, size_t *length,
                struct record *record)
{
    struct run_header header;

    if (!gather(reader, bytes, length, sizeof(header)))
        return 0;
    memcpy(&header, reader->bytes, sizeof(header));
    if (!is_allowed(reader, &header))
        return -EPROTO;
    if (!gather(reader, bytes, length, sizeof(header) + header.length))
        return 0;
    *record = (struct record){ .type = (enum run_record_type)header.type };
    if (!take_values(reader->bytes + sizeof(header), header.length, record))
        return -EPROTO;
    reader->used = 0;
    reader->last = record->type;
    return 1;
}
