# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# What copies of an idle VM take, and how fast they are made.

# memory_of PID…: sets smaps to what tells of these supervisors' memory and of their monitors', one after the other. No
# program is started for it: where processors are emulated, so many would take minutes.
memory_of() {
    local pid child
    smaps=()
    for pid; do
        child=
        read -r child _ <"/proc/$pid/task/$pid/children" || [[ -n $child ]] # no newline at its end
        smaps+=("/proc/$pid/smaps_rollup" "/proc/$child/smaps_rollup")
    done
}

# measure_copies SNAPSHOT COUNT [WORD…]: private memory of `mote restore` side by side: what no other process shares.
measure_copies() {
    local pids=() count=$2 i smaps
    for ((i = 0; i < count; i++)); do
        build/mote restore "$1" --log-level warn "${@:3}" </dev/null >/dev/null &
        pids+=($!)
    done
    sleep 2
    memory_of "${pids[@]}"
    awk -v copies="$count" '/^Private_(Clean|Dirty):/ { private += $2 } /^Pss:/ { pss += $2 }
        END { printf "a copy of an idle VM of 128 MiB: %d KiB private, %d KiB PSS, both processes\n",
              private / copies, pss / copies }' "${smaps[@]}"
    kill -TERM "${pids[@]}"
    wait "${pids[@]}" || true
}

# What the host has left, KiB: with it go what the kernel keeps for each process and VM, and what else runs here.
available() { sed -n 's/^MemAvailable: *\([0-9]*\) kB/\1/p' /proc/meminfo; }

# milliseconds: a clock.
milliseconds() { echo $((${EPOCHREALTIME/[.,]/} / 1000)); }

# measure_clones SNAPSHOT COUNT [WORD…]: all from one command. The PSS of all processes, a supervisor and a monitor
# each, has what is shared counted once.
measure_clones() {
    local count=$2 before start took left i list names pids=() smaps
    list=$(mktemp)
    before=$(available)
    start=$(milliseconds)
    build/mote clone "$1" --count "$count" --log-level warn "${@:3}" >"$list"
    took=$(($(milliseconds) - start))
    sleep 5 # until they are at rest
    left=$((before - $(available)))
    mapfile -t names <"$list"
    rm "$list"
    for i in "${names[@]}"; do
        read -r i <"$XDG_RUNTIME_DIR/mote/$i/lock" || [[ -n $i ]]
        pids+=("$i")
    done
    memory_of "${pids[@]}"
    awk -v clones="$count" -v took="$took" -v left="$left" '
        FNR == 1 { monitor = files++ % 2 }
        /^Pss:/ { pss += $2; if (!monitor) supervisors += $2 }
        /^Private_(Clean|Dirty):/ && monitor { private += $2 }
        END {
            printf "%d clones of an idle VM of 128 MiB: %d ms, %.1f a second\n", clones, took, clones * 1000 / took
            printf "all their processes: %.0f MiB PSS, of that the supervisors %.0f; a clone: %d KiB PSS, its monitor %d KiB private\n",
                pss / 1024, supervisors / 1024, pss / clones, private / clones
            printf "the host has %.0f MiB less, %d KiB a clone\n", left / 1024, left / clones
        }' "${smaps[@]}"
    build/mote rm --force "${names[@]}"
}
