/* SPDX-License-Identifier: Apache-2.0 */
/* The contenders' texts into command lines. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "vmm/bench/workshop_files.h"
#include "vmm/base/cleanup.h"

/* Of the driver that works on every file system. */
#define OWN_STORAGE "--root @folder/podman --runroot @folder/podman-run --storage-driver vfs"

/* One start: what the words of its command line may stand for. */
struct start {
    struct workshop *workshop;
    const struct entry *entry;
    enum job_mode mode;
};

typedef int (*word_value)(const struct start *start, char value[PATH_MAX], struct error *error);

static int in_folder(const struct start *start, const char *name, char value[PATH_MAX])
{
    snprintf(value, PATH_MAX, "%s/%s", start->workshop->folder, name);
    return 0;
}

static int value_folder(const struct start *start, char value[PATH_MAX], struct error *error)
{
    (void)error;
    strcpy(value, start->workshop->folder);
    return 0;
}

static int value_program(const struct start *start, char value[PATH_MAX], struct error *error)
{
    (void)error;
    memcpy(value, start->entry->program, PATH_MAX);
    return 0;
}

static int value_mode(const struct start *start, char value[PATH_MAX], struct error *error)
{
    (void)error;
    workshop_mode_word(start->workshop, start->mode, value);
    return 0;
}

static int value_data(const struct start *start, char value[PATH_MAX], struct error *error)
{
    (void)error;
    return in_folder(start, WORKSHOP_DATA, value);
}

/* What podman takes for each kind of user. */
static int value_net(const struct start *start, char value[PATH_MAX], struct error *error)
{
    (void)error;
    strcpy(value, start->mode != JOB_NETWORK ? "none"
                  : geteuid() == 0           ? "bridge"
                                             : "slirp4netns");
    return 0;
}

static int value_root(const struct start *start, char value[PATH_MAX], struct error *error)
{
    (void)error;
    return in_folder(start, "root", value);
}

static int value_image(const struct start *start, char value[PATH_MAX], struct error *error)
{
    (void)error;
    return in_folder(start, "root.erofs", value);
}

static int value_bundle(const struct start *start, char value[PATH_MAX], struct error *error)
{
    (void)error;
    workshop_bundle(start->workshop, start->mode, value);
    return 0;
}

static int value_initramfs(const struct start *start, char value[PATH_MAX], struct error *error)
{
    (void)error;
    return in_folder(start, "initramfs", value);
}

static int no_kernel(const struct start *start, struct error *error)
{
    if (start->entry->contender->kernel == KERNEL_STOCK)
        return error_set(error, ENOENT, "no stock kernel is here; name one by --stock-kernel FILE");
    return error_set(error, ENOENT, "no kernel of Mote's is here; run scripts/guest-kernel, or "
                     "name one by --kernel FILE");
}

static int value_kernel(const struct start *start, char value[PATH_MAX], struct error *error)
{
    memcpy(value, start->workshop->kernels[start->entry->contender->kernel], PATH_MAX);
    return value[0] ? 0 : no_kernel(start, error);
}

static int value_elf(const struct start *start, char value[PATH_MAX], struct error *error)
{
    enum kernel_kind kind = start->entry->contender->kernel;

    memcpy(value, start->workshop->elfs[kind], PATH_MAX);
    if (value[0])
        return 0;
    if (!start->workshop->kernels[kind][0])
        return no_kernel(start, error);
    return error_set(error, ENOENT, "needs an uncompressed kernel; put a vmlinux beside the other");
}

/* What `mote run` chooses itself where it may: nothing to unpack. */
static int value_best(const struct start *start, char value[PATH_MAX], struct error *error)
{
    const char *elf = start->workshop->elfs[start->entry->contender->kernel];

    if (!elf[0])
        return value_kernel(start, value, error);
    memcpy(value, elf, PATH_MAX);
    return 0;
}

static int value_cmdline(const struct start *start, char value[PATH_MAX], struct error *error)
{
    (void)error;
    workshop_command_line(start->workshop, start->mode, value);
    return 0;
}

static int firecracker_for(const struct start *start, word_value kernel_value,
                           char value[PATH_MAX], struct error *error)
{
    char kernel[PATH_MAX];
    int result = kernel_value(start, kernel, error);

    return result < 0 ? result
                      : workshop_make_firecracker(start->workshop, start->entry->contender->name,
                                                  kernel, start->mode, value, error);
}

static int value_firecracker(const struct start *start, char value[PATH_MAX], struct error *error)
{
    return firecracker_for(start, value_elf, value, error);
}

static int value_firecracker_bzimage(const struct start *start, char value[PATH_MAX],
                                     struct error *error)
{
    return firecracker_for(start, value_kernel, value, error);
}

static int value_id(const struct start *start, char value[PATH_MAX], struct error *error)
{
    (void)error;
    snprintf(value, PATH_MAX, "mote-bench-%d-%lu", (int)getpid(), start->workshop->next_id);
    return 0;
}

static const struct {
    const char *name;
    word_value value;
} values[] = {
    { "@program", value_program }, { "@mode", value_mode }, { "@root", value_root },
    { "@image", value_image }, { "@bundle", value_bundle }, { "@kernel", value_kernel },
    { "@elf", value_elf }, { "@best", value_best }, { "@initramfs", value_initramfs },
    { "@cmdline", value_cmdline }, { "@firecracker", value_firecracker },
    { "@firecracker-bzimage", value_firecracker_bzimage }, { "@id", value_id },
    { "@data", value_data }, { "@net", value_net }, { "@folder", value_folder },
};

static int add_words(const struct start *start, const char *text, struct text_list *words,
                     struct error *error);

/* WORD as it is, or with what begins at '@' replaced: up to a comma, which options end by, or a slash. */
static int add_word(const struct start *start, const char *word, struct text_list *words,
                    struct error *error)
{
    const struct contender *contender = start->entry->contender;
    const char *at = strchr(word, '@');
    size_t length = at ? strcspn(at, ",/") : 0;
    cleanup_free char *text = NULL;
    char value[PATH_MAX];

    if (!at)
        return text_list_add(words, word, error);
    if (strcmp(at, "@extra") == 0)
        return add_words(start, contender_extra(contender, start->mode), words, error);
    if (strcmp(at, "@storage") == 0)
        return add_words(start, start->entry->has_lent_storage ? OWN_STORAGE : NULL, words, error);
    for (size_t i = 0; i < ARRAY_LENGTH(values); i++) {
        int result;

        if (strncmp(at, values[i].name, length) != 0 || values[i].name[length])
            continue;
        result = values[i].value(start, value, error);
        if (result < 0)
            return result;
        if (asprintf(&text, "%.*s%s%s", (int)(at - word), word, value, at + length) < 0)
            return error_system(error, ENOMEM, "%s", contender->name);
        return text_list_add(words, text, error);
    }
    return error_set(error, EINVAL, "%s: its table row says '%s', which stands for nothing",
                     contender->name, at);
}

static int add_words(const struct start *start, const char *text, struct text_list *words,
                     struct error *error)
{
    cleanup_free char *copy = strdup(text ? text : "");
    char *rest = copy, *word;
    int result = copy ? 0 : error_system(error, ENOMEM, "%s", start->entry->contender->name);

    while (result == 0 && (word = strsep(&rest, " ")))
        if (*word)
            result = add_word(start, word, words, error);
    return result;
}

int workshop_words(struct workshop *workshop, const struct entry *entry, enum job_mode mode,
                   struct text_list *words, struct error *error)
{
    struct start start = { workshop, entry, mode };

    workshop->next_id++;
    return add_words(&start, entry->contender->command, words, error);
}
