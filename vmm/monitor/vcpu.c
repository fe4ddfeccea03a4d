/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/monitor/vcpu.h"

#include <errno.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vmm/monitor/arch/arch.h"
#include "vmm/base/fault_signals.h"

/* The signal that brings a thread out of KVM_RUN; its handler does nothing. */
#define KICK_SIGNAL SANDBOX_KICK_SIGNAL

/* A vCPU's loop needs little; the default of 8 MiB would only cost address space. */
#define STACK_SIZE (256u << 10)

struct vcpu {
    struct vcpus *all;
    unsigned int index;
    int fd;
    struct kvm_run *run;
    bool started;
    pthread_t thread;
};

struct vcpus {
    struct vcpu_env env;
    atomic_bool stopping;
    atomic_bool parking;  /* all threads shall park; changed with LOCK held */
    pthread_mutex_t gate; /* held while threads are made: none runs the guest before all are */
    pthread_mutex_t lock; /* guards `running`; innermost */
    pthread_cond_t changed; /* a thread parked or ended; or those that park shall go on */
    unsigned int running; /* threads that neither park nor have ended */
    unsigned int count;
    struct vcpu cpus[];
};

static void kicked(int signal)
{
    (void)signal;
}

static int create_vcpu(struct vcpus *vcpus, unsigned int index, struct error *error)
{
    struct vcpu *vcpu = &vcpus->cpus[index];
    void *run;

    vcpu->all = vcpus;
    vcpu->index = index;
    vcpu->fd = kvm_create_vcpu(vcpus->env.kvm, index, error);
    if (vcpu->fd < 0)
        return vcpu->fd;
    vcpus->count++;
    run = mmap(NULL, vcpus->env.kvm->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu->fd, 0);
    if (run == MAP_FAILED)
        return error_system(error, errno, "vCPU %u: mmap of kvm_run", index);
    vcpu->run = run;
    return 0;
}

int vcpus_create(struct vcpus **vcpus, const struct vcpu_env *env, unsigned int count,
                 struct error *error)
{
    struct vcpus *created = calloc(1, sizeof(*created) + count * sizeof(created->cpus[0]));
    struct sigaction action = { .sa_handler = kicked };

    if (!created)
        return error_system(error, ENOMEM, "vCPUs");
    created->env = *env;
    pthread_mutex_init(&created->gate, NULL);
    pthread_mutex_init(&created->lock, NULL);
    pthread_cond_init(&created->changed, NULL);
    sigaction(KICK_SIGNAL, &action, NULL);
    for (unsigned int i = 0; i < count; i++) {
        int result = create_vcpu(created, i, error);

        if (result < 0) {
            vcpus_destroy(created);
            return result;
        }
    }
    *vcpus = created;
    return 0;
}

int vcpus_fd(const struct vcpus *vcpus, unsigned int index)
{
    return vcpus->cpus[index].fd;
}

static bool failed(struct vcpu *vcpu, const char *what, unsigned long long detail)
{
    struct log *log = vcpu->all->env.log;

    log_error(log, "vCPU %u: %s (0x%llx); registers:", vcpu->index, what, detail);
    arch_vcpu_dump(vcpu->fd, log);
    vcpu->all->env.ended(vcpu->all->env.context, VCPU_FAILED);
    return false;
}

static bool ended(struct vcpu *vcpu, enum vcpu_end end)
{
    vcpu->all->env.ended(vcpu->all->env.context, end);
    return false;
}

static bool internal_error(struct vcpu *vcpu)
{
    struct kvm_run *run = vcpu->run;

    switch (run->internal.suberror) {
    case KVM_INTERNAL_ERROR_EMULATION:
        return failed(vcpu, "KVM cannot emulate the guest's instruction", run->internal.suberror);
    case KVM_INTERNAL_ERROR_DELIVERY_EV:
        return failed(vcpu, "KVM cannot deliver an event to the guest", run->internal.suberror);
    default:
        return failed(vcpu, "KVM internal error", run->internal.suberror);
    }
}

