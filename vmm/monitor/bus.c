/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/monitor/bus.h"

#include <errno.h>
#include <string.h>

int bus_add(struct bus *bus, uint64_t base, uint64_t size, struct device *device,
            struct error *error)
{
    size_t at = 0;

    if (size == 0 || size - 1 > UINT64_MAX - base)
        return error_set(error, EINVAL, "bus: the window of %s at 0x%llx is empty or wraps",
                         device->ops->name, (unsigned long long)base);
    if (bus->count == BUS_WINDOWS_MAX)
        return error_set(error, ENOSPC, "bus: no room for %s; at most %d windows",
                         device->ops->name, BUS_WINDOWS_MAX);
    while (at < bus->count && bus->windows[at].base < base)
        at++;
    if ((at < bus->count && size > bus->windows[at].base - base) ||
        (at > 0 && bus->windows[at - 1].size > base - bus->windows[at - 1].base))
        return error_set(error, EEXIST, "bus: the window of %s at 0x%llx overlaps another",
                         device->ops->name, (unsigned long long)base);
    memmove(&bus->windows[at + 1], &bus->windows[at], (bus->count - at) * sizeof(bus->windows[0]));
    bus->windows[at] = (struct bus_window){ .base = base, .size = size, .device = device };
    bus->count++;
    return 0;
}

/* The window that holds all of [address, address + length), or NULL. */
static const struct bus_window *find_window(const struct bus *bus, uint64_t address, size_t length)
{
    size_t low = 0, high = bus->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (bus->windows[middle].base <= address)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == 0)
        return NULL;
    const struct bus_window *window = &bus->windows[low - 1];
    uint64_t offset = address - window->base;

    if (offset >= window->size || length > window->size - offset)
        return NULL;
    return window;
}

void bus_read(struct bus *bus, uint64_t address, uint8_t *bytes, size_t length)
{
    const struct bus_window *window = find_window(bus, address, length);

    if (!window) {
        memset(bytes, 0xff, length);
        return;
    }
    pthread_mutex_lock(&window->device->lock);
    window->device->ops->read(window->device, address - window->base, bytes, length);
    pthread_mutex_unlock(&window->device->lock);
}

void bus_write(struct bus *bus, uint64_t address, const uint8_t *bytes, size_t length)
{
    const struct bus_window *window = find_window(bus, address, length);

    if (!window)
        return;
    pthread_mutex_lock(&window->device->lock);
    window->device->written = true;
    window->device->ops->write(window->device, address - window->base, bytes, length);
    pthread_mutex_unlock(&window->device->lock);
}
