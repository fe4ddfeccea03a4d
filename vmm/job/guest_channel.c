/* SPDX-License-Identifier: Apache-2.0 */
/* The guest's connections, and what is said on them. */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/base/exit_status.h"
#include "vmm/job/job.h"
#include "vmm/job/output.h"
#include "vmm/job/supervisor_internal.h"

/* As the kernel ends a process whose file has become too long. */
#define STATUS_OUTPUT_LIMIT (STATUS_SIGNAL + SIGXFSZ)

int supervisor_stop_status(enum cause cause)
{
    if (cause == CAUSE_SIGNALLED)
        return STATUS_SIGNAL + SIGHUP; /* the only one that does not wait for the job */
    return cause == CAUSE_OUTPUT_LIMIT ? STATUS_OUTPUT_LIMIT : STATUS_TIMEOUT;
}

/* ---- the end -------------------------------------------------------------- */

static void set_outcome(struct supervisor *supervisor)
{
    const struct run_ended *ended = &supervisor->outcome->usage;
    int status = ended->exited ? (int)ended->status : STATUS_SIGNAL + (int)ended->status;
    enum cause cause = ended->exited ? CAUSE_EXITED : CAUSE_SIGNALLED;

    if (!ended->exited)
        supervisor->outcome->signal = (int)ended->status;
    if (supervisor->stop_cause != CAUSE_COUNT) {
        cause = supervisor->stop_cause;
        status = supervisor_stop_status(cause);
    } else if (ended->oom_kills > 0 && status != 0) {
        cause = CAUSE_OOM;
        log_warn(supervisor->options->log, "%s: ran out of memory; give it more by --memory",
                 supervisor->options->command);
    }
    supervisor_end(supervisor, cause, status);
}

void supervisor_conclude(struct supervisor *supervisor)
{
    const struct stream *streams = supervisor->streams;

    if (supervisor->phase != PHASE_ENDED || streams[STREAM_OUTPUT].relay ||
        streams[STREAM_ERROR].relay)
        return;
    if (supervisor->options->output && !supervisor->failed &&
        (!supervisor->output_connected || supervisor->output_process > 0))
        return;
    set_outcome(supervisor);
}

/* ---- streams -------------------------------------------------------------- */

static void close_stream(struct stream *stream)
{
    if (!stream->relay)
        return;
    stream->count = relay_count(stream->relay);
    relay_destroy(stream->relay);
    stream->relay = NULL;
    close(stream->fd);
}

/* A terminal that went away says EIO, the same to readers and to writers: no error, as nobody is there any more. */
static bool terminal_went_away(const struct supervisor *supervisor, int fd, int number)
{
    struct stat status;

    return number == EIO && supervisor->has_terminal && fstat(fd, &status) == 0 && S_ISCHR(status.st_mode);
}

static void input_ended(void *context, enum relay_end end, int number)
{
    struct stream *stream = context;

    if (end == RELAY_INPUT_FAILED && !terminal_went_away(stream->supervisor, STDIN_FILENO, number)) {
        supervisor_complain(stream->supervisor, "standard input: %s; the job sees its end",
                  strerror(number));
        stream->supervisor->failed = true;
    }
    close_stream(stream); /* the job, its end */
}

static void output_ended(void *context, enum relay_end end, int number)
{
    struct stream *stream = context;
    struct supervisor *supervisor = stream->supervisor;
    bool is_error = stream == &supervisor->streams[STREAM_ERROR];

    /* Nobody reads any more: the job gets SIGPIPE, as it would without us. */
    if (end == RELAY_OUTPUT_FAILED && number != EPIPE && number != ECONNRESET &&
        !terminal_went_away(supervisor, is_error ? STDERR_FILENO : STDOUT_FILENO, number)) {
        supervisor_complain(supervisor, "standard %s: %s; the rest of it is lost",
                  is_error ? "error" : "output", strerror(number));
        supervisor->failed = true;
    }
    close_stream(stream);
    if (end == RELAY_LIMITED) {
        log_warn(supervisor->options->log, "%s: wrote more than --output-limit allows; it is "
                 "ended", supervisor->options->command);
        supervisor_stop_job(supervisor, CAUSE_OUTPUT_LIMIT);
    }
    supervisor_conclude(supervisor);
}

