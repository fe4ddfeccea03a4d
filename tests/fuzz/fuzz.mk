# SPDX-License-Identifier: Apache-2.0
#
# Each tests/fuzz/fuzz_NAME.c with a function LLVMFuzzerTestOneInput() is a
# libFuzzer program.  tests/run-fuzz builds them with clang and a BUILD of
# their own.

FUZZ_TARGETS := $(patsubst tests/fuzz/%.c,%,$(shell grep -l LLVMFuzzerTestOneInput tests/fuzz/fuzz_*.c))
FUZZ_SHARED := $(BUILD)/obj/tests/fuzz/fuzz.o $(BUILD)/obj/tests/fuzz/fuzz_load.o

.PHONY: fuzz-programs fuzz-seeds
fuzz-programs: $(FUZZ_TARGETS:%=$(BUILD)/fuzz/%)

$(BUILD)/fuzz/fuzz_%: $(BUILD)/obj/tests/fuzz/fuzz_%.o $(FUZZ_SHARED) $(BUILD)/libimages.a $(BUILD)/libmote.a
	@mkdir -p $(@D)
	$(call say,LINK)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -fsanitize=fuzzer -Wl,--wrap=pread -o $@ \
		$(filter %.o,$^) $(filter %.a,$^) $(LDLIBS) $(IMAGES_LDLIBS)

# Devices behind the hostile driver of virtio_harness.c.
FUZZ_VIRTIO := $(patsubst tests/fuzz/%.c,$(BUILD)/fuzz/%,$(shell grep -l virtio_fuzz_run tests/fuzz/fuzz_*.c))
$(FUZZ_VIRTIO): $(BUILD)/obj/tests/fuzz/virtio_harness.o $(patsubst %,$(BUILD)/obj/tests/support/%.o, \
                    device_options fake_driver fake_uplink fixture echo_device host_side saved)
$(FUZZ_VIRTIO): LDFLAGS += -Wl,--wrap=guest_memory_slice
$(FUZZ_VIRTIO): LDLIBS += -lcmocka

# A device of each kind, loaded from whatever the input is.
$(BUILD)/fuzz/fuzz_state: $(patsubst %,$(BUILD)/obj/tests/support/%.o, device_options fake_driver \
                              fake_uplink fixture host_side saved saved_devices)
$(BUILD)/fuzz/fuzz_state: LDLIBS += -lcmocka

$(BUILD)/fuzz/fuzz_snapshot: $(patsubst %,$(BUILD)/obj/tests/support/%.o, fake_driver fixture host_side saved)
$(BUILD)/fuzz/fuzz_snapshot: LDLIBS += -lcmocka

$(BUILD)/fuzz/fuzz_config: $(patsubst %,$(BUILD)/obj/tests/support/%.o, config_forms fake_driver fixture host_side saved)
$(BUILD)/fuzz/fuzz_config: LDLIBS += -lcmocka
$(BUILD)/fuzz/fuzz_config_file: $(BUILD)/obj/tests/support/config_forms.o

# Writes the seeds of the corpus to tests/fuzz/corpus.
fuzz-seeds: $(BUILD)/fuzz/make_seeds
	$< tests/fuzz/corpus

$(BUILD)/fuzz/make_seeds: $(BUILD)/obj/tests/fuzz/make_seeds.o $(BUILD)/obj/tests/support/crafted.o
	@mkdir -p $(@D)
	$(call say,LINK)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS)

.SECONDARY: $(FUZZ_TARGETS:%=$(BUILD)/obj/tests/fuzz/%.o)
