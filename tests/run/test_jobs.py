# SPDX-License-Identifier: Apache-2.0
"""Jobs with a name: detached, listed, waited for, paused, stopped, killed, forgotten."""
import contextlib
import json
import os
import time

import pytest

from harness.processes import wait_until

TICKING = ('trap "echo told; exit 5" TERM; trap "echo used" USR1; while :; do i=$((i + 1)); echo $i; sleep 0.1; done')


def lines(job, name):
    return len(job.logged(name).splitlines())


def more(job, name):
    """Waits for one more line."""
    had = lines(job, name)
    wait_until(lambda: lines(job, name) != had, 60, f"another line of {name}")


def still(job, name):
    """It is paused, and does nothing."""
    assert job.state(name) == "paused"
    time.sleep(1)  # what it wrote before is on its way
    had = lines(job, name)
    time.sleep(3)
    assert lines(job, name) == had, "it prints while it is paused"


def test_detached(job):
    """a detached job"""
    job.detach("one", "sh", "-c", "echo begun; echo error >&2; sleep 8; echo over; exit 7")
    assert job.state("one") == "running"
    followed = job.mote("logs", "--follow", "one")
    assert (followed.out, followed.err) == ("begun\nover\n", "error\n")
    job.mote("wait", "one", status=7)
    assert job.state("one") == "ended (7)"
    job.mote("rm", "one")
    assert job.state("one") is None
    assert os.listdir(job.runtime) == []


def test_kept(job):
    """what is kept of a job that prints without end"""
    # It is bounded, and what is missing is told of.
    job.detach("kept", "sh", "-c", "i=0; while [ $i -lt 60000 ]; do echo \"line $i of a job that has much to say about nothing at all\"; "
               "i=$((i + 1)); done; echo the last one", options=["--log-limit", "256K"])
    job.mote("wait", "kept")
    assert 256 <= (job.runtime / "kept/stdout").stat().st_blocks // 2 <= 448
    kept = job.mote("logs", "kept")
    assert "the last one" in kept.out
    assert "bytes of its standard output are no longer kept; --log-limit keeps more" in kept.err
    assert "\0" not in kept.out, "a hole came as zeros"
    job.mote("rm", "kept")


@pytest.mark.leaves_groups
def test_stop(job):
    """stop, kill and rm"""
    job.detach("two", "sh", "-c", 'trap "exit 5" TERM; while :; do sleep 0.2; done')
    assert "stop two" in job.mote("rm", "two", status=125).err
    job.mote("stop", "two")
    job.mote("wait", "two", status=5)
    job.detach("three", "sleep", "1000")
    job.mote("kill", "three")
    job.mote("wait", "three", status=137)
    job.mote("rm", "two", "three")


def test_not_started(job):
    """a detached job that cannot begin"""
    failed = job.started.start(job.words(["no-such-command"], ["--detach", "--name", "four"]), job.env)
    assert failed.end() == 127
    assert "no-such-command: is not found" in failed.err
    assert job.state("four") is None


@pytest.mark.leaves_groups
def test_names(job):
    """names"""
    job.detach("five", "sleep", "1000")
    assert "choose another" in job.run("true", options=["--name", "five"], status=125).err
    job.mote("rm", "--force", "five")
    job.run("true", options=["--name", "five"])
    assert job.state("five") is None, "a job in the foreground, at its end"


@pytest.mark.leaves_groups
def test_paused(job, work):
    """paused and resumed"""
    job.detach("six", "sh", "-c", TICKING)
    more(job, "six")
    job.mote("pause", "six")
    still(job, "six")
    status = json.loads(job.request("six", '{"command":"status"}'))
    assert (status["name"], status["state"], status["cpus"]) == ("six", "paused", 1)
    refused = job.mote("snapshot", "six", work / "six", status=125)
    assert "VM six: is a job" in refused.err and "mote boot --name" in refused.err
    # A signal waits, as it does for a process that is stopped.
    job.mote("kill", "--signal", "USR1", "six")
    still(job, "six")
    job.mote("resume", "six")
    more(job, "six")
    assert job.state("six") == "running"
    wait_until(lambda: "used" in job.logged("six").split(), 60, "the signal")
    numbers = [word for word in job.logged("six").split() if word != "used"]
    assert numbers == [str(number) for number in range(1, len(numbers) + 1)], "lines are missing or double"
    job.mote("rm", "--force", "six")


@pytest.mark.leaves_groups
def test_paused_stop(job):
    """stopped and killed while it is paused"""
    # SIGTERM resumes it, and so it ends as it wants.
    job.detach("six", "sh", "-c", TICKING)
    more(job, "six")
    job.mote("pause", "six")
    job.mote("stop", "--time", "60", "six")
    job.mote("wait", "six", status=5)
    assert job.logged("six").split()[-1] == "told"
    # When it has ended, and by force, its name is free at once.
    job.detach("six", "sh", "-c", TICKING)
    job.mote("pause", "six")
    job.mote("kill", "six")
    assert job.state("six") == "ended (137)"
    job.detach("six", "sh", "-c", TICKING)
    assert job.state("six") == "running"
    job.mote("pause", "six")
    job.mote("rm", "--force", "six")
    assert job.state("six") is None


def test_paused_timeout(job):
    """a time limit while it is paused"""
    # It counts on, and resumes the job to end it: its guest gives the account.
    job.detach("seven", "sh", "-c", TICKING, options=["--timeout", "15"])
    job.mote("pause", "seven")
    job.mote("wait", "seven", status=124)
    verdict = json.loads((job.runtime / "seven/verdict").read_text())
    assert verdict["cause"] == "timeout"
    assert verdict["cpu_us"] > 0
    job.mote("rm", "seven")


def test_clients(job):
    """many clients of its control socket, and bad ones"""
    # Its job hears nothing of them.
    job.detach("eight", "sh", "-c", TICKING)
    more(job, "eight")
    clients = []
    for request in ("0" * 9000, '{"command":"pause","folder":7}', '{"command":"resume"}') * 24:
        client = job.connect("eight")
        clients.append(client)
        with contextlib.suppress(ConnectionError):  # it may have been refused before all was read
            client.sendall(request.encode() + b"\n")
    for client in clients:
        with client, contextlib.suppress(ConnectionError):
            client.recv(4096)
    assert job.request("eight", '{"command":"pause","folder":7}').startswith('{"ok":false,"error":"request: ')
    assert "no balloon" in job.request("eight", '{"command":"balloon","target":0}')
    more(job, "eight")
    job.mote("pause", "eight")
    job.request("eight", '{"command":"stop"}')
    job.mote("wait", "eight", status=5)
    assert "VM eight: is being started, or has ended" in job.mote("pause", "eight", status=125).err
    job.mote("rm", "eight")
