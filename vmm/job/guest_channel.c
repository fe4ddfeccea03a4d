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
#include "vmm/job/job_run_internal.h"

/* As the kernel ends a process whose file has become too long. */
#define STATUS_OUTPUT_LIMIT (STATUS_SIGNAL + SIGXFSZ)

int job_run_stop_status(enum cause cause)
{
    if (cause == CAUSE_SIGNALLED)
        return STATUS_SIGNAL + SIGHUP; /* the only one that does not wait for the job */
    return cause == CAUSE_OUTPUT_LIMIT ? STATUS_OUTPUT_LIMIT : STATUS_TIMEOUT;
}

/* ---- the end -------------------------------------------------------------- */

static void set_outcome(struct job_run *run)
{
    const struct run_ended *ended = &run->outcome->usage;
    int status = ended->exited ? (int)ended->status : STATUS_SIGNAL + (int)ended->status;
    enum cause cause = ended->exited ? CAUSE_EXITED : CAUSE_SIGNALLED;

    if (!ended->exited)
        run->outcome->signal = (int)ended->status;
    if (run->stop_cause != CAUSE_COUNT) {
        cause = run->stop_cause;
        status = job_run_stop_status(cause);
    } else if (ended->oom_kills > 0 && status != 0) {
        cause = CAUSE_OOM;
        log_warn(run->options->log, "%s: ran out of memory; give it more by --memory",
                 run->options->command);
    }
    job_run_end(run, cause, status);
}

