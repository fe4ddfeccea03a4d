# SPDX-License-Identifier: Apache-2.0
"""Killing mote, at whatever moment, leaves nothing: no process, no mount, no file."""
import os
import pathlib
import signal
import time

import pytest

from harness.processes import text_of


@pytest.fixture
def folders(job, folder):
    """Folders that programs put things into; in the lab, /tmp itself is the host's and changes."""
    places = {name: folder / name.lower() for name in ("TMPDIR", "XDG_RUNTIME_DIR", "XDG_CACHE_HOME")}
    for place in places.values():
        place.mkdir(mode=0o700, exist_ok=True)
    job.env |= places
    return [*places.values(), pathlib.Path("/dev/shm")]


def files_in(folders):
    """All that are no folders, and when they were changed."""
    return {(path, path.lstat().st_mtime_ns) for folder in folders
            for where, _, names in os.walk(folder) for path in (pathlib.Path(where, name) for name in names)}


@pytest.mark.leaves_groups
@pytest.mark.parametrize("moment", ["0.01", "0.05", "0.1", "0.3", "1", "3", "6", "9"])
def test_kill(job, folders, moment):
    """killed after {moment} s"""
    before, mounts = files_in(folders), text_of("/proc/mounts")
    words = job.words(["sh", "-c", "echo ready; sleep 1000"], ["--verdict", "verdict"])
    begun = job.started.start(words, job.env, cwd=folders[0])
    time.sleep(float(moment))
    begun.signal(signal.SIGKILL)
    begun.end()
    time.sleep(1)
    assert not job.started.left_behind(), "processes"
    assert text_of("/proc/mounts") == mounts
    assert not files_in(folders) - before


def test_kill_vm(job, folders):
    """the VM killed"""
    # mote tells, and ends.
    begun = job.start("sh", "-c", "echo ready; sleep 1000").until("ready")
    child, = begun.child.children()
    os.kill(child, signal.SIGKILL)
    assert begun.end() == 125
    assert "was killed" in begun.err
    assert begun.cause == "vmm-fault"


def test_panic(job, folders, kernel):
    """a guest that panics"""
    # Told with the kernel's own words; the stock one can be asked to panic.
    done = job.sh("echo c >/proc/sysrq-trigger; sleep 100", options=["--no-kernel-cache"], status=125,
                  env={"MOTE_KERNEL": str(kernel.stock)})
    assert done.cause == "guest-panic"
    assert "Kernel panic - not syncing: sysrq triggered crash" in done.err
