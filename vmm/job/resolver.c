/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/job/resolver.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vmm/base/cleanup.h"

#define LINE_SIZE 1024
#define FILE_SIZE (64u << 10)

/* Whether LINE begins with the word KEY; its rest. */
static const char *after_word(const char *line, const char *key)
{
    size_t length = strlen(key);

    if (strncmp(line, key, length) != 0 || (line[length] != ' ' && line[length] != '\t'))
        return NULL;
    return line + length + strspn(line + length, " \t");
}

/* The host's words, printable ones alone, into TEXT: "KEY WORDS\n"; empty for none. */
static void keep(char text[LINE_SIZE], const char *key, const char *words)
{
    size_t length = strcspn(words, "\r");

    while (length > 0 && (words[length - 1] == ' ' || words[length - 1] == '\t'))
        length--;
    for (size_t i = 0; i < length; i++)
        if (words[i] != '\t' && (words[i] < ' ' || words[i] > '~'))
            return;
    /* An only "." is no domain to search. */
    if (length == 0 || (length == 1 && words[0] == '.'))
        text[0] = '\0';
    else if (strlen(key) + length + 3 < LINE_SIZE)
        snprintf(text, LINE_SIZE, "%s %.*s\n", key, (int)length, words);
}

int resolver_read(const char *path, char **lines, struct error *error)
{
    cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    cleanup_free char *text = calloc(1, FILE_SIZE + 1);
    char search[LINE_SIZE] = "", options[LINE_SIZE] = "", *rest = text, *line;
    ssize_t length;

    if (!text)
        return error_system(error, ENOMEM, "%s", path);
    length = fd < 0 ? 0 : read(fd, text, FILE_SIZE);
    text[length > 0 ? length : 0] = '\0';
    while ((line = strsep(&rest, "\n"))) {
        const char *words;

        if ((words = after_word(line, "search")) || (words = after_word(line, "domain")))
            keep(search, "search", words);
        else if ((words = after_word(line, "options")))
            keep(options, "options", words);
    }
    if (asprintf(lines, "%s%s", search, options) < 0)
        return error_system(error, ENOMEM, "%s", path);
    return 0;
}
