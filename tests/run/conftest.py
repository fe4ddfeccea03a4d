# SPDX-License-Identifier: Apache-2.0
"""The fixtures of the tier run.  MOTE_RUN_FILES names the folder with the roots and kernels that tests/run/run has prepared."""
import os
import pathlib

import pytest

from harness import jobs

hung = []


def pytest_sessionfinish(session):
    if hung:
        session.config.reporter.notes.append(f"jobs that hung once in the lab: {len(hung)}")


@pytest.fixture(scope="session")
def images():
    """The prepared roots: root.erofs, root.squashfs, root.ext4, root/, oci, docker.tar, debian, volume/."""
    return pathlib.Path(os.environ.get("MOTE_RUN_FILES", "build/run")).absolute()


class Kernels:
    def __init__(self, images):
        self.own, self.stock = images / "own/vmlinux", images / "stock/bzImage"


@pytest.fixture(scope="session")
def kernel(images):
    """Mote's own kernel, and a stock one."""
    return Kernels(images)


@pytest.fixture
def job(started, folder, mote, images, kernel, in_lab):
    """`mote run` and the commands for named jobs: harness.jobs.Jobs."""
    made = jobs.Jobs(mote, started, jobs.environment(folder, kernel.own), images, in_lab, hung)
    yield made
    named = os.listdir(made.runtime) if made.runtime.exists() else []
    for name in named:
        made.mote("rm", "--force", name, status=None)
    assert not named, f"it left the named jobs {', '.join(named)}"
