/* SPDX-License-Identifier: Apache-2.0 */
/* CPUID as the guest gets it, from fake tables: ioctl() here stands before KVM. */
#include <errno.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "tests/support/loading.h"
#include "vmm/monitor/arch/x86_64/cpuid.h"

#define KVM_FD 1000
#define VCPU_FD 1001
#define ENTRIES_MAX 256 /* KVM takes no more */
#define TSC_KHZ 2900123u

/* What the fake KVM has and what it was given. */
static struct {
    struct kvm_cpuid_entry2 supported[ENTRIES_MAX];
    uint32_t supported_count;
    int get_error, set_error; /* errno, 0 for success */
    bool no_deadline_timer;
    struct kvm_cpuid_entry2 given[2 * ENTRIES_MAX];
    uint32_t given_count;
} fake;

static int fake_failure(int number)
{
    errno = number;
    return number ? -1 : 0;
}

static int get_supported(struct kvm_cpuid2 *cpuid)
{
    if (cpuid->nent < fake.supported_count)
        return fake_failure(E2BIG);
    cpuid->nent = fake.supported_count;
    memcpy((uint8_t *)cpuid + sizeof(*cpuid), fake.supported,
           fake.supported_count * sizeof(fake.supported[0]));
    return fake_failure(fake.get_error);
}

static int set_given(const struct kvm_cpuid2 *cpuid)
{
    if (cpuid->nent > ENTRIES_MAX)
        return fake_failure(E2BIG);
    fake.given_count = cpuid->nent;
    memcpy(fake.given, (const uint8_t *)cpuid + sizeof(*cpuid),
           cpuid->nent * sizeof(fake.given[0]));
    return fake_failure(fake.set_error);
}

int ioctl(int fd, unsigned long request, ...)
{
    va_list arguments;
    uintptr_t argument;

    va_start(arguments, request);
    argument = va_arg(arguments, uintptr_t);
    va_end(arguments);
    if (fd == KVM_FD && request == KVM_GET_SUPPORTED_CPUID)
        return get_supported((struct kvm_cpuid2 *)argument);
    if (fd == KVM_FD && request == KVM_CHECK_EXTENSION)
        return argument == KVM_CAP_TSC_DEADLINE_TIMER && !fake.no_deadline_timer;
    if (fd == VCPU_FD && request == KVM_SET_CPUID2)
        return set_given((const struct kvm_cpuid2 *)argument);
    return fake_failure(ENOTTY);
}

static void add(uint32_t function, uint32_t index, uint32_t eax, uint32_t ebx, uint32_t ecx,
                uint32_t edx)
{
    fake.supported[fake.supported_count++] = (struct kvm_cpuid_entry2){
        .function = function, .index = index, .eax = eax, .ebx = ebx, .ecx = ecx, .edx = edx,
    };
}

static void add_hypervisor(void)
{
    add(0x40000000, 0, 0x40000001, 0x4b4d564b, 0x564b4d56, 0x4d);
    add(0x40000001, 0, 0x01007efb, 0, 0, 0);
}

static void fake_intel(void)
{
    memset(&fake, 0, sizeof(fake));
    add(0, 0, 0x0d, 0x756e6547, 0x6c65746e, 0x49656e69);
    add(1, 0, 0x50657, 0xaa10ffff, 0x00000001, 0x0fabfbff);
    add(4, 0, 0x7c004121, 0x01c0003f, 63, 0);   /* level 1 data */
    add(4, 1, 0x7c004143, 0x03c0003f, 1023, 0); /* level 2 */
    add(4, 2, 0x7c07c163, 0x0280003f, 36863, 4); /* level 3 */
    add(4, 3, 0, 0, 0, 0);
    add(0xa, 0, 0x07300404, 0, 0, 0x603);
    add(0xb, 0, 1, 2, 0x100, 0xaa);
    add(0xb, 1, 6, 48, 0x201, 0xaa);
    add(0x1f, 0, 1, 2, 0x100, 0xaa);
    add_hypervisor();
    add(0x80000000, 0, 0x80000008, 0, 0, 0);
    add(0x80000008, 0, 0x302e, 0, 0, 0);
}

static void fake_amd(void)
{
    memset(&fake, 0, sizeof(fake));
    add(0, 0, 0x10, 0x68747541, 0x444d4163, 0x69746e65);
    add(1, 0, 0x00a20f10, 0x07100800, 0x00000001, 0x178bfbff);
    add_hypervisor();
    add(0x80000000, 0, 0x8000001e, 0x68747541, 0x444d4163, 0x69746e65);
    add(0x80000008, 0, 0x3030, 0, 0x700f, 0);
    add(0x8000001d, 0, 0x4121, 0x01c0003f, 63, 0);
    add(0x8000001d, 3, 0x3c163, 0x03c0003f, 8191, 1);
    add(0x8000001e, 0, 7, 0x103, 1, 0);
}

