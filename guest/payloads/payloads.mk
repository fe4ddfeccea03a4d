# SPDX-License-Identifier: Apache-2.0
#
# Each guest/payloads/NAME.c becomes the bare-metal guest build/payloads/NAME.elf,
# with start.S in front; exit.S and pvh32.S, a 32-bit file, stand alone.

# They are x86-64's.
ifeq ($(ARCH),x86_64)
PAYLOADS := $(patsubst guest/payloads/%.c,$(BUILD)/payloads/%.elf,$(wildcard guest/payloads/*.c)) \
            $(BUILD)/payloads/exit.elf $(BUILD)/payloads/pvh32.elf
endif
PAYLOAD_FLAGS := -std=gnu17 $(WARNINGS) -O1 -ffreestanding -fno-pie -fno-stack-protector \
                 -mno-red-zone -mgeneral-regs-only -mcmodel=small -MMD -MP
PAYLOAD_LINK := -nostdlib -static -no-pie -Wl,--build-id=none -Wl,-z,noexecstack \
                -Wl,--no-warn-rwx-segments -T guest/payloads/payload.ld

payloads: $(PAYLOADS)

$(BUILD)/payloads/exit.elf: guest/payloads/exit.S guest/payloads/payload.ld
	@mkdir -p $(@D)
	$(call say,GUEST)
	$(Q)$(CC) $(PAYLOAD_LINK) -o $@ $<

$(BUILD)/payloads/pvh32.elf: guest/payloads/pvh32.S guest/payloads/payload.ld
	@mkdir -p $(@D)
	$(call say,GUEST)
	$(Q)$(CC) -m32 $(PAYLOAD_LINK) -Wl,-e,start32 -o $@ $<

$(BUILD)/payloads/%.elf: guest/payloads/%.c guest/payloads/start.S guest/payloads/payload.ld
	@mkdir -p $(@D)
	$(call say,GUEST)
	$(Q)$(CC) $(PAYLOAD_FLAGS) $(PAYLOAD_LINK) -o $@ guest/payloads/start.S $<
