/* SPDX-License-Identifier: Apache-2.0 */
/* The IOAPIC: a list of operations, each 8 bytes: what, where, a value. */
#include "tests/fuzz/fuzz.h"
#include "vmm/monitor/arch/x86_64/ioapic.h"
#include "vmm/monitor/arch/x86_64/layout.h"

#define OPERATIONS_MAX 512
#define IOREGSEL 0x00
#define IOWIN 0x10
#define ENTRY_STATUS (1u << 12)
#define ENTRY_REMOTE_IRR (1u << 14)
#define ENTRY_LEVEL (1u << 15)

static void count_message(void *context, uint64_t address, uint32_t data)
{
    fuzz_require(address >> 20 == 0xfee && (address & 3) == 0 && data >> 16 == 0);
    ++*(unsigned int *)context;
}

static uint32_t read_register(struct device *ioapic, uint8_t index)
{
    uint32_t value;

    ioapic_ops.write(ioapic, IOREGSEL, &index, 1);
    ioapic_ops.read(ioapic, IOWIN, (uint8_t *)&value, sizeof(value));
    return value;
}

static void operate(struct device *ioapic, unsigned int what, uint64_t where, uint32_t value)
{
    static const size_t lengths[] = { 4, 1, 2, 8 };
    const struct irq_line line = ioapic_line(ioapic, (uint32_t)where % 128);
    size_t length = lengths[what >> 4 & 3];
    uint64_t offset = where % (LAYOUT_IOAPIC_SIZE - length + 1);
    uint8_t bytes[8] = { 0 };

    for (int i = 0; i < 4; i++)
        bytes[i] = (uint8_t)(value >> (8 * i));
    switch (what % 8) {
    case 0:
        irq_line_raise(&line);
        break;
    case 1:
        irq_line_lower(&line);
        break;
    case 2:
        ioapic_ops.read(ioapic, offset, bytes, length);
        break;
    case 3:
        ioapic_ops.write(ioapic, offset, bytes, length);
        break;
    case 4:
        ioapic_ops.write(ioapic, 0x40, bytes, length);
        break;
    default:
        bytes[7] = (uint8_t)where;
        ioapic_ops.write(ioapic, IOREGSEL, bytes + 7, 1);
        ioapic_ops.write(ioapic, IOWIN, bytes, length);
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    unsigned int sent = 0;
    const struct ioapic_options options = {
        .pins = LAYOUT_IOAPIC_PINS, .send = count_message, .context = &sent,
    };
    struct fuzz_input input = { data, size };
    struct device *ioapic;
    struct error error;

    fuzz_require(ioapic_ops.create(&ioapic, NULL, &options, &error) == 0);
    for (int i = 0; i < OPERATIONS_MAX && input.size; i++) {
        unsigned int what = (unsigned int)fuzz_take(&input, 1), before = sent;
        uint64_t where = fuzz_take(&input, 3);
        uint32_t value = (uint32_t)fuzz_take(&input, 4);

        operate(ioapic, what, where, value);
        /* One end of interrupt may serve each pin once; all else sends one message. */
        fuzz_require(sent - before <= (what % 8 == 3 || what % 8 == 4 ? LAYOUT_IOAPIC_PINS : 1));
    }
    for (unsigned int pin = 0; pin < LAYOUT_IOAPIC_PINS; pin++) {
        uint32_t entry = read_register(ioapic, (uint8_t)(0x10 + 2 * pin));

        fuzz_require(!(entry & ENTRY_STATUS));
        fuzz_require(!(entry & ENTRY_REMOTE_IRR) || entry & ENTRY_LEVEL);
    }
    ioapic_ops.destroy(ioapic);
    return 0;
}
