# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# For tests/native: VMs saved amid their work, and restored in other processes. The guest "progress" says the same in
# the end whether it was interrupted or not, and its output is one whole in however many parts it came.

# shellcheck disable=SC2154 # payloads, mote and work are the runner's

export XDG_RUNTIME_DIR=$work/run
mkdir -m 700 "$work/run"
steps=6000 snap=$work/snap

devices() {
    truncate -s 1M "$work/disk"
    # shellcheck disable=SC2054 # the commas are the options'
    options=(--cpus "${1:-4}" --disk "$work/disk" --net none --vsock "3:$work/vsock" --entropy on
        --balloon 16M,reporting,stats=1 --port "log=file:$work/log")
}

# What a guest says that nobody interrupts.
reference() {
    [[ -s $work/reference ]] ||
        "$mote" boot --kernel "$payloads/progress.elf" --cmdline "steps=$steps" --log-level error \
            </dev/null >"$work/reference"
}

# begin [OPTION]…: the guest as $pid, the VM "saved", after its first steps.
begin() {
    reference
    rm -rf "$snap" "$snap.partial"
    start progress --cmdline "steps=$steps" --name saved --log-level error "$@"
    wait_for 1000
}

# ended WANTED: $pid has ended, with the status WANTED.
ended() {
    local status=0
    wait "$pid" || status=$?
    ((status == $1)) || fail "status $status, wanted $1: $(tail -n 1 "$work/err")"
}

# same FILE…: they make up what the reference says.
same() { cat "$@" | cmp -s - "$work/reference" || fail "it went on otherwise: $(tail -n 2 "$@" | tr '\n' ' ')"; }

# restored OUT [OPTION]…: from $snap to its end.
restored() {
    local out=$1 status=0
    shift
    timeout -k 1 60 "$mote" restore "$snap" --log-level error "$@" </dev/null >"$out" 2>"$work/err" || status=$?
    ((status == 0)) || fail "restore ended with status $status: $(tail -n 1 "$work/err")"
}

snapshot() { "$mote" snapshot saved "$snap" "$@" 2>"$work/err" || fail "$(<"$work/err")"; }

# With its output into a pipe: one into a file has no limit on the lengths of files, and neither has a snapshot then.
saved_beside_a_pipe() {
    reference
    rm -rf "$snap"
    "$mote" boot --name saved --kernel "$payloads/progress.elf" --cmdline "steps=$steps" --log-level error </dev/null \
        2>/dev/null | cat >"$work/out" &
    pid=$!
    wait_for 1000
    snapshot --stop
    wait "$pid"
    restored "$work/out2"
    same "$work/out" "$work/out2"
}

saved_and_ended() {
    local options=()
    [[ $1 == 0 ]] || devices "$1"
    begin "${options[@]}"
    snapshot --stop
    ended 0
    restored "$work/out2"
    same "$work/out" "$work/out2"
}

# The saved VM goes on, and so do two others from its snapshot.
saved_and_copied() {
    local size others=()
    begin
    "$mote" pause saved
    sleep 0.2 # what the guest had said by then is still being written
    size=$(stat -c %s "$work/out")
    snapshot
    sleep 0.2
    [[ $(stat -c %s "$work/out") == "$size" ]] || fail 'it went on though it was paused before'
    "$mote" resume saved
    restored "$work/out2" & others+=($!)
    restored "$work/out3" & others+=($!)
    ended 0
    wait "${others[@]}" || fail 'a copy failed'
    same "$work/out"
    head -c "$size" "$work/out" >"$work/part"
    same "$work/part" "$work/out2"
    same "$work/part" "$work/out3"
}

