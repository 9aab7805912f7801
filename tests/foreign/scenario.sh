#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# scenario.sh HOW - two programs talk over the embedded tailnet, in a root file
# system that has nothing of ours but /opt/tsnet (the bundle) and /opt/test
#
# HOW is stock (python3 serves, curl asks: a glibc root), old (the same with a
# glibc that libtsnet.so is too new for) or probe (libc_probe does both: a musl
# root). First it checks that the root is as poor as it should
# be; each "ok NAME" is one fact, and the last line is "done".
set -eu
how=$1
bin=/opt/tsnet/bin/tsrun
cd /tmp
pids=

fail() {
	echo "FAILED: $1"
	for log in lab.log *.log *.err; do
		[ ! -s "$log" ] || sed "s/^/  $log: /" "$log" | tail -n 25
	done
	exit 1
}
ok() { echo "ok $1"; }
clean_up() {
	# shellcheck disable=SC2086
	[ -z "$pids" ] || kill $pids 2>/dev/null || :
}
trap clean_up EXIT
wait_for() { # WHAT COMMAND...
	what=$1 n=0
	shift
	until "$@" >/dev/null 2>&1; do
		n=$((n + 1))
		[ $n -lt 300 ] || fail "timed out: $what"
		sleep 0.1
	done
}

# -- the place ---------------------------------------------------------------
[ "$(id -u)" = 1000 ] || fail "uid $(id -u)"
grep -q '^CapEff:.*0000000000000000$' /proc/self/status || fail capabilities
grep -q '^CapBnd:.*0000000000000000$' /proc/self/status || fail 'bounding set'
[ ! -e /dev/net/tun ] || fail /dev/net/tun
(: >/forbidden) 2>/dev/null && fail 'the root can be written'
grep -q '^Seccomp:.*2$' /proc/self/status || fail 'no seccomp filter'
for lib in libssl libev libcurl libnghttp2 libjansson libmicrohttpd; do
	case $how:$lib in # curl's and python's own
	stock:libcurl | stock:libnghttp2 | stock:libssl) continue ;;
	old:libcurl | old:libnghttp2 | old:libssl) continue ;;
	esac
	! ls /lib/*/$lib.so* /usr/lib/*/$lib.so* >/dev/null 2>&1 ||
		fail "$lib is here"
done
ok place

# -- the tailnet --------------------------------------------------------------
export TSNET_CONF=/dev/null HOME=/tmp
/opt/test/tsnet-lab --listen 127.0.0.1:0 --ready-file ready \
	--command-socket lab.sock \
	--authkey key-alice,reusable,user=alice@example.com \
	--authkey key-bob,reusable,user=bob@example.com >lab.log 2>&1 &
pids=$!
wait_for 'the tailnet' test -s ready
url=$(sed -n 's/.*"control_url": *"\([^"]*\)".*/\1/p' ready)
[ -n "$url" ] || fail 'no control url'

mkdir -p page
echo 'hello from a foreign root' >page/index.html

start_server() { # NAME OPTION...
	name=$1
	shift
	if [ "$how" != probe ]; then
		set -- "$@" python3 -u -m http.server 80 --directory /tmp/page
	else
		set -- "$@" /opt/test/libc_probe serve 80 20
	fi
	TS_AUTHKEY=key-alice "$bin" --hostname "$name" --state "/tmp/$name" \
		--control-url "$url" --listen tailnet "$@" \
		>"$name.log" 2>"$name.err" &
	pids="$pids $!"
	wait_for "$name" "$bin" --socket "/tmp/$name/tailscaled.sock" status
	wait_for "$name to serve" grep -qiE 'serving|listening' "$name.log"
}

ask() { # CLIENT SERVER OPTION...: what the server says
	client=$1 server=$2
	shift 2
	if [ "$how" != probe ]; then
		set -- "$@" curl -sS --max-time 20 --retry 5 \
			--retry-connrefused "http://$server/"
	else
		set -- "$@" /opt/test/libc_probe call "$server" 80 hello
	fi
	TS_AUTHKEY=key-bob "$bin" --hostname "$client" --state "/tmp/$client" \
		--control-url "$url" "$@" 2>"$client.err" >"$client.log" ||
		fail "$client cannot ask $server"
	cat "$client.log"
}

