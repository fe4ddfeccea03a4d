/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The vCPUs' state between real KVM and a snapshot: what was saved comes back,
 * what was altered is refused in words or taken by KVM, and hosts that lack
 * something are named.  Skipped where there is no KVM.
 */
#include <errno.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/support/fixture.h"
#include "tests/support/saved.h"
#include "vmm/config/config.h"
#include "vmm/monitor/arch/arch.h"
#include "vmm/base/cleanup.h"
#include "vmm/monitor/kvm.h"
#include "vmm/machine/state.h"

#define CPUS 2
#define MEMORY (2u << 20)

struct tiny {
    struct kvm kvm;
    struct bus mmio;
    struct log log;
    struct arch_vm *arch;
    struct guest_memory *memory;
    int vcpus[CPUS];
};

static void make(struct tiny *tiny)
{
    struct guest_range range = { .address = 0, .size = MEMORY };
    struct error error = ERROR_INIT;
    struct guest_slice slice;

    *tiny = (struct tiny){ .kvm = KVM_INIT, .log = memory_log(LOG_INFO) };
    if (access(KVM_DEFAULT_PATH, R_OK | W_OK) < 0)
        skip();
    assert_int_equal(guest_memory_create(&tiny->memory, &range, 1, &error), 0);
    assert_int_equal(kvm_open(&tiny->kvm, KVM_DEFAULT_PATH, &error), 0);
    assert_int_equal(kvm_create_vm(&tiny->kvm, &error), 0);
    assert_int_equal(arch_vm_create(&tiny->arch, &tiny->kvm, &tiny->mmio, 0, &tiny->log,
                                    &error), 0);
    assert_int_equal(guest_memory_slice(tiny->memory, 0, MEMORY, &slice), 0);
    assert_int_equal(kvm_add_memory(&tiny->kvm, 0, 0, MEMORY, slice.bytes, &error), 0);
    for (unsigned int i = 0; i < CPUS; i++) {
        tiny->vcpus[i] = kvm_create_vcpu(&tiny->kvm, i, &error);
        assert_true(tiny->vcpus[i] >= 0);
    }
}

/* As a kernel would be entered, with numbers in its registers. */
static void set_up(struct tiny *tiny)
{
    struct machine machine = { .memory = tiny->memory, .cpu_count = CPUS };
    struct error error = ERROR_INIT;

    for (unsigned int i = 0; i < CPUS; i++) {
        struct kvm_regs regs = { .rax = 0x1111 + i, .r15 = 0x2222 + i, .rip = 0x100000, .rflags = 2 };

        assert_int_equal(arch_vcpu_setup(tiny->arch, tiny->vcpus[i], i, &machine, &error), 0);
        assert_int_equal(kvm_ioctl(tiny->vcpus[i], KVM_SET_REGS, (uintptr_t)&regs), 0);
    }
}

static void take_down(struct tiny *tiny)
{
    for (unsigned int i = 0; i < CPUS; i++)
        close(tiny->vcpus[i]);
    arch_vm_destroy(tiny->arch);
    kvm_close(&tiny->kvm);
    guest_memory_destroy(tiny->memory);
    close(tiny->log.fd);
}

static int transfer(struct tiny *tiny, struct state *state, struct error *error)
{
    arch_vm_state(tiny->arch, tiny->vcpus[0], CPUS, state);
    for (unsigned int i = 0; i < CPUS; i++)
        arch_vcpu_state(tiny->arch, tiny->vcpus[i], i, state);
    return state_finish(state, error);
}

static struct saved save(struct tiny *tiny)
{
    struct error error = ERROR_INIT;
    struct saved saved;
    struct state *state;
    const void *bytes;

    assert_int_equal(state_create(&state, &error), 0);
    if (transfer(tiny, state, &error) < 0)
        fail_msg("%s", error.message);
    bytes = state_saved(state, &saved.length);
    saved.bytes = malloc(saved.length);
    assert_non_null(saved.bytes);
    memcpy(saved.bytes, bytes, saved.length);
    state_destroy(state);
    return saved;
}

static int load(struct tiny *tiny, const struct saved *saved, struct error *error)
{
    struct state *state;
    int result;

    *error = (struct error)ERROR_INIT;
    assert_int_equal(state_open(&state, saved->bytes, saved->length, error), 0);
    result = transfer(tiny, state, error);
    state_destroy(state);
    return result;
}

static struct saved save_new(void)
{
    struct tiny tiny;
    struct saved saved;

    make(&tiny);
    set_up(&tiny);
    saved = save(&tiny);
    take_down(&tiny);
    return saved;
}

