/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/config/config.h"
#include "vmm/bench/workshop.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/bench/instance.h"
#include "vmm/bench/workshop_files.h"
#include "vmm/base/cleanup.h"
#include "vmm/monitor/kvm.h"
#include "vmm/base/log.h"
#include "vmm/base/helper_program.h"
#include "vmm/job/kernel_choice.h"

#define TOOL_SECONDS 120
#define KVM_XCRS_NUMBER 56 /* KVM_CAP_XCRS, which headers have on some architectures only */

/* ---- what is there -------------------------------------------------------- */

/* FOLDER/NAME as seen from this program, into PATH; whether it is there. */
static bool find_beside(const char *folder, const char *name, char path[PATH_MAX])
{
    cleanup_free char *found = NULL;

    if (!helper_program_at(folder, name, &found))
        return false;
    return snprintf(path, PATH_MAX, "%s", found) < PATH_MAX;
}

/* A vmlinux beside a compressed kernel, as scripts/guest-kernel and scripts/kernel leave one. */
static void find_elf(const char *kernel, char elf[PATH_MAX])
{
    const char *slash = strrchr(kernel, '/');
    char magic[4] = "";
    cleanup_fd int fd = open(kernel, O_RDONLY | O_CLOEXEC);

    if (fd >= 0 && read(fd, magic, 4) == 4 && memcmp(magic, "\177ELF", 4) == 0) {
        snprintf(elf, PATH_MAX, "%s", kernel);
        return;
    }
    if (snprintf(elf, PATH_MAX, "%.*svmlinux", slash ? (int)(slash + 1 - kernel) : 0,
                 kernel) >= PATH_MAX || access(elf, R_OK) < 0)
        elf[0] = '\0';
}

/* Of an uncompressed kernel the bzImage beside it, which more monitors take. */
static void prefer_compressed(char kernel[PATH_MAX])
{
    char path[PATH_MAX];
    const char *slash = strrchr(kernel, '/');

    if (slash && strcmp(slash, "/vmlinux") == 0 &&
        snprintf(path, sizeof(path), "%.*s/bzImage", (int)(slash - kernel), kernel) < PATH_MAX &&
        access(path, R_OK) == 0)
        memcpy(kernel, path, PATH_MAX);
}

/* Absolute, as some contenders change their folder. */
static int take_kernel(struct workshop *workshop, enum kernel_kind kind, const char *option,
                       const char *path, struct error *error)
{
    cleanup_free char *absolute = realpath(path, NULL);

    if (!absolute || access(absolute, R_OK) < 0)
        return error_set(error, errno, "--%s %s: %s; name a kernel's file", option, path,
                         strerror(errno));
    snprintf(workshop->kernels[kind], PATH_MAX, "%s", absolute);
    find_elf(absolute, workshop->elfs[kind]);
    prefer_compressed(workshop->kernels[kind]);
    return 0;
}

/* Mote's own kernel as installed, else as `mote run` finds it. */
static int find_own_kernel(struct workshop *workshop, const char *named, struct error *error)
{
    struct kernel_choice choice = { .path = NULL };
    struct error none = ERROR_INIT;
    char installed[PATH_MAX];
    int result = 0;

    if (named)
        return take_kernel(workshop, KERNEL_OWN, "kernel", named, error);
    if (!getenv("MOTE_KERNEL") && find_beside("../../share/mote", "guest-kernel", installed))
        return take_kernel(workshop, KERNEL_OWN, "kernel", installed, error);
    if (kernel_choose(NULL, &choice, &none) < 0)
        return 0;
    /* A host's own kernel is a stock one. */
    if (!choice.modules)
        result = take_kernel(workshop, KERNEL_OWN, "kernel", choice.path, error);
    else if (!workshop->kernels[KERNEL_STOCK][0])
        result = take_kernel(workshop, KERNEL_STOCK, "stock-kernel", choice.path, error);
    kernel_choice_release(&choice);
    return result;
}

