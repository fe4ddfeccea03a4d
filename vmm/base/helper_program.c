/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/base/helper_program.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vmm/base/cleanup.h"
#include "vmm/base/exit_status.h"

static const char *const folders[] = { ".", "../libexec/mote" };

bool helper_program_at(const char *folder, const char *name, char **path)
{
    char program[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", program, sizeof(program) - 1);
    cleanup_free char *found = NULL;
    char *slash;

    if (length <= 0)
        return false;
    program[length] = '\0';
    slash = strrchr(program, '/');
    if (!slash)
        return false;
    *slash = '\0';
    if (asprintf(&found, "%s/%s/%s", program, folder, name) < 0)
        return false;
    if (access(found, R_OK) < 0)
        return false;
    *path = steal_pointer(&found);
    return true;
}

int helper_program_find(const char *name, char **path, struct error *error)
{
    for (size_t i = 0; i < ARRAY_LENGTH(folders); i++)
        if (helper_program_at(folders[i], name, path))
            return 0;
    return error_set(error, ENOENT, "%s: is neither beside the mote program nor in ../libexec/mote "
                     "from there; build it by 'make' or install Mote anew", name);
}

static _Noreturn void become_helper_program(char *const arguments[], int input, int output, pid_t parent)
{
    sigset_t none;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(STATUS_FAILED);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    if ((input < 0 || dup2(input, STDIN_FILENO) >= 0) &&
        (output < 0 || dup2(output, STDOUT_FILENO) >= 0))
        execv(arguments[0], arguments);
    dprintf(STDERR_FILENO, "mote: error: %s: %s; install Mote anew\n", arguments[0],
            strerror(errno));
    _exit(STATUS_FAILED);
}

int helper_program_start(pid_t *process, char *const arguments[], int input, int output,
                    struct error *error)
{
    pid_t parent = getpid(), child = fork();

    if (child < 0)
        return error_system(error, errno, "%s", arguments[0]);
    if (child == 0)
        become_helper_program(arguments, input, output, parent);
    *process = child;
    return 0;
}

int helper_program_wait(pid_t process)
{
    int status;
    pid_t pid;

    do
        pid = waitpid(process, &status, 0);
    while (pid < 0 && errno == EINTR);
    return pid == process && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}
