/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Landlock: no access to files by path, no TCP, no abstract socket and no signal
 * beyond the process, as far as this host's version goes.  It allows nothing, so
 * there are no rules.  The headers of older distributions do not have all of it:
 * the numbers are the kernel's (include/uapi/linux/landlock.h).
 */

#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vmm/cleanup.h"
#include "vmm/sandbox/layers.h"

#define VERSION_QUERY 1u

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

int layer_landlock(struct sandbox *sandbox, struct error *error)
{
    struct ruleset ruleset = { .files = 0 };
    size_t size = sizeof(ruleset.files);
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, VERSION_QUERY);
    cleanup_fd int fd = -1;

    (void)sandbox;
    if (abi < 1)
        return error_set(error, abi < 0 ? errno : ENOSYS, "%s; add landlock to the host kernel's "
                         "lsm= list", abi < 0 && errno == ENOSYS ? "not in this kernel" : "off");
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
    if (fd < 0 || syscall(SYS_landlock_restrict_self, fd, 0) < 0)
        return error_system(error, errno, "Landlock's ABI %ld", abi);
    return 0;
}
