/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the monitor may write to, told by the descriptors that it keeps.  A file
 * open for reading too is a disk, whose size stays; one open for writing alone,
 * to append, or as a standard stream, is an output, and grows as long as the
 * guest talks.  What an output has is not changed: the lists of system calls refuse to write it at an offset, to
 * take pieces out of it, to open it otherwise (REFUSE_OUTPUTS in lists.c).
 *
 * What is written to a file in memory counts as the memory of whoever wrote it
 * first, and cannot be given back: a VM's limit has to have room for it.  An
 * overlay does not tell whether its files lie in memory.
 */

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "vmm/jail/layers.h"

static uint64_t sum(uint64_t a, uint64_t b)
{
    return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

/* The size of FD's file system, if its files may lie in memory; UINT64_MAX for one without bound. */
bool files_in_memory(int fd, uint64_t *size)
{
    struct statfs system;

    if (fstatfs(fd, &system) < 0)
        return false;
    if (system.f_type != TMPFS_MAGIC && system.f_type != RAMFS_MAGIC &&
        system.f_type != OVERLAYFS_SUPER_MAGIC)
        return false;
    if (__builtin_mul_overflow(system.f_blocks, (uint64_t)system.f_bsize, size) || *size == 0)
        *size = UINT64_MAX;
    return true;
}

/* Files of one file system take no more than that has, and no more than their sizes. */
static void note_memory(struct sandbox_files *files, dev_t device, uint64_t most, uint64_t size)
{
    size_t i = 0;

    while (i < files->system_count && files->systems[i].device != device)
        i++;
    if (i == SANDBOX_SYSTEMS_MAX) {
        files->memory = sum(files->memory, size < most ? size : most);
        return;
    }
    if (i == files->system_count)
        files->systems[files->system_count++].device = device;
    size = size < most - files->systems[i].taken ? size : most - files->systems[i].taken;
    files->systems[i].taken += size;
    files->memory = sum(files->memory, size);
}

static void note_output(struct sandbox_files *files, int fd)
{
    if (files->descriptors.output_count == FILTER_OUTPUTS_MAX)
        files->too_many_outputs = true;
    else
        files->descriptors.outputs[files->descriptors.output_count++] = fd;
}

void sandbox_hands_over(struct sandbox *sandbox, int fd)
{
    if (!sandbox)
        return;
    sandbox->files.descriptors.handoff = fd;
    sandbox->files.descriptors.hands_over = true;
}

void files_note(struct sandbox_files *files, int fd)
{
    int flags = fcntl(fd, F_GETFL);
    uint64_t size, most;
    struct stat status;
    bool output;

    if (flags < 0 || flags & O_PATH || (flags & O_ACCMODE) == O_RDONLY ||
        fstat(fd, &status) < 0 || !S_ISREG(status.st_mode))
        return;
    output = (flags & O_ACCMODE) == O_WRONLY || flags & O_APPEND || fd <= STDERR_FILENO;
    if (output)
        note_output(files, fd);
    size = output ? UINT64_MAX : (uint64_t)status.st_size;
    if (size > files->largest)
        files->largest = size;
    if (files_in_memory(fd, &most))
        note_memory(files, status.st_dev, most, size);
}
