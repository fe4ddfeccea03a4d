/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/bench/contenders.h"

#include "vmm/base/cleanup.h"

const char *const class_names[CLASS_COUNT] = {
    [CLASS_FLOOR] = "floor",
    [CLASS_CONTAINER] = "container",
    [CLASS_JOB] = "microvm-job",
    [CLASS_BOOT] = "microvm-boot",
    [CLASS_BOOT_STOCK] = "microvm-boot-stock",
};

const char *const class_titles[CLASS_COUNT] = {
    [CLASS_FLOOR] = "The floor",
    [CLASS_CONTAINER] = "Containers, on the host's kernel",
    [CLASS_JOB] = "MicroVM, cold boot, with a root, streams and status",
    [CLASS_BOOT] = "MicroVM, cold boot, Mote's kernel to an init in its initramfs",
    [CLASS_BOOT_STOCK] = "MicroVM, cold boot, a stock kernel to an init in its initramfs",
};

/*
 * As lean as each can be made without loss of what Mote has: a console that the result comes by.
 * A vmlinux QEMU enters by its PVH note; one without is refused, by QEMU's own words.
 */
#define QEMU                                                                                       \
    "@program -M microvm,accel=kvm,x-option-roms=off,pit=off,pic=off,rtc=off,isa-serial=on "       \
    "-cpu host -nodefaults -no-user-config -display none -no-reboot -m 128 -serial stdio "         \
    "-initrd @initramfs -append @cmdline @extra -kernel "
/* Without ACPI QEMU tells of its devices on the command line, and their interrupts are the PIC's. */
#define QEMU_FOR_DEVICES "-machine acpi=off,pic=on "
#define QEMU_BLOCK                                                                                 \
    QEMU_FOR_DEVICES "-drive id=data,file=@data,format=raw,if=none,readonly=on "                   \
    "-device virtio-blk-device,drive=data"
#define QEMU_NETWORK QEMU_FOR_DEVICES "-netdev user,id=net -device virtio-net-device,netdev=net"
/* A PC with its firmware, and all the devices that nobody asked for. */
#define QEMU_DEFAULT                                                                               \
    "@program -accel kvm -nographic -no-reboot -kernel @kernel -initrd @initramfs -append @cmdline"
#define MOTE_BOOT                                                                                  \
    "@program boot --memory 128M --log-level warn --initrd @initramfs "       \
    "--cmdline @cmdline @extra --kernel "
#define MOTE_BLOCK "--disk @data,ro"
/* The server to talk to is at an address of this host's. */
#define MOTE_NETWORK "--net user,private,local"
#define FIRECRACKER "@program --no-api --id @id --level Error --config-file "
#define CLOUD_HYPERVISOR(KERNEL)                                                                   \
    "@program --kernel " KERNEL " --initramfs @initramfs --cmdline @cmdline --cpus boot=1 "        \
    "--memory size=128M --serial tty --console off @extra"
#define KVMTOOL                                                                                    \
    "@program run --name @id --cpus 1 --mem 128 --console serial --kernel @kernel "                \
    "--initrd @initramfs --params @cmdline @extra"

#define GET_FIRECRACKER "https://github.com/firecracker-microvm/firecracker/releases"
#define GET_CLOUD_HYPERVISOR "https://github.com/cloud-hypervisor/cloud-hypervisor/releases"
#define GET_KVMTOOL "https://git.kernel.org/pub/scm/linux/kernel/git/will/kvmtool.git, make"
#define GET_QEMU "apt install qemu-system-x86"
#define GET_RUNSC "apt install runsc"

/*
 * The same VM under each monitor, on the kernel of KIND: the bzImage, which unpacks
 * itself, then the vmlinux.  Each compares with Mote on the same of the two.
 */
