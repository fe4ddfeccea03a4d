# SPDX-License-Identifier: Apache-2.0
"""--tty: the job has a terminal, ours is raw meanwhile and as before at the end."""
import subprocess

import pytest


@pytest.fixture
def on_terminal(jobs):
    """Types into a job: pairs of what to wait for and the keys; its status and what was seen."""
    def run(*command, typed=(), user=None):
        result = jobs.files()
        jobs.last = result
        words = ["build/tests/tools/pty", *(word for pair in typed for word in pair), "--", jobs.mote, "run",
                 *jobs.source(None, None), "--tty", *(["--user", user] if user else []), "--", *command]
        with result.out_path.open("wb") as out, result.err_path.open("wb") as err:
            result.status = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=out, stderr=err, env=jobs.env, timeout=300,
                                           check=False).returncode
        return result
    return run


def test_tty(on_terminal):
    """a terminal"""
    result = on_terminal("sh", "-c", 'tty; stty size; echo name?; read -r x; echo "hello $x"; exit 5', typed=[("name?", "mote\n")])
    assert result.status == 5, result.out[-200:]
    assert "/dev/pts/0" in result.out
    assert "hello mote" in result.out


def test_keys(on_terminal):
    """Ctrl-C on a terminal"""
    # It goes to the job, by its own terminal; standard error goes there, too.
    result = on_terminal("sh", "-c", "trap 'echo got it >&2; exit 6' INT; echo ready; while :; do sleep 0.2; done",
                         typed=[("ready", "\003")])
    assert result.status == 6, result.out[-200:]
    assert "got it" in result.out


@pytest.mark.parametrize("trap", ['"" HUP TERM', '"exit 7" HUP'])
def test_gone(on_terminal, trap):
    """the terminal goes away, with trap {trap}"""
    # A job that does not mind SIGHUP would run on where nobody finds it. One that does has its own status.
    result = on_terminal("sh", "-c", f"trap {trap}; echo ready; while :; do sleep 0.2; done", typed=[("ready", "")])
    assert result.status == 129, result.out[-200:]


def test_tty_of_a_user(on_terminal):
    """a terminal of another user"""
    # It is the job's user's, by its name and by the streams' names.
    result = on_terminal("sh", "-c", 'stat -c %u:%g "$(tty)"; echo by-name >"$(tty)"; echo by-stdout >/dev/stdout; '
                         "echo by-tty >/dev/tty", user="1000")
    assert result.status == 0, result.out[-200:]
    for word in ("1000:5", "by-name", "by-stdout", "by-tty"):
        assert word in result.out


def test_no_terminal(job):
    """a terminal without one"""
    assert "standard input is no terminal" in job(125, "--tty", "--", "true").err
