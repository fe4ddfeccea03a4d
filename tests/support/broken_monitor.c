/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/broken_monitor.h"

#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "vmm/base/exit_status.h"
#include "vmm/supervisor/boot.h"

static broken_act acts;
static struct log words;
char broken_told[8192];

_Noreturn void __wrap_monitor_main(const struct monitor_options *options, struct sandbox *sandbox, int channel);
_Noreturn void __wrap_monitor_main(const struct monitor_options *options, struct sandbox *sandbox, int channel)
{
    struct broken_monitor monitor = { .options = options, .sandbox = sandbox, .channel = channel };

    alarm(2 * PATIENCE);
    signal(SIGSYS, SIG_DFL);
    signal(SIGILL, SIG_DFL);
    acts(&monitor);
    _exit(0);
}

_Noreturn void live_on(void)
{
    for (;;)
        pause();
}

static double seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static double begin(broken_act act, enum log_level level)
{
    acts = act;
    words = memory_log(level);
    alarm(PATIENCE);
    return seconds();
}

static double end(double begun)
{
    double took = seconds() - begun;

    alarm(0);
    memory_log_text(&words, broken_told, sizeof(broken_told));
    close(words.fd);
    assert_true(took < PATIENCE / 2.0);
    return took;
}

int broken_boot(broken_act act, int *status)
{
    struct boot_config config = {
        .vm = vm_config_default(), .sandbox = SANDBOX_CONFIG_DEFAULT, .started_fd = -1,
    };
    struct timeline timeline = { .count = 0 };
    struct error error = ERROR_INIT;
    double begun = begin(act, LOG_INFO);
    int result;

    *status = STATUS_FAILED;
    config.vm.console = CONSOLE_NONE;
    config.sandbox.mode = SANDBOX_OFF;
    result = boot_supervise(&config, &words, &timeline, status, &error);
    end(begun);
    strncat(broken_told, error.message, sizeof(broken_told) - strlen(broken_told) - 1);
    return result;
}

double broken_run(broken_act act, const struct job_run_options *wanted, struct outcome *outcome)
{
    static struct timeline timeline;
    static uint8_t job[sizeof(struct run_header) + sizeof(struct run_job)];
    struct sandbox_config sandbox = SANDBOX_CONFIG_DEFAULT;
    struct vm_config config = vm_config_default();
    struct job_run_options options = wanted ? *wanted : (struct job_run_options){ .command = "true" };
    struct error error = ERROR_INIT;
    double begun = begin(act, LOG_WARN);

    options.config = &config;
    options.sandbox = &sandbox;
    options.started_fd = -1;
    options.log = &words;
    options.timeline = &timeline;
    options.job = job;
    options.job_length = sizeof(job);
    options.command = "true";
    sandbox.mode = SANDBOX_OFF;
    assert_int_equal(job_run(&options, outcome, &error), 0);
    vm_config_release(&config);
    return end(begun);
}

static void tells(const char *why, const char *front_end)
{
    if (!strstr(broken_told, why))
        fail_msg("%s: '%s' is not in '%s'", front_end, why, broken_told);
    assert_null(strstr(broken_told, "powered off"));
}

void broken_fails(broken_act act, const char *why)
{
    struct outcome outcome;
    int status;

    assert_true(broken_boot(act, &status) < 0);
    tells(why, "mote boot");
    assert_int_equal(status, STATUS_FAILED);
    broken_run(act, NULL, &outcome);
    tells(why, "mote run");
    assert_int_equal(outcome.cause, CAUSE_VMM_FAULT);
    assert_int_equal(outcome.status, STATUS_FAILED);
}
