/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vsock_cat listen|connect ADDRESS CONNECTIONS BYTES
 * vsock_cat talk ADDRESS TEXT
 *
 * Streams with known contents, for guest and host.  The connecting end tells
 * each connection's number first.  Then both ends send BYTES at the same time,
 * compare what they receive with what the number implies, end their half, and
 * wait for the end of the other's.  Prints "ok CONNECTIONS BYTES", or what was
 * wrong, and ends with 0 or 1.  talk says TEXT and prints the line that it hears.
 *
 *   vsock:CID:PORT    AF_VSOCK; listening, CID may be "any"
 *   unix:PATH         a unix socket
 *   mote:PATH:PORT    connecting only: CONNECT PORT on the unix socket PATH
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/vm_sockets.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define TABLE 65521u /* a prime: what is lost or shifted does not fit again */
#define PIECE 32768u
#define CONNECTIONS_MAX 1024
#define STACK (128u << 10)
#define PATIENCE_S 40

static uint8_t table[TABLE + PIECE];

struct stream {
    int fd;
    bool connecting;
    uint64_t bytes;
    uint32_t number;
    const char *wrong;
    pthread_t thread;
};

static void fill_table(void)
{
    uint64_t state = 88172645463325252ull;

    for (size_t i = 0; i < sizeof(table); i++) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        table[i] = i < TABLE ? (uint8_t)state : table[i - TABLE];
    }
}

/* What the connecting end, or the other, sends from byte OFFSET on. */
static const uint8_t *contents(const struct stream *stream, bool by_connecting, uint64_t offset)
{
    return table + (offset + 7919ull * stream->number + (by_connecting ? 31337 : 0)) % TABLE;
}

static void *send_all(void *context)
{
    struct stream *stream = context;

    for (uint64_t done = 0; done < stream->bytes;) {
        uint64_t left = stream->bytes - done;
        ssize_t sent = send(stream->fd, contents(stream, stream->connecting, done),
                            left < PIECE ? left : PIECE, MSG_NOSIGNAL);

        if (sent < 0) {
            stream->wrong = "send failed";
            return NULL;
        }
        done += (uint64_t)sent;
    }
    if (shutdown(stream->fd, SHUT_WR) < 0)
        stream->wrong = "shutdown failed";
    return NULL;
}

static const char *receive_all(const struct stream *stream)
{
    uint8_t bytes[PIECE];
    uint64_t done = 0;

    for (;;) {
        ssize_t got = recv(stream->fd, bytes, sizeof(bytes), 0);

        if (got < 0)
            return strerror(errno);
        if (got == 0)
            return done == stream->bytes ? NULL : "the stream ended too early";
        if ((uint64_t)got > stream->bytes - done)
            return "the stream is too long";
        if (memcmp(bytes, contents(stream, !stream->connecting, done), (size_t)got) != 0)
            return "wrong bytes";
        done += (uint64_t)got;
    }
}

static const char *agree_on_number(struct stream *stream)
{
    if (stream->connecting)
        return send(stream->fd, &stream->number, 4, MSG_NOSIGNAL) == 4 ? NULL : "no number sent";
    return recv(stream->fd, &stream->number, 4, MSG_WAITALL) == 4 ? NULL : "no number came";
}

static void *run_stream(void *context)
{
    struct stream *stream = context;
    const char *wrong = agree_on_number(stream);
    pthread_attr_t attributes;
    pthread_t sender;

    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK);
    if (!wrong && pthread_create(&sender, &attributes, send_all, stream) != 0)
        wrong = "no thread";
    if (!wrong) {
        wrong = receive_all(stream);
        pthread_join(sender, NULL);
    }
    if (wrong)
        stream->wrong = wrong;
    close(stream->fd);
    return NULL;
}

/* ---- addresses ---- */

struct address {
    struct sockaddr_storage storage;
    socklen_t length;
    int family;
    char connect[32]; /* the line to say first, or empty */
};

static bool parse_unix(struct address *address, const char *path, size_t length)
{
    struct sockaddr_un *name = (struct sockaddr_un *)&address->storage;

    if (length >= sizeof(name->sun_path))
        return false;
    name->sun_family = AF_UNIX;
    memcpy(name->sun_path, path, length);
    address->family = AF_UNIX;
    address->length = sizeof(*name);
    return true;
}

