/* SPDX-License-Identifier: Apache-2.0 */
/* `mote ps`, `logs`, `wait`, `stop`, `kill` and `rm`: jobs and VMs that have a name. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "vmm/base/cleanup.h"
#include "vmm/cli/commands.h"
#include "vmm/supervisor/kept_output.h"
#include "vmm/base/options.h"
#include "vmm/base/signals.h"
#include "vmm/job/run_options.h"
#include "vmm/supervisor/store.h"
#include "vmm/base/whole_io.h"

#define PAUSE_MS 50
#define STOP_MS 10000

struct jobs_options {
    bool follow, force;
    uint64_t patience_ms;
    int signal;
};

static int set_signal(void *target, const struct option_row *row, const char *value,
                      struct error *error)
{
    int number = signal_number(value);

    if (number > 0) {
        ((struct jobs_options *)target)->signal = number;
        return 0;
    }
    return error_set(error, EINVAL, "--%s %s: is no signal; give a name such as HUP, or a number",
                     row->name, value);
}

static int set_patience(void *target, const struct option_row *row, const char *value,
                        struct error *error)
{
    return run_duration(row->name, value, &((struct jobs_options *)target)->patience_ms, error);
}

#define FIELD(name) .offset = offsetof(struct jobs_options, name)

static const struct option_row logs_rows[] = {
    { "Options", "follow", NULL, "until the job ends", option_set_flag, FIELD(follow),
      .letter = 'f' },
};
static const struct option_row stop_rows[] = {
    { "Options", "time", "TIME", "from its stop signal until it is killed\n(default: 10 s)", set_patience,
      .letter = 't' },
};
static const struct option_row kill_rows[] = {
    { "Options", "signal", "SIGNAL", "what the job gets (default: KILL, which ends its VM)",
      set_signal, .letter = 's' },
};
static const struct option_row rm_rows[] = {
    { "Options", "force", NULL, "kill it first if it runs", option_set_flag, FIELD(force),
      .letter = 'f' },
};

static void pause_ms(unsigned int ms)
{
    nanosleep(&(struct timespec){ .tv_nsec = (long)ms * 1000000 }, NULL);
}

/* ---- what is done to one --------------------------------------------------- */

/* 1: it got the signal; 0: it has ended already. */
static int send_signal(const struct store_entry *entry, int number, struct error *error)
{
    int result = store_signal(entry, number);

    if (result == -ETIMEDOUT)
        return error_set(error, ETIMEDOUT, "job %s: is still being started; try again", entry->name);
    if (result < 0 && result != -ESRCH)
        return error_system(error, -result, "job %s", entry->name);
    return result == 0;
}

static int wait_for_one(const struct store_entry *entry, const struct jobs_options *options,
                        struct error *error)
{
    int result = store_wait(entry, error);

    (void)options;
    return result < 0 ? result : store_status(entry);
}

/* All of them first: they end side by side. */
static void ask_to_stop(const char *name)
{
    struct store_entry entry = STORE_ENTRY_INIT;
    struct error ignored = ERROR_INIT;

    if (store_find(&entry, name, &ignored) == 0)
        store_signal(&entry, SIGNALS_STOP);
    store_close(&entry);
}

static int stop_one(const struct store_entry *entry, const struct jobs_options *options,
                    struct error *error)
{
    int result;

    for (uint64_t ms = 0; ms < options->patience_ms && store_is_running(entry); ms += PAUSE_MS)
        pause_ms(PAUSE_MS);
    result = send_signal(entry, SIGKILL, error);
    return result < 0 ? result : store_wait(entry, error);
}

static int kill_one(const struct store_entry *entry, const struct jobs_options *options,
                    struct error *error)
{
    int result;

    if (!store_takes_signal(entry, options->signal))
        return error_set(error, EINVAL, "%s: its guest does not see signal %d; give TERM, INT, HUP, QUIT or KILL, or "
                         "'mote pause'", entry->name, options->signal);
    result = send_signal(entry, options->signal, error);
    if (result == 0)
        return error_set(error, ESRCH, "job %s: has ended already; 'mote wait %s' tells how",
                         entry->name, entry->name);
    return result < 0 ? result : 0;
}

static int remove_one(const struct store_entry *entry, const struct jobs_options *options,
                      struct error *error)
{
    int result;

    if (store_is_running(entry) && !options->force)
        return error_set(error, EBUSY, "job %s: runs; end it by 'mote stop %s' or add --force",
                         entry->name, entry->name);
    result = send_signal(entry, SIGKILL, error);
    if (result >= 0)
        result = store_wait(entry, error);
    return result < 0 ? result : store_remove(entry, error);
}

/* What is new in the file; whether that was something. */
static int copy_more(struct kept_reader *from, const char *job, int to, bool *some)
{
    char bytes[16384];

    *some = false;
    for (;;) {
        uint64_t missing;
        ssize_t count = kept_reader_read(from, bytes, sizeof(bytes), &missing);
        int result;

        if (missing > 0)
            fprintf(stderr, "mote: job %s: %s%llu bytes of its standard %s are no longer kept; --log-limit keeps more\n", job,
                    missing == 1 ? "at least " : "", (unsigned long long)missing,
                    from->name == KEPT_STDOUT ? "output" : "error");
        if (count <= 0)
            return (int)count;
        result = whole_write(to, bytes, (size_t)count);
        if (result < 0)
            return result;
        *some = true;
    }
}

static int copy_all(struct kept_reader *output, struct kept_reader *errors, const struct store_entry *entry,
                    bool follow, struct error *error)
{
    bool running, some, more;
    int result;

    do {
        /* Before the last look: nothing is written after its end. */
        running = store_is_running(entry);
        if ((result = copy_more(output, entry->name, STDOUT_FILENO, &some)) < 0 ||
            (result = copy_more(errors, entry->name, STDERR_FILENO, &more)) < 0)
            return error_system(error, -result, "job %s: its output", entry->name);
        if (running && follow && !some && !more)
            pause_ms(PAUSE_MS);
    } while (running && follow);
    return 0;
}