static void what_was_saved_comes_back(void **unused)
{
    struct saved saved = save_new();
    struct error error;
    struct tiny tiny;

    (void)unused;
    make(&tiny);
    if (load(&tiny, &saved, &error) < 0)
        fail_msg("%s", error.message);
    for (unsigned int i = 0; i < CPUS; i++) {
        struct kvm_regs regs;
        struct kvm_sregs sregs;
        struct kvm_mp_state mp;

        assert_int_equal(kvm_ioctl(tiny.vcpus[i], KVM_GET_REGS, (uintptr_t)&regs), 0);
        assert_int_equal(kvm_ioctl(tiny.vcpus[i], KVM_GET_SREGS, (uintptr_t)&sregs), 0);
        assert_int_equal(kvm_ioctl(tiny.vcpus[i], KVM_GET_MP_STATE, (uintptr_t)&mp), 0);
        assert_int_equal(regs.rax, 0x1111 + i);
        assert_int_equal(regs.r15, 0x2222 + i);
        assert_int_equal(regs.rip, 0x100000);
        assert_int_equal(mp.mp_state, i == 0 ? KVM_MP_STATE_RUNNABLE : KVM_MP_STATE_UNINITIALIZED);
        assert_int_equal(sregs.cr0 & 1, i == 0);
    }
    take_down(&tiny);
    saved_release(&saved);
}

/* Every section cut, every field of every section altered: refused by a name, or a value that KVM takes. */
static void altered_states_are_refused(void **unused)
{
    static const uint8_t values[] = { 0x00, 0x01, 0x7f, 0xff };
    struct saved good = save_new();
    struct saved_section section;
    unsigned int refused = 0, taken = 0;

    (void)unused;
    for (size_t number = 0; saved_section(&good, number, &section); number++) {
        size_t step = section.length / 97 + 1;

        for (size_t at = 0; at < section.length; at += step) {
            struct saved altered = saved_copy(&good);
            struct saved_section place;
            struct error error;
            struct tiny tiny;

            assert_true(saved_section(&altered, number, &place));
            place.content[at] ^= values[at / step % 4] ? values[at / step % 4] : 0x80;
            saved_seal(&altered);
            make(&tiny);
            if (load(&tiny, &altered, &error) < 0) {
                refused++;
                assert_int_equal(strncmp(error.message, "snapshot: ", 10) == 0 ||
                                 strstr(error.message, "KVM_SET_CPUID2") != NULL, 1);
            } else {
                taken++;
            }
            take_down(&tiny);
            saved_release(&altered);
        }
    }
    print_message("%u refused, %u taken by KVM\n", refused, taken);
    assert_true(refused > 30);
    saved_release(&good);
}

/* One field of a section at OFFSET of its content becomes VALUE, and the state is refused for TEXT. */
static void refuses(const char *name, size_t offset, uint32_t value, const char *text)
{
    struct saved altered = save_new();
    struct saved_section section = saved_find(&altered, name);
    struct error error;
    struct tiny tiny;

    assert_true(offset + sizeof(value) <= section.length);
    memcpy(section.content + offset, &value, sizeof(value));
    saved_seal(&altered);
    make(&tiny);
    assert_true(load(&tiny, &altered, &error) < 0);
    if (!strstr(error.message, text))
        fail_msg("'%s' does not say '%s'", error.message, text);
    take_down(&tiny);
    saved_release(&altered);
}

/* Where register REG (EAX is 0) of leaf FUNCTION stands in the section. */
static size_t leaf_place(uint32_t function, unsigned int reg)
{
    struct saved saved = save_new();
    struct saved_section section = saved_find(&saved, "cpuid");
    size_t found = 0;

    for (size_t at = 8; at + 28 <= section.length && !found; at += 28) {
        uint32_t value;

        memcpy(&value, section.content + at, sizeof(value));
        if (value == function)
            found = at + 12 + 4 * reg;
    }
    assert_true(found > 0);
    saved_release(&saved);
    return found;
}

static void foreign_processors_are_named(void **unused)
{
    (void)unused;
    refuses("cpuid", leaf_place(0, 1), 0x21212121, "of another maker");
    refuses("cpuid", leaf_place(1, 2), UINT32_MAX, "the processor's feature '");
    refuses("cpuid", leaf_place(7, 1), UINT32_MAX, "the processor's feature '");
    refuses("vcpu", 0, 0, "the TSC's frequency");
    refuses("vcpu", 4, 99, "the multiprocessing state");
}

static void the_wall_clock_goes_on(void **unused)
{
    struct saved saved = save_new();
    struct saved_section section = saved_find(&saved, "clock");
    struct kvm_clock_data before = { .clock = 0 }, after = { .clock = 0 };
    struct error error;
    struct tiny tiny;
    uint64_t wall, guest;

    (void)unused;
    memcpy(&wall, section.content, 8);
    memcpy(&guest, section.content + 8, 8);
    before.clock = guest;
    wall -= 3600ull * 1000000000u; /* an hour ago */
    memcpy(section.content, &wall, 8);
    saved_seal(&saved);
    make(&tiny);
    assert_int_equal(load(&tiny, &saved, &error), 0);
    assert_int_equal(kvm_ioctl(tiny.kvm.vm_fd, KVM_GET_CLOCK, (uintptr_t)&after), 0);
    assert_true(after.clock - before.clock >= 3600ull * 1000000000u);
    assert_true(after.clock - before.clock < 3660ull * 1000000000u);
    take_down(&tiny);
    saved_release(&saved);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_saved_comes_back),
        cmocka_unit_test(altered_states_are_refused),
        cmocka_unit_test(foreign_processors_are_named),
        cmocka_unit_test(the_wall_clock_goes_on),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
