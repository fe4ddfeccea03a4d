# SPDX-License-Identifier: Apache-2.0
"""A stock Debian kernel, whose modules Mote finds beside it."""
import re

import pytest


@pytest.fixture(scope="module", autouse=True)
def cache(all_jobs, work, images):
    all_jobs.env |= {"MOTE_CACHE": f"{work}/cache", "MOTE_KERNEL": str(images / "stock/bzImage")}
    return work / "cache"


@pytest.mark.parametrize("kind", ["erofs", "ext4"])
def test_stock(job, images, cache, kind):
    """stock kernel, {kind}"""
    # The first job unpacks the kernel, the second finds it so.
    result = job(42, "--", "sh", "-c", "tr a-z A-Z; uname -r; echo err >&2; exit 42", root=images / f"root.{kind}", stdin="hi\n")
    assert "amd64" in result.out
    assert "err" in result.err
    assert result.cause == "exited"
    assert len([file for file in (cache / "unpacked-kernels").rglob("*") if file.is_file() and file.stat().st_size > 1 << 20]) == 1


def test_large(job):
    """stock kernel, 4 CPUs, memory above 3 GiB"""
    # What mote run puts on the command line leaves it all its CPUs, and the memory whose addresses are above 4 GiB.
    result = job(0, "--cpus", "4", "--memory", "3500M", "--", "sh", "-c", "nproc; grep MemTotal /proc/meminfo")
    assert result.out.splitlines()[0] == "4"
    assert int(re.search(r"MemTotal: *(\d+) kB", result.out)[1]) > 3 << 20
