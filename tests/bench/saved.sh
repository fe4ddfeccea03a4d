# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# Guests that were saved, by Mote and by QEMU, and the contenders that go on from them.

# shellcheck disable=SC2154 # qemu and microvm are of lib.sh

# until_said FILE TEXT PID: waits until the guest's console, whose output is in FILE, has said TEXT.
until_said() {
    until grep -q "$2" "$1"; do
        kill -0 "$3" 2>/dev/null || die "the guest to be saved ended: $(tail -n 1 "$1")"
        sleep 0.1
    done
}

# save_mote FOLDER TEXT WORD…: saves `mote boot WORD…` once it has said TEXT and has come to rest. TEXT is empty for a
# guest that cannot say anything.
save_mote() {
    local folder=$1 text=$2 pid
    shift 2
    build/mote boot --name bench --log-level warn "$@" </dev/null >"$folder.out" &
    pid=$!
    [[ -z $text ]] || until_said "$folder.out" "$text" "$pid"
    until build/mote pause bench 2>/dev/null; do
        kill -0 "$pid" 2>/dev/null || die "the guest to be saved ended"
        sleep 0.02
    done
    build/mote resume bench
    sleep 1
    build/mote snapshot bench "$folder" --stop
    wait "$pid"
}

# save_qemu FOLDER TEXT MIB WORD…: saves QEMU's microvm machine, with the console that WORD… give it, in both ways that
# QEMU has: FOLDER/stream is all of it; FOLDER/state is what is not memory, and FOLDER/memory that. The monitor takes
# its commands from a pipe, and the next when the one before is done.
save_qemu() {
    local folder=$1 text=$2 mib=$3 pid
    shift 3
    mkdir "$folder"
    mkfifo "$folder/save.in"
    : >"$folder/save.out"
    : >"$folder/load.out"
    printf 'migrate_set_capability x-ignore-shared on\nmigrate_incoming fd:9\n' >"$folder/load.in"
    "${qemu[@]}" -M "$microvm,isa-serial=on,memory-backend=ram" -m "$mib" -serial stdio "$@" \
        -object "memory-backend-file,id=ram,size=${mib}M,mem-path=$folder/memory,share=on" \
        -chardev "pipe,id=save,path=$folder/save" -mon save </dev/null >"$folder/out" 2>"$folder/log" &
    pid=$!
    until_said "$folder/out" "$text" "$pid"
    sleep 1
    printf '%s\n' "migrate \"exec:cat > $folder/stream\"" cont 'migrate_set_capability x-ignore-shared on' \
        "migrate \"exec:cat > $folder/state\"" quit 1<>"$folder/save.in" # not >, which waits for a reader even if QEMU has ended
    wait "$pid" || die "QEMU could not save its guest: $(tail -n 1 "$folder/log")"
    [[ -s $folder/stream && -s $folder/state ]] || die "QEMU saved nothing; see what its monitor has against it: $folder/save.out"
}

# add_mote_restore LABEL FOLDER INPUT WORD…: what save_mote saved goes on, with INPUT for its console.
add_mote_restore() {
    # shellcheck disable=SC2016 # for that shell
    add "$1" sh -c 'exec "$@" <"$0"' "$3" build/mote restore "$2" --log-level error "${@:4}"
}

# add_qemu_incoming LABEL FOLDER INPUT MIB WORD…: so does what save_qemu did: from the stream, which is read into
# memory, and from the state, with the memory as a private view of its file.
add_qemu_incoming() {
    # shellcheck disable=SC2016 # for that shell
    local label=$1 folder=$2 input=$3 mib=$4 fed='saved=$1; shift; exec "$@" <"$0" 9<"$saved"' common
    shift 4
    common=("${qemu[@]}" -M "$microvm,isa-serial=on,memory-backend=ram" -m "$mib" -serial stdio "$@")
    add "$label" sh -c "$fed" "$input" "$folder/stream" "${common[@]}" \
        -object "memory-backend-ram,id=ram,size=${mib}M" -incoming fd:9
    add "$label, mapped" sh -c "$fed" "$input" "$folder/state" "${common[@]}" \
        -object "memory-backend-file,id=ram,size=${mib}M,mem-path=$folder/memory,share=off" -incoming defer \
        -chardev "pipe,id=load,path=$folder/load" -mon load
}

# go_on JOB: what the console of a saved guest gets. QEMU's serial port takes a byte before it has its state, and loses it.
go_on() { printf '\n\n\n\n\n\n\n\n%s\n' "$1"; }
