# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# What the benches share: the other monitor, and what is said of the host.

# shellcheck disable=SC2034 # the benches use them
qemu=(qemu-system-x86_64 -nodefaults -no-user-config -display none -no-reboot)
microvm=microvm,accel=kvm,x-option-roms=off,pit=off,pic=off,rtc=off

describe_host() {
    echo "host: Linux $(uname -r), $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1), $(nproc) CPUs, KVM: $(build/mote doctor --brief || true)"
}

# take_number OPTION VALUE: VALUE, if it is a whole number above 0.
take_number() {
    [[ ${2:-} =~ ^[1-9][0-9]{0,6}$ ]] || die "$1: give a whole number above 0"
    echo "$2"
}
