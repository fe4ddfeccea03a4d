/* SPDX-License-Identifier: Apache-2.0 */
/* The order of the layers, and which of them stand. */

#include "vmm/jail/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vmm/base/cleanup.h"
#include "vmm/jail/layers.h"

static const struct {
    const char *name;
    int (*enter)(struct sandbox *sandbox, struct error *error);
    bool monitor_only;
} layers[] = {
    [LAYER_DESCRIPTORS] = { "descriptors", layer_descriptors },
    [LAYER_LIMITS] = { "limits", layer_limits },
    [LAYER_CGROUP] = { "cgroup", layer_cgroup, true },
    [LAYER_NAMESPACES] = { "namespaces", layer_namespaces },
    [LAYER_ROOT] = { "root", layer_root },
    [LAYER_NETWORK] = { "network", layer_network },
    [LAYER_PRIVILEGES] = { "privileges", layer_privileges },
    [LAYER_LANDLOCK] = { "Landlock", layer_landlock },
    [LAYER_SECCOMP] = { "seccomp", layer_seccomp },
};
_Static_assert(ARRAY_LENGTH(layers) == LAYER_COUNT, "every layer has its row");

static bool has_layer(const struct sandbox *sandbox, size_t layer)
{
    return sandbox->config.kind == SANDBOX_MONITOR || !layers[layer].monitor_only;
}

/* In the supervisor; without one, LAYER_CGROUP is missing. */
static void create_cgroup(struct sandbox *sandbox)
{
    if (sandbox->config.mode == SANDBOX_ON && has_layer(sandbox, LAYER_CGROUP) &&
        cgroup_create(&sandbox->cgroup, &sandbox->config, &sandbox->cgroup_missing) < 0)
        sandbox->cgroup = NULL;
}

int sandbox_create(struct sandbox **sandbox, const struct sandbox_config *config, struct log *log,
                   struct error *error)
{
    struct sandbox *created;
    int result = privileges_check(config, error);

    if (result < 0)
        return result;
    if (config->required && config->mode == SANDBOX_OFF)
        return error_set(error, EINVAL, "--require-sandbox: excludes --sandbox off; leave one out");
    created = calloc(1, sizeof(*created));
    if (!created)
        return error_system(error, ENOMEM, "sandbox");
    created->config = *config;
    created->log = log;
    created->privileged = geteuid() == 0;
    created->supervisor = getpid();
    created->reason_fd = -1;
    if (config->mode == SANDBOX_OFF)
        log_warn(log, "the sandbox is off: %s has all that this user has",
                 config->kind == SANDBOX_MONITOR ? "a guest that breaks out of its VM"
                                                 : "an archive that breaks its reader");
    create_cgroup(created);
    *sandbox = created;
    return 0;
}

void sandbox_destroy(struct sandbox *sandbox)
{
    if (!sandbox)
        return;
    if (sandbox->pid > 0) {
        sandbox_signal(sandbox, SIGKILL);
        sandbox_wait(sandbox, &(struct error)ERROR_INIT);
    }
    cgroup_destroy(sandbox->cgroup);
    free(sandbox);
}

/* One line with what stands, one for each layer that does not. */
static void tell(const struct sandbox *sandbox)
{
    char text[160] = "";
    size_t length = 0;

    if (sandbox->log->level < LOG_DEBUG)
        return;
    for (size_t i = 0; i < LAYER_COUNT; i++) {
        if (sandbox->active[i])
            length += (size_t)snprintf(text + length, sizeof(text) - length, "%s%s",
                                       length ? ", " : "", layers[i].name);
        else if (has_layer(sandbox, i))
            log_debug(sandbox->log, "sandbox: without %s: %s", layers[i].name,
                      sandbox->why[i].message);
    }
    log_debug(sandbox->log, "sandbox: active: %s", text);
}

static int enter_layers(struct sandbox *sandbox, struct error *error)
{
    for (size_t i = 0; i < LAYER_COUNT; i++) {
        struct error *why = &sandbox->why[i];

        if (!has_layer(sandbox, i))
            continue;
        sandbox->active[i] = layers[i].enter(sandbox, why) == 0;
        if (!sandbox->active[i] && sandbox->config.required)
            return error_set(error, why->number, "--require-sandbox: the layer '%s' is missing: %s",
                             layers[i].name, why->message);
    }
    return 0;
}

int sandbox_enter(struct sandbox *sandbox, struct error *error)
{
    int result;

    if (!sandbox || sandbox->config.mode == SANDBOX_OFF)
        return 0;
    result = enter_layers(sandbox, error);
    if (result == 0)
        tell(sandbox);
    return result;
}

static void probe(struct sandbox *sandbox, int fd)
{
    if (sandbox_enter(sandbox, &(struct error)ERROR_INIT) < 0 ||
        write(fd, sandbox->why, sizeof(sandbox->why)) != (ssize_t)sizeof(sandbox->why))
        _exit(1);
    _exit(0);
}

int sandbox_probe(void (*told)(void *context, const char *layer, const char *why), void *context,
                  struct error *error)
{
    struct sandbox_config config = SANDBOX_CONFIG_DEFAULT;
    struct error why[LAYER_COUNT];
    struct log silent = { .fd = -1, .level = LOG_ERROR };
    cleanup_fd int from = -1, to = -1;
    struct sandbox *sandbox;
    int ends[2], result;
    pid_t pid;

    if (pipe2(ends, O_CLOEXEC) < 0)
        return error_system(error, errno, "sandbox");
    from = ends[0];
    to = ends[1];
    result = sandbox_create(&sandbox, &config, &silent, error);
    if (result < 0)
        return result;
    fflush(NULL); /* or the child would print it again */
    pid = sandbox_fork(sandbox, error);
    if (pid == 0)
        probe(sandbox, to);
    result = pid < 0 ? pid : sandbox_wait(sandbox, error);
    if (result == 0 && read(from, why, sizeof(why)) != (ssize_t)sizeof(why))
        result = error_set(error, EPIPE, "sandbox: its layers cannot be tried; see 'dmesg'");
    for (size_t i = 0; result == 0 && i < LAYER_COUNT; i++)
        told(context, layers[i].name, why[i].number ? why[i].message : NULL);
    sandbox_destroy(sandbox);
    return result;
}
