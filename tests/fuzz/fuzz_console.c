/* SPDX-License-Identifier: Apache-2.0 */
/* The console device with a port on a unix socket, whose peers come, talk, stop and go. */
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "devices/backend/unix_listener.h"
#include "devices/virtio/console.h"
#include "tests/fuzz/virtio_harness.h"

#define MESSAGES_BASE 0x40000u /* where the harness's chains have their buffers */
#define MESSAGES_SIZE 0x8000u

static struct {
    char directory[32];
    char options[64];
    char path[48];
    int peer;
} host = { .peer = -1 };

static void clean_up(void)
{
    unlink(host.path);
    rmdir(host.directory);
}

static void open_host(void)
{
    strcpy(host.directory, "/tmp/fuzz-console.XXXXXX");
    fuzz_require(mkdtemp(host.directory));
    snprintf(host.path, sizeof(host.path), "%s/s", host.directory);
    snprintf(host.options, sizeof(host.options), "talk=unix:%s", host.path);
    atexit(clean_up);
}

static void put_peer(int fd)
{
    if (host.peer >= 0)
        close(host.peer);
    host.peer = fd < 0 ? -1 : fd;
}

/* Control messages that mean something, wherever the next chains' buffers begin. */
static void write_messages(struct fake_driver *driver, struct fuzz_input *input)
{
    uint32_t choice = (uint32_t)fuzz_take(input, 2);
    struct console_control message = {
        .port = choice & 0xf0 ? choice & 3 : choice << 16,
        .event = (uint16_t)(choice >> 8 & 0xf),
        .value = (uint16_t)(choice >> 12 & 3),
    };

    for (uint32_t at = 0; at < MESSAGES_SIZE; at += sizeof(message))
        memcpy(fake_memory(driver, MESSAGES_BASE + at, sizeof(message)), &message,
               sizeof(message));
}

static void change_host(struct fake_driver *driver, struct fuzz_input *input)
{
    uint8_t choice = (uint8_t)fuzz_take(input, 1);
    static char bytes[65536];

    switch (choice & 7) {
    case 0:
    case 1:
        write_messages(driver, input);
        return;
    case 2:
        put_peer(unix_connect(host.path));
        break;
    case 3:
        put_peer(-1);
        break;
    case 4:
        if (host.peer >= 0)
            shutdown(host.peer, choice & 32 ? SHUT_WR : SHUT_RD);
        break;
    case 5:
        if (host.peer >= 0)
            recv(host.peer, bytes, sizeof(bytes), MSG_DONTWAIT);
        break;
    default:
        if (host.peer >= 0)
            send(host.peer, bytes, fuzz_take(input, 2), MSG_DONTWAIT | MSG_NOSIGNAL);
    }
    fake_driver_run(driver);
}

/* A driver that is ready learns of its port. */
static bool request(struct fake_driver *driver)
{
    struct console_control message = { .event = CONSOLE_DEVICE_READY, .value = 1 };
    const struct fake_buffer in = { 0x50000, 256, true }, out = { 0x40000, sizeof(message) };
    struct virtq_used_element used;

    memcpy(fake_memory(driver, out.address, sizeof(message)), &message, sizeof(message));
    fake_driver_send(driver, CONSOLE_CONTROL_RX, FAKE_DIRECT, 1, &in);
    fake_driver_send(driver, CONSOLE_CONTROL_TX, FAKE_DIRECT, 1, &out);
    if (!fake_driver_used(driver, CONSOLE_CONTROL_RX, &used) || used.length != sizeof(message))
        return false;
    memcpy(&message, fake_memory(driver, in.address, sizeof(message)), sizeof(message));
    return message.event == CONSOLE_PORT_ADD && message.port == 1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct virtio_fuzz fuzz = {
        .class = &virtio_console_class,
        .options = host.options,
        .features = UINT64_MAX,
        .queues = 6,
        .operate = change_host,
        .request = request,
    };
    int result;

    if (!host.directory[0])
        open_host();
    result = virtio_fuzz_run(&fuzz, data, size);
    put_peer(-1);
    return result;
}