static bool parse(struct address *address, const char *text)
{
    struct sockaddr_vm *name = (struct sockaddr_vm *)&address->storage;
    const char *colon = strrchr(text, ':');

    memset(address, 0, sizeof(*address));
    if (strncmp(text, "unix:", 5) == 0)
        return parse_unix(address, text + 5, strlen(text + 5));
    if (strncmp(text, "mote:", 5) == 0 && colon > text + 5) {
        snprintf(address->connect, sizeof(address->connect), "CONNECT %s\n", colon + 1);
        return parse_unix(address, text + 5, (size_t)(colon - text - 5));
    }
    if (strncmp(text, "vsock:", 6) != 0 || colon == text + 5)
        return false;
    name->svm_family = AF_VSOCK;
    name->svm_cid = strncmp(text + 6, "any", 3) == 0 ? VMADDR_CID_ANY
                                                      : (unsigned int)strtoul(text + 6, NULL, 10);
    name->svm_port = (unsigned int)strtoul(colon + 1, NULL, 10);
    address->family = AF_VSOCK;
    address->length = sizeof(*name);
    return true;
}

/* Sends the CONNECT line and reads "OK <port>\n"; false: no. */
static bool say_connect(int fd, const char *line)
{
    char answer[32] = "", byte;
    size_t length = 0;

    if (line[0] == '\0')
        return true;
    if (send(fd, line, strlen(line), MSG_NOSIGNAL) != (ssize_t)strlen(line))
        return false;
    while (recv(fd, &byte, 1, 0) == 1 && byte != '\n' && length < sizeof(answer) - 1)
        answer[length++] = byte;
    return strncmp(answer, "OK ", 3) == 0;
}

/* Tries again while nobody listens yet. */
static int connect_to(const struct address *address)
{
    time_t end = time(NULL) + PATIENCE_S;
    const struct timespec pause = { .tv_nsec = 100000000 };

    do {
        int fd = socket(address->family, SOCK_STREAM | SOCK_CLOEXEC, 0);

        if (fd >= 0 &&
            connect(fd, (const struct sockaddr *)&address->storage, address->length) == 0 &&
            say_connect(fd, address->connect))
            return fd;
        if (fd >= 0)
            close(fd);
        nanosleep(&pause, NULL);
    } while (time(NULL) < end);
    return -1;
}

static int listen_at(const struct address *address)
{
    int fd = socket(address->family, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || bind(fd, (const struct sockaddr *)&address->storage, address->length) < 0 ||
        listen(fd, CONNECTIONS_MAX) < 0)
        return -1;
    return fd;
}

static int wrong(const char *what, unsigned int number)
{
    printf("stream %u: %s\n", number, what);
    return 1;
}

static int talk(const struct address *address, const char *text)
{
    int fd = connect_to(address);
    char byte;

    if (fd < 0 || dprintf(fd, "%s\n", text) < 0)
        return wrong("no connection", 0);
    while (recv(fd, &byte, 1, 0) == 1 && byte != '\n')
        putchar(byte);
    putchar('\n');
    return 0;
}

int main(int argc, char **argv)
{
    static struct stream streams[CONNECTIONS_MAX];
    unsigned int count = argc == 5 ? (unsigned int)atoi(argv[3]) : 0;
    bool connecting = argc == 5 && strcmp(argv[1], "connect") == 0;
    struct address address;
    pthread_attr_t attributes;
    int listener = -1, status = 0;

    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc == 4 && strcmp(argv[1], "talk") == 0 && parse(&address, argv[2]))
        return talk(&address, argv[3]);
    if (count == 0 || count > CONNECTIONS_MAX || !parse(&address, argv[2]))
        return wrong("usage: vsock_cat listen|connect ADDRESS CONNECTIONS BYTES", 0);
    fill_table();
    if (!connecting && (listener = listen_at(&address)) < 0)
        return wrong(strerror(errno), 0);
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK);
    for (unsigned int i = 0; i < count; i++) {
        struct stream *stream = &streams[i];

        stream->connecting = connecting;
        stream->number = i;
        stream->bytes = strtoull(argv[4], NULL, 10);
        stream->fd = connecting ? connect_to(&address) : accept(listener, NULL, NULL);
        if (stream->fd < 0)
            return wrong("no connection", i);
        if (pthread_create(&stream->thread, &attributes, run_stream, stream) != 0)
            return wrong("no thread", i);
    }
    /* Whoever connects from now on means the next listener, and shall try again. */
    if (listener >= 0)
        close(listener);
    for (unsigned int i = 0; i < count; i++) {
        pthread_join(streams[i].thread, NULL);
        if (streams[i].wrong)
            status = wrong(streams[i].wrong, i);
    }
    if (status == 0)
        printf("ok %u %s\n", count, argv[4]);
    return status;
}
