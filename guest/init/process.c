/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guest/init/init.h"

/* As container tools have it: programs that loop over all descriptors stay fast. */
#define FILES_SOFT 1024
#define FILES_HARD 1048576

/* The job's side of its streams. */
struct streams {
    int input, output, error;
    bool terminal;
};

static void make_pipe(int *read_end, int *write_end)
{
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) < 0)
        init_failed(errno, "the job's streams");
    *read_end = ends[0];
    *write_end = ends[1];
}

static void open_pipes(const struct job *job, struct streams *theirs, struct process *ours)
{
    if (job->head.flags & RUN_STDIN)
        make_pipe(&theirs->input, &ours->input);
    else
        theirs->input = open("/dev/null", O_RDONLY | O_CLOEXEC);
    make_pipe(&ours->output, &theirs->output);
    make_pipe(&ours->error, &theirs->error);
}

static void open_terminal(const struct job *job, struct streams *theirs, struct process *ours)
{
    struct winsize size = { .ws_row = job->head.rows, .ws_col = job->head.columns };
    int master, number, unlock = 0;

    theirs->terminal = true;
    master = open("/dev/pts/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (master < 0 || ioctl(master, TIOCSPTLCK, &unlock) < 0 ||
        ioctl(master, TIOCGPTN, &number) < 0)
        init_failed(errno, "a terminal for the job");
    theirs->input = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (theirs->input < 0 || ioctl(theirs->input, TIOCSWINSZ, &size) < 0)
        init_failed(errno, "a terminal for the job");
    theirs->output = theirs->error = theirs->input;
    ours->output = master;
    ours->input = fcntl(master, F_DUPFD_CLOEXEC, 3);
}

/* In the child from here on: what fails goes into the pipe as an errno. */

static bool take_streams(const struct streams *streams)
{
    if (setsid() < 0)
        return false;
    if (streams->terminal && ioctl(streams->input, TIOCSCTTY, 0) < 0)
        return false;
    return dup2(streams->input, STDIN_FILENO) >= 0 && dup2(streams->output, STDOUT_FILENO) >= 0 &&
           dup2(streams->error, STDERR_FILENO) >= 0;
}

static void reset_signals(void)
{
    sigset_t none;

    for (int number = 1; number < NSIG; number++)
        signal(number, SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static bool become(const struct user *user)
{
    struct rlimit files = { FILES_SOFT, FILES_HARD };

    setrlimit(RLIMIT_NOFILE, &files);
    /* It could end the guest, but not tell how the job ended. */
    prctl(PR_CAPBSET_DROP, CAP_SYS_BOOT, 0, 0, 0);
    return setgroups(user->group_count, user->groups) == 0 && setgid(user->gid) == 0 &&
           setuid(user->uid) == 0;
}

/* By links such as /dev/stdout a job opens its streams anew, for which they have to be its user's. */
static void give_streams(const struct streams *streams, const struct user *user)
{
    const int fds[] = { streams->input, streams->output, streams->error };
    struct stat status;

    for (size_t i = 0; i < ARRAY_LENGTH(fds); i++)
        if (fstat(fds[i], &status) == 0 && (S_ISFIFO(status.st_mode) || streams->terminal) &&
            fchown(fds[i], user->uid, (gid_t)-1) < 0)
            dprintf(STDERR_FILENO, "mote-init: a stream's owner: %s\n", strerror(errno));
}

/* Where root alone may enter it is entered as root, as container tools do; elsewhere root may be the one who may not. */
static bool enter(const struct job *job, const struct user *user)
{
    bool entered = chdir(job->work_directory) == 0;

    return become(user) && (entered || chdir(job->work_directory) == 0);
}

static _Noreturn void run(const struct job *job, const struct user *user,
                          const struct streams *streams, int status_fd)
{
    struct start_failure why = { .failure = RUN_FAILED_DIRECTORY };
    ssize_t written;

    process_spare("0");
    reset_signals();
    give_streams(streams, user);
    if (take_streams(streams) && enter(job, user)) {
        why.failure = RUN_FAILED_EXEC;
        environ = job->environment;
        setenv("HOME", user->home, 0);
        execvp(job->arguments[0], job->arguments);
    }
    why.number = errno;
    written = write(status_fd, &why, sizeof(why));
    _exit(written == sizeof(why) ? 127 : 126);
}

void process_spare(const char *score)
{
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

    if (fd < 0 || write(fd, score, strlen(score)) < 0)
        dprintf(STDERR_FILENO, "mote-init: oom_score_adj: %s\n", strerror(errno));
    if (fd >= 0)
        close(fd);
}

void process_start(const struct job *job, const struct user *user, struct process *process)
{
    struct streams theirs = { .input = -1 };
    int status_fd;

    *process = (struct process){ .input = -1, .output = -1, .error = -1 };
    if (job->head.flags & RUN_TTY)
        open_terminal(job, &theirs, process);
    else
        open_pipes(job, &theirs, process);
    make_pipe(&process->exec_status, &status_fd);
    process->pid = cgroup_fork();
    if (process->pid == 0)
        run(job, user, &theirs, status_fd);
    if (process->pid < 0)
        init_failed(errno, "the job's process");
    close(status_fd);
    close(theirs.input);
    if (!theirs.terminal) {
        close(theirs.output);
        close(theirs.error);
    }
}

struct start_failure process_exec_result(const struct process *process)
{
    struct start_failure why = { .number = 0 };
    ssize_t count;

    do
        count = read(process->exec_status, &why, sizeof(why));
    while (count < 0 && errno == EINTR);
    close(process->exec_status);
    return count == sizeof(why) ? why : (struct start_failure){ .number = 0 };
}

void process_rehearse(void)
{
    pid_t pid = cgroup_fork();

    if (pid == 0) {
        execl("/proc/self/exe", "mote-init", REHEARSAL, NULL);
        _exit(127);
    }
    while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        continue;
    cgroup_count_anew();
}
