/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Starts all other processors by INIT and start-up IPIs, through the APIC's
 * page or, with x2apic=1, its MSRs.  Each processor leaves its APIC id and what
 * CPUID tells it in a row of its own; the first one checks and prints.
 */
#include "boot_info.h"
#include "paging.h"

#define CPUS_MAX 64
#define STACK_SIZE 1024
#define APIC 0xfee00000u
#define APIC_ID 0x20
#define APIC_SVR 0xf0
#define APIC_ICR_LOW 0x300
#define APIC_ICR_PENDING (1u << 12)
#define X2APIC_MSR(offset) (0x800 + (offset) / 16)
#define APIC_BASE_MSR 0x1b
#define APIC_BASE_X2APIC (1u << 10)
#define ALL_BUT_SELF (3u << 18)
#define ASSERT_INIT 0x4500u
#define START_UP 0x4600u
#define TRAMPOLINE 0x8000u

struct row {
    volatile uint32_t present;
    uint32_t apic_id, initial_apic_id, x2apic_id, threads, cores, core_shift;
};

static struct row rows[CPUS_MAX];
static volatile uint32_t checked_in;
static bool x2apic;

/* Referred to by the trampoline. */
extern const uint8_t trampoline[], trampoline_end[];
uint8_t cpu_stacks[CPUS_MAX][STACK_SIZE] __attribute__((aligned(16)));
uint32_t next_stack;
uint64_t trampoline_tables;
void other_cpu_main(void);

/* From real mode at 0x8000 to long mode, with page tables that are ready. */
__asm__(".section .rodata\n"
        ".code16\n"
        ".globl trampoline\n"
        "trampoline:\n"
        "    cli\n"
        "    xor %ax, %ax\n"
        "    mov %ax, %ds\n"
        "    lgdtl 0x8000 + smp_gdt_pointer - trampoline\n"
        "    mov $1, %eax\n"
        "    mov %eax, %cr0\n"
        "    ljmpl $0x10, $(0x8000 + smp_protected - trampoline)\n"
        ".code32\n"
        "smp_protected:\n"
        "    mov $0x18, %eax\n"
        "    mov %eax, %ds\n"
        "    mov %eax, %ss\n"
        "    mov $0x20, %eax\n"
        "    mov %eax, %cr4\n"
        "    mov trampoline_tables, %eax\n"
        "    mov %eax, %cr3\n"
        "    mov $0xc0000080, %ecx\n"
        "    rdmsr\n"
        "    or $0x100, %eax\n"
        "    wrmsr\n"
        "    mov $0x80000011, %eax\n"
        "    mov %eax, %cr0\n"
        "    ljmp $0x20, $smp_long\n"
        ".balign 8\n"
        "smp_gdt:\n"
        "    .quad 0, 0, 0x00cf9b000000ffff, 0x00cf93000000ffff, 0x00af9b000000ffff\n"
        "smp_gdt_pointer:\n"
        "    .word . - smp_gdt - 1\n"
        "    .long 0x8000 + smp_gdt - trampoline\n"
        ".globl trampoline_end\n"
        "trampoline_end:\n"
        ".text\n"
        ".code64\n"
        "smp_long:\n"
        "    mov $1, %eax\n"
        "    lock xadd %eax, next_stack\n"
        "    inc %eax\n"
        "    shl $10, %rax\n"
        "    lea cpu_stacks(%rax), %rsp\n"
        "    call other_cpu_main\n"
        "1:  cli\n"
        "    hlt\n"
        "    jmp 1b\n");

static uint32_t apic_read(uint32_t offset)
{
    return x2apic ? (uint32_t)rdmsr(X2APIC_MSR(offset)) : read32(APIC + offset);
}

static void apic_write(uint32_t offset, uint32_t value)
{
    if (x2apic)
        wrmsr(X2APIC_MSR(offset), value);
    else
        write32(APIC + offset, value);
}

static void turn_apic_on(void)
{
    if (x2apic)
        wrmsr(APIC_BASE_MSR, rdmsr(APIC_BASE_MSR) | APIC_BASE_X2APIC);
    apic_write(APIC_SVR, 0x1ff);
}

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

static void send_to_others(uint32_t command)
{
    apic_write(APIC_ICR_LOW, ALL_BUT_SELF | command);
    while (!x2apic && apic_read(APIC_ICR_LOW) & APIC_ICR_PENDING)
        ;
}

static void start_others(void)
{
    for (size_t i = 0; i < (size_t)(trampoline_end - trampoline); i++)
        write8(TRAMPOLINE + i, trampoline[i]);
    trampoline_tables = (uint64_t)&page_tables;
    send_to_others(ASSERT_INIT);
    send_to_others(START_UP | TRAMPOLINE >> 12);
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
