/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration file: any bytes give a configuration or one line of why not;
 * and that, completed and written as JSON, is a file of an equal one.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/fuzz/fuzz.h"
#include "tests/support/config_forms.h"
#include "vmm/config/config_file.h"

/* A file of these bytes at a path that stays. */
static const char *write_file(const void *bytes, size_t size)
{
    static int fd = -1;
    static char path[64];

    if (fd < 0) {
        fd = memfd_create("config", MFD_CLOEXEC);
        snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    }
    fuzz_require(ftruncate(fd, 0) == 0 && pwrite(fd, bytes, size, 0) == (ssize_t)size);
    return path;
}

static void check(struct vm_config *config)
{
    struct vm_config back = vm_config_default();
    struct error error = ERROR_INIT;
    struct config_file_log log;
    char *json;

    fuzz_require(config->cpus >= 1 && config->cpus <= MACHINE_CPUS_MAX);
    /* Unless there are as many devices as there can be, and the console is one more. */
    if (vm_config_complete(config, &error) < 0)
        return;
    fuzz_require(config->command_line != NULL);
    json = config_to_json(config, &error);
    fuzz_require(json != NULL);
    fuzz_require(config_file_load(write_file(json, strlen(json)), &back, &log, &error) == 0);
    fuzz_require(vm_config_equal(config, &back));
    vm_config_release(&back);
    free(json);
    if (vm_config_validate(config, &error) < 0)
        fuzz_require(error.message[0] && !strchr(error.message, '\n'));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct vm_config config = vm_config_default();
    struct config_file_log log;
    struct error error = ERROR_INIT;

    if (config_file_load(write_file(data, size), &config, &log, &error) < 0)
        fuzz_require(!strchr(error.message, '\n') && strlen(error.message) < 512);
    else
        check(&config);
    vm_config_release(&config);
    return 0;
}
