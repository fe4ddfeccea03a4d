/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Values of mote run's options as text: an entry point, a port, a network, a signal, and a file of variables, each behind
 * a byte that tells which.
 */
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/fuzz/fuzz.h"
#include "vmm/job/env_file.h"
#include "vmm/job/resolver.h"
#include "vmm/config/forward.h"
#include "vmm/job/run_options.h"
#include "vmm/base/signals.h"

static void try_entrypoint(const char *text, struct error *error)
{
    struct text_list words = { .count = 0 };

    /* What is no array is one word. */
    fuzz_require(run_entrypoint_parse(text, &words, error) == 0);
    fuzz_require(text[0] == '[' || words.count == (text[0] ? 1 : 0));
    text_list_release(&words);
}

static void try_port(const char *text, struct error *error)
{
    struct passt_forward forward;

    if (run_publish_parse(text, &forward, error) < 0)
        return;
    fuzz_require(forward.host_port > 0 && forward.guest_port > 0);
    fuzz_require(forward_address_is_good(forward.address) && !strchr(forward.address, ':'));
}

static void try_network(const char *text, struct error *error)
{
    struct passt_options network = { .forward_count = 0 };
    unsigned int net;

    if (run_net_parse(text, &net, &network, error) == 0)
        fuzz_require(net == RUN_NET_USER || !(network.local || network.link_local || network.host_loopback));
}

static void try_file(const uint8_t *data, size_t size, struct error *error)
{
    struct text_list list = { .count = 0 };
    int fd = memfd_create("file", 0);
    char path[32], *lines = NULL;

    fuzz_require(fd >= 0 && write(fd, data, size) == (ssize_t)size);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    if (env_add_file(&list, path, error) == 0)
        for (size_t i = 0; i < list.count; i++)
            fuzz_require(list.items[i][0] != '=' && strchr(list.items[i], '='));
    text_list_release(&list);
    fuzz_require(resolver_read(path, &lines, error) == 0);
    for (const char *at = lines; *at; at++)
        fuzz_require(*at == '\n' || *at == '\t' || (*at >= ' ' && *at <= '~'));
    free(lines);
    close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error error = ERROR_INIT;
    char text[1024];
    int number;

    if (size < 1 || size >= sizeof(text))
        return 0;
    memcpy(text, data + 1, size - 1);
    text[size - 1] = '\0';
    switch (data[0] % 5) {
    case 0:
        try_entrypoint(text, &error);
        break;
    case 1:
        try_port(text, &error);
        break;
    case 2:
        try_network(text, &error);
        break;
    case 3:
        number = signal_number(text);
        fuzz_require(number >= 0 && number <= 64);
        break;
    case 4:
        try_file(data + 1, size - 1, &error);
        break;
    }
    fuzz_require(!strchr(error.message, '\n'));
    return 0;
}
