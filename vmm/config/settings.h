/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_SETTINGS_H
#define MOTE_SETTINGS_H

/*
 * The value of a device option, "VALUE,key=value,flag,…", as a list: the part
 * without a key first, if any.  A comma inside a value is written twice.
 *
 * A device's option takes what it knows and closes with settings_finish(), which
 * names what nobody took, with the nearest known key.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/base/error.h"
#include "vmm/config/schema.h"

#define SETTINGS_MAX 32

struct setting {
    const char *key;   /* "" for the first part without '=' */
    const char *value; /* NULL for a flag */
    bool taken;
};

struct settings {
    const char *option; /* for messages: "disk" */
    char *text;         /* owned; the items point into it */
    size_t count;
    struct setting items[SETTINGS_MAX];
};

/* OPTION is a literal without dashes.  The caller releases by settings_release(). */
int settings_parse(struct settings *settings, const char *option, const char *text,
                   struct error *error);
void settings_release(struct settings *settings);

/* The next untaken item with KEY, marked as taken, or NULL.  Repeated keys come in order. */
const struct setting *settings_take(struct settings *settings, const char *key);

/* The main value, which must be there; NEEDS names it in the message ("PATH"). */
int settings_main(struct settings *settings, const char *needs, const char **value,
                  struct error *error);

/* A flag (or key=on|off), a number, a text: untouched when the key is absent. */
int settings_flag(struct settings *settings, const char *key, bool *flag, struct error *error);
int settings_number(struct settings *settings, const char *key, uint64_t minimum, uint64_t maximum,
                    uint64_t *number, struct error *error);
int settings_text(struct settings *settings, const char *key, const char **text,
                  struct error *error);

/* The fields of TARGET that have a row, but for those whose rows say that the option reads them itself; texts are POOL's. */
int settings_rows(struct settings *settings, const struct schema *schema, void *target,
                  struct config_pool *pool, struct error *error);

/* -EINVAL when an item was not taken.  Known are SCHEMA's rows and the keys KNOWN, NULL at the end. */
int settings_finish(const struct settings *settings, const struct schema *schema,
                    const char *const *known, struct error *error);

#endif
