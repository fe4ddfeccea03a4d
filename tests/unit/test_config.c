/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/loading.h"
#include "vmm/monitor/arch/arch.h"
#include "vmm/config/config.h"

static void defaults_lack_only_the_kernel(void **state)
{
    struct vm_config config = vm_config_default();
    struct error error = ERROR_INIT;

    (void)state;
    assert_int_equal(config.cpus, 1);
    assert_int_equal(config.memory, 256 * MIB);
    assert_int_equal(config.console, CONSOLE_SERIAL);
    assert_int_equal(config.describe, DESCRIBE_AUTO);
    assert_string_equal(config.kvm_path, "/dev/kvm");
    assert_int_equal(vm_config_complete(&config, &error), 0);
    assert_string_equal(config.command_line, "console=ttyS0 panic=-1");
    assert_int_equal(config.device_count, 0);
    assert_null(config.initrd);
    assert_null(config.boot_protocol);
    loading_assert_error(vm_config_validate(&config, &error), &error, EINVAL,
                         "--kernel: is missing; name a bzImage or vmlinux");
    config.kernel = "bzImage";
    assert_int_equal(vm_config_validate(&config, &error), 0);
    vm_config_release(&config);
}

static const struct config_case {
    const char *name;
    const char *protocol, *command_line;
    uint64_t memory;
    int number;
    const char *text;
} cases[] = {
    { "memory_0", NULL, "", 0, EINVAL, "--memory: 0 KiB are too little to boot anything" },
    { "memory_1_byte", NULL, "", 1, EINVAL, "too little" },
    { "memory_1_mib", NULL, "", MIB, EINVAL, "--memory: 1024 KiB are too little" },
    { "memory_a_page_below_2_mib", NULL, "", 2 * MIB - 4096, EINVAL, "give 2M or more" },
    { "memory_2_mib", NULL, "", 2 * MIB, 0, NULL },
    { "memory_of_half_pages", NULL, "", 2 * MIB + 2048, EINVAL, "2050 KiB are no multiple of 4 KiB" },
    { "memory_below_the_hole", NULL, "", 3072 * MIB, 0, NULL },
    { "memory_above_the_hole", NULL, "", 3072 * MIB + 4096, 0, NULL },
    { "memory_of_1_eib", NULL, "", 1ull << 60, ERANGE, "more than this processor can address" },
    { "memory_at_its_most", NULL, "", UINT64_MAX & ~4095ull, ERANGE, "give less" },
    { "protocol_linux64", "linux64", "", 2 * MIB, 0, NULL },
    { "protocol_elf64", "elf64", "", 2 * MIB, 0, NULL },
    { "protocol_pvh", "pvh", "", 2 * MIB, 0, NULL },
    { "protocol_unknown", "multiboot", "", 2 * MIB, EINVAL,
      "--boot-protocol multiboot: is unknown; use one of linux64, elf64, pvh" },
    { "protocol_empty", "", "", 2 * MIB, EINVAL, "is unknown; use one of" },
    { "protocol_in_capitals", "PVH", "", 2 * MIB, EINVAL, "is unknown; use one of" },
    { "command_line_plain", NULL, "quiet \"a b\" -- x", 2 * MIB, 0, NULL },
    { "command_line_with_line_feed", NULL, "ab\ncd", 2 * MIB, EINVAL,
      "--cmdline: has a line break at byte 2; give it in one line" },
    { "command_line_with_return", NULL, "\r", 2 * MIB, EINVAL, "has a line break at byte 0" },
    { "command_line_ends_in_line_feed", NULL, "quiet\n", 2 * MIB, EINVAL,
      "has a line break at byte 5" },
};

static void check_case(void **state)
{
    const struct config_case *c = *state;
    struct vm_config config = vm_config_default();
    struct error error = ERROR_INIT;
    int result;

    config.kernel = "k";
    config.boot_protocol = c->protocol;
    config.command_line = c->command_line;
    config.memory = c->memory;
    result = vm_config_validate(&config, &error);
    if (c->number)
        loading_assert_error(result, &error, c->number, c->text);
    else
        assert_int_equal(result, 0);
}

static void memory_limit_is_the_processors(void **state)
{
    struct vm_config config = vm_config_default();
    struct error error = ERROR_INIT;
    uint64_t limit = arch_memory_limit();

    (void)state;
    config.kernel = "k";
    config.command_line = "";
    config.memory = limit;
    assert_int_equal(vm_config_validate(&config, &error), 0);
    config.memory = limit + 4096;
    loading_assert_error(vm_config_validate(&config, &error), &error, ERANGE, "give less");
}

static void cpus_are_checked(void **state)
{
    static const unsigned int wrong[] = { 0, MACHINE_CPUS_MAX + 1, UINT32_MAX };
    struct vm_config config = vm_config_default();
    struct error error = ERROR_INIT;

    (void)state;
    config.kernel = "bzImage";
    config.command_line = "";
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        config.cpus = wrong[i];
        loading_assert_error(vm_config_validate(&config, &error), &error, ERANGE,
                             "is out of range; give 1 to 64");
        error = (struct error)ERROR_INIT;
    }
    config.cpus = MACHINE_CPUS_MAX;
    assert_int_equal(vm_config_validate(&config, &error), 0);
}

/* The console and all ports are one device, whatever comes first. */
static void console_and_ports_are_one_device(void **state)
{
    struct vm_config config = vm_config_default();
    struct error error = ERROR_INIT;

    (void)state;
    config.console = CONSOLE_VIRTIO;
    assert_int_equal(vm_config_complete(&config, &error), 0);
    assert_string_equal(config.command_line, "console=hvc0 panic=-1");
    assert_int_equal(config.device_count, 1);
    assert_int_equal(vm_config_add_option(&config, DEVICE_TYPE_CONSOLE, "a=file:/b", &error), 0);
    assert_int_equal(vm_config_add_option(&config, DEVICE_TYPE_CONSOLE, "c=file:/d", &error), 0);
    assert_int_equal(vm_config_complete(&config, &error), 0);
    assert_int_equal(config.device_count, 1);
    vm_config_release(&config);
}

/* Whatever said them: of some devices there is one. */
static void two_of_a_single_device_are_refused(void **state)
{
    struct vm_config config = vm_config_default();
    struct error error = ERROR_INIT;

    (void)state;
    config.kernel = "k";
    assert_int_equal(vm_config_add_option(&config, DEVICE_TYPE_VSOCK, "3:/e", &error), 0);
    assert_int_equal(vm_config_validate(&config, &error), 0);
    assert_int_equal(vm_config_add_option(&config, DEVICE_TYPE_VSOCK, "4:/f", &error), 0);
    loading_assert_error(vm_config_validate(&config, &error), &error, EINVAL,
                         "--vsock: is given twice; one device has all ports, give it once");
    vm_config_release(&config);
}

int main(void)
{
    struct CMUnitTest tests[32] = {
        cmocka_unit_test(cpus_are_checked),
        cmocka_unit_test(defaults_lack_only_the_kernel),
        cmocka_unit_test(memory_limit_is_the_processors),
        cmocka_unit_test(console_and_ports_are_one_device),
        cmocka_unit_test(two_of_a_single_device_are_refused),
    };
    size_t count = 5;

    count += LOADING_ADD(tests + count, cases, check_case);
    return _cmocka_run_group_tests("config", tests, count, NULL, NULL);
}