void job_run_conclude(struct job_run *run)
{
    const struct stream *streams = run->streams;

    if (run->phase != PHASE_ENDED || streams[STREAM_OUTPUT].relay ||
        streams[STREAM_ERROR].relay)
        return;
    if (run->options->output && !run->failed &&
        (!run->output_connected || run->output_process > 0))
        return;
    set_outcome(run);
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
static bool terminal_went_away(const struct job_run *run, int fd, int number)
{
    struct stat status;

    return number == EIO && run->has_terminal && fstat(fd, &status) == 0 && S_ISCHR(status.st_mode);
}

static void input_ended(void *context, enum relay_end end, int number)
{
    struct stream *stream = context;

    if (end == RELAY_INPUT_FAILED && !terminal_went_away(stream->run, STDIN_FILENO, number)) {
        job_run_complain(stream->run, "standard input: %s; the job sees its end",
                  strerror(number));
        stream->run->failed = true;
    }
    close_stream(stream); /* the job, its end */
}

static void output_ended(void *context, enum relay_end end, int number)
{
    struct stream *stream = context;
    struct job_run *run = stream->run;
    bool is_error = stream == &run->streams[STREAM_ERROR];

    /* Nobody reads any more: the job gets SIGPIPE, as it would without us. */
    if (end == RELAY_OUTPUT_FAILED && number != EPIPE && number != ECONNRESET &&
        !terminal_went_away(run, is_error ? STDERR_FILENO : STDOUT_FILENO, number)) {
        job_run_complain(run, "standard %s: %s; the rest of it is lost",
                  is_error ? "error" : "output", strerror(number));
        run->failed = true;
    }
    close_stream(stream);
    if (end == RELAY_LIMITED) {
        log_warn(run->options->log, "%s: wrote more than --output-limit allows; it is "
                 "ended", run->options->command);
        job_run_stop_job(run, CAUSE_OUTPUT_LIMIT);
    }
    job_run_conclude(run);
}

/* Of a detached job, whose output is kept in files. */
static void output_written(void *context)
{
    struct stream *stream = context;
    struct job_run *run = stream->run;
    bool is_error = stream == &run->streams[STREAM_ERROR];

    kept_output_wrote(&run->kept, is_error ? KEPT_STDERR : KEPT_STDOUT, is_error ? STDERR_FILENO : STDOUT_FILENO);
}

static bool accept_stream(struct job_run *run, int fd, enum stream_name name)
{
    static const char *const names[] = {
        [STREAM_INPUT] = "standard input",
        [STREAM_OUTPUT] = "standard output",
        [STREAM_ERROR] = "standard error",
    };
    struct stream *stream = &run->streams[name];
    bool input = name == STREAM_INPUT;
    struct relay_options options = {
        .name = names[name],
        .from = input ? STDIN_FILENO : fd,
        .to = input ? fd : name == STREAM_OUTPUT ? STDOUT_FILENO : STDERR_FILENO,
        .limit = input ? 0 : run->options->output_limit,
        .ended = input ? input_ended : output_ended,
        .wrote = input || run->kept.limit == 0 ? NULL : output_written,
        .context = stream,
    };
    struct error error = ERROR_INIT;

    if (stream->connected || run->phase != PHASE_STARTING ||
        (input && !(run->options->flags & RUN_STDIN)))
        return false;
    stream->run = run;
    stream->connected = true;
    stream->fd = fd;
    if (relay_create(&stream->relay, run->loop, &options, &error) < 0) {
        job_run_complain(run, "%s", error.message);
        run->failed = true;
        return false;
    }
    return true;
}

void job_run_close_streams(struct job_run *run)
{
    for (int i = 0; i < STREAM_COUNT; i++)
        close_stream(&run->streams[i]);
    run->outcome->bytes_in = run->streams[STREAM_INPUT].count;
    run->outcome->bytes_out = run->streams[STREAM_OUTPUT].count;
    run->outcome->bytes_error = run->streams[STREAM_ERROR].count;
    output_stop(run->output_process);
    terminal_destroy(run->terminal);
}

/* ---- the terminal --------------------------------------------------------- */

int job_run_open_terminal(struct job_run *run, struct error *error)
{
    int result;

    if (!(run->options->flags & RUN_TTY))
        return 0;
    result = terminal_create(&run->terminal, STDIN_FILENO, run->options->log, error);
    if (result == 0)
        terminal_raw(run->terminal);
    return result;
}

void job_run_send_window(struct job_run *run)
{
    struct {
        struct run_header header;
        struct run_window window;
    } record = { { RUN_WINDOW, sizeof(struct run_window) }, { 0, 0 } };
    struct winsize size;

    if (run->over || !run->control || !(run->options->flags & RUN_TTY) ||
        run->phase != PHASE_RUNNING || ioctl(STDIN_FILENO, TIOCGWINSZ, &size) < 0)
        return;
    record.window = (struct run_window){ size.ws_row, size.ws_col };
    control_send(run->control, &record, sizeof(record));
}

/* ---- /output -------------------------------------------------------------- */

static bool accept_output(struct job_run *run, int fd)
{
    const struct job_run_options *options = run->options;
    struct image_program program = { .quiet = options->quiet, .sandbox = options->sandbox };
    struct error error = ERROR_INIT;

    if (run->phase != PHASE_ENDED || run->output_connected ||
        !options->output)
        return false;
    run->output_connected = true;
    if (output_start(&run->output_process, &program, options->output,
                     options->output_merge, fd, &error) < 0) {
        job_run_complain(run, "%s", error.message);
        run->failed = true;
        job_run_conclude(run);
    }
    close(fd); /* the process has it */
    return true;
}

void output_check(struct job_run *run)
{
    int result = output_finished(&run->output_process);

    if (result == 0)
        return;
    if (result < 0)
        run->failed = true; /* it said why */
    job_run_conclude(run);
}

/* ---- records -------------------------------------------------------------- */

bool job_run_send(struct job_run *run, const void *record, size_t length)
{
    int result = control_send(run->control, record, length);

    if (result >= 0)
        return true;
    if (result == -ENOTCONN && warm_distrusts(run, "its guest hung up"))
        return false;
    if (result == -ENOTCONN)
        job_run_complain(run, "the guest hung up before it had its job; --verbose "
                            "shows its kernel's messages");
    else
        job_run_complain(run, "the job cannot be sent to the guest: %s", strerror(-result));
    job_run_end(run, CAUSE_VMM_FAULT, STATUS_FAILED);
    return false;
}

void job_run_send_job(struct job_run *run)
{
    job_set_clock(run->options->job);
    if (!job_run_send(run, run->options->job, run->options->job_length))
        return;
    run->outcome->restored = run->warm == WARM_RESTORED;
    run->phase = PHASE_STARTING;
}

static void guest_is_ready(struct job_run *run, const struct run_hello *hello)
{
    timeline_mark(run->options->timeline, "guest ready");
    if (hello->version != RUN_VERSION && warm_distrusts(run, "its init is of another version"))
        return;
    if (hello->version != RUN_VERSION) {
        job_run_complain(run, "the guest's init is of another version of Mote; "
                  "build or install both anew");
        job_run_end(run, CAUSE_VMM_FAULT, STATUS_FAILED);
        return;
    }
    if (!warm_comes_first(run))
        job_run_send_job(run);
}

static void job_failed(struct job_run *run, const struct record *record)
{
    int number = (int)record->failed.number;
    const char *command = run->options->command;

    if (record->failed.failure == RUN_FAILED_SETUP) {
        job_run_complain(run, "the guest could not make ready for the job: %s%s%s", record->text,
                  number ? ": " : "", number ? strerror(number) : "");
        job_run_end(run, CAUSE_NOT_STARTED, STATUS_FAILED);
    } else if (record->failed.failure == RUN_FAILED_DIRECTORY) {
        job_run_complain(run, "working directory %s: %s; give another by --workdir",
                            record->text, strerror(number));
        job_run_end(run, CAUSE_NOT_STARTED, STATUS_NOT_EXECUTABLE);
    } else if (number == ENOENT || number == ENOTDIR) {
        job_run_complain(run, "%s: is not found in the root file system; give its path or check --rootfs "
                  "and PATH", command);
        job_run_end(run, CAUSE_NOT_STARTED, STATUS_NOT_FOUND);
    } else {
        job_run_complain(run, "%s: cannot be executed in the guest: %s; check its permissions and "
                  "architecture", command, strerror(number));
        job_run_end(run, CAUSE_NOT_STARTED, STATUS_NOT_EXECUTABLE);
    }
}

static void job_ended(struct job_run *run, const struct run_ended *ended)
{
    timeline_mark(run->options->timeline, "job ended");
    run->phase = PHASE_ENDED;
    run->outcome->usage = *ended;
    if (run->options->output)
        job_run_await_output(run);
    job_run_conclude(run);
}

static void tell_start(const struct job_run_options *options)
{
    if (options->started_fd >= 0 && write(options->started_fd, "", 1) != 1)
        log_warn(options->log, "the caller no longer waits for the start of the job");
}

static void protocol_broke(struct job_run *run)
{
    if (warm_distrusts(run, "its guest broke the protocol"))
        return; /* SIGCHLD will tell */
    job_run_complain(run, "the guest broke the protocol; its job is ended");
    job_run_end(run, CAUSE_GUEST_PANIC, STATUS_FAILED);
}

/* Of a job that was not sent.  One that boots may well fail before, as when it cannot mount its disks. */
static bool is_too_early(const struct job_run *run, const struct record *record)
{
    bool of_job = record->type == RUN_STARTED || record->type == RUN_ENDED ||
                  (record->type == RUN_FAILED && run->warm == WARM_RESTORED);

    return of_job && run->phase < PHASE_STARTING;
}

static void record_came(void *context, const struct record *record)
{
    struct job_run *run = context;

    if (run->over || run->distrust)
        return;
    if (is_too_early(run, record)) {
        protocol_broke(run);
        return;
    }
    switch (record->type) {
    case RUN_HELLO:
        guest_is_ready(run, &record->hello);
        break;
    case RUN_PREPARED:
        warm_prepared(run);
        break;
    case RUN_STARTED:
        /* Its streams were connected before, and the loop may tell of them after. */
        job_vm_take_connections(run);
        timeline_mark(run->options->timeline, "job started");
        run->phase = PHASE_RUNNING;
        run->outcome->began = true;
        vm_control_attach(run->vm_control, run->vm.process);
        tell_start(run->options);
        job_run_send_window(run); /* it may have changed meanwhile */
        break;
    case RUN_FAILED:
        job_failed(run, record);
        break;
    case RUN_ENDED:
        job_ended(run, &record->ended);
        break;
    default:
        break;
    }
}

/* A guest that stops talking has ended, or is not ours any more. */
static void control_closed(void *context, int reason)
{
    struct job_run *run = context;

    if (!run->over && reason == -EPROTO)
        protocol_broke(run);
    /* Else SIGCHLD will tell. */
}

static bool accept_control(struct job_run *run, int fd)
{
    struct control_peer peer = {
        .record = record_came, .closed = control_closed, .context = run,
    };
    struct error error = ERROR_INIT;

    if (run->control)
        return false;
    if (control_create(&run->control, run->loop, fd, &peer, &error) == 0)
        return true;
    job_run_complain(run, "%s", error.message);
    job_run_end(run, CAUSE_VMM_FAULT, STATUS_FAILED);
    return false;
}

bool job_run_accept(struct job_run *run, int fd, uint32_t port)
{
    switch (port) {
    case RUN_PORT_CONTROL:
        return accept_control(run, fd);
    case RUN_PORT_STDIN:
        return accept_stream(run, fd, STREAM_INPUT);
    case RUN_PORT_STDOUT:
        return accept_stream(run, fd, STREAM_OUTPUT);
    case RUN_PORT_STDERR:
        return accept_stream(run, fd, STREAM_ERROR);
    case RUN_PORT_OUTPUT:
        /* The job's end was told before, and the loop may tell of that after. */
        if (run->phase == PHASE_RUNNING && run->control)
            control_look(run->control);
        return accept_output(run, fd);
    default:
        return false;
    }
}
