# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# What the tests of live VMs on this machine's /dev/kvm share: bare-metal guests in the background, and what
# their processes take of the host.
# shellcheck disable=SC2154,SC2034 # mote, work and skip_all are of tests/lib.sh; the scripts use what is set here

# shellcheck source-path=SCRIPTDIR source=lib.sh
. tests/lib.sh

payloads=build/payloads
patience=${MOTE_TEST_PATIENCE:-60} # s, for what comes at once on a machine that is not busy
if [[ ! -r /dev/kvm || ! -w /dev/kvm ]]; then
    skip_all='/dev/kvm is missing or not permitted to this user (see: mote doctor)'
fi

# launch PAYLOAD [OPTION]…: in the background, as $pid; its output goes to $stdout.
stdout=$work/out
launch() {
    local payload=$1
    shift
    : >"$work/out"
    : >"$work/err"
    "$mote" boot --kernel "$payloads/$payload.elf" --memory 16M "$@" </dev/null >"$stdout" 2>"$work/err" &
    pid=$!
}

# find_child: the monitor of $pid, $child.
find_child() { child=$(pgrep -P "$pid" -x "${mote##*/}" | head -n 1); }

# start PAYLOAD [OPTION]…: until the guest has said its first word.
start() {
    launch "$@"
    await "$work/out" started
    find_child
}

# await FILE TEXT [COUNT]: until FILE holds so many lines with TEXT.
await() {
    for ((i = 0; i < patience * 20; i++)); do
        (($(grep -acF -- "$2" "$1") < ${3:-1})) || return 0
        sleep 0.05
    done
    fail "'$2' did not come; $(tail -n 2 "$work/out" "$work/err" | tr '\n' ' ')"
}

# ends STATUS [TEXT]…: $pid ends by itself, with this status, and has said each TEXT on stderr.
ends() {
    local wanted=$1 status=0 text
    shift
    for ((i = 0; i < patience * 20; i++)); do
        kill -0 "$pid" 2>/dev/null || break
        sleep 0.05
    done
    ((i < patience * 20)) || { fail "it hangs"; kill -KILL "$pid"; }
    wait "$pid" || status=$?
    ((status == wanted)) || fail "status $status, wanted $wanted: $(tail -n 2 "$work/err" | tr '\n' ' ')"
    for text; do says "$work/err" "$text"; done
}

# rss_of PROCESS, own_of PROCESS: all of its memory, and what is not of a file, in KiB; exact where this user may ask
# for that: the counters in status are behind. Pages of files come and go as the host likes.
exact() { cat "/proc/$1/smaps_rollup" >/dev/null 2>&1; }
memory_of() {
    local file=smaps_rollup
    exact "$1" || file=status
    awk -v what="^($2):" '$0 ~ what { print $2 }' "/proc/$1/$file"
}
rss_of() { memory_of "$1" 'Rss|VmRSS'; }
own_of() { memory_of "$1" 'Anonymous|RssAnon'; }
