# SPDX-License-Identifier: Apache-2.0
"""Jobs that take all they can get: each ends with the right verdict, and the guest's init tells it."""
import pytest


def test_fork_bomb(job):
    """a fork bomb"""
    result = job(124, "--pids", "50", "--timeout", "60", "--", "sh", "-c", "bomb() { bomb | bomb & }; bomb; exec sleep 1000")
    assert result.cause == "timeout"
    assert result.verdict["pids_refused"] > 0


def test_memory_hog(job):
    """a memory hog"""
    result = job(137, "--", "sh", "-c", "x=aaaaaaaaaaaaaaaa; while :; do x=$x$x; done")
    assert result.cause == "oom"
    assert result.verdict["oom_kills"] > 0
    assert result.verdict["peak_memory_bytes"] > 100000000
    assert "ran out of memory" in result.err


def test_disk_filler(job):
    """a disk filler"""
    result = job(1, "--disk-limit", "20M", "--", "sh", "-c", "dd if=/dev/zero of=/big bs=64k")
    assert result.cause == "exited"
    assert "No space left" in result.err


def test_scratch(job):
    """a scratch disk"""
    # On a disk there is room for more than memory has, and not for more than was asked for.
    result = job(0, "--scratch", "600M", "--", "sh", "-c", "dd if=/dev/zero of=/big bs=1M count=400 2>/dev/null && ls -l /big")
    assert "419430400" in result.out
    result = job(1, "--scratch", "30M", "--", "dd", "if=/dev/zero", "of=/big", "bs=1M")
    assert "No space left" in result.err


def test_endless_writer(job):
    """an endless writer"""
    result = job(153, "--output-limit", "3M", "--", "yes")
    assert result.cause == "output-limit"
    assert result.out_path.stat().st_size == 3 << 20


def test_endless_loop(job):
    """an endless loop"""
    result = job(124, "--timeout", "20", "--", "sh", "-c", 'trap "" TERM; while :; do :; done')
    assert result.cause == "timeout"
    assert result.verdict["cpu_us"] > 1000000
    # One that ends in time when it is asked to.
    assert job(124, "--timeout", "20", "--", "sleep", "1000").cause == "timeout"


@pytest.mark.limit(1200)
def test_many(jobs):
    """50 jobs side by side"""
    many = [jobs.start("--memory", "96M", "--", "sh", "-c", 'read -r n; echo "job $n"; exit $((n % 7))',
                       stdin=f"{number}\n".encode()) for number in range(1, 51)]
    for number, running in enumerate(many, 1):
        assert running.wait(900) == number % 7, running.result.err
        assert running.result.text == f"job {number}"
