/* SPDX-License-Identifier: Apache-2.0 */
/* The table of subcommands. */

#include <fcntl.h>
#include <unistd.h>

#include "vmm/base/cleanup.h"
#include "vmm/cli/commands.h"
#include "vmm/supervisor/vm_verbs.h"

/* The verbs of vm_verbs.h that are commands stand between these. */
static const struct command starting[] = {
    { "boot", "boot a kernel in a microVM", cmd_boot },
    { "run", "run a command in a microVM of its own", cmd_run },
};

static const struct command others[] = {
    { "snapshot", "save a VM", cmd_snapshot },
    { "restore", "start a VM from a snapshot", cmd_restore },
    { "clone", "start many VMs from one snapshot", cmd_clone },
    { "template", "list or remove what 'mote run --warm' saved", cmd_template },
    { "ps", "list the jobs and VMs that have a name", cmd_ps },
    { "logs", "print what a detached job has written", cmd_logs },
    { "wait", "wait for a job's end", cmd_wait },
    { "stop", "end a job, by SIGTERM first", cmd_stop },
    { "kill", "send a job a signal", cmd_kill },
    { "rm", "remove a job that has ended", cmd_rm },
    { "bench", "compare Mote's start with containers and other monitors", cmd_bench },
    { "doctor", "show what this host offers and what Mote will use", cmd_doctor },
};

static const struct foreign_word foreign[] = {
    { "attach", "a job is attached unless it was started with --detach; 'mote logs --follow NAME' shows its output" },
    { "build", "Mote builds no images; podman build and umoci do, and 'mote run --image oci:PATH' runs them" },
    { "cp", "bring files in by 'mote run --volume HOST:GUEST:ro' and out by --output" },
    { "create", "give 'mote run --detach --name NAME' or 'mote boot --detach --name NAME'" },
    { "exec", "no second command can be run in a VM; a shell is 'mote run -it ... -- sh'" },
    { "images", "Mote keeps no list of images; 'mote run --image oci:PATH' names one" },
    { "inspect", "'mote ps' lists what runs, and --verdict tells how a job ended" },
    { "load", "give the archive to 'mote run --image docker-archive:FILE'" },
    { "pull", "Mote pulls nothing; give: skopeo copy docker://IMAGE oci:FOLDER:TAG, then 'mote run --image oci:FOLDER:TAG'" },
    { "shell", "no second command can be run in a VM; a shell is 'mote run -it ... -- sh'" },
    { "start", "give 'mote run' or 'mote boot'" },
    { "stats", "'mote ps' lists what runs, and --verdict tells what a job used" },
    { "top", "'mote ps' lists what runs" },
    { "unpause", "give 'mote resume NAME'" },
    { NULL, NULL },
};

static struct command commands[ARRAY_LENGTH(starting) + VERBS_MAX + ARRAY_LENGTH(others)];

static struct program mote = {
    .name = "mote",
    .intro = "Usage: mote COMMAND [OPTION]...\n\nMote runs a Linux kernel in a KVM microVM.\n",
    .examples = "; 'man mote' tells all.\n\nExamples:\n"
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

    for (size_t i = 0; i < ARRAY_LENGTH(starting); i++)
        add(&starting[i]);
    for (size_t i = 0; i < count; i++)
        if (verbs[i].help)
            add(&(struct command){ verbs[i].name, verbs[i].help, cmd_verb });
    for (size_t i = 0; i < ARRAY_LENGTH(others); i++)
        add(&others[i]);
}

int main(int argc, char **argv)
{
    fill_standard_descriptors();
    collect_commands();
    return program_main(&mote, argc, argv);
}
