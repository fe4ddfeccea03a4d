# SPDX-License-Identifier: Apache-2.0
#
# The monitor that obeys its guest, for tests/sandbox/run.

ACTS_OBJECTS := $(BUILD)/obj/tests/sandbox/acts.o $(BUILD)/obj/tests/sandbox/acts_list.o

$(BUILD)/tests/tools/acts: $(BUILD)/obj/vmm/main.o $(ACTS_OBJECTS) $(BUILD)/libmote.a
	@mkdir -p $(@D)
	$(call say,LINK)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) \
	    -Wl,--wrap=bus_write,--wrap=bus_read,--wrap=epoll_wait,--wrap=sandbox_thread \
	    -o $@ $^ $(LDLIBS)

$(BUILD)/tests/tools/rule_use: $(BUILD)/obj/tests/sandbox/rule_use.o $(BUILD)/libmote.a
	@mkdir -p $(@D)
	$(call say,LINK)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS)

$(BUILD)/obj/tests/sandbox/rule_use.o: $(BUILD)/generated/vmm/sandbox/call_names.inc
$(BUILD)/obj/tests/sandbox/rule_use.o: CPPFLAGS += -I$(BUILD)/generated

test-tools: $(BUILD)/tests/tools/acts $(BUILD)/tests/tools/rule_use
