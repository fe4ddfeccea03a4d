/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include <sys/mman.h>

#include "devices/virtio/mmio_internal.h"

/* The page, which stays for the next time. */
static bool prepare(struct shortcut *shortcut)
{
    void *page;

    if (shortcut->page)
        return true;
    page = mmap(NULL, VIRTIO_MMIO_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
                0);
    if (page == MAP_FAILED)
        return false;
    shortcut->page = page;
    return true;
}

static void copy_registers(struct virtio_mmio *mmio)
{
    uint8_t *page = mmio->shortcut.page;
    uint32_t size = mmio->transport.virtio->class->config_size;

    memset(page, 0, VIRTIO_MMIO_SIZE);
    for (uint64_t offset = 0; offset < CONFIG; offset += sizeof(uint32_t)) {
        uint32_t value = mmio_register(mmio, offset);

        memcpy(page + offset, &value, sizeof(value));
    }
    memcpy(page + CONFIG, mmio->transport.virtio->config,
           size < VIRTIO_MMIO_SIZE - CONFIG ? size : VIRTIO_MMIO_SIZE - CONFIG);
}

static void begin(struct virtio_mmio *mmio)
{
    const struct virtio_mmio_window *window = &mmio->window;
    struct shortcut *shortcut = &mmio->shortcut;

    if (!window->show || !prepare(shortcut))
        return;
    copy_registers(mmio);
    shortcut->taken = window->show(window->context, mmio->base, shortcut->page) == 0;
}

void shortcut_show_status(struct virtio_mmio *mmio)
{
    /* A guest reads it at any time: in one piece, and before the interrupt that follows. */
    if (mmio->shortcut.taken)
        __atomic_store_n((uint32_t *)(void *)(mmio->shortcut.page + INTERRUPT_STATUS),
                         mmio->transport.interrupt_status, __ATOMIC_SEQ_CST);
}

void shortcut_status_read(struct virtio_mmio *mmio)
{
    const struct virtio_transport *transport = &mmio->transport;
    struct shortcut *shortcut = &mmio->shortcut;

    /* A change of the configuration is not shown so: the driver is about to look at it. */
    if (shortcut->taken || !(transport->status & VIRTIO_STATUS_DRIVER_OK) ||
        (transport->status & VIRTIO_STATUS_NEEDS_RESET) ||
        transport->interrupt_status != VIRTIO_INTERRUPT_USED || ++shortcut->reads < VIRTIO_BUSY)
        return;
    /* Where KVM refuses, do not ask each time. */
    shortcut->reads = 0;
    begin(mmio);
}

void shortcut_end(struct virtio_mmio *mmio)
{
    const struct virtio_mmio_window *window = &mmio->window;
    struct shortcut *shortcut = &mmio->shortcut;

    shortcut->reads = 0;
    if (shortcut->taken)
        window->hide(window->context, mmio->base);
    shortcut->taken = false;
}

void shortcut_release(struct virtio_mmio *mmio)
{
    struct shortcut *shortcut = &mmio->shortcut;

    shortcut_end(mmio);
    if (shortcut->page)
        munmap(shortcut->page, VIRTIO_MMIO_SIZE);
}
