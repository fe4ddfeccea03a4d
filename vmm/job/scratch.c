/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/job/scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vmm/base/cleanup.h"
#include "vmm/base/nameless_file.h"
#include "vmm/base/helper_program.h"

/* Below this mke2fs has no room for its own tables. */
#define SIZE_MIN (1ull << 20)
#define SIZE_UNIT 4096u

static const char *const programs[] = { "/sbin/mke2fs", "/usr/sbin/mke2fs" };

static const char *find_program(void)
{
    for (size_t i = 0; i < ARRAY_LENGTH(programs); i++)
        if (access(programs[i], X_OK) == 0)
            return programs[i];
    return NULL;
}

static int open_file(uint64_t size, int *fd, struct error *error)
{
    cleanup_fd int opened = nameless_file("--scratch", "set TMPDIR to a folder on a disk", error);

    if (opened < 0)
        return opened;
    if (ftruncate(opened, (off_t)size) < 0)
        return error_set(error, errno, "--scratch: a file of %llu MiB cannot be had: %s; give less, or "
                         "set TMPDIR to another disk", (unsigned long long)(size >> 20),
                         strerror(errno));
    *fd = steal_fd(&opened);
    return 0;
}

/* Without a journal, as nothing outlives the job; tables are written when they are needed. */
static int make_file_system(int fd, struct error *error)
{
    static const char *const words[] = {
        "-q", "-F", "-t", "ext4", "-O", "^has_journal,^resize_inode", "-m", "0",
        "-E", "lazy_itable_init=1,nodiscard,root_owner=0:0", "/proc/self/fd/0",
    };
    char *arguments[ARRAY_LENGTH(words) + 2] = { NULL };
    const char *program = find_program();
    int status = 0, result;
    pid_t process;

    if (!program)
        return error_set(error, ENOENT, "--scratch: mke2fs is not installed; install Debian's "
                         "package: apt-get install e2fsprogs");
    arguments[0] = strdup(program);
    for (size_t i = 0; i < ARRAY_LENGTH(words); i++)
        arguments[i + 1] = strdup(words[i]);
    result = helper_program_start(&process, arguments, fd, -1, error);
    for (size_t i = 0; i < ARRAY_LENGTH(arguments); i++)
        free(arguments[i]);
    if (result < 0)
        return result;
    while (waitpid(process, &status, 0) < 0)
        if (errno != EINTR)
            return error_system(error, errno, "--scratch: mke2fs");
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        return error_set(error, EIO, "--scratch: mke2fs failed; give another size, or set TMPDIR "
                         "to a disk with room");
    return 0;
}

int scratch_create(uint64_t size, int *fd, struct error *error)
{
    cleanup_fd int created = -1;
    int result;

    if (size < SIZE_MIN || size % SIZE_UNIT || size > INT64_MAX)
        return error_set(error, EINVAL, "--scratch: %llu KiB are too few, too many or no multiple of "
                         "4 KiB; give 1M or more", (unsigned long long)(size >> 10));
    result = open_file(size, &created, error);
    if (result == 0)
        result = make_file_system(created, error);
    if (result == 0)
        *fd = steal_fd(&created);
    return result;
}
