# SPDX-License-Identifier: Apache-2.0
"""Cases for test_harness.py: one that passes, and some that must not."""
import os
import time

import pytest


def test_well():
    """well"""


def test_wrong(started):
    """wrong"""
    assert started.start(["sh", "-c", "echo what it printed; exit 3"], os.environ).end() == 4


def test_leaves(started):
    """leaves a process"""
    started.start(["sh", "-c", "sleep 1234 & exit 0"], os.environ, stdout=None).end()


def test_skipped():
    """skipped"""
    pytest.skip("it is not needed")


def test_slow():
    """too slow"""
    time.sleep(100)


def test_dies():
    """has its pytest end"""
    os._exit(1)
