# SPDX-License-Identifier: Apache-2.0
"""Jobs that take all they can get: each ends with the right verdict, and the guest's init tells it."""


def test_fork_bomb(job):
    """a fork bomb"""
    done = job.sh("bomb() { bomb | bomb & }; bomb; exec sleep 1000", options=["--pids", "50", "--timeout", "60"], status=124)
    assert done.cause == "timeout"
    assert done.verdict["pids_refused"] > 0


def test_memory_hog(job):
    """a memory hog"""
    done = job.sh("x=aaaaaaaaaaaaaaaa; while :; do x=$x$x; done", status=137)
    assert done.cause == "oom"
    assert done.verdict["oom_kills"] > 0
    assert done.verdict["peak_memory_bytes"] > 100000000
    assert "ran out of memory" in done.err


def test_disk_filler(job):
    """a disk filler"""
    done = job.sh("dd if=/dev/zero of=/big bs=64k", options=["--disk-limit", "20M"], status=1)
    assert done.cause == "exited"
    assert "No space left" in done.err


def test_scratch(job):
    """a scratch disk"""
    # There is room for more than memory has, and not for more than was asked for.
    done = job.sh("dd if=/dev/zero of=/big bs=1M count=400 2>/dev/null && ls -l /big", options=["--scratch", "600M"])
    assert "419430400" in done.out
    done = job.run("dd", "if=/dev/zero", "of=/big", "bs=1M", options=["--scratch", "30M"], status=1)
    assert "No space left" in done.err


def test_endless_writer(job):
    """an endless writer"""
    done = job.run("yes", options=["--output-limit", "3M"], status=153)
    assert done.cause == "output-limit"
    assert done.out_file.stat().st_size == 3 << 20


def test_endless_loop(job):
    """an endless loop"""
    done = job.sh('trap "" TERM; while :; do :; done', options=["--timeout", "20"], status=124)
    assert done.cause == "timeout"
    assert done.verdict["cpu_us"] > 1000000
    # One that ends in time when it is asked to.
    assert job.run("sleep", "1000", options=["--timeout", "20"], status=124).cause == "timeout"


def test_many(job):
    """50 jobs side by side"""
    jobs = [job.start("sh", "-c", 'read -r n; echo "job $n"; exit $((n % 7))', options=["--memory", "96M"], stdin=f"{number}\n")
            for number in range(1, 51)]
    bad = []
    for number, one in enumerate(jobs, 1):
        if (one.end(900), one.out) != (number % 7, f"job {number}\n"):
            bad.append(f"job {number}: status {one.status}, {one.err}")
    assert not bad, f"{len(bad)} of 50 jobs went wrong"
