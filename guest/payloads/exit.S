/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The shortest life: an exception without a handler table, hence a triple
 * fault, in the first instructions by either way in.  For measuring what a
 * monitor costs by itself; stands alone, without start.S.
 */
    .section .text.start, "ax"
    .code64
    .globl start64
start64:
    lidt no_table(%rip)
    ud2

    .code32
start32:
    lidt no_table
    ud2

    .balign 8
no_table:
    .skip 16

    .section .note.Xen, "a"
    .balign 4
    .long 4, 4, 18
    .asciz "Xen"
    .long start32

    .section .note.GNU-stack, "", @progbits
