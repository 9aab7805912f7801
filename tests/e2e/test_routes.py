"""Subnet routers and exit nodes, ours on both sides.

Each node has a namespace with a network of its own, and the site behind a
router is reached by nobody else: what answers there has come through it, and
says whom it has seen.

    internet (the test's)     203.0.120.1  .121.1 ...
      router, client, ...     203.0.120.2  .121.2
        site (one router)     10.120.0.1 - 10.120.0.2, lo: 10.7.0.80 192.0.2.80
"""
import os
import subprocess

import pytest

from gateways import APPS, Namespace, connect, sh
from harness import CLEAN_ENV, needs, stop, wait_until

pytestmark = needs("nsenter", "curl")

WHOAMI = os.path.join(APPS, "whoami.py")
REACH = os.path.join(APPS, "reach.py")
SUBNET = "10.7.0.0/24"
INSIDE = "10.7.0.80"
PUBLIC = "192.0.2.80"
VIA = "fd7a:115c:a1e0:b1a:0:7:a07:0/120"
INSIDE_VIA = "fd7a:115c:a1e0:b1a:0:7:a07:50"
EXIT = ("0.0.0.0/0", "::/0")
PORT = 8000


class Place:
    """A host in the internet, with a site behind it or not."""

    def __init__(self, net, n):
        self.net, self.n = net, n
        self.host = Namespace()
        self.wrap = self.host.wrap
        connect(None, f"net{n}", f"203.0.{n}.1", self.host, "eth0",
                f"203.0.{n}.2")
        self.host("ip", "route", "add", "default", "via", f"203.0.{n}.1")

    def join(self, site):
        """The site is behind this one; whom it sees then."""
        here, there = f"10.{self.n}.0.1", f"10.{self.n}.0.2"
        connect(self.host, "site", here, site.host, f"up{self.n}", there)
        self.host("ip", "route", "add", SUBNET, "via", there)
        self.host("ip", "route", "add", PUBLIC, "via", there)
        site.host("ip", "route", "replace", "default", "via", here)
        return here

    def close(self):
        self.host.close()


class Site:
    def __init__(self):
        self.host = Namespace()
        self.host("sysctl", "-qw", "net.ipv4.ip_forward=1")
        self.servers = []
        for address in (INSIDE, PUBLIC):
            self.host("ip", "addr", "add", address + "/32", "dev", "lo")
            self.serve(address)

    def serve(self, address):
        server = subprocess.Popen(
            [*self.host.wrap, "python3", WHOAMI, address, str(PORT)],
            stdout=subprocess.PIPE, env=CLEAN_ENV)
        self.servers.append(server)
        server.stdout.readline()

    def close(self):
        for server in self.servers:
            stop(server)
            server.stdout.close()
        self.host.close()


@pytest.fixture
def net(make_lab):
    class Net:
        def __init__(self):
            self.all = []
            self.place() # for the lab's address
            where = "203.0.120.1"
            self.lab = make_lab("--listen", f"{where}:0", "--derp-listen",
                                f"{where}:0", "--stun", f"{where}:3478")

        def place(self):
            self.all.append(Place(self, 120 + len(self.all)))
            return self.all[-1]

        def site(self):
            site = Site()
            self.all.append(site)
            return site
    n = Net()
    yield n
    for one in reversed(n.all):
        one.close()


@pytest.fixture
def node(net, run):
    """node(name, *options): a node in a place of its own."""
    def start(name, *options, key="key-alice", argv=("sleep", "600"), **kwargs):
        place = kwargs.pop("place", None) or net.place()
        program = run(name, *argv, lab=net.lab, key=key, options=options,
                      wrap=place.wrap, **kwargs).wait_running()
        program.place = place
        return program
    return start


def client_of(node, *options, **kwargs):
    """A node whose programs tell what becomes of a connect."""
    program = node("client", *options, key="key-bob", **kwargs)

    def asks(kind, address, port=PORT, seconds=10):
        result = under(program, "python3", REACH, kind, address, str(port),
                       str(seconds))
        return result.stdout.strip() + result.stderr.strip()
    program.asks = asks
    return program


