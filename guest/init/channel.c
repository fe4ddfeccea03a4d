/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <unistd.h>

#include <linux/vm_sockets.h>

#include "guest/init/init.h"

#define CONNECT_TIMEOUT_S 300

int channel_open(enum run_port port)
{
    struct sockaddr_vm address = {
        .svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_HOST, .svm_port = port,
    };
    /* The kernel's own two seconds are short for a host that is busy. */
    struct timeval patience = { .tv_sec = CONNECT_TIMEOUT_S };
    int fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0), saved;

    if (fd < 0)
        return -1;
    setsockopt(fd, AF_VSOCK, SO_VM_SOCKETS_CONNECT_TIMEOUT, &patience, sizeof(patience));
    if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0)
        return fd;
    saved = errno;
    close(fd);
    errno = saved;
    return -1;
}

ssize_t channel_read(int fd, void *bytes, size_t length)
{
    size_t done = 0;

    while (done < length) {
        ssize_t count = read(fd, (uint8_t *)bytes + done, length - done);

        if (count < 0 && errno == EINTR)
            continue;
        if (count <= 0)
            return count;
        done += (size_t)count;
    }
    return (ssize_t)done;
}

int channel_write(int fd, const void *bytes, size_t length)
{
    size_t done = 0;

    while (done < length) {
        ssize_t count = send(fd, (const uint8_t *)bytes + done, length - done, MSG_NOSIGNAL);

        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return -1;
        done += (size_t)count;
    }
    return 0;
}

/* In one piece, so that it costs one exit. */
void channel_send(int control, enum run_record_type type, const void *bytes, size_t length,
                  const char *text)
{
    uint8_t record[RUN_GUEST_RECORD_MAX];
    size_t text_length = text ? strlen(text) : 0;
    struct run_header header = { .type = type };

    if (text_length > sizeof(record) - sizeof(header) - length)
        text_length = sizeof(record) - sizeof(header) - length;
    header.length = (uint32_t)(length + text_length);
    memcpy(record, &header, sizeof(header));
    if (length > 0)
        memcpy(record + sizeof(header), bytes, length);
    if (text_length > 0)
        memcpy(record + sizeof(header) + length, text, text_length);
    if (channel_write(control, record, sizeof(header) + header.length) < 0)
        init_end();
}
