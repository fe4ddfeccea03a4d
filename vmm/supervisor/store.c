/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/supervisor/store.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/pidfd.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "vmm/base/cleanup.h"
#include "vmm/base/signals.h"
#include "vmm/base/small_file.h"
#include "vmm/base/exit_status.h"

#define VERDICT_MAX (2u << 20)
#define CLAIM_MS 2000 /* from an entry's making to its supervisor's claim: a fork */
#define CLAIM_STEP_MS 10

static const char *const files[] = { "lock", "command", "stdout", "stderr", "verdict", "control", STORE_PAUSED,
                                     "dropped" };

bool store_name_is_good(const char *name)
{
    size_t length = strlen(name);

    if (length == 0 || length > STORE_NAME_MAX || !isalnum((unsigned char)name[0]))
        return false;
    for (size_t i = 0; i < length; i++)
        if (!isalnum((unsigned char)name[i]) && !strchr("_.-", name[i]))
            return false;
    return true;
}

int store_check_name(const char *name, struct error *error)
{
    if (!name || store_name_is_good(name))
        return 0;
    return error_set(error, EINVAL, "--name %s: is no name; give up to %d letters, digits, '_', '.' "
                     "and '-', the first a letter or digit", name, STORE_NAME_MAX);
}

/* ---- the folder of all ---------------------------------------------------- */

static char *base_path(void)
{
    const char *runtime = getenv("XDG_RUNTIME_DIR");
    char *path = NULL;
    int printed;

    if (runtime && runtime[0] == '/')
        printed = asprintf(&path, "%s/mote", runtime);
    else
        printed = asprintf(&path, "/tmp/mote-%u", (unsigned int)getuid());
    return printed < 0 ? NULL : path;
}

/* Made if it is not there; one that others could have made or could change is refused. */
static int open_base(struct error *error)
{
    cleanup_free char *path = base_path();
    cleanup_fd int fd = -1;
    struct stat status;

    if (!path)
        return error_system(error, ENOMEM, "jobs");
    if (mkdir(path, 0700) < 0 && errno != EEXIST)
        return error_set(error, errno, "%s: cannot be made: %s; set XDG_RUNTIME_DIR to a folder "
                         "that you may write", path, strerror(errno));
    fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &status) < 0)
        return error_set(error, errno, "%s: %s; remove it or set XDG_RUNTIME_DIR to another folder",
                         path, strerror(errno));
    if (status.st_uid != geteuid() || status.st_mode & 077)
        return error_set(error, EPERM, "%s: belongs to or is open to others; remove it or set "
                         "XDG_RUNTIME_DIR to a folder of your own", path);
    return steal_fd(&fd);
}

char *store_path(const struct store_entry *entry, const char *file)
{
    cleanup_free char *base = base_path();
    char *path = NULL;

    if (!base || asprintf(&path, "%s/%s/%s", base, entry->name, file) < 0)
        return NULL;
    return path;
}

/* ---- making one ----------------------------------------------------------- */

static int make_up_name(char *name, struct error *error)
{
    uint8_t bytes[6];

    if (getrandom(bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes))
        return error_system(error, errno, "a name for the job");
    for (size_t i = 0; i < sizeof(bytes); i++)
        snprintf(name + 2 * i, 3, "%02x", bytes[i]);
    return 0;
}

static int write_command(const struct store_entry *entry, char *const *words, size_t count,
                         struct error *error)
{
    cleanup_fd int fd = store_open_file(entry, "command", error);

    if (fd < 0)
        return fd;
    for (size_t i = 0; i < count; i++)
        if (dprintf(fd, "%s%s", i ? " " : "", words[i]) < 0)
            return error_system(error, errno, "job %s", entry->name);
    return 0;
}

/* The folder NAME, new or left by a job that has ended. */
static int make_folder(struct store_entry *entry, int base, struct error *error)
{
    struct store_entry old = STORE_ENTRY_INIT;
    struct error ignored = ERROR_INIT;

    if (mkdirat(base, entry->name, 0700) == 0)
        return 0;
    if (errno != EEXIST)
        return error_system(error, errno, "job %s", entry->name);
    if (store_find(&old, entry->name, &ignored) == 0) {
        bool running = store_is_running(&old);

        if (!running)
            store_remove(&old, &ignored);
        store_close(&old);
        if (running)
            return error_set(error, EEXIST, "--name %s: is the name of a job that runs; choose "
                             "another, or end that by 'mote stop %s'", entry->name, entry->name);
    }
    if (mkdirat(base, entry->name, 0700) < 0)
        return error_system(error, errno, "job %s", entry->name);
    return 0;
}