/* Of a detached job, whose output is kept in files. */
static void output_written(void *context)
{
    struct stream *stream = context;
    struct supervisor *supervisor = stream->supervisor;
    bool is_error = stream == &supervisor->streams[STREAM_ERROR];

    kept_output_wrote(&supervisor->kept, is_error ? KEPT_STDERR : KEPT_STDOUT, is_error ? STDERR_FILENO : STDOUT_FILENO);
}

static bool accept_stream(struct supervisor *supervisor, int fd, enum stream_name name)
{
    static const char *const names[] = {
        [STREAM_INPUT] = "standard input",
        [STREAM_OUTPUT] = "standard output",
        [STREAM_ERROR] = "standard error",
    };
    struct stream *stream = &supervisor->streams[name];
    bool input = name == STREAM_INPUT;
    struct relay_options options = {
        .name = names[name],
        .from = input ? STDIN_FILENO : fd,
        .to = input ? fd : name == STREAM_OUTPUT ? STDOUT_FILENO : STDERR_FILENO,
        .limit = input ? 0 : supervisor->options->output_limit,
        .ended = input ? input_ended : output_ended,
        .wrote = input || supervisor->kept.limit == 0 ? NULL : output_written,
        .context = stream,
    };
    struct error error = ERROR_INIT;

    if (stream->connected || supervisor->phase != PHASE_STARTING ||
        (input && !(supervisor->options->flags & RUN_STDIN)))
        return false;
    stream->supervisor = supervisor;
    stream->connected = true;
    stream->fd = fd;
    if (relay_create(&stream->relay, supervisor->loop, &options, &error) < 0) {
        supervisor_complain(supervisor, "%s", error.message);
        supervisor->failed = true;
        return false;
    }
    return true;
}

void supervisor_close_streams(struct supervisor *supervisor)
{
    for (int i = 0; i < STREAM_COUNT; i++)
        close_stream(&supervisor->streams[i]);
    supervisor->outcome->bytes_in = supervisor->streams[STREAM_INPUT].count;
    supervisor->outcome->bytes_out = supervisor->streams[STREAM_OUTPUT].count;
    supervisor->outcome->bytes_error = supervisor->streams[STREAM_ERROR].count;
    output_stop(supervisor->output_process);
    terminal_destroy(supervisor->terminal);
}

/* ---- the terminal --------------------------------------------------------- */

static void never_quits(void *context)
{
    (void)context;
}

int supervisor_open_terminal(struct supervisor *supervisor, struct error *error)
{
    int result;

    if (!(supervisor->options->flags & RUN_TTY))
        return 0;
    result = terminal_create(&supervisor->terminal, STDIN_FILENO, supervisor->options->log,
                             never_quits, NULL, error);
    if (result == 0)
        terminal_raw(supervisor->terminal);
    return result;
}

void supervisor_send_window(struct supervisor *supervisor)
{
    struct {
        struct run_header header;
        struct run_window window;
    } record = { { RUN_WINDOW, sizeof(struct run_window) }, { 0, 0 } };
    struct winsize size;

    if (supervisor->over || !supervisor->control || !(supervisor->options->flags & RUN_TTY) ||
        supervisor->phase != PHASE_RUNNING || ioctl(STDIN_FILENO, TIOCGWINSZ, &size) < 0)
        return;
    record.window = (struct run_window){ size.ws_row, size.ws_col };
    control_send(supervisor->control, &record, sizeof(record));
}

/* ---- /output -------------------------------------------------------------- */

