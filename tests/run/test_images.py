# SPDX-License-Identifier: Apache-2.0
"""Roots and volumes that mote-image makes, and what comes back from /output."""
import hashlib
import os
import shutil
import subprocess

import pytest

from harness.processes import text_of

CONFIG_TIME = 981173106  # 2001-02-03 04:05:06 UTC


@pytest.fixture(autouse=True)
def cache(job, folder):
    """What mote-image has made serves the whole part."""
    (folder / "cache").mkdir(exist_ok=True)
    job.env["XDG_CACHE_HOME"] = folder / "cache"


@pytest.fixture
def files(work):
    """Single files to be shared: app.conf, an empty one, and a link."""
    config = work / "app.conf"
    config.write_text("from the host")
    config.chmod(0o640)
    os.chown(config, 1000, 0)
    os.utime(config, (CONFIG_TIME, CONFIG_TIME))
    (work / "empty.conf").touch()
    (work / "link.conf").symlink_to("app.conf")
    return work


def volumes(*pairs):
    return [word for source, target in pairs for word in ("--volume", f"{source}:{target}:ro")]


def test_directory(job, images):
    """a directory as root, and as a volume"""
    assert "HI" in job.sh("echo hi | tr a-z A-Z; ls -l /bin/busybox", root=images / "root").out
    done = job.run("cat", "/data/in/sub/file", root=images / "root", options=volumes((images / "volume", "/data/in")))
    assert "from the host" in done.out


def test_read_only_volume(job, images):
    """a volume is read-only"""
    done = job.sh("echo x >/data/new", options=volumes((images / "volume", "/data")), status=1)
    assert "Read-only" in done.err
    done = job.run("true", options=volumes((images / "nowhere", "/data")), status=125)
    assert "does not exist" in done.err


def test_volume_of_a_file(job, files):
    """a volume of one file"""
    # Of a target that is there, one that is not, and one behind a link; as the host has it, by name and by a link.
    done = job.sh("""cat /etc/passwd /new/deep/app.conf /etc/group; echo; stat -c "%a %u %Y" /new/deep/app.conf; ls /new/deep /files
        grep -c /files/ /proc/mounts; echo x >/etc/passwd""", status=1, options=volumes(
        (files / "app.conf", "/etc/passwd"), (files / "link.conf", "/new/deep/app.conf/"), (files / "empty.conf", "/etc/group")))
    assert done.out == f"from the hostfrom the host\n640 1000 {CONFIG_TIME}\n/new/deep:\napp.conf\n0\n"
    assert "Read-only file system" in done.err
    assert "/files: No such file" in done.err


def test_volumes_in_volumes(job, files, images):
    """volumes in volumes, and where none can be"""
    # A file in a folder that was shared before it, and one over the other.
    folder, file = images / "volume", files / "app.conf"
    done = job.run("cat", "/data/sub/file", options=volumes((folder, "/data"), (file, "/data/sub/file")))
    assert done.out == "from the host"
    for pairs, reason in (
            ([(folder, "/data"), (file, "/data/none")], "volume /data/none: Read-only file system"),
            ([(file, "/etc")], "volume /etc: is one file, and a folder is there; name a file"),
            ([(folder, "/etc/passwd")], "volume /etc/passwd: is a folder, and a file is there; name a folder"),
            ([(file, "/etc/passwd/x")], "volume /etc/passwd/x: Not a directory")):
        assert reason in job.run("true", options=volumes(*pairs), status=125).err


def test_volumes_of_names(job, files):
    """volumes of /etc/hosts and the like"""
    # The user's own files where the init has its own otherwise, be they empty.
    done = job.run("cat", "/etc/hosts", "/etc/hostname",
                   options=volumes((files / "app.conf", "/etc/hosts"), (files / "empty.conf", "/etc/hostname")))
    assert (done.out, done.err) == ("from the host", "")


