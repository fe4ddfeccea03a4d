# SPDX-License-Identifier: Apache-2.0
"""The network: none unless asked for; then names, a way out and ports in, but no way to the host's loopback."""
import pathlib
import signal
import subprocess
import time

import pytest

pytestmark = pytest.mark.lab_only


def ip(*words):
    subprocess.run(["ip", *words], check=True)


@pytest.fixture(scope="module", autouse=True)
def network(folder, tools):
    """A way out that leads nowhere, a name server, and a page on the host's loopback."""
    ip("tuntap", "add", "up0", "mode", "tap")
    ip("address", "add", "192.0.2.2/24", "dev", "up0")
    ip("link", "set", "up0", "up")
    ip("route", "add", "default", "via", "192.0.2.1", "dev", "up0")
    pathlib.Path("/etc/resolv.conf").write_text("nameserver 127.0.0.1\n")
    (folder / "www").mkdir()
    (folder / "www/page").write_text("from the host\n")
    servers = [subprocess.Popen(words) for words in (
        [tools / "dns", "127.0.0.1", "53", "192.0.2.77"],
        ["busybox", "httpd", "-f", "-p", "127.0.0.1:8000", "-h", folder / "www"])]
    yield
    for server in servers:
        server.kill()
        server.wait()


def test_no_network(job):
    """no network"""
    done = job.sh("ls /sys/class/net; grep -c nameserver /etc/resolv.conf || true")
    assert done.out.split()[:1] == ["lo"]
    assert "eth0" not in done.out


def test_network(job):
    """a network of its own"""
    done = job.sh("ip -4 addr show eth0; ip route; cat /etc/resolv.conf; nslookup www.example.com", options=["--net", "user"])
    for wanted in ("10.0.2.15/24", "default via 10.0.2.2", "nameserver 10.0.2.3", "192.0.2.77"):
        assert wanted in done.out
    done = job.sh(r'printf "GET /page HTTP/1.0\r\n\r\n" | nc -w 5 10.0.2.2 8000 || echo refused', options=["--net", "user"])
    assert "refused" in done.out
    assert "from the host" not in done.out, "the host's loopback can be reached"
    done = job.run("wget", "-q", "-O", "-", "http://10.0.2.2:8000/page", options=["--net", "user,host-loopback"], limit=60)
    assert "from the host" in done.out


def test_own_resolver(job, work):
    """a resolv.conf of the user's"""
    # It stays where the init writes one.
    (work / "resolv.conf").write_text("nameserver 192.0.2.1\n")
    done = job.run("cat", "/etc/resolv.conf", options=["--net", "user", "--volume", f"{work}/resolv.conf:/etc/resolv.conf:ro"])
    assert done.out == "nameserver 192.0.2.1\n"


def test_publish(job):
    """a published port"""
    begun = job.start("sh", "-c", "mkdir /www; echo from the guest >/www/page; httpd -p 80 -h /www; echo ready; sleep 1000",
                      options=["--net", "user", "--publish", "127.0.0.1:8080:80"]).until("ready")
    page = subprocess.run(["busybox", "wget", "-q", "-O", "-", "http://127.0.0.1:8080/page"], capture_output=True, check=False)
    assert page.stdout == b"from the guest\n"
    begun.signal(signal.SIGTERM)
    begun.end()
    time.sleep(1)
    passt = subprocess.run(["busybox", "pidof", "passt"], capture_output=True, check=False)
    assert passt.stdout == b"", "passt, after the end"
