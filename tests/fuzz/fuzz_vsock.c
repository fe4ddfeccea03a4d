/* SPDX-License-Identifier: Apache-2.0 */
/* The vsock device between a hostile driver and a host whose peers come, talk, stop and go. */
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "devices/backend/unix_listener.h"
#include "devices/virtio/vsock.h"
#include "tests/fuzz/virtio_harness.h"

#define CID 7
#define HOST_PORT 77
#define PEERS 4
#define HEADERS_BASE 0x40000u /* where the harness's chains have their buffers */
#define HEADERS_SIZE 0x8000u
#define HEADER_STEP 64u

static struct {
    char directory[32];
    char options[64];
    char path[64];
    struct unix_listener listener; /* at PATH_77 */
    int peers[PEERS];
} host;

static void clean_up(void)
{
    unix_listener_close(&host.listener);
    unlink(host.path);
    rmdir(host.directory);
}

static void open_host(void)
{
    struct error error;
    char path[80];

    strcpy(host.directory, "/tmp/fuzz-vsock.XXXXXX");
    fuzz_require(mkdtemp(host.directory));
    snprintf(host.path, sizeof(host.path), "%s/s", host.directory);
    snprintf(host.options, sizeof(host.options), "%d:%s", CID, host.path);
    snprintf(path, sizeof(path), "%s_%d", host.path, HOST_PORT);
    fuzz_require(unix_listener_open(&host.listener, "vsock", path, &error) == 0);
    for (unsigned int i = 0; i < PEERS; i++)
        host.peers[i] = -1;
    atexit(clean_up);
}

static void put_peer(unsigned int slot, int fd)
{
    if (host.peers[slot] >= 0)
        close(host.peers[slot]);
    host.peers[slot] = fd < 0 ? -1 : fd;
}

/* Headers that mean something, wherever the next chains' buffers begin. */
static void write_headers(struct fake_driver *driver, struct fuzz_input *input)
{
    uint8_t choice = (uint8_t)fuzz_take(input, 1);
    struct vsock_header header = {
        .source_cid = CID,
        .destination_cid = VSOCK_CID_HOST,
        .source_port = 1000u + (choice & 3),
        .destination_port = choice & 4 ? HOST_PORT : 0x40000001u + (choice >> 3 & 1),
        .type = VSOCK_TYPE_STREAM,
        .op = (uint16_t)(fuzz_take(input, 1) % 9),
        .buf_alloc = choice & 16 ? (uint32_t)fuzz_take(input, 4) : 4096,
        .fwd_cnt = choice & 32 ? (uint32_t)fuzz_take(input, 4) : 0,
        .length = choice & 64 ? (uint32_t)fuzz_take(input, 3) : 0,
        .flags = choice & 128 ? (uint32_t)fuzz_take(input, 1) : 3,
    };

    for (uint32_t at = 0; at < HEADERS_SIZE; at += HEADER_STEP)
        memcpy(fake_memory(driver, HEADERS_BASE + at, sizeof(header)), &header, sizeof(header));
}

static void change_host(struct fake_driver *driver, struct fuzz_input *input)
{
    uint8_t choice = (uint8_t)fuzz_take(input, 1);
    unsigned int slot = choice >> 3 & 3;
    size_t length = fuzz_take(input, 2);
    static char bytes[65536];
    int written;

    switch (choice & 7) {
    case 0:
    case 1:
        write_headers(driver, input);
        return;
    case 2:
        put_peer(slot, unix_connect(host.path));
        written = snprintf(bytes, sizeof(bytes), "CONNECT %u\n", 1000u + (choice >> 5 & 3));
        length = length ? (size_t)written : (size_t)written / 2;
        break;
    case 3:
        put_peer(slot, unix_listener_accept(&host.listener));
        return;
    case 4:
        put_peer(slot, -1);
        break;
    case 5:
        if (host.peers[slot] >= 0)
            shutdown(host.peers[slot], choice & 32 ? SHUT_WR : SHUT_RD);
        break;
    case 6:
        if (host.peers[slot] >= 0)
            recv(host.peers[slot], bytes, sizeof(bytes), MSG_DONTWAIT);
        break;
    }
    if (host.peers[slot] >= 0 && (choice & 7) != 6 && (choice & 7) != 5)
        send(host.peers[slot], bytes, length, MSG_DONTWAIT | MSG_NOSIGNAL);
    fake_driver_run(driver);
}

/* A guest's connection is accepted. */
static bool request(struct fake_driver *driver)
{
    const struct vsock_header header = {
        .source_cid = CID, .destination_cid = VSOCK_CID_HOST, .source_port = 1,
        .destination_port = HOST_PORT, .type = VSOCK_TYPE_STREAM, .op = VSOCK_OP_REQUEST,
    };
    const struct fake_buffer in = { 0x50000, 256, true }, out = { 0x40000, sizeof(header) };
    struct vsock_header answer;
    struct virtq_used_element used;
    int fd;

    /* A client's REQUEST would come first; those whom nobody accepted fill the backlog. */
    for (unsigned int i = 0; i < PEERS; i++)
        put_peer(i, -1);
    fake_driver_run(driver);
    while ((fd = unix_listener_accept(&host.listener)) >= 0)
        close(fd);
    memcpy(fake_memory(driver, out.address, sizeof(header)), &header, sizeof(header));
    fake_driver_send(driver, VSOCK_RX, FAKE_DIRECT, 1, &in);
    fake_driver_send(driver, VSOCK_TX, FAKE_DIRECT, 1, &out);
    if (!fake_driver_used(driver, VSOCK_RX, &used) || used.length != sizeof(answer))
        return false;
    memcpy(&answer, fake_memory(driver, in.address, sizeof(answer)), sizeof(answer));
    return answer.op == VSOCK_OP_RESPONSE && answer.destination_port == 1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct virtio_fuzz fuzz = {
        .class = &virtio_vsock_class,
        .options = host.options,
        .features = UINT64_MAX,
        .queues = VSOCK_QUEUES,
        .operate = change_host,
        .request = request,
    };
    int result, fd;

    if (!host.directory[0])
        open_host();
    result = virtio_fuzz_run(&fuzz, data, size);
    for (unsigned int i = 0; i < PEERS; i++)
        put_peer(i, -1);
    while ((fd = unix_listener_accept(&host.listener)) >= 0)
        close(fd);
    return result;
}
