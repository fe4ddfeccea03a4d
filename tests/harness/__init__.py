# SPDX-License-Identifier: Apache-2.0
"""What the tests in Python share.

A tier's command (tests/run/run) prepares what its guests need on this machine, and then runs pytest where KVM works: here,
or in the lab, which sees the same files.  A file test_PART.py is a part of the tier; a large one has a machine of its own.  One
pytest runs all cases of a machine, as a Python in the lab takes seconds to start.

    report      a line a case ("ok - NAME", "FAIL - NAME: why" and what Mote printed) and the count at the end
    parts       the machine to run in, its parts, their time limits, and what a part that hangs costs
    processes   programs that a test starts: limits, ends, and what they may not leave behind
    jobs        `mote run`
    vms         `mote boot` with the bare-metal guests of build/payloads
    terminal    a pseudo-terminal that types
    oci         container images of one layer

The first line of a test's docstring is its case's name; a name in braces there is a parameter of the test.

To run one test:

    MOTE_TEST_ONLY='a slow reader' tests/run/run streams      the cases of a part whose names match (a regular expression)
    MOTE_RUN_PARTS="streams ends" tests/run/run               some parts
    tests/run/run --list                                      all parts and cases

And to prove that it can fail, point MOTE at a build of Mote that is broken: MOTE=/tmp/broken/mote tests/run/run streams.
"""
