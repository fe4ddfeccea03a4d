# SPDX-License-Identifier: Apache-2.0
"""--warm: the first job of a kind leaves a template, the next ones start from it; and what is wrong with a template costs no job."""
import os
import pathlib
import re
import resource
import signal
import subprocess
import time

import pytest

from tests.harness.jobs import wait_until

# Two ways to a random number.
RANDOM = "cat /proc/sys/kernel/random/uuid; head -c 16 /dev/urandom | md5sum"


class Warm:
    """Jobs with --warm, and the templates that they leave."""

    def __init__(self, jobs, cache):
        self.jobs, self.cache, self.began = jobs, cache, 0

    def __call__(self, restored, wanted, *words, **more):
        """A job, and whether its VM was restored from a template."""
        self.began = int(time.time())
        result = self.jobs.job(wanted, "--warm", "--verbose", *words, **more)
        assert result.verdict["restored"] == restored, [line for line in result.err.splitlines() if "template" in line][-1:]
        return result

    def count(self):
        return len(self.jobs.mote_command(0, "template", "list").out.splitlines()) - 1

    def partials(self):
        return len(list((self.cache / "templates").glob("*.partial")))

    def prune(self):
        self.jobs.mote_command(0, "template", "prune", "--all")

    def one(self, file):
        """FILE of the only template."""
        found, = (self.cache / "templates").glob("?" * 16)
        return found / file

    def has_the_time(self, result):
        """The guest's clock, in the first line of its output, lies between the job's begin and now."""
        assert self.began <= int(result.out.splitlines()[0]) <= int(time.time())


@pytest.fixture(scope="module")
def cache(all_jobs, work):
    all_jobs.env["MOTE_CACHE"] = f"{work}/cache"
    return work / "cache"


@pytest.fixture
def warm(jobs, cache):
    return Warm(jobs, cache)


@pytest.fixture
def template(warm):
    """A template of the plain job, whole."""
    if not (warm.cache / "templates").is_dir() or warm.count() != 1:
        warm.prune()
        warm(False, 0, "--", "true")
    return warm


def identity(file):
    """As the template's "about" has it."""
    status = file.stat()
    return (f"{status.st_dev:x}-{status.st_ino:x}-{status.st_size:x}-{status.st_mtime_ns // 10**9:x}.{status.st_mtime_ns % 10**9:x}-"
            f"{status.st_ctime_ns // 10**9:x}.{status.st_ctime_ns % 10**9:x}")


def forge(warm, name, change):
    """Changes the template's file NAME so that nobody sees it from the outside."""
    file, about = warm.one(name), warm.one("about")
    before = identity(file)
    file.chmod(0o600)
    with file.open("r+b") as opened:
        change(opened)
    file.chmod(0o400)
    subprocess.run([warm.jobs.mote.parent / "tests/tools/reseal", file.parent], check=True)
    mode = about.stat().st_mode
    about.chmod(0o600)
    about.write_text(about.read_text().replace(before, identity(file)))
    about.chmod(mode)


def test_warm(warm):
    """warm: cold, then restored"""
    cold = warm(False, 42, "--", "sh", "-c", f"date +%s; {RANDOM}; cat; exit 42", stdin="in\n")
    warm.has_the_time(cold)
    assert warm.count() == 1
    second = warm(True, 7, "--hostname", "other", "--env", "A=b", "--user", "user", "--", "sh", "-c",
                  f"date +%s; {RANDOM}; cat; id -u; hostname; echo $A; echo error >&2; exit 7", stdin="input\n")
    warm.has_the_time(second)
    assert "error" in second.err
    assert second.out.splitlines()[3:] == ["input", "1000", "other", "b"]
    # What it wrote before its job came is recorded, once.
    recorded = warm.one("working-set").stat()
    assert recorded.st_size > 0
    third = warm(True, 0, "--", "sh", "-c", f"date +%s; {RANDOM}")
    assert warm.one("working-set").stat().st_ino == recorded.st_ino
    for line in (1, 2):
        assert len({result.out.splitlines()[line] for result in (cold, second, third)}) == 3, "random numbers"
    assert warm(True, 127, "--", "no-such-program").cause == "not-started"


