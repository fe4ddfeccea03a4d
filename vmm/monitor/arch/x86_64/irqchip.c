/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The VM's interrupt hardware: local APICs in the kernel, the IOAPIC here, no
 * PIC and no PIT.  ioapic.h gives the reasons, docs/start-time.md the figures.
 */

#include <errno.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <string.h>

#include "arch_vm.h"
#include "ioapic.h"
#include "layout.h"
#include "vmm/monitor/arch/arch.h"
#include "vmm/base/cleanup.h"

static const struct {
    int number;
    const char *name;
} required_capabilities[] = {
    { KVM_CAP_SPLIT_IRQCHIP, "KVM_CAP_SPLIT_IRQCHIP" },
    { KVM_CAP_SIGNAL_MSI, "KVM_CAP_SIGNAL_MSI" },
    { KVM_CAP_EXT_CPUID, "KVM_CAP_EXT_CPUID" },
    { KVM_CAP_GET_TSC_KHZ, "KVM_CAP_GET_TSC_KHZ" },
};

static void send_msi(void *context, uint64_t address, uint32_t data)
{
    struct arch_vm *arch = context;
    struct kvm_msi msi = {
        .address_lo = (uint32_t)address, .address_hi = (uint32_t)(address >> 32), .data = data,
    };

    /* A message to an APIC that is absent or off is lost, as on real hardware:
     * which one it goes to is the guest's choice. */
    kvm_ioctl(arch->kvm->vm_fd, KVM_SIGNAL_MSI, (uintptr_t)&msi);
}

static int set_up_kvm(struct kvm *kvm, struct error *error)
{
    struct kvm_enable_cap split = {
        .cap = KVM_CAP_SPLIT_IRQCHIP, .args = { LAYOUT_IOAPIC_PINS },
    };
    uint64_t identity_map = LAYOUT_IDENTITY_MAP_PAGE;
    int result;

    for (size_t i = 0; i < ARRAY_LENGTH(required_capabilities); i++)
        if (kvm_capability(kvm, required_capabilities[i].number) == 0)
            return error_set(error, ENOSYS,
                             "this KVM lacks %s; use a host kernel of 4.5 or newer",
                             required_capabilities[i].name);
    result = kvm_ioctl(kvm->vm_fd, KVM_SET_IDENTITY_MAP_ADDR, (uintptr_t)&identity_map);
    if (result < 0)
        return error_system(error, -result, "KVM_SET_IDENTITY_MAP_ADDR");
    result = kvm_ioctl(kvm->vm_fd, KVM_SET_TSS_ADDR, LAYOUT_TSS);
    if (result < 0)
        return error_system(error, -result, "KVM_SET_TSS_ADDR");
    result = kvm_ioctl(kvm->vm_fd, KVM_ENABLE_CAP, (uintptr_t)&split);
    if (result < 0)
        return error_system(error, -result, "KVM_CAP_SPLIT_IRQCHIP");
    return 0;
}

static unsigned int pins_for(size_t windows)
{
    if (windows > LAYOUT_VIRTIO_WINDOWS)
        windows = LAYOUT_VIRTIO_WINDOWS;
    if (LAYOUT_VIRTIO_GSI + windows < LAYOUT_IOAPIC_PINS_MIN)
        return LAYOUT_IOAPIC_PINS_MIN;
    return LAYOUT_VIRTIO_GSI + (unsigned int)windows;
}

int arch_vm_create(struct arch_vm **arch, struct kvm *kvm, struct bus *mmio, size_t windows,
                   struct log *log, struct error *error)
{
    struct arch_vm *created = calloc(1, sizeof(*created));
    struct ioapic_options options = {
        .pins = pins_for(windows), .send = send_msi, .context = created,
    };
    int result;

    if (!created)
        return error_system(error, ENOMEM, "virtual machine");
    created->kvm = kvm;
    created->log = log;
    if ((result = set_up_kvm(kvm, error)) < 0 ||
        (result = ioapic_ops.create(&created->ioapic, NULL, &options, error)) < 0 ||
        (result = bus_add(mmio, LAYOUT_IOAPIC, LAYOUT_IOAPIC_SIZE, created->ioapic, error)) < 0) {
        arch_vm_destroy(created);
        return result;
    }
    *arch = created;
    return 0;
}

void arch_vm_destroy(struct arch_vm *arch)
{
    if (!arch)
        return;
    if (arch->ioapic)
        ioapic_ops.destroy(arch->ioapic);
    free(arch->cpuid);
    free(arch);
}

struct irq_line arch_irq_line(struct arch_vm *arch, uint32_t number)
{
    return ioapic_line(arch->ioapic, number);
}
