# SPDX-License-Identifier: Apache-2.0
"""How jobs end, and what they see of their options."""
import signal
import time

import pytest


@pytest.mark.parametrize("code", [0, 1, 42])
def test_status(job, code):
    """status {code}"""
    result = job(code, "--", "sh", "-c", f"exit {code}")
    assert result.cause == "exited"
    assert result.verdict["status"] == code


@pytest.mark.parametrize("number", [9, 15, 11])
def test_signalled(job, number):
    """ended by signal {number}"""
    result = job(128 + number, "--", "sh", "-c", f"kill -{number} $$")
    assert result.cause == "signalled"
    assert result.verdict["signal"] == number


def test_not_found(job):
    """not found, not executable, no such user"""
    result = job(127, "--", "no-such-command")
    assert "no-such-command: is not found" in result.err
    assert result.cause == "not-started"
    assert "/bin/plain: cannot be executed" in job(126, "--", "/bin/plain").err
    job(126, "--", "/etc")
    assert "nobody-here: is not in" in job(125, "--user", "nobody-here", "--", "true").err


def test_orphans(job):
    """orphans end with the main process"""
    # A child that was left behind does not keep the job, and what it wrote before has arrived.
    result = job(3, "--", "sh", "-c",
                 '(echo orphan; setsid sleep 1000) & setsid sh -c "trap : TERM HUP; sleep 1000" & sleep 1; exit 3')
    assert result.text == "orphan"


def test_environment(job, work):
    """variables, names, users, directories"""
    variables = work / "variables"
    variables.write_text("# a comment\n\nFROM_FILE=a b\nHANDED\nNOT_SET_ANYWHERE\n")
    result = job(0, "--env", "A=1", "-e", "B=", "--env-file", variables, "--hostname", "host.example", "--workdir",
                 "/home/user", "--user", "user", "--", "sh", "-c",
                 'echo "$A|$B|$FROM_FILE|$HANDED|${NOT_SET_ANYWHERE-unset}|$(hostname)|$PWD|$(id -u):$(id -g):$(id -G)|$HOME"',
                 env={"HANDED": "on"})
    assert result.text == "1||a b|on|unset|host.example|/home/user|1000:1000:1000 2000|/home/user"
    result = job(0, "--user", "12:34", "--workdir", "/made/here", "--", "sh", "-c",
                 'id -u; id -g; pwd; echo "$HOSTNAME $HOME"; umask')
    assert result.text == "12\n34\n/made/here\nmote /\n0022"


def test_root(job, images):
    """the root is writable, and fresh each time"""
    # Nothing is kept, and what a guest needs is there.
    result = job(0, "--", "sh", "-c",
                 "echo kept >/etc/kept && rm /bin/plain && cat /etc/kept && ! ls /bin/plain && "
                 "ls -d /dev/shm /dev/pts/ptmx /dev/fd/0 && echo x >/dev/shm/y && ifconfig lo | grep -q 127.0.0.1 && ! ls /output")
    assert "kept" in result.out
    assert "/dev/pts/ptmx" in result.out
    assert "plain" not in result.out
    job(1, "--", "cat", "/etc/kept")
    for kind in ("ext4", "squashfs"):
        result = job(0, "--", "sh", "-c", f"echo on {kind} >/etc/kept; cat /etc/kept", root=images / f"root.{kind}")
        assert result.text == f"on {kind}"


@pytest.mark.parametrize("name", ["TERM", "INT", "USR1"])
def test_signal(jobs, name):
    """SIG{name} reaches the job"""
    running = jobs.start("--", "sh", "-c", f"trap 'echo got {name}; exit 9' {name}; echo ready; while :; do sleep 0.1; done")
    running.says("ready").kill(getattr(signal, f"SIG{name}"))
    assert running.wait() == 9
    assert f"got {name}" in running.result.out


def test_default_signal(jobs):
    """SIGTERM ends a job that does nothing about it"""
    running = jobs.start("--", "sh", "-c", "echo ready; exec sleep 1000").says("ready")
    running.kill()
    assert running.wait() == 143
    assert running.result.cause == "signalled"


def test_deaf(jobs):
    """the third SIGTERM ends mote"""
    running = jobs.start("--", "sh", "-c", "trap '' TERM INT; echo ready; while :; do sleep 0.1; done").says("ready")
    for pause in (1, 1, 0):
        running.kill()
        time.sleep(pause)
    assert running.wait() == 143


def test_plain_init(jobs, images):
    """the guest init in mote boot"""
    # It hands on to the init of root=, or tells what it lacks.
    boot = ["boot", "--kernel", images / "own/vmlinux", "--describe", "fdt", "--initrd", images / "plain.cpio",
            "--disk", f"{images}/root.erofs,ro", "--cmdline"]
    words = "console=ttyS0 panic=-1 loglevel=1"
    assert "the root goes on as 1" in jobs.mote_command(0, *boot, f"{words} root=/dev/vda", limit=120).out
    assert "nor root= on the kernel's command line" in jobs.mote_command(0, *boot, words, limit=120).out


def test_idle(job):
    """the kernel of an idle guest sleeps"""
    # kcompactd would wake six times.
    result = job(0, "--", "sh", "-c", """cd /proc
        for process in [0-9]*; do read -r name <$process/comm && [ "$name" != kcompactd0 ] || break; done
        wakes() { while read -r key count; do [ "$key" != voluntary_ctxt_switches: ] || echo "$count"; done <$process/status; }
        before=$(wakes); sleep 3; times=$(($(wakes) - before))
        [ $times -gt 1 ] || times=hardly; echo "$name woke $times\"""")
    assert result.text == "kcompactd0 woke hardly"
    assert result.cause == "exited"
