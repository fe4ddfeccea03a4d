# SPDX-License-Identifier: Apache-2.0
"""The network: none unless asked for; then names, a way out and ports in, but no way to the host's loopback."""
import os
import pathlib
import subprocess
import time

import pytest

pytestmark = pytest.mark.skipif(os.environ.get("MOTE_LAB") != "1",
                                reason="it changes the machine's network; it runs in the lab: scripts/lab")


def ip(*words):
    subprocess.run(["ip", *words], check=True)


@pytest.fixture(scope="module", autouse=True)
def outside(work):
    """A way out, a name server, and a web server on the loopback."""
    ip("tuntap", "add", "up0", "mode", "tap")
    ip("address", "add", "192.0.2.2/24", "dev", "up0")
    ip("link", "set", "up0", "up")
    ip("route", "add", "default", "via", "192.0.2.1", "dev", "up0")
    pathlib.Path("/etc/resolv.conf").write_text("nameserver 127.0.0.1\n")
    pages = work / "www"
    pages.mkdir()
    (pages / "page").write_text("from the host\n")
    with subprocess.Popen(["build/tests/tools/dns", "127.0.0.1", "53", "192.0.2.77"]) as names:
        with subprocess.Popen(["busybox", "httpd", "-f", "-p", "127.0.0.1:8000", "-h", pages]) as web:
            yield
            web.kill()
        names.kill()


def test_no_network(job):
    """no network"""
    result = job(0, "--", "sh", "-c", "ls /sys/class/net; grep -c nameserver /etc/resolv.conf || true")
    assert "lo" in result.out
    assert "eth0" not in result.out


def test_network(job):
    """a network of its own"""
    result = job(0, "--net", "user", "--", "sh", "-c",
                 "ip -4 addr show eth0; ip route; cat /etc/resolv.conf; nslookup www.example.com")
    for word in ("10.0.2.15/24", "default via 10.0.2.2", "nameserver 10.0.2.3", "192.0.2.77"):
        assert word in result.out
    result = job(0, "--net", "user", "--", "sh", "-c",
                 r'printf "GET /page HTTP/1.0\r\n\r\n" | nc -w 5 10.0.2.2 8000 || echo refused')
    assert "refused" in result.out
    assert "from the host" not in result.out
    result = job(0, "--net", "user,host-loopback", "--", "wget", "-q", "-O", "-", "http://10.0.2.2:8000/page", limit=60)
    assert "from the host" in result.out


def test_own_resolver(job, work):
    """a resolv.conf of the user's"""
    # It stays where the init writes one.
    (work / "resolv.conf").write_text("nameserver 192.0.2.1\n")
    result = job(0, "--net", "user", "--volume", f"{work}/resolv.conf:/etc/resolv.conf:ro", "--", "cat", "/etc/resolv.conf")
    assert result.text == "nameserver 192.0.2.1"


def test_publish(jobs):
    """a published port"""
    running = jobs.start("--net", "user", "--publish", "127.0.0.1:8080:80", "--", "sh", "-c",
                         "mkdir /www; echo from the guest >/www/page; httpd -p 80 -h /www; echo ready; sleep 1000").says("ready")
    page = subprocess.run(["busybox", "wget", "-q", "-O", "-", "http://127.0.0.1:8080/page"], text=True,
                          stdout=subprocess.PIPE, check=False, timeout=60).stdout
    assert page == "from the guest\n"
    running.kill()
    running.wait()
    time.sleep(1)
    left = subprocess.run(["busybox", "pidof", "passt"], text=True, stdout=subprocess.PIPE, check=False).stdout
    assert left.strip() == "", "passt, after the end"
