# SPDX-License-Identifier: Apache-2.0
"""Roots and volumes that mote-image makes, and what comes back from /output."""
import hashlib
import os
import pathlib
import shutil
import subprocess

import pytest


@pytest.fixture(scope="module", autouse=True)
def cache(all_jobs, work):
    all_jobs.env["XDG_CACHE_HOME"] = f"{work}/cache"
    (work / "cache").mkdir()


@pytest.fixture
def back(work):
    """The folder of --output, not there yet."""
    shutil.rmtree(work / "back", ignore_errors=True)
    return work / "back"


@pytest.fixture(scope="module")
def one_file(work):
    """A file with an owner, a mode and a time of its own, an empty one, and a link."""
    file = work / "app.conf"
    file.write_text("from the host")
    file.chmod(0o640)
    os.chown(file, 1000, 0)
    os.utime(file, (981173106, 981173106))
    (work / "empty.conf").touch()
    (work / "link.conf").symlink_to("app.conf")
    return file


def test_directory(job, images):
    """a directory as root, and as a volume"""
    result = job(0, "--", "sh", "-c", "echo hi | tr a-z A-Z; ls -l /bin/busybox", root=images / "root")
    assert "HI" in result.out
    result = job(0, "--volume", f"{images}/volume:/data/in:ro", "--", "cat", "/data/in/sub/file", root=images / "root")
    assert "from the host" in result.out


def test_read_only_volume(job, images):
    """a volume is read-only"""
    assert "Read-only" in job(1, "--volume", f"{images}/volume:/data:ro", "--", "sh", "-c", "echo x >/data/new").err
    assert "does not exist" in job(125, "--volume", f"{images}/nowhere:/data:ro", "--", "true").err


def test_volume_of_a_file(job, work, one_file):
    """a volume of one file"""
    # Of a target that is there, one that is not, and one behind a link; as the host has it, by name and by a link.
    result = job(1, "-v", f"{one_file}:/etc/passwd:ro", "-v", f"{work}/link.conf:/new/deep/app.conf/:ro", "-v",
                 f"{work}/empty.conf:/etc/group:ro", "--", "sh", "-c",
                 """cat /etc/passwd /new/deep/app.conf /etc/group; echo; stat -c "%a %u %Y" /new/deep/app.conf; ls /new/deep /files
                 grep -c /files/ /proc/mounts; echo x >/etc/passwd""")
    assert result.text == "from the hostfrom the host\n640 1000 981173106\n/new/deep:\napp.conf\n0"
    assert "Read-only file system" in result.err
    assert "/files: No such file" in result.err


@pytest.mark.parametrize("what, wanted", [
    ("over a missing file of a read-only volume", "volume /data/none: Read-only file system"),
    ("of a file over a folder", "volume /etc: is one file, and a folder is there; name a file"),
    ("of a folder over a file", "volume /etc/passwd: is a folder, and a file is there; name a folder"),
    ("below a file", "volume /etc/passwd/x: Not a directory"),
])
def test_volumes_nowhere(job, images, one_file, what, wanted):
    """a volume {what}"""
    volumes = {
        "over a missing file of a read-only volume": [f"{images}/volume:/data:ro", f"{one_file}:/data/none:ro"],
        "of a file over a folder": [f"{one_file}:/etc:ro"],
        "of a folder over a file": [f"{images}/volume:/etc/passwd:ro"],
        "below a file": [f"{one_file}:/etc/passwd/x:ro"],
    }[what]
    assert wanted in job(125, *(word for volume in volumes for word in ("-v", volume)), "--", "true").err


def test_volumes_in_volumes(job, images, one_file):
    """a file in a folder that was shared before it"""
    result = job(0, "-v", f"{images}/volume:/data:ro", "-v", f"{one_file}:/data/sub/file:ro", "--", "cat", "/data/sub/file")
    assert result.text == "from the host"


def test_volumes_of_names(job, work, one_file):
    """volumes of /etc/hosts and the like"""
    # The user's own files where the init has its own otherwise, be they empty.
    result = job(0, "-v", f"{one_file}:/etc/hosts:ro", "-v", f"{work}/empty.conf:/etc/hostname:ro", "--", "cat", "/etc/hosts",
                 "/etc/hostname")
    assert result.text == "from the host"
    assert result.err == ""


