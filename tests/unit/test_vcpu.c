/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a vCPU's thread makes of each exit.  KVM_RUN is replaced at link time
 * (--wrap) by a list of exits to give, one a call; after the last one it
 * behaves like a guest that halts: it returns when a signal comes.
 */
#include <errno.h>
#include <linux/kvm.h>
#include <semaphore.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "tests/support/fixture.h"
#include "vmm/monitor/vcpu.h"

#define RUN_SIZE 12288
#define NO_END (-1)
#define HALTED 0x10000 /* this list is through; seen as an end by the tests */

struct step {
    int number; /* the errno of KVM_RUN, 0 for an exit */
    struct kvm_run run;
    void (*check)(const struct kvm_run *run); /* before the next call */
};

static struct {
    const struct step *steps;
    unsigned int count;
    atomic_uint calls;
    atomic_int end;
    sem_t ended;
    struct kvm_run *run;
} fake;

static int run_next(void)
{
    unsigned int call = atomic_fetch_add(&fake.calls, 1);
    const struct step *step;
    uint8_t immediate_exit;

    if (call > 0 && call <= fake.count && fake.steps[call - 1].check)
        fake.steps[call - 1].check(fake.run);
    if (call >= fake.count) {
        if (call == fake.count) {
            atomic_store(&fake.end, HALTED);
            sem_post(&fake.ended);
        }
        nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
        errno = EINTR;
        return -1;
    }
    step = &fake.steps[call];
    if (step->number) {
        errno = step->number;
        return -1;
    }
    immediate_exit = __atomic_load_n(&fake.run->immediate_exit, __ATOMIC_ACQUIRE);
    *fake.run = step->run;
    fake.run->immediate_exit = immediate_exit;
    return 0;
}

static int create_vcpu(void)
{
    int fd = memfd_create("vcpu", MFD_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, RUN_SIZE), 0);
    fake.run = mmap(NULL, RUN_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    assert_ptr_not_equal(fake.run, MAP_FAILED);
    return fd;
}

int __wrap_ioctl(int fd, unsigned long request, ...);

int __wrap_ioctl(int fd, unsigned long request, ...)
{
    va_list arguments;
    void *argument;

    (void)fd;
    va_start(arguments, request);
    argument = va_arg(arguments, void *);
    va_end(arguments);
    switch (request) {
    case KVM_CREATE_VCPU:
        return create_vcpu();
    case KVM_RUN:
        return run_next();
    case KVM_GET_REGS:
        memset(argument, 0, sizeof(struct kvm_regs));
        ((struct kvm_regs *)argument)->rip = 0xfeedface;
        return 0;
    case KVM_GET_SREGS:
        memset(argument, 0, sizeof(struct kvm_sregs));
        return 0;
    default:
        errno = ENOTTY;
        return -1;
    }
}

static void ended(void *context, enum vcpu_end end)
{
    (void)context;
    atomic_store(&fake.end, (int)end);
    sem_post(&fake.ended);
}

/* Runs a vCPU through STEPS; its end must be WANTED and its log hold TEXT. */
static void run_steps(const struct step *steps, unsigned int count, int wanted, const char *text)
{
    struct kvm kvm = { .fd = -1, .vm_fd = -1, .run_size = RUN_SIZE };
    struct bus mmio = { .count = 0 }, ports = { .count = 0 };
    struct log log = memory_log(LOG_INFO);
    struct vcpu_env env = {
        .kvm = &kvm, .mmio = &mmio, .ports = &ports, .log = &log, .ended = ended,
    };
    struct error error = ERROR_INIT;
    struct vcpus *vcpus = NULL;
    char lines[4096];
    unsigned int calls;

    fake.steps = steps;
    fake.count = count;
    atomic_store(&fake.calls, 0);
    atomic_store(&fake.end, NO_END);
    assert_int_equal(sem_init(&fake.ended, 0, 0), 0);
    assert_int_equal(vcpus_create(&vcpus, &env, 1, &error), 0);
    assert_int_equal(vcpus_start(vcpus, &error), 0);
    sem_wait(&fake.ended);
    vcpus_stop(vcpus);
    calls = atomic_load(&fake.calls);
    assert_int_equal(atomic_load(&fake.end), wanted);
    /* An end is reported once, and nothing runs after it. */
    assert_int_equal(sem_trywait(&fake.ended), -1);
    if (wanted != HALTED)
        assert_int_equal(calls, count);
    memory_log_text(&log, lines, sizeof(lines));
    if (text && !strstr(lines, text))
        fail_msg("'%s' is missing in the log: %s", text, lines);
    if (!text)
        assert_string_equal(lines, "");
    if (wanted == VCPU_FAILED)
        assert_non_null(strstr(lines, "rip 00000000feedface"));
    munmap(fake.run, RUN_SIZE);
    vcpus_destroy(vcpus);
    close(log.fd);
}

