/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_DEVICE_TREE_H
#define MOTE_DEVICE_TREE_H

/*
 * Writes a flattened device tree (Devicetree Specification 0.4) from its first
 * node to its last, by libfdt's sequential calls, into a buffer of the caller's.
 *
 * Errors are sticky: after one, every call does nothing, and
 * device_tree_finish() reports it.  So the writers read like the tree.
 *
 * The first half of this file is the notation, the second the nodes that any
 * architecture's machine has.  What an interrupt looks like is the one thing
 * there that an architecture decides: it passes the cells.
 */

#include <stddef.h>
#include <stdint.h>

#include "vmm/base/error.h"
#include "vmm/machine/guest_memory.h"
#include "vmm/machine/machine.h"

/* Addresses and sizes take two cells each below the root. */
struct device_tree {
    void *buffer;
    size_t capacity;
    int status; /* 0, or libfdt's negative error */
    unsigned int depth; /* open nodes */
};

/* BUFFER is 8-byte aligned and holds CAPACITY bytes. */
void device_tree_begin(struct device_tree *tree, void *buffer, size_t capacity);

/* Ends the tree and yields its *SIZE in bytes; -ENOSPC or -EINVAL with a message. */
int device_tree_finish(struct device_tree *tree, size_t *size, struct error *error);

/* A node, up to the matching device_tree_end_node(). */
void device_tree_node(struct device_tree *tree, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void device_tree_end_node(struct device_tree *tree);

/* Properties of the open node; all of them come before its first child. */
void device_tree_flag(struct device_tree *tree, const char *name);
void device_tree_u32(struct device_tree *tree, const char *name, uint32_t value);
void device_tree_u64(struct device_tree *tree, const char *name, uint64_t value);
void device_tree_string(struct device_tree *tree, const char *name, const char *value);
void device_tree_cells(struct device_tree *tree, const char *name, const uint32_t *cells,
                       size_t count);
/* "reg" of a child of the root. */
void device_tree_reg(struct device_tree *tree, uint64_t base, uint64_t size);

/* An interrupt specifier in the cells of the machine's interrupt controller. */
struct device_tree_interrupt {
    uint32_t cells[3];
    size_t count;
};

/* Opens the root node; INTERRUPT_PARENT is the interrupt controller's phandle. */
void device_tree_root(struct device_tree *tree, const char *compatible,
                      uint32_t interrupt_parent);

/*
 * /chosen: what a boot loader tells a kernel.  INITRD of size 0 is none;
 * STDOUT_PATH is the console's node, or NULL.
 */
void device_tree_chosen(struct device_tree *tree, const char *command_line,
                        struct guest_range initrd, const char *stdout_path);

/* One memory node for each region of the guest's RAM. */
void device_tree_memory(struct device_tree *tree, const struct guest_memory *memory);

/* One virtio-mmio window, as a child of the root. */
void device_tree_virtio_mmio(struct device_tree *tree, const struct machine_device *device,
                             const struct device_tree_interrupt *interrupt);

/* pvpanic in memory, as a child of the root. */
void device_tree_pvpanic(struct device_tree *tree, const struct machine_device *device);

/*
 * DEVICE_POWER in memory, as children of the root: power-off by the sleep
 * control register and reset by the reset register.  PHANDLE is for its own use.
 */
void device_tree_power(struct device_tree *tree, const struct machine_device *device,
                       uint32_t phandle);

#endif
