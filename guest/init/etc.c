/* SPDX-License-Identifier: Apache-2.0 */
/* The files by which a C library knows names, as container tools write them. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "guest/init/init.h"

#define RESOLVER_SIZE 4096 /* the host's lines have 1 KiB each, of two kinds */

/* A new file NAME in ETC with this text, over whatever the image has there, a link included; 0, or -1 with errno. */
static int create(const char *etc, const char *name, const char *text)
{
    char path[256];
    int fd;

    snprintf(path, sizeof(path), "%s/%s", etc, name);
    if (unlink(path) < 0 && errno != ENOENT)
        return -1;
    fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd < 0)
        return -1;
    if (write(fd, text, strlen(text)) < 0) {
        close(fd);
        return -1;
    }
    return close(fd);
}

/* Who builds an image by a container leaves empty files where these were mounted. */
static bool is_missing(const char *etc, const char *name)
{
    struct stat status;
    char path[256];

    snprintf(path, sizeof(path), "%s/%s", etc, name);
    if (stat(path, &status) < 0)
        return errno == ENOENT || errno == ELOOP || errno == ENOTDIR;
    return S_ISREG(status.st_mode) && status.st_size == 0;
}

static const char *text_of(uint32_t address, char text[INET_ADDRSTRLEN])
{
    struct in_addr in = { .s_addr = address };

    return inet_ntop(AF_INET, &in, text, INET_ADDRSTRLEN);
}

/* A root without room or a place for it does without; EBUSY: a volume of the user's is there, which stays. */
static void create_if_missing(const char *etc, const char *name, const char *text)
{
    if (is_missing(etc, name) && create(etc, name, text) < 0 && errno != EBUSY)
        dprintf(STDERR_FILENO, "mote-init: %s/%s: %s\n", etc, name, strerror(errno));
}

void etc_names(const char *etc, const char *host_name, uint32_t address)
{
    char text[512], number[INET_ADDRSTRLEN];

    snprintf(text, sizeof(text),
             "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n%s\t%s\n",
             text_of(address ? address : htonl(INADDR_LOOPBACK), number), host_name);
    create_if_missing(etc, "hosts", text);
    snprintf(text, sizeof(text), "%s\n", host_name);
    create_if_missing(etc, "hostname", text);
}

void etc_resolver(const char *etc, uint32_t name_server, const char *rest)
{
    char text[RESOLVER_SIZE], number[INET_ADDRSTRLEN];

    snprintf(text, sizeof(text), "%snameserver %s\n", rest, text_of(name_server, number));
    if (create(etc, "resolv.conf", text) < 0 && errno != EBUSY)
        init_failed(errno, "/etc/resolv.conf");
}
