/* SPDX-License-Identifier: Apache-2.0 */
#include "ioapic.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "layout.h"
#include "vmm/machine/state.h"

/* Memory-mapped registers and the ones behind them (82093AA, 3.1 and 3.2). */
#define IOREGSEL 0x00
#define IOWIN 0x10
#define IOEOI 0x40
#define INDEX_ID 0x00
#define INDEX_VERSION 0x01
#define INDEX_ARBITRATION 0x02
#define INDEX_REDIRECTION 0x10
#define VERSION 0x20u

/* Redirection entry, 3.2.4. */
#define ENTRY_VECTOR 0xffull
#define ENTRY_DELIVERY_SHIFT 8
#define ENTRY_LOGICAL (1ull << 11)
#define ENTRY_STATUS (1ull << 12) /* read-only: delivery pending */
#define ENTRY_REMOTE_IRR (1ull << 14) /* read-only: level interrupt in service */
#define ENTRY_LEVEL (1ull << 15)
#define ENTRY_MASKED (1ull << 16)
#define ENTRY_READ_ONLY (ENTRY_STATUS | ENTRY_REMOTE_IRR)
#define ENTRY_DESTINATION_SHIFT 56

/* Message address and data, Intel SDM volume 3, 11.11. */
#define MSI_ADDRESS 0xfee00000ull
#define MSI_ADDRESS_LOGICAL (1ull << 2)
#define MSI_DESTINATION_SHIFT 12
#define MSI_DATA_LEVEL ((1u << 15) | (1u << 14))

struct pin {
    uint64_t entry;
    bool high;
    bool pending; /* an edge came while the pin was masked */
};

/* The bus holds device.lock around register accesses; pins are raised by other
 * devices' threads, so the state has a lock of its own, innermost of all. */
struct ioapic {
    struct device device;
    struct ioapic_options options;
    pthread_mutex_t lock;
    uint8_t select;
    uint8_t id;
    struct pin pins[LAYOUT_IOAPIC_PINS];
};

static void deliver(struct ioapic *ioapic, struct pin *pin)
{
    uint64_t entry = pin->entry;
    uint64_t address = MSI_ADDRESS;
    uint32_t data;

    address |= (entry >> ENTRY_DESTINATION_SHIFT) << MSI_DESTINATION_SHIFT;
    if (entry & ENTRY_LOGICAL)
        address |= MSI_ADDRESS_LOGICAL;
    data = (uint32_t)(entry & ENTRY_VECTOR);
    data |= (uint32_t)(entry >> ENTRY_DELIVERY_SHIFT & 7) << ENTRY_DELIVERY_SHIFT;
    if (entry & ENTRY_LEVEL) {
        data |= MSI_DATA_LEVEL;
        pin->entry |= ENTRY_REMOTE_IRR;
    }
    ioapic->options.send(ioapic->options.context, address, data);
}

/* Delivers what PIN owes, if it may. */
static void service(struct ioapic *ioapic, struct pin *pin)
{
    if (pin->entry & ENTRY_MASKED)
        return;
    if (pin->entry & ENTRY_LEVEL) {
        if (pin->high && !(pin->entry & ENTRY_REMOTE_IRR))
            deliver(ioapic, pin);
    } else if (pin->pending) {
        deliver(ioapic, pin);
    }
    pin->pending = false;
}

static void set_level(void *controller, unsigned int number, bool high)
{
    struct ioapic *ioapic = controller;
    struct pin *pin = &ioapic->pins[number];

    pthread_mutex_lock(&ioapic->lock);
    if (high && !pin->high)
        pin->pending = true;
    pin->high = high;
    service(ioapic, pin);
    pthread_mutex_unlock(&ioapic->lock);
}

struct irq_line ioapic_line(struct device *device, uint32_t number)
{
    if (number >= LAYOUT_IOAPIC_PINS)
        return (struct irq_line){ .set_level = NULL };
    return (struct irq_line){ .set_level = set_level, .controller = device, .number = number };
}

static void end_of_interrupt(struct ioapic *ioapic, uint8_t vector)
{
    for (size_t i = 0; i < LAYOUT_IOAPIC_PINS; i++) {
        struct pin *pin = &ioapic->pins[i];

        if ((pin->entry & ENTRY_VECTOR) != vector || !(pin->entry & ENTRY_REMOTE_IRR))
            continue;
        pin->entry &= ~ENTRY_REMOTE_IRR;
        service(ioapic, pin);
    }
}

static uint32_t read_indexed(const struct ioapic *ioapic)
{
    uint32_t number;

    switch (ioapic->select) {
    case INDEX_ID:
    case INDEX_ARBITRATION:
        return (uint32_t)ioapic->id << 24;
    case INDEX_VERSION:
        return VERSION | (ioapic->options.pins - 1) << 16;
    }
    if (ioapic->select < INDEX_REDIRECTION)
        return 0;
    number = (uint32_t)ioapic->select - INDEX_REDIRECTION;
    if (number / 2 >= LAYOUT_IOAPIC_PINS)
        return 0;
    return (uint32_t)(ioapic->pins[number / 2].entry >> (number % 2 ? 32 : 0));
}

