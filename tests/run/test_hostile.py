# SPDX-License-Identifier: Apache-2.0
"""A guest whose init lies: each lie ends in a verdict, in time, and reaches nothing on the host."""
import shutil

import pytest


@pytest.fixture(scope="module")
def liar(all_jobs, work):
    """A mote beside which the init of its guests is the lying one."""
    folder = work / "hostile"
    folder.mkdir()
    shutil.copy(all_jobs.mote, folder / "mote")
    shutil.copy(all_jobs.mote.parent / "tests/tools/hostile_init", folder / "mote-init")
    return folder / "mote"


@pytest.mark.parametrize("name, scenario, wanted, cause, text, options", [
    ("garbage", "garbage", 125, "guest-panic", "broke the protocol", []),
    ("a second greeting", "version", 125, "guest-panic", "broke the protocol", []),
    ("an end without a beginning", "order", 125, "guest-panic", "broke the protocol", []),
    ("escapes in a text", "text", 125, "not-started", "????????", []),
    ("silence", "silent", 124, "timeout", "longer than --timeout", ["--timeout", "15"]),
    ("an end that is none", "undead", 124, "timeout", "", ["--timeout", "15"]),
    ("a flood of connections", "flood", 0, "exited", "", []),
    ("output without end", "writer", 153, "output-limit", "more than --output-limit", ["--output-limit", "5M"]),
])
def test_lie(job, liar, name, scenario, wanted, cause, text, options):
    """{name}"""
    result = job(wanted, *options, "--", scenario, mote=liar)
    assert result.cause == cause
    assert text in result.err
    assert b"\x1b" not in result.err_path.read_bytes()
