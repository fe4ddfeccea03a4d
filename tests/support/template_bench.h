/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_TEMPLATE_BENCH_H
#define MOTE_TEMPLATE_BENCH_H

/* Templates under test: a cache of their own for each test, and whole ones in it. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
/* After those that it needs. */
#include <cmocka.h>

#include "tests/support/test_tool.h"
#include "vmm/base/cleanup.h"
#include "vmm/job/template.h"
#include "vmm/snapshot/machine_state.h"

#define MEMORY (2ull << 20)

static struct test_directory directory;

static inline int set_up(void **state)
{
    (void)state;
    test_directory_create(&directory);
    setenv("MOTE_CACHE", directory.path, 1);
    return 0;
}

static inline int tear_down(void **state)
{
    char command[300];

    (void)state;
    snprintf(command, sizeof(command), "rm -rf '%s/templates'", directory.path);
    assert_int_equal(system(command), 0);
    test_directory_remove(&directory);
    return 0;
}

static const char *path_of(const char *name)
{
    static char path[300];

    snprintf(path, sizeof(path), "%s/%s", directory.path, name);
    return path;
}

static inline bool is_there(const char *name)
{
    return access(path_of(name), F_OK) == 0;
}

/* ---- one -------------------------------------------------------------------- */

static inline struct vm_config config(void)
{
    struct vm_config made = vm_config_default();

    made.memory = MEMORY;
    return made;
}

static inline void open_one(struct template *template, const char *key)
{
    struct error error = ERROR_INIT;

    if (template_open(template, strdup(key), &error) < 0)
        fail_msg("%s", error.message);
}

/* The state as the VM's process writes it, of a machine of MEMORY. */
static inline void write_state(struct template *template, uint64_t memory)
{
    struct vm_config machine_config = config();
    struct error error = ERROR_INIT;
    struct state *state;
    const void *bytes;
    size_t length;

    machine_config.memory = memory;
    assert_int_equal(state_create(&state, &error), 0);
    machine_state_save(&machine_config, template->id, state);
    assert_int_equal(state_finish(state, &error), 0);
    bytes = state_saved(state, &length);
    assert_int_equal(machine_state_write(template->saving.state_fd, bytes, length, &error), 0);
    state_destroy(state);
}

static inline int keep(struct template *template, struct error *error)
{
    struct vm_config kept = config();
    struct template_about about = { .kernel = "/boot/k", .root = "./r", .memory = MEMORY, .cpus = 1 };

    return template_keep(template, &kept, &about, error);
}

/* A whole one of KEY; its name goes to NAME. */
static inline void save_one(const char *key, char name[TEMPLATE_NAME_SIZE])
{
    struct error error = ERROR_INIT;
    struct template template;

    open_one(&template, key);
    assert_int_equal(template_find(&template, &error), 0);
    if (template_begin(&template, MEMORY, &error) < 0)
        fail_msg("%s", error.message);
    write_state(&template, MEMORY);
    if (keep(&template, &error) < 0)
        fail_msg("%s", error.message);
    strcpy(name, template.name);
    template_close(&template);
}

static inline int find_one(const char *key, struct error *error)
{
    struct template template;
    int result;

    *error = (struct error)ERROR_INIT;
    open_one(&template, key);
    result = template_find(&template, error);
    assert_int_equal(template.source.state_fd >= 0, result > 0);
    assert_int_equal(template.source.memory_fd >= 0, result > 0);
    template_close(&template);
    return result;
}

static const char *file_of(const char *name, const char *file)
{
    static char path[128];

    snprintf(path, sizeof(path), "templates/%s/%s", name, file);
    return path;
}

#endif
