# SPDX-License-Identifier: Apache-2.0
"""What is behind a guest's memory.

Kernels are mapped if nobody may write to their files; the guest is "progress" again, whose one segment is said not to be
written to, and it writes there all the same.  Pages are huge or small, as --huge-pages says.
"""
import os
import pathlib
import re

import pytest

from harness.processes import text_of
from harness.vms import Progress, mapped

ENABLED = pathlib.Path("/sys/kernel/mm/transparent_hugepage/enabled")
FLAGS = 68  # of the first segment: at 4 of the program header at 64
READ_EXECUTE = 5
huge_pages = pytest.mark.skipif(os.geteuid() != 0 or not re.search(r"\[(always|madvise)\]", text_of(ENABLED)),
                                reason="needs root, and a host that gives huge pages")


@pytest.fixture
def constant(vm):
    """constant(MODE): "progress" with a first segment that may not be written to, in a file with this mode."""
    def make(mode=0o555):
        made = vm.folder / "constant.elf"
        content = bytearray(vm.kernel("progress").read_bytes())
        content[FLAGS] = READ_EXECUTE
        made.write_bytes(content)
        made.chmod(mode)
        return made
    return make


def maps_kernel(vm, progress):
    return mapped(vm.monitor(progress.running), "constant.elf") > 0


def check_mapping(vm, progress, wanted):
    # Who is not root owns the file, and could make it writable again.
    if os.geteuid() == 0:
        assert maps_kernel(vm, progress) is wanted


def test_mapped(vm, progress, constant, reference):
    """a constant kernel is mapped, and the guest writes to its own copy"""
    progress.begin(kernel=constant())
    check_mapping(vm, progress, True)
    assert progress.end().out == reference(vm)


def test_writable(vm, progress, constant, reference):
    """a kernel that may be written to is read"""
    progress.begin(kernel=constant(0o755))
    check_mapping(vm, progress, False)
    assert progress.end().out == reference(vm)


def test_saved(vm, progress, constant, reference):
    """saved and restored with a mapped kernel"""
    # Saved with what the guest had not touched by then; the kernel is not needed any more.
    kernel = constant()
    progress.begin(kernel=kernel)
    progress.snapshot(vm.folder / "snap", "--stop")
    progress.end()
    kernel.unlink()
    progress.restore(vm.folder / "snap")
    assert progress.as_one() == reference(vm)


def test_saved_in_steps(vm, progress, constant, reference):
    """saved in steps with a mapped kernel"""
    progress.begin(kernel=constant())
    progress.snapshot(vm.folder / "snap.1")
    progress.reach(2000)
    progress.snapshot(vm.folder / "snap", "--diff", vm.folder / "snap.1", "--stop")
    progress.end()
    progress.restore(vm.folder / "snap")
    assert progress.as_one() == reference(vm)


def cut_short(progress, kernel, *options):
    """Its owner breaks the guest, not the monitor. Some KVMs say EFAULT, others that there is no instruction to emulate."""
    progress.begin(*options, kernel=kernel)
    kernel.chmod(0o755)
    os.truncate(kernel, 4096)
    said = progress.end(125).err
    assert "mote: error: vCPU 0: " in said
    assert "the VM failed (KVM stopped the vCPU)" in said


def test_cut_short(progress, constant):
    """a mapped kernel is cut short"""
    cut_short(progress, constant())


def test_cut_short_without_a_jail(progress, constant):
    """a mapped kernel is cut short, without a jail"""
    cut_short(progress, constant(), "--sandbox", "off")


@huge_pages
def test_huge_pages(vm, reference):
    """huge pages, on and off"""
    for how in ("off", "on"):
        progress = Progress(vm).begin("--huge-pages", how)
        sizes = re.findall(r"^AnonHugePages: *(\d+)", text_of(f"/proc/{vm.monitor(progress.running)}/smaps"), re.M)
        assert (sum(map(int, sizes)) > 0) is (how == "on"), f"--huge-pages {how}"
        assert progress.end().out == reference(vm)


@huge_pages
def test_huge_pages_refused(vm):
    """huge pages that the host refuses"""
    # It is said, of a host whose switch is another file.
    switch = vm.folder / "enabled"
    switch.write_text("always madvise [never]\n")
    said = vm.boot("hello", "--huge-pages", "on", "--log-level", "warn", before=[
        "unshare", "-m", "sh", "-c", 'mount --bind "$1" "$2" && shift 2 && exec "$@"', "sh", switch, ENABLED]).err
    assert said == f"mote: warn: --huge-pages on: has no effect, as this host gives none; as root: echo madvise >{ENABLED}\n"
    given = vm.boot("hello", "--huge-pages", "on", "--log-level", "warn")
    assert given.err == "", "where they are given"
