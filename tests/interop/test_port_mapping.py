"""tailscaled and a node of ours behind NATs that only a port mapping opens.

The gateways are those of the end-to-end tests; tailscaled gets its port from
the same script, so both are asked the same."""
import pytest

from conftest import LabControl, Tailscaled, OwnNetwork
from gateways import Router, sh
from harness import Lab, Program, needs, wait_until

# Go's client takes plain HTTP from private addresses only.
LAB_IP = "10.255.0.1"

pytestmark = needs("nft", "ip", "nsenter")


@pytest.fixture
def net(tmp_path, keep):
    """.mapping and .symmetric: two routers; .lab."""
    class Net:
        pass
    keep(OwnNetwork())
    sh("sysctl", "-qw", "net.ipv4.ip_forward=1")
    sh("ip", "addr", "add", LAB_IP + "/32", "dev", "lo")
    net = Net()
    net.mapping, net.symmetric = keep(Router(120)), keep(Router(121))
    (tmp_path / "lab").mkdir()
    net.lab = keep(Lab(tmp_path / "lab", "--listen", f"{LAB_IP}:0",
                       "--derp-listen", f"{LAB_IP}:0", "--stun",
                       f"{LAB_IP}:3478"))
    return net


@pytest.fixture
def tailscaled(net, tmp_path, keep):
    def start(router):
        return keep(Tailscaled(LabControl(net.lab), tmp_path / "theirs",
                               "theirs", wrap=router.host.wrap))
    return start


@pytest.fixture
def ours(net, tmp_path):
    programs = []

    def start(router):
        programs.append(Program(net.lab, tmp_path, "ours", "sleep", "600",
                                wrap=router.host.wrap))
        return programs[-1].wait_running()
    yield start
    for program in programs:
        program.stop()


@pytest.mark.parametrize("protocol", ["pmp", "pcp", "upnp"])
def test_tailscaled_reaches_our_port(net, tailscaled, ours, protocol):
    gateway = net.mapping.speak(protocol)
    node = ours(gateway)
    external = f"{gateway.wan}:{gateway.wait('map')['port']}"
    wait_until(lambda: external in net.lab.node("ours")["endpoints"],
               "the mapping in the netmap")
    theirs = tailscaled(net.symmetric)
    wait_until(lambda: f"via {external} " in theirs.cli(
        "ping", "-c", "1", "--until-direct=false", node.ip), "a direct pong")


@pytest.mark.parametrize("protocol", ["pmp", "pcp", "upnp"])
def test_we_reach_tailscaleds_port(net, tailscaled, ours, protocol):
    gateway = net.mapping.speak(protocol)
    theirs = tailscaled(gateway)
    external = f"{gateway.wan}:{gateway.wait('map')['port']}"
    wait_until(lambda: external in net.lab.node("theirs")["endpoints"],
               "the mapping in the netmap")
    node = ours(net.symmetric)
    wait_until(lambda: f"via {external} " in node.cli(
        "ping", "-c", "1", theirs.ip, check=False).stdout, "a direct pong")
