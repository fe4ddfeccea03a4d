/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/supervisor/vm_verbs.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "vmm/base/cleanup.h"
#include "vmm/supervisor/vm_control_internal.h"

/* The keys of all verbs that there is room for when a request is read. */
#define KEYS_MAX 32

/* ---- what they do ----------------------------------------------------------- */

/* The VM's process does it all. */
static int pass_on(struct vm_control *control, const struct verb_request *request, struct error *error)
{
    return vm_control_send(control, &(struct message){ .header.type = request->verb->request }, error);
}

static int tell_status(struct vm_control *control, const struct verb_request *request, struct error *error)
{
    (void)request;
    (void)error;
    control_socket_answer(control->socket, vm_status_of(control));
    return 0;
}

static int stop(struct vm_control *control, const struct verb_request *request, struct error *error)
{
    (void)request;
    (void)error;
    control_socket_answer(control->socket, NULL);
    control->owner.stop(control->owner.context);
    return 0;
}

struct balloon_arguments {
    uint64_t target; /* bytes */
};

static int set_balloon(struct vm_control *control, const struct verb_request *request, struct error *error)
{
    const struct balloon_arguments *arguments = (const void *)request->arguments;
    struct message message = { .header.type = request->verb->request, .balloon.target = arguments->target };

    return vm_control_send(control, &message, error);
}

static int check_disk(const void *given, struct error *error)
{
    const struct disk_arguments *arguments = given;

    if (!arguments->disk)
        return error_set(error, EINVAL, "request: disk: is missing; give its serial= or number");
    if (!arguments->path || arguments->path[0] != '/')
        return error_set(error, EINVAL, "request: path: is no absolute path; give one");
    if (strlen(arguments->path) >= PATH_MAX)
        return error_set(error, ENAMETOOLONG, "request: path: is longer than %d bytes; use a shorter one", PATH_MAX - 1);
    return 0;
}

static int replace_disk(struct vm_control *control, const struct verb_request *request, struct error *error)
{
    return vm_control_replace_disk(control, (const void *)request->arguments, error);
}

static int check_rate(const void *given, struct error *error)
{
    const struct rate_arguments *arguments = given;

    if (!arguments->device)
        return error_set(error, EINVAL, "request: device: is missing; give its number");
    if (!arguments->rates)
        return error_set(error, EINVAL, "request: rates: is missing; give it such as rate=10M, or unlimited");
    return 0;
}

static int set_rate(struct vm_control *control, const struct verb_request *request, struct error *error)
{
    return vm_control_set_rate(control, (const void *)request->arguments, error);
}

static int check_snapshot(const void *given, struct error *error)
{
    const struct snapshot_arguments *arguments = given;

    if (!arguments->folder || arguments->folder[0] != '/')
        return error_set(error, EINVAL, "request: folder: is no absolute path; give one");
    if (arguments->base && arguments->base[0] != '/')
        return error_set(error, EINVAL, "request: base: is no absolute path; give one");
    return 0;
}

static int save(struct vm_control *control, const struct verb_request *request, struct error *error)
{
    return vm_control_begin_snapshot(control, (const void *)request->arguments, error);
}

/* ---- the table -------------------------------------------------------------- */

static const struct json_key snapshot_keys[] = {
    { "folder", JSON_TEXT, false, offsetof(struct snapshot_arguments, folder) },
    { "base", JSON_TEXT, false, offsetof(struct snapshot_arguments, base) },
    { "stop", JSON_FLAG, false, offsetof(struct snapshot_arguments, stop) },
};

static const struct json_key balloon_keys[] = {
    { "target", JSON_NUMBER, true, offsetof(struct balloon_arguments, target), 0, INT64_MAX },
};

static const struct json_key disk_keys[] = {
    { "disk", JSON_TEXT, true, offsetof(struct disk_arguments, disk) },
    { "path", JSON_TEXT, true, offsetof(struct disk_arguments, path) },
};

static const char *const rate_kinds[] = { [RATE_OF_DISK] = "disk", [RATE_OF_NET] = "net", NULL };
static const struct json_key rate_keys[] = {
    { "kind", JSON_CHOICE, true, offsetof(struct rate_arguments, kind), .choices = rate_kinds },
    { "device", JSON_TEXT, true, offsetof(struct rate_arguments, device) },
    { "rates", JSON_TEXT, true, offsetof(struct rate_arguments, rates) },
};

#define KEYS(table) .keys = (table), .key_count = ARRAY_LENGTH(table)

