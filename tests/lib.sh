# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# What the test scripts share: named tests, their count, and checks that note
# why a test failed instead of ending the script.

# shellcheck disable=SC2034 # the scripts use it
mote=${MOTE:-build/mote}
passed=0 failed=0 skipped=0 failure=''
skip_all='' # why no test can run; empty while they can
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# fail WORDS…: the test that runs has failed; the first reason counts.
fail() { [[ -n $failure ]] || failure=$*; }

# a_test NAME COMMAND…: runs one test.  MOTE_TEST_ONLY=PATTERN passes over those whose names do not fit.
a_test() {
    local name=$1
    shift
    [[ $name =~ ${MOTE_TEST_ONLY:-} ]] || return 0
    if [[ -n $skip_all ]]; then
        skipped=$((skipped + 1))
        return
    fi
    failure=''
    "$@" || fail "the test itself ended with status $?"
    if [[ -z $failure ]]; then
        passed=$((passed + 1))
        echo "ok - $name"
    else
        failed=$((failed + 1))
        echo "FAIL - $name: $failure"
    fi
}

# count TIER: the last line, and whether all went well.
count() {
    [[ -z $skip_all ]] || echo "$1: skipped: $skip_all"
    echo "$1: $passed passed, $failed failed, $skipped skipped"
    ((failed == 0))
}

# says FILE TEXT: FILE holds TEXT.
says() {
    grep -qaF -- "$2" "$1" ||
        fail "'$2' is missing in std${1##*/}, which ends: $(tail -n 3 "$1" | tr -c '[:print:]' ' ')"
}

# milliseconds: a clock.
milliseconds() { echo $((${EPOCHREALTIME/[.,]/} / 1000)); }
