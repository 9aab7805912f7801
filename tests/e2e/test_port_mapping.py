"""A gateway gives a node a port, and peers come in by it directly."""
import os
import subprocess

import pytest

from gateways import APPS, Router, sh
from harness import SANITIZERS, needs, wait_until

pytestmark = needs("nft", "nsenter", "curl")

STEADY = os.path.join(APPS, "steady.py")
CONTENT = b"what the server alone knows\n" * 400


@pytest.fixture
def internet(make_lab):
    """make(n): router and host number n; .lab: where all can reach it."""
    class Internet:
        def __init__(self):
            self.routers = []
            sh("sysctl", "-qw", "net.ipv4.ip_forward=1")
            self.server = self.add(120)
            where = "203.0.120.1"
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
        server = run("server", "python3", "-m", "http.server", "8000",
                     "--directory", str(tmp_path), lab=internet.lab,
                     wrap=internet.server.host.wrap, **kwargs).wait_running()
        wait_until(lambda: "0.0.0.0:8000 is served" in server.log,
                   "the server to listen")
        return server
    return start


def endpoints(node):
    return node.lab.node(node.hostname)["endpoints"] or []


def net_info(node):
    return node.lab.node(node.hostname).get("net_info") or {}


def wait_published(node, address):
    wait_until(lambda: address in endpoints(node), f"{address} in the netmap")


def peak_kb(node):
    with open(f"/proc/{node.process.pid}/status", encoding="ascii") as f:
        return next(int(line.split()[1]) for line in f
                    if line.startswith("VmHWM:"))


def path_to(node, peer):
    for status in (node.status().get("Peer") or {}).values():
        if status["DNSName"].startswith(peer + "."):
            return status["CurAddr"]
    return None


def ping(client, peer):
    """The path of one pong."""
    return client.cli("ping", "-c", "1", peer, check=False).stdout


def start_client(internet, run):
    """Behind another symmetric NAT, which maps no ports."""
    return run("client", "sleep", "60", lab=internet.lab, key="key-bob",
               wrap=internet.add(121).host.wrap).wait_running()


def fetch(internet, run, server):
    """The content, over the tailnet, by a third node."""
    program = run("fetch", "curl", "-sS", "--max-time", "20",
                  f"http://{server.ip}:8000/content", lab=internet.lab,
                  wrap=internet.routers[-1].host.wrap)
    assert program.wait() == 0, program.err
    return program.out.encode()


def check_direct(internet, run, server, external):
    client = start_client(internet, run)
    wait_until(lambda: f"via {external} " in ping(client, "server"),
               "a direct pong")
    assert path_to(client, "server") == external
    assert fetch(internet, run, server) == CONTENT


def address(gateway, mapping):
    return f"{gateway.wan}:{mapping['port']}"


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
    external = address(gateway, mapping)
    wait_published(server, external)
    assert endpoints(server)[0] == external
    wait_until(lambda: net_info(server).get("HavePortMap") and
               net_info(server)["PMP"] is not None, "the NetInfo")
    found = {name.lower() for name in ("PMP", "PCP", "UPnP")
             if net_info(server)[name]}
    assert found == {protocol.rstrip("2") for protocol in protocols}
    assert f"; {external} leads here\n" in server.cli("netcheck").stdout
    check_direct(internet, run, server, external)
    assert server.stop() == 143
    assert gateway.wait("unmap")["port"] == mapping["port"]
    assert gateway.rules() == []


def test_nothing_without_a_gateway_that_maps(internet, serve, run):
    """The same two nodes are relayed; so the tests above can fail."""
    server = serve()
    client = start_client(internet, run)
    assert "via DERP(lab)" in ping(client, "server")
    assert fetch(internet, run, server) == CONTENT
    assert path_to(client, "server") == ""
    wait_until(lambda: net_info(server).get("PMP") is False, "the NetInfo")
    assert not net_info(server).get("HavePortMap")


@pytest.mark.parametrize("protocol,is_announced", [
    ("pmp", True), ("pcp", True), ("pcp", False)])
def test_gateway_starts_anew(internet, serve, run, protocol, is_announced):
    """It has forgotten the mapping, and is asked again at once when it says
    so, or else when the lease is half over; the port stays the same."""
    gateway = internet.server.speak(protocol)
    if not is_announced:
        gateway.tell("set", "lifetime", "8")
    server = serve()
    mapping = gateway.wait("map")
    wait_published(server, address(gateway, mapping))
    gateway.tell("restart")
    assert gateway.rules() == []
    if is_announced:
        gateway.tell("announce")
    again = gateway.wait("map", 2)
    assert again["port"] == mapping["port"]
    assert gateway.rules() == [mapping["port"]]
    if is_announced:
        check_direct(internet, run, server, address(gateway, mapping))


def test_renewed_while_it_is_used(internet, serve):
    gateway = internet.server.speak("pmp")
    gateway.tell("set", "lifetime", "8")
    server = serve()
    mapping = gateway.wait("map")
    renewal = gateway.wait("renew")
    assert renewal["port"] == mapping["port"] and renewal["lifetime"] == 8
    assert address(gateway, mapping) in endpoints(server)


