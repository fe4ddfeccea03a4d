# SPDX-License-Identifier: Apache-2.0
"""--warm: the first job of a kind leaves a template, the next ones are restored from it; and what is wrong with a template
costs no job."""
import contextlib
import os
import re
import resource
import shlex
import signal
import subprocess
import time

import pytest

from harness.processes import wait_until

# Two ways to a random number.
RANDOM = "cat /proc/sys/kernel/random/uuid; head -c 16 /dev/urandom | md5sum"
BLOCK = 1 << 20


class Templates:
    """Jobs with --warm, and the folder of their templates."""

    def __init__(self, job, cache, tools):
        self.job, self.tools = job, tools
        self.move(cache)

    def move(self, cache):
        self.folder = cache / "templates"
        self.job.env["MOTE_CACHE"] = str(cache)

    def run(self, restored, script, status=0, options=(), **how):
        """A job, and whether its VM was restored from a template."""
        self.began = int(time.time())
        done = self.job.run("sh", "-c", script, options=["--warm", "--verbose", *options], status=status, **how)
        told = [line for line in done.err.splitlines() if "template" in line][-1:]
        assert done.verdict["restored"] is restored, f"restored is not {restored}; {told}"
        return done

    def need(self):
        """One template, of jobs without options."""
        if self.count() != 1:
            self.prune()
            self.run(False, "true")

    def count(self):
        return len(self.job.mote("template", "list").out.splitlines()[1:])

    def partials(self):
        return len(list(self.folder.glob("*.partial")))

    def counts(self):
        """Whole ones and half ones."""
        return self.count(), self.partials()

    def file(self, name):
        """Of the only template."""
        found, = self.folder.glob("[0-9a-f]" * 16 + f"/{name}")
        return found

    def prune(self):
        self.job.mote("template", "prune", "--all")

    def is_now(self, done):
        """The guest's clock, in the first line of its output, lies between the job's begin and now."""
        assert self.began <= int(done.out.split()[0]) <= time.time(), "the guest's clock"

    def forge(self, name, change):
        """Changes the template's file so that nobody sees it from the outside."""
        file, about = self.file(name), self.file("about")
        before = identity(file)
        file.chmod(0o600)
        with open(file, "r+b") as opened:
            change(opened)
        file.chmod(0o400)
        subprocess.run([self.tools / "reseal", file.parent], check=True)
        about.write_text(about.read_text().replace(before, identity(file)))


def identity(file):
    """As the template's "about" has it."""
    state = file.stat()
    times = (part for moment in (state.st_mtime_ns, state.st_ctime_ns) for part in divmod(moment, 10**9))
    return "{:x}-{:x}-{:x}-{:x}.{:x}-{:x}.{:x}".format(state.st_dev, state.st_ino, state.st_size, *times)


@pytest.fixture
def templates(job, folder, tools):
    return Templates(job, folder / "cache", tools)


@pytest.fixture
def with_template(templates):
    templates.need()
    return templates


def random_lines(done, first=1):
    return done.out.splitlines()[first:first + 2]


def test_warm(templates):
    """warm: cold, then restored"""
    templates.prune()
    cold = templates.run(False, f"date +%s; {RANDOM}; cat; exit 42", stdin="in\n", status=42)
    templates.is_now(cold)
    assert templates.count() == 1
    warm = templates.run(True, f"date +%s; {RANDOM}; cat; id -u; hostname; echo $A; echo error >&2; exit 7", stdin="input\n", status=7,
                         options=["--hostname", "other", "--env", "A=b", "--user", "user"])
    templates.is_now(warm)
    assert "error" in warm.err
    assert warm.out.splitlines()[3:] == ["input", "1000", "other", "b"]
    # What it wrote before its job came is recorded, once.
    recorded = templates.file("working-set").stat()
    assert recorded.st_size > 0
    again = templates.run(True, f"date +%s; {RANDOM}")
    assert templates.file("working-set").stat().st_ino == recorded.st_ino
    assert len({line for done in (cold, warm, again) for line in random_lines(done)}) == 6
    missing = templates.job.run("no-such-program", options=["--warm", "--verbose"], status=127)
    assert (missing.cause, missing.verdict["restored"]) == ("not-started", True)