def test_side_by_side(jobs, template):
    """warm: two side by side"""
    # They share what neither of them writes.
    both = [jobs.start("--warm", "--verbose", "--", "sh", "-c", f"{RANDOM}; echo {number} >/mine; sleep 2; cat /mine") for number in (1, 2)]
    for running in both:
        assert running.wait() == 0, running.result.err
        assert running.result.verdict["restored"]
    outputs = [running.result.out.splitlines() for running in both]
    assert len({line for output in outputs for line in output[:2]}) == 4, "random numbers"
    assert [output[-1] for output in outputs] == ["1", "2"]
    assert template.count() == 1


def test_ends(jobs, template, work):
    """warm: ends"""
    # Those that are not the job's own, and a job apart from us.
    assert template(True, 124, "--timeout", "6", "--", "sleep", "100").cause == "timeout"
    env = {"XDG_RUNTIME_DIR": work}
    jobs.mote_command(0, "run", *jobs.source(None, None), "--warm", "--verbose", "--detach", "--name", "apart", "--", "sh", "-c", "exit 9",
                      env=env)
    jobs.mote_command(9, "wait", "apart", env=env)
    assert re.search(r'"restored": *true', (work / "mote/apart/verdict").read_text())
    jobs.mote_command(0, "rm", "apart", env=env)


def test_altered(template):
    """warm: altered"""
    # Each fault costs the template, one line, and no job; the job that boots saves a new one.
    memory = template.one("memory")
    memory.chmod(0o600)
    os.truncate(memory, memory.stat().st_size - (1 << 20))
    result = template(False, 3, "--", "sh", "-c", "exit 3")
    assert "was altered since it was saved: it is removed, and the VM boots" in result.err
    assert template.count() == 1


def flip(file):
    file.seek(4000)
    file.write(b"\xff")


def zero(file):
    file.write(bytes(64 << 20))


def spin(file):
    """The kernel's code, from 16 MiB on, becomes jumps to themselves."""
    file.seek(16 << 20)
    file.write(b"\xeb\xfe" * (3 << 20))


@pytest.mark.parametrize("name, change, reason", [
    ("state", flip, "is not used, and the VM boots"),
    ("memory", zero, "is not used, and the VM boots: "),
    ("memory", spin, "is not used, and the VM boots: its guest said nothing for 20 seconds"),
])
def test_forged(template, name, change, reason):
    """warm: forged, {name} by {change.__name__}"""
    # What only the VM's process finds out: its guest has no kernel any more, or does not end and says nothing either.
    forge(template, name, change)
    result = template(False, 4, "--", "sh", "-c", "cat; exit 4", stdin="input\n")
    assert result.text == "input"
    assert reason in result.err
    template(True, 0, "--", "true")


def half_saved(warm, name, kib):
    """Whether a template that is being saved has so much of its file NAME."""
    for file in (warm.cache / "templates").glob(f"*.partial/{name}"):
        try:
            if file.stat().st_blocks // 2 >= kib:
                return True
        except FileNotFoundError:
            pass
    return False


def saving(warm, name, kib):
    """A job whose template is saved, until that was seen to have come so far; and whether it was. A moment that is over by the next look
    is missed: then the template is whole."""
    warm.prune()
    running = warm.jobs.start("--warm", "--verbose", "--env", "SAVE_TEST=1", "--", "sleep", "100")
    end = time.monotonic() + 60
    while time.monotonic() < end:
        if half_saved(warm, name, kib):
            return running, True
        if list((warm.cache / "templates").glob("?" * 16 + "/about")):
            return running, False
        time.sleep(0.01)
    raise AssertionError(f"no template was saved within a minute: {running.result.err}")


def killed(running):
    running.kill(signal.SIGKILL)
    running.wait()
    time.sleep(1)
    assert subprocess.run(["pgrep", "-af", "SAVE_TEST=1"], text=True, stdout=subprocess.PIPE, check=False).stdout == ""


