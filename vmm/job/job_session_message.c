/* SPDX-License-Identifier: Apache-2.0 */
/* What the guest is told: the job of the user's options and of the image's, as records. */

#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "devices/backend/passt.h"
#include "vmm/base/cleanup.h"
#include "vmm/job/resolver.h"
#include "vmm/job/job_session.h"
#include "vmm/base/signals.h"

#define DEFAULT_PATH "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define DEFAULT_HOST_NAME "mote"

static int add_all(struct text_list *list, char **words, struct error *error)
{
    int result = 0;

    for (size_t i = 0; result == 0 && words && words[i]; i++)
        result = text_list_add(list, words[i], error);
    return result;
}

/*
 * As container tools have it: our words replace the image's command, not its entry
 * point; --entrypoint replaces that, and the command was its arguments.
 */
static int choose_arguments(struct job_session *session, struct error *error)
{
    const struct image_config *config = &session->rootfs.config;
    const struct run_options *options = &session->options;
    bool given = options->entrypoint_given;
    char **words = options->words[0] || given ? options->words : config->command.items;
    int result = add_all(&session->arguments,
                         given ? options->entrypoint.items : config->entrypoint.items, error);

    if (result == 0)
        result = add_all(&session->arguments, words, error);
    if (result == 0 && session->arguments.count == 0)
        return error_set(error, EINVAL, "--image %s: names no command%s; give one after the options",
                         options->image, given ? " that --entrypoint leaves" : "");
    return result;
}

static int choose_stop_signal(struct job_session *session, struct error *error)
{
    const char *text = session->rootfs.config.stop_signal;

    session->stop_signal = session->options.stop_signal;
    if (session->stop_signal == 0 && text && text[0]) {
        session->stop_signal = signal_number(text);
        if (session->stop_signal == 0)
            return error_set(error, EINVAL, "--image %s: its STOPSIGNAL '%s' is no signal; give "
                             "another by --stop-signal", session->options.image, text);
    }
    if (session->stop_signal == 0)
        session->stop_signal = SIGTERM;
    return 0;
}

/* An image's may lack a value, or a name, where a job's own could not. */
static int add_image_variable(struct job_session *session, const char *text, struct error *error)
{
    cleanup_free char *variable = NULL;

    if (text[0] == '=' || text[0] == '\0')
        return 0;
    if (asprintf(&variable, "%s%s", text, strchr(text, '=') ? "" : "=") < 0)
        return error_system(error, ENOMEM, "the job's environment");
    return text_list_set_variable(&session->environment, variable, error);
}

static int set_variable(struct job_session *session, const char *name, const char *value,
                        struct error *error)
{
    cleanup_free char *variable = NULL;

    if (text_list_variable(&session->environment, name))
        return 0;
    if (asprintf(&variable, "%s=%s", name, value) < 0)
        return error_system(error, ENOMEM, "the job's environment");
    return text_list_add(&session->environment, variable, error);
}

/* The image's, then the user's; then what is still missing. */
static int choose_environment(struct job_session *session, const char *host_name, struct error *error)
{
    const struct text_list *image = &session->rootfs.config.environment;
    const struct text_list *own = &session->options.environment;
    int result = text_list_add(&session->environment, DEFAULT_PATH, error);

    for (size_t i = 0; result == 0 && i < image->count; i++)
        result = add_image_variable(session, image->items[i], error);
    for (size_t i = 0; result == 0 && i < own->count; i++)
        result = text_list_set_variable(&session->environment, own->items[i], error);
    if (result == 0)
        result = set_variable(session, "HOSTNAME", host_name, error);
    if (result == 0 && session->options.tty)
        result = set_variable(session, "TERM", getenv("TERM") ? getenv("TERM") : "xterm", error);
    return result;
}

static uint32_t choose_flags(const struct run_options *options)
{
    uint32_t flags = 0;

    if (!options->detach && (options->interactive || options->tty || !isatty(STDIN_FILENO)))
        flags |= RUN_STDIN;
    if (options->tty)
        flags |= RUN_TTY;
    if (options->output)
        flags |= RUN_OUTPUT;
    if (options->scratch)
        flags |= RUN_SCRATCH;
    return flags;
}

static const char *first_of(const char *a, const char *b, const char *c)
{
    return a && *a ? a : b && *b ? b : c;
}

static void tell_addresses(struct run_job *head)
{
    inet_pton(AF_INET, PASST_PRIVATE_ADDRESS, &head->address);
    inet_pton(AF_INET, PASST_PRIVATE_GATEWAY, &head->gateway);
    inet_pton(AF_INET, PASST_PRIVATE_NAME_SERVER, &head->name_server);
    head->prefix_length = PASST_PRIVATE_PREFIX;
}

/* Who watches a service by it has to know. */
static void tell_health_check(struct job_session *session)
{
    if (!session->rootfs.config.health_check)
        return;
    if (session->options.detach)
        log_warn(&session->log, "--image %s: its HEALTHCHECK is not run; watch the job by 'mote ps' or "
                 "its ports", session->options.image);
    else
        log_info(&session->log, "--image %s: its HEALTHCHECK is not run", session->options.image);
}

int job_session_encode_job(struct job_session *session, struct error *error)
{
    const struct run_options *options = &session->options;
    const struct rootfs *rootfs = &session->rootfs;
    struct winsize size = { .ws_row = 24, .ws_col = 80 };
    struct job job = {
        .host_name = first_of(options->host_name, DEFAULT_HOST_NAME, ""),
        .user = first_of(options->user, rootfs->config.user, "0"),
        .work_directory = first_of(options->work_directory, rootfs->config.work_directory, "/"),
        .folders = &rootfs->config.volumes,
        .layer_count = rootfs->layer_count,
        .volume_count = rootfs->volume_count,
        .arguments = &session->arguments,
        .environment = &session->environment,
    };
    cleanup_free char *resolver = NULL;
    int result = choose_arguments(session, error);

    if (result == 0)
        result = choose_stop_signal(session, error);
    if (result == 0)
        result = choose_environment(session, job.host_name, error);
    if (result < 0)
        return result;
    for (size_t i = 0; i < rootfs->layer_count; i++)
        job.layers[i] = rootfs->layers[i].file_system;
    for (size_t i = 0; i < rootfs->volume_count; i++)
        job.volumes[i] = (struct job_volume){
            options->volumes[i].target, rootfs->volumes[i].file_system, rootfs->volumes[i].one_file,
        };
    ioctl(STDIN_FILENO, TIOCGWINSZ, &size);
    session->flags = choose_flags(options);
    job.head = (struct run_job){
        .flags = session->flags,
        .pids_max = (uint32_t)options->pids,
        .disk_limit = options->disk_limit,
        .rows = size.ws_row,
        .columns = size.ws_col,
    };
    if (options->net == RUN_NET_USER) {
        tell_addresses(&job.head);
        result = resolver_read("/etc/resolv.conf", &resolver, error);
        job.resolver = resolver;
    }
    tell_health_check(session);
    if (result == 0)
        result = job_encode(&job, &session->job, &session->job_length, error);
    /* A scratch disk is the job's own. */
    if (result == 0 && options->warm && !options->scratch)
        result = job_encode_prepare(&job, &session->prepare, &session->prepare_length, error);
    return result;
}
