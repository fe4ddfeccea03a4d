# SPDX-License-Identifier: Apache-2.0
"""A stock Debian kernel, whose modules Mote finds beside it."""
import pytest


@pytest.fixture(autouse=True)
def stock(job, kernel, folder):
    """The part's first job unpacks the kernel, the others find it so."""
    job.env |= {"MOTE_KERNEL": str(kernel.stock), "MOTE_CACHE": str(folder / "cache")}


@pytest.mark.parametrize("kind", ["erofs", "ext4"])
def test_stock(job, images, folder, kind):
    """stock kernel, {kind}"""
    done = job.sh("tr a-z A-Z; uname -r; echo err >&2; exit 42", root=images / f"root.{kind}", stdin="hi\n", status=42)
    assert done.out.startswith("HI\n") and "amd64" in done.out
    assert "err" in done.err
    assert done.cause == "exited"
    unpacked = [file for file in (folder / "cache/unpacked-kernels").iterdir() if file.is_file() and file.stat().st_size > 1 << 20]
    assert len(unpacked) == 1


def test_large(job):
    """stock kernel, 4 CPUs, memory above 3 GiB"""
    # What mote run puts on the command line leaves it all its CPUs, and the memory whose addresses are above 4 GiB.
    cpus, _, total, unit = job.sh("nproc; grep MemTotal /proc/meminfo", options=["--cpus", "4", "--memory", "3500M"]).out.split()
    assert (cpus, unit) == ("4", "kB")
    assert int(total) > 3 << 20
