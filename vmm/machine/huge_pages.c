/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/machine/huge_pages.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "vmm/base/small_file.h"

#define PATH_SIZE 256
#define OWN "hugepages-2048kB/enabled"
#define COMMON "enabled"

/* "always [madvise] never": the brackets hold what is set. */
static bool is_set(const char *folder, const char *name, const char *choice)
{
    char path[PATH_SIZE], text[128] = "";

    snprintf(path, sizeof(path), "%s/%s", folder, name);
    small_file_read(path, text, sizeof(text));
    return strstr(text, choice) != NULL;
}

const char *huge_pages_refused_by(const char *folder)
{
    if (is_set(folder, OWN, "[never]"))
        return OWN;
    if (is_set(folder, OWN, "[always]") || is_set(folder, OWN, "[madvise]"))
        return NULL;
    return is_set(folder, COMMON, "[never]") ? COMMON : NULL;
}
