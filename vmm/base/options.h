/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_OPTIONS_H
#define MOTE_OPTIONS_H

/*
 * Command-line options from a const table: parsing, help and the message for a
 * mistyped one all read the same rows.  An option is `--name VALUE`,
 * `--name=VALUE` or, without an argument, `--name`; one with a letter is also
 * `-n VALUE`, `-nVALUE` or `-n`, and letters without arguments may stand
 * together.  The last one given wins.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "vmm/base/error.h"

struct option_row;

/* VALUE is NULL for an option without an argument; it outlives TARGET. */
typedef int (*option_setter)(void *target, const struct option_row *row, const char *value,
                             struct error *error);

struct option_row {
    const char *group;    /* heading in the help; NULL for the same as before */
    const char *name;     /* without the dashes */
    const char *argument; /* what the help calls the value; NULL for none */
    const char *help;     /* '\n' breaks the line */
    option_setter set;
    size_t offset;              /* for the setters below: where in TARGET the value goes */
    const char *const *choices; /* for option_set_choice() */
    const void *context;        /* for a setter of the table's own */
    char letter;                /* the short form; 0 for none */
    bool early;                 /* set before all others, wherever it stands */
};

/* To const char *, to bool (true), to uint64_t bytes, to unsigned int index in the choices. */
int option_set_text(void *target, const struct option_row *row, const char *value,
                    struct error *error);
int option_set_flag(void *target, const struct option_row *row, const char *value,
                    struct error *error);
int option_set_size(void *target, const struct option_row *row, const char *value,
                    struct error *error);
int option_set_choice(void *target, const struct option_row *row, const char *value,
                      struct error *error);

/* A word that other programs have, and what to do in its place: "give --cmdline". */
struct foreign_word {
    const char *word; /* NULL ends a list of them */
    const char *instead;
};

/* What to do in place of WORD, or NULL.  LIST may be NULL. */
const char *foreign_word_instead(const struct foreign_word *list, const char *word);

struct option_table {
    const char *usage;    /* "mote boot --kernel FILE [OPTION]…" */
    const char *summary;  /* what the command does, a sentence or two */
    const char *examples; /* whole lines */
    const struct option_row *rows;
    size_t count;
    const struct foreign_word *foreign; /* options without their dashes, letters with theirs; or NULL */
};

/*
 * Reads ARGV[1] on into TARGET.  Words that are no options are an error.
 * --help prints the help to standard output and sets
 * *HELPED.
 */
int options_parse(const struct option_table *table, void *target, int argc, char **argv,
                  bool *helped, struct error *error);

/*
 * As options_parse(), for a command that takes words after its options: *WORDS
 * is the index in ARGV of the first one, ARGC where there is none.  "--" ends
 * the options and is none of the words.
 */
int options_parse_words(const struct option_table *table, void *target, int argc, char **argv,
                        int *words, bool *helped, struct error *error);

/*
 * As options_parse(), for a command of exactly COUNT words, wherever among the
 * options they stand.  NAMES are what the message calls a missing one.
 */
int options_parse_mixed(const struct option_table *table, void *target, int argc, char **argv,
                        const char **words, const char *const *names, size_t count, bool *helped,
                        struct error *error);

void options_help(const struct option_table *table, FILE *stream);

/* The candidate nearest to WORD by edits, or NULL when none is near. */
const char *options_nearest(const char *word, const char *(*candidate)(const void *, size_t),
                            const void *context, size_t count);

/* A whole decimal number within [minimum, maximum]; NAME for the message. */
int options_number(const char *name, const char *value, uint64_t minimum, uint64_t maximum,
                   uint64_t *number, struct error *error);

/* A size: a whole number of MiB, or with K, M, G or T of that unit (powers of 1024). */
int options_size(const char *name, const char *value, uint64_t *bytes, struct error *error);

/* The index of VALUE among CHOICES, whose last element is NULL. */
int options_choice(const char *name, const char *value, const char *const *choices,
                   unsigned int *index, struct error *error);

#endif
