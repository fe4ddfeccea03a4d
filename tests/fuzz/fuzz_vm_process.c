/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A monitor that sends what it likes, while its supervisor asks and waits: messages of each type, with ids that were and were not
 * asked, any bytes, and the end of the channel.  Whoever waits hears once what came of it, each event comes once, and a
 * monitor that floods is cut off.
 */
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/fuzz/fuzz.h"
#include "vmm/supervisor/vm_process_internal.h"

#define ASKED_MAX 64

static unsigned int replies[ASKED_MAX], asked, terminals, starts;

static void replied(void *context, enum vm_reply reply, const struct answer *answer)
{
    unsigned int *count = context;

    fuzz_require(++*count == 1);
    fuzz_require((reply == VM_ANSWERED) == (answer != NULL));
    fuzz_require(!answer || (answer->paused <= 1 && answer->error_number >= 0 &&
                             strnlen(answer->message, sizeof(answer->message)) < sizeof(answer->message)));
}

static void terminal_wanted(void *context)
{
    (void)context;
    fuzz_require(++terminals == 1);
}

static void started(void *context)
{
    (void)context;
    fuzz_require(++starts == 1);
}

static struct vm_process *make_process(void)
{
    static struct vm_process *process;
    static struct log quiet = { .fd = -1 };
    static const struct vm_process_owner owner = { .terminal_wanted = terminal_wanted, .started = started };
    struct sandbox_config sandbox = SANDBOX_CONFIG_DEFAULT;
    struct error error = ERROR_INIT;
    struct event_loop *loop;

    if (process)
        return process;
    sandbox.mode = SANDBOX_OFF;
    fuzz_require(event_loop_create(&loop, &error) == 0);
    fuzz_require(vm_process_create(&process, &sandbox, loop, &quiet, &owner, &error) == 0);
    return process;
}

static void ask(struct vm_process *process, enum message_type type)
{
    struct vm_reply_handler handler = { .replied = replied, .context = &replies[asked] };
    struct message request = { .header.type = type };
    struct error error = ERROR_INIT;

    if (asked < ASKED_MAX && vm_process_request(process, &request, NULL, 0, &handler, &error) == 0)
        asked++;
}

/* The monitor's side: a message of a type with an id, and a bit more or less of it; or any bytes. */
static void send_some(int channel, struct fuzz_input *input, bool sound)
{
    struct message message = { .header = { .type = (uint32_t)fuzz_take(input, 1), .id = (uint32_t)fuzz_take(input, 1) } };
    size_t length = fuzz_take(input, 1);
    struct fuzz_input bytes = fuzz_take_bytes(input, length);

    if (sound && message.header.type < MESSAGE_TYPE_COUNT) {
        if (bytes.size > 0)
            memcpy(&message.answer, bytes.bytes, bytes.size);
        message_send(channel, &message, NULL, 0, MSG_DONTWAIT);
    } else if (bytes.size > 0) {
        send(channel, bytes.bytes, bytes.size, MSG_DONTWAIT | MSG_NOSIGNAL);
    }
}

static void step(struct vm_process *process, int *monitor, struct fuzz_input *input)
{
    switch (fuzz_take(input, 1) % 8) {
    case 0:
        ask(process, REQUEST_PAUSE);
        break;
    case 1:
        vm_process_request(process, &(struct message){ .header.type = REQUEST_RESUME }, NULL, 0, NULL,
                           &(struct error)ERROR_INIT);
        break;
    case 2:
        if (*monitor >= 0)
            close(*monitor);
        *monitor = -1;
        break;
    case 3:
        send_some(*monitor, input, false);
        break;
    default:
        send_some(*monitor, input, true);
        break;
    }
    while (process->channel >= 0 && vm_process_read(process))
        continue;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = { data, size };
    struct vm_process *process = make_process();
    int ends[2];

    memset(replies, 0, sizeof(replies));
    asked = terminals = starts = 0;
    process->broken = NULL;
    process->runs = process->reports_start = true;
    process->wanted_terminal = process->started = process->reported = false;
    process->unasked = 0;
    process->last_id = 0;
    fuzz_require(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0);
    process->channel = ends[0];
    for (unsigned int i = 0; i < 256 && input.size > 0; i++)
        step(process, &ends[1], &input);
    fuzz_require(!process->broken || process->channel < 0);
    /* Its end: nobody waits any more. */
    vm_process_kill_broken(process, "was killed by its test");
    for (unsigned int i = 0; i < asked; i++)
        fuzz_require(replies[i] == 1);
    if (process->channel >= 0)
        close(process->channel);
    process->channel = -1;
    if (ends[1] >= 0)
        close(ends[1]);
    return 0;
}
