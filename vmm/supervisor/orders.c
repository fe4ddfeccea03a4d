/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/supervisor/orders_internal.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vmm/base/cleanup.h"
#include "vmm/jail/sandbox.h"
#include "vmm/supervisor/store.h"

/* ---- to the monitor -------------------------------------------------------- */

static int send_message(int channel, struct message *message, const int *fds, size_t fd_count, struct error *error)
{
    if (channel < 0 || message_send(channel, message, fds, fd_count, MSG_DONTWAIT) < 0)
        return error_set(error, ESRCH, "the VM has ended, or does not listen; see 'mote ps'");
    return 0;
}

int orders_send(struct orders *orders, struct message *order, const int *fds, size_t fd_count,
                struct error *error)
{
    int result;

    if (orders->channel < 0)
        return error_set(error, EAGAIN, "is being started, or ends; see 'mote ps', and try again");
    order->header.id = ++orders->last_id ? orders->last_id : ++orders->last_id; /* 0 asks for no answer */
    result = send_message(orders->channel, order, fds, fd_count, error);
    if (result < 0)
        return result;
    orders->order = *order;
    orders->in_flight = true;
    orders->seconds = 0;
    timer_set(&orders->patience, 1000);
    return 0;
}

/* ---- from the monitor ------------------------------------------------------ */

int orders_set_paused(struct orders *orders, bool paused, struct error *error)
{
    bool was = orders->paused;

    orders->paused = paused;
    return was == paused ? 0 : store_set_paused(orders->owner.entry, paused, error);
}

/* The monitor has let go of its files. */
static void drop_order(struct orders *orders)
{
    timer_set(&orders->patience, 0);
    orders->in_flight = orders->owed = orders->went_on = false;
    orders->failure = (struct error)ERROR_INIT;
    snapshot_folder_drop(&orders->folder);
    if (orders->order.header.type == REQUEST_SNAPSHOT)
        sandbox_files_written(orders->sandbox, false);
}

bool orders_answered(struct orders *orders, const struct message *message)
{
    const struct answer *answer = &message->answer;
    struct error error = ERROR_INIT;

    /* One that nobody waits for comes from an attacker. */
    if (!orders || message->header.id != orders->order.header.id || (!orders->owed && !orders->in_flight))
        return false;
    if (orders->owed) {
        drop_order(orders);
        return true;
    }
    orders->in_flight = false;
    timer_set(&orders->patience, 0);
    orders->was_paused = orders->paused;
    /* No reason to lose a snapshot, though. */
    if (orders_set_paused(orders, answer->paused && !orders->went_on, &error) < 0 &&
        orders->order.header.type == REQUEST_SNAPSHOT)
        error = (struct error)ERROR_INIT;
    orders->went_on = false;
    if (orders->failure.number) {
        error = orders->failure;
        orders->failure = (struct error)ERROR_INIT;
    } else {
        answer_take_error(answer, &error);
    }
    if (!error.number && orders->order.header.type == REQUEST_SNAPSHOT) {
        orders_snapshot_saved(orders);
        return true;
    }
    drop_order(orders);
    if (error.number)
        control_socket_refuse(orders->control, &error);
    else
        control_socket_answer(orders->control, NULL);
    return true;
}

/* The monitor has ended.  A snapshot that was saved before is kept all the same, with its room in memory. */
static void give_up_order(struct orders *orders)
{
    bool awaited = orders->in_flight;
    struct error error = ERROR_INIT;

    if (!awaited && !orders->owed)
        return;
    drop_order(orders);
    error_set(&error, ESRCH, "the VM ended before it was done");
    if (awaited)
        control_socket_refuse(orders->control, &error);
}

void orders_channel(struct orders *orders, int channel, struct sandbox *sandbox)
{
    struct error error = ERROR_INIT;

    if (!orders)
        return;
    orders_set_paused(orders, false, &error);
    /* First of all: the next client is asked for its order before that returns. */
    orders->channel = channel;
    if (channel < 0)
        give_up_order(orders);
    orders->sandbox = sandbox;
}

