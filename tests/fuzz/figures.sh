# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# fuzz_figures LOG: what a run came to, by libFuzzer's log: executions, and the edges of the program that were taken.
fuzz_figures() {
    awk '/^INFO: Loaded .* counters\)/ { all = $5; gsub(/[^0-9]/, "", all) }
         /^stat::number_of_executed_units:/ { runs = $2 }
         { if (match($0, /cov: [0-9]+/)) edges = substr($0, RSTART + 5, RLENGTH - 5) }
         END { printf "%9d executions, %5d of %5d edges (%d %%)\n", runs, edges, all, all ? edges * 100 / all : 0 }' "$1"
}
