/* SPDX-License-Identifier: Apache-2.0 */
/*
 * KVMs that are too old, refuse or are none: ioctl(2) is replaced at link time
 * (--wrap), so that each answer can be chosen.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "vmm/monitor/arch/arch.h"
#include "vmm/monitor/bus.h"
#include "vmm/monitor/kvm.h"

#include <setjmp.h>
#include <cmocka.h>

static struct {
    int version;
    int missing;          /* the capability that it lacks, -1 for none */
    long run_size;
    unsigned long failing; /* the request that fails with NUMBER, 0 for none */
    int number;
    unsigned int failures; /* that many times */
    unsigned int calls;    /* of FAILING */
} fake;

int __wrap_ioctl(int fd, unsigned long request, ...);

int __wrap_ioctl(int fd, unsigned long request, ...)
{
    va_list arguments;
    uintptr_t argument;

    (void)fd;
    va_start(arguments, request);
    argument = va_arg(arguments, uintptr_t);
    va_end(arguments);
    if (request == fake.failing && fake.calls++ < fake.failures) {
        errno = fake.number;
        return -1;
    }
    switch (request) {
    case KVM_GET_API_VERSION:
        return fake.version;
    case KVM_CHECK_EXTENSION:
        return (int)argument != fake.missing;
    case KVM_GET_VCPU_MMAP_SIZE:
        return (int)fake.run_size;
    case KVM_CREATE_VM:
    case KVM_CREATE_VCPU:
        return open("/dev/null", O_RDWR | O_CLOEXEC);
    default:
        return 0;
    }
}

static int set_up(void **state)
{
    (void)state;
    memset(&fake, 0, sizeof(fake));
    fake.version = KVM_API_VERSION;
    fake.missing = -1;
    fake.run_size = 12288;
    return 0;
}

/* The lowest free descriptor: the same before and after where nothing leaks. */
static int next_descriptor(void)
{
    int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

    close(fd);
    return fd;
}

static void assert_says(const struct error *error, const char *text)
{
    if (!strstr(error->message, text))
        fail_msg("'%s' is missing in: %s", text, error->message);
}

static void assert_refused(int number, const char *reason, const char *remedy)
{
    struct error error = ERROR_INIT;
    int before = next_descriptor();
    struct kvm kvm;

    assert_int_equal(kvm_open(&kvm, "/dev/null", &error), -number);
    assert_int_equal(error.number, number);
    assert_says(&error, "/dev/null: ");
    assert_says(&error, reason);
    assert_says(&error, remedy);
    assert_int_equal(kvm.fd, -1);
    assert_int_equal(next_descriptor(), before);
}

static void fail_with(unsigned long request, int number, unsigned int failures)
{
    fake.failing = request;
    fake.number = number;
    fake.failures = failures;
}

static void test_opens(void **state)
{
    struct error error = ERROR_INIT;
    struct kvm kvm;

    (void)state;
    assert_int_equal(kvm_open(&kvm, "/dev/null", &error), 0);
    assert_int_equal(kvm.run_size, 12288);
    assert_int_equal(kvm_create_vm(&kvm, &error), 0);
    kvm_close(&kvm);
    assert_int_equal(kvm.fd, -1);
    assert_int_equal(kvm.vm_fd, -1);
}

static void test_other_versions(void **state)
{
    (void)state;
    fake.version = 11;
    assert_refused(ENOSYS, "KVM API version 11, but Mote needs 12", "newer host kernel");
    fake.version = 13;
    assert_refused(ENOSYS, "KVM API version 13", "host kernel");
    fake.version = 0;
    assert_refused(ENOSYS, "KVM API version 0", "host kernel");
}

static void test_missing_capabilities(void **state)
{
    static const struct {
        int number;
        const char *name;
    } needed[] = {
        { KVM_CAP_USER_MEMORY, "KVM_CAP_USER_MEMORY" },
        { KVM_CAP_IMMEDIATE_EXIT, "KVM_CAP_IMMEDIATE_EXIT" },
        { KVM_CAP_MP_STATE, "KVM_CAP_MP_STATE" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++) {
        fake.missing = needed[i].number;
        assert_refused(ENOSYS, needed[i].name, "4.13 or newer");
    }
}

static void test_missing_interrupt_hardware(void **state)
{
    static const struct {
        int number;
        const char *name;
    } needed[] = {
        { KVM_CAP_SPLIT_IRQCHIP, "KVM_CAP_SPLIT_IRQCHIP" },
        { KVM_CAP_SIGNAL_MSI, "KVM_CAP_SIGNAL_MSI" },
    };
    struct kvm kvm = KVM_INIT;

    (void)state;
    for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++) {
        struct error error = ERROR_INIT;
        struct bus mmio = { .count = 0 };
        struct arch_vm *arch = NULL;
        struct log log = LOG_INIT;

        fake.missing = needed[i].number;
        assert_int_equal(arch_vm_create(&arch, &kvm, &mmio, 0, &log, &error), -ENOSYS);
        assert_says(&error, needed[i].name);
        assert_says(&error, "or newer");
        assert_null(arch);
    }
}

