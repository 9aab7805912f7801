"""Which path two nodes find, by what kind of NAT each is behind.

The table is what can be had without guessing ports: tailscaled has the same.
"""
import json

import pytest

from gateways import Namespace, Router, connect, sh
from harness import needs, wait_until

pytestmark = needs("nft", "nsenter")

GRANT = [{"SrcIPs": ["*"], "DstPorts": [
    {"IP": "*", "Ports": {"First": 0, "Last": 65535}}]},
    {"SrcIPs": ["*"], "CapGrant": [
        {"Dsts": ["0.0.0.0/0", "::/0"],
         "CapMap": {"tailscale.com/cap/relay-target": []}}]}]

# What a router's rules differ in. A mapping is random for each destination
# (symmetric), or the same for all; and the router lets in answers alone, or
# whatever comes to the mapped port (full cone).
RANDOM = "masquerade random,fully-random"
SAME = "masquerade"
RULES = """
table ip nat {{
	chain pre {{
		type nat hook prerouting priority -100;
		{pre}
	}}
	chain post {{
		type nat hook postrouting priority 100;
		oifname "wan" {post}
	}}
}}
table ip filter {{
	# A router that takes what nobody asked for has its port in use then, and
	# maps the host's own packets to that peer to another one.
	chain input {{
		type filter hook input priority 0; policy drop;
		iifname {{ "lan", "lo" }} accept
		ct state established,related accept
	}}
	chain forward {{
		type filter hook forward priority 0; policy drop;
		{forward}
		iifname "lan" accept
		ct state established,related accept
		ct status dnat accept
	}}
}}
"""


def rules(kind, host):
    full = f'iifname "wan" udp dport 1024-65535 dnat to {host}'
    return RULES.format(
        pre=full if kind == "full cone" else "",
        post=RANDOM if kind == "symmetric" else SAME,
        forward="meta l4proto udp drop" if kind == "no udp" else "")


class Public:
    """A host without a router in front."""

    def __init__(self, n):
        self.host = Namespace()
        connect(None, f"net{n}", f"203.0.{n}.1", self.host, "eth0",
                f"203.0.{n}.2")
        self.host("ip", "route", "add", "default", "via", f"203.0.{n}.1")

    def close(self):
        self.host.close()


@pytest.fixture
def internet(make_lab):
    """place(kind): a host behind that kind of NAT; .lab: where all reach it."""
    class Internet:
        def __init__(self):
            self.places = []
            sh("sysctl", "-qw", "net.ipv4.ip_forward=1")

        def place(self, kind):
            n = 113 + len(self.places)
            if kind == "public":
                self.places.append(Public(n))
                return self.places[-1].host.wrap
            router = Router(n)
            self.places.append(router)
            router.router("nft", "flush", "ruleset")
            router.router("nft", "-f", "-", input=rules(kind, router.ip))
            return router.host.wrap

        def start_lab(self):
            where = "203.0.113.1"
            self.lab = make_lab("--listen", f"{where}:0", "--derp-listen",
                                f"{where}:0", "--stun", f"{where}:3478",
                                "--regions", "2")

        def close(self):
            for place in self.places:
                place.close()
    net = Internet()
    yield net
    net.close()


@pytest.fixture
def pair(internet, run):
    """pair(kind, kind): two nodes that know each other's endpoints."""
    def start(*kinds):
        wraps = [internet.place(kind) for kind in kinds]
        internet.start_lab()
        nodes = [run(name, "sleep", "60", lab=internet.lab, wrap=wrap)
                 for name, wrap in zip(("one", "two"), wraps)]
        for node in nodes:
            node.wait_running()
            internet.lab.command(f"wait {node.hostname} ready")
        return nodes
    return start


def pong(node, peer, count=1):
    return node.cli("ping", "-c", str(count), peer, check=False).stdout


@pytest.mark.parametrize("one,two", [
    ("public", "symmetric"),
    ("full cone", "symmetric"),
    ("full cone", "full cone"),
    ("port restricted", "port restricted"),
    ("port restricted", "full cone"),
])
def test_direct(pair, one, two):
    nodes = pair(one, two)
    wait_until(lambda: "via 203.0." in pong(nodes[0], "two"), "a direct path")
    wait_until(lambda: "via 203.0." in pong(nodes[1], "one"), "a direct path")


@pytest.mark.parametrize("one,two", [
    ("port restricted", "symmetric"),
    ("symmetric", "symmetric"),
    ("no udp", "public"),
])
def test_derp(pair, one, two):
    nodes = pair(one, two)
    wait_until(lambda: "via DERP" in pong(nodes[0], "two"), "an answer")
    answers = pong(nodes[0], "two", 3) + pong(nodes[1], "one", 1)
    assert answers.count("via DERP(") == 4, answers


def test_a_peer_relay_where_nats_are_too_hard(pair, internet):
    nodes = pair("symmetric", "symmetric")
    port = internet.lab.command("peer-relay")["port"]
    relay = f"via peer-relay(203.0.113.1:{port}:"
    internet.lab.command("filter " + json.dumps(GRANT))
    wait_until(lambda: relay in pong(nodes[0], "two"), "the relay")
    wait_until(lambda: relay in pong(nodes[1], "one"), "the relay")


@pytest.mark.parametrize("kind,varies", [("symmetric", True),
                                         ("port restricted", False)])
def test_hard_nats_are_found(internet, run, kind, varies):
    wrap = internet.place(kind)
    internet.start_lab()
    node = run("one", "sleep", "60", lab=internet.lab, wrap=wrap
               ).wait_running()

    def report():
        return json.loads(node.cli("--json", "netcheck").stdout)
    wait_until(lambda: report()["MappingVariesByDestIP"] == varies,
               "the kind of NAT")
    assert report()["GlobalV4"].startswith("203.0.113.2:")
