/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/supervisor/snapshot/own.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/base/cleanup.h"
#include "vmm/base/private_folder.h"

#define NOTE_SIZE 128

/* A descriptor, or less than 0. */
static int open_notes(void)
{
    const char *base = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    struct error ignored = ERROR_INIT;
    cleanup_free char *path = NULL;
    int length = -1;

    if (base && base[0] == '/')
        length = asprintf(&path, "%s/mote/snapshots", base);
    else if (home && home[0] == '/')
        length = asprintf(&path, "%s/.local/state/mote/snapshots", home);
    if (length < 0)
        path = NULL; /* undefined after a failure */
    return path ? private_folder_open(path, "XDG_STATE_HOME", &ignored) : -ENOENT;
}

/* The note's name, which is all of it: there is nothing in it to be read. */
static bool name_note(int state_fd, const uint8_t id[SNAPSHOT_ID_SIZE], char name[NOTE_SIZE])
{
    struct stat status;
    int length = 0;

    if (fstat(state_fd, &status) < 0 || !S_ISREG(status.st_mode) || status.st_uid != geteuid())
        return false;
    for (size_t i = 0; i < SNAPSHOT_ID_SIZE; i++)
        length += snprintf(name + length, NOTE_SIZE - (size_t)length, "%02x", id[i]);
    snprintf(name + length, NOTE_SIZE - (size_t)length, "-%llx-%llx-%llx.%lx", (unsigned long long)status.st_ino,
             (unsigned long long)status.st_size, (unsigned long long)status.st_ctim.tv_sec,
             (unsigned long)status.st_ctim.tv_nsec);
    return true;
}

static bool is_older(const struct timespec *one, const struct timespec *other)
{
    return one->tv_sec < other->tv_sec || (one->tv_sec == other->tv_sec && one->tv_nsec < other->tv_nsec);
}

/* The oldest, where there are too many. */
static void sweep(int folder)
{
    int copy = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *stream = copy < 0 ? NULL : fdopendir(copy);
    char oldest[NOTE_SIZE] = "";
    struct timespec when = { .tv_sec = 0 };
    const struct dirent *entry;
    size_t count = 0;

    if (!stream) {
        cleanup_close(&copy);
        return; /* it can wait */
    }
    while ((entry = readdir(stream))) {
        struct stat status;

        if (strlen(entry->d_name) >= NOTE_SIZE || fstatat(folder, entry->d_name, &status, AT_SYMLINK_NOFOLLOW) < 0 ||
            !S_ISREG(status.st_mode))
            continue;
        count++;
        if (!oldest[0] || is_older(&status.st_mtim, &when)) {
            strcpy(oldest, entry->d_name);
            when = status.st_mtim;
        }
    }
    closedir(stream);
    if (count > SNAPSHOT_NOTES_MAX)
        unlinkat(folder, oldest, 0);
}

void snapshot_own_note(int state_fd, const uint8_t id[SNAPSHOT_ID_SIZE])
{
    cleanup_fd int folder = open_notes(), fd = -1;
    char name[NOTE_SIZE];

    /* Some file systems have the last time of change from then alone. */
    if (folder < 0 || fsync(state_fd) < 0 || !name_note(state_fd, id, name))
        return;
    fd = openat(folder, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0400);
    sweep(folder);
}

bool snapshot_is_own(int state_fd, const uint8_t id[SNAPSHOT_ID_SIZE])
{
    cleanup_fd int folder = open_notes();
    char name[NOTE_SIZE];
    struct stat status;

    return folder >= 0 && name_note(state_fd, id, name) &&
           fstatat(folder, name, &status, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(status.st_mode) &&
           status.st_uid == geteuid();
}