static const struct kvm_cpuid_entry2 *given(uint32_t function, uint32_t index)
{
    const struct kvm_cpuid_entry2 *found = NULL;

    for (uint32_t i = 0; i < fake.given_count; i++) {
        const struct kvm_cpuid_entry2 *entry = &fake.given[i];

        if (entry->function != function || entry->index != index)
            continue;
        /* KVM would take the first of two and never the second. */
        assert_null(found);
        found = entry;
    }
    return found;
}

/* Gives vCPU INDEX of CPUS its leaves. */
static void give(unsigned int cpus, unsigned int index, uint32_t tsc_khz)
{
    const struct kvm kvm = { .fd = KVM_FD, .vm_fd = -1 };
    struct cpuid_template *cpuid = NULL;
    struct error error = ERROR_INIT;

    assert_int_equal(cpuid_create(&cpuid, &kvm, cpus, tsc_khz, &error), 0);
    /* The leaves of one must not leak into the next one's. */
    assert_int_equal(cpuid_set(cpuid, VCPU_FD, cpus - 1, &error), 0);
    assert_int_equal(cpuid_set(cpuid, VCPU_FD, index, &error), 0);
    free(cpuid);
}

static const struct {
    unsigned int cpus, bits;
} sizes[] = { { 1, 0 }, { 2, 1 }, { 3, 2 }, { 4, 2 }, { 5, 3 }, { 63, 6 }, { 64, 6 } };
#define SIZES (sizeof(sizes) / sizeof(sizes[0]))

static void check_topology(unsigned int cpus, unsigned int bits, unsigned int index)
{
    const struct kvm_cpuid_entry2 *features = given(1, 0), *smt = given(0xb, 0);
    const struct kvm_cpuid_entry2 *core = given(0xb, 1);

    assert_int_equal(features->ebx >> 24, index);
    assert_int_equal(features->ebx >> 16 & 0xff, cpus);
    assert_int_equal(features->edx >> 28 & 1, cpus > 1); /* HTT */
    assert_int_equal(features->ecx >> 31, 1);            /* hypervisor */
    assert_int_equal(features->ecx >> 24 & 1, 1);        /* TSC deadline */
    assert_int_equal(smt->eax, 0);
    assert_int_equal(smt->ebx, 1);
    assert_int_equal(smt->ecx, 0x100);
    assert_int_equal(smt->edx, index);
    assert_int_equal(core->eax, bits);
    assert_int_equal(core->ebx, cpus);
    assert_int_equal(core->ecx, 0x201);
    assert_int_equal(core->edx, index);
    assert_true(smt->flags & core->flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX);
    assert_null(given(0x1f, 0));
}

static void topology_on_intel(void **state)
{
    (void)state;
    for (size_t i = 0; i < SIZES; i++) {
        for (unsigned int index = 0; index < sizes[i].cpus; index += 1 + sizes[i].cpus / 4) {
            uint32_t all = (1u << sizes[i].bits) - 1;

            fake_intel();
            give(sizes[i].cpus, index, TSC_KHZ);
            check_topology(sizes[i].cpus, sizes[i].bits, index);
            assert_int_equal(given(1, 0)->ebx & 0xffff, 0xffff);
            /* Bits 14 on: who shares the cache; bits 26 on: cores in the package. */
            assert_int_equal(given(4, 0)->eax, 0x0121 | all << 26);
            assert_int_equal(given(4, 1)->eax, 0x0143 | all << 26);
            assert_int_equal(given(4, 2)->eax, (0x7c163 & 0x3fff) | all << 14 | all << 26);
            assert_int_equal(given(4, 3)->eax, 0);
            assert_int_equal(given(0x80000008, 0)->eax, 0x302e);
            /* ECX is AMD's alone. */
            assert_int_equal(given(0x80000008, 0)->ecx, 0);
        }
    }
}

static void topology_on_amd(void **state)
{
    (void)state;
    for (size_t i = 0; i < SIZES; i++) {
        unsigned int cpus = sizes[i].cpus, index = cpus / 2;
        uint32_t all = (1u << sizes[i].bits) - 1;

        fake_amd();
        give(cpus, index, TSC_KHZ);
        check_topology(cpus, sizes[i].bits, index);
        assert_int_equal(given(0x80000008, 0)->ecx, (cpus - 1) | sizes[i].bits << 12);
        assert_int_equal(given(0x8000001d, 0)->eax, 0x121);
        assert_int_equal(given(0x8000001d, 3)->eax, 0x163 | all << 14);
        assert_int_equal(given(0x8000001e, 0)->eax, index);
        assert_int_equal(given(0x8000001e, 0)->ebx, index);
        assert_int_equal(given(0x8000001e, 0)->ecx, 0);
    }
}

static void no_deadline_timer_is_not_promised(void **state)
{
    (void)state;
    fake_intel();
    fake.no_deadline_timer = true;
    give(1, 0, TSC_KHZ);
    assert_int_equal(given(1, 0)->ecx >> 24 & 1, 0);
}

static void no_performance_counters(void **state)
{
    (void)state;
    fake_intel();
    give(1, 0, TSC_KHZ);
    assert_int_equal(given(0xa, 0)->eax | given(0xa, 0)->edx, 0);
}

