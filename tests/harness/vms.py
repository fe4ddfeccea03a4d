# SPDX-License-Identifier: Apache-2.0
"""`mote boot` and what may be asked of its VM, with the bare-metal guests of build/payloads."""
import contextlib
import os

from harness.processes import children_of, tail, text_of, wait_until

PATIENCE = int(os.environ.get("MOTE_TEST_PATIENCE", "60"))  # s, for what comes at once on a machine that is not busy
STEPS = 6000


class Vms:
    """VMs of one test."""

    def __init__(self, mote, started, env, payloads):
        self.mote_program, self.started, self.env, self.payloads = mote, started, env, payloads
        self.folder = started.folder

    def kernel(self, payload):
        """A payload by its name, or a file."""
        return payload if isinstance(payload, os.PathLike) else self.payloads / f"{payload}.elf"

    def start(self, payload, *options, before=(), **how):
        return self.started.start([*before, self.mote_program, "boot", "--kernel", self.kernel(payload), *options], self.env, **how)

    def boot(self, payload, *options, status=0, **how):
        """A guest to its end."""
        return self.to_end(self.start(payload, *options, **how), status)

    def mote(self, *words, status=0, **how):
        """Another command of mote, to its end."""
        return self.to_end(self.started.start([self.mote_program, *words], self.env, **how), status)

    @staticmethod
    def to_end(child, status):
        ended = child.end(PATIENCE)
        assert ended == status, f"status {ended} instead of {status}: {tail(child.err)}"
        return child

    def monitor(self, child):
        """The process of a VM."""
        return wait_until(lambda: children_of(child.pid), PATIENCE, "the VM's process")[0]


class Progress:
    """The guest "progress", by the name "saved". It says the same in the end whether it was interrupted or not, and its output
    is one whole in however many parts it came. Before its last words it waits to be told that it may end: a test that comes
    late finds it there all the same."""

    cmdline = f"steps={STEPS}"

    def __init__(self, vms):
        self.vms = vms
        self.running, self.printed = None, []

    def begin(self, *options, kernel="progress"):
        """The guest after its first steps."""
        read, self.input = os.pipe()
        self.running = self.vms.start(kernel, "--cmdline", f"{self.cmdline} hold={STEPS}", "--name", "saved",
                                      "--log-level", "error", *options, stdin=read)
        self.printed.append(self.running)
        self.reach(1000)
        return self

    def reach(self, step):
        self.running.until(str(step), PATIENCE)

    def end(self, status=0):
        """Lets it end, if it has not, with this status."""
        with contextlib.suppress(BrokenPipeError):
            os.write(self.input, b"\n")
        os.close(self.input)
        return self.vms.to_end(self.running, status)

    def snapshot(self, folder, *options):
        self.vms.mote("snapshot", "saved", folder, *options)

    def restore(self, folder):
        """From a snapshot to the guest's end."""
        self.printed.append(self.vms.mote("restore", folder, "--log-level", "error", stdin="go\n"))

    def as_one(self):
        """All that it has printed, in however many processes."""
        return "".join(child.out for child in self.printed)


def mapped(pid, name):
    """How often files of this name are mapped in a process."""
    return sum(name in line for line in text_of(f"/proc/{pid}/maps").splitlines())