cycles() {
    local options=() n
    devices
    begin "${options[@]}"
    cp "$work/out" "$work/all"
    : >"$work/all"
    for ((n = 0; n < $1; n++)); do
        snapshot --stop
        ended 0
        cat "$work/out" >>"$work/all"
        mv "$snap" "$snap.$n"
        : >"$work/out"
        "$mote" restore "$snap.$n" --name saved --log-level error </dev/null >"$work/out" 2>"$work/err" &
        pid=$!
        until "$mote" pause saved 2>/dev/null || ! kill -0 $pid 2>/dev/null; do :; done
        "$mote" resume saved 2>/dev/null || fail "cycle $n: $(<"$work/err")"
        rm -rf "$snap.$n"
    done
    ended 0
    same "$work/all" "$work/out"
}

# Each copy has an ID of its own, at its first instruction.
generations() {
    rm -rf "$snap" "$snap.partial"
    start generation --name saved --log-level error
    snapshot --stop
    ended 0
    restored "$work/out2"
    restored "$work/out3"
    says "$work/out2" 'generation 0x'
    says "$work/out3" 'generation 0x'
    ! cmp -s "$work/out2" "$work/out3" || fail "two copies have the same: $(<"$work/out2")"
}

# refused TEXT: the snapshot is not restored, for the reason TEXT, and nothing of it runs.
refused() {
    local status=0
    timeout -k 1 20 "$mote" restore "$snap" "${@:2}" </dev/null >"$work/out" 2>"$work/err" || status=$?
    ((status == 125)) || fail "status $status, wanted 125, for: $1"
    says "$work/err" "$1"
    (($(wc -l <"$work/err") == 1)) || fail "more than a line for: $1"
    [[ ! -s $work/out ]] || fail "the guest ran, for: $1"
}

# altered FILE COMMAND…: $snap with a file that the command changed, in place of the good one.
altered() {
    local file=$1
    shift
    rm -rf "$snap"
    cp -r --sparse=always "$work/good" "$snap"
    chmod u+w "$snap/$file"
    "$@" "$snap/$file"
}

poke() { printf '%b' "$2" | dd of="$3" bs=1 seek="$1" conv=notrunc status=none; }

refusals() {
    local at size
    begin
    snapshot
    mv "$snap" "$work/other"
    snapshot --stop
    ended 0
    rm -rf "$work/good"
    mv "$snap" "$work/good"
    refused 'give a folder that mote snapshot made'
    altered memory truncate -s -4096
    refused 'was cut short'
    altered memory truncate -s 0
    refused 'was cut short'
    altered memory truncate -s +1
    refused 'was cut short'
    altered memory cp "$work/other/memory"
    refused 'is that of another snapshot'
    altered state cp "$work/other/state"
    refused 'is that of another snapshot'
    altered memory poke $((256 << 20)) X
    refused 'was altered'
    altered state poke 0 X
    refused 'is none'
    altered state poke 8 '\2'
    refused 'has format 2'
    altered state rm
    refused "has no file 'state'"
    altered memory rm
    refused "has no file 'memory'"
    altered state chmod 666
    refused 'can be written by others'
    # Everywhere: a byte other than it was, and an end that comes too early.
    size=$(stat -c %s "$work/good/state")
    for ((at = 12; at < size; at += size / 24)); do
        altered state truncate -s "$at"
        refused 'save the VM anew'
        altered state poke "$at" '\xa5'
        refused 'snapshot: section'
    done
    rm -rf "$snap"
    mv "$work/good" "$snap"
    refused 'give as many, or none' --disk "$work/disk"
    restored "$work/out2"
}

# ---- what goes wrong while it is saved ----

# The VM's end is as if nobody had tried; neither a snapshot nor a part of one is there.
went_on() {
    [[ ! -e $snap && ! -e $snap.partial ]] || fail "something is left: $(echo "$snap"*)"
    ended 0
    same "$work/out"
}

no_such_place() {
    begin
    ! "$mote" snapshot saved "$work/none/snap" 2>"$work/err" || fail 'it was saved nowhere'
    says "$work/err" 'No such file or directory'
    mkdir "$snap"
    ! "$mote" snapshot saved "$snap" 2>"$work/err" || fail 'it replaced a folder'
    says "$work/err" 'is there already'
    rmdir "$snap"
    went_on
}

