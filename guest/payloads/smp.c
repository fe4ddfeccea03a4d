/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Starts all other processors by INIT and start-up IPIs, through the APIC's
 * page or, with x2apic=1, its MSRs.  Each processor leaves its APIC id and what
 * CPUID tells it in a row of its own; the first one checks and prints.
 */
#include "boot_info.h"
#include "smp.h"

struct row {
    volatile uint32_t present;
    uint32_t apic_id, initial_apic_id, x2apic_id, threads, cores, core_shift;
};

static struct row rows[CPUS_MAX];
static volatile uint32_t checked_in;

static void check_in(void)
{
    uint32_t id = x2apic ? apic_read(APIC_ID) : apic_read(APIC_ID) >> 24;
    struct row *row;

    if (id >= CPUS_MAX)
        return;
    row = &rows[id];
    row->apic_id = id;
    row->initial_apic_id = cpuid(1, 0).ebx >> 24;
    row->x2apic_id = cpuid(0xb, 0).edx;
    row->threads = cpuid(0xb, 0).ebx & 0xffff;
    row->cores = cpuid(0xb, 1).ebx & 0xffff;
    row->core_shift = cpuid(0xb, 1).eax & 0x1f;
    row->present++;
    __atomic_fetch_add(&checked_in, 1, __ATOMIC_SEQ_CST);
}

void other_cpu_main(void)
{
    turn_apic_on();
    check_in();
}

static void check_rows(uint32_t cpus, struct checks *checks)
{
    uint32_t shift = 0;

    while (1u << shift < cpus)
        shift++;
    /* With one processor the bit means nothing, and some hosts set it then too. */
    if (cpus > 1)
        check(checks, "hyper-threading bit", cpuid(1, 0).edx >> 28 & 1, 1);
    check(checks, "processors in leaf 1", cpuid(1, 0).ebx >> 16 & 0xff, cpus);
    check(checks, "leaf 11 level types",
          (cpuid(0xb, 0).ecx & 0xff00) << 8 | (cpuid(0xb, 1).ecx & 0xff00), 0x10200);
    check(checks, "processors started", checked_in, cpus);
    for (uint32_t i = 0; i < CPUS_MAX; i++) {
        const struct row *row = &rows[i];

        check(checks, "present once", row->present, i < cpus);
        if (!row->present)
            continue;
        print("processor ");
        print_number(row->apic_id);
        print("\n");
        check(checks, "APIC id", row->apic_id, i);
        check(checks, "leaf 1 APIC id", row->initial_apic_id, i);
        check(checks, "leaf 11 APIC id", row->x2apic_id, i);
        check(checks, "threads in a core", row->threads, 1);
        check(checks, "cores", row->cores, cpus);
        check(checks, "core shift", row->core_shift, shift);
    }
}

void payload_main(int protocol, const void *argument)
{
    struct boot_info info = boot_info(protocol, argument);
    uint32_t cpus = (uint32_t)option_number(option(&info, "cpus"));
    struct checks checks = { 0, 0 };

    map_memory();
    x2apic = option(&info, "x2apic") != NULL;
    check(&checks, "x2APIC is offered", cpuid(1, 0).ecx >> 21 & 1, 1);
    turn_apic_on();
    check_in();
    start_others();
    for (uint64_t start = rdtsc(); checked_in < cpus && rdtsc() - start < PATIENCE_TICKS;)
        __asm__ volatile("pause");
    check_rows(cpus, &checks);
    print("smp: ");
    print_checks(&checks);
    power_off();
}
