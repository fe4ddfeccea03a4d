# SPDX-License-Identifier: Apache-2.0
#
# The guest's first program: static, as the guest has no libraries, and small, as every start loads it.

INIT_SOURCES := $(wildcard guest/init/*.c)
INIT_CFLAGS := -std=gnu17 -Os $(WARNINGS) -fno-strict-aliasing -fno-pie -ffunction-sections -fdata-sections -MMD -MP

$(BUILD)/obj/init/%.o: %.c
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) -D_GNU_SOURCE -I. $(INIT_CFLAGS) -c -o $@ $<

$(BUILD)/mote-init: $(INIT_SOURCES:%.c=$(BUILD)/obj/init/%.o)
	$(call say,INIT)
	$(Q)$(CC) -static -no-pie -s -Wl,--gc-sections -o $@ $^

all: $(BUILD)/mote-init
