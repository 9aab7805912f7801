"""tailscaled and a node of ours, each as router and exit node of the other.

Control is our lab, which approves routes; the site behind the router is that of
the end-to-end tests, and tells whom it has seen."""
import os
import subprocess

import pytest

from conftest import PEER_ENV, LabControl, Tailscaled, OwnNetwork
from harness import Lab, Program, needs, stop, wait_until
from gateways import Namespace, connect

APPS = os.path.join(os.path.dirname(__file__), "..", "e2e", "apps")
WHOAMI = os.path.join(APPS, "whoami.py")
REACH = os.path.join(APPS, "reach.py")
SUBNET, INSIDE, PUBLIC = "10.7.0.0/24", "10.7.0.80", "192.0.2.80"
VIA, INSIDE_VIA = ("fd7a:115c:a1e0:b1a:0:7:a07:0/120",
                   "fd7a:115c:a1e0:b1a:0:7:a07:50")
# Go's client takes plain HTTP from private addresses only.
LAB_IP = "10.255.0.1"
SEEN_AS = "10.120.0.1"
PORT = 8000

pytestmark = needs("ip", "nsenter", "curl")


@pytest.fixture
def net(tmp_path, keep):
    """.router, .client: two hosts; the site is behind the first; .lab."""
    class Net:
        def place(self, n):
            host = keep(Namespace())
            connect(None, f"net{n}", f"203.0.{n}.1", host, "eth0",
                    f"203.0.{n}.2")
            host("ip", "route", "add", "default", "via", f"203.0.{n}.1")
            return host
    keep(OwnNetwork())
    subprocess.run(["ip", "addr", "add", LAB_IP + "/32", "dev", "lo"],
                   check=True)
    subprocess.run(["sysctl", "-qw", "net.ipv4.ip_forward=1"], check=True)
    net = Net()
    net.router, net.client = net.place(120), net.place(121)
    site = keep(Namespace())
    connect(net.router, "site", SEEN_AS, site, "eth0", "10.120.0.2")
    site("ip", "route", "add", "default", "via", SEEN_AS)
    for address in (INSIDE, PUBLIC):
        site("ip", "addr", "add", address + "/32", "dev", "lo")
        net.router("ip", "route", "add", address, "via", "10.120.0.2")
        server = subprocess.Popen(
            [*site.wrap, "python3", WHOAMI, address, str(PORT)],
            stdout=subprocess.PIPE, env=PEER_ENV)
        server.close = lambda s=server: (stop(s), s.stdout.close())
        keep(server).stdout.readline()
    (tmp_path / "lab").mkdir()
    net.lab = keep(Lab(tmp_path / "lab", "--listen", f"{LAB_IP}:0",
                       "--derp-listen", f"{LAB_IP}:0", "--stun",
                       f"{LAB_IP}:3478"))
    return net


@pytest.fixture
def ours(net, tmp_path, keep):
    def start(name, host, *options, argv=("sleep", "600")):
        program = Program(net.lab, tmp_path, name, *argv, options=options,
                          wrap=host.wrap)
        program.close = lambda: program.process.poll() is None and \
            program.stop()
        return keep(program).wait_running()
    return start


@pytest.fixture
def theirs(net, tmp_path, keep):
    def start(name, host):
        daemon = keep(Tailscaled(LabControl(net.lab), tmp_path / name, name,
                                 wrap=host.wrap))
        daemon.curl = lambda url: subprocess.run(
            [*host.wrap, "curl", "-sS", "--max-time", "10", "-x",
             f"socks5h://127.0.0.1:{daemon.socks}", url], text=True,
            capture_output=True, env=PEER_ENV, timeout=60, check=False).stdout
        return daemon
    return start


def url(address, path):
    host = f"[{address}]" if ":" in address else address
    return f"http://{host}:{PORT}/{path}"


def test_tailscaled_through_our_router(net, ours, theirs):
    """tailscaled -> host behind our subnet router, 4via6 too"""
    router = ours("router", net.router, "--advertise-routes",
                  f"{SUBNET},{VIA}")
    net.lab.command(f"routes router {SUBNET} {VIA}")
    client = theirs("client", net.client)
    client.cli("set", "--accept-routes")
    for address in (INSIDE, INSIDE_VIA):
        wait_until(lambda a=address: client.curl(url(a, "sub"))
                   == f"/sub from {SEEN_AS}\n", f"{address}", 60)
    assert f"to {INSIDE}:{PORT}" in router.log


def test_tailscaled_through_our_exit_node(net, ours, theirs):
    """tailscaled -> the internet by our exit node"""
    router = ours("router", net.router, "--advertise-exit-node")
    net.lab.command("routes router 0.0.0.0/0 ::/0")
    client = theirs("client", net.client)
    wait_until(lambda: "router" in client.cli("exit-node", "list"),
               "tailscaled to know of it")
    client.cli("set", "--exit-node=router")
    wait_until(lambda: client.curl(url(PUBLIC, "out"))
               == f"/out from {SEEN_AS}\n", "the internet", 60)
    assert f"to {PUBLIC}:{PORT}" in router.log


def test_ours_through_tailscaled(net, ours, theirs):
    """programs under tsrun -> host behind tailscaled, and the internet"""
    router = theirs("router", net.router)
    router.cli("set", f"--advertise-routes={SUBNET}",
               "--advertise-exit-node")
    net.lab.command(f"routes router {SUBNET} 0.0.0.0/0 ::/0")
    script = (f"while :; do python3 {REACH} tcp {INSIDE} {PORT} 3; "
              f"python3 {REACH} udp {INSIDE} {PORT} 3; "
              f"python3 {REACH} tcp {PUBLIC} {PORT} 3; sleep 0.2; done")
    client = ours("client", net.client, "--accept-routes", "--exit-node",
                  "router", argv=("sh", "-c", script))
    wait_until(lambda: f"/x from {SEEN_AS}\ny from {SEEN_AS}\n"
               f"/x from {SEEN_AS}\n" in client.out, "all three", 60)


def test_stock_cli_chooses_our_exit_node(net, ours):
    """stock tailscale exit-node list, suggest, set on our LocalAPI"""
    from conftest import tailscale
    ours("router", net.router, "--advertise-exit-node")
    net.lab.command("routes router 0.0.0.0/0 ::/0")
    net.lab.command("cap router suggest-exit-node []")
    script = (f"while :; do python3 {REACH} tcp {PUBLIC} {PORT} 3; "
              "sleep 0.2; done")
    client = ours("client", net.client, argv=("sh", "-c", script))
    wait_until(lambda: "router" in tailscale(
        client.localapi, "exit-node", "list").stdout, "the list")
    assert "router" in tailscale(client.localapi, "exit-node",
                                 "suggest").stdout
    result = tailscale(client.localapi, "set", "--exit-node=router")
    assert result.returncode == 0, result.stderr
    wait_until(lambda: f"/x from {SEEN_AS}" in client.out, "the internet", 60)
    assert "selected" in tailscale(client.localapi, "exit-node",
                                   "list").stdout
    result = tailscale(client.localapi, "set", "--exit-node=")
    assert result.returncode == 0, result.stderr
    assert "selected" not in tailscale(client.localapi, "exit-node",
                                       "list").stdout
