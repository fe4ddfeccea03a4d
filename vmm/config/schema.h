/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_CONFIG_SCHEMA_H
#define MOTE_CONFIG_SCHEMA_H

/*
 * What a struct of plain data consists of, as a table: a row for each field.
 *
 * Every form that a configuration has is made from the rows: equality and copies
 * and the wire form of a snapshot (schema.c), JSON (schema_json.c), and the
 * options of the command line whose values need no reading of their own
 * (settings.h).  So a field that has a row has all of them.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "vmm/base/error.h"
#include "vmm/base/json_reader.h"
#include "vmm/config/pool.h"

#define SCHEMA_ROWS_MAX 32 /* of one table */
#define SCHEMA_TEXT_MAX 4096 /* in the wire form: what no path exceeds */

enum schema_kind {
    SCHEMA_TEXT,       /* const char *; NULL: none.  The pool's. */
    SCHEMA_WORD,       /* char[SIZE]; "": none */
    SCHEMA_FLAG,       /* bool */
    SCHEMA_NUMBER,     /* an unsigned integer of SIZE bytes, from MINIMUM to MAXIMUM */
    SCHEMA_CHOICE,     /* unsigned int or an enum, an index into CHOICES */
    SCHEMA_DESCRIPTOR, /* int, an open file's; -1: none */
    SCHEMA_MAC,        /* uint8_t[6]; zeroes: none */
    SCHEMA_OBJECT,     /* a struct, of NESTED */
    SCHEMA_LIST,       /* an array of structs of NESTED, MAXIMUM at most; a size_t at COUNT_OFFSET is their number */
};

struct schema;

struct schema_row {
    const char *key; /* in JSON and, but for what an option's first part says, on the command line */
    enum schema_kind kind;
    size_t offset, size;
    uint64_t minimum, maximum;
    const char *const *choices; /* the last element is NULL */
    const struct schema *nested;
    size_t count_offset;
    bool is_not_for_settings; /* the option reads it itself; else settings_row() does */
};

struct schema {
    const struct schema_row *rows;
    size_t count;
    size_t size;          /* of the struct */
    const void *defaults; /* the struct of whom nothing was said; NULL: zeroes */
};

#define SCHEMA_FIELD(type, member) .offset = offsetof(type, member), .size = sizeof(((type *)0)->member)

/* TARGET becomes the default. */
void schema_default(const struct schema *schema, void *target);

bool schema_equal(const struct schema *schema, const void *one, const void *two);
/* Whether SOURCE's field of ROW, one of SCHEMA's, is as the default has it. */
bool schema_row_is_default(const struct schema *schema, const struct schema_row *row, const void *source);

/* A field that is out of its range, by its key, or NULL. */
const char *schema_fault(const struct schema *schema, const void *source);

/* Into TARGET, which has its defaults; texts are POOL's.  -ENOMEM alone. */
int schema_copy(const struct schema *schema, void *target, const void *source,
                struct config_pool *pool);

/*
 * Saves TARGET's fields to the section of a state that stands open, or loads them
 * from it into TARGET, which has its defaults: each in its range, or a fault.
 */
struct state;
void schema_state(const struct schema *schema, void *target, struct config_pool *pool,
                  struct state *state);

/* A number that another table of rows, other ranges or another order hardly has. */
uint32_t schema_fingerprint(const struct schema *schema);

/* ---- schema_json.c --------------------------------------------------------- */

/*
 * The fields of OBJECT, whose path in the file is PATH, into TARGET, which has its defaults.  What TARGET has of
 * members that are no field is in EXTRA, of EXTRA_COUNT keys, for EXTRA_TARGET.
 */
struct schema_json {
    const struct json_reader *reader;
    struct config_pool *pool;
    const struct json_key *extra; /* more keys, that are no fields; their target is EXTRA_TARGET */
    size_t extra_count;
    void *extra_target;
};
int schema_json_read(const struct schema_json *json, const char *path, struct json_object *object,
                     const struct schema *schema, void *target);

/*
 * Writes the fields of SOURCE as members of an object whose brace stands open, at DEPTH: each on a line, but for
 * those that say nothing.  *FIRST: none was written before.
 */
void schema_json_write(FILE *stream, unsigned int depth, const struct schema *schema,
                       const void *source, bool *first);
/* The begin of a member's or an element's line: comma, line break, and KEY if it is not NULL. */
void schema_json_begin(FILE *stream, unsigned int depth, const char *key, bool *first);
void schema_json_text(FILE *stream, const char *text);

#endif
