# SPDX-License-Identifier: Apache-2.0
"""Jobs with a name: detached, listed, waited for, paused, stopped, killed, removed."""
import json
import re
import subprocess
import time

import pytest

from tests.harness.jobs import wait_until

TICKING = """trap "echo told; exit 5" TERM; trap "echo used" USR1; while :; do i=$((i + 1)); echo $i; sleep 0.1; done"""


class Named:
    """Jobs by their names."""

    def __init__(self, jobs, runtime):
        self.jobs, self.runtime, self.mote = jobs, runtime, jobs.mote_command

    def start(self, name, *command, options=()):
        result = self.mote(0, "run", *self.jobs.source(None, None), "--detach", "--name", name, *options, "--", *command)
        assert result.text == name

    def state(self, name):
        """As mote ps has it, or None."""
        found = re.search(rf"^{name} +(running|paused|ended \(\d+\)) ", self.mote(0, "ps").out, re.M)
        return found[1] if found else None

    def logs(self, name):
        return self.mote(0, "logs", name).out

    def lines(self, name):
        return self.logs(name).count("\n")

    def goes_on(self, name):
        had = self.lines(name)
        wait_until(lambda: self.lines(name) > had, f"more of {name}")

    def is_still(self, name):
        """It is paused, and does nothing."""
        assert self.state(name) == "paused"
        time.sleep(1)  # what it wrote before is on its way
        had = self.lines(name)
        time.sleep(3)
        assert self.lines(name) == had

    def talk(self, name, request):
        """What its control socket answers to REQUEST, text or a dictionary."""
        text = request if isinstance(request, str) else json.dumps(request)
        said = subprocess.run(["build/tests/tools/vsock_cat", "talk", f"unix:{self.runtime}/mote/{name}/control", text], text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=60, check=False).stdout
        return json.loads(said) if said.strip() else None

    def verdict(self, name):
        return json.loads((self.runtime / "mote" / name / "verdict").read_text())


@pytest.fixture(scope="module", autouse=True)
def runtime(all_jobs, work):
    all_jobs.env["XDG_RUNTIME_DIR"] = f"{work}/runtime"
    (work / "runtime").mkdir(mode=0o700)
    return work / "runtime"


@pytest.fixture
def named(jobs, runtime):
    yield Named(jobs, runtime)
    for folder in (runtime / "mote").iterdir() if (runtime / "mote").is_dir() else ():
        jobs.mote_command(None, "rm", "--force", folder.name)


def test_detached(named, runtime):
    """a detached job"""
    named.start("one", "sh", "-c", "echo begun; echo error >&2; sleep 8; echo over; exit 7")
    assert named.state("one") == "running"
    logs = named.mote(0, "logs", "--follow", "one")
    assert (logs.out, logs.err) == ("begun\nover\n", "error\n")
    named.mote(7, "wait", "one")
    assert named.state("one") == "ended (7)"
    named.mote(0, "rm", "one")
    assert named.state("one") is None
    assert list((runtime / "mote").iterdir()) == []


def test_kept(named, runtime):
    """what is kept of a job that prints without end"""
    # It is bounded, and what is missing is told of.
    named.start("kept", "sh", "-c", "i=0; while [ $i -lt 60000 ]; do echo \"line $i of a job that has much to say about nothing at all\"; "
                "i=$((i + 1)); done; echo the last one", options=["--log-limit", "256K"])
    named.mote(0, "wait", "kept")
    kept = (runtime / "mote/kept/stdout").stat().st_blocks * 512 // 1024
    assert 256 <= kept <= 448
    logs = named.mote(0, "logs", "kept")
    assert "the last one" in logs.out
    assert "bytes of its standard output are no longer kept; --log-limit keeps more" in logs.err
    assert b"\0" not in logs.out_path.read_bytes(), "a hole came as zeros"


def test_stop(named):
    """stop, kill and rm"""
    named.start("two", "sh", "-c", 'trap "exit 5" TERM; while :; do sleep 0.2; done')
    assert "stop two" in named.mote(125, "rm", "two").err
    named.mote(0, "stop", "two")
    named.mote(5, "wait", "two")
    named.start("three", "sleep", "1000")
    named.mote(0, "kill", "three")
    named.mote(137, "wait", "three")
    named.mote(0, "rm", "two", "three")


