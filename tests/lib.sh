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

# python_tests TIER FILE…: the tier's tests in Python (tests/harness); adds up their counts. Without a count, one has failed.
python_tests() {
    local tier=$1 counts
    shift
    env PYTEST_DISABLE_PLUGIN_AUTOLOAD=1 /usr/bin/python3 -m pytest -c tests/pytest.ini --tier "$tier" "$@" 2>&1 |
        tee "$work/python" | grep -v "^$tier: [0-9]* passed," || true
    counts=$(sed -n "s/^$tier: \([0-9]*\) passed, \([0-9]*\) failed, \([0-9]*\) skipped\$/\1 \2 \3/p" "$work/python" | tail -n 1)
    [[ -n $counts ]] || echo "FAIL - the tests in Python came to no end"
    # shellcheck disable=SC2086 # three words
    set -- ${counts:-0 1 0}
    passed=$((passed + $1)) failed=$((failed + $2)) skipped=$((skipped + $3))
}

# says FILE TEXT: FILE holds TEXT.
says() {
    grep -qaF -- "$2" "$1" ||
        fail "'$2' is missing in std${1##*/}, which ends: $(tail -n 3 "$1" | tr -c '[:print:]' ' ')"
}

# milliseconds: a clock.
milliseconds() { echo $((${EPOCHREALTIME/[.,]/} / 1000)); }

# shellcheck disable=SC2154 # child is of the scripts
# group_of CONTROLLER: the folder of $child's control group, of either version.
group_of() {
    local path
    path=$(sed -n "s/^[0-9]*:\(.*,\)\?$1\(,.*\)\?://p; s/^0:://p" "/proc/$child/cgroup" | head -n 1)
    for folder in "/sys/fs/cgroup/$1$path" "/sys/fs/cgroup$path"; do
        [[ ! -e $folder/cgroup.procs ]] || { echo "$folder"; return; }
    done
}

# oci_layout NAME TAR: an OCI layout with this layer alone, as it is.
oci_layout() {
    local type=application/vnd.oci.image layer digest config manifest
    mkdir -p "$1/blobs/sha256"
    # blob FILE: its descriptor's digest and size; a copy is kept under the digest.
    blob() {
        local digest
        digest=$(sha256sum "$2" | cut -c 1-64)
        cp "$2" "$1/blobs/sha256/$digest"
        printf '"digest":"sha256:%s","size":%s' "$digest" "$(stat -c %s "$2")"
    }
    layer=$(blob "$1" "$2") digest=${layer#\"digest\":}
    printf '{"architecture":"amd64","os":"linux","config":{},"rootfs":{"type":"layers","diff_ids":[%s]}}' \
        "${digest%%,*}" >"$1/config"
    config=$(blob "$1" "$1/config")
    printf '{"schemaVersion":2,"config":{"mediaType":"%s.config.v1+json",%s},"layers":[{"mediaType":"%s.layer.v1.tar",%s}]}' \
        "$type" "$config" "$type" "$layer" >"$1/manifest"
    manifest=$(blob "$1" "$1/manifest")
    printf '{"schemaVersion":2,"manifests":[{"mediaType":"%s.manifest.v1+json",%s}]}' "$type" "$manifest" >"$1/index.json"
    echo '{"imageLayoutVersion":"1.0.0"}' >"$1/oci-layout"
}

# saved_archive FILE TAR: what `docker save` writes of an image with this layer alone.
saved_archive() {
    local folder
    folder=$(mktemp -d)
    cp "$2" "$folder/layer.tar"
    printf '{"architecture":"amd64","os":"linux","config":{},"rootfs":{"type":"layers","diff_ids":["sha256:%s"]}}' \
        "$(sha256sum "$2" | cut -c 1-64)" >"$folder/config.json"
    echo '[{"Config":"config.json","RepoTags":["x:1"],"Layers":["layer.tar"]}]' >"$folder/manifest.json"
    tar -C "$folder" -cf "$1" manifest.json config.json layer.tar
    rm -r "$folder"
}
