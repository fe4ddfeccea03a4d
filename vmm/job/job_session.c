/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/job/job_session.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vmm/base/cleanup.h"
#include "vmm/base/helper_program.h"
#include "vmm/job/initramfs.h"
#include "vmm/job/kernel_cache.h"
#include "vmm/job/output.h"
#include "vmm/job/scratch.h"
#include "vmm/job/verdict.h"
#include "vmm/machine/arch_facts.h"

/*
 * Besides where to speak and that a panic ends the guest: without
 *
 * - the BSD terminals that nobody opens, of which some kernels make 512;
 * - the tests of every cipher, a third of a stock kernel's start;
 * - 64 MiB of bounce buffers in a guest that has memory above 4 GiB;
 * - what arch_job_kernel_options names.
 */
#define KERNEL_OPTIONS "panic=-1 pty.legacy_count=0 cryptomgr.notests swiotlb=noforce"

/* ---- the VM --------------------------------------------------------------- */

static int add_disk(struct vm_config *config, const struct rootfs_disk *disk, bool read_only,
                    struct error *error)
{
    struct device_config *device = vm_config_add_device(config, DEVICE_TYPE_DISK, error);

    if (!device)
        return -error->number;
    device->disk.path = disk->path;
    device->disk.fd = disk->fd;
    device->disk.read_only = read_only;
    return 0;
}

/* The guest gets its addresses with the job: they are the same on every host. */
static int add_network(struct job_session *session, struct error *error)
{
    const struct run_options *options = &session->options;
    struct device_config *device = vm_config_add_device(&session->options.vm, DEVICE_TYPE_NET, error);

    if (!device)
        return -error->number;
    device->net.kind = NET_USER;
    device->net.user = options->network;
    device->net.user.private_network = true;
    return 0;
}

static int add_devices(struct job_session *session, struct error *error)
{
    const struct rootfs *rootfs = &session->rootfs;
    static char scratch_name[] = "scratch";
    struct rootfs_disk scratch = { .fd = session->scratch, .path = scratch_name };
    struct vm_config *config = &session->options.vm;
    int result = 0;

    for (size_t i = 0; result == 0 && i < rootfs->layer_count; i++)
        result = add_disk(config, &rootfs->layers[i], true, error);
    for (size_t i = 0; result == 0 && i < rootfs->volume_count; i++)
        result = add_disk(config, &rootfs->volumes[i], true, error);
    if (result == 0 && session->scratch >= 0)
        result = add_disk(config, &scratch, false, error);
    if (result == 0 && session->options.net == RUN_NET_USER)
        result = add_network(session, error);
    return result;
}

/* Of a kernel that has them: for this job's disks and network. */
static int list_modules(const struct job_session *session, struct text_list *wanted,
                        struct error *error)
{
    const struct rootfs *rootfs = &session->rootfs;
    int result = 0;

    for (size_t i = 0; result == 0 && i < rootfs->layer_count; i++)
        result = text_list_add(wanted, rootfs->layers[i].file_system, error);
    for (size_t i = 0; result == 0 && i < rootfs->volume_count; i++)
        result = text_list_add(wanted, rootfs->volumes[i].file_system, error);
    if (result == 0 && session->scratch >= 0)
        result = text_list_add(wanted, "ext4", error);
    if (result == 0 && session->options.net == RUN_NET_USER)
        result = text_list_add(wanted, "virtio_net", error);
    return result;
}

static int make_initramfs(struct job_session *session, struct error *error)
{
    struct text_list wanted = { .count = 0 };
    int result = list_modules(session, &wanted, error);

    if (result == 0)
        result = initramfs_create(&session->kernel, &wanted, &session->initramfs, error);
    text_list_release(&wanted);
    return result;
}

static struct image_program image_program_of(const struct job_session *session)
{
    return (struct image_program){
        .quiet = session->options.quiet, .sandbox = &session->options.sandbox,
    };
}

/* A packed kernel boots without the cache, too: what is wrong with that is no error. */
static void use_unpacked_kernel(struct job_session *session)
{
    const struct kernel_choice *kernel = &session->kernel;
    struct error error = ERROR_INIT;
    struct image_program program = image_program_of(session);
    int result = kernel_cache_get(kernel->path, kernel_cache_unpack, &program,
                                  &session->unpacked_kernel, &error);

    if (result <= 0)
        session->unpacked_kernel = NULL;
    if (result < 0)
        log_info(&session->log, "kernel %s: the guest unpacks it: %s", kernel->path,
                 error.message);
}

int job_session_go_cold(struct job_session *session, struct error *error)
{
    struct vm_config *config = &session->options.vm;
    int result;

    if (!session->options.no_kernel_cache)
        use_unpacked_kernel(session);
    result = make_initramfs(session, error);
    config->kernel = session->unpacked_kernel ? session->unpacked_kernel : session->kernel.path;
    config->initrd = "initramfs";
    config->initrd_fd = session->initramfs;
    config->has_initrd_fd = true;
    config->snapshot = NULL;
    config->may_be_saved = session->template.key != NULL;
    return result;
}

