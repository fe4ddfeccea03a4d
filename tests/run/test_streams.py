# SPDX-License-Identifier: Apache-2.0
"""Standard streams: whole, in order, apart, binary-safe, with ends that are passed on."""
import hashlib
import os
import subprocess
import time

MEGABYTE = 1000000


def random_file(path, length):
    """Bytes that do not repeat within reach of a buffer, and their checksum."""
    block = os.urandom(MEGABYTE + 1)
    with open(path, "wb") as made:
        while (left := length - made.tell()) > 0:
            made.write(block[:left])
    return checksum(path)


def checksum(path):
    with open(path, "rb") as opened:
        return hashlib.file_digest(opened, "md5").hexdigest()


def test_filter(job):
    """input and output of a filter"""
    done = job.run("tr", "a-z", "A-Z", stdin="hi\n")
    assert done.out == "HI\n"
    assert done.cause == "exited"
    assert (done.verdict["bytes_in"], done.verdict["bytes_out"]) == (3, 3)


def test_output(job):
    """100 MB of output in order, standard error apart"""
    # Lines that each tell their place.
    done = job.sh("seq 1 100000 >/x; for i in $(seq 1 170); do echo part $i; cat /x; done; echo done >&2", limit=400)
    lines = "".join(f"{number}\n" for number in range(1, 100001)).encode()
    wanted = hashlib.md5()
    for part in range(1, 171):
        wanted.update(f"part {part}\n".encode())
        wanted.update(lines)
    assert checksum(done.out_file) == wanted.hexdigest()
    assert done.err == "done\n"
    assert done.verdict["bytes_err"] == 5


def test_input(job, work):
    """100 MB of binary input, and its end"""
    wanted = random_file(work / "input", 100 * MEGABYTE)
    done = job.sh('md5sum; echo "$(cat | wc -c) more"', stdin=work / "input", limit=400)
    assert done.out.split() == [wanted, "-", "0", "more"]
    assert done.verdict["bytes_in"] == 100 * MEGABYTE


def test_both_ways(job, work):
    """20 MB there and back"""
    wanted = random_file(work / "input", 20 * MEGABYTE)
    assert checksum(job.run("cat", stdin=work / "input").out_file) == wanted


def test_closed_output(job):
    """a reader that goes away"""
    # It ends the job by SIGPIPE, as without a VM.
    begun = job.start("sh", "-c", 'yes; echo "ended with $?" >&2', stdout=subprocess.PIPE)
    with begun.child.process.stdout as output:
        assert [output.readline(), output.readline()] == [b"y\n", b"y\n"]
    begun.end(120)
    assert "ended with 141" in begun.err


def test_slow_reader(job):
    """a slow reader loses nothing"""
    begun = job.start("sh", "-c", "seq 1 1000000", stdout=subprocess.PIPE)
    time.sleep(12)
    with begun.child.process.stdout as output:
        seen = hashlib.file_digest(output, "md5").hexdigest()
    assert begun.end(120) == 0
    assert seen == hashlib.md5("".join(f"{number}\n" for number in range(1, 1000001)).encode()).hexdigest()


def test_unread_input(job):
    """input that nobody reads, and none"""
    done = job.sh("exec <&-; echo no; exit 7", status=7, stdin=bytes(3 * MEGABYTE))
    assert done.out == "no\n"
    # An input that is closed is at its end.
    words = job.words(["cat"])
    closed = job.started.start(["sh", "-c", 'exec "$@" <&-', "sh", *words], job.env)
    assert (closed.end(), closed.out) == (0, ""), closed.err
