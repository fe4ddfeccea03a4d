# SPDX-License-Identifier: Apache-2.0
"""The whole of an image's configuration, as container tools mean it, and what a job finds in its root besides."""
import itertools
import shutil

import pytest

from harness import oci

IDS = "id -u; id -g; id -G; echo $HOME"


@pytest.fixture(scope="module")
def root(folder, images):
    """A root with users, folders that are closed, and logs that are links to the standard streams; its tar beside it."""
    root = folder / "root"
    shutil.copytree(images / "root", root, symlinks=True)
    for name in ("hosts", "hostname", "resolv.conf"):
        (root / "etc" / name).unlink(missing_ok=True)
    for name in ("srv/secret", "srv/open", "var/log"):
        (root / name).mkdir(parents=True)
    (root / "srv/secret").chmod(0o700)
    (root / "srv/file").write_text("a file\n")
    for name, line in (("passwd", "other:x:1234:1234::/home/other:/bin/sh\n"), ("group", "more:x:3000:user,other\n")):
        with open(root / "etc" / name, "a", encoding="ascii") as opened:
            opened.write(line)
    (root / "var/log/access.log").symlink_to("/dev/stdout")
    (root / "var/log/error.log").symlink_to("/dev/stderr")
    oci.pack(root, folder / "root.tar")
    return root


@pytest.fixture
def image(job, root, folder, work):
    """image(CONFIG): the reference of an image with this root that is to run so."""
    (folder / "cache").mkdir(exist_ok=True)
    job.env["XDG_CACHE_HOME"] = folder / "cache"
    numbers = itertools.count()
    return lambda config, tar="root.tar": f"oci:{oci.write_layout(work / f'image{next(numbers)}', folder / tar, config)}"


def test_users(job, image):
    """configuration: users"""
    for user, printed in (("1000", "1000\n1000\n1000 2000 3000\n/home/user\n"), ("1234:more", "1234\n3000\n3000\n/home/other\n"),
                          ("4242", "4242\n0\n0\n/\n"), ("4242:4343", "4242\n4343\n4343\n/\n")):
        assert job.sh(IDS, image=image({"User": user})).out == printed, user
    done = job.run("true", image=image({"User": "nobody-at-all"}), status=125)
    assert "user nobody-at-all: is not in the image's /etc/passwd" in done.err


def test_work_directories(job, image):
    """configuration: work directories"""
    assert job.run("pwd", image=image({"User": "user", "WorkingDir": "/srv/secret"})).out == "/srv/secret\n"
    done = job.sh("pwd; stat -c %u .; : >file", image=image({"User": "user", "WorkingDir": "/srv/new/one"}))
    assert done.out == "/srv/new/one\n1000\n"
    done = job.run("true", image=image({"WorkingDir": "/srv/file"}), status=126)
    assert "working directory /srv/file: Not a directory; give another by --workdir" in done.err
    done = job.run("true", image=image({"WorkingDir": "/srv/file/below"}), status=126)
    assert "working directory /srv/file/below: Not a directory" in done.err
    assert job.run("pwd", image=image({"WorkingDir": "/srv/file"}), options=["--workdir", "/srv"]).out == "/srv\n"


def test_commands(job, image):
    """configuration: commands"""
    echo = image({"Entrypoint": ["/bin/echo", "image"], "Cmd": ["words"]})
    for options, command, printed in (
            ([], [], "image words\n"), ([], ["own"], "image own\n"), (["--entrypoint", "/bin/pwd"], [], "/\n"),
            (["--entrypoint", '["/bin/echo","-n","a  b"]'], ["c"], "a  b c"), (["--entrypoint", ""], ["/bin/echo", "bare"], "bare\n")):
        assert job.run(*command, image=echo, options=options).out == printed
    assert "names no command that --entrypoint leaves" in job.run(image=echo, options=["--entrypoint", ""], status=125).err
    assert "/bin/echo two: is not found" in job.run(image=echo, options=["--entrypoint", "/bin/echo two"], status=127).err


def test_environment(job, image):
    """configuration: variables, volumes and what is not used"""
    done = job.sh('echo "$A|${EMPTY-unset}|$PATH"; ls -d /data/deep /srv/open', image=image(
        {"Env": ["A=1", "A=2", "EMPTY", "=x", "", "PATH=/bin:/none"], "Volumes": {"/data/deep": {}, "/srv/open": {}},
         "Labels": {"x": "y"}, "ExposedPorts": {"80/tcp": {}}, "Healthcheck": {"Test": ["CMD", "false"]}}))
    assert done.out == "2||/bin:/none\n/data/deep\n/srv/open\n"
    assert done.err == ""


def stopped(job, image, status, *options):
    """A job that tells by its status which signal it got is stopped; what was said when it began."""
    begun = job.detach("stop", "sh", "-c",
                       'trap "exit 3" QUIT; trap "exit 4" TERM; trap "exit 5" WINCH; trap "exit 6" RTMIN+3 2>/dev/null || trap "exit 6" 37\n'
                       "echo ready; while :; do sleep 0.1; done", image=image, options=options)
    job.until_logged("stop", lambda text: "ready" in text)
    job.mote("stop", "--time", "60", "stop")
    job.mote("wait", "stop", status=status)
    job.mote("rm", "stop")
    return begun.err


def test_stop_signals(job, image):
    """configuration: stop signals"""
    stopped(job, image({}), 4)
    stopped(job, image({"StopSignal": "SIGQUIT"}), 3)
    said = stopped(job, image({"StopSignal": "28", "Healthcheck": {"Test": ["CMD-SHELL", "true"]}}), 5)
    assert "its HEALTHCHECK is not run" in said
    stopped(job, image({"StopSignal": "SIGRTMIN+3"}), 6)
    stopped(job, image({"StopSignal": "SIGQUIT"}), 5, "--stop-signal", "WINCH")
    unknown = image({"StopSignal": "SIGWHAT"})
    done = job.run("true", image=unknown, status=125)
    assert "its STOPSIGNAL 'SIGWHAT' is no signal; give another by --stop-signal" in done.err
    job.run("true", image=unknown, options=["--stop-signal", "TERM"])
    # A time limit asks in the same way.
    done = job.sh('trap "echo asked; exit 3" QUIT; while :; do sleep 0.1; done', image=image({"StopSignal": "SIGQUIT"}),
                  options=["--timeout", "20"], status=124)
    assert done.out == "asked\n"


def test_standard_files(job, image):
    """standard streams as files, by another user"""
    other = image({"User": "101"})
    done = job.sh("echo access >>/var/log/access.log; echo error >>/var/log/error.log; echo out >/dev/stdout", image=other)
    assert (done.out, done.err) == ("access\nout\n", "error\n")
    assert job.sh("cat /dev/stdin", image=other, options=["--interactive"], stdin="typed\n").out == "typed\n"
    assert job.sh("cat /dev/stdin; echo ended", image=other).out == "ended\n"


def test_names(job, image, root, folder):
    """names of the machine"""
    done = job.sh('ping -c 1 -W 5 localhost >/dev/null && ping -c 1 -W 5 "$(hostname)" >/dev/null; echo $?\n'
                  "cat /etc/hostname; grep -c box /etc/hosts", image=image({}), options=["--hostname", "box"])
    assert done.out == "0\nbox\n1\n"
    own = root / "etc/hosts"
    own.write_text("10.9.8.7 mine\n")
    oci.pack(root, folder / "hosts.tar")
    own.unlink()
    assert job.run("cat", "/etc/hosts", image=image({}, "hosts.tar")).out == "10.9.8.7 mine\n"
