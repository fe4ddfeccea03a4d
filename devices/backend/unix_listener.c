/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/backend/unix_listener.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "vmm/base/cleanup.h"
#include "vmm/base/host_path.h"

#define BACKLOG 128

/* -ENAMETOOLONG for a path that does not fit. */
static int address_of(const char *path, struct sockaddr_un *address)
{
    *address = (struct sockaddr_un){ .sun_family = AF_UNIX };
    if (strlen(path) >= sizeof(address->sun_path))
        return -ENAMETOOLONG;
    strcpy(address->sun_path, path);
    return 0;
}

int unix_connect(const char *path)
{
    struct sockaddr_un address;
    cleanup_fd int fd = -1;
    int result = address_of(path, &address);

    if (result < 0)
        return result;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
        return -errno;
    return steal_fd(&fd);
}

static int bind_failed(const char *option, const char *path, int number, struct error *error)
{
    switch (number) {
    case ENOENT:
    case ENOTDIR:
        return error_set(error, number, "--%s: socket %s: its directory does not exist; create it",
                         option, path);
    case EACCES:
    case EROFS:
    case EPERM:
        return error_set(error, number, "--%s: socket %s: %s; use a directory that you may write",
                         option, path, strerror(number));
    default:
        return error_system(error, number, "--%s: socket %s", option, path);
    }
}

/* Something is at PATH: removes it if it is a socket that nobody listens on. */
static int remove_stale(const char *option, const char *path, struct error *error)
{
    struct stat status;
    int fd;

    if (lstat(path, &status) < 0)
        return errno == ENOENT ? 0 : bind_failed(option, path, errno, error);
    if (!S_ISSOCK(status.st_mode))
        return error_set(error, EEXIST, "--%s: %s exists and is no socket; choose another path",
                         option, path);
    fd = unix_connect(path);
    if (fd >= 0)
        close(fd);
    if (fd != -ECONNREFUSED)
        return error_set(error, EADDRINUSE, "--%s: socket %s is in use by another process; "
                         "end that or choose another path", option, path);
    if (unlink(path) < 0 && errno != ENOENT)
        return bind_failed(option, path, errno, error);
    return 0;
}

static int bind_path(int fd, const char *option, const char *path,
                     const struct sockaddr_un *address, struct error *error)
{
    int result;

    if (bind(fd, (const struct sockaddr *)address, sizeof(*address)) == 0)
        return 0;
    if (errno != EADDRINUSE)
        return bind_failed(option, path, errno, error);
    result = remove_stale(option, path, error);
    if (result < 0)
        return result;
    if (bind(fd, (const struct sockaddr *)address, sizeof(*address)) < 0)
        return bind_failed(option, path, errno, error);
    return 0;
}

int unix_listener_open(struct unix_listener *listener, const char *option, const char *path,
                       struct error *error)
{
    cleanup_fd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    cleanup_free char *copy = strdup(path);
    struct sockaddr_un address;
    struct stat status;
    int result;

    *listener = (struct unix_listener)UNIX_LISTENER_INIT;
    if (fd < 0 || !copy)
        return error_system(error, errno, "--%s: socket %s", option, path);
    if (address_of(path, &address) < 0)
        return host_path_check_socket(option, path, 0, error);
    result = bind_path(fd, option, path, &address, error);
    if (result < 0)
        return result;
    if (listen(fd, BACKLOG) < 0 || lstat(path, &status) < 0) {
        result = bind_failed(option, path, errno, error);
        unlink(path);
        return result;
    }
    *listener = (struct unix_listener){
        .device = status.st_dev, .inode = status.st_ino,
    };
    listener->fd = steal_fd(&fd);
    listener->path = steal_pointer(&copy);
    return 0;
}

int unix_listener_borrow(struct unix_listener *listener, const struct unix_listener *owner,
                         struct error *error)
{
    *listener = (struct unix_listener){ .fd = fcntl(owner->fd, F_DUPFD_CLOEXEC, 3) };
    return listener->fd < 0 ? error_system(error, errno, "socket %s", owner->path) : 0;
}

void unix_listener_close(struct unix_listener *listener)
{
    struct stat status;

    if (listener->fd < 0)
        return;
    close(listener->fd);
    if (listener->path && lstat(listener->path, &status) == 0 && status.st_dev == listener->device &&
        status.st_ino == listener->inode)
        unlink(listener->path);
    free(listener->path);
    *listener = (struct unix_listener)UNIX_LISTENER_INIT;
}

int unix_listener_make(struct unix_listener **listener, const char *option, const char *path,
                       struct error *error)
{
    struct unix_listener *made = calloc(1, sizeof(*made));
    int result = made ? unix_listener_open(made, option, path, error)
                      : error_system(error, ENOMEM, "--%s: socket %s", option, path);

    if (result < 0)
        free(made);
    else
        *listener = made;
    return result;
}

void unix_listener_destroy(struct unix_listener *listener)
{
    if (listener)
        unix_listener_close(listener);
    free(listener);
}

int unix_listener_accept(const struct unix_listener *listener)
{
    int fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

    return fd < 0 ? -errno : fd;
}
