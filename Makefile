# SPDX-License-Identifier: Apache-2.0
#
#   make            build/mote and the bare-metal test guests
#   make unit       unit tests under ASan and UBSan, gcc and clang
#   make coverage   line coverage of devices/ by unit tests and fuzz corpora
#   make native     bare-metal guests on this machine's /dev/kvm
#   make check      every test, as CI runs them (scripts/check)
#   make demo       boot a stock Debian kernel (scripts/demo)
#   make install    DESTDIR= PREFIX=/usr/local GUEST_KERNEL=$(scripts/guest-kernel)/vmlinux

ARCH    ?= $(shell uname -m)
BUILD   ?= build
PREFIX  ?= /usr/local
VERSION := 0.1.0

# V=1 shows the commands.
V ?= 0
ifeq ($(V),0)
Q := @
say = @printf '  %-7s %s\n' '$(1)' '$@'
endif

# SANITIZE=address,undefined makes an instrumented build; give it a BUILD of its own.
SANITIZE ?=
# STATIC=1 links mote with the C library in it: a start takes a quarter less, the program is 1 MiB larger.
STATIC ?=

WARNINGS := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla \
            -Wpointer-arith -Wcast-qual -Wwrite-strings -Wundef -Wformat=2 -Wno-missing-field-initializers -Werror
# KVM's structs that end in an array of any length stand before that array.
WARNINGS += -Wno-gnu-variable-sized-type-not-at-end
CPPFLAGS += -D_GNU_SOURCE -DMOTE_VERSION='"$(VERSION)"' -I.
CFLAGS   ?= -O2 -g
CFLAGS   += -std=gnu17 $(WARNINGS) -fno-strict-aliasing -fstack-protector-strong -fPIE -pthread -MMD -MP
LDFLAGS  += -pie -pthread -Wl,-z,relro -Wl,-z,now -Wl,--as-needed -Wl,--gc-sections
LDLIBS   += -l:libfdt.a -l:liburing.a -l:libjson-c.a

ifneq ($(SANITIZE),)
CFLAGS  += -fsanitize=$(SANITIZE) -fno-sanitize-recover=all -fno-omit-frame-pointer
LDFLAGS += -fsanitize=$(SANITIZE)
else
CPPFLAGS += -D_FORTIFY_SOURCE=2
CFLAGS  += -ffunction-sections -fdata-sections
LDFLAGS += -Wl,-z,pack-relative-relocs
endif

# Other flags make all objects anew: a program of two kinds of them would be taken, and measured, for one.
FLAGS := $(CC) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) $(STATIC)
ifneq ($(FLAGS),$(file <$(BUILD)/flags))
$(shell mkdir -p $(BUILD))
$(file >$(BUILD)/flags,$(FLAGS))
endif

# The rooms of mote, in the order in which they include each other (scripts/check-includes).
ROOMS   := vmm/cli vmm/job vmm/supervisor vmm/supervisor/snapshot vmm/monitor vmm/monitor/arch/$(ARCH) vmm/monitor/boot \
           vmm/snapshot vmm/config vmm/jail devices devices/virtio devices/backend vmm/machine vmm/base
SOURCES := $(filter-out vmm/cli/main.c,$(wildcard $(ROOMS:%=%/*.c)))
OBJECTS := $(SOURCES:%.c=$(BUILD)/obj/%.o)
# mote-image: what knows of archives and container images, kept out of mote itself.
IMAGES_SOURCES := $(filter-out vmm/images/main.c,$(wildcard vmm/images/*.c))
IMAGES_OBJECTS := $(IMAGES_SOURCES:%.c=$(BUILD)/obj/%.o)
IMAGES_LDLIBS := -larchive -lnettle
# mote-bench: what knows of other monitors and of containers.
BENCH_SOURCES := $(filter-out vmm/bench/main.c,$(wildcard vmm/bench/*.c))
BENCH_OBJECTS := $(BENCH_SOURCES:%.c=$(BUILD)/obj/%.o)

.PHONY: all payloads unit native check demo install clean
all: $(BUILD)/mote $(BUILD)/mote-image $(BUILD)/mote-bench payloads

$(BUILD)/mote: $(BUILD)/obj/vmm/cli/main.o $(BUILD)/libmote.a
	$(call say,LINK)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) $(if $(STATIC),-static-pie) -o $@ $^ $(LDLIBS)

$(BUILD)/mote-image: $(BUILD)/obj/vmm/images/main.o $(BUILD)/libimages.a $(BUILD)/libmote.a
	$(call say,LINK)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS) $(IMAGES_LDLIBS)

$(BUILD)/mote-bench: $(BUILD)/obj/vmm/bench/main.o $(BUILD)/libbench.a $(BUILD)/libmote.a
	$(call say,LINK)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS) -lm

$(BUILD)/libbench.a: $(BENCH_OBJECTS)
	@rm -f $@
	$(Q)$(AR) rcs $@ $^

$(BUILD)/libimages.a: $(IMAGES_OBJECTS)
	@rm -f $@
	$(Q)$(AR) rcs $@ $^

$(BUILD)/libmote.a: $(OBJECTS)
	@rm -f $@
	$(Q)$(AR) rcs $@ $^

$(BUILD)/obj/%.o: %.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -c -o $@ $<

# The names of system calls, for a message: the C library has none.
$(BUILD)/generated/vmm/jail/call_names.inc: Makefile
	@mkdir -p $(@D)
	$(Q)echo '#include <asm/unistd.h>' | $(CC) -E -dM - | \
	    sed -n 's/^#define __NR_\([a-z0-9_]*\) \([0-9]*\)$$/CALL(\2, \1)/p' | sort >$@

$(BUILD)/obj/vmm/jail/exit_reason.o: $(BUILD)/generated/vmm/jail/call_names.inc
$(BUILD)/obj/vmm/jail/exit_reason.o: CPPFLAGS += -I$(BUILD)/generated

include guest/payloads/payloads.mk
include guest/init/init.mk
include guest/probe/probe.mk
include tests/tests.mk

check:
	./scripts/check

demo:
	./scripts/demo

install: $(BUILD)/mote $(BUILD)/mote-image $(BUILD)/mote-bench $(BUILD)/mote-init $(BUILD)/mote-probe
	install -D -m 755 -s $(BUILD)/mote $(DESTDIR)$(PREFIX)/bin/mote
	install -D -m 755 -s $(BUILD)/mote-image $(DESTDIR)$(PREFIX)/libexec/mote/mote-image
	install -D -m 755 -s $(BUILD)/mote-bench $(DESTDIR)$(PREFIX)/libexec/mote/mote-bench
	install -D -m 755 $(BUILD)/mote-probe $(DESTDIR)$(PREFIX)/libexec/mote/mote-probe
	install -D -m 755 $(BUILD)/mote-init $(DESTDIR)$(PREFIX)/libexec/mote/mote-init
ifneq ($(GUEST_KERNEL),)
	install -D -m 444 $(GUEST_KERNEL) $(DESTDIR)$(PREFIX)/share/mote/guest-kernel
endif
	for page in mote mote-run mote-snapshot mote-image mote-bench; do \
	    install -D -m 644 $$page.1 $(DESTDIR)$(PREFIX)/share/man/man1/$$page.1 || exit; done

clean:
	rm -rf $(BUILD)

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
