# SPDX-License-Identifier: Apache-2.0
"""Programs that a test starts, each with a limit to its time, and a look at what they leave behind.

This process is a subreaper: whatever a program of a test leaves running becomes a child of ours, is found at the end of the
case, fails it, and is killed by its number.
"""
import ctypes
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time

PR_SET_CHILD_SUBREAPER = 36
GRACE = 5  # s, from SIGTERM to SIGKILL; and for what a program left behind to end by itself
LINES_SHOWN = 3
GROUPS = (pathlib.Path("/sys/fs/cgroup"), pathlib.Path("/sys/fs/cgroup/memory"))


def become_subreaper():
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def wait_until(condition, limit, what, pause=0.05):
    """Until the condition holds; returns what it gave."""
    end = time.monotonic() + limit
    while not (found := condition()):
        assert time.monotonic() < end, f"{what} did not come within {limit} s"
        time.sleep(pause)
    return found


def text_of(path):
    """What is in a file, or nothing where it is not there."""
    try:
        return pathlib.Path(path).read_text("utf-8", "backslashreplace")
    except FileNotFoundError:
        return ""


def tail(text, lines=LINES_SHOWN):
    return "\n".join(text.splitlines()[-lines:])


def shell_status(code):
    """As a shell has it: 128 and the number of the signal that ended it."""
    return 128 - code if code < 0 else code


class Child:
    """A program that runs. Its input is text, bytes, a file or a descriptor, which is closed here; its output goes to files,
    unless it has other streams."""

    def __init__(self, words, folder, env, stdin=b"", **popen):
        self.words = [str(word) for word in words]
        self.out_file, self.err_file = folder / "out", folder / "err"
        if isinstance(stdin, str):
            stdin = stdin.encode()
        if isinstance(stdin, bytes):
            (folder / "in").write_bytes(stdin)
            stdin = folder / "in"
        with open(stdin, "rb") as given, open(self.out_file, "wb") as out, open(self.err_file, "wb") as err:
            streams = {"stdin": given, "stdout": out, "stderr": err} | popen
            self.process = subprocess.Popen(self.words, env={name: str(value) for name, value in env.items()}, **streams)
        self.pid = self.process.pid

    @property
    def out(self):
        return text_of(self.out_file)

    @property
    def err(self):
        return text_of(self.err_file)

    def signal(self, number):
        self.process.send_signal(number)

    def children(self):
        return children_of(self.pid)

    def until(self, text, limit=120):
        """Waits for this text in its output."""
        def came():
            if text in self.out:
                return True
            assert self.process.poll() is None, f"it ended with {self.process.returncode} before it said '{text}': {tail(self.err)}"
            return False
        wait_until(came, limit, f"'{text}'")
        return self

    def end(self, limit=300):
        """Its status, as a shell has it. One that runs for longer is ended, by SIGKILL (137) where SIGTERM does not do."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            try:
                return shell_status(self.process.wait(limit))
            except subprocess.TimeoutExpired:
                self.process.send_signal(number)
                limit = GRACE
        return shell_status(self.process.wait())

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


def children_of(pid):
    """The numbers of a process's children, from all of its threads."""
    found = []
    for thread in pathlib.Path(f"/proc/{pid}/task").glob("*/children"):
        found += map(int, text_of(thread).split())
    return found


def line_of(pid):
    """The command line of a process; empty for one that has ended and was not waited for."""
    return text_of(f"/proc/{pid}/cmdline").replace("\0", " ").strip()


def running_children():
    """Our own that still run; those that ended are waited for, if nobody else does."""
    tracked = {popen.pid for popen in started_here}
    running = []
    for pid in children_of(os.getpid()):
        if not line_of(pid):
            if pid not in tracked:
                os.waitpid(pid, os.WNOHANG)
        else:
            running.append(pid)
    return running


started_here = []  # what this process waits for itself


def control_groups():
    """Those that Mote makes, in the folders where it does."""
    return {str(group) for top in GROUPS for group in top.glob("**/mote-[0-9]*")}


class Started:
    """What one test has started: a folder for its files, its programs, and the end of all of them."""

    def __init__(self, may_leave_groups=False):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="mote-test-"))
        self.programs = []
        self.before = set(running_children())
        self.groups = None if may_leave_groups else control_groups()

    def start(self, words, env, **how):
        """A program with files of its own, below the test's folder."""
        folder = self.folder / f"program-{len(self.programs)}"
        folder.mkdir()
        child = Child(words, folder, env, **how)
        self.programs.append(child)
        started_here.append(child.process)
        return child

    def printed(self):
        """The last lines of the last program that ran, for the report of a failure."""
        if not self.programs:
            return []
        last = self.programs[-1]
        parts = [f"$ {' '.join(last.words)[:400]}"]
        for name, text in (("out", last.out_file), ("err", last.err_file)):
            parts += [f"{name}: {line[:200]}" for line in tail(end_of(text), 8).splitlines()]
        return parts

    def end(self):
        """Ends what runs still; returns what was left behind, which is a failure."""
        for child in self.programs:
            child.kill()
        left = self.left_behind()
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
            except (ProcessLookupError, ChildProcessError):
                pass
        del started_here[:]
        shutil.rmtree(self.folder, ignore_errors=True)
        faults = [f"process {pid}: {line}" for pid, line in left.items()]
        if self.groups is not None:
            faults += [f"control group {group}" for group in sorted(control_groups() - self.groups)]
        return faults

    def left_behind(self):
        limit = time.monotonic() + GRACE
        while True:
            left = {pid: line_of(pid) for pid in running_children() if pid not in self.before}
            if not left or time.monotonic() > limit:
                return left
            time.sleep(0.05)


def end_of(path, length=4096):
    """The end of a file that may be large."""
    try:
        with open(path, "rb") as opened:
            opened.seek(max(0, os.path.getsize(path) - length))
            return opened.read().decode("utf-8", "backslashreplace")
    except FileNotFoundError:
        return ""
