"""tailscaled as app connector, our programs as its users.

Our lab is control: it routes the app's names to the connector, and approves
what the connector has found behind them."""
import json
import os
import subprocess
import sys

from conftest import PEER_ENV, LabControl, Tailscaled
from harness import needs, stop, wait_until
from test_names import mounting
from test_routes import (PORT, PUBLIC, REACH, SEEN_AS, net,  # noqa: F401
                         ours)

pytestmark = needs("ip", "nsenter", "getent")

NAME_SERVER = os.path.join(os.path.dirname(__file__), "..", "e2e",
                           "name_server.py")
APP = "app.example"
APPS = [{"name": "app", "connectors": ["*"], "domains": [APP]}]


def serve_names(net, tmp_path, keep):
    """The connector's own name server, which alone knows the app."""
    log = tmp_path / "asked"
    server = subprocess.Popen(
        [*net.router.wrap, sys.executable, NAME_SERVER, "--log", log, "--udp",
         "127.0.0.1:53", f"{APP}={PUBLIC}"], env=PEER_ENV)
    server.close = lambda: stop(server)
    keep(server)
    wait_until(log.exists, "the name server")
    return log


def start_connector(net, tmp_path, keep):
    wrap = [*net.router.wrap,
            *mounting(tmp_path, resolv_conf="nameserver 127.0.0.1\n")]
    connector = keep(Tailscaled(LabControl(net.lab), tmp_path / "connector",
                                "connector", wrap=wrap))
    net.lab.command("cap connector tailscale.com/app-connectors " +
                    json.dumps(APPS))
    connector.cli("set", "--advertise-connector")
    return connector


def peerapi_of(net):
    def find():
        info = net.lab.node("connector")["hostinfo"]
        ports = [s["Port"] for s in info.get("Services") or []
                 if s["Proto"] == "peerapi4"]
        return ports and ports[0]
    return wait_until(find, "its PeerAPI")


def test_tailscaled_as_connector(net, ours, keep, tmp_path):
    """programs under tsrun -> an app behind tailscaled, while it is approved"""
    asked = serve_names(net, tmp_path, keep)
    connector = start_connector(net, tmp_path, keep)
    net.lab.command("dns " + json.dumps({
        "Proxied": True, "Domains": ["lab.ts.net"], "Routes": {
            APP: [{"Addr": f"http://{connector.ip}:{peerapi_of(net)}"
                   "/dns-query"}]}}))
    script = (f"while :; do getent ahostsv4 {APP} | head -n 1; "
              f"python3 {REACH} tcp {PUBLIC} {PORT} 2; sleep 0.2; done")
    client = ours("client", net.client, "--accept-routes",
                  argv=("sh", "-c", script))
    wait_until(lambda: PUBLIC in client.out, "the app's address", 30)
    assert f"udp {APP} 1 127.0.0.1\n" in asked.read_text()
    assert SEEN_AS not in client.out
    # What it has answered it offers to lead to.
    wait_until(lambda: f"{PUBLIC}/32" in str(net.lab.node("connector")[
        "hostinfo"].get("RoutableIPs")), "the connector's offer", 30)
    net.lab.command(f"routes connector {PUBLIC}/32")
    wait_until(lambda: f"/x from {SEEN_AS}" in client.out, "the app", 30)
    net.lab.command("routes connector")
    wait_until(lambda: SEEN_AS not in "".join(client.out.splitlines()[-6:]),
               "the end of it", 30)