static int show_logs(const struct store_entry *entry, const struct jobs_options *options,
                     struct error *error)
{
    struct kept_reader output = { .fd = -1, .note_fd = -1 }, errors = { .fd = -1, .note_fd = -1 };
    int result;

    if (kept_reader_open(&output, entry, KEPT_STDOUT) < 0 || kept_reader_open(&errors, entry, KEPT_STDERR) < 0)
        result = error_set(error, ENOENT, "job %s: keeps no output, as it is not detached",
                           entry->name);
    else
        result = copy_all(&output, &errors, entry, options->follow, error);
    kept_reader_close(&output);
    kept_reader_close(&errors);
    return result;
}

/* ---- the commands ---------------------------------------------------------- */

/* FIRST, NULL for none, for each; then ACTION, one after the other: the status of the last that is not 0. */
static int for_each(const struct option_table *table, struct jobs_options *options, int argc,
                    char **argv, void (*first)(const char *name),
                    int (*action)(const struct store_entry *, const struct jobs_options *,
                                  struct error *))
{
    struct error error = ERROR_INIT;
    int words, status = STATUS_OK;
    bool helped;

    if (options_parse_words(table, options, argc, argv, &words, &helped, &error) < 0)
        return command_failed(&error);
    if (helped)
        return STATUS_OK;
    if (words == argc) {
        error_set(&error, EINVAL, "the job's name is missing; 'mote ps' lists them");
        return command_failed(&error);
    }
    for (int i = words; first && i < argc; i++)
        first(argv[i]);
    for (int i = words; i < argc; i++) {
        struct store_entry entry = STORE_ENTRY_INIT;
        int result = store_find(&entry, argv[i], &error);

        if (result == 0)
            result = action(&entry, options, &error);
        store_close(&entry);
        if (result != 0)
            status = result < 0 ? command_failed(&error) : result;
    }
    return status;
}

int cmd_logs(int argc, char **argv)
{
    static const struct option_table table = {
        "mote logs [--follow] NAME...", "Prints what a detached job has written.",
        "  mote logs --follow build\n", logs_rows, ARRAY_LENGTH(logs_rows),
    };

    return for_each(&table, &(struct jobs_options){ .follow = false }, argc, argv, NULL, show_logs);
}

int cmd_wait(int argc, char **argv)
{
    static const struct option_table table = {
        "mote wait NAME...", "Waits for a job's end; its exit status is the job's.",
        "  mote wait build\n", NULL, 0,
    };

    return for_each(&table, &(struct jobs_options){ .follow = false }, argc, argv, NULL, wait_for_one);
}

int cmd_stop(int argc, char **argv)
{
    static const struct option_table table = {
        "mote stop [--time TIME] NAME...", "Ends a job: by SIGTERM or its image's STOPSIGNAL, then by force.",
        "  mote stop --time 30 build\n", stop_rows, ARRAY_LENGTH(stop_rows),
    };

    return for_each(&table, &(struct jobs_options){ .patience_ms = STOP_MS }, argc, argv,
                    ask_to_stop, stop_one);
}

int cmd_kill(int argc, char **argv)
{
    static const struct option_table table = {
        "mote kill [--signal SIGNAL] NAME...", "Sends a job a signal.",
        "  mote kill --signal HUP server\n", kill_rows, ARRAY_LENGTH(kill_rows),
    };

    return for_each(&table, &(struct jobs_options){ .signal = SIGKILL }, argc, argv, NULL, kill_one);
}

int cmd_rm(int argc, char **argv)
{
    static const struct option_table table = {
        "mote rm [--force] NAME...", "Forgets a job that has ended, with its output.",
        "  mote rm build\n", rm_rows, ARRAY_LENGTH(rm_rows),
    };

    return for_each(&table, &(struct jobs_options){ .force = false }, argc, argv, NULL, remove_one);
}

static void print_heading(bool *printed)
{
    if (!*printed)
        printf("%-24s %-12s %s\n", "NAME", "STATE", "COMMAND");
    *printed = true;
}

/* A line; what is not printable in the command is shown as '?'. */
static void print_entry(void *context, const struct store_entry *entry)
{
    char command[60], state[24];

    print_heading(context);
    store_read(entry, "command", command, sizeof(command));
    for (char *at = command; *at; at++)
        if (*at < ' ' || *at > '~')
            *at = '?';
    if (store_is_running(entry))
        snprintf(state, sizeof(state), store_is_paused(entry) ? "paused" : "running");
    else
        snprintf(state, sizeof(state), "ended (%d)", store_status(entry));
    printf("%-24s %-12s %s\n", entry->name, state, command);
}

int cmd_ps(int argc, char **argv)
{
    static const struct foreign_word foreign[] = {
        { "-a", "all are listed anyway, those that have ended too" },
        { "all", "all are listed anyway, those that have ended too" },
        { NULL, NULL },
    };
    static const struct option_table table = {
        .usage = "mote ps",
        .summary = "Lists the jobs and VMs that have a name or are detached, those that have ended too.",
        .foreign = foreign,
    };
    struct error error = ERROR_INIT;
    bool helped, heading = false;

    if (options_parse(&table, NULL, argc, argv, &helped, &error) < 0)
        return command_failed(&error);
    if (helped)
        return STATUS_OK;
    if (store_list(print_entry, &heading, &error) < 0)
        return command_failed(&error);
    print_heading(&heading);
    return STATUS_OK;
}
