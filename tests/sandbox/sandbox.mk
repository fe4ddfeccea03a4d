# SPDX-License-Identifier: Apache-2.0
#
# The monitor that obeys its guest, for tests/sandbox/run.

ACTS_LIST := $(BUILD)/obj/tests/sandbox/acts_list.o $(BUILD)/obj/tests/sandbox/acts_arguments.o \
    $(BUILD)/obj/tests/sandbox/acts_try.o
ACTS_OBJECTS := $(BUILD)/obj/tests/sandbox/acts.o $(ACTS_LIST)

$(BUILD)/tests/tools/acts: $(BUILD)/obj/vmm/cli/main.o $(ACTS_OBJECTS) $(BUILD)/libmote.a
	@mkdir -p $(@D)
	$(call say,LINK)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) \
	    -Wl,--wrap=bus_write,--wrap=bus_read,--wrap=epoll_wait,--wrap=sandbox_thread \
	    -o $@ $^ $(LDLIBS)

# And the mote-image that obeys what it reads, for tests/images.
$(BUILD)/tests/tools/image_acts: $(BUILD)/obj/vmm/images/main.o $(BUILD)/obj/tests/sandbox/image_acts.o $(ACTS_LIST) \
    $(BUILD)/libimages.a $(BUILD)/libmote.a
	@mkdir -p $(@D)
	$(call say,LINK)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -Wl,--wrap=layer_unpack,--wrap=erofs_image_check,--wrap=output_unpack,--wrap=image_config_read,--wrap=layer_stream_open,--wrap=erofs_image_build,--wrap=kernel_payload_unpack \
	    -o $@ $^ $(LDLIBS) $(IMAGES_LDLIBS)

$(BUILD)/tests/tools/rule_use: $(BUILD)/obj/tests/sandbox/rule_use.o $(BUILD)/libmote.a
	@mkdir -p $(@D)
	$(call say,LINK)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS)

$(BUILD)/obj/tests/sandbox/rule_use.o: $(BUILD)/generated/vmm/jail/call_names.inc
$(BUILD)/obj/tests/sandbox/rule_use.o: CPPFLAGS += -I$(BUILD)/generated

# Not a tool, but what is loaded before the C library.
$(BUILD)/tests/tools/no_vdso.so: tests/sandbox/no_vdso.c
	@mkdir -p $(@D)
	$(call say,LINK)
	$(Q)$(CC) -O2 -Wall -Wextra -Werror -fPIC -shared -o $@ $<

test-tools: $(BUILD)/tests/tools/no_vdso.so $(BUILD)/tests/tools/acts $(BUILD)/tests/tools/image_acts $(BUILD)/tests/tools/rule_use
