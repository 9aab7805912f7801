"""Strangers and bad peers send far too much, while a transfer runs.

Nothing here measures a rate (`make floods` does): the transfer goes on and
arrives as it was sent, the host's memory stays, and the log has a line for
each kind of flood, not one for each message.
"""
import json
import os
import re
import subprocess

import pytest

from harness import BUILD, CLEAN_ENV, PATIENCE, SANITIZERS, wait_until

FLOOD = os.path.join(BUILD, "tsnet-flood")
APPS = os.path.join(os.path.dirname(__file__), "apps")
STEADY, ECHO, DATAGRAMS = (
    os.path.join(APPS, name)
    for name in ("steady.py", "echo_server.py", "steady_datagrams.py"))
PER_S = 500 if SANITIZERS else 3000
FLOWS_PER_S = 500 if SANITIZERS else 12000
FLOWS_MAX = 12288  # core/host/app_datagram.h
SECONDS = 3   # it takes more than one until a flood is told
MEMORY_KB = 24 * 1024
LINES_EACH = 2
STRANGERS = ["initiations", "without-mac", "transport", "unknown-disco",
             "forged-disco", "stun", "geneve", "noise"]
TOLD = re.compile(r"^\S+ (?:warning|warn) .*flood.*$", re.M)


def udp_port(lab, name):
    endpoints = lab.node(name)["endpoints"]
    return next(int(e.rsplit(":", 1)[1]) for e in endpoints if "[" not in e)


def start_flood(lab, victim, kind, *options, per_s=PER_S):
    node = lab.node(victim)
    return subprocess.Popen(
        [FLOOD, kind, f"to=127.0.0.1:{udp_port(lab, victim)}",
         f"node={node['key']}", f"disco={node['disco']}", f"per_s={per_s}",
         f"seconds={SECONDS}", *options],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=CLEAN_ENV)


def end_floods(floods):
    """What each one sent."""
    sent = {}
    for flood in floods:
        out, err = flood.communicate(timeout=PATIENCE + SECONDS)
        assert flood.returncode == 0, err
        answer = json.loads(out)
        sent[answer["kind"]] = answer["sent"]
    return sent


def free_port():
    """For an endpoint that the tailnet is told before it is opened."""
    import socket
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def hostile(lab, directory, victim, kind, port=0):
    """A node of the tailnet that does nothing but that."""
    keys = os.path.join(directory, f"{kind}.keys")
    public = json.loads(subprocess.run(
        [FLOOD, "keys", keys], capture_output=True, check=True, text=True,
        timeout=PATIENCE).stdout)
    local = free_port()
    node = lab.command(f"hostile {kind} {public['node']} {public['disco']} "
                       f"127.0.0.1:{local}")
    target = lab.node(victim)["ips"][0]
    return [f"keys={keys}", f"local={local}", f"from={node['ips'][0]}",
            f"dst={target}", f"port={port}"]


def peak_kb(program):
    with open(f"/proc/{program.process.pid}/status", encoding="ascii") as f:
        return int(re.search(r"^VmHWM:\s+(\d+)", f.read(), re.M)[1])


def blocks(client):
    client.alive()
    seen = re.findall(r"^at (\d+)$", client.out, re.M)
    return int(seen[-1]) if seen else 0


@pytest.fixture
def transfer(run, lab):
    """A direct transfer; the server is the one to be flooded."""
    server = run("server", "sh", "-c", f"python3 {ECHO} 7001 & exec python3 "
                 f"-u {STEADY} serve 7000").wait_running()
    stop_file = os.path.join(server.dir, "stop")
    server.wait_listening(7001)
    wait_until(lambda: "listening" in server.out, "the server")
    client = run("client", "python3", "-u", STEADY, "run", "server", "7000",
                 stop_file).wait_running()
    wait_until(lambda: blocks(client) > 20 and
               "now using" in server.log, "a direct transfer")
    return server, client, stop_file


def finish(client, stop_file):
    with open(stop_file, "w", encoding="utf-8"):
        pass
    assert client.wait() == 0, client.err
    assert re.search(r"^OK \d+ ", client.out, re.M), client.out


def check(transfer, floods, told):
    """The floods are on: the transfer goes on to its right end."""
    server, client, stop_file = transfer
    memory, before = peak_kb(server), blocks(client)
    sent = end_floods(floods)
    wait_until(lambda: blocks(client) > before + 20, "the transfer to go on")
    finish(client, stop_file)
    assert all(n > PER_S * SECONDS / 10 for n in sent.values()), sent
    assert peak_kb(server) < memory + MEMORY_KB
    lines = TOLD.findall(server.log)
    assert len(lines) <= LINES_EACH * len(told), lines
    for what in () if SANITIZERS else told:  # they take too long to send
        assert any(what in line for line in lines), (what, lines)


def test_of_strangers(transfer, lab):
    known = f"known={lab.node('client')['disco']}"
    floods = [start_flood(lab, "server", kind, known) for kind in STRANGERS]
    check(transfer, floods, [
        "handshake messages", "packets of no session", "discovery messages",
        "STUN answers"])


def test_of_peers(transfer, lab, tmp_path, call):
    """Others are served meanwhile, by the program that is flooded too."""
    floods = [start_flood(lab, "server", kind, *hostile(
        lab, tmp_path, "server", kind, 7001))
        for kind in ("syn", "udp", "echo", "tsmp", "pings")]
    wait_until(lambda: SANITIZERS or
               "flood of connections" in transfer[0].log, "the flood")
    other = call("other", "python3", "-c", "import socket\n"
                 "s = socket.create_connection(('server', 7001), 20)\n"
                 "s.sendall(b'hello'); print(s.recv(5))")
    assert other.out == "b'hello'\n", other.err
    check(transfer, floods, ["connections", "echo requests", "TSMP",
                             "discovery pings"])


@pytest.mark.parametrize("whom", ["choose", "answer"])
def test_of_flows(run, lab, tmp_path, whom):
    """A peer sends from every port that there is to one where a program
    listens, more often than there is room for flows: another's flow is the
    same all the time, whether the program answers the flood or not."""
    server = run("server", "python3", "-u", DATAGRAMS, "serve", "7000",
                 whom).wait_running()
    wait_until(lambda: "listening" in server.out, "the server")
    stop_file = tmp_path / "stop"
    client = run("client", "python3", "-u", DATAGRAMS, "run", "server", "7000",
                 str(stop_file)).wait_running()
    wait_until(lambda: blocks(client) >= 50 and "now using" in server.log,
               "a direct flow")
    memory, before = peak_kb(server), blocks(client)
    sent = end_floods([start_flood(
        lab, "server", "udp", *hostile(lab, tmp_path, "server", "udp", 7000),
        per_s=FLOWS_PER_S)])
    assert SANITIZERS or sent["udp"] > 2 * FLOWS_MAX
    wait_until(lambda: blocks(client) >= before + 100, "the flow to go on")
    stop_file.touch()
    assert client.wait() == 0, client.err
    assert "OK" in client.out
    assert peak_kb(server) < memory + MEMORY_KB
    lines = TOLD.findall(server.log)
    assert SANITIZERS or any("flood of flows" in line for line in lines), lines
    assert len(lines) <= LINES_EACH, lines
    assert len(os.listdir(f"/proc/{server.process.pid}/fd")) < 200
