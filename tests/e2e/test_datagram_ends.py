"""Remote ends of datagram sockets: there, not there, gone, and ourselves."""
import os
import re
import subprocess

import pytest

from harness import wait_until

APPS = os.path.join(os.path.dirname(__file__), "apps")


def app(name):
    return os.path.join(APPS, name)


@pytest.fixture
def echo(run):
    def start(how="v4"):
        return run("echo", "python3", app("datagram_echo.py"), "7000", how
                   ).wait_running()
    return start


def ends(call, case, ip, **kwargs):
    client = call("client", "python3", app("datagram_ends.py"), case, ip,
                  "7000", timeout=90, **kwargs)
    assert client.code == 0, client.err + client.log[-3000:]
    return client.out.splitlines()


@pytest.mark.parametrize("family", [0, 1], ids=["v4", "v6"])
def test_a_closed_port_is_an_error_while_the_program_waits(run, call, family):
    server = run("idle", "sleep", "1000").wait_running()
    said = ends(call, "closed_port", server.lab.node("idle")["ips"][family])
    assert said == ["ECONNREFUSED"] * 3


def test_a_peer_that_leaves_the_tailnet(lab, run, echo):
    ip = echo().lab.node("echo")["ips"][0]
    client = run("client", "python3", app("datagram_ends.py"), "peer_leaves",
                 ip, "7000")
    wait_until(lambda: client.alive() and client.out.count("\n") == 2,
               "two answers")
    lab.command("remove echo")
    assert client.wait() == 0, client.err + client.log[-3000:]
    assert client.out.splitlines() == ["b'one'", "b'two'", "EHOSTUNREACH",
                                       "True"]


@pytest.mark.parametrize("family", [0, 1], ids=["v4", "v6"])
def test_errors_that_are_wanted_later(run, call, family):
    server = run("idle", "sleep", "1000").wait_running()
    said = ends(call, "late_errors", server.lab.node("idle")["ips"][family])
    assert said == [f"[({(0, 41)[family]}, {(11, 25)[family]}, 111)] True"] * 4


@pytest.mark.parametrize("family", [0, 1], ids=["v4", "v6"])
def test_what_was_sent_before_a_disconnect_arrives(run, call, family):
    server = run("server", "python3", app("datagram_server.py"), "7000"
                 ).wait_running()
    ends(call, "leaves", server.lab.node("server")["ips"][family])
    want = {str(100 + i) for i in range(60)}
    wait_until(lambda: want <= {line.split()[-1] for line in
                                server.out.splitlines()}, "all datagrams")


@pytest.mark.parametrize("how,family", [
    ("dual", 0), ("dual", 1), ("v6only", 1), ("group", 0)])
def test_sockets_of_every_shape_are_reached(run, echo, how, family):
    ip = echo(how).lab.node("echo")["ips"][family]
    client = run("client", "python3", app("datagram_ends.py"), "many", ip,
                 "7000", stdin=subprocess.PIPE)
    wait_until(lambda: client.alive() and client.out.count("\n") == 2,
               "all answers")
    assert client.out.splitlines() == ["b'first'", "600"]
    # The host has let go of sockets that the program has closed; of nearly
    # all, as another socket may have got the same port.
    gone = re.compile("its program (is gone|has closed it)")
    wait_until(lambda: len(gone.findall(client.log)) >= 550, "flows to end")
    client.process.stdin.close()
    assert client.wait() == 0


@pytest.mark.parametrize("family", [0, 1], ids=["v4", "v6"])
def test_our_own_address(lab, run, call, family):
    # The address is known by the time that its owner is told of it.
    first = run("client", "sleep", "1000").wait_running()
    ip = lab.node("client")["ips"][family]
    first.stop()
    said = ends(call, "own", ip)
    assert said == ["b'hello' True", "b'answer' True"] * 2 + ["ECONNREFUSED"]