# A disk that is full after so many KiB.
full() {
    local place=$work/small size
    mkdir -p "$place"
    if ! mount -t tmpfs -o size=64k mote-test "$place" 2>/dev/null; then
        echo 'skip - a full disk: mounting is not permitted here'
        return
    fi
    begin
    for size in 4k 8k 12k 16k 20k 24k 32k; do
        mount -o "remount,size=$size" "$place"
        if "$mote" snapshot saved "$place/snap" 2>"$work/err"; then
            fail "a snapshot in $size"
        else
            says "$work/err" 'No space left on device'
        fi
        [[ -z $(ls -A "$place") ]] || fail "left with $size: $(ls -A "$place")"
    done
    umount "$place"
    went_on
}

# A VM that stands still, so that it is there however long it takes to get hold of it.
begin_paused() {
    begin
    "$mote" pause saved
}

# Killed at the N-th call of a kind, each in turn: the supervisor with all of it, its monitor, or who asked.
killed_supervisor() {
    local call
    for call in mkdirat openat fsync renameat2 sendmsg; do
        begin_paused
        strace -f -qq -o /dev/null -e trace="$call" -e inject="$call:signal=SIGKILL" -p "$pid" 2>/dev/null &
        local tracer=$!
        sleep 0.3
        ! "$mote" snapshot saved "$snap" 2>"$work/err" || fail "$call: it was saved"
        wait "$pid" 2>/dev/null || true
        wait "$tracer" 2>/dev/null || true
        [[ ! -e $snap ]] || restored "$work/out2"
        # What is left is no obstacle.
        start progress --cmdline "steps=$steps" --name saved --log-level error
        rm -rf "$snap"
        snapshot --stop
        ended 0
        restored "$work/out2"
        same "$work/out" "$work/out2"
    done
}

killed_monitor() {
    local status=0
    begin_paused
    strace -f -qq -o /dev/null -e trace=pwrite64 -e inject=pwrite64:signal=SIGKILL:when=2 -p "$(pgrep -P "$pid" | head -n 1)" \
        2>/dev/null &
    local tracer=$!
    sleep 0.3
    ! "$mote" snapshot saved "$snap" 2>"$work/asked" || fail 'it was saved'
    says "$work/asked" 'the VM ended before it was done'
    wait "$pid" 2>/dev/null || status=$?
    wait "$tracer" 2>/dev/null || true
    ((status == 125)) || fail "status $status, wanted 125"
    [[ ! -e $snap && ! -e $snap.partial ]] || fail "something is left: $(echo "$snap"*)"
}

killed_client() {
    local tries
    begin
    for tries in {1..20}; do
        (timeout -s KILL "0.00$((tries % 10))" "$mote" snapshot saved "$snap.$tries" || true) 2>/dev/null
    done
    # If it still runs: on a busy machine it may be done by now.
    "$mote" pause saved 2>/dev/null && "$mote" resume saved
    for tries in {1..20}; do
        [[ ! -e $snap.$tries.partial ]] || fail "$snap.$tries.partial is left"
    done
    rm -rf "$snap".*
    went_on
}

a_test 'saved amid its work and restored' saved_and_ended 0
a_test 'saved with its output into a pipe' saved_beside_a_pipe
a_test 'saved and restored with all devices and 4 vCPUs' saved_and_ended 4
a_test 'saved and restored with all devices and 64 vCPUs' saved_and_ended 64
a_test 'saved while paused, copied twice, and gone on' saved_and_copied
a_test 'saved and restored 8 times over' cycles 8
a_test 'a generation ID of its own for each copy' generations
a_test 'snapshots that were altered, cut short or mixed' refusals
a_test 'saved where there is no place' no_such_place
a_test 'saved to a disk that is full' full
a_test 'who asked for a snapshot is killed' killed_client
if [[ -n $skip_all ]] || ! command -v strace >/dev/null || [[ $(id -u) != 0 ]]; then
    skipped=$((skipped + 2))
else
    a_test 'the supervisor is killed amid a snapshot' killed_supervisor
    a_test 'the monitor is killed amid a snapshot' killed_monitor
fi
