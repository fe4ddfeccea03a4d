# SPDX-License-Identifier: Apache-2.0
"""The machine to run in, and a tier's parts: each large one, or some small ones together, have a pytest and, where that is the
lab, a machine of their own.

Parts that come to no end within MOTE_PART_SECONDS are run once more, and that is said; after that their cases that were not
seen to pass have failed, and the next parts are run.
"""
import os
import pathlib
import re
import subprocess
import sys
import time

PYTHON = "/usr/bin/python3"  # the one that Debian's python3-pytest is for
PART_SECONDS = 1500
QUIET = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}


class Stop(Exception):
    """The tier cannot run: why, and what helps."""


def pytest_words(*words):
    return [PYTHON, "-m", "pytest", "-c", "tests/pytest.ini", *words]


def find_runner():
    """What stands before a command that needs KVM for stock kernels; scripts/lib.sh knows, and says which."""
    found = subprocess.run(["bash", "-c", '. scripts/lib.sh; choose_runner; printf "%s\\0" "${runner[@]}"'],
                           stdout=subprocess.PIPE, check=False)
    if found.returncode:
        raise Stop("no machine was found to run in; see above")
    words = found.stdout.decode().split("\0")[:-1]
    if words[0] == "scripts/lab":
        words = ["scripts/lab", "--timeout", os.environ.get("MOTE_PART_SECONDS", str(PART_SECONDS)), "--"]
    return words


def cases_of(files):
    """The names of a file's cases. This also leaves the compiled tests for the lab, where compiling takes seconds."""
    listed = subprocess.run(pytest_words("--collect-only", *files), env=os.environ | QUIET, stdout=subprocess.PIPE, text=True, check=False)
    cases = {}
    for line in listed.stdout.splitlines():
        found = re.match(r"case (\S+) (.*)", line)
        if not found:
            raise Stop(f"the tests cannot be read: {listed.stdout[-2000:]}")
        cases.setdefault(found[1], []).append(found[2])
    return cases


class Parts:
    """Runs a tier's parts one after the other, and counts."""

    def __init__(self, tier, folder, clocks, runner=None):
        self.tier, self.folder, self.clocks = tier, folder, clocks
        self.runner = find_runner() if runner is None else runner
        self.passed = self.failed = self.skipped = 0

    def file(self, part):
        return f"tests/{self.tier}/test_{part}.py"

    def run(self, machines):
        """The parts of each machine, a list; whether nothing failed. The last line is "TIER: N passed, N failed, N skipped"."""
        cases = cases_of([self.file(part) for parts in machines for part in parts])
        for parts in machines:
            names = [name for part in parts for name in cases.get(part, [])]
            if names and not self.run_once(parts):
                print(f"{self.title(parts)} came to no end: trying again", flush=True)
                self.run_once(parts) or self.give_up(parts, names)
        print(f"{self.tier}: {self.passed} passed, {self.failed} failed, {self.skipped} skipped", flush=True)
        return self.failed == 0

    @staticmethod
    def title(parts):
        return f"the part {parts[0]}" if len(parts) == 1 else f"the parts {' '.join(parts)}"

    def log(self, parts):
        return self.folder / f"part.{'+'.join(parts)}.log"

    def run_once(self, parts):
        """Whether they came to their end; adds up their counts."""
        env = {"MOTE_LAB_CLOCK": os.environ.get("MOTE_LAB_CLOCK", self.clocks.get(parts[0], "tsc"))}
        words = [*self.runner, "env", *(f"{name}={value}" for name, value in QUIET.items()),
                 *pytest_words("--tier", self.tier, *map(self.file, parts))]
        begun, counts = time.monotonic(), None
        with open(self.log(parts), "w", encoding="utf-8") as log, \
                subprocess.Popen(words, env=os.environ | env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                 encoding="utf-8", errors="backslashreplace") as running:
            for line in running.stdout:
                sys.stdout.write(line)
                sys.stdout.flush()
                log.write(line)
                counts = re.match(rf"{self.tier}: (\d+) passed, (\d+) failed, (\d+) skipped$", line) or counts
        if not counts:
            return False
        passed, failed, skipped = map(int, counts.groups())
        self.passed, self.failed, self.skipped = self.passed + passed, self.failed + failed, self.skipped + skipped
        print(f"{self.title(parts)} took {time.monotonic() - begun:.0f} s", flush=True)
        return True

    def give_up(self, parts, names):
        """They hung twice: what did not pass has failed."""
        lines = set(self.log(parts).read_text("utf-8").splitlines())
        for name in names:
            if f"ok - {name}" in lines:
                self.passed += 1
            else:
                self.failed += 1
                print(f"FAIL - {name}: {self.title(parts)} came to no end twice", flush=True)


def output_of(*words, log=None, env=None):
    """A program of the preparation, which must succeed; what it prints, which goes to a log as well."""
    words = [str(word) for word in words]
    ended = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT if log else None, text=True, env=env, check=False)
    if log:
        pathlib.Path(log).write_text(ended.stdout)
    if ended.returncode:
        raise Stop(f"{words[0]} failed: {ended.stdout.strip()[-500:]}")
    return ended.stdout.strip()
