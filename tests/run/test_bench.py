# SPDX-License-Identifier: Apache-2.0
"""mote bench: every contender that is here has its figures, the reports agree, a stop leaves nothing."""
import csv
import os
import signal
import subprocess
import time

import pytest

from harness.processes import line_of


def contenders_here(job):
    """What --list finds here, but for those with a stock kernel, which take half a minute each in the lab."""
    found = (line.split() for line in job.mote("bench", "--list").out.splitlines() if line.startswith("  "))
    return [words[0] for words in found if len(words) > 1 and words[1].startswith("/") and "-stock" not in words[0]]


class Figures:
    """The table that --csv prints: a contender, its kind, the metric, its unit, the figure."""

    def __init__(self, text):
        self.rows = [row for row in csv.reader(text.splitlines()) if len(row) > 4]
        self.text = text

    def has(self, name, metric):
        return any(row[0] == name and row[2] == metric and row[4][:1] in "123456789" and row[4] for row in self.rows)

    def need(self, name, metric):
        lines = [line for line in self.text.splitlines() if line.startswith(f"{name},")]
        assert self.has(name, metric), f"{name} has no {metric}: {lines}"

    def failed(self, name):
        return any(row[0] == name and row[2] == "failed" for row in self.rows)


@pytest.fixture
def bench(job):
    """bench(OPTION…): the figures."""
    def run(*options, limit=300):
        return Figures(job.mote("bench", *options, "--csv", limit=limit).out)
    return run


def test_contenders(job, work, in_lab):
    """bench: contenders"""
    names = contenders_here(job)
    done = job.mote("bench", "--only", ",".join(names), "--runs", "1", "--axes", "start", "--csv", "--html", work / "page", limit=900)
    assert done.err == "", "lines on a pipe"
    figures, page = Figures(done.out), (work / "page").read_text()
    for name in ("process", "mote", "mote-boot"):
        figures.need(name, "start.result")
    for name in names:
        # On a user's machine a container engine may have troubles of its own, and the lab has no bridge for podman's default
        # network; they must be told.
        if not ((not in_lab or name == "podman-default") and figures.failed(name)):
            figures.need(name, "start.result")
        assert f">{name}<" in page
    assert "guest ready" in page and "</html>" in page


def test_axes(bench):
    """bench: axes"""
    # The other axes, of what starts fast.
    figures = bench("--quick", "--only", "process,bubblewrap", "--axes", "at-once,rate,memory")
    for metric in ("at_once.1", "at_once.cpus", "at_once.4_cpus", "rate", "memory.one", "memory.pss", "memory.held"):
        figures.need("process", metric)


@pytest.fixture
def way_out(in_lab):
    """A network that leads nowhere, for the lab has none."""
    def ip(words):
        if in_lab:
            subprocess.run(["ip", *words.split()], check=True)
    ip("tuntap add bench0 mode tap")
    ip("address add 192.0.2.2/24 dev bench0")
    ip("link set bench0 up")
    ip("route add default via 192.0.2.1 dev bench0")
    yield
    ip("link delete bench0")


def test_io(bench, way_out):
    """bench: disk and network"""
    # As the job itself measures them.
    figures = bench("--runs", "1", "--only", "process,mote,mote-boot", "--axes", "block,network")
    for name in ("process", "mote", "mote-boot"):
        for metric in ("block.random", "block.stream", "network.trips", "network.out"):
            figures.need(name, metric)


def test_stop(job, work):
    """bench: stopped"""
    # What was measured so far is told, and nothing stays.
    (work / "tmp").mkdir()
    begun = job.started.start([job.mote_program, "bench", "--only", "process,crun", "--axes", "start", "--runs", "100000", "--csv"],
                              job.env | {"TMPDIR": work / "tmp"})
    time.sleep(10)
    begun.signal(signal.SIGTERM)
    assert begun.end() == 143
    Figures(begun.out).need("process", "start.result")
    assert os.listdir(work / "tmp") == []
    probes = [pid for pid in os.listdir("/proc") if pid.isdigit() and "mote-probe" in line_of(pid).split(" ")[0]]
    assert probes == []
