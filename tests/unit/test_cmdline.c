/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
/* After those that it needs. */
#include <cmocka.h>

#include "vmm/monitor/boot/cmdline.h"
#include "vmm/base/cleanup.h"
#include "vmm/base/command_line.h"

static const struct machine_device devices[] = {
    { .kind = DEVICE_SERIAL, .space = ADDRESS_PORT, .base = 0x3f8, .size = 8, .irq = 4 },
    { .kind = DEVICE_VIRTIO_MMIO, .base = 0xd0000000, .size = 0x1000, .irq = 5 },
    { .kind = DEVICE_VIRTIO_MMIO, .base = 0xd0001000, .size = 0x1000, .irq = 6 },
};

#define WINDOWS "virtio_mmio.device=0x1000@0xd0000000:5 virtio_mmio.device=0x1000@0xd0001000:6"

static const struct machine with_windows = {
    .describe = DESCRIBE_CMDLINE,
    .devices = devices,
    .device_count = ARRAY_LENGTH(devices),
};

static void assert_line_of(const struct machine *machine, bool seeks_pci, const char *user,
                           const char *expected)
{
    struct error error = ERROR_INIT;
    char line[512];

    memset(line, 'x', sizeof(line));
    assert_int_equal(cmdline_build(machine, seeks_pci, user, line, sizeof(line), &error), 0);
    assert_string_equal(line, expected);
}

static void assert_line(const struct machine *machine, const char *user, const char *expected)
{
    assert_line_of(machine, false, user, expected);
}

static void windows_follow_the_users_words(void **state)
{
    (void)state;
    assert_line(&with_windows, "", WINDOWS);
    assert_line(&with_windows, "console=ttyS0", "console=ttyS0 " WINDOWS);
    assert_line(&with_windows, "quiet ro ", "quiet ro " WINDOWS " ");
}

static void windows_stand_before_what_is_for_init(void **state)
{
    (void)state;
    assert_line(&with_windows, "ro -- single", "ro " WINDOWS " -- single");
    assert_line(&with_windows, "ro --", "ro " WINDOWS " --");
    assert_line(&with_windows, "-- single", WINDOWS " -- single");
    assert_line(&with_windows, "ro --x -- y", "ro --x " WINDOWS " -- y");
    assert_line(&with_windows, "a=\"b -- c\" d", "a=\"b -- c\" d " WINDOWS);
    assert_line(&with_windows, "a--", "a-- " WINDOWS);
}

