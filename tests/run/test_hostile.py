# SPDX-License-Identifier: Apache-2.0
"""A guest whose init lies: each lie ends in a verdict, in time, and reaches nothing on the host."""
import shutil

import pytest

LIES = [ # name, the lie, status, cause, what is told, options
    ("garbage", "garbage", 125, "guest-panic", "broke the protocol", []),
    ("a second greeting", "version", 125, "guest-panic", "broke the protocol", []),
    ("an end without a beginning", "order", 125, "guest-panic", "broke the protocol", []),
    ("escapes in a text", "text", 125, "not-started", "????????", []),
    ("silence", "silent", 124, "timeout", "longer than --timeout", ["--timeout", "15"]),
    ("an end that is none", "undead", 124, "timeout", "", ["--timeout", "15"]),
    ("a flood of connections", "flood", 0, "exited", "", []),
    ("output without end", "writer", 153, "output-limit", "more than --output-limit", ["--output-limit", "5M"]),
]


@pytest.fixture(scope="module")
def liar(folder, mote, tools):
    """A mote whose guest's init lies: it is looked for beside the program."""
    shutil.copy(mote, folder / "mote")
    shutil.copy(tools / "hostile_init", folder / "mote-init")
    return folder / "mote"


@pytest.mark.parametrize("name, lie, status, cause, text, options", LIES)
def test_lie(job, liar, name, lie, status, cause, text, options):
    """{name}"""
    done = job.run(lie, options=options, status=status, mote=liar)
    assert done.cause == cause
    assert text in done.err
    assert "\x1b" not in done.err, "a terminal escape came through"
