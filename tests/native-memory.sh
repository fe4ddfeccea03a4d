# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# For tests/native: what is behind a guest's memory. Kernels are mapped if nobody may write to their files; the guest is
# "progress" again, whose one segment is said not to be written to, and it writes there all the same. Pages are huge or
# small, as --huge-pages says.

# shellcheck disable=SC2154 # payloads, mote, work, snap and steps are the runner's

constant=$work/constant

# make_constant: "progress" with 5 (PF_R | PF_X) for the flags of its first segment, at 4 of the header at 64.
make_constant() {
    mkdir -p "$constant"
    cp "$payloads/progress.elf" "$constant/new"
    printf '\5' | dd of="$constant/new" bs=1 seek=68 conv=notrunc status=none
    chmod "${1:-a-w}" "$constant/new"
    mv -f "$constant/new" "$constant/progress.elf"
}

# begin_constant [OPTION]…: as begin.
begin_constant() {
    local payloads=$constant
    reference
    rm -rf "$snap" "$snap.partial"
    start_work "$@"
    wait_for 1000
}

# mappings: how often the kernel's file is mapped in the VM's process, the child of $pid.
mappings() { grep -c constant/ "/proc/$(pgrep -P "$pid" | head -n 1)/maps" || true; }

mapped_and_whole() {
    make_constant
    begin_constant
    [[ $(id -u) != 0 ]] || (($(mappings) > 0)) || fail 'the kernel is not mapped'
    ended 0
    same "$work/out"
}

written_to_is_read() {
    make_constant u+w
    begin_constant
    [[ $(id -u) != 0 ]] || (($(mappings) == 0)) || fail 'a kernel that may be written to is mapped'
    ended 0
    same "$work/out"
}

# Saved with what the guest had not touched by then; the kernel is not needed any more.
mapped_and_saved() {
    make_constant
    begin_constant
    "$mote" snapshot saved "$snap" --stop 2>"$work/err" || fail "$(<"$work/err")"
    ended 0
    rm "$constant/progress.elf"
    restored "$work/out2"
    same "$work/out" "$work/out2"
}

mapped_and_saved_in_steps() {
    make_constant
    rm -rf "$snap"*
    begin_constant
    "$mote" snapshot saved "$snap.1" 2>"$work/err" || fail "$(<"$work/err")"
    wait_for 2000
    snapshot --diff "$snap.1" --stop
    ended 0
    restored "$work/out2"
    same "$work/out" "$work/out2"
    rm -rf "$snap"*
}

# Its owner breaks the guest, not the monitor.  Some KVMs say EFAULT, others that there is no instruction to emulate.
cut_short() {
    make_constant
    begin_constant "$@"
    chmod u+w "$constant/progress.elf"
    truncate -s 4096 "$constant/progress.elf"
    ended 125
    says "$work/err" 'mote: error: vCPU 0: '
    says "$work/err" 'the VM failed (KVM stopped the vCPU)'
}

# huge_kib HOW: KiB of huge pages of a guest with --huge-pages HOW, as $huge.
huge_kib() {
    begin --huge-pages "$1"
    huge=$(awk '/^AnonHugePages:/ { sum += $2 } END { print sum + 0 }' "/proc/$(pgrep -P "$pid" | head -n 1)/smaps")
    ended 0
    same "$work/out"
}

huge_pages() {
    local huge
    huge_kib off
    ((huge == 0)) || fail "$huge KiB of huge pages, though they are off"
    huge_kib on
    ((huge > 0)) || fail 'no huge page'
}

# That the host gives none is said, of a host whose switch is another file.
huge_pages_refused() {
    local enabled=/sys/kernel/mm/transparent_hugepage/enabled
    echo 'always madvise [never]' >"$work/enabled"
    # shellcheck disable=SC2016 # the inner shell's
    unshare -m sh -c 'mount --bind "$1" "$2" && shift 2 && exec "$@"' sh "$work/enabled" "$enabled" \
        "$mote" boot --kernel "$payloads/hello.elf" --huge-pages on --log-level warn </dev/null >"$work/out" 2>"$work/err" ||
        fail "$(<"$work/err")"
    [[ $(grep -c . "$work/err") == 1 ]] || fail "more lines than one: $(<"$work/err")"
    says "$work/err" "mote: warn: --huge-pages on: has no effect, as this host gives none; as root: echo madvise >$enabled"
    boot 0 hello --huge-pages on --log-level warn
    [[ ! -s $work/err ]] || fail "where they are given: $(<"$work/err")"
}

a_test 'a constant kernel is mapped, and the guest writes to its own copy' mapped_and_whole
a_test 'a kernel that may be written to is read' written_to_is_read
a_test 'saved and restored with a mapped kernel' mapped_and_saved
a_test 'saved in steps with a mapped kernel' mapped_and_saved_in_steps
a_test 'a mapped kernel is cut short' cut_short
a_test 'a mapped kernel is cut short, without a jail' cut_short --sandbox off
if [[ $(id -u) != 0 ]] || ! grep -qs '\[\(always\|madvise\)\]' /sys/kernel/mm/transparent_hugepage/enabled; then
    skipped=$((skipped + 2))
else
    a_test 'huge pages, on and off' huge_pages
    a_test 'huge pages that the host refuses' huge_pages_refused
fi
