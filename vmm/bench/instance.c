/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/bench/instance.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "vmm/bench/process_tree.h"
#include "vmm/base/cleanup.h"

#define LINE "mote-probe "
#define OWN_WORDS "mote-probe: "
#define LAST_LINES 200 /* bytes of each stream that a reason has */
#define WAIT_MS 100 /* how long a signal may go unseen that came before poll() */

extern char **environ;

int64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/*
 * Each instance takes four descriptors of ours, and hundreds are many.  But what
 * runs in one shall have the user's limit: some walk all that there may be.
 */
static struct rlimit given, raised;

static void raise_limit(void)
{
    if (raised.rlim_cur > 0 || getrlimit(RLIMIT_NOFILE, &given) < 0)
        return;
    raised = (struct rlimit){ .rlim_cur = given.rlim_max, .rlim_max = given.rlim_max };
    if (setrlimit(RLIMIT_NOFILE, &raised) < 0)
        raised = given;
}

int instances_prepare(struct error *error)
{
    raise_limit();
    if (prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
        return error_system(error, errno, "PR_SET_CHILD_SUBREAPER");
    return 0;
}

/* ---- start ---------------------------------------------------------------- */

/* The two ends of a pipe, ours first; none is inherited unless it is made a standard one. */
static int make_pipe(int *ours, int *theirs, bool we_read)
{
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) < 0)
        return -errno;
    *ours = ends[we_read ? 0 : 1];
    *theirs = ends[we_read ? 1 : 0];
    return 0;
}

static int spawn(struct instance *instance, char *const words[], const int standard[3])
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none;
    int result;

    sigemptyset(&none);
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    for (int fd = 0; fd < 3; fd++)
        posix_spawn_file_actions_adddup2(&actions, standard[fd], fd);
    /* A group of its own: the terminal's signals are for us, who end it in order. */
    posix_spawnattr_setpgroup(&attributes, 0);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK);
    if (raised.rlim_cur > 0)
        setrlimit(RLIMIT_NOFILE, &given);
    instance->spawned = now_ns();
    result = posix_spawn(&instance->process, words[0], &actions, &attributes, words, environ);
    if (raised.rlim_cur > 0)
        setrlimit(RLIMIT_NOFILE, &raised);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    if (result != 0)
        instance->process = -1;
    return -result;
}

int instance_start(struct instance *instance, char *const words[], bool input, struct error *error)
{
    cleanup_fd int their_input = -1, their_output = -1;
    int result = 0;

    *instance = (struct instance){ .process = -1, .input = -1, .output = -1, .handle = -1 };
    instance->errors = memfd_create("errors", MFD_CLOEXEC);
    if (instance->errors < 0)
        result = -errno;
    if (result == 0)
        result = make_pipe(&instance->output, &their_output, true);
    if (result == 0 && input)
        result = make_pipe(&instance->input, &their_input, false);
    if (result == 0 && !input && (their_input = open("/dev/null", O_RDONLY | O_CLOEXEC)) < 0)
        result = -errno;
    if (result == 0)
        result = spawn(instance, words,
                       (const int[]){ their_input, their_output, instance->errors });
    if (result == 0 &&
        (instance->handle = (int)syscall(SYS_pidfd_open, instance->process, 0)) < 0)
        result = -errno;
    if (result == 0)
        return 0;
    instance_close(instance);
    return error_system(error, -result, "%s", words[0]);
}

/* ---- marks ---------------------------------------------------------------- */

/* A console's other words may come before the line, and it in pieces. */
static void find_line(struct instance *instance, int64_t now)
{
    const char *found, *end = instance->seen + instance->seen_length;
    char *rest;

    if (instance->result)
        return;
    found = memmem(instance->seen, instance->seen_length, LINE, strlen(LINE));
    if (!found || !memchr(found, '\n', (size_t)(end - found)))
        return;
    instance->result = now;
    instance->workload = strtoll(found + strlen(LINE), &rest, 10);
    instance->figures[0] = strtod(rest, &rest);
    instance->figures[1] = strtod(rest, &rest);
}

