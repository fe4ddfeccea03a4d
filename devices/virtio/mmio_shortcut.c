/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "devices/virtio/mmio_internal.h"

/* The eventfd and the page, which stay for the next time. */
static bool prepare(struct shortcut *shortcut)
{
    void *page;

    if (shortcut->event_fd < 0)
        shortcut->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (shortcut->page || shortcut->event_fd < 0)
        return shortcut->page != NULL && shortcut->event_fd >= 0;
    page = mmap(NULL, VIRTIO_MMIO_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
                0);
    if (page == MAP_FAILED)
        return false;
    shortcut->page = page;
    return true;
}

static void take_photograph(struct virtio_mmio *mmio)
{
    uint8_t *page = mmio->shortcut.page;
    uint32_t size = mmio->virtio->class->config_size;

    memset(page, 0, VIRTIO_MMIO_SIZE);
    for (uint64_t offset = 0; offset < CONFIG; offset += sizeof(uint32_t)) {
        uint32_t value = mmio_register(mmio, offset);

        memcpy(page + offset, &value, sizeof(value));
    }
    memcpy(page + CONFIG, mmio->virtio->config,
           size < VIRTIO_MMIO_SIZE - CONFIG ? size : VIRTIO_MMIO_SIZE - CONFIG);
}

static void begin(struct virtio_mmio *mmio)
{
    const struct virtio_doorbell *kvm = &mmio->options.doorbell;
    struct shortcut *shortcut = &mmio->shortcut;

    if (!kvm->show || !prepare(shortcut))
        return;
    mmio->interrupt_status |= VIRTIO_INTERRUPT_USED;
    take_photograph(mmio);
    /* The page first: a memory slot waits for what ioeventfds began (docs/start-time.md). */
    shortcut->taken = kvm->show(kvm->context, mmio->options.base, shortcut->page) == 0;
    shortcut->absorbed = shortcut->taken &&
                         kvm->attach(kvm->context, mmio->options.base + INTERRUPT_ACK,
                                     VIRTIO_INTERRUPT_USED, shortcut->event_fd) == 0;
}

void shortcut_status_read(struct virtio_mmio *mmio)
{
    struct shortcut *shortcut = &mmio->shortcut;

    /* A change of the configuration is not photographed: the driver is about to look at it. */
    if (shortcut->taken || !(mmio->status & STATUS_DRIVER_OK) ||
        (mmio->status & STATUS_NEEDS_RESET) || mmio->interrupt_status != VIRTIO_INTERRUPT_USED ||
        ++shortcut->reads < BUSY)
        return;
    /* Where KVM refuses, do not ask each time. */
    shortcut->reads = 0;
    begin(mmio);
}

void shortcut_end(struct virtio_mmio *mmio)
{
    const struct virtio_doorbell *kvm = &mmio->options.doorbell;
    struct shortcut *shortcut = &mmio->shortcut;

    shortcut->reads = 0;
    if (shortcut->absorbed)
        kvm->detach(kvm->context, mmio->options.base + INTERRUPT_ACK, VIRTIO_INTERRUPT_USED,
                    shortcut->event_fd);
    if (shortcut->taken)
        kvm->hide(kvm->context, mmio->options.base);
    shortcut->taken = shortcut->absorbed = false;
}

void shortcut_release(struct virtio_mmio *mmio)
{
    struct shortcut *shortcut = &mmio->shortcut;

    shortcut_end(mmio);
    if (shortcut->event_fd >= 0)
        close(shortcut->event_fd);
    if (shortcut->page)
        munmap(shortcut->page, VIRTIO_MMIO_SIZE);
}
