# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# For tests/native: what a guest on --net user can reach, with the machine's own passt, in network namespaces of the test's.
# build/tests/tools/passt_probe sends what a guest would, by the same uplink; servers answer at the loopback, at addresses of
# the host's own, at a cloud's address of metadata, and next door on a local network.
# shellcheck disable=SC2154 # work, mote and payloads are the runner's

net_names=(--net --mount)
((EUID == 0)) || net_names+=(--map-current-user --keep-caps)

# net_host NAME_SERVER COMMAND…: the command in a host whose networks are the test's; what it prints goes to $work/out.
net_host() {
    local server=$1
    shift
    timeout -k 1 120 unshare "${net_names[@]}" bash -c "$net_setup" net_host "$server" "$work" "$@" >"$work/out" 2>"$work/err" ||
        fail "status $?; stderr ends: $(tail -n 2 "$work/err" | tr '\n' ' ')"
}

# Next door, 192.168.7.1, is a namespace of its own, and the way out leads there. 203.0.113.7 is the host's, too.
# shellcheck disable=SC2016 # for bash -c
net_setup='set -e
server=$1 work=$2
shift 2
echo "nameserver $server" >"$work/resolv.conf"
mount --bind "$work/resolv.conf" "$(realpath /etc/resolv.conf)"
ip link set lo up
ip address add 127.0.0.53/8 dev lo
unshare --net sleep 60 &
export door=$!
while [ "$(readlink /proc/$door/ns/net)" = "$(readlink /proc/self/ns/net)" ]; do sleep 0.05; done
ip link add mote0 type veth peer name door0 netns $door
ip address add 192.168.7.2/24 dev mote0
ip address add 203.0.113.7/32 dev mote0
ip address add 169.254.169.254/32 dev mote0
ip -6 address add fd00:7::2/64 dev mote0 nodad
ip -6 address add 2001:db8:7::2/64 dev mote0 nodad
ip link set mote0 up
in_door() { nsenter --net=/proc/$door/ns/net "$@"; }
in_door ip link set lo up
in_door ip address add 192.168.7.1/24 dev door0
in_door ip address add 198.51.100.1/32 dev lo
in_door ip -6 address add fd00:7::1/64 dev door0 nodad
in_door ip -6 address add 2001:db8:7::1/64 dev door0 nodad
in_door ip -6 address add 2001:db8:9::1/128 dev lo nodad
in_door ip link set door0 up
ip route add default via 192.168.7.1 dev mote0
ip -6 route add default via 2001:db8:7::1 dev mote0
in_door ip route add default via 192.168.7.2 dev door0
echo=$(realpath tests/native-net-server.py)
python3 "$echo" 127.0.0.1 203.0.113.7 192.168.7.2 169.254.169.254 ::1 fd00:7::2 2001:db8:7::2 &
host=$!
in_door python3 "$echo" 192.168.7.1 198.51.100.1 fd00:7::1 2001:db8:9::1 &
far=$!
build/tests/tools/dns 127.0.0.53 53 192.0.2.77 & names=$!
in_door build/tests/tools/dns 192.168.7.1 53 192.0.2.77 & far_names=$!
for i in $(seq 100); do ! in_door ss -Htln "sport = 80" | grep -q 2001:db8 || ! ss -Htln "sport = 80" | grep -q 2001:db8 || break; sleep 0.05; done
status=0
"$@" || status=$?
kill $door $host $far $names $far_names
exit $status'

# reaches "OPTIONS" TARGET=RESULT…: what comes of each.
reaches() {
    local options=$1 pair targets=()
    shift
    for pair; do targets+=("${pair%=*}"); done
    net_host "${net_server:-127.0.0.53}" build/tests/tools/passt_probe "$options" "${targets[@]}"
    for pair; do
        grep -qxF -- "${pair%=*} ${pair##*=}" "$work/out" ||
            fail "$options: wanted ${pair##*=}: $(grep -F -- "${pair%=*} " "$work/out")"
    done
}

# What no word opens, for passt would take it for the host's loopback.
nowhere=(tcp:127.0.0.1:80=closed tcp:0.0.0.0:80=closed tcp:127.0.0.53:80=closed udp:127.0.0.1:80=closed
    udp:127.0.0.1:67=closed udp:0.0.0.0:80=closed 'tcp:[::1]:80=closed' 'tcp:[::]:80=closed' 'tcp:[::ffff:127.0.0.1]:80=closed'
    'udp:[::1]:547=closed')
own=(tcp:192.168.7.2:80 tcp:203.0.113.7:80 udp:203.0.113.7:80)
metadata=(tcp:169.254.169.254:80 udp:169.254.169.254:80)
door=(tcp:192.168.7.1:80 udp:192.168.7.1:80 udp:192.168.7.1:547)

network_of_run() {
    reaches user,private dns:10.0.2.3=open tcp:198.51.100.1:80=open udp:198.51.100.1:80=open tcp:10.0.2.2:80=closed \
        tcp:10.0.2.3:53=closed udp:10.0.2.3:80=closed "${nowhere[@]}" "${own[@]/%/=closed}" "${metadata[@]/%/=closed}" \
        "${door[@]/%/=closed}"
    says "$work/err" 'is on a local network of the host'\''s and is closed to the guest; open it by --net user,local'
    says "$work/err" '169.254.169.254 is a link'\''s or a cloud'\''s own and is closed to the guest; open it by --net user,link-local'
}