/* The guest sees as many inputs as the MP table names, and none for devices that are not there. */
static void test_inputs_follow_the_devices(void **state)
{
    static const struct {
        size_t windows;
        uint32_t inputs;
    } cases[] = { { 0, 16 }, { 11, 16 }, { 12, 17 }, { 100, 105 }, { SIZE_MAX, 105 } };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const uint32_t version = 1;
        struct kvm kvm = KVM_INIT;
        struct error error = ERROR_INIT;
        struct bus mmio = { .count = 0 };
        struct log log = LOG_INIT;
        struct arch_vm *arch;
        uint32_t value;

        assert_int_equal(
            arch_vm_create(&arch, &kvm, &mmio, cases[i].windows, &log, &error), 0);
        bus_write(&mmio, 0xfec00000, (const uint8_t *)&version, sizeof(version));
        bus_read(&mmio, 0xfec00010, (uint8_t *)&value, sizeof(value));
        assert_int_equal((value >> 16) + 1, cases[i].inputs);
        arch_vm_destroy(arch);
    }
}

static void test_no_kvm_device(void **state)
{
    (void)state;
    fail_with(KVM_GET_API_VERSION, ENOTTY, 1000);
    assert_refused(ENOTTY, "is not a KVM device", "the usual one is /dev/kvm");
    assert_int_equal(fake.calls, 1);
}

static void test_tiny_run_area(void **state)
{
    (void)state;
    fake.run_size = 100;
    assert_refused(EIO, "KVM_GET_VCPU_MMAP_SIZE gave 100", "newer host kernel");
    fake.run_size = 12288;
    fail_with(KVM_GET_VCPU_MMAP_SIZE, EINVAL, 1);
    assert_refused(EIO, "KVM_GET_VCPU_MMAP_SIZE", "newer host kernel");
}

static void test_interrupted_calls_are_tried_again(void **state)
{
    static const int numbers[] = { EINTR, EAGAIN };
    struct error error = ERROR_INIT;
    struct kvm kvm;

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        set_up(NULL);
        fail_with(KVM_CREATE_VM, numbers[i], 20);
        assert_int_equal(kvm_open(&kvm, "/dev/null", &error), 0);
        assert_int_equal(kvm_create_vm(&kvm, &error), 0);
        assert_int_equal(fake.calls, 21);
        kvm_close(&kvm);
    }
}

static void test_tries_are_bounded(void **state)
{
    static const int numbers[] = { EINTR, EAGAIN };

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        set_up(NULL);
        fail_with(KVM_CREATE_VM, numbers[i], 1000000);
        assert_int_equal(kvm_ioctl(-1, KVM_CREATE_VM, 0), -numbers[i]);
        assert_in_range(fake.calls, 2, 1000);
    }
}

static void test_other_errors_are_final(void **state)
{
    (void)state;
    fail_with(KVM_CREATE_VM, EBUSY, 1000);
    assert_int_equal(kvm_ioctl(-1, KVM_CREATE_VM, 0), -EBUSY);
    assert_int_equal(fake.calls, 1);
}

static void test_unknown_capability_is_none(void **state)
{
    struct kvm kvm = KVM_INIT;

    (void)state;
    fail_with(KVM_CHECK_EXTENSION, EINVAL, 1);
    assert_int_equal(kvm_capability(&kvm, KVM_CAP_SPLIT_IRQCHIP), 0);
    assert_int_equal(kvm_capability(&kvm, KVM_CAP_SPLIT_IRQCHIP), 1);
}

static void test_refusals_name_the_remedy(void **state)
{
    struct error error = ERROR_INIT;
    struct kvm kvm = KVM_INIT;
    char page[1];

    (void)state;
    fail_with(KVM_SET_USER_MEMORY_REGION, EINVAL, 1);
    assert_int_equal(kvm_add_memory(&kvm, 0, 0, 1 << 20, page, &error), -EINVAL);
    assert_says(&error, "guest memory of 1 MiB");
    assert_says(&error, "smaller --memory");
    set_up(NULL);
    fail_with(KVM_CREATE_VCPU, EINVAL, 1);
    assert_int_equal(kvm_create_vcpu(&kvm, 7, &error), -EINVAL);
    assert_says(&error, "vCPU 7");
    assert_says(&error, "fewer --cpus");
    set_up(NULL);
    fail_with(KVM_CREATE_VCPU, EMFILE, 1);
    assert_int_equal(kvm_create_vcpu(&kvm, 7, &error), -EMFILE);
    assert_says(&error, "ulimit -n");
    set_up(NULL);
    fail_with(KVM_CREATE_VM, ENOMEM, 1);
    assert_int_equal(kvm_create_vm(&kvm, &error), -ENOMEM);
    assert_says(&error, "KVM_CREATE_VM");
    assert_says(&error, "free some memory");
}

#define KVM_TEST(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
    const struct CMUnitTest tests[] = {
        KVM_TEST(test_opens),
        KVM_TEST(test_other_versions),
        KVM_TEST(test_missing_capabilities),
        KVM_TEST(test_missing_interrupt_hardware),
        KVM_TEST(test_inputs_follow_the_devices),
        KVM_TEST(test_no_kvm_device),
        KVM_TEST(test_tiny_run_area),
        KVM_TEST(test_interrupted_calls_are_tried_again),
        KVM_TEST(test_tries_are_bounded),
        KVM_TEST(test_other_errors_are_final),
        KVM_TEST(test_unknown_capability_is_none),
        KVM_TEST(test_refusals_name_the_remedy),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
