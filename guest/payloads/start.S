/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a bare-metal guest begins, by either way in: start64 in long mode with
 * boot_params in RSI, or start32 (PVH) in protected mode with start info in EBX,
 * which turns long mode on first.  Both call payload_main(protocol, argument)
 * and power off should it return.
 */
    .section .text.start, "ax"
    .code64
    .globl start64
start64:
    lea stack_top(%rip), %rsp
    mov $0, %edi
    mov %rsi, %rsi
    jmp run

    .code32
    .globl start32
start32:
    mov $stack_top, %esp
    /* Identity map of 4 GiB: four page directories of 2 MiB pages. */
    mov $page_directories + 3, %eax
    mov $pdpt, %edi
    mov $4, %ecx
1:  mov %eax, (%edi)
    add $0x1000, %eax
    add $8, %edi
    loop 1b
    movl $pdpt + 3, pml4
    mov $0x83, %eax
    mov $page_directories, %edi
    mov $2048, %ecx
2:  mov %eax, (%edi)
    add $0x200000, %eax
    add $8, %edi
    loop 2b
    mov $pml4, %eax
    mov %eax, %cr3
    mov $0x20, %eax
    mov %eax, %cr4
    mov $0xc0000080, %ecx
    rdmsr
    or $0x100, %eax
    wrmsr
    mov $0x80000011, %eax
    mov %eax, %cr0
    lgdt gdt_pointer
    mov %ebx, %esi
    mov $1, %edi
    ljmp $0x10, $run

    .code64
run:
    call payload_main
    mov $0x600, %dx
    mov $0x34, %al
    out %al, %dx
3:  hlt
    jmp 3b

    .section .rodata
    .balign 8
gdt:
    .quad 0, 0, 0x00af9b000000ffff, 0x00cf93000000ffff
gdt_pointer:
    .word . - gdt - 1
    .long gdt

    .section .note.Xen, "a"
    .balign 4
    .long 4, 4, 18
    .asciz "Xen"
    .long start32

    .section .bss
    .balign 4096
pml4:
    .skip 4096
pdpt:
    .skip 4096
page_directories:
    .skip 4 * 4096
    .skip 16384
stack_top:

    .section .note.GNU-stack, "", @progbits