@pytest.mark.parametrize("how", ["hang", "flood"])
def test_a_gateway_that_wastes_time(internet, serve, run, how):
    """It takes UPnP's requests and answers none, or without an end: the node
    is up meanwhile, gives up, and ends."""
    gateway = internet.server.speak("upnp")
    gateway.tell("set", how, "1")
    server = serve()
    client = start_client(internet, run)
    assert "via DERP(lab)" in ping(client, "server")
    assert fetch(internet, run, server) == CONTENT
    gateway.wait(how)
    wait_until(lambda: "-> resting" in server.log, "the node to give up")
    assert server.stop() == 143


def test_an_ephemeral_node_gives_it_back(internet, serve):
    """While it logs out."""
    gateway = internet.server.speak("upnp")
    server = serve(options=["--ephemeral"])
    gateway.wait("map")
    server.stop()
    assert gateway.rules() == []
    assert internet.lab.node("server") is None


def test_only_leases_for_ever(internet, serve, run):
    gateway = internet.server.speak("upnp")
    gateway.tell("set", "fault", "725")
    server = serve()
    mapping = gateway.wait("map")
    assert mapping["lifetime"] == 0
    assert gateway.all("fault")[0]["code"] == 725
    wait_published(server, address(gateway, mapping))
    server.stop()
    assert gateway.rules() == []


@pytest.mark.parametrize("protocol,lie", [
    ("pmp", "0.0.0.0"), ("pmp", "100.64.0.9"), ("pcp", "224.0.0.1"),
    ("upnp", "127.0.0.1")])
def test_an_address_of_no_use(internet, serve, run, protocol, lie):
    """It is not published, and the node is relayed as ever."""
    gateway = internet.server.speak(protocol)
    gateway.tell("set", "address", lie)
    server = serve()
    wait_until(lambda: "-> resting" in server.log, "the node to give up")
    client = start_client(internet, run)
    assert "via DERP(lab)" in ping(client, "server")
    assert not [e for e in endpoints(server) if e.startswith(lie)]


@pytest.mark.parametrize("protocol", ["pmp", "pcp", "upnp"])
def test_forged_answers(internet, serve, run, protocol):
    """Somebody floods the node in the gateway's name: it has a line for each
    kind, its memory stays, and what it had is had again."""
    gateway = internet.server.speak(protocol)
    server = serve()
    mapping = gateway.wait("map")
    wait_published(server, address(gateway, mapping))
    before = len(server.log)
    memory = peak_kb(server)
    gateway.tell("forge", "3", "2000")
    assert gateway.wait("forged")["count"] > 1000
    said = [line for line in server.log[before:].splitlines()
            if "portmap: " in line and "->" not in line]
    for kind in ("nat-pmp", "pcp", "upnp"):
        assert len([line for line in said if f"flood of answers by {kind}:"
                    in line]) == 1, said
    assert len(said) <= 3 + 4, said  # and what came before it was a flood
    assert peak_kb(server) < memory + 1024
    if protocol == "upnp":  # its answers are asked for every ten minutes
        return

    def is_had_again():
        """A gateway says it ten times: one may be lost in what is queued."""
        gateway.tell("announce")
        return address(gateway, mapping) in endpoints(server)

    wait_until(is_had_again, "the mapping again")
    check_direct(internet, run, server, address(gateway, mapping))


def test_the_next_protocol_is_tried(internet, serve):
    """NAT-PMP's lease is too short to be of use."""
    gateway = internet.server.speak("pmp", "upnp")
    gateway.tell("set", "lifetime", "1")
    server = serve()
    mapping = gateway.wait("map", 2)
    assert mapping["by"] == "upnp"
    wait_published(server, address(gateway, mapping))


@pytest.mark.parametrize("setting", [
    "TS_DISABLE_PORTMAPPER", "TSNET_DIRECT=no", "only-tcp-443"])
def test_switched_off(internet, serve, setting):
    """Not one packet for the gateway's services."""
    gateway = internet.server
    gateway.host("nft", "-f", "-", input="""
table ip count {
	counter asked {}
	chain out {
		type filter hook output priority 0;
		udp dport { 5351, 1900 } counter name asked
	}
}""")
    name, _, value = setting.partition("=")
    if setting.startswith("only"):
        server = serve()
        gateway.host("nft", "reset", "counters")
        internet.lab.command(f"cap server {setting}")
        wait_until(lambda: "-> off" in server.log, "the node to stop asking")
    else:
        server = serve(env={name: value or "1"})
    if not setting.startswith("only"):
        assert "packets 0" in gateway.host("nft", "list", "counters")
        assert "portmap" not in server.log


@pytest.mark.parametrize("attribute", [False, True])
def test_upnp_switched_off(internet, serve, attribute):
    gateway = internet.server.speak("upnp")
    server = serve(env={} if attribute else {"TS_DISABLE_UPNP": "1"})
    if attribute:
        mapping = gateway.wait("map")
        internet.lab.command("cap server debug-disable-upnp")
        assert gateway.wait("unmap")["port"] == mapping["port"]
        wait_until(lambda: address(gateway, mapping) not in endpoints(server),
                   "the netmap without it")
    else:
        wait_until(lambda: "probing -> resting" in server.log, "the search")
    assert gateway.rules() == []


