# SPDX-License-Identifier: Apache-2.0
"""The harness itself: what must fail fails, and says why."""
import contextlib
import io
import os
import pathlib
import re
import subprocess

from harness import parts, processes

SAMPLES = "tests/harness/samples.py"


def outcome(only, **env):
    """What the samples of these names report, and the status."""
    done = subprocess.run(parts.pytest_words("--tier", "sample", SAMPLES), env=os.environ | parts.QUIET | {"MOTE_TEST_ONLY": only} | env,
                          stdout=subprocess.PIPE, text=True, check=False)
    return done.stdout, done.returncode


def test_wrong():
    """harness: a case that fails says why, and what its program printed"""
    said, status = outcome("^(well|wrong|skipped)$")
    assert "ok - well\n" in said
    assert "skipped - skipped: it is not needed\n" in said
    assert re.search(r"^FAIL - wrong: assert 3 == 4.* \(samples.py:\d+\)$", said, re.M), said
    assert "    out: what it printed\n" in said
    assert said.endswith("sample: 1 passed, 1 failed, 1 skipped\n")
    assert status == 1


def test_left_behind():
    """harness: a process that is left behind fails its case, and is killed"""
    said, _ = outcome("^leaves")
    left = re.search(r"^FAIL - leaves a process: it left behind: process (\d+): sleep 1234", said, re.M)
    assert left, said
    assert "sleep" not in processes.line_of(int(left[1]))


def test_too_slow():
    """harness: a case that comes to no end fails"""
    said, _ = outcome("^(too slow|well)$", MOTE_CASE_SECONDS="1")
    assert "FAIL - too slow: " in said and "it has come to no end in 1 s" in said
    assert said.endswith("sample: 1 passed, 1 failed, 0 skipped\n")


class Samples(parts.Parts):
    def file(self, part):
        return SAMPLES


def test_part_without_end(work, monkeypatch):
    """harness: a part that comes to no end twice costs the cases that did not pass, and no others"""
    monkeypatch.setenv("MOTE_TEST_ONLY", "^(well|has its pytest end)$")
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        well = Samples("sample", pathlib.Path(work), {}, runner=["env"]).run([["samples"]])
    assert not well
    assert "the part samples came to no end: trying again\n" in said.getvalue()
    assert "FAIL - has its pytest end: the part samples came to no end twice\n" in said.getvalue()
    assert said.getvalue().endswith("sample: 1 passed, 1 failed, 0 skipped\n")
