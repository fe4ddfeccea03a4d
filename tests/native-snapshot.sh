# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# For tests/native: VMs saved amid their work, and restored in other processes. The guest "progress" says the same in
# the end whether it was interrupted or not, and its output is one whole in however many parts it came. Before its last
# words it waits to be told that it may end: on a machine that is busy a test comes late, and finds it there all the same.

# shellcheck disable=SC2154 # payloads, mote and work are the runner's

export XDG_RUNTIME_DIR=$work/run XDG_STATE_HOME=$work/state
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

# start_work [OPTION]…: the guest as $pid, the VM "saved"; go_on lets it end.
start_work() {
    # shellcheck disable=SC2034 # who boots reads it
    local stdin=$work/input
    input_anew
    start progress --cmdline "steps=$steps hold=$steps" --name saved --log-level error "$@"
}
input_anew() {
    rm -f "$work/input"
    mkfifo "$work/input"
    exec {input}<>"$work/input"
}
go_on() { [[ ! -e $work/input ]] || echo >&"$input"; }

# begin [OPTION]…: so, after its first steps.
begin() {
    reference
    rm -rf "$snap" "$snap.partial"
    start_work "$@"
    wait_for 1000
}

# ended WANTED: $pid, which may end now, has ended, with the status WANTED.
ended() {
    local status=0
    go_on
    wait "$pid" || status=$?
    ((status == $1)) || fail "status $status, wanted $1: $(tail -n 1 "$work/err")"
}

# same FILE…: they make up what the reference says.
same() { cat "$@" | cmp -s - "$work/reference" || fail "it went on otherwise: $(tail -n 2 "$@" | tr '\n' ' ')"; }

# restored OUT [OPTION]…: from $snap to its end.
restored() {
    local out=$1 status=0
    shift
    timeout -k 1 60 "$mote" restore "$snap" --log-level error "$@" <<<go >"$out" 2>"$work/err" || status=$?
    ((status == 0)) || fail "restore ended with status $status: $(tail -n 1 "$work/err")"
}

snapshot() { "$mote" snapshot saved "$snap" "$@" 2>"$work/err" || fail "$(<"$work/err")"; }