def test_side_by_side(with_template, job):
    """warm: two side by side"""
    # They share what neither of them writes.
    both = [job.start("sh", "-c", f"{RANDOM}; echo {number} >/mine; sleep 2; cat /mine", options=["--warm", "--verbose"])
            for number in (1, 2)]
    for one in both:
        assert one.end() == 0, one.err
    assert [one.verdict["restored"] for one in both] == [True, True]
    assert len({line for one in both for line in random_lines(one, 0)}) == 4
    assert [one.out.splitlines()[-1] for one in both] == ["1", "2"]


def test_ends(with_template, job):
    """warm: ends"""
    # Ends that are not the job's own, and a job apart from us.
    assert with_template.run(True, "sleep 100", options=["--timeout", "6"], status=124).cause == "timeout"
    job.detach("apart", "sh", "-c", "exit 9", options=["--warm", "--verbose"])
    job.mote("wait", "apart", status=9)
    assert '"restored":true' in (job.runtime / "apart/verdict").read_text()
    job.mote("rm", "apart")


def test_altered(with_template):
    """warm: altered"""
    # Each fault costs the template, one line, and no job; the job that boots saves a new one.
    memory = with_template.file("memory")
    memory.chmod(0o600)
    os.truncate(memory, memory.stat().st_size - BLOCK)
    done = with_template.run(False, "exit 3", status=3)
    assert "was altered since it was saved: it is removed, and the VM boots" in done.err
    assert with_template.count() == 1


def flip(opened):
    opened.seek(4000)
    opened.write(b"\xff")


def zero(opened):
    for _ in range(64):
        opened.write(bytes(BLOCK))


