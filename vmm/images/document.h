/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_IMAGES_DOCUMENT_H
#define MOTE_IMAGES_DOCUMENT_H

/*
 * The JSON documents of container images: small accessors over json-c that
 * bound what they give.  A document is hostile: its size and depth are bounded
 * when it is read, counts and lengths here.
 */

#include <json-c/json_object.h>
#include <stdint.h>

#include "vmm/base/error.h"

#define DOCUMENT_MAX (4u << 20) /* bytes; the distribution specification's bound for manifests */
#define DOCUMENT_DEPTH 32
#define DOCUMENT_LIST_MAX 4096u  /* elements of any list that is used */
#define DOCUMENT_TEXT_MAX 65536u /* bytes of any text that is used */

/* The object or array in LENGTH bytes of TEXT; the caller puts it.  NAME is for messages. */
struct json_object *document_parse(const char *name, const void *text, size_t length,
                                   enum json_type type, struct error *error);

/* *TEXT is OBJECT's KEY, NULL when absent or null; it belongs to OBJECT. */
int document_text(const char *name, struct json_object *object, const char *key,
                  const char **text, struct error *error);

/* *LIST is OBJECT's KEY, an array, NULL when absent or null. */
int document_list(const char *name, struct json_object *object, const char *key,
                  struct json_object **list, struct error *error);

/* *MEMBER is OBJECT's KEY, an object, NULL when absent or null. */
int document_object(const char *name, struct json_object *object, const char *key,
                    struct json_object **member, struct error *error);

/* The text that is element INDEX of LIST, which document_list() gave for KEY. */
int document_element(const char *name, const char *key, struct json_object *list, size_t index,
                     const char **text, struct error *error);

/* A whole number of 0 and more; 0 when absent. */
int document_number(const char *name, struct json_object *object, const char *key,
                    uint64_t *number, struct error *error);

/* "NAME: KEY: what" */
int document_wrong(const char *name, const char *key, const char *what, struct error *error);

#endif
