/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bare-metal guest in a 32-bit ELF file: by PVH it begins in 32-bit protected
 * mode, and stays there.  The command line's first letter tells what it does:
 *
 *   s    silent: halts without a look at the serial port
 *   q    quiet: comes to the serial port as a driver would, says nothing, halts
 *        else says hello, and powers off
 */
    .section .text.start, "ax"
    .code32
    .globl start32
start32:
    mov $refused, %esi
    cmpl $0x336ec578, (%ebx)
    jne say
    mov 24(%ebx), %esi
    mov (%esi), %al
    cmp $'s', %al
    je halt
    cmp $'q', %al
    je quiet
    mov $hello, %esi
say:
    mov (%esi), %al
    inc %esi
    test %al, %al
    jz power_off
    mov %al, %cl
    mov $0x3fd, %dx
wait_for_room:
    in %dx, %al
    test $0x20, %al
    jz wait_for_room
    mov %cl, %al
    mov $0x3f8, %dx
    out %al, %dx
    jmp say
power_off:
    mov $0x34, %al
    mov $0x600, %dx
    out %al, %dx
halt:
    cli
    hlt
    jmp halt
quiet:
    xor %eax, %eax
    mov $0x3f9, %dx
    out %al, %dx
    jmp halt

    .section .rodata, "a"
hello:
    .asciz "hello from a 32-bit ELF file\n"
refused:
    .asciz "FAIL no start info\n"

    .section .note.Xen, "a"
    .long 4, 4, 18
    .asciz "Xen"
    .long start32

    .section .note.GNU-stack, "", @progbits
