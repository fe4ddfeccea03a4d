/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration file: any bytes give a configuration or one line of why not. */
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/fuzz/fuzz.h"
#include "vmm/config/config_file.h"

static int add(void *context, const char *option, const char *text, struct error *error)
{
    (void)context;
    (void)error;
    /* What reaches a device's parser is one text of one option. */
    fuzz_require(option[0] && text[0] && strlen(text) < 1u << 20);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int fd = -1;
    static char path[64];
    struct vm_config config = vm_config_default();
    struct config_file file;
    struct error error = ERROR_INIT;

    if (fd < 0) {
        fd = memfd_create("config", MFD_CLOEXEC);
        snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    }
    fuzz_require(ftruncate(fd, 0) == 0 && pwrite(fd, data, size, 0) == (ssize_t)size);
    if (config_file_load(&file, path, &config, add, NULL, &error) < 0) {
        fuzz_require(strncmp(error.message, "--config-file /proc", 19) == 0);
        fuzz_require(!strchr(error.message, '\n') && strlen(error.message) < 512);
    } else {
        fuzz_require(config.cpus >= 1 && config.cpus <= MACHINE_CPUS_MAX);
        fuzz_require(vm_config_complete(&config, &error) == 0 && config.command_line != NULL);
    }
    vm_config_release(&config);
    config_file_release(&file);
    return 0;
}
