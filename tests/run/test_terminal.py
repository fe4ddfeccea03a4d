# SPDX-License-Identifier: Apache-2.0
"""--tty: the job has a terminal, ours is raw meanwhile and as before at the end."""
import pytest

from harness.terminal import GONE, Terminal


@pytest.fixture
def terminal(job, started):
    """terminal(SCRIPT, [(TEXT, KEYS)…], OPTION…): a job on a terminal, with KEYS typed as each TEXT was printed."""
    def run(script, typed=(), *options):
        return Terminal(started, job.words(["sh", "-c", script], ["--tty", *options]), job.env, typed)
    return run


def test_tty(terminal):
    """a terminal"""
    done = terminal('tty; stty size; echo name?; read -r x; echo "hello $x"; exit 5', [(b"name?", b"mote\n")])
    assert done.status == 5, done.out
    assert "/dev/pts/0" in done.out and "hello mote" in done.out


def test_keys(terminal):
    """Ctrl-C on a terminal"""
    # It goes to the job, by its own terminal; standard error goes there, too.
    done = terminal("trap 'echo got it >&2; exit 6' INT; echo ready; while :; do sleep 0.2; done", [(b"ready", b"\x03")])
    assert done.status == 6, done.out
    assert "got it" in done.out


def test_gone(terminal):
    """the terminal goes away"""
    # A job that does not mind SIGHUP would run on where nobody finds it. One that does has its own status.
    for trap in ('trap "" HUP TERM', 'trap "exit 7" HUP'):
        done = terminal(f"{trap}; echo ready; while :; do sleep 0.2; done", [(b"ready", GONE)])
        assert done.status == 129, done.out


def test_tty_of_a_user(terminal):
    """a terminal of another user"""
    # It is the job's user's, by its name and by the streams' names.
    done = terminal('stat -c %u:%g "$(tty)"; echo by-name >"$(tty)"; echo by-stdout >/dev/stdout; echo by-tty >/dev/tty',
                    [], "--user", "1000")
    assert done.status == 0, done.out
    assert {"1000:5", "by-name", "by-stdout", "by-tty"} <= set(done.out.split())


def test_no_terminal(job):
    """a terminal without one"""
    assert "standard input is no terminal" in job.run("true", options=["--tty"], status=125).err