def spin(opened):
    """The kernel's code, from 16 MiB on, becomes jumps to themselves."""
    opened.seek(16 * BLOCK)
    for _ in range(6):
        opened.write(b"\xeb\xfe" * (BLOCK // 2))


def test_forged(with_template):
    """warm: forged"""
    # What only the VM's process finds out.
    with_template.forge("state", flip)
    assert "is not used, and the VM boots" in with_template.run(False, "exit 3", status=3).err
    # Its guest has no kernel any more.
    with_template.forge("memory", zero)
    done = with_template.run(False, "cat; exit 4", stdin="input\n", status=4)
    assert done.out == "input\n"
    assert "is not used, and the VM boots: " in done.err
    # Its guest does not end, and says nothing either.
    with_template.forge("memory", spin)
    done = with_template.run(False, "exit 5", status=5)
    assert "is not used, and the VM boots: its guest said nothing for 20 seconds" in done.err
    with_template.run(True, "true")


class Saving:
    """A job whose template is being saved, seen to have come so far, or whole already: seen tells."""

    def __init__(self, templates, name, kib):
        templates.prune()
        self.templates, self.name, self.size, self.seen = templates, name, kib << 10, False
        self.job = templates.job.start("sleep", "100", options=["--warm", "--verbose"])
        wait_until(self.come_so_far, 60, f"a template; {self.job.err}", 0.01)

    def come_so_far(self):
        for file in self.templates.folder.glob(f"*.partial/{self.name}"):
            with contextlib.suppress(FileNotFoundError):
                self.seen = self.seen or file.stat().st_blocks * 512 >= self.size
        return self.seen or any(self.templates.folder.glob("[0-9a-f]" * 16 + "/about"))


def kill(saving, started):
    saving.job.signal(signal.SIGKILL)
    saving.job.end()
    assert not started.left_behind(), "processes"


@pytest.mark.leaves_groups
def test_killed_saving(templates, started):
    """warm: killed while it saves"""
    # Just begun, amid what the VM's process writes, and in the process that brings it to the disk: none is used, none is left.
    seen = 0
    for name, kib in (("memory", 0), ("memory", 2000), ("about", 0)):
        saving = Saving(templates, name, kib)
        seen += saving.seen
        kill(saving, started)
        # It may have been complete by then.
        whole = templates.count()
        assert whole + templates.partials() == 1
        templates.run(whole == 1, "exit 3", status=3)
        assert templates.counts() == (1, 0)
        templates.run(True, "true")
    assert seen > 0, "no template was ever half saved"
    # What nobody takes over is swept when another is saved.
    saving = Saving(templates, "memory", 0)
    assert saving.seen
    kill(saving, started)
    templates.run(False, "true", options=["--memory", "192M"])
    assert templates.counts() == (1, 0)
    templates.prune()


def test_signalled_saving(templates):
    """warm: Ctrl-C while it saves"""
    # The job runs, and Ctrl-C is heard, while the template is brought to the disk.
    saving = Saving(templates, "about", 0)
    saving.job.signal(signal.SIGINT)
    assert saving.job.end() == 130
    assert templates.partials() == 0
    templates.prune()


def test_devices(templates, images):
    """warm: devices"""
    # All devices, and more than one processor.
    templates.prune()
    options = ["--cpus", "2", "--net", "user", "--scratch", "64M", "--volume", f"{images}/volume:/v:ro",
               "--volume", f"{images}/volume/sub/file:/f:ro"]
    script = (r'cat /v/sub/file; cmp /v/sub/file /f && nproc; ip -4 addr show eth0 | grep -c 10.0.2.15; '
              r'df -m / | sed -n "s/.* \([4-6][0-9]\) .*/scratch/p"; echo x >/file && cat /file')
    cold = templates.run(False, script, options=options)
    assert cold.out.splitlines() == ["from the host", "2", "1", "scratch", "x"]
    assert templates.run(True, script, options=options).out == cold.out


def test_no_room(templates, folder):
    """warm: no room"""
    # A folder without room, or where files may not become as long: the job runs to its end, and is told so.
    small = folder / "small"
    small.mkdir()
    templates.move(small)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6M", "small", small], stderr=subprocess.DEVNULL, check=False)
    if mounted.returncode == 0:
        try:
            done = templates.run(False, "exit 5", status=5)
            assert "the next job boots, too" in done.err
            assert os.listdir(small / "templates") == []
        finally:
            subprocess.run(["umount", small], check=True)
    done = templates.run(False, "exit 5", status=5,
                         preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4096 << 10, 4096 << 10)))
    assert "the next job boots, too" in done.err


def test_stock(templates, kernel):
    """warm: stock kernel"""
    templates.prune()
    cold, warm = (templates.run(restored, f"date +%s; {RANDOM}; cat; exit 42", stdin="in\n", status=42,
                                env={"MOTE_KERNEL": str(kernel.stock)}) for restored in (False, True))
    templates.is_now(warm)
    assert len({line for done in (cold, warm) for line in random_lines(done)}) == 4


def test_list(with_template, images):
    """warm: list and prune"""
    before = with_template.count()
    assert str(images / "root.erofs") in with_template.job.mote("template", "list").out
    assert with_template.job.mote("template", "prune", "--older", "1h").out == "0 removed, 0 MiB\n"
    assert f"{before} removed" in with_template.job.mote("template", "prune", "--all").out
    assert with_template.count() == 0


@pytest.mark.lab_only
def test_doctor(job):
    """warm: the advice for its host"""
    # What the kernel has each VM wait for, told by `mote doctor`, and mended by what it says.
    said = job.mote("doctor", status=None).out
    advice = re.search(r"; run: sudo (mount .*favordynmods.*)", said)
    assert advice, said
    subprocess.run(shlex.split(advice[1]), check=True)
    assert "favordynmods" not in job.mote("doctor", status=None).out
