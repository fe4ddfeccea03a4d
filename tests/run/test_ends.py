# SPDX-License-Identifier: Apache-2.0
"""How jobs end, and what they see of their options."""
import signal
import time

import pytest


@pytest.mark.parametrize("status", [0, 1, 42])
def test_status(job, status):
    """status {status}"""
    done = job.sh(f"exit {status}", status=status)
    assert (done.cause, done.verdict["status"]) == ("exited", status)


@pytest.mark.parametrize("number", [9, 15, 11])
def test_signalled(job, number):
    """ended by signal {number}"""
    done = job.sh(f"kill -{number} $$", status=128 + number)
    assert (done.cause, done.verdict["signal"]) == ("signalled", number)


def test_not_found(job):
    """not found, not executable, no such user"""
    missing = job.run("no-such-command", status=127)
    assert "no-such-command: is not found" in missing.err
    assert missing.cause == "not-started"
    assert "/bin/plain: cannot be executed" in job.run("/bin/plain", status=126).err
    job.run("/etc", status=126)
    assert "nobody-here: is not in" in job.run("true", options=["--user", "nobody-here"], status=125).err


def test_orphans(job):
    """orphans end with the main process"""
    # A child that was left behind does not keep the job, and what it wrote before has arrived.
    done = job.sh('(echo orphan; setsid sleep 1000) & setsid sh -c "trap : TERM HUP; sleep 1000" & sleep 1; exit 3', status=3)
    assert done.out == "orphan\n"


def test_environment(job, work):
    """variables, names, users, directories"""
    (work / "variables").write_text("# a comment\n\nFROM_FILE=a b\nHANDED\nNOT_SET_ANYWHERE\n")
    done = job.sh('echo "$A|$B|$FROM_FILE|$HANDED|${NOT_SET_ANYWHERE-unset}|$(hostname)|$PWD|$(id -u):$(id -g):$(id -G)|$HOME"',
                  options=["--env", "A=1", "-e", "B=", "--env-file", work / "variables", "--hostname", "host.example",
                           "--workdir", "/home/user", "--user", "user"], env={"HANDED": "on"})
    assert done.out == "1||a b|on|unset|host.example|/home/user|1000:1000:1000 2000|/home/user\n"
    done = job.sh('id -u; id -g; pwd; echo "$HOSTNAME $HOME"; umask', options=["--user", "12:34", "--workdir", "/made/here"])
    assert done.out == "12\n34\n/made/here\nmote /\n0022\n"


def test_root(job, images):
    """the root is writable, and fresh each time"""
    # And what a guest needs is there.
    done = job.sh("echo kept >/etc/kept && rm /bin/plain && cat /etc/kept && ! ls /bin/plain && "
                  "ls -d /dev/shm /dev/pts/ptmx /dev/fd/0 && echo x >/dev/shm/y && ifconfig lo | grep -q 127.0.0.1 && ! ls /output")
    assert "kept" in done.out and "/dev/pts/ptmx" in done.out
    assert "plain" not in done.out, "a removed file is still there"
    job.run("cat", "/etc/kept", status=1)
    for kind in ("ext4", "squashfs"):
        done = job.sh(f"echo on {kind} >/etc/kept; cat /etc/kept", root=images / f"root.{kind}")
        assert done.out == f"on {kind}\n"


@pytest.mark.parametrize("name", ["TERM", "INT", "USR1"])
def test_signal(job, name):
    """SIG{name} reaches the job"""
    begun = job.start("sh", "-c", f"trap 'echo got {name}; exit 9' {name}; echo ready; while :; do sleep 0.1; done").until("ready")
    begun.signal(signal.Signals[f"SIG{name}"])
    assert begun.end() == 9, begun.err
    assert f"got {name}" in begun.out


def test_default_signal(job):
    """SIGTERM ends a job that does nothing about it"""
    begun = job.start("sh", "-c", "echo ready; exec sleep 1000").until("ready")
    begun.signal(signal.SIGTERM)
    assert (begun.end(), begun.cause) == (143, "signalled")


def test_deaf(job):
    """the third SIGTERM ends mote"""
    begun = job.start("sh", "-c", "trap '' TERM INT; echo ready; while :; do sleep 0.1; done").until("ready")
    for _ in range(2):
        begun.signal(signal.SIGTERM)
        time.sleep(1)
        assert begun.child.process.poll() is None, "it ended before the third one"
    begun.signal(signal.SIGTERM)
    assert begun.end() == 143


def test_plain_init(job, images, kernel):
    """the guest init in mote boot"""
    # It hands on to the one of root=, or tells what it lacks.
    words = ["boot", "--kernel", kernel.own, "--describe", "fdt", "--initrd", images / "plain.cpio",
             "--disk", f"{images}/root.erofs,ro", "--cmdline"]
    handed = job.mote(*words, "console=ttyS0 panic=-1 loglevel=1 root=/dev/vda", limit=120)
    assert "the root goes on as 1" in handed.out
    lacking = job.mote(*words, "console=ttyS0 panic=-1 loglevel=1", limit=120)
    assert "nor root= on the kernel's command line" in lacking.out


def test_idle(job):
    """the kernel of an idle guest sleeps"""
    # kcompactd would wake six times.
    done = job.sh("""cd /proc
        for process in [0-9]*; do read -r name <$process/comm && [ "$name" != kcompactd0 ] || break; done
        wakes() { while read -r key count; do [ "$key" != voluntary_ctxt_switches: ] || echo "$count"; done <$process/status; }
        before=$(wakes); sleep 3; times=$(($(wakes) - before))
        [ $times -gt 1 ] || times=hardly; echo "$name woke $times\"""")
    assert done.out == "kcompactd0 woke hardly\n"
    assert done.cause == "exited"
