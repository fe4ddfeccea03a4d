/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/backend/passt.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "devices/backend/frame_stream.h"
#include "vmm/cleanup.h"

#define PROGRAM "passt"
#define CHILD_SOCKET 3
#define END_TIMEOUT_MS 1000
#define LAST_WORDS_MS 100
#define ARGUMENTS_MAX 32
#define ARGUMENT_SIZE 24
/* "65535:65535," for each forward. */
#define PORTS_SIZE (PASST_FORWARDS_MAX * 12 + 1)

struct passt {
    struct uplink uplink;
    struct frame_stream *stream;
    pid_t pid;       /* 0: none to wait for */
    int messages_fd; /* its standard error, or -1 */
    char reason[256];
};

/* ---- frames ------------------------------------------------------------- */

static ssize_t passt_receive(struct uplink *uplink, unsigned int pair,
                             const struct iovec *segments, int count)
{
    struct passt *passt = (struct passt *)uplink;
    ssize_t result = frame_stream_receive(passt->stream, segments, count);

    (void)pair;
    if (result != -EPROTO)
        return result;
    snprintf(passt->reason, sizeof(passt->reason), "it sent a length that no frame has");
    return -EPIPE;
}

static ssize_t passt_send(struct uplink *uplink, unsigned int pair, struct iovec *segments,
                          int count)
{
    (void)pair;
    return frame_stream_send(((struct passt *)uplink)->stream, segments, count);
}

static bool passt_flush(struct uplink *uplink, unsigned int pair)
{
    (void)pair;
    return frame_stream_flush(((struct passt *)uplink)->stream);
}

/* ---- its end ------------------------------------------------------------ */

/* The last line that passt said of itself, without what its C library's syslog adds. */
static void read_last_words(struct passt *passt, char *words, size_t size)
{
    char text[4096], *line, *rest = text;
    ssize_t length = read(passt->messages_fd, text, sizeof(text) - 1);

    words[0] = '\0';
    text[length > 0 ? length : 0] = '\0';
    while ((line = strsep(&rest, "\n")))
        if (*line && strncmp(line, "Failed to send", 14) != 0)
            snprintf(words, size, "%s", line);
}

/* The signal that ended it, 0 for none; its socket closes a moment before it can be waited for. */
static int ended_by_signal(pid_t pid)
{
    cleanup_fd int process = pidfd_open(pid, 0);
    struct pollfd ended = { .fd = process, .events = POLLIN };
    siginfo_t info = { .si_pid = 0 };

    if (process >= 0)
        poll(&ended, 1, LAST_WORDS_MS);
    if (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0 || info.si_pid == 0)
        return 0;
    return info.si_code == CLD_EXITED ? 0 : info.si_status;
}

static const char *passt_reason(struct uplink *uplink)
{
    struct passt *passt = (struct passt *)uplink;
    char words[200];
    int number;

    if (passt->reason[0])
        return passt->reason;
    number = ended_by_signal(passt->pid);
    if (number) {
        snprintf(passt->reason, sizeof(passt->reason), "passt was ended by SIG%s",
                 sigabbrev_np(number));
        return passt->reason;
    }
    read_last_words(passt, words, sizeof(words));
    snprintf(passt->reason, sizeof(passt->reason), "passt ended%s%s%s", words[0] ? " ('" : "",
             words, words[0] ? "')" : "");
    return passt->reason;
}

/*
 * It leaves by itself when its socket is closed; it keeps nothing that would be
 * lost by a kill, so no one has to wait for it.
 */
static void end_process(pid_t pid)
{
    cleanup_fd int process = pidfd_open(pid, 0);
    struct pollfd ended = { .fd = process, .events = POLLIN };

    if (process < 0)
        return;
    pidfd_send_signal(process, SIGKILL, NULL, 0);
    while (poll(&ended, 1, END_TIMEOUT_MS) < 0 && errno == EINTR)
        ;
    waitpid(pid, NULL, WNOHANG);
}

static void passt_destroy(struct uplink *uplink)
{
    struct passt *passt = (struct passt *)uplink;

    frame_stream_destroy(passt->stream);
    if (passt->pid > 0)
        end_process(passt->pid);
    if (passt->messages_fd >= 0)
        close(passt->messages_fd);
    free(passt);
}

static const struct uplink_ops passt_ops = {
    .receive = passt_receive,
    .send = passt_send,
    .flush = passt_flush,
    .reason = passt_reason,
    .destroy = passt_destroy,
};

/* ---- its start ---------------------------------------------------------- */

/*
 * passt would say later, and to nobody, that a port is taken: the guest runs by
 * then.  So the port is tried before.
 */
static int check_port(const struct passt_forward *forward, struct error *error)
{
    const char *kind = forward->udp ? "udp" : "tcp";
    cleanup_fd int fd = socket(AF_INET, (forward->udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC,
                               0);
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons(forward->host_port),
        .sin_addr.s_addr = htonl(INADDR_ANY),
    };
    int on = 1;

    if (fd < 0)
        return error_system(error, errno, "--net user: a socket");
    /* As passt: connections that ended lately do not count. */
    if (!forward->udp)
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
        return 0;
    if (errno == EADDRINUSE)
        return error_set(error, errno, "--net user: %s port %u of the host is in use; choose "
                         "another in forward=%s:HOSTPORT:%u", kind, forward->host_port, kind,
                         forward->guest_port);
    if (errno == EACCES)
        return error_set(error, errno, "--net user: %s port %u of the host is not permitted; "
                         "choose one from 1024 on", kind, forward->host_port);
    return error_system(error, errno, "--net user: %s port %u of the host", kind,
                        forward->host_port);
}