def test_not_started(named):
    """a detached job that cannot begin"""
    result = named.mote(127, "run", *named.jobs.source(None, None), "--detach", "--name", "four", "--", "no-such-command")
    assert "no-such-command: is not found" in result.err
    assert named.state("four") is None


def test_names(named, job):
    """names"""
    named.start("five", "sleep", "1000")
    assert "choose another" in job(125, "--name", "five", "--", "true").err
    named.mote(0, "rm", "--force", "five")
    job(0, "--name", "five", "--", "true")
    assert named.state("five") is None, "a job in the foreground, at its end"


def test_paused(named, work):
    """paused and resumed"""
    named.start("six", "sh", "-c", TICKING)
    named.goes_on("six")
    named.mote(0, "pause", "six")
    named.is_still("six")
    status = named.talk("six", {"command": "status"})
    assert (status["name"], status["state"], status["cpus"]) == ("six", "paused", 1)
    refused = named.mote(125, "snapshot", "six", work / "six").err
    assert "VM six: is a job" in refused
    assert "mote boot --name" in refused
    # A signal waits, as it does for a process that is stopped.
    named.mote(0, "kill", "--signal", "USR1", "six")
    named.is_still("six")
    named.mote(0, "resume", "six")
    named.goes_on("six")
    assert named.state("six") == "running"
    wait_until(lambda: "used\n" in named.logs("six"), "the signal")
    counted = [line for line in named.logs("six").splitlines() if line != "used"]
    assert counted == [str(number) for number in range(1, len(counted) + 1)], "lines are missing or double"


def test_paused_stop(named):
    """stopped and killed while it is paused"""
    # SIGTERM resumes it, and so it ends as it wants.
    named.start("six", "sh", "-c", TICKING)
    named.goes_on("six")
    named.mote(0, "pause", "six")
    named.mote(0, "stop", "--time", "60", "six")
    named.mote(5, "wait", "six")
    assert named.logs("six").splitlines()[-1] == "told"
    # By force, and its name is free at once.
    named.start("six", "sh", "-c", TICKING)
    named.mote(0, "pause", "six")
    named.mote(0, "kill", "six")
    assert named.state("six") == "ended (137)"
    named.start("six", "sh", "-c", TICKING)
    assert named.state("six") == "running"
    named.mote(0, "pause", "six")
    named.mote(0, "rm", "--force", "six")
    assert named.state("six") is None


def test_paused_timeout(named):
    """a time limit while it is paused"""
    # It counts on, and resumes the job to end it: its guest gives the account.
    named.start("seven", "sh", "-c", TICKING, options=["--timeout", "15"])
    named.mote(0, "pause", "seven")
    named.mote(124, "wait", "seven")
    assert named.verdict("seven")["cause"] == "timeout"
    assert named.verdict("seven")["cpu_us"] > 0


def test_clients(named):
    """many clients of its control socket, and bad ones"""
    # Its job hears nothing of them.
    named.start("eight", "sh", "-c", TICKING)
    named.goes_on("eight")
    socket = f"unix:{named.runtime}/mote/eight/control"
    clients = []
    for _ in range(24):
        for request in ("0" * 9000, '{"command":"pause","folder":7}', '{"command":"resume"}'):
            clients.append(subprocess.Popen(["build/tests/tools/vsock_cat", "talk", socket, request], stdout=subprocess.DEVNULL,
                                            stderr=subprocess.DEVNULL))
    for client in clients:
        client.wait(60)
    assert named.talk("eight", {"command": "pause", "folder": 7})["error"].startswith("request: ")
    assert "no balloon" in named.talk("eight", {"command": "balloon", "target": 0})["error"]
    named.goes_on("eight")
    named.mote(0, "pause", "eight")
    named.talk("eight", {"command": "stop"})
    named.mote(5, "wait", "eight")
    assert "VM eight: is being started, or has ended" in named.mote(125, "pause", "eight").err
