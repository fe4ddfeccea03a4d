/* SPDX-License-Identifier: Apache-2.0 */
/* The order of things; see init.h. */
#include "guest/init/init.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/reboot.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/reboot.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

/* What init_failed() can reach; -1 before the host has been. */
static int control = -1;

enum { INPUT, OUTPUT, ERROR, STREAMS };

/* The job while it runs. */
struct run {
    const struct job *job;
    struct process process;
    int children; /* signalfd of SIGCHLD */
    bool ended;   /* the main process; what others wrote is still on its way */
    int status;   /* as wait(2) has it */
    struct relay streams[STREAMS];
};

_Noreturn void init_end(void)
{
    /* Every machine can do this one: Mote's own kernel has no ACPI to power off by. */
    reboot(RB_AUTOBOOT);
    for (;;)
        pause();
}

/* The host ends the VM once it has read what we said; if it does not, it is gone. */
static _Noreturn void wait_for_host(void)
{
    char bytes[64];

    while (read(control, bytes, sizeof(bytes)) > 0)
        ;
    init_end();
}

_Noreturn void init_failed(int number, const char *format, ...)
{
    struct run_failed failed = { .failure = RUN_FAILED_SETUP, .number = (uint32_t)number };
    char text[512];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    if (control < 0) {
        dprintf(STDERR_FILENO, "mote-init: %s: %s\n", text, strerror(number));
        init_end();
    }
    channel_send(control, RUN_FAILED, &failed, sizeof(failed), text);
    wait_for_host();
}

/* ---- the streams ---------------------------------------------------------- */

static int open_stream(enum run_port port)
{
    int fd = channel_open(port);

    if (fd < 0)
        init_failed(errno, "a stream of the job's");
    return fd;
}

/* The host's ends first: while there is no job, nobody else connects. */
static void start_with_streams(struct run *run, const struct user *user)
{
    uint32_t flags = run->job->head.flags;
    int input = flags & RUN_STDIN ? open_stream(RUN_PORT_STDIN) : -1;
    int output = open_stream(RUN_PORT_STDOUT);
    int error = flags & RUN_TTY ? -1 : open_stream(RUN_PORT_STDERR);

    process_start(run->job, user, &run->process);
    for (int i = 0; i < STREAMS; i++)
        run->streams[i].finished = true;
    if (input >= 0)
        relay_open(&run->streams[INPUT], input, run->process.input);
    relay_open(&run->streams[OUTPUT], run->process.output, output);
    if (error >= 0)
        relay_open(&run->streams[ERROR], run->process.error, error);
}

/* ---- while it runs -------------------------------------------------------- */

static void children_ended(struct run *run)
{
    struct signalfd_siginfo info;
    ssize_t count = read(run->children, &info, sizeof(info));
    int status;
    pid_t pid;

    if (count < 0)
        return;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        if (pid != run->process.pid)
            continue;
        run->ended = true;
        run->status = status;
        /* Whoever it left behind; what they wrote is in the pipes. */
        kill(-1, SIGKILL);
    }
}

/* To the main process, as from a terminal or from docker; SIGKILL spares none. */
static void signal_job(struct run *run, const struct run_signal *order)
{
    if (run->ended || order->number == 0 || order->number >= NSIG)
        return;
    kill(order->number == SIGKILL ? -1 : run->process.pid, (int)order->number);
}

static void resize_terminal(struct run *run, const struct run_window *order)
{
    struct winsize size = { .ws_row = order->rows, .ws_col = order->columns };

    if (run->job->head.flags & RUN_TTY && !run->streams[OUTPUT].finished)
        ioctl(run->process.output, TIOCSWINSZ, &size);
}

static void host_says(struct run *run)
{
    struct run_header header;
    union {
        struct run_signal signal;
        struct run_window window;
    } order;

    if (channel_read(control, &header, sizeof(header)) <= 0 || header.length > sizeof(order) ||
        (header.length > 0 && channel_read(control, &order, header.length) <= 0))
        init_end();
    if (header.type == RUN_SIGNAL && header.length == sizeof(order.signal))
        signal_job(run, &order.signal);
    else if (header.type == RUN_WINDOW && header.length == sizeof(order.window))
        resize_terminal(run, &order.window);
}

/* Until the main process has ended and everything written has gone to the host. */
static void serve(struct run *run)
{
    while (!run->ended || !run->streams[OUTPUT].finished || !run->streams[ERROR].finished) {
        struct pollfd wait[STREAMS + 2];

        for (int i = 0; i < STREAMS; i++)
            wait[i] = relay_wait(&run->streams[i]);
        wait[STREAMS] = (struct pollfd){ .fd = control, .events = POLLIN };
        wait[STREAMS + 1] = (struct pollfd){ .fd = run->children, .events = POLLIN };
        if (poll(wait, ARRAY_LENGTH(wait), -1) < 0) {
            if (errno == EINTR)
                continue;
            init_failed(errno, "poll");
        }
        for (int i = 0; i < STREAMS; i++)
            if (wait[i].revents)
                relay_step(&run->streams[i]);
        if (wait[STREAMS].revents)
            host_says(run);
        if (wait[STREAMS + 1].revents)
            children_ended(run);
    }
}

