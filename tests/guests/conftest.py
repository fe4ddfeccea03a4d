# SPDX-License-Identifier: Apache-2.0
"""The fixtures of the tier native's parts in Python: bare-metal guests on this machine's /dev/kvm.  tests/native runs them."""
import os
import pathlib

import pytest

from harness import vms


def pytest_collection_modifyitems(items):
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        for item in items:
            item.add_marker(pytest.mark.skip(reason="/dev/kvm is missing or not permitted to this user (see: mote doctor)"))


@pytest.fixture
def vm(started, mote):
    """`mote boot` and the commands for its VM: harness.vms.Vms."""
    payloads = pathlib.Path(os.environ.get("MOTE_PAYLOADS", "build/payloads")).absolute()
    env = dict(os.environ)
    for name in ("XDG_RUNTIME_DIR", "XDG_STATE_HOME"):
        (started.folder / name).mkdir(mode=0o700)
        env[name] = str(started.folder / name)
    return vms.Vms(mote, started, env, payloads)


@pytest.fixture
def progress(vm):
    """The guest whose work can be interrupted: harness.vms.Progress."""
    return vms.Progress(vm)


@pytest.fixture(scope="session")
def reference(request):
    """What the guest "progress" says that nobody interrupts: reference(VM), once."""
    kept = []

    def once(vm):
        if not kept:
            kept.append(vm.boot("progress", "--cmdline", vms.Progress.cmdline, "--log-level", "error").out)
        return kept[0]
    return once
