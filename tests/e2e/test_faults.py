"""What fails comes back, and what was up stays up meanwhile."""
import json
import os
import signal

import pytest

from harness import wait_until
from talker import Talker

APPS = os.path.join(os.path.dirname(__file__), "apps")
CONTROL_FAULTS = ["zstd", "json", "not-object", "oversize", "truncated",
                  "empty", "unknown", "types"]


def app(name):
    return os.path.join(APPS, name)


@pytest.fixture
def echo(run):
    return run("echo", "python3", app("echo_server.py"), "7000"
               ).wait_running().wait_listening(7000)


@pytest.fixture
def client(run):
    client = Talker(run, "client", "echo", "7000")
    client.program.wait_running()
    yield client
    client.close()


def online(lab, name):
    node = lab.node(name)
    return node and node["online"]


def test_control_connection_lost(echo, client, lab):
    assert client.new() == "OK" and client.keep() == "OK"
    lab.command("refuse-control on")
    lab.command("drop-control")
    assert client.keep() == "OK"
    assert client.new() == "OK"
    lab.command("refuse-control off")
    wait_until(lambda: online(lab, "client") and online(lab, "echo"),
               "both nodes to poll again")


@pytest.mark.parametrize("kind", CONTROL_FAULTS)
def test_malformed_map_messages(echo, client, lab, kind):
    assert client.keep() == "OK"
    lab.command(f"send-malformed {kind} all")
    assert client.keep() == "OK"
    assert client.new() == "OK"
    # and news still arrive
    lab.command("add-record extra.lab.ts.net A 100.64.0.77")
    wait_until(lambda: client.ask("resolve extra.lab.ts.net") == "100.64.0.77",
               "the new record")


def test_map_cut_mid_message(echo, client, lab):
    lab.command("cut-map 10")
    lab.command("add-record cut.lab.ts.net A 100.64.0.78")
    wait_until(lambda: client.ask("resolve cut.lab.ts.net") == "100.64.0.78",
               "the record after the reconnect")
    assert client.new() == "OK"


@pytest.mark.parametrize("fault", ["drop", "restart"])
def test_derp_comes_back(run, lab, fault):
    env = {"TSNET_DIRECT": "no"}
    run("echo", "python3", app("echo_server.py"), "7000", env=env
        ).wait_running().wait_listening(7000)
    program = run("client", "python3", "-u", app("keep_echoing.py"), "echo",
                  "7000", "40", env=env)
    wait_until(lambda: "echo 5\n" in program.out, "some echoes")
    lab.command(f"derp {fault}")
    assert program.wait(60) == 0, program.err + program.log[-2000:]
    assert "echo 40\n" in program.out


def test_peer_restart(run, lab, client):
    first = run("echo", "python3", app("echo_server.py"), "7000"
                ).wait_running().wait_listening(7000)
    wait_until(lambda: client.new() == "OK", "the first connection")
    first.stop()
    run("echo", "python3", app("echo_server.py"), "7000"
        ).wait_running().wait_listening(7000)
    wait_until(lambda: client.new() == "OK", "a connection after the restart")


def test_a_silent_peer_times_out_and_comes_back(echo, client):
    """Stopped in its tracks: no answer, no refusal, the program's own time-out
    is what ends the connect."""
    connect = f"connect {echo.ip} 7000"
    assert client.ask(connect) == "OK"
    os.kill(echo.process.pid, signal.SIGSTOP)
    try:
        assert client.ask(connect) == "ETIMEDOUT"
    finally:
        os.kill(echo.process.pid, signal.SIGCONT)
    wait_until(lambda: client.ask(connect) == "OK", "the peer to answer again")


def test_a_removed_peer_is_unreachable(echo, client, lab):
    assert client.new() == "OK"
    lab.command("remove echo")
    wait_until(lambda: client.new() in ("ENOENT", "EHOSTUNREACH", "gaierror",
                                        "ETIMEDOUT"), "the peer to be gone")


def test_an_expired_peer_is_unreachable(run, client, lab):
    """The peer has no auth key at hand to log in again with."""
    argv = ("python3", app("echo_server.py"), "7000")
    run("echo", *argv).wait_running().stop()
    ip = run("echo", *argv, key=None).wait_running().wait_listening(7000).ip
    assert client.ask(f"connect {ip} 7000") == "OK"
    lab.command("expire echo")
    wait_until(lambda: client.ask(f"connect {ip} 7000") == "EHOSTUNREACH",
               "the peer to be shut out")


def test_a_filter_change_refuses_new_and_keeps_old(echo, client, lab):
    # By IPv4: only there do the rules' refusals have an answer (TSMP).
    connect = f"connect {echo.ip} 7000"
    assert client.keep() == "OK"
    assert client.ask(connect) == "OK"
    lab.command("filter []")
    wait_until(lambda: client.ask(connect) == "ECONNREFUSED", "the new filter")
    assert client.keep() == "OK"


def test_a_new_node_key_of_a_peer(echo, client, lab):
    assert client.new() == "OK"
    before = lab.node("echo")["key"]
    lab.command("rekey echo")
    wait_until(lambda: lab.node("echo")["key"] != before and
               online(lab, "echo"), "the new key")
    wait_until(lambda: client.new() == "OK", "a connection with the new key")


def test_a_renamed_peer(echo, client, lab):
    lab.command("rename echo parrot")
    wait_until(lambda: client.ask("resolve parrot") == echo_ip(lab, "parrot"),
               "the new name")


def echo_ip(lab, name):
    return lab.node(name)["ips"][0]


def test_ten_thousand_peers(make_lab, run, call):
    big = make_lab("--peers", "10000")
    server = run("echo", "python3", app("echo_server.py"), "7000", lab=big
                 ).wait_running().wait_listening(7000)
    client = call("client", "python3", app("many_clients.py"), "echo", "7000",
                  "20", lab=big, timeout=120)
    assert client.out == "20 of 20\n", client.err
    status = json.loads(server.cli("--json", "status").stdout)
    assert len(status["Peer"]) >= 10_000
