# SPDX-License-Identifier: Apache-2.0
#
# Each tests/unit/test_NAME.c is a cmocka program of its own, linked with the
# whole monitor but its main().

SUPPORT_OBJECTS := $(patsubst %.c,$(BUILD)/obj/%.o,$(wildcard tests/support/*.c))
UNIT_TESTS := $(patsubst tests/unit/%.c,$(BUILD)/tests/%,$(wildcard tests/unit/test_*.c))

.PHONY: unit-programs
unit-programs: $(UNIT_TESTS)

$(BUILD)/tests/%: $(BUILD)/obj/tests/unit/%.o $(SUPPORT_OBJECTS) $(BUILD)/libimages.a $(BUILD)/libbench.a $(BUILD)/libmote.a
	@mkdir -p $(@D)
	$(call say,LINK)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS) $(IMAGES_LDLIBS) -lm -lcmocka

.SECONDARY: $(UNIT_TESTS:$(BUILD)/tests/%=$(BUILD)/obj/tests/unit/%.o)

# And this one with parts of the guest's init.
$(BUILD)/tests/test_init: $(patsubst %,$(BUILD)/obj/guest/init/%.o,channel etc job tar user)
$(BUILD)/tests/test_init_process: $(BUILD)/obj/guest/init/process.o
$(BUILD)/tests/test_init_mounts: $(BUILD)/obj/guest/init/mounts.o

# These choose KVM's answers themselves.
$(BUILD)/tests/test_kvm $(BUILD)/tests/test_vcpu: LDFLAGS += -Wl,--wrap=ioctl
# These are the VM's process, when its guest has broken into it.
$(BUILD)/tests/test_broken_monitor $(BUILD)/tests/test_broken_handoff: LDFLAGS += -Wl,--wrap=monitor_main
# This one refuses io_uring.
$(BUILD)/tests/test_block_io_uring: LDFLAGS += -Wl,--wrap=io_uring_queue_init,--wrap=io_uring_submit,--wrap=io_uring_register_restrictions
# This one refills a queue as it is served.
$(BUILD)/tests/test_block_in_flight: LDFLAGS += -Wl,--wrap=virtqueue_push
# This one has a file system without holes.
$(BUILD)/tests/test_kept_output: LDFLAGS += -Wl,--wrap=fallocate
# This one has a host with large pages.
$(BUILD)/tests/test_page_size: LDFLAGS += -Wl,--wrap=sysconf
# This one has no time.
$(BUILD)/tests/test_vm_control: LDFLAGS += -Wl,--wrap=timerfd_settime
# This one writes to a file when it was just read.
$(BUILD)/tests/test_snapshot_seal: LDFLAGS += -Wl,--wrap=memory_sum
# And this one has a file system with reflinks.
$(BUILD)/tests/test_disk_overlay: LDFLAGS += -Wl,--wrap=ioctl
$(BUILD)/tests/test_tap: LDFLAGS += -Wl,--wrap=open,--wrap=ioctl,--wrap=if_nametoindex \
                                    -Wl,--wrap=readv,--wrap=writev

unit:
	+./tests/run-unit gcc clang

# Line coverage of devices/: build/coverage/report tells which lines no test runs.
coverage:
	+./tests/run-coverage

.PHONY: coverage

# Programs that the test scripts use: tests/tools/NAME.c becomes build/tests/tools/NAME.
TEST_TOOLS := $(patsubst tests/tools/%.c,$(BUILD)/tests/tools/%,$(wildcard tests/tools/*.c))

$(TEST_TOOLS): $(BUILD)/tests/tools/%: $(BUILD)/obj/tests/tools/%.o
	@mkdir -p $(@D)
	$(call say,LINK)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^

$(BUILD)/tests/tools/craft_tar: $(BUILD)/obj/tests/support/tar.o
$(BUILD)/tests/tools/reseal $(BUILD)/tests/tools/passt_probe: $(BUILD)/libmote.a

# Runs in guests, which have no libraries.
$(BUILD)/tests/tools/vsock_cat $(BUILD)/tests/tools/hostile_init: LDFLAGS := -static -pthread

test-tools: $(TEST_TOOLS)
all: test-tools

native: all
	./tests/native

bad-input: all
	./tests/bad-input

images: all
	./tests/images

.PHONY: test-tools bad-input images

# What scripts/bench measures with; built plainly, not by a test.
.PHONY: bench-programs
bench-programs: $(BUILD)/bench/race $(BUILD)/bench/floor

$(BUILD)/bench/%: tests/bench/%.c
	@mkdir -p $(@D)
	$(call say,BENCH)
	$(Q)$(CC) -std=gnu17 -D_GNU_SOURCE $(WARNINGS) -O2 -static -o $@ $<

# Needs Debian's libseccomp-dev, which nothing else does.
$(BUILD)/bench/seccomp: $(BUILD)/obj/tests/bench/seccomp.o $(BUILD)/libmote.a
	@mkdir -p $(@D)
	$(call say,BENCH)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS) -lseccomp

include tests/sandbox/sandbox.mk
include tests/fuzz/fuzz.mk
