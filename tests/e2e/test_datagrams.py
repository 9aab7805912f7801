"""Datagrams and pings of stock programs, over the embedded tailnet."""
import json
import os
import re

import pytest

from harness import needs, wait_until

APPS = os.path.join(os.path.dirname(__file__), "apps")


def app(name):
    return os.path.join(APPS, name)


@pytest.fixture
def server(run):
    """A program that answers each datagram at 7000 with what it saw."""
    return run("server", "python3", app("datagram_server.py"), "7000"
               ).wait_running()


def talk(call, *args, hostname="client", **kwargs):
    client = call(hostname, "python3", app("datagram_client.py"), *args,
                  timeout=90, **kwargs)
    assert client.code == 0, client.err + client.log[-3000:]
    return json.loads(client.out)


def check_pair(lab, server, said, family=0):
    """Both ends name each other by their addresses in the tailnet."""
    server_ip = server.lab.node("server")["ips"][family]
    client_ip = lab.node("client")["ips"][family]
    assert said["from"] == [server_ip, 7000]
    assert said["seen"]["from"][0] == client_ip
    return said["seen"]["from"][1]


@pytest.mark.parametrize("how", ["unconnected", "connected"])
@pytest.mark.parametrize("family", [0, 1], ids=["v4", "v6"])
def test_a_datagram_and_its_answer(lab, server, call, how, family):
    said = talk(call, server.lab.node("server")["ips"][family], "7000", how)
    port = check_pair(lab, server, said, family)
    assert said["seen"]["text"] == "hello"
    if how == "connected":
        client_ip = lab.node("client")["ips"][family]
        assert said["own"] == [client_ip, port]
        assert said["peer"] == said["from"]
