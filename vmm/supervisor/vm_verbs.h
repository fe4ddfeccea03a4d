/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_VM_VERBS_H
#define MOTE_VM_VERBS_H

/*
 * What users may ask of a VM that runs, a row for each verb.  The control socket (docs/control.md) and the command line are
 * views of this table: what it has, both have.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/base/error.h"
#include "vmm/base/json_reader.h"
#include "vmm/monitor/protocol.h"

#define VERBS_MAX 32
#define VERB_ARGUMENTS_SIZE 64

struct vm_control;
struct vm_verb;

/* A request of a client's. */
struct verb_request {
    const struct vm_verb *verb;
    /* As the verb's keys fill it in; texts are the reader's. */
    _Alignas(max_align_t) uint8_t arguments[VERB_ARGUMENTS_SIZE];
};

struct vm_verb {
    const char *name;
    enum message_type request; /* what the VM's process is asked; of a verb that `handle`s all itself: MESSAGE_TYPE_COUNT */
    bool at_once;              /* nothing is: it is answered while another client's request is carried out */
    const char *job_refusal;   /* why no job has it; NULL: jobs have it */

    /* Its arguments in JSON, and what they have to be beside that; keys belong to one verb alone. */
    const struct json_key *keys;
    size_t key_count;
    int (*check)(const void *arguments, struct error *error);

    /* Has it done: control_socket_answer() follows, at once or when the VM's process has answered; or returns an error. */
    int (*handle)(struct vm_control *control, const struct verb_request *request, struct error *error);

    /* `mote NAME VM`: the lines of `mote --help` and its own; NULL: no command, or one with options of its own. */
    const char *help, *summary, *examples;
};

const struct vm_verb *vm_verbs(size_t *count);
/* NULL: there is none of that name. */
const struct vm_verb *vm_verb_find(const char *name);

/* Of the object that READER has, whose key "command" names the verb. */
int verb_request_parse(struct verb_request *request, const struct json_reader *reader, struct error *error);

#endif