/* All forwards of one kind, as passt's -t and -u take them. */
static void list_ports(char *text, const struct passt_forward *forwards, size_t count, bool udp)
{
    size_t length = 0;

    text[0] = '\0';
    for (size_t i = 0; i < count; i++)
        if (forwards[i].udp == udp)
            length += (size_t)snprintf(text + length, PORTS_SIZE - length, "%s%u:%u",
                                       length ? "," : "", forwards[i].host_port,
                                       forwards[i].guest_port);
}

/*
 * Away from the terminal's signals, with our mask and handlers undone; the
 * messages go into a pipe that is read when it has ended.
 */
static int spawn(pid_t *pid, int socket_fd, int messages_fd, char *const arguments[])
{
    extern char **environ;
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none, all;
    int result;

    sigemptyset(&none);
    sigfillset(&all);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, messages_fd, STDERR_FILENO);
    posix_spawn_file_actions_adddup2(&actions, socket_fd, CHILD_SOCKET);
    posix_spawn_file_actions_addclosefrom_np(&actions, CHILD_SOCKET + 1);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
                                              POSIX_SPAWN_SETSID);
    result = posix_spawnp(pid, PROGRAM, &actions, &attributes, arguments, environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return -result;
}

/* A command line that owns its words, as execve(2) wants them writable. */
struct arguments {
    size_t count;
    char words[ARGUMENTS_MAX][ARGUMENT_SIZE];
    char *list[ARGUMENTS_MAX + 3]; /* and the two lists of ports, and NULL */
};

static void add_words(struct arguments *arguments, const char *const words[], size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char *word = arguments->words[arguments->count];

        snprintf(word, ARGUMENT_SIZE, "%s", words[i]);
        arguments->list[arguments->count++] = word;
    }
}

static const char *const first_words[] = {
    PROGRAM, "--foreground", "--quiet", "--stderr", "--fd", "3",
};
static const char *const private_words[] = {
    "--ipv4-only", "--no-map-gw", "--address", PASST_PRIVATE_ADDRESS, "--netmask",
    "255.255.255.0", "--gateway", PASST_PRIVATE_GATEWAY, "--dns-forward",
    PASST_PRIVATE_NAME_SERVER,
};
static const char *const tcp_words[] = { "-t" };
static const char *const udp_words[] = { "-u" };

static int start_process(struct passt *passt, int socket_fd, int messages_fd,
                         const struct passt_forward *forwards, size_t count, bool private_network,
                         struct error *error)
{
    struct arguments arguments = { .count = 0 };
    char tcp[PORTS_SIZE], udp[PORTS_SIZE];
    int result;

    add_words(&arguments, first_words, ARRAY_LENGTH(first_words));
    if (private_network)
        add_words(&arguments, private_words, ARRAY_LENGTH(private_words));
    list_ports(tcp, forwards, count, false);
    list_ports(udp, forwards, count, true);
    if (tcp[0]) {
        add_words(&arguments, tcp_words, ARRAY_LENGTH(tcp_words));
        arguments.list[arguments.count++] = tcp;
    }
    if (udp[0]) {
        add_words(&arguments, udp_words, ARRAY_LENGTH(udp_words));
        arguments.list[arguments.count++] = udp;
    }
    result = spawn(&passt->pid, socket_fd, messages_fd, arguments.list);
    if (result == 0)
        return 0;
    passt->pid = 0;
    if (result == -ENOENT)
        return error_set(error, ENOENT, "--net user: passt is not installed; install Debian's "
                         "package: apt-get install passt");
    return error_system(error, -result, "--net user: cannot start passt");
}

/* The socket pair and the pipe; OURS is the stream's from then on. */
static int connect_process(struct passt *passt, const struct passt_forward *forwards, size_t count,
                           bool private_network, struct error *error)
{
    int sockets[2], pipes[2], result;

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) < 0)
        return error_system(error, errno, "--net user: a socket pair");
    passt->stream = frame_stream_create(sockets[0]);
    passt->uplink.fds[0] = sockets[0];
    if (!passt->stream || pipe2(pipes, O_CLOEXEC | O_NONBLOCK) < 0) {
        result = error_system(error, passt->stream ? errno : ENOMEM, "--net user");
        if (!passt->stream)
            close(sockets[0]);
        close(sockets[1]);
        return result;
    }
    passt->messages_fd = pipes[0];
    result = start_process(passt, sockets[1], pipes[1], forwards, count, private_network,
                           error);
    close(sockets[1]);
    close(pipes[1]);
    return result;
}

int passt_start(struct uplink **uplink, const struct passt_forward *forwards, size_t count,
                bool private_network, struct error *error)
{
    struct passt *passt;
    int result = 0;

    for (size_t i = 0; result == 0 && i < count; i++)
        result = check_port(&forwards[i], error);
    if (result < 0)
        return result;
    passt = calloc(1, sizeof(*passt));
    if (!passt)
        return error_system(error, ENOMEM, "--net user");
    passt->uplink = (struct uplink){ .ops = &passt_ops, .name = PROGRAM, .pairs = 1 };
    passt->messages_fd = -1;
    result = connect_process(passt, forwards, count, private_network, error);
    if (result < 0) {
        passt_destroy(&passt->uplink);
        return result;
    }
    *uplink = &passt->uplink;
    return 0;
}