# With its output into a pipe: one into a file has no limit on the lengths of files, and neither has a snapshot then.
saved_beside_a_pipe() {
    reference
    rm -rf "$snap"
    input_anew
    "$mote" boot --name saved --kernel "$payloads/progress.elf" --cmdline "steps=$steps hold=$steps" --log-level error \
        <"$work/input" 2>/dev/null | cat >"$work/out" &
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
    # What the guest had said by then is still being written; one that went on would print until its end.
    sleep 1
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
        input_anew
        "$mote" restore "$snap.$n" --name saved --log-level error <"$work/input" >"$work/out" 2>"$work/err" &
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

# What the first VM touched is kept, whole; what is no such file, or another's, does no harm.
working_set_is_advice() {
    local size
    rm -rf "$snap"*
    begin
    snapshot
    mv "$snap" "$snap.other"
    snapshot --stop
    ended 0
    [[ ! -e $snap/working-set ]] || fail 'something is recorded already'
    restored "$work/out2" --sandbox off
    same "$work/out" "$work/out2"
    [[ -s $snap/working-set ]] || fail 'nothing was recorded'
    cp "$snap/working-set" "$work/working-set"
    restored "$work/out2"
    cmp -s "$snap/working-set" "$work/working-set" || fail 'it was recorded again'
    rm "$snap/working-set"
    restored "$work/out2"
    size=$(stat -c %s "$work/working-set")
    [[ $(stat -c %s "$snap/working-set") == "$size" ]] || fail 'the jail recorded otherwise'
    for ((at = 0; at < size; at += 3001)); do
        rm -f "$snap/working-set"
        cp "$work/working-set" "$snap/working-set"
        poke "$at" '\xa5' "$snap/working-set"
        ((at % 2)) || truncate -s "$at" "$snap/working-set"
        "$mote" restore "$snap" --log-level error <<<go >"$work/out2" 2>"$work/err" || fail "$(<"$work/err")"
    done
    same "$work/out" "$work/out2"
    cmp -s -n 40 "$snap/working-set" "$work/working-set" || fail 'what was cut short was not recorded anew'
    poke 24 '\xa5' "$snap/working-set" # the id
    restored "$work/out2"
    cmp -s -n 40 "$snap/working-set" "$work/working-set" || fail 'that of another snapshot was not replaced'
    chmod 666 "$snap/working-set"
    cp "$work/working-set" "$snap.other/working-set"
    restored "$work/out2"
    same "$work/out" "$work/out2"
    rm -rf "$snap"*
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
    refused 'none can be added' --disk "$work/disk"
    restored "$work/out2"
}

# ---- from elsewhere ----

# names_of [OPTION]…: a VM with these, saved here and then as one that came from elsewhere: refused as long as it names
# something of this host, for which nothing is opened or made; $named is what it names.
names_of() {
    rm -rf "$snap" "$work/good" "$work/secret" "$work/vsock"
    echo secret >"$work/secret"
    truncate -s 1M "$work/disk"
    begin "$@"
    snapshot --stop
    ended 0
    mv "$snap" "$work/good"
    cp "$work/out" "$work/first"
    rm -f "$work/vsock"*
    altered memory true
    [[ -z $named ]] || refused "names of this host: $named"
    [[ $(<"$work/secret") == secret ]] || fail 'the file was written'
    [[ ! -e $work/vsock ]] || fail 'the socket was made'
    [[ ! -e $snap/working-set ]] || fail 'it ran'
}

from_elsewhere() {
    local named
    for named in "--disk $work/disk" "--disk $work/disk,ro" "--port log=file:$work/secret" \
        "--port x=unix:$work/vsock" "--vsock 3:$work/vsock"; do
        # shellcheck disable=SC2086 # an option and its value
        names_of $named
        restored "$work/out2" --trust
        same "$work/first" "$work/out2"
    done
    # What is given anew is nobody else's word; the rest still is.
    truncate -s 1M "$work/mine" "$work/mine2"
    named="--disk $work/disk, --port log=file:$work/secret"
    names_of --disk "$work/disk" --port "log=file:$work/secret"
    refused "names of this host: --port log=file:$work/secret;" --disk "$work/mine"
    restored "$work/out2" --disk "$work/mine" --port "log=file:$work/mine2"
    same "$work/first" "$work/out2"
    # What is the guest's alone is nobody's business.
    named=''
    names_of --balloon 16M,reporting --entropy on --net none
    restored "$work/out2"
    same "$work/first" "$work/out2"
}

# What is one's own stays so by another name, and folded; a copy is not, nor what was folded of one.
own_ones() {
    local options=(--disk "$work/disk")
    truncate -s 1M "$work/disk"
    begin "${options[@]}"
    snapshot
    mv "$snap" "$work/base"
    "$mote" snapshot saved "$snap" --diff "$work/base" --stop 2>"$work/err" || fail "$(<"$work/err")"
    ended 0
    rm -rf "$work/good" "$work/named"
    cp -r --sparse=always "$snap" "$work/good"
    mv "$snap" "$work/named"
    mv "$work/named" "$snap"
    restored "$work/out2"
    "$mote" snapshot merge "$snap" 2>"$work/err" || fail "$(<"$work/err")"
    restored "$work/out2"
    same "$work/out" "$work/out2"
    rm -rf "$snap"
    mv "$work/good" "$snap"
    refused "--disk $work/disk"
    "$mote" snapshot merge "$snap" 2>"$work/err" || fail "$(<"$work/err")"
    refused "--disk $work/disk"
    restored "$work/out2" --trust
    # Without a note, as on another machine; and one that somebody else could have made.
    rm -rf "$snap" "$work/base"
    begin "${options[@]}"
    snapshot --stop
    ended 0
    XDG_STATE_HOME=$work/elsewhere refused "--disk $work/disk"
    chmod go+w "$XDG_STATE_HOME/mote/snapshots"
    refused "--disk $work/disk"
    chmod go-w "$XDG_STATE_HOME/mote/snapshots"
    touch "$snap/state"
    refused "--disk $work/disk"
    rm -rf "$snap"
}

# ---- differences ----

# verified FOLDER: all its memory is what its checksum says.
verified() { "$mote" snapshot verify "$1" 2>"$work/err" || fail "$(<"$work/err")"; }

# on_disk FOLDER: KiB that its memory takes.
on_disk() { du -k "$1/memory" | cut -f 1; }

# Three times saved as it runs, each time what changed; restored from the chain, and again from what that is folded to.
saved_in_steps() {
    rm -rf "$snap"*
    begin
    "$mote" snapshot saved "$snap.1" 2>"$work/err" || fail "$(<"$work/err")"
    touch -c "$snap.1/memory"
    ! "$mote" snapshot saved "$snap.2" --diff "$snap.1" 2>"$work/err" || fail 'the VM waited for its base to be read'
    says "$work/err" "run 'mote snapshot verify' on it first"
    verified "$snap.1"
    "$mote" snapshot saved "$snap.2" --diff "$snap.1" 2>"$work/err" || fail "$(<"$work/err")"
    snapshot --diff "$snap.2" --stop
    ended 0
    (($(on_disk "$snap") <= $(on_disk "$snap.1"))) || fail "$(on_disk "$snap") KiB for a difference"
    verified "$snap"
    restored "$work/out2"
    same "$work/out" "$work/out2"
    # From what was restored: its own base.
    mv "$snap" "$snap.3"
    input_anew
    "$mote" restore "$snap.3" --name saved --log-level error <"$work/input" >"$work/out3" 2>"$work/err" &
    pid=$!
    until "$mote" pause saved 2>/dev/null || ! kill -0 $pid 2>/dev/null; do :; done
    snapshot --diff "$snap.3" --stop
    ended 0
    restored "$work/out4"
    same "$work/out" "$work/out3" "$work/out4"
    "$mote" snapshot merge "$snap" "$work/merged" 2>"$work/err" || fail "$(<"$work/err")"
    "$mote" snapshot merge "$snap.3" 2>"$work/err" || fail "$(<"$work/err")"
    restored "$work/out4" # on the one that was folded in its place
    same "$work/out" "$work/out3" "$work/out4"
    [[ ! -e $snap.3.partial ]] || fail "$snap.3.partial is left"
    ! "$mote" snapshot merge "$snap.3" 2>"$work/err" || fail 'a full one was folded'
    says "$work/err" 'is full already'
    rm -rf "$snap"*
    mv "$work/merged" "$snap"
    restored "$work/out4"
    same "$work/out" "$work/out3" "$work/out4"
}

chain_refusals() {
    rm -rf "$snap"* "$work/good"*
    begin
    "$mote" snapshot saved "$snap.other" 2>"$work/err" || fail "$(<"$work/err")"
    "$mote" snapshot saved "$snap.1" 2>"$work/err" || fail "$(<"$work/err")"
    "$mote" snapshot saved "$snap.2" --diff "$snap.1" 2>"$work/err" || fail "$(<"$work/err")"
    snapshot --diff "$snap.2" --stop
    ended 0
    mv "$work/out" "$work/out0" # refused() has its own
    mv "$snap.2" "$work/away"
    refused 'its base ../snap.2 is not there'
    mv "$work/away" "$snap.2"
    mv "$snap.1" "$work/away"
    refused 'its base ../snap.1 is not there'
    mv "$snap.other" "$snap.1"
    refused 'is another snapshot than it was saved from'
    rm -rf "$snap.1"
    cp -r "$snap" "$snap.1"
    refused 'is another snapshot than it was saved from'
    rm -rf "$snap.1"
    mv "$work/away" "$snap.1"
    chmod 666 "$snap.2/memory"
    refused 'can be written by others'
    chmod 400 "$snap.2/memory"
    chmod 777 "$snap.1"
    refused 'can be written by others'
    chmod 700 "$snap.1" && chmod u+w "$snap.1/memory" "$snap.2/memory"
    restored "$work/out2"
    same "$work/out0" "$work/out2"
    # A bit of memory, and of the map behind it.
    poke 8192 X "$snap.1/memory"
    refused 'its checksum does not fit'
    ! "$mote" snapshot verify "$snap" 2>"$work/err" || fail 'it was verified'
    says "$work/err" 'its checksum does not fit'
    ! "$mote" snapshot merge "$snap" 2>"$work/err" || fail 'it was merged'
    says "$work/err" 'its checksum does not fit'
    poke 8192 '\0' "$snap.1/memory"
    restored "$work/out2"
    poke $(((256 << 20) + 4096 + 9)) X "$snap.2/memory"
    refused 'its checksum does not fit'
}

# A base must be what the VM was, or it would get to read another's memory.
foreign_base() {
    rm -rf "$snap"* "$work/none"
    begin
    "$mote" snapshot saved "$snap.other" --stop 2>"$work/err" || fail "$(<"$work/err")"
    ended 0
    start_work
    ! "$mote" snapshot saved "$snap" --diff "$snap.other" 2>"$work/err" || fail "saved from another VM's"
    says "$work/err" 'is none that this VM was restored from or, of late, saved as'
    ! "$mote" snapshot saved "$snap" --diff "$work/none" 2>"$work/err" || fail 'saved from nothing'
    says "$work/err" 'No such file or directory'
    rm -rf "$snap.other"
    went_on
}

# Killed while it folds, or with no room: what was there is as it was.
merge_gone_wrong() {
    local step place=$work/small
    rm -rf "$snap"*
    begin
    "$mote" snapshot saved "$snap.1" 2>"$work/err" || fail "$(<"$work/err")"
    snapshot --diff "$snap.1" --stop
    ended 0
    for step in mkdirat:when=1 openat:when=5 copy_file_range:when=1 copy_file_range:when=3 pwrite64:when=3 \
        fsync:when=1 fsync:when=2 fsync:when=3 fsync:when=4 renameat2:when=1; do
        ! command -v strace >/dev/null || strace -qq -o /dev/null -e trace="${step%:*}" \
            -e inject="${step/:/:signal=SIGKILL:}" "$mote" snapshot merge "$snap" 2>/dev/null || true
        verified "$snap"
    done
    restored "$work/out2"
    same "$work/out" "$work/out2"
    if mkdir -p "$place" && mount -t tmpfs -o size=16k mote-test "$place" 2>/dev/null; then
        ! "$mote" snapshot merge "$snap" "$place/into" 2>"$work/err" || fail 'merged into a full disk'
        says "$work/err" 'No space left on device'
        [[ -z $(ls -A "$place") ]] || fail "left: $(ls -A "$place")"
        umount "$place"
    fi
    "$mote" snapshot merge "$snap" 2>"$work/err" || fail "$(<"$work/err")"
    rm -rf "$snap.1"
    restored "$work/out2"
    same "$work/out" "$work/out2"
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

# Its files are out of the VM's hands before the supervisor hears of it and removes them: their memory is free then.
closed_before_told() {
    local child order
    begin_paused
    child=$(pgrep -P "$pid" | head -n 1)
    strace -f -qq -y -o "$work/calls" -e trace=close,sendto -p "$child" 2>/dev/null &
    local tracer=$!
    traced "$child" "$tracer"
    snapshot
    kill "$tracer" 2>/dev/null || true
    wait "$tracer" 2>/dev/null || true
    order=$(grep -aoE 'close\([0-9]+<[^>]*/(state|memory)|sendto' "$work/calls" | sed 's/(.*\//(/' | tr '\n' ' ')
    [[ $order == 'close(state close(memory sendto ' ]] || fail "it did: $order"
    "$mote" resume saved
    rm -rf "$snap"
    went_on
}

# traced PROCESS TRACER: until the first is traced by the second.
traced() {
    while kill -0 "$2" 2>/dev/null && grep -q 'TracerPid:.0$' "/proc/$1/status"; do sleep 0.05; done
}

# A VM that stands still, so that it is there however long it takes to get hold of it.
begin_paused() {
    begin
    "$mote" pause saved
}

# Killed at the N-th call of a kind, each in turn: the supervisor with all of it, its monitor, or who asked.
killed_supervisor() {
    local call
    for call in mkdirat openat sendmsg clone; do
        begin_paused
        strace -f -qq -o /dev/null -e trace="$call" -e inject="$call:signal=SIGKILL" -p "$pid" 2>/dev/null &
        local tracer=$!
        traced "$pid" "$tracer"
        ! "$mote" snapshot saved "$snap" 2>"$work/err" || fail "$call: it was saved"
        wait "$pid" 2>/dev/null || true
        wait "$tracer" 2>/dev/null || true
        [[ ! -e $snap ]] || restored "$work/out2"
        # What is left is no obstacle.
        start_work
        rm -rf "$snap"
        snapshot --stop
        ended 0
        restored "$work/out2"
        same "$work/out" "$work/out2"
    done
}

# slowly COMMAND…: while no file of a snapshot comes to the disk. The command asks for one and calls stuck, which returns
# once it was to come there.
slowly() {
    local tracer
    : >"$work/calls"
    strace -f -qq -o "$work/calls" -e trace=fsync -e inject=fsync:signal=SIGSTOP -p "$pid" 2>/dev/null &
    tracer=$!
    traced "$pid" "$tracer"
    "$@"
    wait "$tracer" 2>/dev/null || true
}

stuck() {
    local i
    for ((i = 0; i < patience * 20; i++)); do
        ! grep -q 'stopped by SIGSTOP' "$work/calls" || return 0
        sleep 0.05
    done
    fail 'nothing was to come to the disk'
}

# The process that brings it to the disk is killed at each step: the VM goes on, and the snapshot is whole or not there.
killed_aside() {
    local step
    begin_paused
    for step in fsync:when=1 fsync:when=2 fsync:when=3 fsync:when=4 fsync:when=5 renameat2:when=1; do
        strace -f -qq -o /dev/null -e trace="${step%:*}" -e inject="${step/:/:signal=SIGKILL:}" -p "$pid" 2>/dev/null &
        tracer=$!
        traced "$pid" "$tracer"
        ! "$mote" snapshot saved "$snap" 2>"$work/err" || fail "$step: it was saved"
        says "$work/err" 'the background task was killed'
        kill "$tracer" 2>/dev/null || true
        wait "$tracer" 2>/dev/null || true
        [[ ! -e $snap ]] || { "$mote" snapshot verify "$snap" && rm -rf "$snap"; } || fail "$step: half a snapshot"
    done
    "$mote" resume saved
    went_on
}

# The supervisor dies with all it had begun.
killed_while_aside() {
    kill_soon() {
        "$mote" snapshot saved "$snap" 2>/dev/null &
        stuck
        kill -KILL "$pid"
        wait "$pid" 2>/dev/null || true
        wait %% 2>/dev/null || true
    }
    begin_paused
    slowly kill_soon
    sleep 0.2
    [[ ! -e $snap ]] || fail 'it was saved'
    start_work
    snapshot --stop
    ended 0
    restored "$work/out2"
    same "$work/out" "$work/out2"
}

# A disk that takes its time keeps nobody from Ctrl-C.
stopped_while_aside() {
    stop_soon() {
        "$mote" snapshot saved "$snap" 2>"$work/asked" &
        stuck
        stopped_by TERM 143
        wait %% 2>/dev/null || true
    }
    begin_paused
    slowly stop_soon
    says "$work/asked" 'given up, as the VM was told to end'
    [[ ! -e $snap && ! -e $snap.partial ]] || fail "something is left: $(echo "$snap"*)"
}

# The guest is gone and its snapshot is not on the disk yet: the terminal is its owner's again.
terminal_while_aside() {
    local owner
    end_and_look() {
        "$mote" snapshot saved "$snap" 2>/dev/null &
        stuck
        go_on
        wait_for 'sum ' # the guest's last words
        for ((i = 0; i < patience * 20; i++)); do
            stty -F "$(readlink "/proc/$pid/fd/0")" -a >"$work/stty" || true
            ! grep -q 'isig icanon' "$work/stty" || break
            sleep 0.05
        done
        says "$work/stty" 'isig icanon'
        kill -TERM "$pid"
        wait "$owner" 2>/dev/null || true
        wait %% 2>/dev/null || true
    }
    rm -rf "$snap" "$snap.partial"
    : >"$work/out"
    input_anew
    "$pty" -- "$mote" boot --kernel "$payloads/progress.elf" --cmdline "steps=$steps hold=$steps" --name saved \
        <"$work/input" >"$work/out" 2>"$work/err" &
    owner=$!
    wait_for 1000
    pid=$(pgrep -P "$owner")
    slowly end_and_look
}

killed_monitor() {
    local status=0
    begin_paused
    strace -f -qq -o /dev/null -e trace=pwrite64 -e inject=pwrite64:signal=SIGKILL:when=2 -p "$(pgrep -P "$pid" | head -n 1)" \
        2>/dev/null &
    local tracer=$!
    traced "$(pgrep -P "$pid" | head -n 1)" "$tracer"
    ! "$mote" snapshot saved "$snap" 2>"$work/asked" || fail 'it was saved'
    says "$work/asked" 'the VM ended before it was done'
    wait "$pid" 2>/dev/null || status=$?
    wait "$tracer" 2>/dev/null || true
    ((status == 125)) || fail "status $status, wanted 125"
    [[ ! -e $snap && ! -e $snap.partial ]] || fail "something is left: $(echo "$snap"*)"
}

# A monitor that is there and silent, as a guest could make it: who asks hears of that in time, others are served
# meanwhile, what is carried out late is undone, and nothing was lost.
silent_monitor() {
    local child asked
    control() { build/tests/tools/vsock_cat talk "unix:$XDG_RUNTIME_DIR/mote/saved/control" "$1"; }
    is_refused() {
        ! timeout 120 "$mote" "$@" 2>"$work/asked" || fail "$1: was done"
        says "$work/asked" "VM saved: its process does not answer; see what its disk waits for, or use 'mote stop saved'"
    }
    begin
    child=$(pgrep -P "$pid" | head -n 1)
    kill -STOP "$child"
    is_refused pause saved &
    asked=$!
    sleep 0.5
    [[ $(control '{"command":"status"}') == *'"state":"running"'* ]] || fail 'status was not told'
    wait "$asked"
    says "$work/asked" 'does not answer'
    is_refused snapshot saved "$snap"
    kill -CONT "$child"
    until "$mote" resume saved 2>"$work/err"; do says "$work/err" 'does not answer'; done
    wait_for 3000
    went_on
}

# Amid a snapshot, after which it would stand still for its end.
silent_amid_a_snapshot() {
    local child tracer
    begin
    child=$(pgrep -P "$pid" | head -n 1)
    # The guest would be at its end before strace is there.
    "$mote" pause saved
    strace -f -qq -o /dev/null -e trace=pwrite64 -e inject=pwrite64:signal=SIGSTOP:when=2 -p "$child" 2>/dev/null &
    tracer=$!
    traced "$child" "$tracer"
    "$mote" resume saved
    ! "$mote" snapshot saved "$snap" --stop 2>"$work/asked" || fail 'it was saved'
    says "$work/asked" 'does not answer'
    [[ ! -e $snap && ! -e $snap.partial ]] || fail "something is left: $(echo "$snap"*)"
    kill "$tracer"
    wait "$tracer" 2>/dev/null || true
    kill -CONT "$child"
    wait_for 3000
    until "$mote" snapshot saved "$snap" --stop 2>"$work/err"; do says "$work/err" 'does not answer'; done
    ended 0
    restored "$work/out2"
    same "$work/out" "$work/out2"
}

stopped_while_silent() {
    begin
    kill -STOP "$(pgrep -P "$pid" | head -n 1)"
    "$mote" pause saved 2>"$work/asked" &
    sleep 0.5
    stopped_by TERM 125
    says "$work/err" 'did not end within 5 s and was killed'
    wait %% 2>/dev/null || true
    says "$work/asked" 'the VM ended before it was done'
}

killed_client() {
    local tries
    begin
    for tries in {1..20}; do
        (timeout -s KILL "0.00$((tries % 10))" "$mote" snapshot saved "$snap.$tries" || true) 2>/dev/null
    done
    # One of those may still be under way: its end is awaited.
    "$mote" pause saved && "$mote" resume saved
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
a_test 'snapshots from elsewhere name nothing of this host' from_elsewhere
a_test 'which snapshots are own ones' own_ones
a_test 'what the first VM touched is recorded, and believed in nothing' working_set_is_advice
a_test 'saved in steps, restored from the chain and from what it is folded to' saved_in_steps
a_test 'chains that were broken, altered or mixed' chain_refusals
a_test 'a base that the VM never was' foreign_base
a_test 'folding that is killed, or finds no room' merge_gone_wrong
a_test 'saved where there is no place' no_such_place
a_test 'saved to a disk that is full' full
a_test 'who asked for a snapshot is killed' killed_client
a_test 'the monitor is silent' silent_monitor
a_test 'the monitor is silent and ended' stopped_while_silent
if [[ -n $skip_all ]] || ! command -v strace >/dev/null || [[ $(id -u) != 0 ]]; then
    skipped=$((skipped + 8))
else
    a_test 'the supervisor is killed amid a snapshot' killed_supervisor
    a_test 'the monitor lets go of a snapshot first and answers then' closed_before_told
    a_test 'what brings a snapshot to the disk is killed' killed_aside
    a_test 'the supervisor is killed while a snapshot comes to the disk' killed_while_aside
    a_test 'a VM is ended while a snapshot comes to the disk' stopped_while_aside
    a_test 'the terminal while a snapshot comes to the disk' terminal_while_aside
    a_test 'the monitor is killed amid a snapshot' killed_monitor
    a_test 'the monitor is silent amid a snapshot' silent_amid_a_snapshot
fi