/* The last bytes are kept; before the line is there it may reach over the edge. */
static void keep(struct instance *instance, const char *bytes, size_t length)
{
    size_t space = sizeof(instance->seen) - 1 - instance->seen_length;

    if (length > space) {
        size_t gone = length - space;

        memmove(instance->seen, instance->seen + gone, instance->seen_length - gone);
        instance->seen_length -= gone;
    }
    memcpy(instance->seen + instance->seen_length, bytes, length);
    instance->seen_length += length;
    instance->seen[instance->seen_length] = '\0';
}

static void take_output(struct instance *instance)
{
    char bytes[1024];
    ssize_t count = read(instance->output, bytes, sizeof(bytes));
    int64_t now = now_ns();

    if (count > 0) {
        keep(instance, bytes, (size_t)count);
        find_line(instance, now);
    } else if (count == 0 || errno != EINTR) {
        close(instance->output);
        instance->output = -1;
    }
}

static double cpu_of(const struct rusage *usage)
{
    return (double)(usage->ru_utime.tv_sec + usage->ru_stime.tv_sec) * 1e3 +
           (double)(usage->ru_utime.tv_usec + usage->ru_stime.tv_usec) / 1e3;
}

/* Its line may still be in the pipe when it has ended. */
static void drain(struct instance *instance)
{
    struct pollfd ready = { .fd = instance->output, .events = POLLIN };

    while (instance->output >= 0 && poll(&ready, 1, 0) > 0) {
        take_output(instance);
        ready.fd = instance->output;
    }
}

static void take_end(struct instance *instance)
{
    struct rusage usage;
    pid_t pid = wait4(instance->process, &instance->status, WNOHANG, &usage);

    if (pid != instance->process)
        return;
    instance->ended = now_ns();
    instance->cpu_ms = cpu_of(&usage);
    close(instance->handle);
    instance->handle = -1;
    drain(instance);
}

static bool has_come_to(const struct instance *instance, enum instance_goal goal)
{
    return instance->ended || (goal == GOAL_RESULT && instance->result);
}

/* Waits once for anything that any of them does. */
static void pump(struct instance *instances, size_t count, struct pollfd *ready, int64_t deadline)
{
    int64_t left = (deadline - now_ns()) / 1000000 + 1;

    for (size_t i = 0; i < count; i++) {
        ready[2 * i] = (struct pollfd){ .fd = instances[i].output, .events = POLLIN };
        ready[2 * i + 1] = (struct pollfd){ .fd = instances[i].handle, .events = POLLIN };
    }
    if (poll(ready, 2 * count, left < WAIT_MS ? (int)(left > 0 ? left : 0) : WAIT_MS) <= 0)
        return;
    for (size_t i = 0; i < count; i++) {
        if (ready[2 * i].revents)
            take_output(&instances[i]);
        if (ready[2 * i + 1].revents)
            take_end(&instances[i]);
    }
}

bool instances_wait(struct instance *instances, size_t count, enum instance_goal goal,
                    int64_t deadline, const volatile bool *stop)
{
    cleanup_free struct pollfd *ready = calloc(count ? count : 1, 2 * sizeof(*ready));

    while (ready) {
        size_t there = 0;

        for (size_t i = 0; i < count; i++)
            there += has_come_to(&instances[i], goal);
        if (there == count)
            return true;
        if (*stop || now_ns() >= deadline)
            return false;
        pump(instances, count, ready, deadline);
    }
    return false;
}

size_t instances_wait_any(struct instance *instances, size_t count, int64_t deadline,
                          const volatile bool *stop)
{
    cleanup_free struct pollfd *ready = calloc(count ? count : 1, 2 * sizeof(*ready));

    while (ready && !*stop && now_ns() < deadline) {
        for (size_t i = 0; i < count; i++)
            if (instances[i].ended)
                return i;
        pump(instances, count, ready, deadline);
    }
    return count;
}

/* ---- the end -------------------------------------------------------------- */

void instance_end_input(struct instance *instance)
{
    cleanup_close(&instance->input);
    instance->input = -1;
}

void instance_signal(const struct instance *instance, int signal)
{
    if (instance->process > 0 && !instance->ended)
        kill(instance->process, signal);
}

