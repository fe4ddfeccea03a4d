/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/images/erofs_image.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vmm/base/cleanup.h"
#include "vmm/images/fake_files.h"

#define ERRORS "errors" /* what is written to standard error */
#define UUID_TEXT 37
/*
 * mkfs.erofs gives no file a time after this one, and the image this time; it
 * compares without sign, so that those before 1970 come last.
 */
#define AFTER_ALL_TIMES "18446744073709551614"

/* ---- programs ---- */

static bool in_path(const char *program)
{
    const char *path = getenv("PATH");
    char file[PATH_MAX];

    for (path = path ? path : "/usr/bin:/bin"; *path; path += path[0] == ':') {
        size_t length = strcspn(path, ":");

        snprintf(file, sizeof(file), "%.*s/%s", (int)(length < 2048 ? length : 2048), path,
                 program);
        if (length > 0 && access(file, X_OK) == 0)
            return true;
        path += length;
    }
    return false;
}

int erofs_image_check(struct error *error)
{
    static const struct { const char *program, *package; } needed[] = {
        { "mkfs.erofs", "erofs-utils" },
        { "fakeroot", "fakeroot" },
    };

    for (size_t i = 0; i < ARRAY_LENGTH(needed); i++)
        if (!in_path(needed[i].program))
            return error_set(error, ENOENT, "%s: is not installed, it makes images; install "
                             "Debian's package %s", needed[i].program, needed[i].package);
    return 0;
}

/* ---- the programs' end ---- */

/* The last line that was written to ERRORS, without what cannot be printed. */
static void last_line(int fd, char line[160])
{
    char text[1024];
    ssize_t length = lseek(fd, 0, SEEK_END), end, begin;

    length = pread(fd, text, sizeof(text), length > (off_t)sizeof(text)
                                               ? length - (off_t)sizeof(text) : 0);
    for (end = length < 0 ? 0 : length; end > 0 && (unsigned char)text[end - 1] <= ' ';)
        end--;
    for (begin = end; begin > 0 && text[begin - 1] != '\n' && end - begin < 150;)
        begin--;
    for (ssize_t i = begin; i < end; i++)
        if ((unsigned char)text[i] < ' ' || text[i] == 0x7f)
            text[i] = '?';
    snprintf(line, 160, "%.*s", (int)(end - begin), text + begin);
}

static int check_end(int status, int errors, struct error *error)
{
    char line[160];

    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return 0;
    last_line(errors, line);
    if (strstr(line, strerror(ENOSPC)))
        return error_set(error, ENOSPC, "the cache: %s; free some space there", strerror(ENOSPC));
    return error_set(error, EIO, "cannot be made into an image (%s); check fakeroot and mkfs.erofs",
                     line[0] ? line : "they were ended");
}

/* Waits for PROCESS and shows how much there is of IMAGE. */
static int wait_for(pid_t process, int image, struct progress *progress)
{
    cleanup_fd int handle = pidfd_open(process, 0);
    struct pollfd poll_for = { .fd = handle, .events = POLLIN };
    uint64_t shown = 0;
    int status = -1;

    while (handle >= 0 && poll(&poll_for, 1, 100) <= 0) {
        struct stat now;

        if (fstat(image, &now) < 0 || (uint64_t)now.st_size <= shown)
            continue;
        progress_add(progress, (uint64_t)now.st_size - shown);
        shown = (uint64_t)now.st_size;
    }
    while (waitpid(process, &status, 0) < 0 && errno == EINTR)
        ;
    return status;
}

/* ---- arguments ---- */

/*
 * Uncompressed, so that machines share the host's pages of it; whole inodes, as
 * the small ones have no times; attributes with each inode rather than
 * gathered, for which mkfs.erofs would look at everything twice.
 */
static const char *const make[] = { "build", "mkfs.erofs", "--quiet", "-x2147483647", "-E",
                                    "force-inode-extended", "-U" };
#define IMAGE_FD 3
#define IMAGE_PATH "/proc/self/fd/3"

/* An option for all that is in the folder PATH; the folder stays.  NULL when memory is short. */
static char *exclude(const char *path)
{
    static const char option[] = "--exclude-regex=^";
    char *text = malloc(sizeof(option) + 2 * strlen(path) + 1), *at;

    if (!text)
        return NULL;
    for (at = stpcpy(text, option); *path; *at++ = *path++)
        if (strchr(".[]{}()\\*+?|^$", *path))
            *at++ = '\\';
    strcpy(at, "/");
    return text;
}

struct start {
    int folder, image, errors, lifeline;
    const struct sandbox *sandbox;
    char program[PATH_MAX];
    char uuid[UUID_TEXT];
    const char **arguments;
    size_t count;
};