/* As on a processor without XSAVE; where KVM cannot be opened the contenders say so. */
static bool kvm_lacks_xcrs(void)
{
    struct error ignored = ERROR_INIT;
    struct kvm kvm = KVM_INIT;
    bool lacks;

    if (kvm_open(&kvm, KVM_DEFAULT_PATH, &ignored) < 0)
        return false;
    lacks = kvm_capability(&kvm, KVM_XCRS_NUMBER) == 0;
    kvm_close(&kvm);
    return lacks;
}

int workshop_find(struct workshop *workshop, const char *kernel, const char *stock_kernel,
                  struct error *error)
{
    int result = 0;

    if (!find_beside(".", "mote", workshop->mote) &&
        !find_beside("../../bin", "mote", workshop->mote))
        return error_set(error, ENOENT, "mote: is neither beside mote-bench nor in ../../bin from "
                         "there; run 'mote bench'");
    if (!find_beside(".", "mote-probe", workshop->probe))
        return error_set(error, ENOENT, "mote-probe: is not beside mote-bench; build it by 'make' "
                         "or install Mote anew");
    workshop->kvm_lacks_xcrs = kvm_lacks_xcrs();
    if (stock_kernel)
        result = take_kernel(workshop, KERNEL_STOCK, "stock-kernel", stock_kernel, error);
    return result == 0 ? find_own_kernel(workshop, kernel, error) : result;
}

/* As a shell finds NAME, and where other users' PATH does not lead. */
static bool find_in_path(const char *name, char path[PATH_MAX])
{
    const char *variable = getenv("PATH");
    cleanup_free char *folders = NULL;
    char *rest, *folder;

    if (asprintf(&folders, "%s:/usr/sbin:/sbin", variable ? variable : "/usr/bin:/bin") < 0)
        return false;
    rest = folders;
    while ((folder = strsep(&rest, ":")))
        if (folder[0] == '/' && snprintf(path, PATH_MAX, "%s/%s", folder, name) < PATH_MAX &&
            access(path, X_OK) == 0)
            return true;
    path[0] = '\0';
    return false;
}

void workshop_find_program(const struct workshop *workshop, struct entry *entry, const char *path)
{
    const char *name = entry->contender->program;

    if (path)
        snprintf(entry->program, PATH_MAX, "%s", path);
    else if (strcmp(name, "mote") == 0)
        snprintf(entry->program, PATH_MAX, "%s", workshop->mote);
    else if (strcmp(name, "mote-probe") == 0)
        snprintf(entry->program, PATH_MAX, "%s", workshop->probe);
    else
        find_in_path(name, entry->program);
}

/* ---- the folder ----------------------------------------------------------- */

/* Runs a program of the preparation, which prints nothing that matters. */
static int run_tool(char *const words[], int seconds, struct error *error)
{
    static const volatile bool never;
    struct instance tool;
    int result = instance_start(&tool, words, false, error);

    if (result < 0)
        return result;
    instances_wait(&tool, 1, GOAL_END, now_ns() + seconds * 1000000000ll, &never);
    if (!tool.ended || tool.status != 0) {
        char why[INSTANCE_FAILURE_SIZE];

        instance_failure(&tool, why, sizeof(why));
        result = error_set(error, EIO, "%s: %s", words[0], why);
    }
    instance_close(&tool);
    return result;
}

/* A new file: the root may have a link of that name, which leads out of it. */
static int copy_file(const char *from, const char *to, struct error *error)
{
    cleanup_fd int source = open(from, O_RDONLY | O_CLOEXEC);
    cleanup_fd int target = -1;
    ssize_t count = 1;

    if (source >= 0) {
        unlink(to);
        target = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0755);
    }
    while (source >= 0 && target >= 0 && count > 0)
        count = sendfile(target, source, NULL, 1u << 20);
    if (source < 0 || target < 0 || count < 0)
        return error_system(error, errno, "%s", source < 0 ? from : to);
    return 0;
}

