# SPDX-License-Identifier: Apache-2.0
"""A program on a pseudo-terminal: types when it was asked, and sees whether the terminal's settings came back."""
import fcntl
import os
import pathlib
import select
import termios
import time

from harness.processes import shell_status

GONE = None  # in place of keys: the terminal goes away, as a window that is closed does


class Terminal:
    """How a program on a terminal ended, and all that it printed."""

    def __init__(self, started, words, env, typed=(), limit=60):
        self.seen = b""
        self.searched = 0
        self.limit = limit
        self.master, kept = os.openpty()
        self.program = started.start(words, env, stdin=pathlib.Path(os.devnull), start_new_session=True,
                                     preexec_fn=lambda: _take(kept), stdout=kept, stderr=kept)
        before = termios.tcgetattr(kept)
        try:
            self.status = self._converse(typed, kept)
            if self.master is not None:
                changed = termios.tcgetattr(kept)[:4] != before[:4]
                assert not changed, "the terminal's settings were not restored"
        finally:
            self.program.out_file.write_bytes(self.seen)
            if self.master is not None:
                os.close(kept)
                os.close(self.master)

    @property
    def out(self):
        return self.seen.decode("utf-8", "backslashreplace")

    def _read(self, wait):
        """Takes what was printed; false where nothing more comes."""
        if not select.select([self.master], [], [], wait)[0]:
            return True
        try:
            new = os.read(self.master, 65536)
        except OSError:
            return False
        self.seen += new
        return bool(new)

    def _converse(self, typed, kept):
        end = time.monotonic() + self.limit
        for wanted, keys in typed:
            while (at := self.seen.find(wanted, self.searched)) < 0:
                assert time.monotonic() < end, f"{wanted} did not come within {self.limit} s; seen: {self.out[-300:]}"
                assert self.program.process.poll() is None, f"it ended before it printed {wanted}: {self.out[-300:]}"
                self._read(0.05)
            self.searched = at + len(wanted)
            if keys is GONE:
                os.close(kept)
                os.close(self.master)
                self.master = None
                return self.program.end(300)
            os.write(self.master, keys)
        end = time.monotonic() + 300
        while self.program.process.poll() is None:
            assert time.monotonic() < end, "it has come to no end"
            self._read(0.05)
        while select.select([self.master], [], [], 0)[0] and self._read(0):
            pass
        return shell_status(self.program.process.returncode)


def _take(terminal):
    """In the child: the terminal is its controlling one, and its input."""
    fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)
    os.dup2(terminal, 0)
