# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# What the scripts share: messages, the cache folder, and Debian packages fetched without touching the
# machine's own apt configuration.

MOTE_CACHE=${MOTE_CACHE:-${XDG_CACHE_HOME:-${HOME:-/var/tmp}/.cache}/mote}

# Every failure of a script's own is one line and status 125, so that it is never taken for a command's status.
die() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit 125
}

# Nothing fails in silence: what is not foreseen names its line, once.
set -E
on_error() {
    [[ $1 -eq 125 || $BASH_SUBSHELL -gt 0 ]] || say "unexpected status $1 in line $2: $3"
    exit 125
}
trap 'on_error $? $LINENO "$BASH_COMMAND"' ERR

say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }

# The comment at the head of a script is its manual.
usage() {
    sed -n '2,/^[^#]/{/^# SPDX/d; s/^# \{0,1\}//p}' "$0" | sed '1{/^$/d}'
    exit 0
}

# A line that the next one replaces; on a terminal only.
progress() { [[ ! -t 2 ]] || printf '\r\033[K%s: %s' "${0##*/}" "$*" >&2; }
progress_end() { [[ ! -t 2 ]] || printf '\r\033[K' >&2; }

# need_tools TIER TOOL…: stops with the command that installs what is missing.
need_tools() {
    local tier=$1 tool
    shift
    for tool; do
        PATH=$PATH:/sbin:/usr/sbin type -P "$tool" >/dev/null ||
            die "$tool is missing; run scripts/setup $tier"
    done
}

# run_logged LOG COMMAND…: quiet; a failure returns 1 after the log's last lines went to stderr.
run_logged() {
    local log=$1
    shift
    "$@" >"$log" 2>&1 && return
    progress_end
    tail -n 8 "$log" | sed 's/^/    /' >&2
    return 1
}

# take_lock FILE [TEXT]: holds an exclusive lock on FILE until the script ends; who must wait says TEXT first.
take_lock() {
    mkdir -p "${1%/*}" || die "cannot make ${1%/*}; set MOTE_CACHE to a folder that you may write"
    exec {lock_fd}>"$1" || die "cannot write $1; set MOTE_CACHE to a folder that you may write"
    flock --nonblock "$lock_fd" && return
    [[ -z ${2:-} ]] || say "$2"
    flock "$lock_fd"
}

# --- Debian packages with lists, sources and cache of our own ---------------------------------------------

# debian_mirror main|security: the address that this machine's own apt sources use for Debian.
debian_mirror() {
    local pattern='^(bookworm|trixie|forky|stable|testing|unstable|sid)$'
    [[ $1 == security ]] && pattern='^(bookworm|trixie|forky|stable|testing)-security$'
    # shellcheck disable=SC2016 # apt fills these in, not the shell
    apt-get indextargets -o APT::Get::IndexTargets::OnlyPresent=false --no-release-info \
        --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' 2>/dev/null |
        awk -v p="$pattern" '$2 ~ p && $3 == "main" { print $1; exit }'
}

# apt_root SUITE ARCH: prints an apt.conf for SUITE; refreshes its package lists when they are over an hour old.
apt_root() {
    local suite=$1 arch=$2 root=$MOTE_CACHE/apt/$1-$2 mirror security
    local keyring=/usr/share/keyrings/debian-archive-keyring.gpg
    [[ -r $keyring ]] || die "$keyring is missing; install the package debian-archive-keyring"
    mkdir -p "$root"/{lists/partial,cache/archives/partial}
    mirror=${MOTE_MIRROR:-$(debian_mirror main)}
    [[ -n $mirror ]] || die "no Debian mirror in this machine's apt sources; name one with MOTE_MIRROR=URL"
    security=${MOTE_SECURITY_MIRROR:-$(debian_mirror security)}
    source_stanza "$mirror" "$suite" "$keyring" >"$root/debian.sources"
    # Backports have none of their own, and what is unstable gets its security updates as all others.
    if [[ -n $security && $suite != *-* && $suite != @(sid|unstable) ]]; then
        source_stanza "$security" "$suite-security" "$keyring" >>"$root/debian.sources"
    fi
    cat >"$root/apt.conf" <<CONF
Dir::Etc::SourceList "$root/debian.sources";
Dir::Etc::SourceParts "/dev/null";
Dir::Etc::Preferences "/dev/null";
Dir::Etc::PreferencesParts "/dev/null";
Dir::State::Lists "$root/lists";
Dir::State::Status "/dev/null";
Dir::Cache "$root/cache";
APT::Architecture "$arch";
#clear APT::Architectures;
APT::Architectures { "$arch"; };
#clear APT::Default-Release;
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
APT::Sandbox::User "root";
Acquire::Languages "none";
Acquire::Retries "3";
CONF
    if [[ -z $(find "$root/updated" -mmin -60 2>/dev/null) ]]; then
        refresh_lists "$suite" "$root" || return 1
        touch "$root/updated"
    fi
    printf '%s\n' "$root/apt.conf"
}

# refresh_lists SUITE ROOT: a mirror that stands still has lists that are past their date, though their signature is good.
refresh_lists() {
    local update=(apt-get -c "$2/apt.conf" -o APT::Update::Error-Mode=any -qq update) log=$2/update.log
    "${update[@]}" >"$log" 2>&1 && return
    if grep -q ' is expired ' "$log" && "${update[@]}" -o Acquire::Check-Valid-Until=false >"$log" 2>&1; then
        say "the mirror's lists of $1 are past their date; taken all the same"
        return
    fi
    run_logged "$log" "${update[@]}"
}

source_stanza() {
    printf 'Types: deb\nURIs: %s\nSuites: %s\nComponents: main\nTargets: Packages\nSigned-By: %s\n\n' "$@"
}

# apt_field CONF PACKAGE FIELD: a field of the newest version, or nothing.
apt_field() {
    apt-cache -c "$1" show --no-all-versions "$2" 2>/dev/null | sed -n "s/^$3: //p" | head -n 1 || true
}

# apt_fetch CONF PACKAGE FOLDER: downloads and checks the package; prints the file's name.
apt_fetch() {
    local conf=$1 package=$2 folder=$3
    (cd "$folder" && run_logged "$folder/apt.log" apt-get -c "$conf" -qq download "$package") || return 1
    printf '%s\n' "$folder/$package"_*.deb
}

# --- Where KVM works --------------------------------------------------------------------------------------

# need_icount: stops in a lab whose clock is an ordinary one: its times would pass for counted instructions.
need_icount() {
    [[ -z ${MOTE_LAB:-} || -n ${MOTE_LAB_ICOUNT:-} ]] ||
        die "this lab's clock does not count instructions; leave the lab, or start it by scripts/lab --icount"
}

# choose_runner: sets the array runner to what must stand before a command that needs KVM for stock kernels:
# `env` on a machine where that works, sudo where only the permission is missing, else the lab. Says which.
# With build/mote built, in the project's folder.
choose_runner() {
    if build/mote doctor --brief >/dev/null; then
        runner=(env)
    elif [[ -e /dev/kvm && ! -w /dev/kvm ]] && sudo -n true 2>/dev/null && sudo build/mote doctor --brief >/dev/null; then
        say "/dev/kvm is not open to $USER: using sudo ('build/mote doctor' tells how to mend that)"
        runner=(sudo)
    else
        say "this machine's KVM cannot run stock kernels: using the lab, an emulated machine (slower; times are emulated)"
        scripts/setup lab
        # shellcheck disable=SC2034 # for who has read this file
        runner=(scripts/lab --)
    fi
}
