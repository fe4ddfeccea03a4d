# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# What the benches share: the other monitor, and what is said of the host.

# shellcheck disable=SC2034 # the benches use them
qemu=(qemu-system-x86_64 -nodefaults -no-user-config -display none -no-reboot)
microvm=microvm,accel=kvm,x-option-roms=off,pit=off,pic=off,rtc=off

# clean_up: for a trap at EXIT. What a bench that failed has left running is of no use to anybody, and some of it can be
# named no longer than its folder stands: VMs in $files/run, copies of them without a name, QEMU.
# shellcheck disable=SC2154 # files is of the benches
clean_up() {
    local pids vms=("$files"/run/mote/*)
    pids=$(jobs -p)
    # shellcheck disable=SC2086 # one word each
    [[ -z $pids ]] || { kill -KILL $pids; wait $pids; } 2>/dev/null || true
    [[ ! -e ${vms[0]} ]] || XDG_RUNTIME_DIR=$files/run build/mote rm --force "${vms[@]##*/}" || true
    rm -rf "$files"
}

describe_host() {
    echo "host: Linux $(uname -r), $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1), $(nproc) CPUs, KVM: $(build/mote doctor --brief || true)"
}

# take_number OPTION VALUE: VALUE, if it is a whole number above 0.
take_number() {
    [[ ${2:-} =~ ^[1-9][0-9]{0,6}$ ]] || die "$1: give a whole number above 0"
    echo "$2"
}

# A race takes a lone -- for the next contender, so no command has one.
contenders=()
add() { contenders+=(-- "$@"); }

# race RUNS WARMUPS [first-output]: of all that were added since the last one.
race() {
    build/bench/race "$@" "${contenders[@]}" 2> >(grep -v "host doesn.t support requested feature" >&2)
    contenders=()
}

# tell_ratio TABLE LABEL OTHER [AIM]: of the p50 of two contenders, if both are in the table: in the last one of the file.
tell_ratio() {
    awk -v a="$2" -v b="$3" -v aim="${4:-}" '
        NF > 7 { label = substr($0, 1, 28); sub(/ +$/, "", label); p50[label] = $(NF - 6) }
        END {
            if (p50[a] && p50[b])
                printf "%s to %s: %.2f%s\n", a, b, p50[a] / p50[b], aim ? " (aim: at most " aim ")" : ""
        }' "$1"
}
