"""A gateway gives a node a port, and peers come in by it directly."""
import json
import os

import pytest

from gateways import Router, sh
from harness import needs, wait_until

pytestmark = needs("nft", "nsenter", "curl")

CONTENT = b"what the server alone knows\n" * 400


@pytest.fixture
def internet(make_lab):
    """make(n): router and host number n; .lab: where all can reach it."""
    class Internet:
        def __init__(self):
            self.routers = []
            sh("sysctl", "-qw", "net.ipv4.ip_forward=1")
            self.server = self.add(113)
            where = "203.0.113.1"
            self.lab = make_lab("--listen", f"{where}:0", "--derp-listen",
                                f"{where}:0", "--stun", f"{where}:3478")

        def add(self, n):
            self.routers.append(Router(n))
            return self.routers[-1]

        def close(self):
            for router in self.routers:
                router.close()
    net = Internet()
    yield net
    net.close()


@pytest.fixture
def serve(internet, run, tmp_path):
    """A web server behind the first router."""
    def start(**kwargs):
        (tmp_path / "content").write_bytes(CONTENT)
        return run("server", "python3", "-m", "http.server", "8000",
                   "--directory", str(tmp_path), lab=internet.lab,
                   wrap=internet.server.host.wrap, **kwargs).wait_running()
    return start


def endpoints(node):
    return node.lab.node(node.hostname)["endpoints"] or []


def net_info(node):
    return node.lab.command(f"hostinfo {node.hostname}")["NetInfo"]


def wait_published(node, address):
    wait_until(lambda: address in endpoints(node), f"{address} in the netmap")


def path_to(node, peer):
    for status in (node.status().get("Peer") or {}).values():
        if status["DNSName"].startswith(peer + "."):
            return status["CurAddr"]
    return None


def check_direct(internet, run, server, external):
    """A client behind another symmetric NAT fetches the content; its path is
    the mapped port, and the server knows who it is."""
    other = internet.add(114)
    client = run("client", "sleep", "60", lab=internet.lab, key="key-bob",
                 wrap=other.host.wrap).wait_running()
    wait_until(lambda: client.cli("ping", "-c", "1", "server", check=False)
               .stdout.count(f"via {external} "), "a direct pong")
    assert path_to(client, "server") == external
    fetch = run("fetch", "curl", "-sS", "--max-time", "20",
                f"http://{server.ip}:8000/content", lab=internet.lab,
                wrap=other.host.wrap)
    assert fetch.wait() == 0, fetch.err
    assert fetch.out.encode() == CONTENT


@pytest.mark.parametrize("protocols,by", [
    (["pmp"], "pmp"), (["pcp"], "pcp"), (["upnp"], "upnp"),
    (["upnp2"], "upnp"), (["pmp", "pcp", "upnp"], "pmp")])
def test_mapped(internet, serve, run, protocols, by):
    gateway = internet.server.speak(*protocols)
    server = serve()
    mapping = gateway.wait("map")
    assert mapping["by"] == by
    assert mapping["client"] == gateway.ip
    assert mapping["lifetime"] == 7200
    external = f"{gateway.wan}:{mapping['port']}"
    wait_published(server, external)
    assert endpoints(server)[0] == external
    check_direct(internet, run, server, external)
    assert server.stop() == 143
    assert gateway.wait("unmap")["port"] == mapping["port"]
    assert gateway.rules() == []
