/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_JSON_READER_H
#define MOTE_JSON_READER_H

/*
 * JSON, a file or a line, into plain structs, by tables of keys.  Every message names the
 * file and the key's path in it ("vm.json: drives[1].path_on_host: …"), or the
 * line and column where the text is no JSON.  A key whose value is null counts
 * as absent.  One whose value asks for nothing (null, false, [] or {}) may even
 * be unknown, as other programs write all that they know of.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <json-c/json_object.h>

#include "vmm/base/error.h"

enum json_kind {
    JSON_TEXT,    /* const char * */
    JSON_NUMBER,  /* uint64_t, from MINIMUM to MAXIMUM */
    JSON_FLAG,    /* bool */
    JSON_CHOICE,  /* unsigned int, an index into CHOICES, in any case; its last element is NULL */
    JSON_MEMBERS, /* struct json_object *, an object */
    JSON_LIST,    /* struct json_object *, an array */
    JSON_IGNORED, /* says nothing that matters here; any value */
    JSON_REFUSED, /* only what asks for nothing or the one text in CHOICES; WHY ends the message */
};

struct json_key {
    const char *name;
    enum json_kind kind;
    bool required;
    size_t offset; /* where in the target the value goes; untouched when absent */
    uint64_t minimum, maximum;
    const char *const *choices;
    const char *why;
};

struct json_reader {
    const char *option; /* before the file's name in messages: "--config-file " */
    const char *file;   /* or what else the text is */
    struct json_object *root; /* owns all texts */
    struct error *error;
};

/* The file's root object, in full.  The caller ends it by json_reader_close(). */
int json_reader_open(struct json_reader *reader, const char *file, struct error *error);
/* The same of TEXT, LENGTH bytes that are called WHAT in messages: "request". */
int json_reader_parse(struct json_reader *reader, const char *what, const char *text,
                      size_t length, struct error *error);
void json_reader_close(struct json_reader *reader);

/* The members of OBJECT, whose path in the file is PATH ("" for the root), into TARGET. */
int json_reader_members(const struct json_reader *reader, const char *path,
                        struct json_object *object, const struct json_key *keys, size_t count,
                        void *target);

/* Sets the error "FILE: PATH: " and the rest; returns -EINVAL. */
int json_reader_wrong(const struct json_reader *reader, const char *path, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
