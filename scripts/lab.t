#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# lab [OPTION…] [--] COMMAND [ARGUMENT…]: runs a command where KVM works, on machines that have none.
#
# The lab is a QEMU machine that emulates an AMD processor with SVM. Inside, the command runs as root in the
# current folder and sees this machine's files; what it writes is gone at the end. It has /dev/kvm,
# /dev/net/tun, /dev/vhost-net, /dev/vhost-vsock, cgroup v2 and a loopback network, no other network.
# MOTE_LAB=1 is set. PATH, HOME, TERM, the locale, CI, XDG_CACHE_HOME and MOTE_* go along.
#
#   --memory MIB    default 6144; half of it can hold files that are written
#   --cpus N        default 2
#   --output DIR    what is written in DIR stays, here at the same path
#   --timeout S     stop after S seconds
#   --quiet         say nothing about waiting and starting
#
# The command's output arrives as it is written, stdout and stderr apart. With a terminal as stdin and stdout
# the command gets a terminal of its own, Ctrl-C included. Else its stdin is empty. The exit status is the
# command's; 125 means that the lab itself failed. One lab runs at a time, others wait.
#
# Examples:
#   scripts/lab ls -l /dev/kvm
#   scripts/lab --output build/results -- make check
#   scripts/lab bash
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "${BASH_SOURCE[0]%/*}/lib.sh"

here=$(cd "${BASH_SOURCE[0]%/*}" && pwd)
modules=(virtio_pci 9p 9pnet_virtio overlay kvm-amd tun vhost_net vhost_vsock virtio_console)

# shell_quote WORD: for busybox sh too, which knows no $'…'.
shell_quote() { printf "'%s'" "${1//\'/\'\\\'\'}"; }

