# SPDX-License-Identifier: Apache-2.0
"""The whole of an image's configuration, as container tools mean it, and what a job finds in its root besides."""
import itertools
import shutil
import subprocess

import pytest

from tests.harness import oci
from tests.harness.jobs import wait_until

numbers = itertools.count()


@pytest.fixture(scope="module", autouse=True)
def cache(all_jobs, work):
    all_jobs.env |= {"XDG_CACHE_HOME": f"{work}/cache", "XDG_RUNTIME_DIR": f"{work}/runtime"}
    (work / "cache").mkdir()
    (work / "runtime").mkdir(mode=0o700)


def pack(root, archive):
    subprocess.run(["tar", "--owner", "0", "--group", "0", "--numeric-owner", "-cf", archive, "-C", root, "."], check=True)


@pytest.fixture(scope="module")
def root(work, images):
    folder = work / "root"
    shutil.copytree(images / "root", folder, symlinks=True)
    for name in ("hosts", "hostname", "resolv.conf"):
        (folder / "etc" / name).unlink(missing_ok=True)
    for name in ("srv/secret", "srv/open", "var/log"):
        (folder / name).mkdir(parents=True)
    (folder / "srv/secret").chmod(0o700)
    (folder / "srv/file").write_text("a file\n")
    with (folder / "etc/passwd").open("a") as file:
        file.write("other:x:1234:1234::/home/other:/bin/sh\n")
    with (folder / "etc/group").open("a") as file:
        file.write("more:x:3000:user,other\n")
    (folder / "var/log/access.log").symlink_to("/dev/stdout")
    (folder / "var/log/error.log").symlink_to("/dev/stderr")
    pack(folder, work / "root.tar")
    return folder


@pytest.fixture
def configured(jobs, root, work):
    """A job of the image that has ROOT and is to run as CONFIG says."""
    def run(config, wanted, *words, **more):
        return jobs.job(wanted, *words, image=oci.layout(work / "configured", work / "root.tar", config), **more)
    return run


@pytest.mark.parametrize("user, command, seen", [
    ("1000", "id -u; id -g; id -G; echo $HOME", "1000\n1000\n1000 2000 3000\n/home/user"),
    ("1234:more", "id -u; id -g; id -G; echo $HOME", "1234\n3000\n3000\n/home/other"),
    ("4242", "id -u; id -g; id -G; echo $HOME", "4242\n0\n0\n/"),
    ("4242:4343", "id -u; id -g; id -G", "4242\n4343\n4343"),
])
def test_users(configured, user, command, seen):
    """configuration: the user {user}"""
    assert configured({"User": user}, 0, "--", "sh", "-c", command).text == seen


def test_no_such_user(configured):
    """configuration: a user who is none"""
    assert "user nobody-at-all: is not in the image's /etc/passwd" in configured({"User": "nobody-at-all"}, 125, "--", "true").err


def test_work_directories(configured):
    """configuration: work directories"""
    assert configured({"User": "user", "WorkingDir": "/srv/secret"}, 0, "--", "pwd").text == "/srv/secret"
    result = configured({"User": "user", "WorkingDir": "/srv/new/one"}, 0, "--", "sh", "-c", "pwd; stat -c %u .; : >file")
    assert result.text == "/srv/new/one\n1000"
    result = configured({"WorkingDir": "/srv/file"}, 126, "--", "true")
    assert "working directory /srv/file: Not a directory; give another by --workdir" in result.err
    result = configured({"WorkingDir": "/srv/file/below"}, 126, "--", "true")
    assert "working directory /srv/file/below: Not a directory" in result.err
    assert configured({"WorkingDir": "/srv/file"}, 0, "--workdir", "/srv", "--", "pwd").text == "/srv"


@pytest.mark.parametrize("options, seen", [
    ([], "image words"),
    (["--", "own"], "image own"),
    (["--entrypoint", "/bin/pwd"], "/"),
    (["--entrypoint", '["/bin/echo","-n","a  b"]', "--", "c"], "a  b c"),
    (["--entrypoint", "", "--", "/bin/echo", "bare"], "bare"),
])
def test_commands(configured, options, seen):
    """configuration: the command, with {options}"""
    assert configured({"Entrypoint": ["/bin/echo", "image"], "Cmd": ["words"]}, 0, *options).text == seen