static void run_one(struct kvm_run run, int wanted, const char *text)
{
    const struct step step = { .run = run };

    run_steps(&step, 1, wanted, text);
}

/* Parked, no thread is in KVM_RUN, until it is told to go on. */
static void test_pause(void **state)
{
    struct kvm kvm = { .fd = -1, .vm_fd = -1, .run_size = RUN_SIZE };
    struct bus mmio = { .count = 0 }, ports = { .count = 0 };
    struct log log = memory_log(LOG_INFO);
    struct vcpu_env env = {
        .kvm = &kvm, .mmio = &mmio, .ports = &ports, .log = &log, .ended = ended,
    };
    const struct step exits[] = {
        { .run = { .exit_reason = KVM_EXIT_MMIO, .mmio.len = 4 } },
        { .run = { .exit_reason = KVM_EXIT_MMIO, .mmio.len = 4 } },
    };
    struct error error = ERROR_INIT;
    struct vcpus *vcpus = NULL;
    unsigned int before;

    (void)state;
    fake.steps = exits;
    fake.count = 2;
    atomic_store(&fake.calls, 0);
    atomic_store(&fake.end, NO_END);
    assert_int_equal(sem_init(&fake.ended, 0, 0), 0);
    assert_int_equal(vcpus_create(&vcpus, &env, 1, &error), 0);
    vcpus_pause(vcpus); /* before there is a thread */
    vcpus_resume(vcpus);
    assert_int_equal(vcpus_start(vcpus, &error), 0);
    for (int round = 0; round < 50; round++) {
        vcpus_pause(vcpus);
        vcpus_pause(vcpus); /* once more is no harm */
        before = atomic_load(&fake.calls);
        nanosleep(&(struct timespec){ .tv_nsec = 3000000 }, NULL);
        assert_int_equal(atomic_load(&fake.calls), before);
        assert_int_equal(fake.run->immediate_exit, 1);
        vcpus_resume(vcpus);
        while (atomic_load(&fake.calls) == before)
            nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
    }
    vcpus_pause(vcpus);
    vcpus_stop(vcpus); /* a thread that parks ends, too */
    munmap(fake.run, RUN_SIZE);
    vcpus_destroy(vcpus);
    close(log.fd);
}

static void test_internal_errors(void **state)
{
    struct kvm_run run = { .exit_reason = KVM_EXIT_INTERNAL_ERROR };

    (void)state;
    run.internal.suberror = KVM_INTERNAL_ERROR_EMULATION;
    run_one(run, VCPU_FAILED, "cannot emulate");
    run.internal.suberror = KVM_INTERNAL_ERROR_DELIVERY_EV;
    run_one(run, VCPU_FAILED, "cannot deliver an event");
    run.internal.suberror = 0x1234;
    run.internal.ndata = UINT32_MAX;
    run_one(run, VCPU_FAILED, "KVM internal error (0x1234)");
}

static void test_entry_fails(void **state)
{
    struct kvm_run run = { .exit_reason = KVM_EXIT_FAIL_ENTRY };

    (void)state;
    run.fail_entry.hardware_entry_failure_reason = 0x80000021;
    run_one(run, VCPU_FAILED, "refuses to enter the guest (0x80000021)");
}

static void test_unknown_exits(void **state)
{
    static const uint32_t reasons[] = {
        KVM_EXIT_UNKNOWN, KVM_EXIT_EXCEPTION, KVM_EXIT_HLT, KVM_EXIT_DEBUG, 77, UINT32_MAX,
    };

    (void)state;
    for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
        run_one((struct kvm_run){ .exit_reason = reasons[i] }, VCPU_FAILED, "unknown exit reason");
}

static void test_shutdown(void **state)
{
    (void)state;
    run_one((struct kvm_run){ .exit_reason = KVM_EXIT_SHUTDOWN }, VCPU_SHUTDOWN, NULL);
}

static void test_system_events(void **state)
{
    struct kvm_run run = { .exit_reason = KVM_EXIT_SYSTEM_EVENT };

    (void)state;
    run.system_event.type = KVM_SYSTEM_EVENT_SHUTDOWN;
    run_one(run, VCPU_SYSTEM_OFF, NULL);
    run.system_event.type = KVM_SYSTEM_EVENT_RESET;
    run_one(run, VCPU_SYSTEM_RESET, NULL);
    run.system_event.type = KVM_SYSTEM_EVENT_CRASH;
    run_one(run, VCPU_SYSTEM_CRASH, NULL);
    run.system_event.type = 99;
    run_one(run, VCPU_FAILED, "unknown system event (0x63)");
}

