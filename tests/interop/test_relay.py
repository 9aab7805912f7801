"""tailscaled as peer relay, and as a peer behind one; control is our lab."""
import json
import os
import re
import subprocess
import sys

import pytest

from conftest import LabControl, Tailscaled, free_port, OwnNetwork
from harness import Lab, Program, needs, wait_until

E2E = os.path.join(os.path.dirname(__file__), "..", "e2e")
STEADY = os.path.join(E2E, "apps", "steady.py")
RELAY_CAPS = {"tailscale.com/cap/relay": [],
              "tailscale.com/cap/relay-target": []}
FILTER = [{"SrcIPs": ["*"], "DstPorts": [
    {"IP": "*", "Ports": {"First": 0, "Last": 65535}}]},
    {"SrcIPs": ["*"], "CapGrant": [{"Dsts": ["0.0.0.0/0", "::/0"],
                                    "CapMap": RELAY_CAPS}]}]

pytestmark = needs("nft", "ip")


def sh(*lines):
    for line in lines:
        subprocess.run(line.split(), check=True)


@pytest.fixture
def net(tmp_path, keep):
    """A network namespace of its own with a lab and a relay, where UDP goes to
    the relay and to STUN only."""
    keep(OwnNetwork())
    # tailscaled pauses while no interface but lo is up.
    sh("ip link add eth0 type veth peer name eth1", "ip link set eth0 up",
       "ip link set eth1 up", "ip addr add 192.0.2.1/24 dev eth0",
       "ip route add default via 192.0.2.2 dev eth0")
    directory = tmp_path / "lab"
    directory.mkdir()
    lab = keep(Lab(directory))
    lab.control = LabControl(lab)
    lab.command("filter " + json.dumps(FILTER))
    port = free_port()
    relay = keep(Tailscaled(lab.control, tmp_path / "relay", "relay"))
    relay.cli("set", f"--relay-server-port={port}",
              f"--relay-server-static-endpoints=192.0.2.1:{port}")
    ports = f"{{ {port}, {lab.info['stun_port']} }}"
    subprocess.run(
        ["nft", "-f", "-"], check=True, text=True,
        input="table inet cut { chain out { type filter hook output priority "
        f"0;\nudp sport != {ports} udp dport != {ports} drop\n}}\n}}\n")
    return lab


@pytest.fixture
def run(net, tmp_path, keep):
    def start(hostname, *argv):
        program = Program(net, tmp_path, hostname, *argv)
        program.close = lambda: program.process.poll() is None and \
            program.stop()
        return keep(program)
    return start


def peer_relay(program, ip):
    for peer in program.status().get("Peer", {}).values():
        if ip in peer["TailscaleIPs"]:
            return peer["PeerRelay"]
    return ""


def test_our_two_nodes(net, run, tmp_path):
    """Two of ours through tailscaled as peer relay"""
    server = run("server", sys.executable, "-u", STEADY, "serve", "7000"
                 ).wait_running()
    wait_until(lambda: "listening" in server.out, "the server")
    stop_file = tmp_path / "stop"
    client = run("client", sys.executable, "-u", STEADY, "run", "server",
                 "7000", str(stop_file)).wait_running()
    wait_until(lambda: peer_relay(client, server.ip), "the relay", 60)
    wait_until(lambda: peer_relay(server, client.ip), "the relay")
    before = client.out.count("at ")
    wait_until(lambda: client.out.count("at ") > before + 2, "the transfer")
    stop_file.touch()
    assert client.wait() == 0, client.err
    assert re.search(r"^OK \d+ ", client.out, re.M), client.out


def test_with_tailscaled(net, run, tmp_path, keep):
    """One of ours and tailscaled through tailscaled as peer relay"""
    ours = run("ours", sys.executable, "-u", STEADY, "serve", "7000"
               ).wait_running()
    theirs = keep(Tailscaled(net.control, tmp_path / "theirs", "theirs"))
    relayed = re.compile(r"via peer-relay\([0-9.]+:\d+:vni:\d+\)")
    wait_until(lambda: relayed.search(
        theirs.cli("ping", "-c", "3", "--timeout=2s", "--until-direct=false",
                   "ours")), "tailscaled to use the relay", 60)
    wait_until(lambda: relayed.search(
        ours.cli("ping", "-c", "2", "theirs", check=False).stdout),
        "our node to use the relay", 60)
    assert peer_relay(ours, theirs.ip)