static void write_indexed(struct ioapic *ioapic, uint32_t value)
{
    uint32_t number;
    struct pin *pin;

    if (ioapic->select == INDEX_ID)
        ioapic->id = (uint8_t)(value >> 24);
    if (ioapic->select < INDEX_REDIRECTION)
        return;
    number = (uint32_t)ioapic->select - INDEX_REDIRECTION;
    if (number / 2 >= LAYOUT_IOAPIC_PINS)
        return;
    pin = &ioapic->pins[number / 2];
    if (number % 2) {
        pin->entry = (pin->entry & UINT32_MAX) | (uint64_t)value << 32;
    } else {
        pin->entry = (pin->entry & (~(uint64_t)UINT32_MAX | ENTRY_READ_ONLY)) |
                     (value & ~ENTRY_READ_ONLY);
        /* Linux clears remote IRR by switching a pin to edge and back. */
        if (!(value & ENTRY_LEVEL))
            pin->entry &= ~ENTRY_REMOTE_IRR;
    }
    service(ioapic, pin);
}

static void ioapic_read(struct device *device, uint64_t offset, uint8_t *bytes, size_t length)
{
    struct ioapic *ioapic = (struct ioapic *)device;
    uint32_t value = 0;

    pthread_mutex_lock(&ioapic->lock);
    if (offset == IOREGSEL)
        value = ioapic->select;
    else if (offset == IOWIN)
        value = read_indexed(ioapic);
    pthread_mutex_unlock(&ioapic->lock);
    memset(bytes, 0, length);
    memcpy(bytes, &value, length < sizeof(value) ? length : sizeof(value));
}

static void ioapic_write(struct device *device, uint64_t offset, const uint8_t *bytes,
                         size_t length)
{
    struct ioapic *ioapic = (struct ioapic *)device;
    uint32_t value = 0;

    memcpy(&value, bytes, length < sizeof(value) ? length : sizeof(value));
    pthread_mutex_lock(&ioapic->lock);
    if (offset == IOREGSEL)
        ioapic->select = (uint8_t)value;
    else if (offset == IOWIN && length == sizeof(value))
        write_indexed(ioapic, value);
    else if (offset == IOEOI)
        end_of_interrupt(ioapic, (uint8_t)value);
    pthread_mutex_unlock(&ioapic->lock);
}

static void pin_state(struct pin *pin, struct state *state)
{
    state_u64(state, &pin->entry);
    state_bool(state, &pin->high);
    state_bool(state, &pin->pending);
    state_require(state, !(pin->entry & ENTRY_STATUS), "the delivery status of a pin");
    state_require(state, !(pin->entry & ENTRY_REMOTE_IRR) || pin->entry & ENTRY_LEVEL,
                  "the remote IRR of a pin");
    state_require(state, !pin->pending || pin->entry & ENTRY_MASKED, "what is pending at a pin");
}

/* Nothing is delivered: whatever a pin owed and might send was sent before it was saved. */
static void ioapic_state(struct device *device, struct state *state)
{
    struct ioapic *ioapic = (struct ioapic *)device;

    pthread_mutex_lock(&ioapic->lock);
    state_begin(state, "ioapic", 0, 1);
    state_u8(state, &ioapic->select);
    state_u8(state, &ioapic->id);
    for (size_t i = 0; i < LAYOUT_IOAPIC_PINS; i++)
        pin_state(&ioapic->pins[i], state);
    state_end(state);
    pthread_mutex_unlock(&ioapic->lock);
}

static int ioapic_create(struct device **device, const struct device_env *env, const void *options,
                         struct error *error)
{
    struct ioapic *ioapic = calloc(1, sizeof(*ioapic));

    (void)env;
    if (!ioapic)
        return error_system(error, ENOMEM, "ioapic");
    device_init(&ioapic->device, &ioapic_ops);
    pthread_mutex_init(&ioapic->lock, NULL);
    ioapic->options = *(const struct ioapic_options *)options;
    for (size_t i = 0; i < LAYOUT_IOAPIC_PINS; i++)
        ioapic->pins[i].entry = ENTRY_MASKED;
    *device = &ioapic->device;
    return 0;
}

static void ioapic_destroy(struct device *device)
{
    struct ioapic *ioapic = (struct ioapic *)device;

    pthread_mutex_destroy(&ioapic->lock);
    device_release(device);
    free(ioapic);
}

const struct device_ops ioapic_ops = {
    .name = "ioapic",
    .create = ioapic_create,
    .destroy = ioapic_destroy,
    .read = ioapic_read,
    .write = ioapic_write,
    .state = ioapic_state,
};