static void test_mmio_of_impossible_length(void **state)
{
    struct kvm_run run = { .exit_reason = KVM_EXIT_MMIO };

    (void)state;
    run.mmio.phys_addr = 0xd0000000;
    run.mmio.len = 9;
    run_one(run, VCPU_FAILED, "impossible length (0x9)");
    run.mmio.len = UINT32_MAX;
    run.mmio.is_write = 1;
    run_one(run, VCPU_FAILED, "impossible length");
}

static void mmio_reads_ones(const struct kvm_run *run)
{
    static const uint8_t ones[] = { 0xff, 0xff, 0xff, 0xff };

    assert_memory_equal(run->mmio.data, ones, 4);
    assert_int_equal(run->mmio.data[4], 0);
}

static void test_mmio_to_nothing(void **state)
{
    struct step steps[3] = {
        { .run.exit_reason = KVM_EXIT_MMIO, .check = mmio_reads_ones },
        { .run.exit_reason = KVM_EXIT_MMIO },
        { .run.exit_reason = KVM_EXIT_MMIO },
    };

    (void)state;
    steps[0].run.mmio.phys_addr = 0xd0000000;
    steps[0].run.mmio.len = 4;
    steps[1].run.mmio.phys_addr = UINT64_MAX;
    steps[1].run.mmio.len = 8;
    steps[2].run.mmio.phys_addr = UINT64_MAX - 3;
    steps[2].run.mmio.len = 8;
    steps[2].run.mmio.is_write = 1;
    run_steps(steps, 3, HALTED, NULL);
}

static void ports_read_ones(const struct kvm_run *run)
{
    const uint8_t *data = (const uint8_t *)run + RUN_SIZE - 8;

    for (size_t i = 0; i < 8; i++)
        assert_int_equal(data[i], 0xff);
}

static void test_port_exits(void **state)
{
    struct step step = { .run.exit_reason = KVM_EXIT_IO, .check = ports_read_ones };

    (void)state;
    step.run.io.direction = KVM_EXIT_IO_IN;
    step.run.io.port = 0xffff;
    step.run.io.size = 4;
    step.run.io.count = 2;
    step.run.io.data_offset = RUN_SIZE - 8;
    run_steps(&step, 1, HALTED, NULL);
}

/* KVM is trusted, but a kvm_run that is read wrongly must not lead out of it. */
static void test_port_data_outside(void **state)
{
    struct kvm_run run = { .exit_reason = KVM_EXIT_IO };

    (void)state;
    run.io.size = 4;
    run.io.count = 2;
    run.io.data_offset = RUN_SIZE - 7;
    run_one(run, VCPU_FAILED, "unknown exit reason");
    run.io.data_offset = UINT64_MAX - 3;
    run_one(run, VCPU_FAILED, "unknown exit reason");
    run.io.data_offset = 4096;
    run.io.count = UINT32_MAX;
    run_one(run, VCPU_FAILED, "unknown exit reason");
}

static void test_interruptions_go_on(void **state)
{
    const struct step steps[] = {
        { .number = EINTR },
        { .number = EAGAIN },
        { .run.exit_reason = KVM_EXIT_INTR },
        { .number = EINTR },
        { .run.exit_reason = KVM_EXIT_SHUTDOWN },
    };

    (void)state;
    run_steps(steps, 5, VCPU_SHUTDOWN, NULL);
}

static void test_run_fails(void **state)
{
    static const int numbers[] = { EFAULT, ENOMEM, ENOEXEC, EIO, EINVAL };

    (void)state;
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        const struct step step = { .number = numbers[i] };

        run_steps(&step, 1, VCPU_FAILED,
                  numbers[i] == EFAULT ? "cannot supply the guest's memory" : strerror(numbers[i]));
    }
}

static void test_stops_a_halted_guest(void **state)
{
    (void)state;
    run_steps(NULL, 0, HALTED, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pause),
        cmocka_unit_test(test_internal_errors),
        cmocka_unit_test(test_entry_fails),
        cmocka_unit_test(test_unknown_exits),
        cmocka_unit_test(test_shutdown),
        cmocka_unit_test(test_system_events),
        cmocka_unit_test(test_mmio_of_impossible_length),
        cmocka_unit_test(test_mmio_to_nothing),
        cmocka_unit_test(test_port_exits),
        cmocka_unit_test(test_port_data_outside),
        cmocka_unit_test(test_interruptions_go_on),
        cmocka_unit_test(test_run_fails),
        cmocka_unit_test(test_stops_a_halted_guest),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
