# SPDX-License-Identifier: Apache-2.0
"""mote bench: every contender that is here has its figures, the reports agree, a stop leaves nothing."""
import csv
import os
import re
import signal
import subprocess
import time

import pytest

LAB = os.environ.get("MOTE_LAB") == "1"


class Figures:
    """The rows of --csv."""

    def __init__(self, text):
        self.rows = list(csv.reader(text.splitlines()))

    def has(self, name, metric):
        return any(row[0] == name and row[2] == metric and re.match("[1-9]", row[4]) for row in self.rows if len(row) > 4)

    def failed(self, name):
        return any(row[0] == name and row[2] == "failed" for row in self.rows if len(row) > 2)

    def of(self, name):
        return [row for row in self.rows if row and row[0] == name]


def bench(jobs, *words, limit=300):
    result = jobs.mote_command(0, "bench", *words, "--csv", limit=limit)
    return result, Figures(result.out)


@pytest.mark.limit(1000)
def test_contenders(jobs, work):
    """bench: contenders"""
    # What --list finds here, but for those with a stock kernel, which take half a minute each in the lab.
    names = [name for name in re.findall(r"^  ([a-z-]+) +/", jobs.mote_command(0, "bench", "--list").out, re.M) if "-stock" not in name]
    page = work / "page"
    result, figures = bench(jobs, "--only", ",".join(names), "--runs", "1", "--axes", "start", "--html", page, limit=900)
    assert result.err == "", "a line on a pipe"
    for name in ("process", "mote", "mote-boot"):
        assert figures.has(name, "start.result"), figures.of(name)
    shown = page.read_text()
    for name in names:
        # On a user's machine a container engine may have troubles of its own, and the lab has no bridge for podman's default
        # network; they must be told.
        excused = (not LAB or name == "podman-default") and figures.failed(name)
        assert figures.has(name, "start.result") or excused, figures.of(name)
        assert f">{name}<" in shown
    assert "guest ready" in shown
    assert "</html>" in shown


@pytest.mark.parametrize("metric", ["at_once.1", "at_once.cpus", "at_once.4_cpus", "rate", "memory.one", "memory.pss", "memory.held"])
def test_axes(metric, axes):
    """bench: {metric}"""
    assert axes.has("process", metric), axes.rows


@pytest.fixture(scope="module")
def axes(all_jobs):
    """The other axes, of what starts fast."""
    return bench(all_jobs, "--quick", "--only", "process,bubblewrap", "--axes", "at-once,rate,memory")[1]


def test_io(jobs):
    """bench: disk and network"""
    # Their speed, as the job itself measures them.
    if LAB:
        for words in ("tuntap add bench0 mode tap", "address add 192.0.2.2/24 dev bench0", "link set bench0 up",
                      "route add default via 192.0.2.1 dev bench0"):
            subprocess.run(["ip", *words.split()], check=True)
    _, figures = bench(jobs, "--runs", "1", "--only", "process,mote,mote-boot", "--axes", "block,network")
    for name in ("process", "mote", "mote-boot"):
        for metric in ("block.random", "block.stream", "network.trips", "network.out"):
            assert figures.has(name, metric), figures.of(name)
    if LAB:
        subprocess.run(["ip", "link", "delete", "bench0"], check=True)


def test_stop(jobs, work):
    """bench: stopped"""
    # What was measured so far is told, and nothing stays.
    (work / "tmp").mkdir()
    with subprocess.Popen([jobs.mote, "bench", "--only", "process,crun", "--axes", "start", "--runs", "100000", "--csv"],
                          env=jobs.env | {"TMPDIR": f"{work}/tmp"}, stdout=subprocess.PIPE, text=True) as process:
        time.sleep(10)
        process.send_signal(signal.SIGTERM)
        said = process.communicate(timeout=120)[0]
    assert process.returncode == 143
    assert Figures(said).has("process", "start.result")
    assert list((work / "tmp").iterdir()) == []
    assert subprocess.run(["pgrep", "-x", "mote-probe"], stdout=subprocess.PIPE, check=False).stdout == b""
