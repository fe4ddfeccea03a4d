# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# What the tests of guests share: parts with a machine of their own each, and their counts.
# shellcheck disable=SC2154 # runner is of scripts/lib.sh

# run_part TIER PART LOG COMMAND…: adds up the part's counts; status 1 when it gave none.
run_part() {
    local tier=$1 part=$2 log=$3 counts begun=$SECONDS
    shift 3
    env "MOTE_${tier^^}_PARTS=$part" "${runner[@]}" "$@" 2>&1 | tee "$log" || true
    counts=$(sed -n "s/^$tier: \([0-9]*\) passed, \([0-9]*\) failed.*/\1 \2/p" "$log")
    [[ -n $counts ]] || return 1
    passed=$((passed + ${counts% *})) failed=$((failed + ${counts#* }))
    echo "the part $part took $((SECONDS - begun)) s"
}

# run_parts TIER "PART…" LOGS COMMAND…: all of them; the last line is "TIER: N passed, N failed, 0 skipped". A part's
# output is in LOGS.PART.log, too. One that came to no end, in the lab within MOTE_PART_SECONDS (1500), is run once more.
run_parts() {
    local tier=$1 part
    passed=0 failed=0
    [[ ${runner[0]} != scripts/lab ]] || runner=(scripts/lab --timeout "${MOTE_PART_SECONDS:-1500}" --)
    for part in $2; do
        run_part "$tier" "$part" "$3.$part.log" "${@:4}" && continue
        echo "the part $part came to no end: trying again"
        run_part "$tier" "$part" "$3.$part.log" "${@:4}" && continue
        echo "FAIL - the part $part came to no end twice"
        failed=$((failed + 1))
    done
    echo "$tier: $passed passed, $failed failed, 0 skipped"
    ((failed == 0))
}