def test_no_command(configured):
    """configuration: no command is left, or none that is there"""
    config = {"Entrypoint": ["/bin/echo", "image"], "Cmd": ["words"]}
    assert "names no command that --entrypoint leaves" in configured(config, 125, "--entrypoint", "").err
    assert "/bin/echo two: is not found" in configured(config, 127, "--entrypoint", "/bin/echo two").err


def test_environment(configured):
    """configuration: variables, volumes and what is not used"""
    config = {"Env": ["A=1", "A=2", "EMPTY", "=x", "", "PATH=/bin:/none"], "Volumes": {"/data/deep": {}, "/srv/open": {}},
              "Labels": {"x": "y"}, "ExposedPorts": {"80/tcp": {}}, "Healthcheck": {"Test": ["CMD", "false"]}}
    result = configured(config, 0, "--", "sh", "-c", 'echo "$A|${EMPTY-unset}|$PATH"; ls -d /data/deep /srv/open')
    assert result.text == "2||/bin:/none\n/data/deep\n/srv/open"
    assert result.err == ""


@pytest.mark.parametrize("config, wanted, options", [
    ({}, 4, []),
    ({"StopSignal": "SIGQUIT"}, 3, []),
    ({"StopSignal": "28", "Healthcheck": {"Test": ["CMD-SHELL", "true"]}}, 5, []),
    ({"StopSignal": "SIGRTMIN+3"}, 6, []),
    ({"StopSignal": "SIGQUIT"}, 5, ["--stop-signal", "WINCH"]),
])
def test_stop_signals(jobs, root, work, config, wanted, options):
    """configuration: mote stop, with {config} and {options}"""
    name = f"stop{next(numbers)}"
    command = """trap "exit 3" QUIT; trap "exit 4" TERM; trap "exit 5" WINCH; trap "exit 6" RTMIN+3 2>/dev/null || trap "exit 6" 37
        echo ready; while :; do sleep 0.1; done"""
    started = jobs.mote_command(0, "run", "--image", oci.layout(work / "configured", work / "root.tar", config), "--detach", "--name",
                                name, *options, "--", "sh", "-c", command)
    assert ("its HEALTHCHECK is not run" in started.err) == ("Healthcheck" in config)
    wait_until(lambda: "ready" in jobs.mote_command(0, "logs", name).out, "its first word")
    jobs.mote_command(0, "stop", "--time", "60", name)
    jobs.mote_command(wanted, "wait", name)
    jobs.mote_command(0, "rm", name)


def test_stop_signal_that_is_none(configured):
    """configuration: a stop signal that is none, and a time limit's"""
    result = configured({"StopSignal": "SIGWHAT"}, 125, "--", "true")
    assert "its STOPSIGNAL 'SIGWHAT' is no signal; give another by --stop-signal" in result.err
    configured({"StopSignal": "SIGWHAT"}, 0, "--stop-signal", "TERM", "--", "true")
    # A time limit asks in the same way.
    result = configured({"StopSignal": "SIGQUIT"}, 124, "--timeout", "20", "--", "sh", "-c",
                        'trap "echo asked; exit 3" QUIT; while :; do sleep 0.1; done')
    assert result.text == "asked"


def test_standard_files(configured):
    """standard streams as files, by another user"""
    result = configured({"User": "101"}, 0, "--", "sh", "-c",
                        "echo access >>/var/log/access.log; echo error >>/var/log/error.log; echo out >/dev/stdout")
    assert result.text == "access\nout"
    assert result.err == "error\n"
    assert configured({"User": "101"}, 0, "--interactive", "--", "sh", "-c", "cat /dev/stdin", stdin="typed\n").text == "typed"
    assert configured({"User": "101"}, 0, "--", "sh", "-c", "cat /dev/stdin; echo ended").text == "ended"


def test_names(configured, root, work):
    """names of the machine"""
    result = configured({}, 0, "--hostname", "box", "--", "sh", "-c",
                        """ping -c 1 -W 5 localhost >/dev/null && ping -c 1 -W 5 "$(hostname)" >/dev/null; echo $?
                        cat /etc/hostname; grep -c box /etc/hosts""")
    assert result.text == "0\nbox\n1"
    (root / "etc/hosts").write_text("10.9.8.7 mine\n")
    pack(root, work / "root.tar")
    assert configured({}, 0, "--", "cat", "/etc/hosts").text == "10.9.8.7 mine"
