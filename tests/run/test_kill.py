# SPDX-License-Identifier: Apache-2.0
"""Killing mote, at whatever moment, leaves nothing: no process, no mount, no file."""
import pathlib
import signal
import subprocess
import time

import pytest


@pytest.fixture(scope="module", autouse=True)
def folders(all_jobs, work):
    """Where programs put things; in the lab, /tmp itself is the host's and changes."""
    all_jobs.env |= {"TMPDIR": f"{work}/tmp", "XDG_RUNTIME_DIR": f"{work}/runtime", "XDG_CACHE_HOME": f"{work}/cache"}
    own = [work / name for name in ("tmp", "runtime", "cache")]
    for folder in own:
        folder.mkdir()
    return [*own, pathlib.Path("/dev/shm")]


def files_in(folders):
    return {file for folder in folders for file in folder.rglob("*") if not file.is_dir()}


@pytest.mark.parametrize("after", [0.01, 0.05, 0.1, 0.3, 1, 3, 6, 9])
def test_kill(jobs, folders, work, after):
    """killed after {after} s"""
    before, mounts = files_in(folders), pathlib.Path("/proc/mounts").read_text()
    running = jobs.start("--env", "KILL_TEST=1", "--", "sh", "-c", "echo ready; sleep 1000", cwd=work / "tmp")
    time.sleep(after)
    running.kill(signal.SIGKILL)
    running.wait()
    time.sleep(1)
    left = subprocess.run(["pgrep", "-af", "KILL_TEST=1"], text=True, stdout=subprocess.PIPE, check=False).stdout
    assert left == ""
    assert pathlib.Path("/proc/mounts").read_text() == mounts
    assert files_in(folders) - before == set()


def test_kill_vm(jobs):
    """the VM killed"""
    # The VM's process alone: mote tells, and ends.
    running = jobs.start("--", "sh", "-c", "echo ready; sleep 1000").says("ready")
    child = subprocess.run(["pgrep", "-P", str(running.pid)], text=True, stdout=subprocess.PIPE, check=True).stdout
    subprocess.run(["kill", "-KILL", child.strip()], check=True)
    assert running.wait() == 125
    assert "was killed" in running.result.err
    assert running.result.cause == "vmm-fault"


def test_panic(job, images):
    """a guest that panics"""
    # Told with the kernel's own words; the stock one can be asked to panic.
    result = job(125, "--no-kernel-cache", "--", "sh", "-c", "echo c >/proc/sysrq-trigger; sleep 100",
                 env={"MOTE_KERNEL": images / "stock/bzImage"})
    assert result.cause == "guest-panic"
    assert "Kernel panic - not syncing: sysrq triggered crash" in result.err
