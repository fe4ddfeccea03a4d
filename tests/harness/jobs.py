# SPDX-License-Identifier: Apache-2.0
"""Jobs of mote run, in the foreground and the background, and what came of them."""
import functools
import json
import os
import pathlib
import signal
import subprocess
import time

LIMIT = 300  # s, for a job that comes to its end
PATIENCE = 120  # s, for what comes at once on a machine that is not busy


def wait_until(condition, what, seconds=PATIENCE, pause=0.1):
    """Until CONDITION, a function, is true; its value."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, f"{what}: did not come within {seconds} s"
        time.sleep(pause)
    return value


class Result:
    """What a job has left: its status, its output in files, its verdict."""

    def __init__(self, status, out, err, verdict):
        self.status, self.out_path, self.err_path, self.verdict_path = status, out, err, verdict

    @property
    def out(self):
        return self.out_path.read_text(errors="replace")

    @property
    def text(self):
        """All of standard output, without the line feeds at its end."""
        return self.out.rstrip("\n")

    @property
    def err(self):
        return self.err_path.read_text(errors="replace") if self.err_path.exists() else ""

    @functools.cached_property
    def verdict(self):
        return json.loads(self.verdict_path.read_text())

    @property
    def cause(self):
        return self.verdict["cause"]


class Running:
    """A job in the background; it ends with the test."""

    def __init__(self, process, result):
        self.process, self.result = process, result

    @property
    def pid(self):
        return self.process.pid

    def kill(self, number=signal.SIGTERM):
        self.process.send_signal(number)

    def wait(self, seconds=LIMIT):
        self.result.status = status_of(self.process.wait(seconds))
        return self.result.status

    def says(self, word):
        """Until its standard output has WORD."""
        wait_until(lambda: word in self.result.out, f"'{word}'; {self.result.err[-200:]}")
        return self


def status_of(code):
    """As a shell has it."""
    return code if code >= 0 else 128 - code


class Jobs:
    """Calls of mote, for one module of tests. ENV is theirs, and may be changed."""

    def __init__(self, mote, work, images):
        self.mote, self.work, self.images = mote, work, images
        self.env = dict(os.environ)
        self.last = None
        self.hung = 0
        self.number = 0
        self.running = []

    def files(self):
        self.number += 1
        return Result(None, *(self.work / f"{name}.{self.number}" for name in ("out", "err", "verdict")))

    def environment(self, more):
        return self.env | {name: str(value) for name, value in (more or {}).items()}

    def source(self, root, image):
        return ["--image", str(image)] if image else ["--rootfs", str(root or self.images / "root.erofs")]

    def job(self, wanted, *words, root=None, image=None, stdin=b"", limit=LIMIT, env=None, mote=None):
        """A job on the busybox root, or ROOT or IMAGE, that must end with the status WANTED; STDIN is bytes, text or an open
        file. Where the lab lost an interrupt and the job hangs, it is run once more."""
        for last in (False, True):
            result = self.files()
            command = [mote or self.mote, "run", *self.source(root, image), "--verdict", result.verdict_path, *words]
            hangs = self.run(result, command, stdin, limit, env)
            if last or not hangs or result.verdict_path.exists() or self.env.get("MOTE_LAB") != "1":
                break
            self.hung += 1
        assert result.status == wanted, f"status {result.status} instead of {wanted}"
        return result

    def mote_command(self, wanted, *words, stdin=b"", limit=LIMIT, env=None):
        """Any command of mote's, which must end with WANTED; None: with any."""
        result = self.files()
        self.run(result, [self.mote, *words], stdin, limit, env)
        assert wanted is None or result.status == wanted, f"mote {words[0]}: status {result.status} instead of {wanted}"
        return result

    def run(self, result, command, stdin, limit, env):
        """Whether it had to be killed."""
        self.last = result
        data = stdin.encode() if isinstance(stdin, str) else stdin
        given = {"stdin": data} if hasattr(data, "fileno") else {"stdin": subprocess.PIPE}
        with result.out_path.open("wb") as out, result.err_path.open("wb") as err:
            with subprocess.Popen(command, stdout=out, stderr=err, env=self.environment(env), **given) as process:
                try:
                    process.communicate(None if hasattr(data, "fileno") else data, timeout=limit)
                except subprocess.TimeoutExpired:
                    return self.end(process, result)
                except BaseException:
                    process.kill()
                    raise
        result.status = status_of(process.returncode)
        return False

    @staticmethod
    def end(process, result):
        process.terminate()
        try:
            process.wait(5)
            result.status = 124
            return False
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            result.status = 137
            return True

    def start(self, *words, root=None, image=None, env=None, cwd=None, stdin=b""):
        """A job in the background; STDIN is few bytes."""
        result = self.files()
        self.last = result
        command = [self.mote, "run", *self.source(root, image), "--verdict", result.verdict_path, *words]
        with result.out_path.open("wb") as out, result.err_path.open("wb") as err:
            process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=out, stderr=err, env=self.environment(env), cwd=cwd)
        self.running.append(process)
        process.stdin.write(stdin)
        process.stdin.close()
        return Running(process, result)

    def clean_up(self):
        """What a test has left running."""
        for process in self.running:
            if process.poll() is None:
                process.kill()
            process.wait()
        self.running.clear()


def mote_path():
    return pathlib.Path(os.environ.get("MOTE", "build/mote")).resolve()
