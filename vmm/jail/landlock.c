/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Landlock: no access to files by path, no TCP, no abstract socket and no signal
 * beyond the process, as far as this host's version goes.  For a monitor it
 * allows nothing, so there are no rules; who reads archives has some.  The headers of older distributions do not have all of it:
 * the numbers are the kernel's (include/uapi/linux/landlock.h).
 */

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vmm/base/cleanup.h"
#include "vmm/jail/layers.h"

#define VERSION_QUERY 1u
#define PATH_BENEATH 1

/* Kinds of access, as the kernel numbers them. */
#define EXECUTE (1u << 0)
#define WRITE_FILE (1u << 1)
#define READ_FILE (1u << 2)
#define READ_DIR (1u << 3)
#define REFER (1u << 13)    /* from ABI 2 */
#define TRUNCATE (1u << 14) /* from ABI 3 */
#define OF_FILES (EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE)
/* Files, folders and symbolic links come and go; no device node, no socket, no FIFO. */
#define CHANGES (1u << 4 | 1u << 5 | 1u << 7 | 1u << 8 | 1u << 12)

struct ruleset {
    uint64_t files;
    uint64_t network; /* from ABI 4 */
    uint64_t scopes;  /* from ABI 6 */
};

/* How many kinds of access to files an ABI knows; they are bits from 0 on. */
static unsigned int file_bits(long abi)
{
    static const unsigned int bits[] = { 0, 13, 14, 15, 15, 16 };

    return bits[abi < (long)ARRAY_LENGTH(bits) ? abi : (long)ARRAY_LENGTH(bits) - 1];
}

struct path_beneath {
    uint64_t access;
    int32_t folder;
} __attribute__((packed));

static uint64_t access_bits(enum sandbox_access access)
{
    static const uint32_t bits[] = {
        [SANDBOX_READ] = READ_FILE | READ_DIR,
        [SANDBOX_RUN] = READ_FILE | READ_DIR | EXECUTE,
        [SANDBOX_WRITE] = READ_FILE | READ_DIR | WRITE_FILE | TRUNCATE | REFER | CHANGES,
    };

    return bits[access];
}

/* Of what the ruleset handles; files know less than folders. */
static int allow(int ruleset, const struct sandbox_path *path, uint64_t handled)
{
    cleanup_fd int fd = open(path->path, O_PATH | O_CLOEXEC);
    struct path_beneath rule = { .access = access_bits(path->access) & handled, .folder = fd };
    struct stat status;

    if (fd < 0)
        return 0; /* nobody gets there without it either */
    if (fstat(fd, &status) < 0)
        return -errno;
    if (!S_ISDIR(status.st_mode))
        rule.access &= OF_FILES;
    return syscall(SYS_landlock_add_rule, ruleset, PATH_BENEATH, &rule, 0) < 0 ? -errno : 0;
}

static int allow_all(int ruleset, const struct sandbox_config *config, uint64_t handled,
                     struct error *error)
{
    for (size_t i = 0; i < config->path_count; i++) {
        int result = allow(ruleset, &config->paths[i], handled);

        if (result < 0)
            return error_system(error, -result, "Landlock: %s", config->paths[i].path);
    }
    return 0;
}

static long query_abi(void)
{
    return syscall(SYS_landlock_create_ruleset, NULL, 0, VERSION_QUERY);
}

int layer_landlock(struct sandbox *sandbox, struct error *error)
{
    struct ruleset ruleset = { .files = 0 };
    size_t size = sizeof(ruleset.files);
    long abi = query_abi();
    cleanup_fd int fd = -1;

    if (abi < 1)
        return error_set(error, abi < 0 ? errno : ENOSYS, "%s; add landlock to the host kernel's "
                         "lsm= list", abi < 0 && errno == ENOSYS ? "not in this kernel" : "off");
    if (abi < 2 && sandbox->config.kind == SANDBOX_ARCHIVES)
        return error_set(error, ENOTSUP, "its version 1 moves no file between folders; use a host "
                         "kernel of 5.19 or newer");
    ruleset.files = (1ull << file_bits(abi)) - 1;
    if (abi >= 4) {
        ruleset.network = 3; /* bind and connect by TCP */
        size += sizeof(ruleset.network);
    }
    if (abi >= 6) {
        ruleset.scopes = 3; /* abstract UNIX sockets, signals */
        size += sizeof(ruleset.scopes);
    }
    fd = (int)syscall(SYS_landlock_create_ruleset, &ruleset, size, 0);
    if (fd < 0)
        return error_system(error, errno, "Landlock's ABI %ld", abi);
    if (allow_all(fd, &sandbox->config, ruleset.files, error) < 0)
        return -error->number;
    if (syscall(SYS_landlock_restrict_self, fd, 0) < 0)
        return error_system(error, errno, "Landlock's ABI %ld", abi);
    return 0;
}

/* ---- closer ---- */

/* All that changes files, of which no kind of access to devices is left by now. */
#define CHANGING (access_bits(SANDBOX_WRITE) & ~access_bits(SANDBOX_READ))

static int allow_changes(int ruleset, int fd, uint64_t access)
{
    struct path_beneath rule = { .access = access, .folder = fd };

    return fd >= 0 && syscall(SYS_landlock_add_rule, ruleset, PATH_BENEATH, &rule, 0) < 0 ? -errno : 0;
}

int sandbox_confine(const struct sandbox *sandbox, int folder, int file, struct error *error)
{
    struct ruleset ruleset = { .files = 0 };
    cleanup_fd int fd = -1, null = -1;
    int result;

    if (!sandbox || !sandbox->active[LAYER_LANDLOCK])
        return 0;
    ruleset.files = CHANGING & ((1ull << file_bits(query_abi())) - 1);
    fd = (int)syscall(SYS_landlock_create_ruleset, &ruleset, sizeof(ruleset.files), 0);
    null = open("/dev/null", O_PATH | O_CLOEXEC);
    result = fd < 0 ? -errno : allow_changes(fd, folder, ruleset.files);
    if (result == 0)
        result = allow_changes(fd, file, ruleset.files & OF_FILES);
    if (result == 0)
        result = allow_changes(fd, null, ruleset.files & OF_FILES);
    if (result == 0 && syscall(SYS_landlock_restrict_self, fd, 0) < 0)
        result = -errno;
    return result < 0 ? error_system(error, -result, "Landlock") : 0;
}