static bool system_event(struct vcpu *vcpu)
{
    switch (vcpu->run->system_event.type) {
    case KVM_SYSTEM_EVENT_SHUTDOWN:
        return ended(vcpu, VCPU_SYSTEM_OFF);
    case KVM_SYSTEM_EVENT_RESET:
        return ended(vcpu, VCPU_SYSTEM_RESET);
    case KVM_SYSTEM_EVENT_CRASH:
        return ended(vcpu, VCPU_SYSTEM_CRASH);
    default:
        return failed(vcpu, "unknown system event", vcpu->run->system_event.type);
    }
}

/* Serves one exit; false ends the loop. */
static bool handle_exit(struct vcpu *vcpu)
{
    struct vcpu_env *env = &vcpu->all->env;
    struct kvm_run *run = vcpu->run;

    switch (run->exit_reason) {
    case KVM_EXIT_MMIO:
        if (run->mmio.len > sizeof(run->mmio.data))
            return failed(vcpu, "MMIO exit of an impossible length", run->mmio.len);
        if (run->mmio.is_write)
            bus_write(env->mmio, run->mmio.phys_addr, run->mmio.data, run->mmio.len);
        else
            bus_read(env->mmio, run->mmio.phys_addr, run->mmio.data, run->mmio.len);
        return true;
    case KVM_EXIT_INTR:
        return true;
    case KVM_EXIT_SHUTDOWN:
        return ended(vcpu, VCPU_SHUTDOWN);
    case KVM_EXIT_SYSTEM_EVENT:
        return system_event(vcpu);
    case KVM_EXIT_FAIL_ENTRY:
        return failed(vcpu, "the processor refuses to enter the guest",
                      run->fail_entry.hardware_entry_failure_reason);
    case KVM_EXIT_INTERNAL_ERROR:
        return internal_error(vcpu);
    default:
        return arch_vcpu_exit(env->arch, run, env->kvm->run_size, env->ports) ||
               failed(vcpu, "unknown exit reason", run->exit_reason);
    }
}

/* Until vcpus_resume() or vcpus_stop(). */
static void park(struct vcpus *vcpus)
{
    pthread_mutex_lock(&vcpus->lock);
    vcpus->running--;
    pthread_cond_broadcast(&vcpus->changed);
    while (atomic_load(&vcpus->parking) && !atomic_load(&vcpus->stopping))
        pthread_cond_wait(&vcpus->changed, &vcpus->lock);
    vcpus->running++;
    pthread_mutex_unlock(&vcpus->lock);
}

static void leave(struct vcpus *vcpus)
{
    pthread_mutex_lock(&vcpus->lock);
    vcpus->running--;
    pthread_cond_broadcast(&vcpus->changed);
    pthread_mutex_unlock(&vcpus->lock);
}

/* Why KVM_RUN failed; EFAULT is a page of memory that the host cannot supply. */
static const char *run_error(int number)
{
    return number == EFAULT ? "the host cannot supply the guest's memory, as if a file behind it "
                              "was cut short"
                            : strerror(number);
}

static void *vcpu_main(void *context)
{
    struct vcpu *vcpu = context;
    bool go_on = true;

    pthread_setname_np(pthread_self(), "mote-vcpu");
    sandbox_thread(vcpu->all->env.sandbox, SANDBOX_VCPU);
    pthread_mutex_lock(&vcpu->all->gate);
    pthread_mutex_unlock(&vcpu->all->gate);
    while (go_on && !atomic_load_explicit(&vcpu->all->stopping, memory_order_acquire)) {
        /* Not kvm_ioctl(): EINTR is the kick, and EAGAIN tells that a waiting
         * vCPU was woken; both lead back to the loop's condition. */
        if (ioctl(vcpu->fd, KVM_RUN, 0) == 0)
            go_on = handle_exit(vcpu);
        else if (errno != EINTR && errno != EAGAIN)
            go_on = failed(vcpu, run_error(errno), (unsigned long long)errno);
        else if (errno == EINTR && atomic_load(&vcpu->all->parking))
            /* Only here: by now KVM has finished the instruction of the last exit. */
            park(vcpu->all);
    }
    leave(vcpu->all);
    return NULL;
}

