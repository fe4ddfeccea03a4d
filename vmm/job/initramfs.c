/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/job/initramfs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/base/cleanup.h"
#include "vmm/machine/image.h"
#include "vmm/base/helper_program.h"
#include "vmm/job/kernel_choice.h"
#include "vmm/job/modules.h"
#include "vmm/base/whole_io.h"

#define HEADER_SIZE 110
#define FIRST_CAPACITY (1u << 20)
#define FILE_MAX (64u << 20) /* more than any module has */

static int make_room(struct cpio *cpio, size_t length, struct error *error)
{
    size_t capacity = cpio->capacity ? cpio->capacity : FIRST_CAPACITY;
    uint8_t *bytes;

    while (capacity - cpio->used < length)
        capacity *= 2;
    if (capacity == cpio->capacity)
        return 0;
    bytes = realloc(cpio->bytes, capacity);
    if (!bytes)
        return error_system(error, ENOMEM, "initramfs");
    cpio->bytes = bytes;
    cpio->capacity = capacity;
    return 0;
}

static void append(struct cpio *cpio, const void *bytes, size_t length)
{
    if (length > 0)
        memcpy(cpio->bytes + cpio->used, bytes, length);
    cpio->used += length;
    while (cpio->used % 4)
        cpio->bytes[cpio->used++] = 0;
}

int cpio_add(struct cpio *cpio, const char *name, uint32_t mode, const void *bytes, size_t length,
             struct error *error)
{
    size_t name_length = strlen(name) + 1;
    char header[HEADER_SIZE + 1];
    int result;

    if (length > FILE_MAX)
        return error_set(error, EFBIG, "initramfs: %s has over %u MiB", name, FILE_MAX >> 20);
    result = make_room(cpio, HEADER_SIZE + name_length + length + 8, error);
    if (result < 0)
        return result;
    /* magic, inode, mode, uid, gid, links, mtime, size, device (2), rdev (2), name, checksum */
    snprintf(header, sizeof(header), "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x",
             ++cpio->next_inode, mode, 0, 0, 1, 0, (unsigned int)length, 0, 0, 0, 0,
             (unsigned int)name_length, 0);
    /* The name follows the header without a gap; both together are padded. */
    memcpy(cpio->bytes + cpio->used, header, HEADER_SIZE);
    cpio->used += HEADER_SIZE;
    append(cpio, name, name_length);
    append(cpio, bytes, length);
    return 0;
}

int cpio_finish(struct cpio *cpio, struct error *error)
{
    return cpio_add(cpio, "TRAILER!!!", 0, NULL, 0, error);
}

void cpio_release(struct cpio *cpio)
{
    free(cpio->bytes);
    *cpio = (struct cpio){ .bytes = NULL };
}

/* The file PATH as NAME. */
static int add_file(struct cpio *cpio, const char *name, uint32_t mode, const char *role,
                    const char *path, struct error *error)
{
    struct image image = { .fd = -1 };
    cleanup_free uint8_t *bytes = NULL;
    int result = image_open(&image, role, path, error);

    if (result < 0)
        return result;
    if (image.size > FILE_MAX)
        result = error_set(error, EFBIG, "%s %s: has over %u MiB; name another file", role, path,
                           FILE_MAX >> 20);
    if (result == 0 && !(bytes = malloc(image.size)))
        result = error_system(error, ENOMEM, "initramfs");
    if (result == 0)
        result = image_read(&image, 0, bytes, image.size, error);
    if (result == 0)
        result = cpio_add(cpio, name, mode, bytes, image.size, error);
    image_close(&image);
    return result;
}

/* Numbers make the names: they keep the order, and a module's own name may be any. */
static int add_modules(struct cpio *cpio, const struct text_list *modules, struct error *error)
{
    cleanup_free char *list = NULL;
    size_t length = 0;
    FILE *stream = open_memstream(&list, &length);
    int result = 0;

    if (!stream)
        return error_system(error, ENOMEM, "initramfs");
    for (size_t i = 0; result == 0 && i < modules->count; i++) {
        const char *path = modules->items[i], *dot = strstr(strrchr(path, '/'), ".ko");
        char name[64];

        snprintf(name, sizeof(name), "module%zu%s", i, dot ? dot : ".ko");
        result = add_file(cpio, name, S_IFREG | 0644, "module", path, error);
        fprintf(stream, "/%s\n", name);
    }
    if (fclose(stream) != 0 && result == 0)
        return error_system(error, ENOMEM, "initramfs");
    if (result == 0)
        result = cpio_add(cpio, "modules.list", S_IFREG | 0644, list, length, error);
    return result;
}

static int fill(struct cpio *cpio, const struct kernel_choice *kernel,
                const struct text_list *wanted, struct error *error)
{
    cleanup_free char *init = NULL;
    struct text_list modules = { .count = 0 };
    int result = helper_program_find("mote-init", &init, error);

    if (result == 0)
        result = add_file(cpio, "init", S_IFREG | 0755, "guest init", init, error);
    if (result == 0 && kernel->modules) {
        result = modules_resolve(kernel->modules, wanted, &modules, error);
        if (result == 0)
            result = add_modules(cpio, &modules, error);
        text_list_release(&modules);
    }
    return result == 0 ? cpio_finish(cpio, error) : result;
}

int initramfs_create(const struct kernel_choice *kernel, const struct text_list *wanted, int *fd,
                     struct error *error)
{
    struct cpio cpio = { .bytes = NULL };
    cleanup_fd int created = memfd_create("initramfs", MFD_CLOEXEC);
    int result;

    if (created < 0)
        return error_system(error, errno, "initramfs");
    result = fill(&cpio, kernel, wanted, error);
    if (result == 0 && (result = whole_write(created, cpio.bytes, cpio.used)) < 0)
        error_system(error, -result, "initramfs");
    cpio_release(&cpio);
    if (result == 0)
        *fd = steal_fd(&created);
    return result;
}