void instance_settle(struct instance *instance, int64_t deadline)
{
    struct rusage usage;
    bool killed = false;

    for (;;) {
        pid_t pid = wait4(-1, NULL, WNOHANG, &usage);

        if (pid > 0) {
            instance->cpu_ms += cpu_of(&usage);
            continue;
        }
        if (pid < 0)
            break;
        if (!killed && now_ns() >= deadline) {
            tree_kill();
            killed = true;
        }
        usleep(200);
    }
    if (!killed)
        instance->freed = now_ns();
}

bool instance_succeeded(const struct instance *instance, bool ends_by_signal)
{
    if (!instance->result || !instance->ended)
        return false;
    return ends_by_signal || (WIFEXITED(instance->status) && WEXITSTATUS(instance->status) == 0);
}

/* LENGTH bytes of TEXT as what can be shown. */
static void show(const char *text, size_t length, char *line, size_t size)
{
    snprintf(line, size, "%.*s", (int)length, text);
    for (char *at = line; *at; at++)
        if (*at < ' ' || *at > '~')
            *at = '?';
}

/* The end of TEXT in SIZE: whole lines that have something in them, " | " between; one at least. */
static void last_lines(const char *text, char *lines, size_t size)
{
    size_t end = strlen(text), start;
    cleanup_free char *before = malloc(size), *line = malloc(size);

    lines[0] = '\0';
    while (before && line) {
        while (end > 0 && strchr("\r\n ", text[end - 1]))
            end--;
        for (start = end; start > 0 && text[start - 1] != '\n'; start--)
            continue;
        if (end == 0 || (lines[0] && end - start + strlen(" | ") + strlen(lines) >= size))
            return;
        show(text + start, end - start, line, size);
        memcpy(before, lines, size);
        snprintf(lines, size, "%s%s%s", line, before[0] ? " | " : "", before);
        end = start;
    }
}

/*
 * What tells most: the job's own words; else what the contender says last on its
 * standard error, and after that its output, where some have the reason.
 */
static void find_reason(const struct instance *instance, char *reason, size_t size)
{
    const char *words = strstr(instance->seen, OWN_WORDS);
    char errors[4096] = "", output[LAST_LINES], said[LAST_LINES], *frames;
    off_t length = lseek(instance->errors, 0, SEEK_END);
    off_t from = length > (off_t)sizeof(errors) - 1 ? length - ((off_t)sizeof(errors) - 1) : 0;
    ssize_t count = pread(instance->errors, errors, sizeof(errors) - 1, from);

    errors[count > 0 ? count : 0] = '\0';
    /* Programs in Rust put the frames of their stack behind the reason. */
    frames = strcasestr(errors, "stack backtrace:");
    if (frames)
        *frames = '\0';
    if (words) {
        show(words, strcspn(words, "\r\n"), reason, size < LAST_LINES ? size : LAST_LINES);
        return;
    }
    last_lines(errors, said, sizeof(said));
    last_lines(instance->seen, output, sizeof(output));
    snprintf(reason, size, "%s%s%s", said, said[0] && output[0] ? "; it printed: " : "", output);
}

void instance_failure(const struct instance *instance, char *text, size_t size)
{
    char reason[2 * LAST_LINES + 32], how[96] = "did not end in time";

    find_reason(instance, reason, sizeof(reason));
    if (instance->ended && WIFSIGNALED(instance->status))
        snprintf(how, sizeof(how), "signal %d", WTERMSIG(instance->status));
    else if (instance->ended && WEXITSTATUS(instance->status) != 0)
        snprintf(how, sizeof(how), "status %d%s", WEXITSTATUS(instance->status),
                 reason[0] ? "" : " without a message; 'mote bench --list' shows its command");
    else if (!instance->result)
        snprintf(how, sizeof(how), "the job printed nothing%s",
                 instance->ended ? "" : " in time");
    snprintf(text, size, "%s%s%s", how, reason[0] ? ": " : "", reason);
}

void instance_close(struct instance *instance)
{
    if (instance->process > 0 && !instance->ended) {
        kill(-instance->process, SIGKILL);
        kill(instance->process, SIGKILL);
        waitpid(instance->process, NULL, 0);
    }
    cleanup_close(&instance->input);
    cleanup_close(&instance->output);
    cleanup_close(&instance->errors);
    cleanup_close(&instance->handle);
    instance->process = instance->input = instance->output = -1;
    instance->errors = instance->handle = -1;
}