# lab_image: sets image to the lab's initramfs, made anew when one of its parts changed.
lab_image() {
    local key
    key=$(cat "$kernel/version" "$here/initramfs" "$here/../guest/lab/init" "$(type -P busybox)" <(echo "${modules[*]}") |
        sha256sum | cut -c 1-16)
    image=$MOTE_CACHE/lab/$key.cpio
    [[ ! -e $image ]] || return 0
    mkdir -p "${image%/*}"
    rm -f "${image%/*}"/*.cpio
    "$here/initramfs" "$image" --kernel "$kernel" --init "$here/../guest/lab/init" "${modules[@]/#/--module=}"
}

write_control() {
    local name words=() size
    for name in $(compgen -e | grep -E '^(PATH|HOME|TERM|LANG|LC_[A-Z]*|USER|LOGNAME|SHELL|CI|XDG_CACHE_HOME|MOTE_[A-Z_0-9]*)$'); do
        words+=("$(shell_quote "$name=${!name}")")
    done
    words+=("MOTE_LAB=1")
    for name; do words+=("$(shell_quote "$name")"); done
    printf 'cd %s && exec env -i %s\n' "$(shell_quote "$PWD")" "${words[*]}" >"$control/command"
    size=$(stty size 2>/dev/null || echo 24 80)
    printf 'output=%s\ntty=%s\nmerge=%s\nrows=%s\ncolumns=%s\n' "$(shell_quote "$output")" "$tty" "$merge" \
        "${size% *}" "${size#* }" >"$control/settings"
    cp "$here/../guest/lab/main" "$control/main"
    : >"$control/stdout"
    : >"$control/stderr"
}

# No cx16: QEMU 7.2 now and then leaves garbage in the flags after cmpxchg16b, and nested kernels die of it.
start_machine() {
    local share=security_model=none,multidevs=remap qemu
    # shellcheck disable=SC2054 # the commas belong to QEMU's options
    qemu=(qemu-system-x86_64 -M q35 -accel tcg,thread=${T:-multi} -cpu 'EPYC,+svm,+npt,-cx16' -smp "$cpus" -m "$memory"
        -nodefaults -no-user-config -display none -no-reboot -serial "file:$control/console"
        -kernel "$kernel/vmlinux" -initrd "$image"
        -append "console=ttyS0 quiet loglevel=4 printk.time=1 oops_all_cpu_backtrace=1 panic=-1 mitigations=off tsc=reliable random.trust_cpu=on cryptomgr.notests apparmor=0 audit=0 nowatchdog"
        -virtfs "local,path=/,mount_tag=root,readonly=on,$share"
        -virtfs "local,path=${control//,/,,},mount_tag=control,$share")
    [[ -z $output ]] || qemu+=(-virtfs "local,path=${output//,/,,},mount_tag=output,$share")
    [[ $tty == no ]] || qemu+=(-device virtio-serial-pci -chardev 'stdio,id=tty,signal=off' -device 'virtconsole,chardev=tty')
    setpriv --pdeathsig TERM "${qemu[@]}" <&0 2>"$control/qemu.log" {lock_fd}>&- &
    machine=$!
}

# shellcheck disable=SC2317 # called by the trap
clean_up() {
    local status=$?
    trap - EXIT
    for process in $machine $clock "${readers[@]}"; do kill "$process" 2>/dev/null || true; done
    [[ -z $machine ]] || wait "$machine" 2>/dev/null || true
    [[ -z $terminal ]] || stty "$terminal" 2>/dev/null || true
    [[ -z $control ]] || cp "$control/console" /tmp/lab-console.$$; rm -rf "$control"
    exit "$status"
}

number() { [[ $2 =~ ^[1-9][0-9]{0,6}$ ]] || die "$1 takes a whole number above 0, got '$2'"; }

memory=6144 cpus=2 output='' timeout='' quiet=no
while [[ $# -gt 0 ]]; do
    case $1 in
    -h | --help) usage ;;
    --quiet) quiet=yes ;;
    --memory | --cpus | --output | --timeout) [[ $# -gt 1 ]] || die "$1 needs a value; see scripts/lab --help" ;;&
    --memory) number "$1" "$2"; memory=$2; shift ;;
    --cpus) number "$1" "$2"; cpus=$2; shift ;;
    --timeout) number "$1" "$2"; timeout=$2; shift ;;
    --output) output=$2; shift ;;
    --) shift; break ;;
    -*) die "unknown option $1; see scripts/lab --help" ;;
    *) break ;;
    esac
    shift
done
[[ $# -gt 0 ]] || die "name a command to run in the lab; see scripts/lab --help"
[[ -z ${MOTE_LAB:-} ]] || exec "$@"
need_tools lab qemu-system-x86_64 busybox cpio sha256sum setpriv
if [[ -n $output ]]; then
    mkdir -p "$output" 2>/dev/null || die "cannot make the output folder $output"
    output=$(cd "$output" && pwd)
fi

waiting="another lab is running; waiting for its end"
[[ $quiet == no ]] || waiting=
take_lock "$MOTE_CACHE/lab/lock" "$waiting"
kernel=$("$here/kernel" 6.1-amd64)
lab_image

machine='' clock='' readers=() terminal='' control=$(mktemp -d)
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
trap 'exit 129' HUP
tty=no merge=no
[[ -t 0 && -t 1 ]] && tty=yes && terminal=$(stty -g)
[[ /dev/fd/1 -ef /dev/fd/2 ]] && merge=yes
write_control "$@"
[[ $quiet == yes || ! -t 2 ]] || say "starting the emulated machine (about 6 s)"
start_machine

# The machine writes files and tail follows them: nothing is lost at the end, and a slow reader holds nobody up.
if [[ $tty == no ]]; then
    tail -q -c +1 -f -s 0.05 --pid="$machine" "$control/stdout" &
    readers+=($!)
    tail -q -c +1 -f -s 0.05 --pid="$machine" "$control/stderr" >&2 &
    readers+=($!)
fi
if [[ -n $timeout ]]; then
    { sleep "$timeout" && : >"$control/late" && kill "$machine"; } &
    clock=$!
fi
# Ends with the machine, or when nobody reads the output any more.
wait -n "$machine" "${readers[@]}" || true
if kill -0 "$machine" 2>/dev/null; then kill "$machine"; fi
wait "$machine" || true
machine=
for process in "${readers[@]}"; do wait "$process" || true; done
readers=()

[[ ! -e $control/late ]] || die "no end after $timeout s, stopped; raise --timeout if the command needs longer"
if [[ ! -s $control/status ]]; then
    tail -n 12 "$control/console" "$control/qemu.log" 2>/dev/null | grep -v "TCG doesn't support" | sed 's/^/    /' >&2 || true
    die "the lab ended before the command did; its last messages stand above"
fi
exit "$(cat "$control/status")"
