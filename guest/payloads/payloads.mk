# SPDX-License-Identifier: Apache-2.0
#
# Each guest/payloads/NAME.c becomes the bare-metal guest build/payloads/NAME.elf.

PAYLOADS := $(patsubst guest/payloads/%.c,$(BUILD)/payloads/%.elf,$(wildcard guest/payloads/*.c))
PAYLOAD_FLAGS := -std=gnu17 $(WARNINGS) -O1 -ffreestanding -fno-pie -fno-stack-protector \
                 -mno-red-zone -mgeneral-regs-only -mcmodel=small -MMD -MP

payloads: $(PAYLOADS)

$(BUILD)/payloads/%.elf: guest/payloads/%.c guest/payloads/start.S guest/payloads/payload.ld
	@mkdir -p $(@D)
	$(call say,GUEST)
	$(Q)$(CC) $(PAYLOAD_FLAGS) -nostdlib -static -no-pie -Wl,--build-id=none -Wl,-z,noexecstack \
	    -Wl,--no-warn-rwx-segments -T guest/payloads/payload.ld -o $@ guest/payloads/start.S $<
