/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pty [WAIT KEYS]... -- COMMAND [ARGUMENT]...
 *
 * Runs COMMAND on a pseudo-terminal of its own, copies what it prints to
 * standard output, and types: KEYS each time after WAIT was printed, and then
 * what comes by standard input.  Empty KEYS have the terminal go away, as a window
 * that is closed does.  At the end tells whether the terminal's
 * settings are what they were, and ends with COMMAND's status; 99 for a WAIT
 * that never came within a minute, 98 for settings that changed.
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#define PATIENCE_S 60
#define STATUS_CHANGED 98
#define STATUS_LATE 99

static char seen[1 << 16];
static size_t seen_length, searched_from;

static void give_up(int number)
{
    static const char message[] = "pty: what was waited for did not come\n";
    ssize_t written = write(STDERR_FILENO, message, sizeof(message) - 1);

    (void)number;
    (void)written;
    _exit(STATUS_LATE);
}

static pid_t start(const char *terminal, char **command)
{
    pid_t child = fork();
    int fd;

    if (child != 0)
        return child;
    setsid();
    fd = open(terminal, O_RDWR);
    if (fd < 0)
        _exit(127);
    ioctl(fd, TIOCSCTTY, 0);
    for (int standard = 0; standard <= 2; standard++)
        dup2(fd, standard);
    if (fd > 2)
        close(fd);
    alarm(0);
    execvp(command[0], command);
    _exit(127);
}

/* Takes in what was printed; false once the other side is closed. */
static bool take_output(int master)
{
    char bytes[4096];
    ssize_t length = read(master, bytes, sizeof(bytes));

    if (length <= 0)
        return false;
    if ((size_t)length < sizeof(seen) - seen_length) {
        memcpy(seen + seen_length, bytes, (size_t)length);
        seen_length += (size_t)length;
    }
    return fwrite(bytes, 1, (size_t)length, stdout) == (size_t)length && fflush(stdout) == 0;
}

static bool came(const char *wanted)
{
    char *at = memmem(seen + searched_from, seen_length - searched_from, wanted, strlen(wanted));

    if (at)
        searched_from = (size_t)(at - seen) + strlen(wanted);
    return at != NULL;
}

/* Types what comes by standard input; false at its end. */
static bool pass_input(int master)
{
    char bytes[256];
    ssize_t length = read(STDIN_FILENO, bytes, sizeof(bytes));

    return length > 0 && write(master, bytes, (size_t)length) == length;
}

/* Copies what is printed, and types what comes, until the child ends. */
static int exit_status(pid_t child, int master)
{
    struct pollfd sides[] = {
        { .fd = master, .events = POLLIN },
        { .fd = STDIN_FILENO, .events = POLLIN },
    };
    pid_t ended;
    int status;

    while ((ended = waitpid(child, &status, WNOHANG)) == 0) {
        if (poll(sides, 2, 50) <= 0)
            continue;
        if (sides[0].revents)
            take_output(master);
        if (sides[1].revents && !pass_input(master))
            sides[1].fd = -1;
    }
    if (ended < 0)
        return 127;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* Of a command whose terminal goes away. */
static int status_without(pid_t child, int master, int kept)
{
    int status;

    close(kept);
    close(master);
    if (waitpid(child, &status, 0) != child)
        return 127;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int main(int argc, char **argv)
{
    struct termios before, after;
    int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC), kept, at = 1, status;
    const char *name;
    pid_t child;
    int command = 1;

    while (command < argc && strcmp(argv[command], "--") != 0)
        command++;
    if (command + 1 >= argc || command % 2 == 0 || master < 0 || grantpt(master) < 0 ||
        unlockpt(master) < 0 || !(name = ptsname(master)))
        return 127;
    /* Held open, so that the settings outlive the command. */
    kept = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
    tcgetattr(kept, &before);
    child = start(name, argv + command + 1);
    signal(SIGALRM, give_up);
    alarm(PATIENCE_S);
    while (at < command) {
        if (!came(argv[at])) {
            if (!take_output(master))
                return STATUS_LATE;
            continue;
        }
        if (!argv[at + 1][0])
            return status_without(child, master, kept);
        if (write(master, argv[at + 1], strlen(argv[at + 1])) < 0)
            return 127;
        at += 2;
    }
    alarm(0);
    status = exit_status(child, master);
    tcgetattr(kept, &after);
    for (struct pollfd rest = { .fd = master, .events = POLLIN }; poll(&rest, 1, 0) > 0;)
        if (!take_output(master))
            break;
    if (before.c_iflag != after.c_iflag || before.c_oflag != after.c_oflag ||
        before.c_lflag != after.c_lflag || before.c_cflag != after.c_cflag) {
        fprintf(stderr, "pty: the terminal's settings were not restored\n");
        return STATUS_CHANGED;
    }
    return status;
}