def test_output(job, work):
    """/output comes back"""
    back = work / "back"
    job.sh("""cd /output; mkdir -p a/b; echo one >a/b/one; ln -s a/b/one link
        dd if=/dev/urandom of=large bs=1M count=9 2>/dev/null; md5sum <large >sum; chmod 750 a; exit 3""",
           options=["--output", back], status=3)
    assert text_of(back / "a/b/one") == "one\n"
    assert os.readlink(back / "link") == "a/b/one"
    assert hashlib.md5((back / "large").read_bytes()).hexdigest() == text_of(back / "sum").split()[0]
    assert (back / "a").stat().st_mode & 0o7777 == 0o750


def test_output_after_timeout(job, work):
    """/output after a timeout"""
    for name, end, options, status in (("late", "sleep 1000", ["--timeout", "30"], 124), ("killed", "kill -9 $$", [], 137)):
        job.sh(f"echo so far >/output/partial; {end}", options=["--output", work / name, *options], status=status)
        assert text_of(work / name / "partial") == "so far\n", name


def by_image(job, image):
    """What the image's command prints, as its own user in its own work directory."""
    done = job.run(image=image, status=1)
    assert done.out == "1000\n1000\n/home/user\nhello from the image\nthe second layer\n"
    assert "/bin/plain: No such file" in done.err


def test_oci(job, images):
    """an OCI image: entrypoint, command, environment, user, work directory, whiteouts"""
    by_image(job, f"oci:{images}/oci:job")


def test_docker_archive(job, images):
    """the same image from a docker archive"""
    by_image(job, f"docker-archive:{images}/docker.tar")


def test_image_options(job, images):
    """options before the image's configuration"""
    # A command in place of the image's; options go before what the image says.
    done = job.run('id -u; id -g; pwd; echo "$GREETING"', image=f"oci:{images}/oci:job",
                   options=["--env", "GREETING=other", "--user", "0:2000", "--workdir", "/etc"])
    assert done.out == "0\n2000\n/etc\nother\n"


def test_bad_images(job, images, work):
    """an unknown tag, a corrupt layer"""
    assert "did you mean 'job'?" in job.run("true", image=f"oci:{images}/oci:jib", status=125).err
    shutil.copytree(images / "oci", work / "corrupt")
    layer = next(file for file in (work / "corrupt/blobs/sha256").iterdir() if file.stat().st_size > 64 << 10)
    with open(layer, "r+b") as opened:
        opened.seek(5000)
        opened.write(b"X")
    done = job.run("true", image=f"oci:{work}/corrupt:job", status=125, env={"XDG_CACHE_HOME": work / "empty"})
    assert f"layer sha256:{layer.name}: is corrupt" in done.err
    assert "does not exist" in job.run("true", root=images / "nowhere", status=125).err


@pytest.fixture
def debian(images):
    """A Debian root, of which an image was made before."""
    return {"image": f"oci:{images}/debian:job", "env": {"XDG_CACHE_HOME": images / "warm"}}


def test_python(job, debian):
    """Python from a Debian root"""
    program = 'import os, sys; print(sum(map(int, sys.stdin)), os.getpid() > 1, os.environ["LANG"])'
    done = job.run("python3", "-c", program, stdin="".join(f"{number}\n" for number in range(1, 1001)), **debian)
    assert done.out == "500500 True C.UTF-8\n"
    job.run("python3", "-c", "raise SystemExit(7)", status=7, **debian)


def test_compiler(job, debian, work):
    """a C compiler from a Debian root, and what it made"""
    # The program comes back and runs here.
    (work / "source").mkdir()
    (work / "source/hello.c").write_text(
        '#include <stdio.h>\nint main(void) { return puts("compiled in a microVM") < 0; }\n')
    options = volumes((work / "source", "/src"))
    job.run("tcc", "-o", "/output/hello", "/src/hello.c", options=[*options, "--output", work / "back"], **debian)
    made = subprocess.run([work / "back/hello"], capture_output=True, check=True)
    assert made.stdout == b"compiled in a microVM\n"
    done = job.run("tcc", "-o", "/src/hello", "/src/hello.c", options=options, status=1, **debian)
    assert "could not write '/src/hello" in done.err
