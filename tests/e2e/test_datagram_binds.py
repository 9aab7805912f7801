"""What a bound datagram socket is told, and which binds exclude each other."""
import json
import os
import subprocess

import pytest

from harness import wait_until

FAMILIES = pytest.mark.parametrize("family", [0, 1], ids=["v4", "v6"])
PRELUDE = """
import errno, json, os, socket, struct, sys, time
V = 6 if sys.argv[1] == "1" else 4
FAMILY = socket.AF_INET6 if V == 6 else socket.AF_INET
def own():
    return socket.getaddrinfo(socket.gethostname() if len(sys.argv) < 3
                              else sys.argv[2], 0, FAMILY)[0][4][0]
def udp(*options):
    s = socket.socket(FAMILY, socket.SOCK_DGRAM)
    s.settimeout(20)
    for option in options:
        s.setsockopt(*option, 1)
    return s
def say(what):
    print(json.dumps(what), flush=True)
"""


@pytest.fixture
def python(run):
    def start(name, family, code, **kwargs):
        return run(name, "python3", "-c", PRELUDE + code, str(family), name,
                   options=("--wait", *kwargs.pop("options", ())), **kwargs)
    return start


def said(program):
    program.code = program.wait(60)
    assert program.code == 0, program.err + program.log[-3000:]
    return [json.loads(line) for line in program.out.splitlines()]


def test_our_ipv6_address_has_ipv6_control_data(python):
    """From a peer and from ourselves."""
    server = python("server", 1, """
IP6 = socket.IPPROTO_IPV6
s = udp((IP6, socket.IPV6_RECVTCLASS), (IP6, socket.IPV6_RECVHOPLIMIT),
        (IP6, socket.IPV6_RECVPKTINFO))
s.bind((own(), 7000))
say(s.getsockname()[:2])
udp().sendto(b"us", (own(), 7000))
while True:
    data, control, flags, peer = s.recvmsg(100, 1000)
    say([data.decode(), peer[0],
         sorted([kind, len(value)] for level, kind, value in control)])
    s.sendto(b"back", peer)
    if data == b"peer":
        break
""")
    wait_until(lambda: "us" in server.out, "the server")
    own = server.status()["Self"]["TailscaleIPs"][1]
    client = python("client", 1, f"""
s = udp()
s.sendto(b"peer", ({own!r}, 7000))
data, peer = s.recvfrom(100)
say([data.decode(), *peer[:2]])
""")
    answer = said(client)
    assert answer == [["back", own, 7000]]
    at, from_us, from_peer = said(server)
    kinds = [[50, 20], [52, 4], [67, 4]]  # PKTINFO, HOPLIMIT, TCLASS
    assert at == [own, 7000]
    assert from_us == ["us", own, kinds]
    assert from_peer[0] == "peer" and from_peer[1] != own
    assert from_peer[2] == kinds


def test_our_ipv4_address_on_an_ipv6_socket(python):
    server = python("server", 0, """
s = udp()
s.bind(("0.0.0.0", 7000))
data, peer = s.recvfrom(100)
s.sendto(data + b" back", peer)
""")
    server.wait_running()
    there = server.status()["Self"]["TailscaleIPs"][0]
    client = python("client", 0, f"""
s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
s.settimeout(30)
s.bind(("::ffff:" + own(), 0))
for i in range(20):
    s.sendto(b"there and", ("::ffff:{there}", 7000))
    try:
        s.settimeout(1)
        data, peer = s.recvfrom(100)
        break
    except TimeoutError:
        pass
say([data.decode(), *peer[:2], s.getsockname()[0] == "::ffff:" + own()])
""")
    assert said(client) == [["there and back", "::ffff:" + there, 7000, True]]
    said(server)


def test_binds_exclude_each_other_as_on_the_host(run):
    """But a wildcard beside an own address: listen() says so, not bind()."""
    pairs = ["python3", os.path.join(os.path.dirname(__file__), "apps",
                                     "bind_pairs.py")]
    native = json.loads(subprocess.run(
        pairs, input=b"127.5.6.7 ::1", capture_output=True, check=True).stdout)
    program = run("binds", *pairs, stdin=subprocess.PIPE).wait_running()
    ips = program.status()["Self"]["TailscaleIPs"]
    program.process.stdin.write(" ".join(ips).encode())
    program.process.stdin.close()
    assert said(program) == [native]


@FAMILIES
def test_hop_limit_and_traffic_class_at_our_own_address(python, family):
    program = python("node", family, """
LEVEL = socket.IPPROTO_IPV6 if V == 6 else socket.IPPROTO_IP
HOPS, CLASS = (52, 67) if V == 6 else (socket.IP_TTL, socket.IP_TOS)
WANT_HOPS, WANT_CLASS = (51, 66) if V == 6 else (12, 13)
server, client = udp((LEVEL, WANT_HOPS), (LEVEL, WANT_CLASS)), udp()
server.bind((own(), 7000))
client.bind((own(), 0))
usual = client.getsockopt(LEVEL, 16 if V == 6 else HOPS)
for hops, kind in (usual, 0), (3, 0x15), (usual, 0), (250, 0xb8):
    control = [(LEVEL, HOPS, struct.pack("i", hops)),
               (LEVEL, CLASS, struct.pack("i", kind))]
    client.sendmsg([b"marked"], control if kind else [], 0, (own(), 7000))
    data, control, flags, peer = server.recvmsg(100, 1000)
    told = {(level, kind): value[0] for level, kind, value in control}
    say([data.decode(), told == {(LEVEL, HOPS): hops, (LEVEL, CLASS): kind}])
""")
    assert said(program) == [["marked", True]] * 4