/* Only the kick reaches a vCPU's thread; all else is the event loop's. */
static int start_thread(struct vcpu *vcpu, const pthread_attr_t *attributes)
{
    sigset_t all_but_kick, before;
    int result;

    fill_but_faults(&all_but_kick);
    sigdelset(&all_but_kick, KICK_SIGNAL);
    pthread_sigmask(SIG_SETMASK, &all_but_kick, &before);
    result = pthread_create(&vcpu->thread, attributes, vcpu_main, vcpu);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    vcpu->started = result == 0;
    if (result == 0)
        vcpu->all->running++;
    return result;
}

int vcpus_start(struct vcpus *vcpus, struct error *error)
{
    pthread_attr_t attributes;
    int result = 0;

    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_SIZE);
    pthread_mutex_lock(&vcpus->gate);
    pthread_mutex_lock(&vcpus->lock);
    for (unsigned int i = 0; i < vcpus->count && result == 0; i++)
        result = start_thread(&vcpus->cpus[i], &attributes);
    pthread_mutex_unlock(&vcpus->lock);
    pthread_attr_destroy(&attributes);
    if (result == 0)
        sandbox_thread(vcpus->env.sandbox, SANDBOX_CONTROL);
    else
        atomic_store_explicit(&vcpus->stopping, true, memory_order_release);
    pthread_mutex_unlock(&vcpus->gate);
    if (result != 0) {
        vcpus_stop(vcpus);
        return error_set(error, result, "vCPU threads: %s; give fewer --cpus", strerror(result));
    }
    return 0;
}

/* Brings all out of KVM_RUN. */
static void kick(struct vcpus *vcpus)
{
    for (unsigned int i = 0; i < vcpus->count; i++) {
        struct vcpu *vcpu = &vcpus->cpus[i];

        if (!vcpu->started)
            continue;
        /* immediate_exit covers the moment between the check and KVM_RUN. */
        __atomic_store_n(&vcpu->run->immediate_exit, 1, __ATOMIC_RELEASE);
        pthread_kill(vcpu->thread, KICK_SIGNAL);
    }
}

void vcpus_pause(struct vcpus *vcpus)
{
    pthread_mutex_lock(&vcpus->lock);
    atomic_store(&vcpus->parking, true);
    pthread_mutex_unlock(&vcpus->lock);
    kick(vcpus);
    pthread_mutex_lock(&vcpus->lock);
    while (vcpus->running > 0)
        pthread_cond_wait(&vcpus->changed, &vcpus->lock);
    pthread_mutex_unlock(&vcpus->lock);
}

void vcpus_resume(struct vcpus *vcpus)
{
    for (unsigned int i = 0; i < vcpus->count; i++)
        __atomic_store_n(&vcpus->cpus[i].run->immediate_exit, 0, __ATOMIC_RELEASE);
    pthread_mutex_lock(&vcpus->lock);
    atomic_store(&vcpus->parking, false);
    pthread_cond_broadcast(&vcpus->changed);
    pthread_mutex_unlock(&vcpus->lock);
}

void vcpus_stop(struct vcpus *vcpus)
{
    pthread_mutex_lock(&vcpus->lock);
    atomic_store_explicit(&vcpus->stopping, true, memory_order_release);
    pthread_cond_broadcast(&vcpus->changed);
    pthread_mutex_unlock(&vcpus->lock);
    kick(vcpus);
    for (unsigned int i = 0; i < vcpus->count; i++) {
        if (!vcpus->cpus[i].started)
            continue;
        pthread_join(vcpus->cpus[i].thread, NULL);
        vcpus->cpus[i].started = false;
    }
}

void vcpus_destroy(struct vcpus *vcpus)
{
    if (!vcpus)
        return;
    vcpus_stop(vcpus);
    for (unsigned int i = 0; i < vcpus->count; i++) {
        if (vcpus->cpus[i].run)
            munmap(vcpus->cpus[i].run, vcpus->env.kvm->run_size);
        close(vcpus->cpus[i].fd);
    }
    pthread_mutex_destroy(&vcpus->gate);
    pthread_mutex_destroy(&vcpus->lock);
    pthread_cond_destroy(&vcpus->changed);
    free(vcpus);
}