static bool accept_output(struct supervisor *supervisor, int fd)
{
    const struct supervisor_options *options = supervisor->options;
    struct image_program program = { .quiet = options->quiet, .sandbox = options->sandbox };
    struct error error = ERROR_INIT;

    if (supervisor->phase != PHASE_ENDED || supervisor->output_connected ||
        !options->output)
        return false;
    supervisor->output_connected = true;
    if (output_start(&supervisor->output_process, &program, options->output,
                     options->output_merge, fd, &error) < 0) {
        supervisor_complain(supervisor, "%s", error.message);
        supervisor->failed = true;
        supervisor_conclude(supervisor);
    }
    close(fd); /* the process has it */
    return true;
}

void output_check(struct supervisor *supervisor)
{
    int result = output_finished(&supervisor->output_process);

    if (result == 0)
        return;
    if (result < 0)
        supervisor->failed = true; /* it said why */
    supervisor_conclude(supervisor);
}

/* ---- records -------------------------------------------------------------- */

bool supervisor_send(struct supervisor *supervisor, const void *record, size_t length)
{
    int result = control_send(supervisor->control, record, length);

    if (result >= 0)
        return true;
    if (result == -ENOTCONN && warm_distrusts(supervisor, "its guest hung up"))
        return false;
    if (result == -ENOTCONN)
        supervisor_complain(supervisor, "the guest hung up before it had its job; --verbose "
                            "shows its kernel's messages");
    else
        supervisor_complain(supervisor, "the job cannot be sent to the guest: %s", strerror(-result));
    supervisor_end(supervisor, CAUSE_VMM_FAULT, STATUS_FAILED);
    return false;
}

void supervisor_send_job(struct supervisor *supervisor)
{
    job_set_clock(supervisor->options->job);
    if (!supervisor_send(supervisor, supervisor->options->job, supervisor->options->job_length))
        return;
    supervisor->outcome->restored = supervisor->warm == WARM_RESTORED;
    supervisor->phase = PHASE_STARTING;
}

static void guest_is_ready(struct supervisor *supervisor, const struct run_hello *hello)
{
    timeline_mark(supervisor->options->timeline, "guest ready");
    if (hello->version != RUN_VERSION && warm_distrusts(supervisor, "its init is of another version"))
        return;
    if (hello->version != RUN_VERSION) {
        supervisor_complain(supervisor, "the guest's init is of another version of Mote; "
                  "build or install both anew");
        supervisor_end(supervisor, CAUSE_VMM_FAULT, STATUS_FAILED);
        return;
    }
    if (!warm_comes_first(supervisor))
        supervisor_send_job(supervisor);
}

static void job_failed(struct supervisor *supervisor, const struct record *record)
{
    int number = (int)record->failed.number;
    const char *command = supervisor->options->command;

    if (record->failed.failure == RUN_FAILED_SETUP) {
        supervisor_complain(supervisor, "the guest could not make ready for the job: %s%s%s", record->text,
                  number ? ": " : "", number ? strerror(number) : "");
        supervisor_end(supervisor, CAUSE_NOT_STARTED, STATUS_FAILED);
    } else if (record->failed.failure == RUN_FAILED_DIRECTORY) {
        supervisor_complain(supervisor, "working directory %s: %s; give another by --workdir",
                            record->text, strerror(number));
        supervisor_end(supervisor, CAUSE_NOT_STARTED, STATUS_NOT_EXECUTABLE);
    } else if (number == ENOENT || number == ENOTDIR) {
        supervisor_complain(supervisor, "%s: is not found in the root file system; give its path or check --rootfs "
                  "and PATH", command);
        supervisor_end(supervisor, CAUSE_NOT_STARTED, STATUS_NOT_FOUND);
    } else {
        supervisor_complain(supervisor, "%s: cannot be executed in the guest: %s; check its permissions and "
                  "architecture", command, strerror(number));
        supervisor_end(supervisor, CAUSE_NOT_STARTED, STATUS_NOT_EXECUTABLE);
    }
}

