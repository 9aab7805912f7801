"""A provider of WireGuard as exit node: no disco, no relay, nothing of
Tailscale's.

wireguard-go on a host with a site behind it; our lab tells our node of it as
control servers tell of such peers (IsWireGuardOnly)."""
import json
import os
import socket
import subprocess
import sys

import pytest

from conftest import PEER_ENV, PEERS, Daemon
from harness import needs, stop, wait_until
from test_routes import PORT, PUBLIC, REACH, net, ours  # noqa: F401 (fixtures)

NAME_SERVER = os.path.join(os.path.dirname(__file__), "..", "e2e",
                           "name_server.py")
# What it knows us by; its resolver, in the tailnet's own range.
MASQUERADE, RESOLVER = "100.99.0.7", "100.64.9.9"
DEVICE, LISTEN = "wgp0", 51820
CONTROL = f"/run/wireguard/{DEVICE}.sock"

pytestmark = [
    needs("ip", "nsenter", "openssl", "getent"),
    pytest.mark.skipif(not os.path.exists("/dev/net/tun"), reason="no TUN"),
    pytest.mark.skipif(not os.path.exists(f"{PEERS}/wireguard-go"),
                       reason="no wireguard-go")]


def openssl(*args, data=b""):
    return subprocess.run(["openssl", *args], input=data, capture_output=True,
                          check=True).stdout


def make_keys():
    """Private and public, in hexadecimal."""
    private = openssl("genpkey", "-algorithm", "X25519", "-outform", "DER")
    public = openssl("pkey", "-inform", "DER", "-pubout", "-outform", "DER",
                     data=private)
    return private[-32:].hex(), public[-32:].hex()


def configure(**settings):
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(CONTROL)
        s.sendall(b"set=1\n" + "".join(
            f"{k}={v}\n" for k, v in settings.items()).encode() + b"\n")
        assert s.makefile().readline() == "errno=0\n"


@pytest.fixture
def provider(net, tmp_path, keep):
    """.public: its key; .admit(key) lets us in."""
    host = net.router
    daemon = keep(Daemon(tmp_path / "provider", "wireguard", *host.wrap,
                         f"{PEERS}/wireguard-go", "-f", DEVICE))
    wait_until(lambda: daemon.alive() and os.path.exists(CONTROL),
               "wireguard-go")
    private, daemon.public = make_keys()
    configure(private_key=private, listen_port=LISTEN)
    host("ip", "addr", "add", "10.64.0.1/32", "dev", DEVICE)
    host("ip", "link", "set", DEVICE, "mtu", "1280", "up")
    host("ip", "route", "add", MASQUERADE, "dev", DEVICE)
    host("ip", "addr", "add", RESOLVER + "/32", "dev", "lo")
    host("sysctl", "-qw", "net.ipv4.ip_forward=1")
    daemon.asked = tmp_path / "asked"
    server = subprocess.Popen(
        [*host.wrap, sys.executable, NAME_SERVER, "--log", daemon.asked,
         "--udp", f"{RESOLVER}:53", f"site.example={PUBLIC}"], env=PEER_ENV)
    server.close = lambda: stop(server)
    keep(server)
    wait_until(daemon.asked.exists, "its name server")
    daemon.admit = lambda key: configure(public_key=key,
                                         allowed_ip=MASQUERADE + "/32")
    return daemon


def test_a_provider_of_wireguard(net, ours, provider):
    """programs under tsrun -> the internet by wireguard-go (WireGuard only)"""
    script = (f"while :; do python3 {REACH} tcp {PUBLIC} {PORT} 3; "
              f"python3 {REACH} udp {PUBLIC} {PORT} 3; "
              "getent ahostsv4 site.example; sleep 0.2; done")
    client = ours("client", net.client, "--exit-node", "wg-1",
                  argv=("sh", "-c", script))
    provider.admit(net.lab.node("client")["key"].removeprefix("nodekey:"))
    peer = {"ID": 7001, "StableID": "wg-1", "Name": "wg-1.provider.ts.net.",
            "Key": "nodekey:" + provider.public, "User": 1,
            "Addresses": ["100.70.0.1/32"], "MachineAuthorized": True,
            "AllowedIPs": ["100.70.0.1/32", "0.0.0.0/0", "::/0"],
            # The first one is nobody's.
            "Endpoints": [f"203.0.121.77:{LISTEN}", f"203.0.120.2:{LISTEN}"],
            "IsWireGuardOnly": True, "Hostinfo": {"OS": "linux"},
            "SelfNodeV4MasqAddrForThisPeer": MASQUERADE,
            "ExitNodeDNSResolvers": [{"Addr": RESOLVER}]}
    net.lab.command("send-json client " + json.dumps({"PeersChanged": [peer]}))
    wait_until(lambda: f"/x from {MASQUERADE}\ny from {MASQUERADE}\n{PUBLIC} "
               in client.out, "all three", 60)
    asked = provider.asked.read_text().splitlines()
    assert f"udp site.example 1 {MASQUERADE}" in asked
    status = client.status()["Peer"]["nodekey:" + provider.public]
    assert status["ExitNode"] and status["CurAddr"] == f"203.0.120.2:{LISTEN}"
