/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/config/config.h"
#include "vmm/monitor/kvm.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vmm/base/cleanup.h"
#include "vmm/base/page_size.h"
#include "vmm/machine/arch_facts.h"

#define IOCTL_TRIES 100

/* What Mote cannot do without, beyond the API version. */
static const struct {
    int number;
    const char *name;
} required_capabilities[] = {
    { KVM_CAP_USER_MEMORY, "KVM_CAP_USER_MEMORY" },
    { KVM_CAP_IMMEDIATE_EXIT, "KVM_CAP_IMMEDIATE_EXIT" },
    { KVM_CAP_MP_STATE, "KVM_CAP_MP_STATE" },
};

int kvm_ioctl(int fd, unsigned long request, uintptr_t argument)
{
    for (int tries = 0;; tries++) {
        int result = ioctl(fd, request, argument);

        if (result >= 0)
            return result;
        if ((errno != EINTR && errno != EAGAIN) || tries == IOCTL_TRIES)
            return -errno;
    }
}

int kvm_capability(const struct kvm *kvm, int number)
{
    int value = kvm_ioctl(kvm->fd, KVM_CHECK_EXTENSION, (uintptr_t)number);

    return value < 0 ? 0 : value;
}

static int open_failed(const char *path, int number, struct error *error)
{
    switch (number) {
    case ENOENT:
        return error_set(error, number,
                         "%s: no such file; load %s, or turn on "
                         "virtualization in the firmware ('mote doctor' tells more)",
                         path, arch_kvm_modules);
    case EACCES:
    case EPERM:
        return error_set(error, number,
                         "%s: permission denied; run 'sudo usermod -aG kvm $USER' and log in again "
                         "('mote doctor' tells more)",
                         path);
    case ENXIO:
    case ENODEV:
        return error_set(error, number,
                         "%s: the device has no driver; load %s", path, arch_kvm_modules);
    case ENOTDIR:
    case EISDIR:
    case ENAMETOOLONG:
    case ELOOP:
        return error_set(error, number, "%s: %s; the usual KVM device is %s", path,
                         strerror(number), KVM_DEFAULT_PATH);
    default:
        return error_system(error, number, "%s", path);
    }
}

static int check_version(const struct kvm *kvm, const char *path, struct error *error)
{
    int version = kvm_ioctl(kvm->fd, KVM_GET_API_VERSION, 0);

    if (version == -ENOTTY)
        return error_set(error, ENOTTY, "%s: is not a KVM device; the usual one is %s", path,
                         KVM_DEFAULT_PATH);
    if (version < 0)
        return error_system(error, -version, "%s: KVM_GET_API_VERSION", path);
    if (version != KVM_API_VERSION)
        return error_set(error, ENOSYS,
                         "%s: KVM API version %d, but Mote needs %d; use a newer host kernel", path,
                         version, KVM_API_VERSION);
    for (size_t i = 0; i < ARRAY_LENGTH(required_capabilities); i++)
        if (kvm_capability(kvm, required_capabilities[i].number) == 0)
            return error_set(error, ENOSYS,
                             "%s: this KVM lacks %s; use a host kernel of 4.13 or newer", path,
                             required_capabilities[i].name);
    return 0;
}

int kvm_open(struct kvm *kvm, const char *path, struct error *error)
{
    int size, result;

    *kvm = (struct kvm)KVM_INIT;
    kvm->fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (kvm->fd < 0)
        return open_failed(path, errno, error);
    result = check_version(kvm, path, error);
    if (result < 0) {
        kvm_close(kvm);
        return result;
    }
    size = kvm_ioctl(kvm->fd, KVM_GET_VCPU_MMAP_SIZE, 0);
    if (size < (int)sizeof(struct kvm_run)) {
        kvm_close(kvm);
        return error_set(error, EIO, "%s: KVM_GET_VCPU_MMAP_SIZE gave %d; use a newer host kernel",
                         path, size);
    }
    kvm->run_size = (size_t)size;
    return 0;
}

int kvm_create_vm(struct kvm *kvm, struct error *error)
{
    int fd = kvm_ioctl(kvm->fd, KVM_CREATE_VM, 0);

    if (fd < 0)
        return error_system(error, -fd, "KVM_CREATE_VM");
    kvm->vm_fd = fd;
    return 0;
}

void kvm_close(struct kvm *kvm)
{
    if (kvm->vm_fd >= 0)
        close(kvm->vm_fd);
    if (kvm->fd >= 0)
        close(kvm->fd);
    *kvm = (struct kvm)KVM_INIT;
}

int kvm_add_memory(struct kvm *kvm, uint32_t slot, uint64_t address, uint64_t size, void *host,
                   struct error *error)
{
    struct kvm_userspace_memory_region region = {
        .slot = slot,
        .guest_phys_addr = address,
        .memory_size = size,
        .userspace_addr = (uintptr_t)host,
    };
    int result = kvm_ioctl(kvm->vm_fd, KVM_SET_USER_MEMORY_REGION, (uintptr_t)&region);

    if (result < 0)
        return error_set(error, -result,
                         "guest memory of %llu MiB at 0x%llx: KVM refuses it (%s); "
                         "give a smaller --memory",
                         (unsigned long long)(size >> 20), (unsigned long long)address,
                         strerror(-result));
    return 0;
}

int kvm_show_page(struct kvm *kvm, uint32_t slot, uint64_t address, void *page)
{
    struct kvm_userspace_memory_region region = {
        .slot = slot,
        .flags = page ? KVM_MEM_READONLY : 0,
        .guest_phys_addr = address,
        .memory_size = page ? page_size() : 0,
        .userspace_addr = (uintptr_t)page,
    };

    return kvm_ioctl(kvm->vm_fd, KVM_SET_USER_MEMORY_REGION, (uintptr_t)&region);
}

int kvm_doorbell(struct kvm *kvm, uint64_t address, uint32_t value, int event_fd, bool attach)
{
    struct kvm_ioeventfd doorbell = {
        .datamatch = value,
        .addr = address,
        .len = sizeof(value),
        .fd = event_fd,
        .flags = KVM_IOEVENTFD_FLAG_DATAMATCH | (attach ? 0 : KVM_IOEVENTFD_FLAG_DEASSIGN),
    };

    return kvm_ioctl(kvm->vm_fd, KVM_IOEVENTFD, (uintptr_t)&doorbell);
}

int kvm_create_vcpu(struct kvm *kvm, unsigned int index, struct error *error)
{
    int fd = kvm_ioctl(kvm->vm_fd, KVM_CREATE_VCPU, index);

    if (fd == -EMFILE)
        return error_system(error, EMFILE, "vCPU %u: KVM_CREATE_VCPU", index);
    if (fd < 0)
        return error_set(error, -fd, "vCPU %u: KVM_CREATE_VCPU: %s; give fewer --cpus", index,
                         strerror(-fd));
    return fd;
}