void orders_go_on(struct orders *orders)
{
    struct message order = { .header.type = REQUEST_RESUME };
    struct error error = ERROR_INIT;

    if (!orders || (!orders->paused && !orders->in_flight))
        return;
    /* One that does not listen has ended, or is ended by its owner's patience. */
    if (send_message(orders->channel, &order, NULL, 0, &error) < 0)
        return;
    orders->went_on = orders->in_flight;
    /* Nobody asked who could be told of an error: `mote ps` is wrong then. */
    orders_set_paused(orders, false, &error);
}

void orders_abandon(struct orders *orders)
{
    if (orders)
        background_task_abandon(&orders->keeping, "snapshot: given up, as the VM was told to end; save it again");
}

int orders_end(struct orders *orders, struct error *error)
{
    if (!orders || !background_task_works(&orders->keeping))
        return 0;
    orders->ending = true;
    return event_loop_run(orders->loop, error);
}

/* ---- silence --------------------------------------------------------------- */

/*
 * How long the VM's process may be silent: it may have been broken, or wait for a disk.  A snapshot gets more
 * the further its memory is, which its file's offset tells (memory_file_write()), so it may take as long as it
 * goes on at such a rate, and its last part may be that all of it goes to a server when the file is closed.
 * The offset is the VM's process's to set, but counts as far as there is memory: in the end there is an end.
 */
#define PATIENCE_SECONDS 20
#define SLOWEST (4u << 20) /* bytes a second */

static int is_silent(const struct orders *orders, struct error *error)
{
    return error_set(error, ETIMEDOUT, "its process does not answer; see what its disk waits for, or use "
                     "'mote stop %s'", orders->owner.entry->name);
}

/* Once it listens again it carries the order out, and what makes up for that; the answer is owed until then. */
static void lose_patience(struct orders *orders)
{
    struct message undo = { .header.type = orders->paused ? REQUEST_PAUSE : REQUEST_RESUME };
    struct error error = orders->failure;

    orders->in_flight = orders->went_on = false;
    orders->failure = (struct error)ERROR_INIT;
    orders->owed = true;
    snapshot_folder_drop(&orders->folder);
    send_message(orders->channel, &undo, NULL, 0, &(struct error)ERROR_INIT);
    if (!error.number)
        is_silent(orders, &error);
    control_socket_refuse(orders->control, &error);
}

/* Seconds that this process has seen: a user may have stopped both. */
static void second_passed(void *context)
{
    struct orders *orders = context;
    off_t offset = lseek(orders->folder.memory_fd, 0, SEEK_CUR);
    uint64_t most = orders->owner.vm->memory, done = offset < 0 ? 0 : (uint64_t)offset;

    if (++orders->seconds < PATIENCE_SECONDS + (done < most ? done : most) / SLOWEST)
        timer_set(&orders->patience, 1000);
    else
        lose_patience(orders);
}

/* ---- requests -------------------------------------------------------------- */

static struct json_object *status_of(const struct orders *orders)
{
    const struct vm_config *vm = orders->owner.vm;
    struct json_object *reply = json_object_new_object();

    json_object_object_add(reply, "name", json_object_new_string(orders->owner.entry->name));
    json_object_object_add(reply, "state", json_object_new_string(orders->paused ? "paused" : "running"));
    json_object_object_add(reply, "pid", json_object_new_int64(getpid()));
    json_object_object_add(reply, "cpus", json_object_new_int64(vm->cpus));
    json_object_object_add(reply, "memory", json_object_new_int64((int64_t)vm->memory));
    return reply;
}

/* What makes no sense for a job. */
static int refuse_for_job(const struct orders *orders, enum control_command command,
                          struct error *error)
{
    if (!orders->owner.is_job)
        return 0;
    if (command == CONTROL_SNAPSHOT)
        return error_set(error, ENOTSUP, "is a job, whose copies would have nobody to talk to; save a VM of "
                         "'mote boot --name', or start jobs from a saved guest by 'mote run --warm'");
    if (command == CONTROL_REFRESH)
        return error_set(error, ENOTSUP, "is a job, whose disks stay as they are; refresh a VM of 'mote boot --name'");
    if (command == CONTROL_BALLOON)
        return error_set(error, ENODEV, "is a job, which has no balloon; limit it by --memory");
    return 0;
}