@pytest.mark.skipif(bool(SANITIZERS),
                    reason="a stock program has no sanitizer runtime")
def test_inside_a_program(internet, run):
    """The node is a thread of the program: it maps, and gives back."""
    gateway = internet.server.speak("pmp")
    server = run("server", "python3", "-c", "import sys, socket; "
                 "s = socket.socket(); s.bind(('', 8000)); s.listen(); "
                 "sys.stdin.read()", options=["--in-process"],
                 lab=internet.lab, wrap=gateway.host.wrap,
                 stdin=subprocess.PIPE)
    mapping = gateway.wait("map")
    assert mapping["client"] == gateway.ip
    server.process.stdin.close()
    assert server.wait() == 0
    assert gateway.wait("unmap")["port"] == mapping["port"]
    assert gateway.rules() == []


def test_address_change(internet, serve):
    """A mapping for the new address is made, and takes the other's place."""
    gateway = internet.server.speak("pcp")
    server = serve()
    first = gateway.wait("map")
    new_ip = gateway.ip[:-1] + "9"
    gateway.host("ip", "addr", "del", gateway.ip + "/24", "dev", "eth0")
    gateway.host("ip", "addr", "add", new_ip + "/24", "dev", "eth0")
    gateway.host("ip", "route", "add", "default", "via", gateway.lan)
    second = gateway.wait("map", 2)
    assert second["client"] == new_ip
    wait_until(lambda: endpoints(server)[:1] == [address(gateway, second)],
               "the new mapping in the netmap")
    assert first["client"] == gateway.ip
    assert address(gateway, first) not in endpoints(server)


@needs("miniupnpd")
@pytest.mark.parametrize("protocol", ["nat-pmp", "pcp", "upnp"])
def test_miniupnpd(internet, serve, run, tmp_path, protocol):
    """The same with a service that others wrote."""
    gateway = internet.server
    gateway.run_miniupnpd(str(tmp_path), enable_natpmp="yes",
                          enable_upnp="yes")
    # It answers all of them: those that would win are kept from it.
    versions = {"nat-pmp": [], "pcp": [0], "upnp": [0, 2]}[protocol]
    gateway.host("nft", "-f", "-", input="""
table ip keep {
	chain out {
		type filter hook output priority 0;
		%s
	}
}""" % "\n".join(f"udp dport 5351 @th,64,8 {v} drop" for v in versions))
    server = serve()
    ports = wait_until(gateway.miniupnpd_ports, "miniupnpd to map a port")
    external = f"{gateway.wan}:{ports[0]}"
    wait_published(server, external)
    assert f"portmap: {protocol} maps {external}" in server.log
    check_direct(internet, run, server, external)
    server.stop()
    assert gateway.miniupnpd_ports() == []


def test_a_transfer_survives_the_gateways_restart(internet, run, tmp_path):
    """Flows and mappings are gone at once: it goes on by the relay, and then
    by the port that the gateway was asked for again."""
    gateway = internet.server.speak("pmp")
    gateway.router("sysctl", "-qw",
                   "net.netfilter.nf_conntrack_udp_timeout=1",
                   "net.netfilter.nf_conntrack_udp_timeout_stream=1")
    server = run("server", "python3", STEADY, "serve", "8000",
                 lab=internet.lab, wrap=gateway.host.wrap).wait_running()
    wait_until(lambda: "0.0.0.0:8000 is served" in server.log, "the server")
    external = address(gateway, gateway.wait("map"))
    wait_published(server, external)
    stop_file = tmp_path / "stop"
    client = run("client", "python3", STEADY, "run", "server", "8000",
                 str(stop_file), lab=internet.lab, key="key-bob",
                 wrap=internet.add(121).host.wrap).wait_running()

    def direct():
        return path_to(client, "server") == external

    def moved():
        """Blocks since the last call."""
        before, moved.at = moved.at, client.out.count("at ")
        return moved.at > before and client.alive()
    moved.at = 0
    wait_until(lambda: moved() and direct(), "a direct transfer")
    gateway.router("nft", "-f", "-", input="""
table ip boot {
	chain early {
		type filter hook prerouting priority -400;
		meta l4proto udp ip saddr != 192.168.120.1 drop
	}
}""")
    gateway.tell("restart")
    port = external.rpartition(":")[2]
    # A kernel that shows no flows leaves them to their second.
    wait_until(lambda: f"dport={port} " not in gateway.router(
        "sh", "-c", "cat /proc/net/nf_conntrack || :"), "the flows to end")
    wait_until(lambda: path_to(client, "server") == "", "the relay")
    moved()
    wait_until(moved, "the transfer to go on")
    gateway.router("nft", "delete", "table", "ip", "boot")
    gateway.tell("announce")
    gateway.wait("map", 2)
    wait_until(lambda: moved() and direct(), "a direct transfer again")
    stop_file.touch()
    assert client.wait() == 0
    assert client.out.splitlines()[-1].startswith("OK ")
