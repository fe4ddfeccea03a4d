/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/job/image_program.h"

#include <stdint.h>

#include "vmm/base/cleanup.h"
#include "vmm/base/helper_program.h"

/* The path, the command, two words of the sandbox, the caller's others, NULL. */
#define ARGUMENTS_MAX 8

int image_program_start(pid_t *process, const struct image_program *program,
                        const char *const words[], int input, int output, struct error *error)
{
    cleanup_free char *path = NULL;
    const char *arguments[ARGUMENTS_MAX] = { NULL };
    size_t count = 0;
    int result = helper_program_find("mote-image", &path, error);

    if (result < 0)
        return result;
    arguments[count++] = path;
    arguments[count++] = *words++;
    if (program->sandbox->mode == SANDBOX_OFF)
        arguments[count++] = "--sandbox=off";
    if (program->sandbox->required)
        arguments[count++] = "--require-sandbox";
    while (*words && count < ARGUMENTS_MAX - 1)
        arguments[count++] = *words++;
    /* execv(3) takes without const what it only reads. */
    return helper_program_start(process, (char *const *)(uintptr_t)arguments, input, output, error);
}
