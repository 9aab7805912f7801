"""Much data and many connections, checked byte by byte."""
import os

import pytest

from harness import wait_until

APPS = os.path.join(os.path.dirname(__file__), "apps")


def app(name):
    return os.path.join(APPS, name)


@pytest.mark.parametrize("direct", ["yes", "no"], ids=["direct", "derp"])
def test_both_directions_at_once(run, call, direct):
    size = 200_000_000 if direct == "yes" else 50_000_000
    env = {"TSNET_DIRECT": direct}
    server = run("server", "python3", app("bulk_peer.py"), "listen", "7000",
                 str(size), env=env).wait_running()
    # no wait_listening(): its probe would be the one connection it takes
    wait_until(lambda: "7000" in server.log, "the listener to be registered")
    client = call("client", "python3", app("bulk_peer.py"), "server", "7000",
                  str(size), env=env, timeout=240)
    assert client.code == 0, client.err
    assert server.wait() == 0
    assert client.out == server.out
    assert client.out.split()[0] == str(size)


def test_five_hundred_at_once(run, call):
    server = run("server", "python3", app("echo_server.py"), "7000"
                 ).wait_running().wait_listening(7000)
    client = call("client", "python3", app("many_clients.py"), "server",
                  "7000", "500", timeout=120)
    assert (client.code, client.out) == (0, "500 of 500\n"), client.err
    # nothing is left behind: a second round works as well
    again = call("again", "python3", app("many_clients.py"), server.ip, "7000",
                 "50", timeout=120)
    assert again.out == "50 of 50\n", again.err
