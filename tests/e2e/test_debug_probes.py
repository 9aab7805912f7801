"""The LocalAPI's debug routes that try something out, and what callers tell."""
import os
import socket

import pytest

from harness import wait_until
from test_localapi import API, Connection, ask
from test_port_mapping import address, internet  # noqa: F401, pylint: disable=unused-import

# pylint: disable=redefined-outer-name


def count(program, *updates):
    status, _, body = ask(program, "POST", "upload-client-metrics",
                          list(updates))
    return status, body


def test_what_callers_count(run):
    """It is added up and shown with the node's own; nothing is uploaded."""
    a = run("a", "sleep", "600").wait_running()
    one = {"name": "cli_up", "type": "counter", "value": 2}
    gauge = {"name": "gui_open", "type": "gauge", "value": -3, "op": "set"}
    assert count(a, one, gauge) == (200, {})
    assert count(a, dict(one, value=3), dict(gauge, value=7)) == (200, {})
    shown = ask(a, "GET", "metrics")[2].decode()
    assert "# TYPE cli_up counter\ncli_up 5\n" in shown
    assert "# TYPE gui_open gauge\ngui_open 7\n" in shown
    own = next(line.split()[2] for line in shown.splitlines()
               if line.startswith("# TYPE "))
    for update, words in (
            (dict(one, name=own), b"Already have a metric named"),
            (dict(one, name="x", type="timer"), b"Unknown metric type timer"),
            (dict(one, op="multiply"), b"Unknown metric op multiply"),
            (dict(one, name="x y\n"), b"not the name of a metric"),
            (dict(one, name=""), b"not the name"), ([], b"not the name")):
        status, text = count(a, update)
        assert status == 400 and words in text, (update, text)
    for body in ("x", "{}", "[", ""):
        assert ask(a, "POST", "upload-client-metrics", body)[0] == 400
    # It ends somewhere, and what is there stays.
    many = [{"name": f"m{i}", "type": "gauge", "value": i} for i in range(300)]
    status, text = count(a, *many)
    assert status == 400 and b"more than 256" in text
    top = {"name": "m0", "type": "gauge", "value": 2**63 - 1}
    assert count(a, top, top) == (200, {})
    shown = ask(a, "GET", "metrics")[2].decode()
    assert "cli_up 5\n" in shown and f"m0 {2**63 - 1}\n" in shown


def test_a_push_message_is_logged(run):
    a = run("a", "sleep", "600").wait_running()
    assert ask(a, "POST", "handle-push-message",
               {"hello": "wörld\n" + "x" * 2000})[0] == 204
    wait_until(lambda: 'got push message: {"hello":"w\\u00F6rld\\nxxx' in a.log,
               "the log")
    line = next(x for x in a.log.splitlines() if "push message" in x)
    assert len(line) < 700
    assert ask(a, "POST", "handle-push-message", "nonsense")[0] == 400
    assert ask(a, "GET", "handle-push-message")[0] == 405


# -- ways to an address ----------------------------------------------------------

def dial_types(program, ip, port, network="tcp"):
    status, _, text = ask(program, "POST", f"debug-dial-types?ip={ip}"
                          f"&port={port}&network={network}")
    assert status == 200, text
    return {x[1:].split("]")[0]: x.split("] ")[1]
            for x in text.decode().splitlines()}


def test_which_dialer_gets_there(run):
    a = run("a", "sleep", "600").wait_running()
    b = run("b", "python3", "-m", "http.server", "8000",
            options=["--listen", "tailnet", "--wait"])
    wait_until(lambda: "is served" in b.log, "the server")
    wait_until(lambda: a.status().get("Peer"), "the peer")
    by_host = "SystemDial", "PeerDial", "BareDial"
    ways = dial_types(a, b.ip, 8000)
    assert set(ways) == {"UserDial", *by_host}
    assert ways["UserDial"] == "connected=true err=<nil>"
    for name in by_host:
        assert ways[name].startswith("connected=false err="), ways
    assert "refused" in dial_types(a, b.ip, 8001)["UserDial"].lower()
    # What is not the tailnet's goes by the host for all of them.
    with socket.create_server(("127.0.0.1", 0)) as server:
        ways = dial_types(a, "127.0.0.1", server.getsockname()[1])
        assert set(ways.values()) == {"connected=true err=<nil>"}
    for query in ("ip=x&port=1", "ip=100.64.0.1&port=0", "ip=::1&port=99999",
                  "port=1", "ip=1.2.3.4&port=1&network=udp"):
        assert ask(a, "POST", "debug-dial-types?" + query)[0] == 400, query