static int make_root(const struct workshop *workshop, const char *rootfs, struct error *error)
{
    static const char *const folders[] = { "", "/dev", "/proc", "/sys", "/tmp", "/run", "/etc",
                                           "/usr", "/var" };
    char path[PATH_MAX], from[PATH_MAX];
    char copy[] = "/bin/cp", archive[] = "-a";
    int result = 0;

    for (size_t i = 0; i < ARRAY_LENGTH(folders); i++) {
        snprintf(path, sizeof(path), "%s/root%s", workshop->folder, folders[i]);
        if (mkdir(path, 0755) < 0)
            return error_system(error, errno, "%s", path);
    }
    snprintf(path, sizeof(path), "%s/root", workshop->folder);
    if (rootfs && snprintf(from, sizeof(from), "%s/.", rootfs) >= PATH_MAX)
        return error_set(error, ENAMETOOLONG, "--rootfs: is too long; move the folder");
    if (rootfs)
        result = run_tool((char *const[]){ copy, archive, from, path, NULL }, TOOL_SECONDS,
                          error);
    snprintf(path, sizeof(path), "%s/root/mote-probe", workshop->folder);
    return result == 0 ? copy_file(workshop->probe, path, error) : result;
}

static int make_image(const struct workshop *workshop, struct error *error)
{
    char program[PATH_MAX], image[PATH_MAX], root[PATH_MAX], option[] = "-E";
    char plain[] = "noinline_data";

    if (!find_in_path("mkfs.erofs", program))
        return error_set(error, ENOENT, "mkfs.erofs: is missing; apt install erofs-utils");
    snprintf(image, sizeof(image), "%s/root.erofs", workshop->folder);
    snprintf(root, sizeof(root), "%s/root", workshop->folder);
    return run_tool((char *const[]){ program, option, plain, image, root, NULL }, TOOL_SECONDS,
                    error);
}

int workshop_open(struct workshop *workshop, const char *rootfs, bool with_data,
                  struct error *error)
{
    const char *temporary = getenv("TMPDIR");
    char folder[sizeof(workshop->folder)];
    int result;

    if (snprintf(folder, sizeof(folder), "%s/mote-bench.XXXXXX",
                 temporary && *temporary ? temporary : "/tmp") >= (int)sizeof(folder))
        return error_set(error, ENAMETOOLONG, "TMPDIR: is too long; set another");
    if (!mkdtemp(folder) || chmod(folder, 0755) < 0)
        return error_system(error, errno, "%s", folder);
    memcpy(workshop->folder, folder, sizeof(folder));
    result = make_root(workshop, rootfs, error);
    if (result == 0 && with_data)
        result = workshop_make_data(workshop, error);
    if (result == 0)
        result = make_image(workshop, error);
    if (result == 0)
        result = workshop_make_initramfs(workshop, error);
    for (enum job_mode mode = 0; result == 0 && mode < JOB_MODE_COUNT; mode++)
        result = workshop_make_bundle(workshop, mode, error);
    return result;
}

/*
 * Empties FOLDER, which it closes.  Nothing is removed from file systems that are
 * mounted inside; of an overlay only folders tell truly where they lie.
 */
static void empty_folder(int folder, dev_t device)
{
    DIR *list = fdopendir(folder);
    struct dirent *entry;

    if (!list) {
        close(folder);
        return;
    }
    while ((entry = readdir(list))) {
        const char *name = entry->d_name;
        struct stat status;
        int inner;

        if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || unlinkat(folder, name, 0) == 0)
            continue;
        inner = openat(folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (inner >= 0 && fstat(inner, &status) == 0 && status.st_dev == device)
            empty_folder(inner, device);
        else if (inner >= 0)
            close(inner);
        unlinkat(folder, name, AT_REMOVEDIR);
    }
    closedir(list);
}

void workshop_close(struct workshop *workshop)
{
    struct log log = LOG_INIT;
    struct stat status;
    int folder;

    if (!workshop->folder[0])
        return;
    folder = open(workshop->folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (folder >= 0 && fstat(folder, &status) == 0)
        empty_folder(folder, status.st_dev);
    if (rmdir(workshop->folder) < 0)
        log_warn(&log, "%s: %s; remove it by hand", workshop->folder, strerror(errno));
    workshop->folder[0] = '\0';
}
