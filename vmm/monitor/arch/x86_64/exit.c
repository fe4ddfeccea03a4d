/* SPDX-License-Identifier: Apache-2.0 */
/* Exits that only x86 has: port I/O, single and repeated. */

#include <linux/kvm.h>

#include "vmm/monitor/arch/arch.h"

const char arch_shutdown_cause[] = "triple fault";

/*
 * KVM gives COUNT values of SIZE bytes at DATA_OFFSET of the kvm_run area, all
 * for one port (INS and OUTS repeat it).
 */
static bool port_io(struct kvm_run *run, size_t run_size, struct bus *ports)
{
    size_t size = run->io.size;
    size_t length = size * run->io.count;
    uint8_t *data;

    if ((size != 1 && size != 2 && size != 4) || run->io.data_offset > run_size ||
        length > run_size - run->io.data_offset)
        return false;
    data = (uint8_t *)run + run->io.data_offset;
    for (uint32_t i = 0; i < run->io.count; i++, data += size) {
        if (run->io.direction == KVM_EXIT_IO_OUT)
            bus_write(ports, run->io.port, data, size);
        else
            bus_read(ports, run->io.port, data, size);
    }
    return true;
}

bool arch_vcpu_exit(struct arch_vm *arch, struct kvm_run *run, size_t run_size, struct bus *ports)
{
    (void)arch;
    return run->exit_reason == KVM_EXIT_IO && port_io(run, run_size, ports);
}
