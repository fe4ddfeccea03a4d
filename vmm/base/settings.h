/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_SETTINGS_H
#define MOTE_SETTINGS_H

/*
 * The value of a device option, "VALUE,key=value,flag,…", as a list: the part
 * without a key first, if any.  A comma inside a value is written twice.
 *
 * A device takes what it knows by settings_take() and closes with
 * settings_finish(), which names what nobody took, with the nearest known key.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/base/error.h"

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

/*
 * The option's value anew: FIRST in place of its first part, what nobody has taken, and MORE, NULL for none, which is
 * written as it is.  The caller frees it.
 */
int settings_again(const struct settings *settings, const char *first, const char *more, char **text,
                   struct error *error);

/* -EINVAL when an item was not taken.  KNOWN are all keys, NULL at the end. */
int settings_finish(const struct settings *settings, const char *const *known,
                    struct error *error);

/* How a class reads its options: into SIZE zeroed bytes, which RELEASE frees. */
struct settings_reader {
    const char *option; /* as in settings_parse() */
    size_t size;
    int (*read)(void *options, struct settings *settings, struct error *error);
    void (*release)(void *options);
};

/* A class's parse(): *OPTIONS is made and read from TEXT; on an error nothing is left. */
int settings_read(const struct settings_reader *reader, const char *text, void **options,
                  struct error *error);

#endif
