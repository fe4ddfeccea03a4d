/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/supervisor/clone.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>


/* ---- names ----------------------------------------------------------------- */

int clone_identify(struct clone_identity *identity, const char *prefix, unsigned int number,
                   struct error *error)
{
    int length = snprintf(identity->name, sizeof(identity->name), "%s-%u", prefix, number);

    identity->number = number;
    if (length >= 0 && length <= STORE_NAME_MAX && store_name_is_good(identity->name))
        return 0;
    return error_set(error, EINVAL, "--name %s: makes no names such as %s-%u; give up to %zu letters, "
                     "digits, '_', '.' and '-', the first a letter or digit", prefix, prefix, number,
                     STORE_NAME_MAX - (size_t)snprintf(NULL, 0, "-%u", number));
}

void clone_prefix(char prefix[STORE_NAME_MAX + 1], const char *folder)
{
    size_t end = strlen(folder), start, length = 0;

    while (end > 0 && folder[end - 1] == '/')
        end--;
    for (start = end; start > 0 && folder[start - 1] != '/';)
        start--;
    /* Room for any number. */
    for (size_t i = start; i < end && length < STORE_NAME_MAX - 12; i++) {
        char one[] = { folder[i], '\0' };

        if (isalnum((unsigned char)one[0]) && (unsigned char)one[0] < 0x80)
            prefix[length++] = one[0];
        else if (length > 0)
            prefix[length++] = strchr("_.-", one[0]) ? one[0] : '_';
    }
    prefix[length] = '\0';
    if (length == 0)
        strcpy(prefix, "clone");
}

/* ---- values ---------------------------------------------------------------- */

int clone_expand(char **written, const char *option, const char *pattern,
                 const struct clone_identity *identity, bool *own, struct error *error)
{
    size_t size;
    FILE *stream = open_memstream(written, &size);
    int result = 0;

    *own = false;
    if (!stream)
        return error_system(error, ENOMEM, "--%s", option);
    for (const char *at = pattern; *at && result == 0; at++) {
        if (*at != '%') {
            fputc(*at, stream);
            continue;
        }
        at++;
        *own = *own || *at == 'd' || *at == 's';
        if (*at == 'd')
            fprintf(stream, "%u", identity->number);
        else if (*at == 's')
            fputs(identity->name, stream);
        else if (*at == '%')
            fputc('%', stream);
        else
            result = error_set(error, EINVAL, "--%s %s: has a '%%' without meaning; give %%d for the "
                               "clone's number, %%s for its name, %%%% for a percent sign", option,
                               pattern);
        if (result < 0)
            break;
    }
    if (fclose(stream) != 0 && result == 0)
        result = error_system(error, ENOMEM, "--%s", option);
    return result;
}