static const struct vm_verb verbs[] = {
    { .name = "status", .request = MESSAGE_TYPE_COUNT, .at_once = true, .handle = tell_status },
    { .name = "statistics", .request = REQUEST_STATISTICS, .handle = pass_on },
    { .name = "pause", .request = REQUEST_PAUSE, .handle = pass_on,
      .help = "pause a VM or job",
      .summary = "Pauses the VM or job NAME until it is resumed.",
      .examples = "  mote pause web\n" },
    { .name = "resume", .request = REQUEST_RESUME, .handle = pass_on,
      .help = "resume a paused VM or job",
      .summary = "Resumes a paused VM or job.",
      .examples = "  mote resume web\n" },
    { .name = "snapshot", .request = REQUEST_SNAPSHOT, .handle = save, KEYS(snapshot_keys), .check = check_snapshot,
      .job_refusal = "is a job, which cannot be saved: a copy would have no standard input and output; save a VM of 'mote boot --name', or start jobs "
                     "from a saved guest by 'mote run --warm'" },
    { .name = "balloon", .request = REQUEST_BALLOON, .handle = set_balloon, KEYS(balloon_keys),
      .job_refusal = "is a job, which has no balloon; limit it by --memory" },
    { .name = "replace-disk", .request = REQUEST_REPLACE_DISK, .handle = replace_disk, KEYS(disk_keys), .check = check_disk,
      .job_refusal = "is a job, whose disks stay as they are; replace one of a VM of 'mote boot --name'" },
    { .name = "set-rate", .request = REQUEST_SET_RATE, .handle = set_rate, KEYS(rate_keys), .check = check_rate },
    { .name = "refresh", .request = REQUEST_REFRESH, .handle = pass_on,
      .job_refusal = "is a job, whose disks stay as they are; refresh a VM of 'mote boot --name'",
      .help = "reread the size of a VM's disks",
      .summary = "Rereads the size of each disk of the VM NAME, and tells the guest of one that grew.",
      .examples = "  truncate -s 20G disk.img && mote refresh web\n" },
    { .name = "stop", .request = MESSAGE_TYPE_COUNT, .at_once = true, .handle = stop },
};
_Static_assert(ARRAY_LENGTH(verbs) < VERBS_MAX, "one more ends their names");
_Static_assert(sizeof(struct snapshot_arguments) <= VERB_ARGUMENTS_SIZE, "the largest arguments");

const struct vm_verb *vm_verbs(size_t *count)
{
    *count = ARRAY_LENGTH(verbs);
    return verbs;
}

const struct vm_verb *vm_verb_find(const char *name)
{
    for (size_t i = 0; i < ARRAY_LENGTH(verbs); i++)
        if (strcmp(verbs[i].name, name) == 0)
            return &verbs[i];
    return NULL;
}

/* ---- a request -------------------------------------------------------------- */

/* Which verb it is; and no key is unknown to all of them. */
static int read_verb(const struct vm_verb **verb, const struct json_reader *reader)
{
    const char *names[VERBS_MAX] = { NULL };
    struct json_key keys[KEYS_MAX] = { { "command", JSON_CHOICE, true, 0, .choices = names } };
    size_t count = 1;
    unsigned int index = 0;
    int result;

    for (size_t i = 0; i < ARRAY_LENGTH(verbs); i++) {
        names[i] = verbs[i].name;
        for (size_t j = 0; j < verbs[i].key_count && count < KEYS_MAX; j++)
            keys[count++] = (struct json_key){ .name = verbs[i].keys[j].name, .kind = JSON_IGNORED };
    }
    result = json_reader_members(reader, "", reader->root, keys, count, &index);
    *verb = &verbs[index];
    return result;
}

/* Null and false ask for nothing. */
static bool is_given(const struct json_reader *reader, const char *key)
{
    struct json_object *value;

    return json_object_object_get_ex(reader->root, key, &value) && value &&
           (!json_object_is_type(value, json_type_boolean) || json_object_get_boolean(value));
}

/* What is given for another verb. */
static int check_others(const struct vm_verb *verb, const struct json_reader *reader, struct error *error)
{
    for (size_t i = 0; i < ARRAY_LENGTH(verbs); i++)
        for (size_t j = 0; &verbs[i] != verb && j < verbs[i].key_count; j++)
            if (is_given(reader, verbs[i].keys[j].name))
                return error_set(error, EINVAL, "request: %s: is for %s; leave it out", verbs[i].keys[j].name, verbs[i].name);
    return 0;
}

/* Those of other verbs ask for nothing, as was checked. */
static int read_arguments(struct verb_request *request, const struct json_reader *reader)
{
    struct json_key keys[KEYS_MAX] = { { "command", JSON_IGNORED } };
    size_t count = 1;

    for (size_t i = 0; i < request->verb->key_count; i++)
        keys[count++] = request->verb->keys[i];
    return json_reader_members(reader, "", reader->root, keys, count, request->arguments);
}

int verb_request_parse(struct verb_request *request, const struct json_reader *reader, struct error *error)
{
    int result;

    *request = (struct verb_request){ .verb = NULL };
    if ((result = read_verb(&request->verb, reader)) < 0 || (result = check_others(request->verb, reader, error)) < 0 ||
        (result = read_arguments(request, reader)) < 0)
        return result;
    return request->verb->check ? request->verb->check(request->arguments, error) : 0;
}