static int remove_from(int base, const struct store_entry *entry, struct error *error)
{
    for (size_t i = 0; entry->folder >= 0 && i < ARRAY_LENGTH(files); i++)
        if (unlinkat(entry->folder, files[i], 0) < 0 && errno != ENOENT)
            return error_system(error, errno, "job %s: %s", entry->name, files[i]);
    if (unlinkat(base, entry->name, AT_REMOVEDIR) < 0 && errno != ENOENT)
        return error_system(error, errno, "job %s", entry->name);
    return 0;
}

/* All of the entry, whose folder is there. */
static int fill_folder(struct store_entry *entry, int base, char *const *words, size_t count,
                       struct error *error)
{
    entry->folder = openat(base, entry->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    entry->lock = entry->folder < 0 ? -1 : openat(entry->folder, "lock",
                                                  O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (entry->lock < 0 || flock(entry->lock, LOCK_EX) < 0)
        return error_system(error, errno, "job %s", entry->name);
    return write_command(entry, words, count, error);
}

int store_create(struct store_entry *entry, const char *name, char *const *words, size_t count,
                 struct error *error)
{
    cleanup_fd int base = open_base(error);
    struct error ignored = ERROR_INIT;
    int result = 0;

    *entry = (struct store_entry)STORE_ENTRY_INIT;
    if (base < 0)
        return base;
    /* One at a time: a folder that has no lock yet looks like one that was left. */
    if (flock(base, LOCK_EX) < 0)
        return error_system(error, errno, "jobs");
    if (name)
        snprintf(entry->name, sizeof(entry->name), "%s", name);
    else
        result = make_up_name(entry->name, error);
    if (result == 0)
        result = make_folder(entry, base, error);
    if (result < 0)
        return result;
    result = fill_folder(entry, base, words, count, error);
    /* Half of one would be a job that never was to `mote ps`. */
    if (result < 0)
        remove_from(base, entry, &ignored);
    return result;
}

int store_claim(const struct store_entry *entry, struct error *error)
{
    char text[24];
    int length = snprintf(text, sizeof(text), "%ld\n", (long)getpid());
    struct error ignored = ERROR_INIT;

    if (pwrite(entry->lock, text, (size_t)length, 0) == length)
        return 0;
    error_system(error, errno, "job %s", entry->name);
    store_remove(entry, &ignored);
    return -error->number;
}

int store_open_file(const struct store_entry *entry, const char *file, struct error *error)
{
    int fd = openat(entry->folder, file, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);

    return fd < 0 ? error_system(error, errno, "job %s: %s", entry->name, file) : fd;
}

void store_ended(const struct store_entry *entry, int status, struct log *log)
{
    struct error error = ERROR_INIT;
    int fd = store_open_file(entry, "verdict", &error);

    if (fd >= 0 && dprintf(fd, "{\"status\":%d}\n", status) < 0)
        error_system(&error, errno, "verdict");
    if (fd >= 0 && close(fd) < 0 && !error.number)
        error_system(&error, errno, "verdict");
    if (error.number)
        log_warn(log, "--name %s: %s; 'mote ps' will show the VM as killed", entry->name,
                 error.message);
}

void store_close(struct store_entry *entry)
{
    cleanup_close(&entry->lock);
    cleanup_close(&entry->folder);
    *entry = (struct store_entry)STORE_ENTRY_INIT;
}

/* ---- finding one ---------------------------------------------------------- */

static int open_entry(struct store_entry *entry, int base, const char *name)
{
    *entry = (struct store_entry)STORE_ENTRY_INIT;
    snprintf(entry->name, sizeof(entry->name), "%s", name);
    entry->folder = openat(base, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (entry->folder < 0)
        return -errno;
    /* Without one it is being made, or being taken away. */
    entry->lock = openat(entry->folder, "lock", O_RDONLY | O_CLOEXEC);
    return 0;
}

int store_find(struct store_entry *entry, const char *name, struct error *error)
{
    cleanup_fd int base = open_base(error);

    if (base < 0)
        return base;
    if (!store_name_is_good(name) || open_entry(entry, base, name) < 0)
        return error_set(error, ENOENT, "job %s: is not there; 'mote ps' lists those that are",
                         name);
    return 0;
}

bool store_is_running(const struct store_entry *entry)
{
    if (entry->lock < 0 || flock(entry->lock, LOCK_SH | LOCK_NB) == 0) {
        if (entry->lock >= 0)
            flock(entry->lock, LOCK_UN);
        return false;
    }
    return errno == EWOULDBLOCK;
}

bool store_is_paused(const struct store_entry *entry)
{
    return faccessat(entry->folder, STORE_PAUSED, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

int store_set_paused(const struct store_entry *entry, bool paused, struct error *error)
{
    int result = paused ? store_open_file(entry, STORE_PAUSED, error)
                        : unlinkat(entry->folder, STORE_PAUSED, 0);

    if (paused && result >= 0)
        close(result);
    if (!paused && result < 0 && errno != ENOENT)
        return error_system(error, errno, "job %s: %s", entry->name, STORE_PAUSED);
    return paused && result < 0 ? result : 0;
}

int store_wait(const struct store_entry *entry, struct error *error)
{
    int result;

    do
        result = entry->lock < 0 ? 0 : flock(entry->lock, LOCK_SH);
    while (result < 0 && errno == EINTR);
    if (result < 0)
        return error_system(error, errno, "job %s", entry->name);
    if (entry->lock >= 0)
        flock(entry->lock, LOCK_UN);
    return 0;
}

/* The supervisor's process ID; one that is about to claim the entry is waited for. */
static long read_supervisor(const struct store_entry *entry)
{
    for (unsigned int ms = 0; ms < CLAIM_MS; ms += CLAIM_STEP_MS) {
        char text[24];
        long pid;

        store_read(entry, "lock", text, sizeof(text));
        pid = strtol(text, NULL, 10);
        if (pid > 0 || !store_is_running(entry))
            return pid > 0 ? pid : -ESRCH;
        nanosleep(&(struct timespec){ .tv_nsec = CLAIM_STEP_MS * 1000000l }, NULL);
    }
    return -ETIMEDOUT;
}

/*
 * A supervisor has blocked what it reads from its signalfd; any other signal would
 * end it, or stop it, and its VM with it.
 */
bool store_takes_signal(const struct store_entry *entry, int number)
{
    char path[40], text[4096];
    const char *mask;
    long pid = read_supervisor(entry);

    if (number == SIGKILL || pid < 0)
        return true; /* what is wrong with it store_signal() tells */
    snprintf(path, sizeof(path), "/proc/%ld/status", pid);
    if (!small_file_read(path, text, sizeof(text)) || !(mask = strstr(text, "\nSigBlk:")))
        return true;
    return strtoull(mask + strlen("\nSigBlk:"), NULL, 16) >> (number - 1) & 1;
}

int store_signal(const struct store_entry *entry, int number)
{
    siginfo_t stop = { .si_signo = SIGTERM, .si_code = SI_QUEUE, .si_value.sival_int = SIGNALS_STOP };
    cleanup_fd int process = -1;
    long pid = read_supervisor(entry);

    if (pid < 0)
        return (int)pid;
    process = pidfd_open((pid_t)pid, 0);
    /* While the lock is held the number is its own; the descriptor keeps it so. */
    if (process < 0 || !store_is_running(entry))
        return -ESRCH;
    if (number == SIGNALS_STOP)
        return pidfd_send_signal(process, SIGTERM, &stop, 0) < 0 ? -errno : 0;
    return pidfd_send_signal(process, number, NULL, 0) < 0 ? -errno : 0;
}

void store_read(const struct store_entry *entry, const char *file, char *text, size_t size)
{
    cleanup_fd int fd = openat(entry->folder, file, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    size_t used = 0;

    while (fd >= 0 && used < size - 1) {
        ssize_t count = read(fd, text + used, size - 1 - used);

        if (count <= 0)
            break;
        used += (size_t)count;
    }
    text[used] = '\0';
}

int store_status(const struct store_entry *entry)
{
    cleanup_free char *text = malloc(VERDICT_MAX);
    struct json_object *record, *value;
    int status = STATUS_SIGNAL + SIGKILL;

    if (!text)
        return STATUS_FAILED;
    store_read(entry, "verdict", text, VERDICT_MAX);
    record = json_tokener_parse(text);
    if (record && json_object_object_get_ex(record, "status", &value))
        status = json_object_get_int(value) & 0xff;
    json_object_put(record);
    return status;
}

int store_remove(const struct store_entry *entry, struct error *error)
{
    cleanup_fd int base = open_base(error);

    return base < 0 ? base : remove_from(base, entry, error);
}

static int is_name(const struct dirent *file)
{
    return store_name_is_good(file->d_name);
}

int store_list(void (*each)(void *context, const struct store_entry *entry), void *context,
               struct error *error)
{
    cleanup_fd int base = open_base(error);
    struct dirent **names;
    int count;

    if (base < 0)
        return base;
    count = scandirat(base, ".", &names, is_name, versionsort);
    if (count < 0)
        return error_system(error, errno, "jobs");
    for (int i = 0; i < count; i++) {
        struct store_entry entry;

        if (open_entry(&entry, base, names[i]->d_name) == 0) {
            each(context, &entry);
            store_close(&entry);
        }
        free(names[i]);
    }
    free(names);
    return 0;
}
