/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `mote clone`: many VMs from one snapshot, each a process in the background, all made from this one, which has read
 * the snapshot's description once.  The first goes ahead alone: what keeps it from running would keep all.
 */

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <unistd.h>

#include "vmm/base/cleanup.h"
#include "vmm/supervisor/clone.h"
#include "vmm/cli/commands.h"
#include "vmm/supervisor/detach.h"
#include "vmm/base/progress.h"
#include "vmm/supervisor/restore.h"
#include "vmm/supervisor/snapshot/folder.h"

#define COUNT_MAX 10000
#define AT_ONCE_MAX 16 /* that are on their way */

struct clone_options {
    struct restore_options restore; /* first, for restore_option_rows() */
    uint64_t count;
    const char *prefix;
    char *const *words; /* for `mote ps` */
    size_t word_count;
};

struct launch {
    const struct clone_options *options;
    struct vm_snapshot_source source;
    struct machine_state machine;
    char prefix[STORE_NAME_MAX + 1];
    unsigned int begun, failed;
    /* Those on their way, the oldest first. */
    struct detached detached[AT_ONCE_MAX];
    size_t under_way;
    struct progress progress;
};

/* ---- one clone ------------------------------------------------------------- */

/* *RESTORE for this one; the caller releases its configuration. */
static int configure(const struct launch *launch, const struct clone_identity *identity,
                     struct restore_options *restore, struct error *error)
{
    struct error why = ERROR_INIT;
    int result;

    *restore = launch->options->restore;
    restore->boot.vm.may_be_saved = true;
    result = restore_configure(restore, &launch->machine, &launch->source, identity, &why);
    return result < 0 ? error_set(error, why.number, "clone %s: %s", identity->name, why.message) : 0;
}

/* In the process of its own, to its end. */
static int run(const struct launch *launch, const struct clone_identity *identity,
               struct store_entry *entry, int started_fd)
{
    struct timeline timeline = { .count = 0 };
    struct restore_options restore;
    struct log log = LOG_INIT;
    struct error error = ERROR_INIT, why = ERROR_INIT;
    int status = STATUS_FAILED;
    int result = configure(launch, identity, &restore, &error);

    log.level = (enum log_level)restore.log_level;
    restore.boot.started_fd = started_fd;
    restore.boot.output_limit = DETACHED_OUTPUT_MAX;
    restore.boot.detached = true;
    restore.boot.entry = entry;
    if (result == 0 && (result = boot_supervise(&restore.boot, &log, &timeline, &status, &why)) < 0)
        error_set(&error, why.number, "clone %s: %s", identity->name, why.message);
    vm_config_release(&restore.boot.vm);
    if (result < 0)
        status = command_failed(&error);
    store_ended(entry, status, &log);
    return status;
}

static int start(struct launch *launch, unsigned int number, struct error *error)
{
    struct detached *detached = &launch->detached[launch->under_way];
    struct clone_identity identity;
    int started_fd, result;

    *detached = (struct detached)DETACHED_INIT;
    result = clone_identify(&identity, launch->prefix, number, error);
    if (result == 0)
        result = store_create(&detached->entry, identity.name, launch->options->words,
                              launch->options->word_count, error);
    if (result == 0)
        result = detach_fork(detached, launch->detached, launch->under_way, &started_fd, error);
    if (result < 0) {
        store_close(&detached->entry);
        return result;
    }
    if (result == 0)
        _exit(run(launch, &identity, &detached->entry, started_fd));
    launch->under_way++;
    return 0;
}

/* ---- all of them ----------------------------------------------------------- */

/* One that did not begin has told why. */
static int finish_oldest(struct launch *launch, struct error *error)
{
    struct detached oldest = launch->detached[0];
    int result;

    for (size_t i = 1; i < launch->under_way; i++)
        launch->detached[i - 1] = launch->detached[i];
    launch->under_way--;
    progress_add(&launch->progress, 0);
    result = detach_await(&oldest, error);
    if (result == STATUS_OK) {
        launch->begun++;
        progress_add(&launch->progress, 1);
        result = detach_tell(oldest.entry.name, error);
    } else {
        progress_end(&launch->progress);
        launch->failed++;
        if (result < 0)
            command_failed(error);
        *error = (struct error)ERROR_INIT;
        result = 0;
    }
    store_close(&oldest.entry);
    return result;
}

static size_t at_once(void)
{
    long processors = sysconf(_SC_NPROCESSORS_ONLN);

    return processors < 1 ? 1 : processors > AT_ONCE_MAX ? AT_ONCE_MAX : (size_t)processors;
}

static int start_all(struct launch *launch, struct error *error)
{
    unsigned int count = (unsigned int)launch->options->count;
    int result = 0;

    /* Where the names themselves are seen, they tell as much. */
    progress_init(&launch->progress, !isatty(STDOUT_FILENO));
    progress_begin_count(&launch->progress, count, "clones", "%s", launch->prefix);
    for (unsigned int number = 1; number <= count && result == 0; number++) {
        /* Alone as long as none runs. */
        if (launch->under_way == (launch->begun ? at_once() : 1))
            result = finish_oldest(launch, error);
        if (result == 0 && launch->failed && !launch->begun)
            break;
        if (result == 0)
            result = start(launch, number, error);
    }
    while (launch->under_way > 0) {
        struct error other = ERROR_INIT;

        if (finish_oldest(launch, result < 0 ? &other : error) < 0)
            result = -EIO;
    }
    progress_end(&launch->progress);
    return result;
}

