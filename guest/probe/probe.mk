# SPDX-License-Identifier: Apache-2.0
#
# The job of `mote bench`: static, as a root may hold nothing else.

$(BUILD)/mote-probe: $(wildcard guest/probe/*.c) guest/probe/probe.h
	@mkdir -p $(@D)
	$(call say,PROBE)
	$(Q)$(CC) -D_GNU_SOURCE -std=gnu17 -Os $(WARNINGS) -I. -fno-pie -ffunction-sections -static -no-pie -s \
	    -Wl,--gc-sections -o $@ $(filter %.c,$^)

all: $(BUILD)/mote-probe
