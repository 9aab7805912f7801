"""Which path packets take, and that a transfer survives when it changes.

Two nodes in one network namespace: nftables cuts them off from each other,
not from the lab's servers.
"""
import json
import os
import re
import subprocess

import pytest

from harness import needs, wait_until

STEADY = os.path.join(os.path.dirname(__file__), "apps", "steady.py")
GRANT = [{"SrcIPs": ["*"], "DstPorts": [
    {"IP": "*", "Ports": {"First": 0, "Last": 65535}}]},
    {"SrcIPs": ["*"], "CapGrant": [
        {"Dsts": ["0.0.0.0/0", "::/0"],
         "CapMap": {"tailscale.com/cap/relay-target": []}}]}]

pytestmark = needs("nft")


def nft(rules):
    subprocess.run(["nft", "-f", "-"], input=rules, text=True, check=True)


def ports(lab, *names):
    """The nodes' UDP ports."""
    found = {int(e.rsplit(":", 1)[1]) for n in names
             for e in lab.node(n)["endpoints"]}
    return ", ".join(str(p) for p in sorted(found))


def cut(lab, *names):
    """No datagram of these nodes reaches another of them."""
    each = ports(lab, *names)
    nft("table inet cut { chain out { type filter hook output priority 0;\n"
        f"udp sport {{ {each} }} udp dport {{ {each} }} drop\n}}\n}}\n")


def heal():
    nft("delete table inet cut")


def path(program, to):
    """"direct", "relayed" or "derp", as status says."""
    ip = program.lab.node(to)["ips"][0]
    for peer in program.status().get("Peer", {}).values():
        if ip in peer["TailscaleIPs"]:
            return ("direct" if peer["CurAddr"] else
                    "relayed" if peer["PeerRelay"] else "derp")
    return None


@pytest.fixture
def pair(run, lab):
    server = run("server", "python3", "-u", STEADY, "serve", "7000"
                 ).wait_running()
    client_stop = os.path.join(server.dir, "stop")

    def start():
        return run("client", "python3", "-u", STEADY, "run", "server", "7000",
                   client_stop).wait_running()
    wait_until(lambda: "listening" in server.out, "the server")
    lab.command("wait server ready")
    return server, start, client_stop


def blocks(client):
    client.alive()
    seen = re.findall(r"^at (\d+)$", client.out, re.M)
    return int(seen[-1]) if seen else 0


def moves_on(client):
    """The transfer is not merely alive."""
    before = blocks(client)
    wait_until(lambda: blocks(client) > before + 20, "the transfer to move on")


def finish(client, stop_file):
    with open(stop_file, "w", encoding="utf-8"):
        pass
    assert client.wait() == 0, client.err
    end = re.search(r"^OK \d+ ([0-9.]+)$", client.out, re.M)
    assert end, client.out
    return float(end[1])


def test_a_peer_relay_is_used_where_no_direct_path_is(pair, lab):
    server, start, stop_file = pair
    relay = lab.command("peer-relay")
    lab.command("filter " + json.dumps(GRANT))
    client = start()
    lab.command("wait client ready")
    cut(lab, "server", "client")
    wait_until(lambda: path(client, "server") == "relayed", "the relay")
    wait_until(lambda: path(server, "client") == "relayed", "the relay")
    moves_on(client)
    vni = f"127.0.0.1:{relay['port']}:vni:7"
    lab.command("delay-derp 300")  # the first answer counts
    pong = client.cli("ping", "-c", "1", "server").stdout
    assert f"via peer-relay({vni})" in pong, pong
    status = client.cli("status").stdout
    assert f"active; peer-relay {vni}" in status, status
    stats = lab.command("peer-relay")["stats"]
    assert stats["sessions"] == 1 and stats["forwarded"] > 40, stats
    finish(client, stop_file)


def test_no_relay_without_a_grant(pair, lab):
    _, start, stop_file = pair
    lab.command("peer-relay")
    client = start()
    lab.command("wait client ready")
    cut(lab, "server", "client")
    wait_until(lambda: path(client, "server") == "derp", "DERP")
    moves_on(client)
    assert path(client, "server") == "derp"
    assert lab.command("peer-relay")["stats"]["allocations"] == 0
    finish(client, stop_file)


def test_a_transfer_survives_every_change_of_path(pair, lab):
    server, start, stop_file = pair
    lab.command("peer-relay")
    lab.command("filter " + json.dumps(GRANT))
    client = start()
    wait_until(lambda: path(client, "server") == "direct", "a direct path")
    moves_on(client)
    cut(lab, "server", "client")
    wait_until(lambda: path(client, "server") == "relayed", "the relay")
    moves_on(client)
    lab.command("peer-relay off")
    wait_until(lambda: path(client, "server") == "derp", "DERP again")
    moves_on(client)
    heal()
    wait_until(lambda: path(client, "server") == "direct", "directness")
    wait_until(lambda: path(server, "client") == "direct", "directness")
    moves_on(client)
    finish(client, stop_file)


