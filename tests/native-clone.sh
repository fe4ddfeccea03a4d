# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# For tests/native: VMs in the background, and many from one snapshot.

# shellcheck disable=SC2154 # payloads, mote, work, snap and steps are the runner's and native-snapshot.sh's

# entries: the names of all.
entries() { "$mote" ps | awk 'NR > 1 { print $1 }'; }

# forget: ends all that has a name, which is nothing that a test wants to keep.
forget() {
    local all
    mapfile -t all < <(entries)
    ((${#all[@]} == 0)) || "$mote" rm --force "${all[@]}" 2>/dev/null || true
}

# nothing_left: neither entries nor processes of this mote, whose command lines tell of $snap.
nothing_left() {
    local i
    [[ -z $(ls -A "$XDG_RUNTIME_DIR/mote") ]] || fail "left: $(ls -A "$XDG_RUNTIME_DIR/mote")"
    for ((i = 0; i < patience * 20; i++)); do
        pgrep -f "clone $snap " >/dev/null || return 0
        sleep 0.05
    done
    fail "processes are left: $(pgrep -af "clone $snap " | head -n 3)"
}

# save PAYLOAD CMDLINE [OPTION]…: its snapshot, taken once it has said its first word.
save() {
    forget
    rm -rf "$snap" "$snap.partial"
    start "$1" --cmdline "$2" --name saved --log-level error "${@:3}"
    snapshot --stop
    ended 0
    "$mote" rm saved
}

# cloned COUNT [OPTION]…: they run, and their names were told.
cloned() {
    local status=0
    "$mote" clone "$snap" --count "$1" --log-level error "${@:2}" >"$work/names" 2>"$work/err" || status=$?
    ((status == 0)) || fail "status $status: $(<"$work/err")"
    [[ ! -s $work/err ]] || fail "it said: $(<"$work/err")"
    (($(wc -l <"$work/names") == $1)) || fail "names: $(tr '\n' ' ' <"$work/names")"
}

# running: how many `mote ps` tells of.
running() { "$mote" ps | grep -c ' running ' || true; }

detached() {
    local name status=0
    forget
    [[ $("$mote" boot --kernel "$payloads/hello.elf" --detach --name bg </dev/null 2>"$work/err") == bg ]] || fail "$(<"$work/err")"
    "$mote" wait bg || fail "status $?"
    "$mote" logs bg >"$work/out" 2>"$work/err"
    says "$work/out" 'hello from linux64'
    says "$work/err" 'the guest powered off'
    name=$("$mote" boot --kernel "$payloads/end.elf" --cmdline end=halt -d)
    [[ $("$mote" ps) == *"$name"*running* ]] || fail 'it does not run'
    # It has no part in the caller's session.
    [[ $(ps -o sid= -p "$(<"$XDG_RUNTIME_DIR/mote/$name/lock")" | tr -d ' ') == "$(<"$XDG_RUNTIME_DIR/mote/$name/lock")" ]] ||
        fail 'it is of the same session'
    "$mote" stop "$name"
    timeout "$patience" "$mote" wait "$name" || status=$?
    ((status == 143)) || fail "status $status, wanted 143"
    "$mote" rm bg "$name"
    status=0
    "$mote" boot --kernel "$work/none" --detach --name bg >"$work/out" 2>"$work/err" || status=$?
    ((status == 125)) || fail "status $status, wanted 125"
    says "$work/err" "$work/none: No such file"
    [[ ! -s $work/out && $(wc -l <"$work/err") == 1 ]] || fail "it said: $(cat "$work/out" "$work/err")"
    nothing_left
}

# Each has what two cannot share, the images stay as they are, and the end of all leaves nothing.
eight() {
    local before i names
    truncate -s 1M "$work/disk" "$work/shared"
    save end end=halt --disk "$work/disk" --disk "$work/shared,ro" --net none --vsock "3:$work/vsock" --entropy on \
        --balloon 16M --port "log=file:$work/log"
    before=$(sha256sum "$work/disk" "$work/shared")
    cloned 8
    [[ $(tr '\n' ' ' <"$work/names") == 'snap-1 snap-2 snap-3 snap-4 snap-5 snap-6 snap-7 snap-8 ' ]] || fail "$(<"$work/names")"
    (($(running) == 8)) || fail "$(running) run"
    for i in {1..8}; do
        [[ -S $work/vsock.snap-$i && -e $work/log.snap-$i ]] || fail "snap-$i lacks its socket or its file"
    done
    [[ ! -e $work/vsock ]] || fail "the saved VM's socket is there"
    "$mote" pause snap-3
    [[ $("$mote" ps | sed -n 4p) == 'snap-3 '*' paused '* ]] || fail "$("$mote" ps)"
    "$mote" resume snap-3
    # Its disk would be gone with it: it is not saved, and goes on.
    ! "$mote" snapshot snap-3 "$work/again" --stop 2>"$work/err" || fail 'a clone was saved without its disk'
    says "$work/err" "overlay=FILE (clones: FILE%d)"
    [[ $(echo "$work"/again*) == "$work/again*" ]] || fail "left: $(echo "$work"/again*)"
    (($(running) == 8)) || fail "$(running) run after a pause"
    mapfile -t names <"$work/names"
    "$mote" stop "${names[@]}"
    (($("$mote" ps | grep -c 'ended (143)') == 8)) || fail "$("$mote" ps)"
    "$mote" rm "${names[@]}"
    nothing_left
    [[ $(echo "$work"/vsock*) == "$work/vsock*" ]] || fail "left: $(echo "$work"/vsock*)"
    [[ $(sha256sum "$work/disk" "$work/shared") == "$before" ]] || fail 'a disk was changed'
}

# They go on from the same step, each to its end, as if it had not been interrupted.
same_work() {
    local i
    reference
    save progress "steps=$steps part=3000"
    head -c "$(stat -c %s "$work/out")" "$work/out" >"$work/part"
    cloned 4 --name job
    timeout "$patience" "$mote" wait job-1 job-2 job-3 job-4 || fail "status $?"
    for i in 1 2 3 4; do
        "$mote" logs "job-$i" >"$work/out2"
        same "$work/part" "$work/out2"
    done
    forget
    nothing_left
}

own_generations() {
    local i
    save generation ''
    cloned 4
    timeout "$patience" "$mote" wait snap-1 snap-2 snap-3 snap-4 || fail "status $?"
    for i in 1 2 3 4; do "$mote" logs "snap-$i"; done | grep -a 'generation 0x' | sort -u >"$work/out2"
    (($(wc -l <"$work/out2") == 4)) || fail "they have: $(<"$work/out2")"
    forget
    nothing_left
}

# A supervisor that is killed takes its VM with it, and nobody else's.
one_killed() {
    local supervisor monitor i
    save end end=halt
    cloned 3
    supervisor=$(<"$XDG_RUNTIME_DIR/mote/snap-2/lock")
    monitor=$(pgrep -P "$supervisor")
    "$mote" kill snap-2
    for ((i = 0; i < patience * 20; i++)); do
        [[ -e /proc/$supervisor || -e /proc/$monitor ]] || break
        sleep 0.05
    done
    ((i < patience * 20)) || fail 'a process is left'
    [[ $("$mote" ps | sed -n 3p) == 'snap-2 '*'ended (137)'* ]] || fail "$("$mote" ps)"
    (($(running) == 2)) || fail "$(running) run"
    # Its name is free again, those of the others are not.
    ! "$mote" clone "$snap" --count 2 2>"$work/err" || fail 'two of one name'
    says "$work/err" 'snap-1 is the name of a job or VM that runs'
    forget
    nothing_left
}

# not_cloned TEXT [OPTION]…: refused in a line, and no VM was there.
not_cloned() {
    local status=0
    "$mote" clone "$snap" "${@:2}" >"$work/out" 2>"$work/err" || status=$?
    ((status == 125)) || fail "status $status, wanted 125, for: $1"
    says "$work/err" "$1"
    (($(wc -l <"$work/err") == 1)) || fail "more than a line for: $1"
    [[ ! -s $work/out ]] || fail "one ran, for: $1"
    nothing_left
}

not_any() {
    local long
    save end end=halt --vsock "3:$work/vsock"
    printf -v long '%063d' 0
    not_cloned '--count: is missing'
    not_cloned 'from 1 to 10000' --count 0
    not_cloned 'from 1 to 10000' --count 100000
    not_cloned 'makes no names' --count 2 --name "$long"
    not_cloned 'is no name' --count 2 --name ../x
    not_cloned 'none can be added' --count 2 --disk "$work/disk"
    not_cloned 'without meaning' --count 2 --vsock "4:$work/%n"
    # Found out before the first of them runs: the tenth's path is too long.
    not_cloned 'is longer than' --count 10 --vsock "4:/$(printf '%095d' 0)%d"
    not_cloned "clone snap-1: $work/none: no such file" --count 3 --kvm "$work/none"
    rm -rf "$work/good"
    mv "$snap" "$work/good"
    not_cloned 'give a folder that mote snapshot made' --count 2
    # From elsewhere, as copies are: each may have nothing of this host without a word.
    altered memory true
    not_cloned "names of this host: --vsock 3:$work/vsock" --count 2
    altered state truncate -s -1
    not_cloned 'save the VM anew' --count 2 --trust
    altered state poke 100 '\xa5'
    not_cloned 'snapshot: section' --count 2
    # Amid what only the jail reads.
    altered state poke 3000 '\xa5'
    not_cloned 'clone snap-1: snapshot: section' --count 2 --trust
    altered memory truncate -s -4096
    not_cloned 'was cut short' --count 2
    altered state chmod 666
    not_cloned 'can be written by others' --count 2
    rm -rf "$snap" "$work/good"
}

# Those that can run do, and the others are told of by name.
some_fail() {
    local status=0
    mkdir -p "$work/p-1" "$work/p-3"
    save end end=halt --port "log=file:$work/log"
    "$mote" clone "$snap" --count 3 --name p --port "log=file:$work/%s/log" --log-level error >"$work/names" 2>"$work/err" ||
        status=$?
    ((status == 125)) || fail "status $status, wanted 125"
    [[ $(tr '\n' ' ' <"$work/names") == 'p-1 p-3 ' ]] || fail "names: $(<"$work/names")"
    says "$work/err" 'mote: error: clone p-2:'
    says "$work/err" '1 of 3 clones could not be had'
    [[ $(entries | tr '\n' ' ') == 'p-1 p-3 ' ]] || fail "$("$mote" ps)"
    forget
    nothing_left
}

# passt_of NAME: that of the VM's monitor.
passt_of() { pgrep -P "$(pgrep -P "$(<"$XDG_RUNTIME_DIR/mote/$1/lock")")" passt || true; }

# The saved VM's port is forwarded to none of them, as only one could have it.
own_passt() {
    local port=$((20000 + $$ % 20000)) first i
    command -v passt >/dev/null || return 0
    save end end=halt --net "user,forward=tcp:$port:80"
    cloned 2
    first=$(passt_of snap-1)
    [[ $(wc -w <<<"$first $(passt_of snap-2)") == 2 ]] || fail "passt: '$first', '$(passt_of snap-2)'"
    [[ $(tr '\0' ' ' <"/proc/$first/cmdline") != *"$port"* ]] || fail 'a clone has the forwarded port'
    "$mote" stop snap-1
    for ((i = 0; i < patience * 20; i++)); do
        [[ -e /proc/$first ]] || break
        sleep 0.05
    done
    ((i < patience * 20)) || fail 'passt goes on without its VM'
    [[ $(passt_of snap-2) ]] || fail 'the passt of the other ended, too'
    forget
    nothing_left
}

# Nobody can be told of the first: it runs, and there are no others.
untold() {
    local status=0
    save end end=halt
    "$mote" clone "$snap" --count 3 --name u --log-level error >/dev/full 2>"$work/err" || status=$?
    ((status == 125)) || fail "status $status, wanted 125"
    says "$work/err" '1 of 3 clones run'
    [[ $(entries) == u-1 ]] || fail "$("$mote" ps)"
    (($(running) == 1)) || fail "$(running) run"
    forget
    nothing_left
}

# Who ends the command amid its work ends no clone: those that were told of run.
command_ended() {
    local status=0 name
    save end end=halt
    : >"$work/names"
    "$mote" clone "$snap" --count 60 --name i --log-level error >"$work/names" 2>"$work/err" &
    pid=$!
    for ((i = 0; i < patience * 50; i++)); do
        [[ ! -s $work/names ]] || break
        sleep 0.02
    done
    [[ -s $work/names ]] || fail 'no name was told'
    kill -TERM "$pid"
    wait "$pid" || status=$?
    ((status == 143)) || fail "status $status: $(<"$work/err")"
    while read -r name; do
        "$mote" ps | grep -q "^$name .* running " || fail "$name does not run"
    done <"$work/names"
    forget
    nothing_left
}

a_test 'VMs in the background' detached
a_test 'eight clones: each its own, and nothing left' eight
a_test 'clones go on with the same work' same_work
a_test 'a generation ID of its own for each clone' own_generations
a_test 'the supervisor of a clone is killed' one_killed
a_test 'clones that are refused' not_any
a_test 'one of three clones fails' some_fail
a_test 'clones with a passt each' own_passt
a_test 'a clone that nobody can be told of' untold
a_test 'the command that makes clones is ended' command_ended
