# SPDX-License-Identifier: Apache-2.0
"""Jobs by `mote run`, on the root file systems that the tier has prepared."""
import functools
import json
import os
import pathlib
import socket

from harness.processes import tail, text_of, wait_until

JOB_SECONDS = 300
KILLED = 137


class Result:
    """A job that has ended, or one that runs."""

    def __init__(self, child, verdict_file):
        self.child, self.verdict_file = child, verdict_file
        self.status = None

    out = property(lambda self: self.child.out)
    err = property(lambda self: self.child.err)
    out_file = property(lambda self: self.child.out_file)

    @functools.cached_property
    def verdict(self):
        return json.loads(text_of(self.verdict_file) or "{}")

    @property
    def cause(self):
        return self.verdict.get("cause")

    def end(self, limit=JOB_SECONDS):
        self.status = self.child.end(limit)
        return self.status

    def until(self, text, limit=120):
        self.child.until(text, limit)
        return self

    def signal(self, number):
        self.child.signal(number)


class Jobs:
    """`mote run` and the commands for named jobs. Its environment, env, is the test's to change."""

    def __init__(self, mote, started, env, images, in_lab, hung):
        self.mote_program, self.started, self.env, self.images = mote, started, dict(env), images
        self.in_lab, self.hung = in_lab, hung
        self.folder = started.folder
        self.count = 0

    def words(self, command, options=(), root=None, image=None, mote=None):
        source = ["--image", image] if image else ["--rootfs", root or self.images / "root.erofs"]
        return [mote or self.mote_program, "run", *source, *options, *(["--", *command] if command else [])]

    def start(self, *command, options=(), root=None, image=None, mote=None, **how):
        """A job in the background."""
        self.count += 1
        verdict = self.folder / f"verdict-{self.count}"
        words = self.words(command, [*options, "--verdict", verdict], root, image, mote)
        env = self.env | how.pop("env", {})
        return Result(self.started.start(words, env, **how), verdict)

    def run(self, *command, status=0, limit=JOB_SECONDS, **how):
        """A job that must end with this status; once more where the lab lost an interrupt and it hung."""
        job = self.start(*command, **how)
        if job.end(limit) == KILLED and self.in_lab and not text_of(job.verdict_file):
            self.hung.append(command)
            job = self.start(*command, **how)
            job.end(limit)
        assert job.status == status, f"status {job.status} instead of {status}: {tail(job.err)}"
        return job

    def sh(self, script, **how):
        """A job that is a script of the guest's shell."""
        return self.run("sh", "-c", script, **how)

    def mote(self, *words, status=0, limit=JOB_SECONDS, **env):
        """Another command of mote, to its end; what it printed."""
        child = self.started.start([self.mote_program, *words], self.env | env)
        ended = child.end(limit)
        assert status is None or ended == status, f"mote {words[0]}: status {ended} instead of {status}: {tail(child.err)}"
        return child

    # ---- jobs with a name ----

    def detach(self, name, *command, options=(), **how):
        words = self.words(command, ["--detach", "--name", name, *options], **how)
        child = self.started.start(words, self.env)
        assert child.end() == 0, f"{name} did not start: {child.err}"
        assert child.out == f"{name}\n"
        return child

    def state(self, name):
        """As `mote ps` has it: running, paused, ended (N); None for a name that nobody has."""
        for line in self.mote("ps").out.splitlines():
            if line.split()[:1] == [name]:
                words = line.split()
                return " ".join(words[1:3]) if words[1] == "ended" else words[1]
        return None

    @property
    def runtime(self):
        """The folder of named VMs."""
        return pathlib.Path(self.env["XDG_RUNTIME_DIR"]) / "mote"

    def connect(self, name):
        """A connection to its control socket."""
        control = socket.socket(socket.AF_UNIX)
        control.settimeout(60)
        control.connect(str(self.runtime / name / "control"))
        return control

    def request(self, name, text):
        """A request on the control socket, and its answer."""
        with self.connect(name) as control:
            control.sendall(text.encode() + b"\n")
            return control.makefile("rb").readline().decode("utf-8", "backslashreplace")

    def logged(self, name):
        return self.mote("logs", name).out

    def until_logged(self, name, condition, limit=60):
        wait_until(lambda: condition(self.logged(name)), limit, f"what was awaited of {name}'s output")


def environment(work, kernel):
    """What all tests have: this process's own, the kernel, and folders that no other program uses."""
    runtime = work / "runtime"
    runtime.mkdir(mode=0o700, exist_ok=True)
    return dict(os.environ) | {"MOTE_KERNEL": str(kernel), "XDG_RUNTIME_DIR": str(runtime)}