def test_killed_saving(warm):
    """warm: killed while it saves"""
    # Just begun, amid what the VM's process writes, and in the process that brings it to the disk: none is used, none is left.
    seen = 0
    for name, kib in (("memory", 0), ("memory", 2000), ("about", 0)):
        running, was_half = saving(warm, name, kib)
        seen += was_half
        killed(running)
        whole = warm.count()  # it may have been complete by then
        assert whole + warm.partials() == 1
        warm(whole == 1, 3, "--", "sh", "-c", "exit 3")
        assert (warm.count(), warm.partials()) == (1, 0)
        warm(True, 0, "--", "true")
    assert seen > 0, "no template was ever half saved"
    # What nobody takes over is swept when another is saved.
    running, was_half = saving(warm, "memory", 0)
    assert was_half
    killed(running)
    warm(False, 0, "--memory", "192M", "--", "true")
    assert (warm.count(), warm.partials()) == (1, 0)


def test_signalled_saving(warm):
    """warm: Ctrl-C while it saves"""
    # The job runs, and Ctrl-C is heard, while the template is brought to the disk.
    running, _ = saving(warm, "about", 0)
    running.kill(signal.SIGINT)
    assert running.wait() == 130
    assert warm.partials() == 0
    warm.prune()


def test_devices(warm, images):
    """warm: devices"""
    # All of them, and more than one processor.
    options = ["--cpus", "2", "--net", "user", "--scratch", "64M", "--volume", f"{images}/volume:/v:ro", "--volume",
               f"{images}/volume/sub/file:/f:ro", "--", "sh", "-c",
               """cat /v/sub/file; cmp /v/sub/file /f && nproc; ip -4 addr show eth0 | grep -c 10.0.2.15
               df -m / | sed -n "s/.* \\([4-6][0-9]\\) .*/scratch/p"; echo x >/file && cat /file"""]
    cold = warm(False, 0, *options)
    assert "from the host" in cold.out
    assert warm(True, 0, *options).out == cold.out


def test_no_room(warm, work):
    """warm: no room"""
    # A folder without room, or where files may not become as long: the job runs, and its user is told.
    small = work / "small"
    small.mkdir()
    env = {"MOTE_CACHE": small}
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6M", "small", small], stderr=subprocess.DEVNULL, check=False).returncode == 0:
        assert "the next job boots, too" in warm(False, 5, "--", "sh", "-c", "exit 5", env=env).err
        assert list((small / "templates").iterdir()) == []
        subprocess.run(["umount", small], check=True)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4 << 20, before[1]))
    try:
        assert "the next job boots, too" in warm(False, 5, "--", "sh", "-c", "exit 5", env=env).err
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_stock(warm, images):
    """warm: stock kernel"""
    runs = [warm(restored, 42, "--", "sh", "-c", f"date +%s; {RANDOM}; cat; exit 42", stdin="in\n", env={"MOTE_KERNEL": images / "stock/bzImage"})
            for restored in (False, True)]
    warm.has_the_time(runs[1])
    assert len({line for result in runs for line in result.out.splitlines()[1:3]}) == 4, "random numbers"


def test_list(warm, jobs, images):
    """warm: list and prune"""
    before = warm.count()
    assert f"{images}/root.erofs" in jobs.mote_command(0, "template", "list").out
    assert before > 0
    assert jobs.mote_command(0, "template", "prune", "--older", "1h").text == "0 removed, 0 MiB"
    assert f"{before} removed" in jobs.mote_command(0, "template", "prune", "--all").out
    assert warm.count() == 0


@pytest.mark.skipif(os.environ.get("MOTE_LAB") != "1", reason="it changes how the host mounts its control groups")
def test_doctor(jobs):
    """warm: the advice for its host"""
    # What the kernel has each VM wait for, told by `mote doctor`, and mended by what it says.
    said = jobs.mote_command(None, "doctor").out
    advice = re.search(r"; run: sudo (mount .*favordynmods.*)", said)
    subprocess.run(advice[1], shell=True, check=True)
    assert "favordynmods" not in jobs.mote_command(None, "doctor").out
    assert pathlib.Path("/proc/mounts").read_text().count("favordynmods") > 0
