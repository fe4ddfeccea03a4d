# SPDX-License-Identifier: Apache-2.0
"""The pytest plugin that reports as the other tiers do.

A line a case, and last "TIER: N passed, N failed, N skipped".  With --collect-only the cases alone, as "case PART NAME".
MOTE_TEST_ONLY chooses cases by their names; MOTE_CASE_SECONDS is how long one may take.
"""
import os
import re
import signal
import sys

import pytest

CASE_SECONDS = 1000  # longer than any of its programs may take, shorter than its part
LINES_SHOWN = 20


def case_name(item):
    """The first line of the docstring, with the parameters filled in."""
    text = (item.function.__doc__ or item.name).strip().splitlines()[0].rstrip(".")
    parameters = item.callspec.params if hasattr(item, "callspec") else {}
    return re.sub(r"\{(\w+)\}", lambda found: str(parameters.get(found[1], found[0])), text)


def part_name(path):
    return re.sub(r"^test_", "", path.stem)


class TooLong(Exception):
    """The case has come to no end in time."""


def say(*lines):
    for line in lines:
        print(line, flush=True)


class Report:
    """Takes the place of pytest's own terminal reporter."""

    def __init__(self, tier, own):
        self.tier = tier
        self._tw = own._tw  # pytest asks its reporter for this
        self.passed = self.failed = self.skipped = 0
        self.names, self.reasons, self.skips = {}, {}, {}
        self.notes = []

    # What pytest calls on its reporter, and nobody needs here.
    def write(self, *_words, **_how): pass
    def write_line(self, *_words, **_how): pass
    def rewrite(self, *_words, **_how): pass
    def ensure_newline(self): pass

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, config, items):
        only = re.compile(os.environ.get("MOTE_TEST_ONLY", ""))
        in_lab = os.environ.get("MOTE_LAB") == "1" or config.option.collectonly
        kept, without = [], 0
        for item in items:
            self.names[item.nodeid] = case_name(item)
            if item.get_closest_marker("lab_only") and not in_lab:
                without += 1
            elif only.search(self.names[item.nodeid]):
                kept.append(item)
        items[:] = kept
        if without:
            say(f"{without} cases change this machine's network or its mounts; they run in the lab only")

    def pytest_collection_finish(self, session):
        if session.config.option.collectonly:
            say(*(f"case {part_name(item.path)} {self.names[item.nodeid]}" for item in session.items))

    def pytest_collectreport(self, report):
        if report.failed:
            self.fail(f"{report.nodeid} cannot be read", str(report.longrepr))

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_call(self, item):
        seconds = int(os.environ.get("MOTE_CASE_SECONDS", CASE_SECONDS))

        def late(_number, _frame):
            raise TooLong(f"it has come to no end in {seconds} s")
        before = signal.signal(signal.SIGALRM, late)
        signal.alarm(seconds)
        try:
            yield
        finally:
            signal.alarm(0)
            signal.signal(signal.SIGALRM, before)

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_makereport(self, item, call):
        report = (yield).get_result()
        if report.skipped:
            self.skips[item.nodeid] = str(call.excinfo.value) if call.excinfo else "by its marker"
        elif call.excinfo and report.failed:
            # The innermost line of the tests themselves.
            line = [entry for entry in call.excinfo.traceback if entry.name.startswith("test_")][-1:]
            place = "".join(f" ({entry.path.name}:{entry.lineno + 1})" for entry in line)
            printed = item.funcargs["started"].printed() if "started" in item.funcargs else []
            reason = call.excinfo.exconly(tryshort=True).removeprefix("AssertionError: ")
            self.reasons.setdefault(item.nodeid, (reason, place, printed))

    def pytest_runtest_logreport(self, report):
        if report.when != "teardown":
            return
        name = self.names[report.nodeid]
        if report.nodeid in self.reasons:
            self.fail(name, *self.reasons[report.nodeid])
        elif report.nodeid in self.skips:
            self.skipped += 1
            say(f"skipped - {name}: {self.skips[report.nodeid]}")
        else:
            self.passed += 1
            say(f"ok - {name}")

    def fail(self, name, reason, place="", printed=()):
        first, *rest = (reason or "without a reason").splitlines()
        self.failed += 1
        say(f"FAIL - {name}: {first}{place}", *(f"    {line}" for line in [*rest[:LINES_SHOWN], *printed]))

    def pytest_internalerror(self, excrepr):
        self.fail("pytest itself", str(excrepr))

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session):
        if session.config.option.collectonly:
            return
        say(*self.notes, f"{self.tier}: {self.passed} passed, {self.failed} failed, {self.skipped} skipped")
        session.exitstatus = 1 if self.failed else 0


def install(config, tier):
    """For a tier's conftest: pytest_configure(config)."""
    own = config.pluginmanager.getplugin("terminalreporter")
    config.pluginmanager.unregister(own)
    report = Report(tier, own)
    config.pluginmanager.register(report, "terminalreporter")
    sys.stdout.reconfigure(errors="backslashreplace")
    return report
