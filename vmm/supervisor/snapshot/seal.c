/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/supervisor/snapshot/seal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "vmm/base/cleanup.h"
#include "vmm/base/progress.h"
#include "vmm/snapshot/machine_state.h"
#include "vmm/snapshot/memory_sum.h"
#include "vmm/machine/state.h"

static void seal_state(struct seal *seal, struct state *state)
{
    state_begin(state, "seal", 0, 1);
    state_bytes(state, seal->id, sizeof(seal->id));
    state_u64(state, &seal->size);
    state_require(state, seal->size % MEMORY_FILE_PAGE == 0 && seal->size < 1ull << 52,
                  "the size of memory");
    state_text(state, &seal->base, SEAL_PATH_MAX);
    state_require(state, !seal->base || seal->base[0], "the base's folder");
    state_bytes(state, seal->base_id, sizeof(seal->base_id));
    state_u64(state, &seal->sum);
    state_u64(state, &seal->changed_seconds);
    state_u64(state, &seal->changed_nanoseconds);
    state_require(state, seal->changed_nanoseconds < 1000000000, "the time of its memory");
    state_end(state);
}

void seal_release(struct seal *seal)
{
    free(seal->base);
    seal->base = NULL;
}

int seal_write(struct seal *seal, int fd, struct error *error)
{
    struct state *state;
    int result = state_create(&state, error);

    if (result < 0)
        return result;
    seal_state(seal, state);
    result = state_finish(state, error);
    if (result == 0) {
        size_t length;
        const void *bytes = state_saved(state, &length);

        result = machine_state_write(fd, bytes, length, error);
    }
    state_destroy(state);
    return result;
}

int seal_read(struct seal *seal, int fd, struct error *error)
{
    cleanup_free void *bytes = NULL;
    struct state *state;
    size_t length;
    int result = machine_state_read(fd, &bytes, &length, error);

    *seal = (struct seal){ .base = NULL };
    if (result == 0)
        result = state_open(&state, bytes, length, error);
    if (result < 0)
        return result;
    seal_state(seal, state);
    result = state_finish(state, error);
    state_destroy(state);
    return result;
}

/* SHOWN: told of on a terminal, where it takes long. */
static int sum_of(const struct seal *seal, int memory, uint64_t *sum, bool shown,
                  struct error *error)
{
    uint64_t length = memory_file_length(seal->size, seal_kind(seal));
    struct progress progress;
    int result;

    progress_init(&progress, shown);
    progress_begin(&progress, 0, "checksum of memory");
    result = memory_sum(memory, length, sum, &progress, error);
    progress_end(&progress);
    return result;
}

static int note_time(struct seal *seal, int memory, struct error *error)
{
    struct stat status;

    if (fstat(memory, &status) < 0)
        return error_system(error, errno, "snapshot: its memory");
    seal->changed_seconds = (uint64_t)status.st_ctim.tv_sec;
    seal->changed_nanoseconds = (uint64_t)status.st_ctim.tv_nsec;
    return 0;
}

int seal_memory(struct seal *seal, int memory, struct error *error)
{
    int result = note_time(seal, memory, error);

    return result < 0 ? result : sum_of(seal, memory, &seal->sum, false, error);
}

int seal_check(struct seal *seal, int memory, enum seal_effort effort, struct error *error)
{
    struct seal now = *seal;
    int result = note_time(&now, memory, error);

    if (result < 0)
        return result;
    if (effort != SEAL_THOROUGH && now.changed_seconds == seal->changed_seconds &&
        now.changed_nanoseconds == seal->changed_nanoseconds)
        return 0;
    if (effort == SEAL_BY_TIME)
        return error_set(error, ESTALE, "its memory was copied or touched since it was sealed; run "
                         "'mote snapshot verify' on it first");
    result = sum_of(seal, memory, &now.sum, true, error);
    if (result < 0)
        return result;
    if (now.sum != seal->sum)
        return error_set(error, EINVAL, "snapshot: its memory was altered, its checksum does not "
                         "fit; copy it again or save the VM anew");
    *seal = now;
    return 0;
}