def test_the_path_is_measured(pair):
    """And what was measured is given up when the link becomes narrower."""
    _, start, stop_file = pair
    subprocess.run(["ip", "link", "set", "lo", "mtu", "9000"], check=True)
    client = start()
    wait_until(lambda: re.search("carries packets of 89(12|28) bytes",
                                 client.log),
               "9,000 bytes to be found")
    moves_on(client)
    subprocess.run(["ip", "link", "set", "lo", "mtu", "1500"], check=True)
    wait_until(lambda: re.search("carries packets of 14(08|40) bytes",
                                 client.log),
               "1,500 bytes to be found")
    moves_on(client)
    finish(client, stop_file)


def ip_addr(verb, address):
    subprocess.run(["ip", "addr", verb, f"{address}/24", "dev", "lo"],
                   check=True)


def current_address(program, to):
    ip = program.lab.node(to)["ips"][0]
    for peer in program.status().get("Peer", {}).values():
        if ip in peer["TailscaleIPs"]:
            return peer["CurAddr"]
    return ""


def test_a_transfer_survives_a_change_of_addresses(lab, run):
    """Both nodes move to another network, at the same moment."""
    stun = lab.info["stun_port"]
    nft("table inet lo { chain out { type filter hook output priority 0;\n"
        f"ip daddr 127.0.0.0/8 udp sport != {stun} udp dport != {stun} drop\n"
        "ip6 daddr ::1 meta l4proto udp drop\n}\n}\n")
    ip_addr("add", "10.9.0.1")
    server = run("server", "python3", "-u", STEADY, "serve", "7000"
                 ).wait_running()
    wait_until(lambda: "listening" in server.out, "the server")
    lab.command("wait server ready")
    stop_file = os.path.join(server.dir, "stop")
    client = run("client", "python3", "-u", STEADY, "run", "server", "7000",
                 stop_file).wait_running()
    wait_until(lambda: current_address(client, "server"
                                       ).startswith("10.9.0.1:"),
               "a direct path")
    moves_on(client)
    ip_addr("add", "10.8.0.1")
    ip_addr("del", "10.9.0.1")
    wait_until(lambda: any(e.startswith("10.8.0.1:")
                           for e in lab.node("server")["endpoints"]),
               "the new address to be published")
    moves_on(client)
    wait_until(lambda: current_address(client, "server"
                                       ).startswith("10.8.0.1:"),
               "the new path")
    moves_on(client)
    finish(client, stop_file)


def netcheck(program):
    return json.loads(program.cli("--json", "netcheck").stdout)


def test_netcheck(lab, run):
    """With UDP, and where it is blocked: home by HTTPS then."""
    node = run("node", "sleep", "60").wait_running()
    report = netcheck(node)
    assert report["UDP"] and report["IPv4"] and not report["IPv6"], report
    assert report["GlobalV4"].startswith("127.0.0.1:"), report
    assert report["PreferredDERP"] == 900, report
    assert report["RegionV4Latency"]["900"] < 5e9, report
    text = node.cli("netcheck").stdout
    assert re.search(r"^UDP: yes$", text, re.M), text
    assert re.search(r"^  lab +[0-9.]+ ms  Lab 900$", text, re.M), text
    lab.command("stun off")
    report = netcheck(node)
    assert not report["UDP"] and not report["IPv4"], report
    assert report["RegionV4Latency"] == {}, report
    assert 0 < report["RegionLatency"]["900"] < 5e9, report


def test_a_relay_with_nothing_but_a_name_is_asked_by_stun(lab, run):
    node = run("node", "sleep", "60").wait_running()
    derp = {"Name": "7a", "RegionID": 7, "HostName": "localhost",
            "DERPPort": lab.info["derp_port"],
            "STUNPort": lab.info["stun_port"], "InsecureForTests": True}
    lab.command("send-json node " + json.dumps({"DERPMap": {"Regions": {
        "7": {"RegionID": 7, "RegionCode": "seven", "RegionName": "Seven",
              "Nodes": [derp]}}, "omitDefaultRegions": True}}))
    wait_until(lambda: "7" in netcheck(node)["RegionV4Latency"],
               "an answer by STUN")
    assert netcheck(node)["PreferredDERP"] == 7


def test_the_tailnet_may_want_no_bundles(lab, run):
    node = run("node", "sleep", "60").wait_running()
    lab.command("wait node ready")
    for attribute, told in (("disable-udp-gso", "in yes, out no"),
                            ("disable-udp-gro", "in no, out yes"),
                            ("never-gso-equal-tail",
                             "in yes, out with a shorter last one")):
        lab.command("cap node " + attribute)
        wait_until(lambda: told + "\n" in node.log, told)
        assert netcheck(node)["UDP"]
        lab.command(f"cap node {attribute} off")
        wait_until(lambda: node.log.rfind("in yes, out yes\n") >
                   node.log.rindex(told), "its end")


def test_the_tailnet_may_want_a_random_port(lab, run):
    node = run("node", "sleep", "60", env={"TSNET_PORT": "41999"}
               ).wait_running()
    lab.command("wait node ready")
    assert ports(lab, "node") == "41999"
    lab.command("cap node randomize-client-port")
    wait_until(lambda: ports(lab, "node") != "41999", "another port")
    assert netcheck(node)["UDP"]
    lab.command("cap node randomize-client-port off")
    wait_until(lambda: ports(lab, "node") == "41999", "the old port")
    assert netcheck(node)["UDP"]
