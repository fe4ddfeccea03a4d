/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/job/env_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "vmm/base/byte_order_mark.h"
#include "vmm/base/cleanup.h"

#define FILE_MAX RUN_JOB_MAX

int env_add(struct text_list *environment, const char *option, const char *text,
            struct error *error)
{
    size_t name = strcspn(text, "=");
    cleanup_free char *handed_on = NULL;
    const char *value;

    if (name == 0 || strcspn(text, " \t") < name)
        return error_set(error, EINVAL, "--%s %s: is no variable; give NAME=VALUE, or NAME to hand "
                         "on your own", option, text);
    if (text[name] == '=')
        return text_list_set_variable(environment, text, error);
    value = getenv(text);
    if (!value)
        return 0;
    if (asprintf(&handed_on, "%s=%s", text, value) < 0)
        return error_system(error, ENOMEM, "--%s", option);
    return text_list_set_variable(environment, handed_on, error);
}

static int add_line(struct text_list *environment, const char *path, unsigned int number,
                    const char *line, size_t length, struct error *error)
{
    char where[64];

    if (memchr(line, '\0', length))
        return error_set(error, EINVAL, "--env-file %s: line %u has a NUL byte; take it out", path,
                         number);
    while (*line == ' ' || *line == '\t')
        line++;
    if (*line == '\0' || *line == '#')
        return 0;
    snprintf(where, sizeof(where), "env-file, line %u,", number);
    return env_add(environment, where, line, error);
}

static int read_lines(struct text_list *environment, const char *path, FILE *file,
                      struct error *error)
{
    cleanup_free char *line = NULL;
    size_t size = 0;
    unsigned int number = 0;
    ssize_t length;
    int result = 0;

    while (result == 0 && (length = getline(&line, &size, file)) > 0) {
        size_t mark = number == 0 ? byte_order_mark(line, (size_t)length) : 0;

        if (number == 0 && is_utf16(line, (size_t)length))
            return error_set(error, EINVAL, "--env-file %s: is UTF-16; save it as UTF-8", path);
        if (line[length - 1] == '\n')
            line[--length] = '\0';
        if (length > 0 && line[length - 1] == '\r')
            line[--length] = '\0';
        result = add_line(environment, path, ++number, line + mark, (size_t)length - mark, error);
    }
    if (result == 0 && ferror(file))
        return error_system(error, errno, "--env-file %s", path);
    return result;
}

int env_add_file(struct text_list *environment, const char *path, struct error *error)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY), result;
    struct stat status;
    FILE *file;

    if (fd < 0)
        return error_set(error, errno, "--env-file %s: %s; check the path", path, strerror(errno));
    if (fstat(fd, &status) < 0 || !S_ISREG(status.st_mode) || status.st_size > FILE_MAX) {
        close(fd);
        return error_set(error, EINVAL, "--env-file %s: is no file of at most %u KiB; name one",
                         path, FILE_MAX >> 10);
    }
    file = fdopen(fd, "r");
    if (!file) {
        close(fd);
        return error_system(error, ENOMEM, "--env-file %s", path);
    }
    result = read_lines(environment, path, file, error);
    fclose(file);
    return result;
}
