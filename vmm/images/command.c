/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/images/command.h"

#include <errno.h>
#include <string.h>

int parse_with_word(const struct option_table *table, void *target, int argc, char **argv,
                    const char *name, const char **word, bool *helped, struct error *error)
{
    if (argc > 2 && strncmp(argv[argc - 2], "--", 2) != 0 && strncmp(argv[argc - 1], "--", 2) != 0 &&
        (argc == 3 || strncmp(argv[argc - 3], "--", 2) != 0))
        return error_set(error, EINVAL, "'%s': is one word too many; the line ends with one %s", argv[argc - 1], name);
    /* The word comes last; --help needs none. */
    *word = argc > 1 ? argv[argc - 1] : NULL;
    if (*word && strncmp(*word, "--", 2) == 0)
        *word = NULL;
    if (options_parse(table, target, *word ? argc - 1 : argc, argv, helped, error) < 0)
        return -error->number;
    if (!*helped && !*word)
        return error_set(error, EINVAL, "%s: is missing; end the line with it", name);
    return 0;
}
