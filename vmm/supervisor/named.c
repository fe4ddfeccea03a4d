/* SPDX-License-Identifier: Apache-2.0 */
/* A VM with a name, in the foreground or in the background. */

#include "vmm/supervisor/boot.h"
#include "vmm/base/exit_status.h"
#include "vmm/supervisor/detach.h"

/* The VM in this process, as the owner of ENTRY. */
static int supervise(struct boot_config *config, struct store_entry *entry, struct log *log,
                     struct timeline *timeline, int *status, struct error *error)
{
    int result;

    config->entry = entry;
    result = boot_supervise(config, log, timeline, status, error);
    store_ended(entry, result < 0 ? STATUS_FAILED : *status, log);
    return result;
}

static int detach(struct boot_config *config, struct detached *detached, struct log *log,
                  struct timeline *timeline, int *status, struct error *error)
{
    int result = detach_fork(detached, NULL, 0, &config->started_fd, error);

    config->output_limit = DETACHED_OUTPUT_MAX;
    config->detached = true;
    if (result == 0)
        return supervise(config, &detached->entry, log, timeline, status, error);
    *timeline = (struct timeline){ .count = 0 };
    if (result > 0)
        result = *status = detach_await(detached, error);
    if (result == STATUS_OK)
        result = detach_tell(detached->entry.name, error);
    return result < 0 ? result : 0;
}

int boot_named(struct boot_config *config, const struct boot_naming *naming, struct log *log,
               struct timeline *timeline, int *status, struct error *error)
{
    struct detached detached = DETACHED_INIT;
    int result;

    if (!naming->name && !naming->detach)
        return boot_supervise(config, log, timeline, status, error);
    result = store_create(&detached.entry, naming->name, naming->words, naming->word_count, error);
    if (result == 0 && naming->detach)
        result = detach(config, &detached, log, timeline, status, error);
    else if (result == 0 && (result = store_claim(&detached.entry, error)) == 0)
        result = supervise(config, &detached.entry, log, timeline, status, error);
    store_close(&detached.entry);
    return result;
}