/* Whatever can be told before the first of them runs. */
static int check(const struct launch *launch, unsigned int number, struct error *error)
{
    struct store_entry entry = STORE_ENTRY_INIT;
    struct clone_identity identity;
    struct restore_options restore;
    struct error ignored = ERROR_INIT;
    int result = clone_identify(&identity, launch->prefix, number, error);

    if (result == 0 && store_find(&entry, identity.name, &ignored) == 0 && store_is_running(&entry))
        result = error_set(error, EEXIST, "--name %s: %s is the name of a job or VM that runs; choose "
                           "another, or end that by 'mote stop %s'", launch->prefix, identity.name,
                           identity.name);
    store_close(&entry);
    if (result < 0)
        return result;
    result = configure(launch, &identity, &restore, error);
    vm_config_release(&restore.boot.vm);
    return result;
}

static int prepare(struct launch *launch, const char *folder, struct error *error)
{
    struct error why = ERROR_INIT;
    int result;

    if (launch->options->prefix)
        snprintf(launch->prefix, sizeof(launch->prefix), "%s", launch->options->prefix);
    else
        clone_prefix(launch->prefix, folder);
    result = restore_read(&launch->source, &launch->machine, &why);
    if (result == 0)
        result = restore_check(&launch->options->restore, &launch->source, &launch->machine, &why);
    if (result < 0)
        return error_set(error, why.number, "%s: %s", folder, why.message);
    for (unsigned int number = 1; number <= launch->options->count && result == 0; number++)
        result = check(launch, number, error);
    return result;
}

/* What came to nothing, and what runs all the same. */
static int tell_of_the_rest(const struct launch *launch, int result, struct error *error)
{
    unsigned long long count = launch->options->count;
    struct error why = *error;

    if (launch->begun && result < 0)
        return error_set(error, why.number, "%s; %u of %llu clones run, 'mote stop' ends those that "
                         "'mote ps' lists", why.message, launch->begun, count);
    if (launch->begun && launch->failed)
        return error_set(error, ECHILD, "%u of %llu clones could not be had; the others run, 'mote "
                         "stop' ends them", launch->failed, count);
    return result;
}

static int clone_all(const struct clone_options *options, const char *folder, struct error *error)
{
    struct launch launch = { .options = options, .machine = MACHINE_STATE_INIT };
    int result = store_check_name(options->prefix, error);

    if (result == 0)
        result = snapshot_folder_open(&launch.source, folder, error);
    if (result < 0)
        return result;
    result = prepare(&launch, folder, error);
    if (result == 0)
        result = start_all(&launch, error);
    machine_state_release(&launch.machine);
    snapshot_source_close(&launch.source);
    result = tell_of_the_rest(&launch, result, error);
    return result < 0 ? result : launch.failed ? STATUS_FAILED : STATUS_OK;
}

/* ---- the command ----------------------------------------------------------- */

static int set_count(void *target, const struct option_row *row, const char *value,
                     struct error *error)
{
    return options_number(row->name, value, 1, COUNT_MAX,
                          &((struct clone_options *)target)->count, error);
}

static const struct option_row own_rows[] = {
    { "Options", "count", "N", "how many (required)", set_count },
    { NULL, "name", "PREFIX", "they are PREFIX-1 to PREFIX-N (default: as the folder)",
      option_set_text, .offset = offsetof(struct clone_options, prefix) },
};

int cmd_clone(int argc, char **argv)
{
    static const char *const names[] = { "snapshot's folder" };
    struct clone_options options = {
        .restore = RESTORE_OPTIONS_DEFAULT, .words = argv, .word_count = (size_t)argc,
    };
    struct option_table table = {
        .usage = "mote clone FOLDER --count N [OPTION]...",
        .summary = "Starts N VMs from the one that 'mote snapshot' saved, in the background, and\n"
                   "prints their names once they run.  They share the memory that none of them\n"
                   "changes, and disks that are read-only; what one writes to another disk is its own\n"
                   "and gone with it.  Each has a MAC address, a vsock CID and sockets of its own;\n"
                   "forwarded ports are none's.  Each has random numbers of its own where the guest's\n"
                   "Linux knows the VM generation ID: by ACPI from 5.18, by the device tree from 6.10.\n"
                   "Values below may have %d for a clone's number and %s for its name.",
        .examples = "  mote clone ./web.snapshot --count 8\n"
                    "  mote clone ./web.snapshot --count 8 --name job --net tap:vm%d\n"
                    "  mote ps; mote logs job-3; mote stop job-1 job-2\n",
    };
    struct option_row rows[ARRAY_LENGTH(own_rows) + RESTORE_ROWS];
    struct error error = ERROR_INIT;
    const char *folder;
    bool helped;
    int result;

    restore_option_rows(&table, rows, own_rows, ARRAY_LENGTH(own_rows));
    result = options_parse_mixed(&table, &options, argc, argv, &folder, names, 1, &helped, &error);
    if (result == 0 && helped)
        return STATUS_OK;
    if (result == 0 && options.count == 0)
        result = error_set(&error, EINVAL, "--count: is missing; give the number of clones, such as "
                           "--count 8");
    if (result == 0)
        result = clone_all(&options, folder, &error);
    return result < 0 ? command_failed(&error) : result;
}