/* What a configuration adds goes the same way. */
static void words_are_added_for_the_kernel(void **state)
{
    static const struct {
        const char *text, *line;
    } rows[] = {
        { "", "W" }, { "ro", "ro W" }, { "ro -- single", "ro W -- single" }, { "ro --", "ro W --" },
        { "--", "W --" }, { "  -- x", "W  -- x" }, { "ro\t--\tx", "ro W\t--\tx" },
        { "a=\"b -- c\" d", "a=\"b -- c\" d W" }, { "--x", "--x W" }, { "ro ", "ro W " },
        { "a -- b -- c", "a W -- b -- c" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        cleanup_free char *line = command_line_add(rows[i].text, "W");

        assert_string_equal(line, rows[i].line);
    }
}

/* What ACPI cannot say, unless the user says it or another thing of PCI. */
static void there_is_no_pci(void **state)
{
    const struct machine machine = { .describe = DESCRIBE_ACPI };

    (void)state;
    assert_line_of(&machine, true, "", "pci=off");
    assert_line_of(&machine, true, "ro -- single", "ro pci=off -- single");
    assert_line_of(&machine, true, "-- pci=x", "pci=off -- pci=x");
    assert_line_of(&machine, true, "a.pci=1 apci=2", "a.pci=1 apci=2 pci=off");
    assert_line_of(&machine, true, "ro pci=noacpi quiet", "ro pci=noacpi quiet");
    assert_line_of(&machine, true, "pci=off", "pci=off");
    assert_line_of(&machine, true, "apci=1\tpci=", "apci=1\tpci=");
    /* Whose description is explicit, or no Linux, has the user's words alone. */
    assert_line(&machine, "ro -- single", "ro -- single");
    assert_line_of(&with_windows, true, "ro -- x", "ro " WINDOWS " pci=off -- x");
}

/* The word is not worth a refusal: a line that is just short enough stays as it is. */
static void a_full_line_stays_as_it_is(void **state)
{
    struct machine machine = { .describe = DESCRIBE_ACPI };
    struct error error = ERROR_INIT;
    char line[32];

    (void)state;
    for (size_t capacity = sizeof("ro -- single"); capacity <= sizeof(line); capacity++) {
        memset(line, 'x', sizeof(line));
        assert_int_equal(cmdline_build(&machine, true, "ro -- single", line, capacity, &error), 0);
        assert_string_equal(line, capacity <= sizeof("ro pci=off -- single")
                                      ? "ro -- single" : "ro pci=off -- single");
        for (size_t i = capacity; i < sizeof(line); i++)
            assert_int_equal(line[i], 'x');
    }
}

static void other_descriptions_leave_the_line_alone(void **state)
{
    struct machine machine = with_windows;

    (void)state;
    machine.describe = DESCRIBE_ACPI;
    assert_line(&machine, "ro -- single", "ro -- single");
    machine.describe = DESCRIBE_FDT;
    assert_line(&machine, "", "");
}

static void without_windows_nothing_is_added(void **state)
{
    struct machine machine = with_windows;

    (void)state;
    machine.device_count = 1;
    assert_line(&machine, "ro", "ro");
}

static void control_characters_are_refused(void **state)
{
    static const char *const bad[] = { "a\nb", "\n", "a\r", "a\x01", "\x7f" };
    struct error error = ERROR_INIT;
    char line[64];

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(bad); i++) {
        assert_int_equal(cmdline_build(&with_windows, false, bad[i], line, sizeof(line), &error), -22);
        assert_string_equal(line, "");
    }
    assert_int_equal(cmdline_build(&with_windows, false, "a\nb", line, sizeof(line), &error), -22);
    assert_non_null(strstr(error.message, "line break after 1 bytes"));
    assert_line(&with_windows, "a\tb", "a\tb " WINDOWS);
    assert_line(&with_windows, "n=\xc3\xa9", "n=\xc3\xa9 " WINDOWS);
}

static void every_short_buffer_is_refused_within_bounds(void **state)
{
    static const char whole[] = "ro " WINDOWS " -- single";
    struct error error = ERROR_INIT;
    char line[sizeof(whole) + 16];

    (void)state;
    for (size_t capacity = 0; capacity <= sizeof(whole); capacity++) {
        int result;

        memset(line, 'x', sizeof(line));
        result = cmdline_build(&with_windows, false, "ro -- single", line, capacity, &error);
        assert_int_equal(result, capacity == sizeof(whole) ? 0 : -7 /* E2BIG */);
        if (result < 0 && capacity)
            assert_string_equal(line, "");
        for (size_t i = capacity; i < sizeof(line); i++)
            assert_int_equal(line[i], 'x');
    }
    assert_string_equal(line, whole);
    assert_non_null(strstr(error.message, "fewer devices"));
}

static void a_long_user_line_is_named_by_its_length(void **state)
{
    struct machine machine = { .describe = DESCRIBE_ACPI };
    struct error error = ERROR_INIT;
    char line[8];

    (void)state;
    assert_int_equal(cmdline_build(&machine, false, "12345678", line, sizeof(line), &error), -7);
    assert_non_null(strstr(error.message, "8 bytes, this kernel takes 7; shorten it"));
    assert_int_equal(cmdline_build(&machine, false, "1234567", line, sizeof(line), &error), 0);
    assert_string_equal(line, "1234567");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(windows_follow_the_users_words),
        cmocka_unit_test(windows_stand_before_what_is_for_init),
        cmocka_unit_test(words_are_added_for_the_kernel),
        cmocka_unit_test(there_is_no_pci),
        cmocka_unit_test(a_full_line_stays_as_it_is),
        cmocka_unit_test(other_descriptions_leave_the_line_alone),
        cmocka_unit_test(without_windows_nothing_is_added),
        cmocka_unit_test(control_characters_are_refused),
        cmocka_unit_test(every_short_buffer_is_refused_within_bounds),
        cmocka_unit_test(a_long_user_line_is_named_by_its_length),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