static void tsc_leaf_on_intel(void **state)
{
    const struct kvm_cpuid_entry2 *tsc;

    (void)state;
    fake_intel();
    give(1, 0, TSC_KHZ);
    tsc = given(0x15, 0);
    assert_non_null(tsc);
    assert_true((uint64_t)tsc->ecx * tsc->ebx / tsc->eax == TSC_KHZ * 1000ull);
    assert_int_equal(given(0, 0)->eax, 0x15);

    fake_intel();
    fake.supported[0].eax = 0x1f;
    add(0x15, 0, 2, 242, 0, 0);
    give(1, 0, TSC_KHZ);
    assert_int_equal(given(0, 0)->eax, 0x1f);
    assert_int_equal(given(0x15, 0)->ebx, TSC_KHZ);
}

static void no_tsc_leaf_on_amd(void **state)
{
    (void)state;
    fake_amd();
    give(1, 0, TSC_KHZ);
    assert_null(given(0x15, 0));
    assert_int_equal(given(0, 0)->eax, 0x10);
}

static void hypervisor_leaf_gives_frequencies(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        if (i == 0)
            fake_intel();
        else
            fake_amd();
        give(1, 0, TSC_KHZ);
        assert_int_equal(given(0x40000000, 0)->eax, 0x40000010);
        assert_int_equal(given(0x40000000, 0)->ebx, 0x4b4d564b);
        assert_int_equal(given(0x40000001, 0)->eax, 0x01007efb);
        assert_int_equal(given(0x40000010, 0)->eax, TSC_KHZ);
        assert_int_equal(given(0x40000010, 0)->ebx, 1000000);
    }
}

static void unknown_frequency_is_not_told(void **state)
{
    (void)state;
    fake_intel();
    give(1, 0, 0);
    assert_null(given(0x15, 0));
    assert_null(given(0x40000010, 0));
    assert_int_equal(given(0, 0)->eax, 0x0d);
    assert_int_equal(given(0x40000000, 0)->eax, 0x40000001);
}

/* KVM's own table may be full; what is added must not be written behind ours. */
static void full_table_is_refused_by_kvm(void **state)
{
    const struct kvm kvm = { .fd = KVM_FD, .vm_fd = -1 };
    struct cpuid_template *cpuid = NULL;
    struct error error = ERROR_INIT;

    (void)state;
    fake_intel();
    while (fake.supported_count < ENTRIES_MAX)
        add(0x12, fake.supported_count, 0, 0, 0, 0);
    assert_int_equal(cpuid_create(&cpuid, &kvm, 64, TSC_KHZ, &error), 0);
    /* 256 - 3 of topology + 2 + timing + TSC = 257 */
    loading_assert_error(cpuid_set(cpuid, VCPU_FD, 0, &error), &error, E2BIG,
                         "vCPU 0: KVM_SET_CPUID2: Argument list too long");
    free(cpuid);

    fake.supported_count--;
    give(64, 63, TSC_KHZ);
    assert_int_equal(fake.given_count, ENTRIES_MAX);
}

static void empty_table(void **state)
{
    (void)state;
    memset(&fake, 0, sizeof(fake));
    give(4, 3, TSC_KHZ);
    assert_int_equal(fake.given_count, 2);
    assert_int_equal(given(0xb, 1)->ebx, 4);
}

static void errors_of_kvm_are_reported(void **state)
{
    const struct kvm kvm = { .fd = KVM_FD, .vm_fd = -1 };
    struct cpuid_template *cpuid = NULL;
    struct error error = ERROR_INIT;

    (void)state;
    fake_intel();
    fake.get_error = ENOMEM;
    loading_assert_error(cpuid_create(&cpuid, &kvm, 1, 0, &error), &error, ENOMEM,
                         "KVM_GET_SUPPORTED_CPUID: Cannot allocate memory");
    assert_null(cpuid);
    fake.get_error = 0;
    assert_int_equal(cpuid_create(&cpuid, &kvm, 1, 0, &error), 0);
    fake.set_error = EINVAL;
    loading_assert_error(cpuid_set(cpuid, VCPU_FD, 0, &error), &error, EINVAL,
                         "vCPU 0: KVM_SET_CPUID2: Invalid argument");
    fake.set_error = EAGAIN; /* for ever: the tries are bounded */
    loading_assert_error(cpuid_set(cpuid, VCPU_FD, 0, &error), &error, EAGAIN, "KVM_SET_CPUID2");
    free(cpuid);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(topology_on_intel),
        cmocka_unit_test(topology_on_amd),
        cmocka_unit_test(no_deadline_timer_is_not_promised),
        cmocka_unit_test(no_performance_counters),
        cmocka_unit_test(tsc_leaf_on_intel),
        cmocka_unit_test(no_tsc_leaf_on_amd),
        cmocka_unit_test(hypervisor_leaf_gives_frequencies),
        cmocka_unit_test(unknown_frequency_is_not_told),
        cmocka_unit_test(full_table_is_refused_by_kvm),
        cmocka_unit_test(empty_table),
        cmocka_unit_test(errors_of_kvm_are_reported),
    };

    return cmocka_run_group_tests_name("cpuid", tests, NULL, NULL);
}