def test_a_dial_that_nobody_answers(internet, inside):
    """After five seconds it is said; nothing is left of it."""
    before = len(os.listdir(f"/proc/{inside.process.pid}/fd"))
    internet.server.router("nft", "insert", "rule", "ip", "filter", "forward",
                           "ip", "daddr", "203.0.120.77", "drop")
    ways = dial_types(inside, "203.0.120.77", 80)
    assert all("timed out" in w.lower() for w in ways.values()), ways
    assert len(os.listdir(f"/proc/{inside.process.pid}/fd")) <= before + 1


# -- ports of the gateway --------------------------------------------------------

@pytest.fixture
def inside(internet, run):
    """A node behind the router, which does not ask it by itself."""
    return run("a", "sleep", "600", lab=internet.lab,
               wrap=internet.server.host.wrap,
               env={"TS_DISABLE_PORTMAPPER": "1"}).wait_running()


def portmap(program, *params):
    query = "&".join(("duration=10s", *params))
    status, headers, body = ask(program, "GET", "debug-portmap?" + query)
    assert status == 200 and headers["Content-Type"] == "text/plain", body
    return body.decode().splitlines()


@pytest.mark.parametrize("kind", ["", "pmp", "pcp", "upnp"])
def test_a_port_of_the_gateway(internet, inside, kind):
    """Asked for by what is named, told line by line, and given back."""
    router = internet.server
    gateway = router.speak("pmp", "pcp", "upnp")
    lines = portmap(inside, f"type={kind}")
    assert lines[0] == f"gw={router.lan}; self={router.ip}"
    mapping = gateway.wait("map")
    assert mapping["by"] == (kind or "pmp")
    assert f"mapping: {address(gateway, mapping)}" in lines, lines
    probe = next(x for x in lines if x.startswith("Probe: "))
    for name, word in (("pcp", "PCP"), ("pmp", "PMP"), ("upnp", "UPnP")):
        if kind and name != kind:
            assert f"{word}:false" in probe, probe
    assert any(x.startswith("portmapper: ") for x in lines), lines
    gateway.wait("unmap")
    assert not router.rules()
    assert {e["by"] for e in gateway.all("map")} == {kind or "pmp"}


def test_no_gateway_that_maps(internet, inside):
    router = internet.server
    lines = portmap(inside, "type=pmp")
    assert lines[0].startswith("gw=") and \
        "no portmapping services available" in lines, lines
    # One that is named is asked in place of the default one, if it is private.
    lines = portmap(inside, f"gateway_and_self={router.ip}/{router.lan}",
                    "duration=1s")
    assert lines[0] == f"gw={router.ip}; self={router.lan}"
    lines = portmap(inside, f"gateway_and_self={router.wan}/{router.ip}")
    assert lines[-1] == "that is no private IPv4 address: it is not asked"
    for query, words in (("", b"duration"), ("duration=x", b"duration"),
                         ("duration=1s&type=x", b"unknown portmap debug type"),
                         ("duration=1s&gateway_and_self=1.2.3.4", b"A/B"),
                         ("duration=1s&gateway_and_self=a/b", b"A/B")):
        status, _, text = ask(inside, "GET", "debug-portmap?" + query)
        assert status == 400 and words in text, query


def test_who_asks_for_a_port_and_leaves(internet, inside):
    """It ends, another one can begin, and there is one at a time."""
    conn = Connection(inside.localapi)
    conn.request("GET", API + "debug-portmap?duration=60s&type=upnp")
    assert conn.getresponse().status == 200
    assert ask(inside, "GET", "debug-portmap?duration=1s")[0] == 503
    conn.close()
    wait_until(lambda: ask(inside, "GET", "debug-portmap?duration=0s")[0] ==
               200, "the first one's end")
