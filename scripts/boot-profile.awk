# SPDX-License-Identifier: Apache-2.0
#
# Summarises a kernel's log for scripts/boot-profile. Variables: top (lines of a table), and the files timeline
# (of mote, without its bars), symbols ("address type name") and exits ("name count").

function milliseconds(seconds) { return seconds * 1000 }

# name_of POINTER: as the kernel printed it, without offset and size, or as the symbol table has it.
function name_of(pointer) {
    sub(/^0x/, "", pointer)
    if (pointer in symbol) return symbol[pointer]
    sub(/\+.*/, "", pointer)
    return pointer
}

function row(name, time, note) {
    printf "  %-38s %10.2f %5.1f %%  %s\n", name, time, (total ? 100 * time / total : 0), note
}

# largest TABLE: prints its largest values first, TOP of them, and what the others come to.
function largest(table, count,    i, j, key, best, others, rest) {
    for (i = 0; i < top; i++) {
        best = ""
        for (key in table) if (best == "" || table[key] > table[best]) best = key
        if (best == "") return
        row(best, table[best], "")
        delete table[best]
    }
    for (key in table) { rest += table[key]; others++ }
    if (others) row(others " others", rest, "")
}

BEGIN {
    while ((getline line <symbols) > 0) {
        split(line, word, " ")
        symbol[word[1]] = word[3]
    }
    while ((getline line <timeline) > 0) {
        fields = split(line, word, " ")
        if (line ~ /^  vCPUs start/) start = word[fields - 1]
        if (line ~ /^  guest mark 1/) ready = word[fields - 1]
    }
}

# <level>[ seconds] text
/^<[0-9]+>\[ *[0-9]+\.[0-9]+\]/ {
    text = $0
    sub(/^<[0-9]+>\[ */, "", text)
    now = text + 0
    sub(/^[0-9.]+\] /, "", text)
    if (now > 0 && last > 0 && now > last) {
        what = before " .. " text
        if (length(what) > 200) what = substr(what, 1, 200)
        if (before !~ /^calling/) gap[substr(before, 1, 37) "|" ++gaps] = milliseconds(now - last)
    }
    if (now > 0 && !first) first = now
    if (text ~ /^calling /) {
        if (!calling) calling = now
        split(text, word, " +")
    }
    if (text ~ /^initcall .* returned .* after [0-9]+ usecs/) {
        split(text, word, " ")
        split(text, part, " after ")
        count++
        one = (part[2] + 0) / 1000
        spent += one
        call[name_of(word[2])] += one
        called = now
    }
    if (text ~ /^Unpacking initramfs/ || text ~ /^Trying to unpack rootfs/) unpack = now
    if (text ~ /^Freeing initrd memory/) unpacked = now
    if (text ~ /^Run \/init as init process/) run = now
    if (text ~ /^profile: init/) init = now
    last = now
    before = text
}

END {
    if (!init || !ready) { print "boot-profile: the log has no end" >"/dev/stderr"; exit 125 }
    total = ready - start
    print "phase                                             ms   share"
    row("entry to the kernel's clock", total - milliseconds(init), "decompression, page tables, early set-up")
    row("clock to the first initcall", milliseconds(calling), "memory, scheduler, interrupts, other CPUs")
    row("initcalls, " count " of them", milliseconds(called - calling), sprintf("%.2f ms inside of them", spent))
    row("last initcall to init's exec", milliseconds(run - called), "")
    row("init to its mark", milliseconds(init - run), "exec, mounts")
    row("all", total, "from the first KVM_RUN to init's mark")
    if (unpack && unpacked) row("(initramfs unpacked meanwhile)", milliseconds(unpacked - unpack), "")
    print "\ninitcalls"
    largest(call)
    print "\ntime after a message until the next (initcalls apart)"
    for (key in gap) { name = key; sub(/\|.*/, "", name); merged[name] += gap[key] }
    largest(merged)
    print "\nexits until init"
    while ((getline line <exits) > 0) {
        split(line, word, " ")
        printf "  %-38s %10d\n", word[1], word[2]
        counted = 1
    }
    if (!counted) print "  not counted: debugfs cannot be read here"
}
