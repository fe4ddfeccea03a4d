# SPDX-License-Identifier: Apache-2.0
"""Standard streams: whole, in order, apart, binary-safe, with ends that are passed on."""
import hashlib
import os
import subprocess
import time


def md5_of(file):
    digest = hashlib.md5()
    with file.open("rb") as opened:
        while chunk := opened.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def random_file(path, size):
    with path.open("wb") as file:
        for _ in range(size // 1000000):
            file.write(os.urandom(1000000))
    return path


def count_to(last):
    return "".join(f"{number}\n" for number in range(1, last + 1)).encode()


def test_filter(job):
    """input and output of a filter"""
    result = job(0, "--", "tr", "a-z", "A-Z", stdin="hi\n")
    assert result.out == "HI\n"
    assert result.cause == "exited"
    assert (result.verdict["bytes_in"], result.verdict["bytes_out"]) == (3, 3)


def test_output(job):
    """100 MB of output in order, standard error apart"""
    result = job(0, "--", "sh", "-c", "seq 1 100000 >/x; for i in $(seq 1 170); do echo part $i; cat /x; done; echo done >&2",
                 limit=400)
    digest, lines = hashlib.md5(), count_to(100000)
    for part in range(1, 171):
        digest.update(f"part {part}\n".encode() + lines)
    assert md5_of(result.out_path) == digest.hexdigest()
    assert result.err == "done\n"
    assert result.verdict["bytes_err"] == 5


def test_input(job, work):
    """100 MB of binary input, and its end"""
    data = random_file(work / "input", 100000000)
    with data.open("rb") as opened:
        result = job(0, "--", "sh", "-c", 'md5sum; echo "$(cat | wc -c) more"', stdin=opened, limit=400)
    assert result.out == f"{md5_of(data)}  -\n0 more\n"
    assert result.verdict["bytes_in"] == 100000000
    data.unlink()


def test_both_ways(job, work):
    """20 MB there and back"""
    data = random_file(work / "input", 20000000)
    with data.open("rb") as opened:
        result = job(0, "--", "cat", stdin=opened)
    assert md5_of(result.out_path) == md5_of(data)


def test_closed_output(jobs):
    """a reader that goes away"""
    # It ends the job by SIGPIPE, as without a VM.
    result = jobs.files()
    command = [jobs.mote, "run", *jobs.source(None, None), "--", "sh", "-c", 'yes; echo "ended with $?" >&2']
    with result.err_path.open("wb") as err:
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=err, env=jobs.env) as process:
            read = [process.stdout.readline() for _ in range(2)]
            process.stdout.close()
            process.wait(120)
    assert read == [b"y\n", b"y\n"]
    assert "ended with 141" in result.err


def test_slow_reader(jobs):
    """a slow reader loses nothing"""
    command = [jobs.mote, "run", *jobs.source(None, None), "--", "sh", "-c", "seq 1 1000000"]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, env=jobs.env) as process:
        time.sleep(12)
        read = process.stdout.read()
        assert process.wait(120) == 0
    assert hashlib.md5(read).hexdigest() == hashlib.md5(count_to(1000000)).hexdigest()


def test_unread_input(jobs, job):
    """input that nobody reads, and none"""
    result = job(7, "--", "sh", "-c", "exec <&-; echo no; exit 7", stdin=bytes(3000000))
    assert result.out == "no\n"
    result = jobs.files()
    with result.out_path.open("wb") as out:
        process = subprocess.run(["sh", "-c", 'exec "$@" <&-', "-", jobs.mote, "run", *jobs.source(None, None), "--", "cat"],
                                 stdout=out, env=jobs.env, timeout=300, check=False)
    assert process.returncode == 0
    assert result.out == ""