static void job_ended(struct supervisor *supervisor, const struct run_ended *ended)
{
    timeline_mark(supervisor->options->timeline, "job ended");
    supervisor->phase = PHASE_ENDED;
    supervisor->outcome->usage = *ended;
    if (supervisor->options->output)
        supervisor_await_output(supervisor);
    supervisor_conclude(supervisor);
}

static void tell_start(const struct supervisor_options *options)
{
    if (options->started_fd >= 0 && write(options->started_fd, "", 1) != 1)
        log_warn(options->log, "nobody waits any more for the job to begin");
}

static void protocol_broke(struct supervisor *supervisor)
{
    if (warm_distrusts(supervisor, "its guest broke the protocol"))
        return; /* SIGCHLD will tell */
    supervisor_complain(supervisor, "the guest broke the protocol; its job is ended");
    supervisor_end(supervisor, CAUSE_GUEST_PANIC, STATUS_FAILED);
}

/* Of a job that was not sent.  One that boots may well fail before, as when it cannot mount its disks. */
static bool is_too_early(const struct supervisor *supervisor, const struct record *record)
{
    bool of_job = record->type == RUN_STARTED || record->type == RUN_ENDED ||
                  (record->type == RUN_FAILED && supervisor->warm == WARM_RESTORED);

    return of_job && supervisor->phase < PHASE_STARTING;
}

static void record_came(void *context, const struct record *record)
{
    struct supervisor *supervisor = context;

    if (supervisor->over || supervisor->distrust)
        return;
    if (is_too_early(supervisor, record)) {
        protocol_broke(supervisor);
        return;
    }
    switch (record->type) {
    case RUN_HELLO:
        guest_is_ready(supervisor, &record->hello);
        break;
    case RUN_PREPARED:
        warm_prepared(supervisor);
        break;
    case RUN_STARTED:
        /* Its streams were connected before, and the loop may tell of them after. */
        supervisor_take_connections(supervisor);
        timeline_mark(supervisor->options->timeline, "job started");
        supervisor->phase = PHASE_RUNNING;
        supervisor->outcome->began = true;
        orders_channel(supervisor->orders, supervisor->vm.channel, supervisor->vm.sandbox);
        tell_start(supervisor->options);
        supervisor_send_window(supervisor); /* it may have changed meanwhile */
        break;
    case RUN_FAILED:
        job_failed(supervisor, record);
        break;
    case RUN_ENDED:
        job_ended(supervisor, &record->ended);
        break;
    default:
        break;
    }
}

/* A guest that stops talking has ended, or is not ours any more. */
static void control_closed(void *context, int reason)
{
    struct supervisor *supervisor = context;

    if (!supervisor->over && reason == -EPROTO)
        protocol_broke(supervisor);
    /* Else SIGCHLD will tell. */
}

static bool accept_control(struct supervisor *supervisor, int fd)
{
    struct control_peer peer = {
        .record = record_came, .closed = control_closed, .context = supervisor,
    };
    struct error error = ERROR_INIT;

    if (supervisor->control)
        return false;
    if (control_create(&supervisor->control, supervisor->loop, fd, &peer, &error) == 0)
        return true;
    supervisor_complain(supervisor, "%s", error.message);
    supervisor_end(supervisor, CAUSE_VMM_FAULT, STATUS_FAILED);
    return false;
}

bool supervisor_accept(struct supervisor *supervisor, int fd, uint32_t port)
{
    switch (port) {
    case RUN_PORT_CONTROL:
        return accept_control(supervisor, fd);
    case RUN_PORT_STDIN:
        return accept_stream(supervisor, fd, STREAM_INPUT);
    case RUN_PORT_STDOUT:
        return accept_stream(supervisor, fd, STREAM_OUTPUT);
    case RUN_PORT_STDERR:
        return accept_stream(supervisor, fd, STREAM_ERROR);
    case RUN_PORT_OUTPUT:
        /* The job's end was told before, and the loop may tell of that after. */
        if (supervisor->phase == PHASE_RUNNING && supervisor->control)
            control_look(supervisor->control);
        return accept_output(supervisor, fd);
    default:
        return false;
    }
}