/* ---- its end -------------------------------------------------------------- */

static void start_failed(const struct job *job, struct start_failure why)
{
    struct run_failed failed = { .failure = why.failure, .number = (uint32_t)why.number };

    channel_send(control, RUN_FAILED, &failed, sizeof(failed),
                 why.failure == RUN_FAILED_DIRECTORY ? job->work_directory : job->arguments[0]);
}

static void tell_end(const struct run *run)
{
    struct usage usage = cgroup_usage();
    struct run_ended ended = {
        .exited = WIFEXITED(run->status),
        .status = (uint32_t)(WIFEXITED(run->status) ? WEXITSTATUS(run->status)
                                                    : WTERMSIG(run->status)),
        .cpu_us = usage.cpu_us,
        .peak_memory = usage.peak_memory,
        .oom_kills = usage.oom_kills,
        .pids_refused = usage.pids_refused,
    };

    channel_send(control, RUN_ENDED, &ended, sizeof(ended), NULL);
}

static void send_output(void)
{
    int fd = channel_open(RUN_PORT_OUTPUT);

    /* The host sees an archive without its end, or none. */
    if (fd >= 0 && tar_write(fd, "/output") < 0)
        dprintf(STDERR_FILENO, "mote-init: /output: %s\n", strerror(errno));
    if (fd >= 0)
        close(fd);
}

static int watch_children(void)
{
    sigset_t set;
    int fd;

    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigprocmask(SIG_BLOCK, &set, NULL);
    fd = signalfd(-1, &set, SFD_CLOEXEC);
    if (fd < 0)
        init_failed(errno, "signals");
    return fd;
}

/* What the image wants to be there; what cannot be made of the one to start in is told as it is entered. */
static void make_folders(const struct job *job, const struct user *user)
{
    for (uint32_t i = 0; i < job->head.folders; i++)
        if (mounts_make_directory(job->folders[i], 0755) < 0)
            init_failed(errno, "the image's VOLUME %s", job->folders[i]);
    mounts_make_directory_for(job->work_directory, user->uid, user->gid);
}

static void run_job(const struct job *job)
{
    static struct run run; /* its buffers are too large for the stack */
    struct user user;
    struct start_failure failure;

    run.job = job;
    run.children = watch_children();
    user_find(job->user, "/etc", &user);
    make_folders(job, &user);
    start_with_streams(&run, &user);
    failure = process_exec_result(&run.process);
    if (failure.number) {
        start_failed(job, failure);
        return;
    }
    channel_send(control, RUN_STARTED, NULL, 0, NULL);
    serve(&run);
    tell_end(&run);
    if (job->head.flags & RUN_OUTPUT)
        send_output();
}

static bool prepared;

/* All that depends on the disks alone, once: a template has it, or else the job waits for it. */
static void prepare(const struct job *job)
{
    if (prepared)
        return;
    prepared = true;
    mounts_root(job);
    cgroup_create();
}

/* The job of this connection, which may have something else done first. */
static bool await_job(struct job *job)
{
    bool prepares;

    while (job_receive(control, job, &prepares)) {
        if (!prepares)
            return true;
        if (prepared)
            process_rehearse();
        else
            prepare(job);
        channel_send(control, RUN_PREPARED, NULL, 0, NULL);
    }
    return false;
}

/* A connection that ends before its job came belonged to a host that is gone: a snapshot's. */
static bool get_job(struct job *job)
{
    struct run_hello hello = { .version = RUN_VERSION };

    for (;;) {
        control = channel_open(RUN_PORT_CONTROL);
        if (control < 0)
            return false;
        channel_send(control, RUN_HELLO, &hello, sizeof(hello), NULL);
        if (await_job(job))
            return true;
        close(control);
    }
}

/* The kernel gives its first program the console, but not where /dev was empty. */
static void open_console(void)
{
    int fd;

    if (fcntl(STDERR_FILENO, F_GETFD) >= 0)
        return;
    do
        fd = open("/dev/console", O_RDWR | O_NOCTTY);
    while (fd >= 0 && fd < STDERR_FILENO);
}

int main(int count, char **arguments)
{
    struct job job;

    if (getpid() != 1 && count == 2 && strcmp(arguments[1], REHEARSAL) == 0)
        return 0;
    if (getpid() != 1) {
        dprintf(STDERR_FILENO, "mote-init: is the first program of a guest; 'mote run' starts "
                               "it there\n");
        return 125;
    }
    mounts_early();
    open_console();
    machine_let_idle();
    modules_load();
    signal(SIGPIPE, SIG_IGN);
    process_spare("-1000");
    if (!get_job(&job))
        plain_init(errno);
    machine_set_clock(job.head.clock);
    machine_seed(job.head.seed, sizeof(job.head.seed));
    prepare(&job);
    if (job.head.flags & RUN_OUTPUT)
        mounts_output();
    cgroup_limit(job.head.pids_max);
    machine_set_up(&job);
    run_job(&job);
    wait_for_host();
}
