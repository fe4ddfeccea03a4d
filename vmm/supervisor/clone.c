/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/supervisor/clone.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "devices/registry.h"
#include "vmm/base/settings.h"

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

/* *WRITTEN for this copy; whether it could have been for another shows in *OWN. */
static int expand(char **written, const char *option, const char *pattern,
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

/* TEXT, which is freed or kept, becomes what the copy NAME has, or stays. */
static int make_own(char **text, const char *option, const char *name, struct error *error)
{
    const struct virtio_row *row = virtio_registry_find(option);
    struct settings settings;
    char *copy = NULL;
    int result;

    /* One that this mote does not know is refused when it is made. */
    if (!row || !row->class->for_clone)
        return 0;
    result = settings_parse(&settings, row->option, *text, error);
    if (result < 0)
        return result;
    result = row->class->for_clone(&settings, name, &copy, error);
    settings_release(&settings);
    if (copy) {
        free(*text);
        *text = copy;
    }
    return result;
}

static int clone_text(char **text, const char *option, const char *value, bool given,
                      const struct clone_identity *identity, struct error *error)
{
    bool own = false;
    int result;

    if (given) {
        result = expand(text, option, value, identity, &own, error);
    } else {
        *text = strdup(value);
        result = *text ? 0 : error_system(error, ENOMEM, "--%s", option);
    }
    return result < 0 ? result : make_own(text, option, own ? NULL : identity->name, error);
}

int clone_machine(struct machine_state *one, const struct machine_state *machine, const bool *given,
                  const struct clone_identity *identity, struct error *error)
{
    int result = 0;

    *one = *machine;
    for (size_t i = 0; i < one->device_count; i++)
        one->devices[i].text = NULL;
    for (size_t i = 0; result == 0 && i < one->device_count; i++)
        if (machine->devices[i].text)
            result = clone_text(&one->devices[i].text, machine->devices[i].option,
                                machine->devices[i].text, given[i], identity, error);
    if (result < 0)
        clone_release(one);
    return result;
}

void clone_release(struct machine_state *one)
{
    for (size_t i = 0; i < one->device_count; i++)
        free(one->devices[i].text);
}