static void asked(void *context, const struct control_request *request)
{
    struct orders *orders = context;
    struct message order = { .header.type = MESSAGE_TYPE_COUNT };
    struct error error = ERROR_INIT;
    int result = refuse_for_job(orders, (enum control_command)request->command, &error);

    if (result == 0 && orders->owed && !control_is_answered_at_once(request->command))
        result = is_silent(orders, &error);
    if (result < 0) {
        control_socket_refuse(orders->control, &error);
        return;
    }
    switch ((enum control_command)request->command) {
    case CONTROL_STATUS:
        control_socket_answer(orders->control, status_of(orders));
        return;
    case CONTROL_STOP:
        control_socket_answer(orders->control, NULL);
        orders->owner.stop(orders->owner.context);
        return;
    case CONTROL_SNAPSHOT:
        result = orders_begin_snapshot(orders, request, &error);
        break;
    case CONTROL_PAUSE:
        order.header.type = REQUEST_PAUSE;
        result = orders_send(orders, &order, NULL, 0, &error);
        break;
    case CONTROL_RESUME:
        order.header.type = REQUEST_RESUME;
        result = orders_send(orders, &order, NULL, 0, &error);
        break;
    case CONTROL_BALLOON:
        order = (struct message){ .header.type = REQUEST_BALLOON, .balloon.target = request->target };
        result = orders_send(orders, &order, NULL, 0, &error);
        break;
    case CONTROL_REFRESH:
        /* A disk may be longer than any file of the VM's was to become. */
        if (orders->channel >= 0)
            sandbox_files_grew(orders->sandbox);
        order.header.type = REQUEST_REFRESH;
        result = orders_send(orders, &order, NULL, 0, &error);
        break;
    case CONTROL_COMMAND_COUNT:
        break;
    }
    if (result < 0)
        control_socket_refuse(orders->control, &error);
}

/* ---- life ------------------------------------------------------------------ */

int orders_create(struct orders **orders, const struct orders_owner *owner,
                  struct event_loop *loop, struct error *error)
{
    struct orders *created = calloc(1, sizeof(*created));
    struct control_owner asker = { .asked = asked, .context = created };
    int result;

    if (!created)
        return error_system(error, ENOMEM, "--name");
    created->owner = *owner;
    created->channel = -1;
    created->folder = (struct snapshot_folder)SNAPSHOT_FOLDER_INIT;
    created->keeping = (struct background_task)BACKGROUND_TASK_INIT;
    created->loop = loop;
    if (owner->vm->snapshot)
        orders_remember(created, owner->vm->snapshot->id);
    /* A snapshot longer than files may become (ulimit -f) is an error, not the VM's end. */
    if (!owner->is_job)
        signal(SIGXFSZ, SIG_IGN);
    result = timer_open(&created->patience, loop, second_passed, created, error);
    if (result == 0)
        result = control_socket_create(&created->control, owner->entry->folder, loop, &asker, error);
    if (result < 0) {
        timer_close(&created->patience);
        free(created);
        return result;
    }
    *orders = created;
    return 0;
}

void orders_close(struct orders *orders)
{
    struct store_entry entry;

    if (!orders)
        return;
    entry = *orders->owner.entry;
    control_socket_close(orders->control);
    store_close(&entry);
    snapshot_folder_leave(&orders->folder);
    cleanup_close(&orders->keeping.fd);
    close(orders->patience.fd);
}

void orders_destroy(struct orders *orders)
{
    if (!orders)
        return;
    background_task_end(&orders->keeping);
    timer_close(&orders->patience);
    control_socket_destroy(orders->control);
    unlinkat(orders->owner.entry->folder, "control", 0);
    snapshot_folder_drop(&orders->folder);
    free(orders);
}