#define MONITORS(SUFFIX, CLASS, KIND)                                                              \
    { "mote-boot" SUFFIX, CLASS, KIND, "mote", NULL, "mote-boot" SUFFIX, "make",                   \
      MOTE_BOOT "@kernel", MOTE_BLOCK, MOTE_NETWORK, .is_vm_init = true },                         \
    { "qemu" SUFFIX, CLASS, KIND, "qemu-system-x86_64", "qemu", "mote-boot" SUFFIX, GET_QEMU,      \
      QEMU "@kernel", QEMU_BLOCK, QEMU_NETWORK, .is_vm_init = true },                              \
    { "qemu-default" SUFFIX, CLASS, KIND, "qemu-system-x86_64", "qemu", "mote-boot" SUFFIX,        \
      GET_QEMU, QEMU_DEFAULT, .is_vm_init = true },                                                \
    { "kvmtool" SUFFIX, CLASS, KIND, "lkvm", "kvmtool", "mote-boot" SUFFIX, GET_KVMTOOL, KVMTOOL,  \
      "--disk @data,ro", .is_vm_init = true },                                                     \
    { "firecracker-bzimage" SUFFIX, CLASS, KIND, "firecracker", "firecracker",                     \
      "mote-boot" SUFFIX, GET_FIRECRACKER, FIRECRACKER "@firecracker-bzimage", "",                 \
      .is_vm_init = true },                                                                        \
    { "cloud-hypervisor-bzimage" SUFFIX, CLASS, KIND, "cloud-hypervisor", "cloud-hypervisor",      \
      "mote-boot" SUFFIX, GET_CLOUD_HYPERVISOR, CLOUD_HYPERVISOR("@kernel"),                       \
      .is_vm_init = true, .ends_by_signal = true },                                                \
    { "mote-vmlinux" SUFFIX, CLASS, KIND, "mote", NULL, "mote-vmlinux" SUFFIX, "make",             \
      MOTE_BOOT "@elf", MOTE_BLOCK, MOTE_NETWORK, .is_vm_init = true },                            \
    { "qemu-vmlinux" SUFFIX, CLASS, KIND, "qemu-system-x86_64", "qemu", "mote-vmlinux" SUFFIX,     \
      GET_QEMU, QEMU "@elf", QEMU_BLOCK, QEMU_NETWORK, .is_vm_init = true },                       \
    { "firecracker" SUFFIX, CLASS, KIND, "firecracker", "firecracker", "mote-vmlinux" SUFFIX,      \
      GET_FIRECRACKER, FIRECRACKER "@firecracker", "", .is_vm_init = true },                                      \
    { "cloud-hypervisor" SUFFIX, CLASS, KIND, "cloud-hypervisor", "cloud-hypervisor",              \
      "mote-vmlinux" SUFFIX, GET_CLOUD_HYPERVISOR, CLOUD_HYPERVISOR("@elf"), .is_vm_init = true,           \
      .ends_by_signal = true }

/* In the order of the classes: the charts give colours in this one. */
static const struct contender all[] = {
    { "process", CLASS_FLOOR, KERNEL_NONE, "mote-probe", NULL, "mote", "make", "@program @mode "
      "@extra", "@data", "" },
    { "crun", CLASS_CONTAINER, KERNEL_NONE, "crun", "crun", "mote", "apt install crun",
      "@program run --bundle @bundle @id", "" },
    { "runc", CLASS_CONTAINER, KERNEL_NONE, "runc", "runc", "mote", "apt install runc",
      "@program run --bundle @bundle @id", "" },
    { "runsc", CLASS_CONTAINER, KERNEL_NONE, "runsc", "runsc", "mote", GET_RUNSC,
      "@program --network=none --ignore-cgroups run --bundle @bundle @id", "" },
    { "podman", CLASS_CONTAINER, KERNEL_NONE, "podman", "podman", "mote", "apt install podman",
      "@program @storage run --rm --interactive --network @net --read-only --name @id --rootfs @root "
      "/mote-probe @mode", "", "" },
    { "podman-default", CLASS_CONTAINER, KERNEL_NONE, "podman", "podman", "mote",
      "apt install podman", "@program @storage run --rm --interactive --rootfs @root /mote-probe @mode" },
    { "bubblewrap", CLASS_CONTAINER, KERNEL_NONE, "bwrap", "bubblewrap", "mote",
      "apt install bubblewrap", "@program --unshare-all @extra --die-with-parent --ro-bind @root / "
      "--proc /proc --dev /dev -- /mote-probe @mode", "", "--share-net" },
    { "systemd-nspawn", CLASS_CONTAINER, KERNEL_NONE, "systemd-nspawn", "systemd-nspawn", "mote",
      "apt install systemd-container", "@program --quiet --register=no --keep-unit "
      "--private-network --read-only --console=pipe --directory=@root -- /mote-probe @mode", "" },
    { "mote", CLASS_JOB, KERNEL_OWN, "mote", NULL, "mote", "make",
      "@program run --memory 128M --kernel @best --rootfs @image @extra -- /mote-probe @mode", "",
      "--net user,local" },
    { "mote-stock", CLASS_JOB, KERNEL_STOCK, "mote", NULL, "mote", "make",
      "@program run --memory 256M --kernel @best --rootfs @image @extra -- /mote-probe @mode", "",
      "--net user,local" },
    MONITORS("", CLASS_BOOT, KERNEL_OWN),
    MONITORS("-stock", CLASS_BOOT_STOCK, KERNEL_STOCK),
};

const struct contender *contenders(size_t *count)
{
    *count = ARRAY_LENGTH(all);
    return all;
}

/* Stock kernels have their drivers as modules, which this initramfs lacks. */
const char *contender_extra(const struct contender *contender, enum job_mode mode)
{
    if (mode != JOB_BLOCK && mode != JOB_NETWORK)
        return "";
    if (contender->class == CLASS_BOOT_STOCK)
        return NULL;
    return mode == JOB_BLOCK ? contender->block : contender->network;
}