def test_output(job, back):
    """/output comes back"""
    job(3, "--output", back, "--", "sh", "-c", """cd /output; mkdir -p a/b; echo one >a/b/one; ln -s a/b/one link
        dd if=/dev/urandom of=large bs=1M count=9 2>/dev/null; md5sum <large >sum; chmod 750 a; exit 3""")
    assert (back / "a/b/one").read_text() == "one\n"
    assert os.readlink(back / "link") == "a/b/one"
    assert hashlib.md5((back / "large").read_bytes()).hexdigest() == (back / "sum").read_text().split()[0]
    assert (back / "a").stat().st_mode & 0o7777 == 0o750


@pytest.mark.parametrize("wanted, options, end", [(124, ["--timeout", "30"], "sleep 1000"), (137, [], "kill -9 $$")])
def test_output_after(job, back, wanted, options, end):
    """/output after a job that ended with {wanted}"""
    job(wanted, "--output", back, *options, "--", "sh", "-c", f"echo so far >/output/partial; {end}")
    assert (back / "partial").read_text() == "so far\n"


@pytest.mark.parametrize("source, of_what", [("oci:{}/oci:job", "an OCI image"), ("docker-archive:{}/docker.tar", "a docker archive")])
def test_image(job, images, source, of_what):
    """{of_what}: entrypoint, command, environment, user, work directory, whiteouts"""
    # What the image's command prints, as its own user in its own work directory.
    result = job(1, image=source.format(images))
    assert result.text == "1000\n1000\n/home/user\nhello from the image\nthe second layer"
    assert "/bin/plain: No such file" in result.err


def test_image_options(job, images):
    """options before the image's configuration"""
    result = job(0, "--env", "GREETING=other", "--user", "0:2000", "--workdir", "/etc", "--", 'id -u; id -g; pwd; echo "$GREETING"',
                 image=f"oci:{images}/oci:job")
    assert result.text == "0\n2000\n/etc\nother"


def test_bad_images(job, images, work):
    """an unknown tag, a corrupt layer"""
    assert "did you mean 'job'?" in job(125, "--", "true", image=f"oci:{images}/oci:jib").err
    shutil.copytree(images / "oci", work / "corrupt")
    layer = next(file for file in (work / "corrupt/blobs").rglob("*") if file.is_file() and file.stat().st_size > 65536)
    with layer.open("r+b") as opened:
        opened.seek(5000)
        opened.write(b"X")
    result = job(125, "--", "true", image=f"oci:{work}/corrupt:job", env={"XDG_CACHE_HOME": work / "empty"})
    assert f"layer sha256:{layer.name}: is corrupt" in result.err
    assert "does not exist" in job(125, "--", "true", root=images / "nowhere").err


@pytest.fixture
def debian(job, images):
    """A job on the Debian root, whose image is in the cache already."""
    def run(wanted, *words, **more):
        return job(wanted, *words, image=f"oci:{images}/debian:job", env={"XDG_CACHE_HOME": images / "warm"}, **more)
    return run


def test_python(debian):
    """Python from a Debian root"""
    numbers = "".join(f"{number}\n" for number in range(1, 1001))
    result = debian(0, "--", "python3", "-c",
                    'import os, sys; print(sum(map(int, sys.stdin)), os.getpid() > 1, os.environ["LANG"])', stdin=numbers)
    assert result.text == "500500 True C.UTF-8"
    debian(7, "--", "python3", "-c", "raise SystemExit(7)")


def test_compiler(debian, back, work):
    """a C compiler from a Debian root, and what it made"""
    source = work / "source"
    source.mkdir()
    pathlib.Path(source / "hello.c").write_text(
        '#include <stdio.h>\nint main(void) { return puts("compiled in a microVM") < 0; }\n')
    debian(0, "--volume", f"{source}:/src:ro", "--output", back, "--", "tcc", "-o", "/output/hello", "/src/hello.c")
    said = subprocess.run([back / "hello"], text=True, stdout=subprocess.PIPE, check=True).stdout
    assert said == "compiled in a microVM\n"
    result = debian(1, "--volume", f"{source}:/src:ro", "--", "tcc", "-o", "/src/hello", "/src/hello.c")
    assert "could not write '/src/hello" in result.err
