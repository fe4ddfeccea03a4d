/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a monitor may send to its supervisor, and a supervisor to its monitor: the first byte says who, the others are one
 * message.  One that is taken is whole: its type is the sender's, its texts end and can be shown, its numbers are in their ranges.
 */
#include <string.h>

#include "tests/fuzz/fuzz.h"
#include "vmm/monitor/protocol.h"
#include "vmm/monitor/vm.h"

static void require_text(const char *text, size_t size)
{
    size_t length = strnlen(text, size);

    fuzz_require(length < size);
    for (size_t i = 0; i < length; i++)
        fuzz_require((unsigned char)text[i] >= ' ' && text[i] != '\x7f');
}

static void require_exit(const struct event_exited *exited)
{
    fuzz_require(exited->end <= VM_FAILED);
    fuzz_require(exited->error_number >= 0);
    fuzz_require(exited->how[0] != '\0');
    require_text(exited->how, sizeof(exited->how));
    require_text(exited->message, sizeof(exited->message));
    fuzz_require(exited->timeline.count <= TIMELINE_MARKS_MAX);
    for (size_t i = 0; i < TIMELINE_MARKS_MAX; i++)
        require_text(exited->timeline.marks[i].name, TIMELINE_NAME_SIZE);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct message message;
    enum message_sender sender;

    if (size < 1 || size - 1 > sizeof(message))
        return 0;
    sender = data[0] & 1 ? FROM_MONITOR : FROM_SUPERVISOR;
    memset(&message, 0xa5, sizeof(message));
    memcpy(&message, data + 1, size - 1);
    if (message_decode(&message, size - 1, sender) < 0)
        return 0;
    fuzz_require((message.header.type >= MESSAGE_ANSWER) == (sender == FROM_MONITOR));
    fuzz_require(message.header.length + sizeof(message.header) == size - 1);
    fuzz_require(message.header.fd_count <= (sender == FROM_MONITOR ? 0 : MESSAGE_FDS_MAX));
    if (message.header.type == REQUEST_REPLACE_DISK)
        fuzz_require(memchr(message.replace_disk.path, '\0', sizeof(message.replace_disk.path)));
    if (message.header.type == EVENT_EXITED)
        require_exit(&message.exited);
    if (message.header.type == MESSAGE_ANSWER) {
        fuzz_require(message.answer.paused <= 1 && message.answer.error_number >= 0);
        require_text(message.answer.message, sizeof(message.answer.message));
    }
    return 0;
}
