/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/monitor/boot/cmdline.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "vmm/base/command_line.h"

/* " virtio_mmio.device=0x…@0x…:…", each number at its longest. */
#define WINDOW_LENGTH_MAX 80

/* Text that is counted even where it no longer fits. */
struct text {
    char *bytes;
    size_t capacity; /* with the NUL */
    size_t length;
};

static void append(struct text *text, const char *bytes, size_t length)
{
    if (text->length < text->capacity && length < text->capacity - text->length) {
        memcpy(text->bytes + text->length, bytes, length);
        text->bytes[text->length + length] = '\0';
    }
    text->length += length;
}

static void append_windows(struct text *text, const struct machine *machine)
{
    for (size_t i = 0; i < machine->device_count; i++) {
        const struct machine_device *device = &machine->devices[i];
        char window[WINDOW_LENGTH_MAX];
        int length;

        if (device->kind != DEVICE_VIRTIO_MMIO)
            continue;
        length = snprintf(window, sizeof(window), "%svirtio_mmio.device=0x%llx@0x%llx:%u",
                          text->length ? " " : "", (unsigned long long)device->size,
                          (unsigned long long)device->base, device->irq);
        append(text, window, (size_t)length);
    }
}

/* Whether one of the LENGTH bytes' words sets pci: then that is the user's affair. */
static bool sets_pci(const char *user, size_t length)
{
    for (const char *at = user; (at = strstr(at, "pci=")) && at < user + length; at++)
        if (at == user || at[-1] == ' ' || at[-1] == '\t')
            return true;
    return false;
}

/*
 * No machine of ours has PCI, and ACPI has no way to say so: a stock Linux looks for
 * it slot by slot, which is nearly half of the exits to us of its boot.
 * Not worth a refusal: it stays out where the rest of the line needs the room.
 */
static void append_lack_of_pci(struct text *text, const char *user, size_t kernel_length)
{
    const char *word = text->length ? " pci=off" : "pci=off";

    /* With the NUL, and a blank that may come before "--". */
    if (!sets_pci(user, kernel_length) &&
        text->length + strlen(word) + strlen(user + kernel_length) + 2 <= text->capacity)
        append(text, word, strlen(word));
}

static int check_text(const char *user, struct error *error)
{
    for (size_t i = 0; user[i]; i++) {
        unsigned char c = (unsigned char)user[i];

        if (c == '\n' || c == '\r')
            return error_set(error, EINVAL,
                             "command line: a line break after %zu bytes; give it as one line", i);
        if ((c < ' ' && c != '\t') || c == 0x7f)
            return error_set(error, EINVAL,
                             "command line: control character 0x%02x after %zu bytes; remove it",
                             c, i);
    }
    return 0;
}

int cmdline_build(const struct machine *machine, bool seeks_pci, const char *user, char *line,
                  size_t capacity, struct error *error)
{
    struct text text = { .bytes = line, .capacity = capacity };
    size_t user_length = strlen(user), kernel_length = user_length;
    int result;

    if (capacity)
        line[0] = '\0';
    result = check_text(user, error);
    if (result < 0)
        return result;
    if (machine->describe == DESCRIBE_CMDLINE || seeks_pci) {
        kernel_length = command_line_kernel_part(user);
        append(&text, user, kernel_length);
        if (machine->describe == DESCRIBE_CMDLINE)
            append_windows(&text, machine);
        if (seeks_pci)
            append_lack_of_pci(&text, user, kernel_length);
        if (user[kernel_length] && user[kernel_length] != ' ' && user[kernel_length] != '\t')
            append(&text, " ", 1);
    } else {
        kernel_length = 0;
    }
    append(&text, user + kernel_length, user_length - kernel_length);
    if (text.length < capacity)
        return 0;
    if (capacity)
        line[0] = '\0';
    if (text.length > user_length)
        return error_set(error, E2BIG,
                         "command line: %zu bytes with the devices, this kernel takes %zu; "
                         "shorten it, attach fewer devices or use --describe acpi",
                         text.length, capacity ? capacity - 1 : 0);
    return error_set(error, E2BIG,
                     "command line: %zu bytes, this kernel takes %zu; shorten it", text.length,
                     capacity ? capacity - 1 : 0);
}