/* ---- a template ----------------------------------------------------------- */

static int open_template(struct job_session *session, struct error *error)
{
    struct text_list wanted = { .count = 0 };
    cleanup_free char *init = NULL;
    struct template_parts parts = {
        .vm = &session->options.vm,
        .kernel = &session->kernel,
        .packed = session->options.no_kernel_cache,
        .wanted = &wanted,
        .rootfs = &session->rootfs,
        .scratch = session->scratch,
        .prepare = session->prepare,
        .prepare_length = session->prepare_length,
        .network = session->options.net == RUN_NET_USER,
    };
    char *key = NULL;
    int result = helper_program_find("mote-init", &init, error);

    parts.init = init;
    if (result == 0)
        result = list_modules(session, &wanted, error);
    if (result == 0)
        result = template_key(&parts, &key, error);
    text_list_release(&wanted);
    return result == 0 ? template_open(&session->template, key, error) : result;
}

/* Whether the VM goes on from one.  What is wrong with --warm costs time, and never a job. */
static bool find_template(struct job_session *session)
{
    struct error error = ERROR_INIT;
    int found = 0;

    if (!session->options.warm)
        return false;
    if (open_template(session, &error) < 0) {
        log_warn(&session->log, "--warm: the VM boots: %s", error.message);
        template_close(&session->template);
        return false;
    }
    found = template_find(&session->template, &error);
    if (found < 0)
        log_info(&session->log, "%s: it is removed, and the VM boots", error.message);
    if (found > 0)
        session->options.vm.snapshot = &session->template.source;
    return found > 0;
}

static int make_command_line(struct job_session *session, struct error *error)
{
    struct vm_config *config = &session->options.vm;
    cleanup_free char *made = NULL;

    if (asprintf(&made, "%sconsole=%s " KERNEL_OPTIONS " %s", session->options.verbose ? "" : "loglevel=1 ",
                 arch_serial_console, arch_job_kernel_options) < 0)
        made = NULL;
    config->command_line = made ? config_pool_text(&config->pool, made) : NULL;
    return config->command_line ? 0 : error_system(error, ENOMEM, "the kernel's command line");
}

static int configure_vm(struct job_session *session, struct error *error)
{
    struct vm_config *config = &session->options.vm;
    int result = kernel_choose(session->options.kernel, &session->kernel, error);

    if (result == 0)
        result = make_command_line(session, error);
    if (result < 0)
        return result;
    if (!find_template(session))
        result = job_session_go_cold(session, error);
    if (result == 0)
        result = add_devices(session, error);
    return result == 0 ? vm_config_validate(config, error) : result;
}

/* ---- all together --------------------------------------------------------- */

static int open_rootfs(struct job_session *session, struct error *error)
{
    const struct run_options *options = &session->options;
    struct image_program program = image_program_of(session);
    bool image = options->image != NULL;
    int result = rootfs_open(&session->rootfs, image ? options->image : options->rootfs, image,
                             &program, error);

    for (size_t i = 0; result == 0 && i < options->volume_count; i++)
        result = rootfs_add_volume(&session->rootfs, options->volumes[i].source, &program,
                                   error);
    return result;
}

int job_session_prepare(struct job_session *session, struct error *error)
{
    const struct run_options *options = &session->options;
    int result = 0;

    if (options->tty && !isatty(STDIN_FILENO))
        return error_set(error, ENOTTY, "--tty: standard input is no terminal; leave out --tty");
    if (options->output)
        result = output_prepare(options->output, options->output_merge, error);
    if (result == 0 && options->verdict)
        result = verdict_check(options->verdict, error);
    if (result == 0)
        result = open_rootfs(session, error);
    if (result == 0)
        result = job_session_encode_job(session, error);
    if (result == 0 && options->scratch)
        result = scratch_create(options->scratch, &session->scratch, error);
    if (result == 0)
        result = configure_vm(session, error);
    timeline_mark(session->timeline, "job prepared");
    return result;
}

int job_session_open(struct job_session *session, struct error *error)
{
    session->log.level = session->options.quiet ? LOG_ERROR
                         : session->options.verbose ? LOG_INFO : LOG_WARN;
    /* The VM's process marks it, too. */
    session->timeline = mmap(NULL, sizeof(*session->timeline), PROT_READ | PROT_WRITE,
                             MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (session->timeline == MAP_FAILED) {
        session->timeline = NULL;
        return error_system(error, errno, "the timeline");
    }
    timeline_mark(session->timeline, "main");
    return 0;
}

void job_session_close(struct job_session *session)
{
    rootfs_release(&session->rootfs);
    kernel_choice_release(&session->kernel);
    free(session->unpacked_kernel);
    text_list_release(&session->arguments);
    text_list_release(&session->environment);
    run_options_release(&session->options);
    cleanup_close(&session->initramfs);
    cleanup_close(&session->scratch);
    template_close(&session->template);
    free(session->job);
    free(session->prepare);
    if (session->timeline)
        munmap(session->timeline, sizeof(*session->timeline));
}
