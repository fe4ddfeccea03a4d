# SPDX-License-Identifier: Apache-2.0
"""A pytest plugin that reports as all tiers do: a line a test, and at the end the count.

    ok - NAME
    FAIL - NAME: why
    TIER: N passed, N failed, N skipped

A test's name is its docstring's first line, in which {parameter} stands for the parameter's value. MOTE_TEST_ONLY=PATTERN
leaves out those whose names do not fit; a test that takes longer than its limit (marker limit(seconds), 900 without) has
failed. Run it as: python3 -m pytest -p no:terminal -p tests.harness.report --tier TIER FILE...
"""
import os
import re
import signal

import pytest

LIMIT = 900
WHY_MAX = 600


def pytest_addoption(parser):
    parser.addoption("--tier", default="tests", help="the name before the count")


def pytest_configure(config):
    config.addinivalue_line("markers", "limit(seconds): how long the test may take")
    config.pluginmanager.register(Report(config.getoption("--tier")))


def name_of(item):
    lines = (item.function.__doc__ or item.name).strip().splitlines()
    parameters = item.callspec.params if hasattr(item, "callspec") else {}
    return lines[0].format(**parameters)


def one_line(text):
    return re.sub(r"\s+", " ", "".join(c if c.isprintable() or c.isspace() else "?" for c in text))[:WHY_MAX].strip()


class TooLong(Exception):
    """A test that hangs."""


def ring(number, frame):
    raise TooLong("takes too long")


class Report:
    def __init__(self, tier):
        self.tier, self.passed, self.failed, self.skipped = tier, 0, 0, 0
        signal.signal(signal.SIGALRM, ring)

    def pytest_collection_modifyitems(self, items):
        pattern = re.compile(os.environ.get("MOTE_TEST_ONLY", ""))
        items[:] = [item for item in items if pattern.search(name_of(item))]

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_protocol(self, item):
        marker = item.get_closest_marker("limit")
        signal.alarm(marker.args[0] if marker else LIMIT)
        yield
        signal.alarm(0)

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_makereport(self, item, call):
        report = (yield).get_result()
        if report.skipped:
            self.skipped += 1
            print(f"skipped - {name_of(item)}: {one_line(str(call.excinfo.value))}", flush=True)
        elif report.failed:
            self.failed += 1
            why = one_line(f"{call.excinfo.value or call.excinfo.typename}")
            place = call.excinfo.traceback[-1]
            where = f"{place.path.name}:{place.lineno + 1}"
            print(f"FAIL - {name_of(item)}: {why} ({where}){self.what_was_said(item)}", flush=True)
        elif report.when == "call":
            self.passed += 1
            print(f"ok - {name_of(item)}", flush=True)

    @staticmethod
    def what_was_said(item):
        """The end of the last program's standard error, where the test has one."""
        jobs = item.funcargs.get("jobs") if hasattr(item, "funcargs") else None
        said = one_line(jobs.last.err[-300:]) if jobs and jobs.last else ""
        return f"; standard error ends: {said}" if said else ""

    def pytest_collectreport(self, report):
        if report.failed:
            self.failed += 1
            print(f"FAIL - {report.nodeid}: {one_line(str(report.longrepr))}", flush=True)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self):
        print(f"{self.tier}: {self.passed} passed, {self.failed} failed, {self.skipped} skipped", flush=True)