def descendants(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as f:
        for child in f.read().split():
            yield int(child)
            yield from descendants(int(child))


def command_of(program):
    """The command itself, below tsrun's host."""
    def find():
        for pid in descendants(program.process.pid):
            with open(f"/proc/{pid}/environ", "rb") as f:
                if b"TSNET_BROKER=" in f.read():
                    return pid
        return None
    return wait_until(find, "the command to run")


def environment_of(program):
    """What tsrun gives its command: other programs may use the node, too."""
    with open(f"/proc/{command_of(program)}/environ", "rb") as f:
        return [e.decode() for e in f.read().split(b"\0")
                if e.startswith((b"TSNET_", b"LD_PRELOAD="))]


def under(program, *argv, timeout=60):
    return subprocess.run(
        [*program.place.wrap, "env", *environment_of(program), *argv],
        capture_output=True, text=True, timeout=timeout, check=False)


def approve(net, router, *routes):
    net.lab.command(" ".join(["routes", router.hostname, *routes]))


def wait_route(client, address):
    """The client has heard of the route, and the router too."""
    wait_until(lambda: " from " in client.asks("udp", address, seconds=1),
               f"a way to {address}")


@pytest.fixture
def routed(net, node):
    """A router with a site behind, a client that accepts routes."""
    class Routed:
        def __init__(self, offered=SUBNET, approved=(SUBNET,)):
            self.site = net.site()
            place = net.place()
            self.seen_as = place.join(self.site)
            self.router = node("router", "--advertise-routes", offered,
                               place=place)
            approve(net, self.router, *approved)
            self.client = client_of(node, "--accept-routes")
    return Routed


def test_offers_what_it_was_told(net, node):
    """RoutableIPs; both defaults when it offers to be an exit node."""
    router = node("router", "--advertise-routes", SUBNET,
                  "--advertise-exit-node")
    info = net.lab.node("router")["hostinfo"]
    assert info["RoutableIPs"] == [SUBNET, "0.0.0.0/0", "::/0"]
    approve(net, router, SUBNET)
    wait_until(lambda: "routes 1 of the 3 networks" in router.log,
               "the router to hear of it")


def test_subnet_by_tcp(routed):
    """curl reaches a host behind the router, which sees the router."""
    r = routed()
    wait_route(r.client, INSIDE)
    got = under(r.client, "curl", "-sS", "--max-time", "20",
                f"http://{INSIDE}:{PORT}/page")
    assert got.stdout == f"/page from {r.seen_as}\n", got.stderr


def test_subnet_refuses_and_is_silent(routed):
    """What the site answers is what the client sees."""
    r = routed()
    wait_route(r.client, INSIDE)
    assert r.client.asks("tcp", INSIDE, 9) == "ECONNREFUSED"
    assert r.client.asks("udp", INSIDE, 9) == "ECONNREFUSED"
    r.site.host("ip", "route", "add", "unreachable", "10.7.0.9")
    assert r.client.asks("tcp", "10.7.0.9") == "EHOSTUNREACH"
    r.site.host("ip", "route", "add", "blackhole", "10.7.0.10")
    assert r.client.asks("tcp", "10.7.0.10", seconds=2) == "silence"


def test_subnet_by_udp(routed):
    r = routed()
    wait_route(r.client, INSIDE)
    assert r.client.asks("udp", INSIDE) == f"y from {r.seen_as}"


@needs("ping")
def test_subnet_by_ping(routed):
    r = routed()
    wait_route(r.client, INSIDE)
    got = under(r.client, "ping", "-n", "-c", "2", "-i", "0.2", INSIDE)
    assert "2 received" in got.stdout, got.stdout + got.stderr
    assert f"bytes from {INSIDE}" in got.stdout
    r.site.host("ip", "route", "add", "blackhole", "10.7.0.10")
    got = under(r.client, "ping", "-n", "-c", "1", "-W", "1", "10.7.0.10")
    assert " 0 received" in got.stdout


def test_many_bytes_in_both_directions(routed, tmp_path):
    """Transfers larger than any buffer, through the router."""
    r = routed()
    wait_route(r.client, INSIDE)
    out, size = tmp_path / "got", 4 << 20
    got = under(r.client, "curl", "-sS", "-o", str(out), "--max-time", "50",
                f"http://{INSIDE}:{PORT}/bytes/{size}")
    assert out.read_bytes() == (bytes(range(251)) * (size // 250))[:size], \
        got.stderr
    got = under(r.client, "curl", "-sS", "-T", str(out), "--max-time", "50",
                f"http://{INSIDE}:{PORT}/up")
    assert got.stdout == f"took {size}\n", got.stderr


def test_what_nobody_approved_is_not_forwarded(net, routed):
    """Not what is offered alone, nor what is approved alone."""
    r = routed(approved=("192.0.2.0/24",))
    wait_until(lambda: r.client.asks("tcp", PUBLIC, seconds=1) == "silence",
               "the route that was not offered, to lead nowhere")
    assert r.client.asks("tcp", INSIDE, seconds=1) == "silence"
    approve(net, r.router, SUBNET)
    wait_route(r.client, INSIDE)


def test_never_to_the_router_itself(net, node):
    """Its loopback, and other nodes, whatever is offered."""
    place = net.place()
    place.host("ip", "addr", "add", "100.64.99.1/32", "dev", "lo")
    server = subprocess.Popen(
        [*place.wrap, "python3", WHOAMI, "100.64.99.1", str(PORT)],
        stdout=subprocess.PIPE, env=CLEAN_ENV)
    server.stdout.readline()
    router = node("router", "--advertise-routes", "100.64.99.0/24",
                  place=place)
    approve(net, router, "100.64.99.0/24")
    client = client_of(node, "--accept-routes")
    try:
        wait_until(lambda: client.asks("tcp", "100.64.99.1", seconds=2)
                   == "EHOSTUNREACH",
                   "the router to refuse")
    finally:
        stop(server)
        server.stdout.close()


def test_filter_decides(net, routed):
    """What the rules do not name is not reached, though it is routed."""
    r = routed()
    wait_route(r.client, INSIDE)
    net.lab.command('filter [{"SrcIPs":["*"],"DstPorts":[{"IP":"10.7.0.80/32",'
                    '"Ports":{"First":8000,"Last":8000}}]}]')
    wait_until(lambda: r.client.asks("tcp", INSIDE, 9, seconds=5)
               == "ECONNREFUSED", "the router's word for it")
    assert r.client.asks("tcp", INSIDE) == f"/x from {r.seen_as}"
    net.lab.command("filter []")
    wait_until(lambda: r.client.asks("tcp", INSIDE) == "ECONNREFUSED",
               "the rules to be gone")


def test_4via6(routed):
    """An IPv6 address of the site stands for an IPv4 one."""
    r = routed(f"{SUBNET},{VIA}", approved=(VIA,))
    wait_route(r.client, INSIDE_VIA)
    assert r.client.asks("tcp", INSIDE_VIA) == f"/x from {r.seen_as}"
    assert r.client.asks("udp", INSIDE_VIA) == f"y from {r.seen_as}"
    assert r.client.asks("tcp", INSIDE_VIA, 9) == "ECONNREFUSED"


def test_another_router_takes_over(net, node):
    """New connections go to the new primary at once; one that stood is reset,
    as the new one knows nothing of it."""
    site, places = net.site(), [net.place(), net.place()]
    seen = [place.join(site) for place in places]
    routers = [node(f"router{i}", "--advertise-routes", SUBNET, place=place)
               for i, place in enumerate(places)]
    site.host("ip", "route", "replace", seen[0] + "/32", "dev",
              f"up{places[0].n}")
    approve(net, routers[0], SUBNET)
    client = client_of(node, "--accept-routes")
    wait_until(lambda: client.asks("tcp", INSIDE, seconds=2)
               == f"/x from {seen[0]}", "the first router")
    old = subprocess.Popen(
        [*client.place.wrap, "env", *environment_of(client), "python3", REACH,
         "keep", INSIDE, str(PORT), "20"], stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, text=True)
    assert old.stdout.readline() == "up\n"
    approve(net, routers[0])
    approve(net, routers[1], SUBNET)
    wait_until(lambda: client.asks("tcp", INSIDE, seconds=2)
               == f"/x from {seen[1]}", "the second router")
    assert old.communicate("go\n", timeout=30)[0] == "ECONNRESET\n"


# -- exit nodes ---------------------------------------------------------------

@pytest.fixture
def exited(net, node):
    class Exited:
        def __init__(self, *options, wish="router", approved=EXIT, place=None):
            self.site = net.site()
            outside = net.place()
            self.seen_as = outside.join(self.site)
            self.router = node("router", "--advertise-exit-node",
                               place=outside)
            approve(net, self.router, *approved)
            if wish == "its address":
                wish = self.router.ip
            elif wish == "its whole name":
                wish = net.lab.node("router")["fqdn"].rstrip(".")
            self.client = client_of(node, "--exit-node", wish, *options,
                                    place=place)

        def wait_exit(self):
            wait_until(lambda: self.client.asks("tcp", PUBLIC, seconds=3)
                       == f"/x from {self.seen_as}", "the exit node")
    return Exited


def test_exit_node(exited):
    """The internet by TCP, UDP and ping; it sees the exit node."""
    e = exited()
    e.wait_exit()
    got = under(e.client, "curl", "-sS", "--max-time", "20",
                f"http://{PUBLIC}:{PORT}/out")
    assert got.stdout == f"/out from {e.seen_as}\n", got.stderr
    assert e.client.asks("udp", PUBLIC) == f"y from {e.seen_as}"
    assert e.client.asks("tcp", PUBLIC, 9) == "ECONNREFUSED"
    # Private networks are not the internet.
    assert e.client.asks("tcp", INSIDE, seconds=1) == "silence"


@pytest.mark.parametrize("wish", ["its address", "its whole name"])
def test_exit_node_by(exited, wish):
    exited(wish=wish).wait_exit()


def test_exit_node_that_is_not_there(exited, net):
    """Nothing goes to the internet, and it is said; and then it does."""
    e = exited(approved=())
    assert e.client.asks("tcp", PUBLIC) == "EHOSTUNREACH"
    assert e.client.asks("udp", PUBLIC) == "EHOSTUNREACH"
    wait_until(lambda: "is no exit node" in e.client.log, "the log to say so")
    approve(net, e.router, *EXIT)
    e.wait_exit()
    approve(net, e.router)
    wait_until(lambda: e.client.asks("tcp", PUBLIC) == "EHOSTUNREACH",
               "the exit node to be gone")


def test_exit_node_by_suggestion(exited, net):
    """auto:any takes one that the tailnet suggests, and no other."""
    e = exited(wish="auto:any")
    assert e.client.asks("tcp", PUBLIC) == "EHOSTUNREACH"
    net.lab.command("cap router suggest-exit-node []")
    e.wait_exit()


def lan_beside(place):
    """A server in a network that place is in, and no other way to it."""
    lan = Namespace()
    connect(place.host, "lan0", "10.5.0.1", lan, "eth0", "10.5.0.2")
    server = subprocess.Popen(
        [*lan.wrap, "python3", WHOAMI, "10.5.0.2", str(PORT)],
        stdout=subprocess.PIPE, env=CLEAN_ENV)
    server.stdout.readline()
    server.lan = lan
    return server


@pytest.mark.parametrize("allowed", [False, True])
def test_exit_node_and_the_lan(exited, net, allowed):
    """Beside the exit node only where that is wanted."""
    place = net.place()
    server = lan_beside(place)
    try:
        e = exited(*["--exit-node-allow-lan-access"] * allowed, place=place)
        e.wait_exit()
        answer = e.client.asks("tcp", "10.5.0.2", seconds=2)
        assert answer == ("/x from 10.5.0.1" if allowed else "silence")
        # This machine's own addresses are here, always.
        assert e.client.asks("tcp", "10.5.0.1", 9) == "ECONNREFUSED"
    finally:
        stop(server)
        server.stdout.close()
        server.lan.close()


# -- the PeerAPI ----------------------------------------------------------------

# www.example.com, A, as DNS over HTTP has it; and "client" of the tailnet.
QUERY = "AAABAAABAAAAAAAAA3d3dwdleGFtcGxlA2NvbQAAAQAB"
RCODE_AT, REFUSED = 3, 5


def peerapi_of(net, router):
    services = net.lab.node(router.hostname)["hostinfo"]["Services"]
    port = next(s["Port"] for s in services if s["Proto"] == "peerapi4")
    return f"http://{router.ip}:{port}"


def status_of(client, *curl):
    return under(client, "curl", "-sS", "-o", "/dev/null", "--max-time", "20",
                 "-w", "%{http_code}", *curl).stdout


def test_names_for_those_who_may_leave_by_us(net, node, tmp_path):
    """/dns-query of an exit node, and what it keeps from whom."""
    router = node("router", "--advertise-exit-node")
    client = client_of(node)
    api = peerapi_of(net, router)
    ask = f"{api}/dns-query?dns={QUERY}"
    wait_until(lambda: status_of(client, api + "/") == "200", "the PeerAPI")
    # Nobody has approved it.
    assert status_of(client, ask) == "403"
    approve(net, router, *EXIT)
    wait_until(lambda: status_of(client, ask) == "200", "the admin's word")
    assert status_of(client, "-H", "Origin: http://evil", ask) == "403"
    assert status_of(client, "-H", "Host: evil.example", ask) == "403"
    assert status_of(client, api + "/v0/put/x") == "404"
    assert status_of(client, f"{api}/dns-query?dns=***") == "400"
    # The tailnet's names are told by each node's own map.
    name = net.lab.node("client")["fqdn"].rstrip(".")
    query = b"\0\0\1\0\0\1\0\0\0\0\0\0" + b"".join(
        bytes([len(label)]) + label.encode() for label in name.split(".")
    ) + b"\0\0\1\0\1"
    (tmp_path / "query").write_bytes(query)
    out = tmp_path / "answer"
    got = under(client, "curl", "-sS", "-o", str(out), "-H",
                "Content-Type: application/dns-message", "--data-binary",
                f"@{tmp_path}/query", api + "/dns-query")
    assert out.exists(), got.stderr
    assert out.read_bytes()[RCODE_AT] & 15 == REFUSED
    # As people ask.
    said = under(client, "curl", "-sS", "-i", f"{api}/dns-query?q={name}")
    assert "content-type: application/json" in said.stdout.lower()
    assert said.stdout.endswith('{"Error":"DNS RCode = RCodeRefused"}\n')
    assert status_of(client, f"{api}/dns-query?q=a..b") == "400"