check() { # CLIENT SERVER: content and identity of the last ask
	if [ "$how" != probe ]; then
		grep -q 'hello from a foreign root' "$1.log" || fail "$1: content"
	else
		[ "$(grep -c 'says hello' "$1.log")" = 2 ] || fail "$1: content"
	fi
	check_peer "$1" "$2"
}

check_peer() { # CLIENT SERVER: as whom the server saw it
	peer=$(grep -hoE '100\.64\.0\.[0-9]+ (- -|says)' "$2.log" "$2.err" |
		tail -n 1 | cut -d' ' -f1)
	"$bin" --socket "/tmp/$2/tailscaled.sock" whois "$peer" >whois.log ||
		fail "whois $peer"
	grep -q bob@example.com whois.log || fail "$peer is not bob"
	grep -q "$1" whois.log || fail "$peer is not $1"
}

start_server web
ask laptop web
check laptop web
ok hosted

exchange() { # CLIENT SERVER [udp-] PROBE...: one question, by address
	client=$1 server=$2 kind=$3
	shift 3
	TS_AUTHKEY=key-alice "$bin" --hostname "$server" \
		--state "/tmp/$server" --control-url "$url" --listen tailnet \
		"$@" "${kind}serve" 80 2 >"$server.log" 2>"$server.err" &
	pids="$pids $!"
	wait_for "$server" "$bin" --socket "/tmp/$server/tailscaled.sock" status
	wait_for "$server to serve" grep -q listening "$server.log"
	ip=$("$bin" --socket "/tmp/$server/tailscaled.sock" ip | head -n 1)
	TS_AUTHKEY=key-bob "$bin" --hostname "$client" \
		--state "/tmp/$client" --control-url "$url" --wait \
		"$@" "${kind}call" "$ip" 80 hello \
		>"$client.log" 2>"$client.err" || fail "$client asks $server"
	grep -q "^$ip: .*100[.]64[.]0[.][0-9]* says hello" "$client.log" ||
		fail "$client: content"
	check_peer "$client" "$server"
}

if [ "$how" = probe ]; then
	exchange pigeon tree udp- /opt/test/libc_probe
else
	exchange pigeon tree udp- python3 -u /opt/test/udp_probe.py
fi
ok datagrams

# Descriptors cannot be fetched here (pidfd_getfd).
static_programs() {
	exchange still fixed '' /opt/test/static_probe
	ok 'static programs'
	exchange stone rock udp- /opt/test/static_probe
	ok 'static programs: datagrams'
}
static_programs

in_process() {
	ask thread web --in-process
	check thread web
	ok 'in-process client'
	start_server inside --in-process
	ask desk inside
	check desk inside
	ok 'in-process server'
}

# libtsnet.so wants the glibc that it was built with, or a later one.
not_in_process() {
	TS_AUTHKEY=key-bob "$bin" --hostname thread --state mem: \
		--control-url "$url" --in-process curl -sS http://web/ \
		>thread.log 2>&1 && fail 'in-process worked: run as stock'
	grep -q "cannot load libtsnet.so.*GLIBC_2" thread.log ||
		fail 'in-process did not say why'
	ok 'in-process refused'
}

if [ "$how" = old ]; then
	not_in_process
else
	in_process
fi

# Without roots nothing can be believed, and the reason is said.
if [ ! -e /etc/ssl/certs/ca-certificates.crt ]; then
	tls_port=$(sed -n 's/^[^[]*"derp_port": *\([0-9]*\).*/\1/p' ready)
	"$bin" --hostname x --state mem: --control-url \
		"https://127.0.0.1:$tls_port" --wait=5 /opt/test/libc_probe >ca.log 2>&1 &&
		fail 'TLS without roots'
	grep -q 'no CA certificates' ca.log || fail 'TLS without roots: why?'
	ok 'no roots'
fi
"$bin" --version | grep -q '^tsrun ' || fail version
"$bin" --check /bin/sh | sed 's/^/# /' || :
echo done
