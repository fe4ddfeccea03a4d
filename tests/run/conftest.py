# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the tier run. IMAGES, build/run, has the roots and, as own and stock, the kernels: tests/run/run makes them."""
import os
import pathlib
import shutil
import tempfile

import pytest

from tests.harness import jobs as harness

IMAGES = pathlib.Path(os.environ.get("MOTE_RUN_IMAGES", "build/run")).resolve()


@pytest.fixture(scope="session")
def images():
    return IMAGES


@pytest.fixture(scope="module")
def work():
    folder = pathlib.Path(tempfile.mkdtemp())
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def all_jobs(work):
    """The jobs of one file of tests; a file that changes their environment does so in a fixture of its own."""
    jobs = harness.Jobs(harness.mote_path(), work, IMAGES)
    jobs.env["MOTE_KERNEL"] = str(IMAGES / "own/vmlinux")
    yield jobs
    if jobs.hung:
        print(f"jobs that hung once in the lab: {jobs.hung}", flush=True)


@pytest.fixture
def jobs(all_jobs):
    yield all_jobs
    all_jobs.clean_up()


@pytest.fixture
def job(jobs):
    return jobs.job
