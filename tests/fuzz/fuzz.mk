# SPDX-License-Identifier: Apache-2.0
#
# Each tests/fuzz/fuzz_NAME.c with a function LLVMFuzzerTestOneInput() is a
# libFuzzer program.  tests/run-fuzz builds them with clang and a BUILD of
# their own.

FUZZ_TARGETS := $(patsubst tests/fuzz/%.c,%,$(shell grep -l LLVMFuzzerTestOneInput tests/fuzz/fuzz_*.c))
FUZZ_SHARED := $(BUILD)/obj/tests/fuzz/fuzz.o $(BUILD)/obj/tests/fuzz/fuzz_load.o

.PHONY: fuzz-programs fuzz-seeds
fuzz-programs: $(FUZZ_TARGETS:%=$(BUILD)/fuzz/%)

$(BUILD)/fuzz/fuzz_%: $(BUILD)/obj/tests/fuzz/fuzz_%.o $(FUZZ_SHARED) $(BUILD)/libmote.a
	@mkdir -p $(@D)
	$(call say,LINK)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -fsanitize=fuzzer -Wl,--wrap=pread -o $@ $^ $(LDLIBS)

# Writes the seeds of the corpus to tests/fuzz/corpus.
fuzz-seeds: $(BUILD)/fuzz/make_seeds
	$< tests/fuzz/corpus

$(BUILD)/fuzz/make_seeds: $(BUILD)/obj/tests/fuzz/make_seeds.o $(BUILD)/obj/tests/support/crafted.o
	@mkdir -p $(@D)
	$(call say,LINK)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS)

.SECONDARY: $(FUZZ_TARGETS:%=$(BUILD)/obj/tests/fuzz/%.o)