words_of_run() {
    reaches user,private,local dns:10.0.2.3=open "${nowhere[@]}" "${own[@]/%/=open}" "${metadata[@]/%/=closed}" \
        tcp:192.168.7.1:80=open udp:192.168.7.1:80=open tcp:10.0.2.2:80=closed
    reaches user,private,link-local dns:10.0.2.3=open "${nowhere[@]}" "${own[@]/%/=closed}" "${metadata[@]/%/=open}" \
        tcp:192.168.7.1:80=closed tcp:10.0.2.2:80=closed
    reaches user,private,host-loopback dns:10.0.2.3=open "${nowhere[@]}" "${own[@]/%/=closed}" "${metadata[@]/%/=closed}" \
        tcp:192.168.7.1:80=closed tcp:10.0.2.2:80=open
}

# The host's gateway, 192.168.7.1, is where passt of itself maps the loopback to, and where a name server at that is.
network_of_boot() {
    reaches user dns:192.168.7.1=open tcp:198.51.100.1:80=open 'tcp:[2001:db8:9::1]:80=open' tcp:192.168.7.1:80=closed \
        tcp:192.168.7.1:53=closed "${nowhere[@]}" "${own[@]/%/=closed}" "${metadata[@]/%/=closed}" \
        'tcp:[fd00:7::1]:80=closed' 'tcp:[fd00:7::2]:80=closed' 'tcp:[2001:db8:7::2]:80=closed'
    says "$work/err" '192.168.7.1 leads to the host'\''s loopback and is closed to the guest; open it by --net user,host-loopback'
    reaches user,local tcp:192.168.7.1:80=closed "${nowhere[@]}" "${own[@]/%/=open}" 'tcp:[fd00:7::1]:80=open'
    reaches user,host-loopback tcp:192.168.7.1:80=open "${nowhere[@]}" tcp:203.0.113.7:80=closed
}

# With a name server elsewhere the gateway is one as others, and the name server is open for names.
network_of_boot_elsewhere() {
    local net_server=192.168.7.1
    reaches user dns:192.168.7.1=open tcp:192.168.7.1:80=closed tcp:198.51.100.1:80=open "${nowhere[@]}"
    reaches user,local tcp:192.168.7.1:80=open "${nowhere[@]}"
    reaches user,private dns:10.0.2.3=open tcp:192.168.7.1:80=closed
}

# Clients of a forwarded port are answered wherever they are, and nobody else on their network is.
# shellcheck disable=SC2016 # for bash -c
forwards_answer() {
    local client
    for client in 127.0.0.1 203.0.113.7 door; do
        net_host 127.0.0.53 bash -c '
            build/tests/tools/passt_probe user,private,forward=tcp:8080:80 serve:80 tcp:192.168.7.1:80 >"$1/served" &
            for i in $(seq 100); do ! grep -q ready "$1/served" || break; sleep 0.05; done
            if [ "$2" = door ]; then
                nsenter --net=/proc/$door/ns/net timeout 5 busybox nc 192.168.7.2 8080 </dev/null || true
            else
                timeout 5 busybox nc "$2" 8080 </dev/null || true
            fi
            wait
            cat "$1/served"' bash "$work" "$client"
        says "$work/out" 'serve:80 served'
        says "$work/out" 'tcp:192.168.7.1:80 closed'
    done
}

# published OPTION WANTED…: the addresses that passt listens at.
# shellcheck disable=SC2016 # for bash -c
published() {
    local option=$1
    shift
    net_host 127.0.0.53 bash -c 'build/tests/tools/passt_probe "$1" serve:80 >/dev/null & probe=$!
        for i in $(seq 100); do [ -z "$(ss -Htuln "sport >= 8080 and sport <= 8082")" ] || break; sleep 0.05; done
        ss -Htuln "sport >= 8080 and sport <= 8082" | awk "{ print \$1, \$5 }" | sort | tr "\n" ";"
        kill $probe; wait $probe || true' bash "$option"
    [[ $(<"$work/out") == "$*" ]] || fail "$option: listens at $(<"$work/out"), wanted $*"
}

addresses_of_forwards() {
    published user,private,forward=tcp:8080:80 'tcp 0.0.0.0:8080;'
    published user,private,forward=tcp:127.0.0.1:8080:80 'tcp 127.0.0.1:8080;'
    published user,private,forward=tcp:127.0.0.1:8080:80,forward=tcp:203.0.113.7:8081:81,forward=udp:127.0.0.53:8082:80 \
        'tcp 127.0.0.1:8080;tcp 203.0.113.7:8081;udp 127.0.0.53:8082;'
    published 'user,forward=tcp:[::1]:8081:80' 'tcp [::1]:8081;'
}

if ! command -v passt >/dev/null || ! command -v ip >/dev/null || ! command -v unshare >/dev/null; then
    net_skip='passt, ip or unshare is not installed'
elif ! unshare "${net_names[@]}" true 2>/dev/null; then
    net_skip='this user may have no network namespace'
fi
if [[ -n ${net_skip:-} ]]; then
    echo "net: skipped: $net_skip"
    skipped=$((skipped + 6))
else
    a_test 'user network: of run, closed but for the outside' network_of_run
    a_test 'user network: of run, a word opens what it says' words_of_run
    a_test 'user network: of boot' network_of_boot
    a_test 'user network: of boot, name server elsewhere' network_of_boot_elsewhere
    a_test 'user network: clients of a forwarded port' forwards_answer
    a_test 'user network: ports at addresses' addresses_of_forwards
fi
