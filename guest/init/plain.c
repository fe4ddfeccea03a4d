/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Without `mote run` at the other end we are an ordinary initramfs' init: the
 * kernel's command line names a root (root=/dev/vda, rootfstype=, rw) and a
 * program in it (init=), which goes on in our place.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "guest/init/init.h"

#define NEW_ROOT "/root"

/* The words of the command line; the last of each kind counts. */
struct parameters {
    char text[4096];
    const char *root, *type, *init;
    bool writable;
};

static void read_parameters(struct parameters *parameters)
{
    int fd = open("/proc/cmdline", O_RDONLY | O_CLOEXEC);
    ssize_t length = fd < 0 ? 0 : read(fd, parameters->text, sizeof(parameters->text) - 1);
    char *rest = parameters->text, *word;

    if (fd >= 0)
        close(fd);
    parameters->text[length > 0 ? length : 0] = '\0';
    while ((word = strsep(&rest, " \n"))) {
        if (strncmp(word, "root=", 5) == 0)
            parameters->root = word + 5;
        else if (strncmp(word, "rootfstype=", 11) == 0)
            parameters->type = word + 11;
        else if (strncmp(word, "init=", 5) == 0)
            parameters->init = word + 5;
        else if (strcmp(word, "rw") == 0 || strcmp(word, "ro") == 0)
            parameters->writable = word[1] == 'w';
    }
}

static void mount_root(const struct parameters *parameters)
{
    static const char *const known[] = { "ext4", "erofs", "squashfs" };
    unsigned long flags = parameters->writable ? 0 : MS_RDONLY;

    mkdir(NEW_ROOT, 0755);
    if (parameters->type && mount(parameters->root, NEW_ROOT, parameters->type, flags, NULL) == 0)
        return;
    for (size_t i = 0; !parameters->type && i < ARRAY_LENGTH(known); i++)
        if (mount(parameters->root, NEW_ROOT, known[i], flags, NULL) == 0)
            return;
    init_failed(errno, "root=%s", parameters->root);
}

static void enter(void)
{
    static const char *const moved[] = { "/proc", "/sys", "/dev" };
    char target[32];

    for (size_t i = 0; i < ARRAY_LENGTH(moved); i++) {
        snprintf(target, sizeof(target), NEW_ROOT "%s", moved[i]);
        mkdir(target, 0755);
        if (mount(moved[i], target, NULL, MS_MOVE, NULL) < 0)
            init_failed(errno, "the root's %s", moved[i]);
    }
    if (chdir(NEW_ROOT) < 0 || mount(".", "/", NULL, MS_MOVE, NULL) < 0 || chroot(".") < 0 ||
        chdir("/") < 0)
        init_failed(errno, "the root");
}

_Noreturn void plain_init(int reason)
{
    static const char *const inits[] = { "/sbin/init", "/etc/init", "/bin/init", "/bin/sh" };
    static struct parameters parameters;

    read_parameters(&parameters);
    if (!parameters.root)
        init_failed(reason, "neither 'mote run' at the host's socket (vsock) nor root= on the "
                    "kernel's command line");
    mount_root(&parameters);
    enter();
    if (parameters.init)
        execl(parameters.init, parameters.init, NULL);
    for (size_t i = 0; !parameters.init && i < ARRAY_LENGTH(inits); i++)
        execl(inits[i], inits[i], NULL);
    init_failed(errno, "%s", parameters.init ? parameters.init : "no init, nor /bin/sh");
}
