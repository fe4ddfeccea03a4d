/* SPDX-License-Identifier: Apache-2.0 */
/* The program: its commands, and words of other programs. */

#include <fcntl.h>
#include <unistd.h>

#include "vmm/base/cleanup.h"
#include "vmm/cli/commands.h"
#include "vmm/supervisor/vm_verbs.h"

#define COMMAND_ROW(name, help) { #name, help, cmd_##name },

static const struct command first[] = { COMMANDS_FIRST(COMMAND_ROW) };
static const struct command last[] = { COMMANDS_LAST(COMMAND_ROW) };

static const struct foreign_word foreign[] = {
    { "attach", "a job is attached unless it was started with --detach; 'mote logs --follow NAME' shows its output" },
    { "build", "Mote builds no images; podman build and umoci do, and 'mote run --image oci:PATH' runs them" },
    { "cp", "bring files in by 'mote run --volume HOST:GUEST:ro' and out by --output" },
    { "create", "give 'mote run --detach --name NAME' or 'mote boot --detach --name NAME'" },
    { "exec", "no second command can be run in a VM; a shell is 'mote run -it ... -- sh'" },
    { "images", "Mote keeps no list of images; 'mote run --image oci:PATH' names one" },
    { "inspect", "'mote status NAME' shows a VM or job, and --verdict tells how a job ended" },
    { "load", "give the archive to 'mote run --image docker-archive:FILE'" },
    { "pull", "Mote pulls nothing; give: skopeo copy docker://IMAGE oci:FOLDER:TAG, then 'mote run --image oci:FOLDER:TAG'" },
    { "shell", "no second command can be run in a VM; a shell is 'mote run -it ... -- sh'" },
    { "start", "give 'mote run' or 'mote boot'" },
    { "stats", "'mote status NAME' shows what a VM or job takes" },
    { "top", "'mote ps' lists what runs" },
    { "unpause", "give 'mote resume NAME'" },
    { NULL, NULL },
};

static struct command commands[ARRAY_LENGTH(first) + VERBS_MAX + ARRAY_LENGTH(last)];

static struct program mote = {
    .name = "mote",
    .intro = "Usage: mote COMMAND [OPTION]...\n\nMote runs a Linux kernel in a KVM microVM.\n",
    .examples = "; the manual mote.1 tells all.\n\nExamples:\n"
                "  mote doctor\n"
                "  mote boot --kernel vmlinuz --initrd initrd.img\n"
                "  mote run --rootfs ./debian -- sh -c 'echo hello'\n",
    .width = 10,
    .commands = commands,
    .foreign = foreign,
};

/*
 * A standard descriptor that the user closed would be given to the next file
 * opened: messages would then go into KVM's.  Input that is not there is at its
 * end; output that is not there stays an error when somebody writes to it.
 */
static void fill_standard_descriptors(void)
{
    static const int access[] = { O_RDONLY, O_RDONLY, O_WRONLY };

    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", access[fd]) != fd)
            _exit(STATUS_FAILED);
}

static void add(const struct command *command)
{
    commands[mote.count++] = *command;
}

static void collect_commands(void)
{
    size_t count;
    const struct vm_verb *verbs = vm_verbs(&count);

    for (size_t i = 0; i < ARRAY_LENGTH(first); i++)
        add(&first[i]);
    for (size_t i = 0; i < count; i++)
        if (verbs[i].help)
            add(&(struct command){ verbs[i].name, verbs[i].help, cmd_verb });
    for (size_t i = 0; i < ARRAY_LENGTH(last); i++)
        add(&last[i]);
}

int main(int argc, char **argv)
{
    fill_standard_descriptors();
    collect_commands();
    return program_main(&mote, argc, argv);
}
