/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An init that lies to `mote run`: in the place of the guest's own, it plays
 * what the job's command names.
 *
 *   garbage    bytes that are no record
 *   version    another version of the protocol
 *   order      how the job ended, before it began
 *   text       an endless failure text with terminal escapes in it
 *   silent     nothing after HELLO
 *   undead     the job has ended, but its streams never do
 *   flood      a thousand connections to ports of all kinds, then an honest end
 *   writer     output without end
 */
#include <linux/vm_sockets.h>
#include <stdint.h>
#include <string.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <unistd.h>

#include "guest/init/protocol.h"

static uint8_t job[RUN_JOB_MAX + sizeof(struct run_header)];
static size_t job_length;
static int control;

static int open_port(uint32_t port)
{
    struct sockaddr_vm address = {
        .svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_HOST, .svm_port = port,
    };
    int fd = socket(AF_VSOCK, SOCK_STREAM, 0);

    if (fd >= 0 && connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static void say(uint32_t type, const void *bytes, uint32_t length)
{
    uint8_t record[2048];
    struct run_header header = { type, length };
    ssize_t written;

    memcpy(record, &header, sizeof(header));
    if (length > 0)
        memcpy(record + sizeof(header), bytes, length);
    written = write(control, record, sizeof(header) + length);
    (void)written;
}

static void hello(uint32_t version)
{
    ssize_t count;

    say(RUN_HELLO, &version, sizeof(version));
    /* As much as comes at once is enough to find the scenario in. */
    count = read(control, job, sizeof(job));
    job_length = count > 0 ? (size_t)count : 0;
}

static int plays(const char *scenario)
{
    return memmem(job, job_length, scenario, strlen(scenario) + 1) != NULL;
}

static void end_well(void)
{
    struct run_ended ended = { .exited = 1 };

    say(RUN_ENDED, &ended, sizeof(ended));
}

static void play_garbage(void)
{
    uint8_t bytes[600];
    ssize_t written;

    memset(bytes, 0xa5, sizeof(bytes));
    written = write(control, bytes, sizeof(bytes));
    (void)written;
}

static void play_text(void)
{
    struct run_failed failed = { RUN_FAILED_SETUP, 2 };
    uint8_t bytes[RUN_GUEST_RECORD_MAX];

    memset(bytes, '\x1b', sizeof(bytes));
    memcpy(bytes, &failed, sizeof(failed));
    say(RUN_FAILED, bytes, sizeof(bytes));
}

static void play_flood(void)
{
    int output = open_port(RUN_PORT_STDOUT), error = open_port(RUN_PORT_STDERR);

    for (uint32_t i = 0; i < 1000; i++) {
        int fd = open_port(i % 8 ? i % 8 : UINT32_MAX - i);

        if (fd >= 0 && i % 2)
            close(fd);
    }
    say(RUN_STARTED, NULL, 0);
    close(output);
    close(error);
    end_well();
}

static void play_writer(void)
{
    static uint8_t bytes[65536];
    int output = open_port(RUN_PORT_STDOUT);

    say(RUN_STARTED, NULL, 0);
    while (write(output, bytes, sizeof(bytes)) > 0)
        ;
}

static void play(void)
{
    if (plays("garbage")) {
        play_garbage();
    } else if (plays("order")) {
        end_well();
    } else if (plays("text")) {
        play_text();
    } else if (plays("undead")) {
        open_port(RUN_PORT_STDOUT);
        say(RUN_STARTED, NULL, 0);
        end_well();
    } else if (plays("flood")) {
        play_flood();
    } else if (plays("writer")) {
        play_writer();
    }
}

int main(void)
{
    control = open_port(RUN_PORT_CONTROL);
    hello(RUN_VERSION);
    if (plays("version")) {
        /* A second connection of this kind is refused; so the first one says it again. */
        hello(RUN_VERSION + 1);
    }
    play();
    for (;;)
        pause();
}