static void free_arguments(struct start *start, const struct erofs_source *source)
{
    /* Those of the excluded paths are the last but two. */
    for (size_t i = 0; start->arguments && i < source->without_count; i++)
        free((char *)(uintptr_t)start->arguments[start->count - 2 - source->without_count + i]);
    free(start->arguments);
}

static int set_arguments(struct start *start, const struct erofs_source *source,
                         struct error *error)
{
    const char *const before[] = { "fakeroot", "-i", FAKE_STATE, "--", start->program };
    size_t at = ARRAY_LENGTH(before) + ARRAY_LENGTH(make) + 1;

    start->count = at + source->without_count + 2;
    start->arguments = calloc(start->count + 1, sizeof(*start->arguments));
    if (!start->arguments)
        return error_system(error, ENOMEM, "fakeroot");
    memcpy(start->arguments, before, sizeof(before));
    memcpy(start->arguments + ARRAY_LENGTH(before), make, sizeof(make));
    start->arguments[at - 1] = start->uuid;
    for (size_t i = 0; i < source->without_count; i++) {
        start->arguments[at + i] = exclude(source->without[i]);
        if (!start->arguments[at + i])
            return error_system(error, ENOMEM, "fakeroot");
    }
    start->arguments[start->count - 2] = IMAGE_PATH;
    start->arguments[start->count - 1] = source->path;
    return 0;
}

static void write_uuid(const uint8_t uuid[16], char text[UUID_TEXT])
{
    for (size_t i = 0; i < 16; i++)
        text += sprintf(text, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", uuid[i]);
}

/* ---- starting ---- */

/* Not one of the descriptors 0 to 3. */
static int high(int fd)
{
    return fcntl(fd, F_DUPFD_CLOEXEC, IMAGE_FD + 1);
}

static _Noreturn void become(const struct start *start, const char *const *arguments)
{
    int image = high(start->image), errors = high(start->errors), lifeline = high(start->lifeline);
    struct error error = ERROR_INIT;

    if (fchdir(start->folder) < 0 || dup2(lifeline, 0) < 0 || dup2(errors, 1) < 0 ||
        dup2(errors, 2) < 0 || dup2(image, IMAGE_FD) < 0 ||
        setenv("SOURCE_DATE_EPOCH", AFTER_ALL_TIMES, 1) < 0 || setenv("LC_ALL", "C", 1) < 0 ||
        unsetenv("FAKEROOTKEY") < 0)
        _exit(125);
    if (sandbox_confine(start->sandbox, start->folder, IMAGE_FD, &error) < 0) {
        dprintf(2, "%s\n", error.message);
        _exit(125);
    }
    execvp(arguments[0], (char *const *)(uintptr_t)arguments);
    dprintf(2, "%s: %s\n", arguments[0], strerror(errno));
    _exit(125);
}

/* The status of ARGUMENTS' end. */
static int run(const struct start *start, const char *const *arguments, struct progress *progress)
{
    pid_t process = fork();

    if (process == 0)
        become(start, arguments);
    return process < 0 ? -1 : wait_for(process, start->image, progress);
}

static int run_all(const struct start *start, bool holes, struct progress *progress,
                   struct error *error)
{
    static const char *const dig[] = { "fallocate", "--dig-holes", IMAGE_PATH, NULL };

    if (check_end(run(start, start->arguments, progress), start->errors, error) < 0)
        return -error->number;
    /* Where the cache's file system has no holes, the image keeps its zeros and is as good. */
    if (holes)
        run(start, dig, progress);
    return 0;
}

int erofs_image_make(const struct staging *staging, const struct erofs_source *source, int image,
                     const struct sandbox *sandbox, const uint8_t uuid[16], struct progress *progress,
                     struct error *error)
{
    cleanup_fd int errors = openat(staging->fd, ERRORS,
                                   O_RDWR | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0600);
    struct start start = { .folder = staging->fd, .image = image, .errors = errors, .sandbox = sandbox };
    ssize_t length = readlink("/proc/self/exe", start.program, sizeof(start.program) - 1);
    int lifeline[2], result;

    if (length < 0 || errors < 0 || pipe2(lifeline, O_CLOEXEC) < 0)
        return error_system(error, errno, "fakeroot");
    start.lifeline = lifeline[0];
    write_uuid(uuid, start.uuid);
    result = set_arguments(&start, source, error);
    if (result == 0)
        result = run_all(&start, staging->holes, progress, error);
    free_arguments(&start, source);
    close(lifeline[0]);
    close(lifeline[1]);
    return result;
}

int erofs_image_blame(const char *path, struct error *error)
{
    struct error inner = *error;

    return error_set(error, ENAMETOOLONG, "entry %s: has a name of 255 bytes, which this mkfs.erofs may "
                     "not know how to keep (%.160s); shorten it, or update erofs-utils", path,
                     inner.message);
}
