# SPDX-License-Identifier: Apache-2.0
"""Parts of a tier, each of which has a machine of its own: this one, where its KVM runs stock kernels, or a lab."""
import os
import re
import subprocess
import sys
import time

PART_SECONDS = 1500
# The clock of a part's lab, where it is not tsc: hosts with another are common, and programs call the kernel there.
CLOCKS = {"streams": "hpet"}


def runner():
    """What stands before a command that needs KVM for stock kernels; scripts/lib.sh knows."""
    found = subprocess.run(["bash", "-c", '. scripts/lib.sh; choose_runner; printf "%s\\n" "${runner[@]}"'], text=True,
                           stdout=subprocess.PIPE, check=True).stdout.split()
    if found[0] == "scripts/lab":
        return ["scripts/lab", "--timeout", os.environ.get("MOTE_PART_SECONDS", str(PART_SECONDS)), "--"]
    return found


def run_part(tier, part, log, command):
    """The part's counts, or None when it came to no end. Its output is shown as it comes, and kept in LOG."""
    counts, begun = None, time.monotonic()
    env = os.environ | {f"MOTE_{tier.upper()}_PARTS": part,
                        "MOTE_LAB_CLOCK": os.environ.get("MOTE_LAB_CLOCK", CLOCKS.get(part, "tsc"))}
    with open(log, "w", encoding="utf-8", errors="replace") as kept:
        with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              errors="replace") as process:
            for line in process.stdout:
                print(line, end="", flush=True)
                kept.write(line)
                if match := re.match(rf"{tier}: (\d+) passed, (\d+) failed, (\d+) skipped", line):
                    counts = [int(number) for number in match.groups()]
    if counts:
        print(f"the part {part} took {time.monotonic() - begun:.0f} s", flush=True)
    return counts


def run_parts(tier, parts, logs, command):
    """All of them; COMMAND, a function, makes a part's. The last line has the sums; whether all went well."""
    sums = [0, 0, 0]
    before = runner()
    for part in parts:
        counts = run_part(tier, part, f"{logs}.{part}.log", before + command(part))
        if not counts:
            print(f"the part {part} came to no end: trying again", flush=True)
            counts = run_part(tier, part, f"{logs}.{part}.log", before + command(part))
        if not counts:
            print(f"FAIL - the part {part} came to no end twice", flush=True)
        sums = [total + count for total, count in zip(sums, counts or [0, 1, 0])]
    print(f"{tier}: {sums[0]} passed, {sums[1]} failed, {sums[2]} skipped", flush=True)
    return sums[1] == 0


def pytest_command(tier, file, *options):
    """How a file of tests is run; Debian's Python has Debian's pytest."""
    return ["/usr/bin/python3", "-B", "-m", "pytest", "-p", "no:terminal", "-p", "no:cacheprovider", "-p", "tests.harness.report",
            "--rootdir", ".", "--tier", tier, *options, str(file)]


if __name__ == "__main__":
    sys.exit(__doc__)
