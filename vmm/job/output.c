/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/job/output.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vmm/base/cleanup.h"
#include "vmm/base/reap.h"
#include "vmm/base/helper_program.h"

static int check_empty(const char *folder, struct error *error)
{
    DIR *stream = opendir(folder);
    const struct dirent *entry;
    int result = 0;

    if (!stream)
        return error_set(error, errno, "--output %s: %s; name a folder that you may read", folder,
                         strerror(errno));
    while (result == 0 && (entry = readdir(stream)))
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            result = error_set(error, ENOTEMPTY, "--output %s: holds files already (%s), which the job's "
                               "could replace or join; name an empty folder, or write %s,merge", folder,
                               entry->d_name, folder);
    closedir(stream);
    return result;
}

int output_prepare(const char *folder, bool merge, struct error *error)
{
    struct stat status;

    if (mkdir(folder, 0777) < 0 && errno != EEXIST)
        return error_set(error, errno, "--output %s: cannot be made: %s; name a folder that you "
                         "may write", folder, strerror(errno));
    if (stat(folder, &status) < 0 || !S_ISDIR(status.st_mode))
        return error_set(error, ENOTDIR, "--output %s: is no directory; name one", folder);
    if (access(folder, W_OK | X_OK) < 0)
        return error_set(error, errno, "--output %s: %s; name a folder that you may write", folder,
                         strerror(errno));
    return merge ? 0 : check_empty(folder, error);
}

int output_start(pid_t *process, const struct image_program *program, const char *folder, bool merge,
                 int fd, struct error *error)
{
    const char *const merging[] = { "unpack-output", "--merge", folder, NULL };
    const char *const fresh[] = { "unpack-output", folder, NULL };

    /* It reads like any program. */
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
    return image_program_start(process, program, merge ? merging : fresh, fd, -1, error);
}

int output_finished(pid_t *process)
{
    int status;

    if (*process == 0 || waitpid(*process, &status, WNOHANG) != *process)
        return 0;
    *process = 0;
    /* What no folder can have, such as a FIFO, it leaves out and says so. */
    return WIFEXITED(status) && WEXITSTATUS(status) <= 1 ? 1 : -1;
}

void output_stop(pid_t process)
{
    if (process <= 0)
        return;
    kill(process, SIGKILL);
    reap_killed(process, NULL);
}
