# SPDX-License-Identifier: Apache-2.0
"""The fixtures of all tiers; a tier's own are in its folder."""
import os
import pathlib
import shutil
import tempfile

import pytest

pytest.register_assert_rewrite("harness.jobs", "harness.processes", "harness.terminal", "harness.vms")
from harness import processes, report  # noqa: E402


def pytest_addoption(parser):
    parser.addoption("--tier", default="tests", help="whose count the last line is")


@pytest.hookimpl(trylast=True)
def pytest_configure(config):
    config.reporter = report.install(config, config.getoption("--tier"))
    processes.become_subreaper()


@pytest.fixture(scope="session")
def in_lab():
    return os.environ.get("MOTE_LAB") == "1"


@pytest.fixture(scope="session")
def mote():
    """The program to test."""
    return pathlib.Path(os.environ.get("MOTE", "build/mote")).absolute()


@pytest.fixture(scope="session")
def tools(mote):
    """The programs of tests/tools."""
    return mote.parent / "tests/tools"


@pytest.fixture(scope="module")
def folder():
    """A folder of the part's, removed at its end."""
    made = pathlib.Path(tempfile.mkdtemp(prefix="mote-part-"))
    yield made
    shutil.rmtree(made, ignore_errors=True)


@pytest.fixture
def started(request):
    """The programs of a test. At its end they are ended, and nothing is left."""
    programs = processes.Started(request.node.get_closest_marker("leaves_groups") is not None)
    yield programs
    left = programs.end()
    assert not left, "it left behind: " + "; ".join(left)


@pytest.fixture
def work(started):
    """A folder of the test's."""
    return started.folder
