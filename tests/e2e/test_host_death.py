"""The host is killed while the program waits in its calls."""
import os
import signal
import socket
import time

import pytest

from harness import SANITIZERS, wait_until

APPS = os.path.join(os.path.dirname(__file__), "apps")
in_process = pytest.mark.skipif(
    bool(SANITIZERS), reason="a stock program has no sanitizer runtime")


@pytest.fixture
def server(run):
    return run("server", "python3", os.path.join(APPS, "silent_server.py"),
               "7000").wait_running().wait_listening(7000)


@pytest.fixture
def order():
    """A pipe: what the program reads, and how to write there."""
    read, write = os.pipe()
    yield read, lambda line: os.write(write, line.encode() + b"\n")
    os.close(write)
    os.close(read)


def said(program, word):
    """How the call ended, the last time."""
    lines = [line.split(" ", 1) for line in program.out.splitlines()]
    return [line[-1] for line in lines if line[0] == word][-1:]


def wait_said(program, word):
    return wait_until(lambda: said(program, word), word)[0]


def kill_host(client, server, tell, held=None):
    """The program's host is its parent; in-process too, as it is a child."""
    wait_said(client, "ready")
    server.process.send_signal(signal.SIGSTOP)
    try:
        tell("hold")
        wait_said(client, "holding")
        client.process.send_signal(signal.SIGKILL)
        client.wait()
        for call in ("recv", "epoll", "send"):
            assert wait_said(client, call) == "ECONNRESET"
        if held:
            assert wait_said(client, "held") == held
    finally:
        server.process.send_signal(signal.SIGCONT)
    assert not said(client, "accept") and not said(client, "recvfrom")


def local_clients(client):
    with socket.create_connection(("127.0.0.1", 7005), timeout=5) as s:
        assert s.recv(100) == b"accepted\n"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.sendto(b"local", ("127.0.0.1", 7006))
    assert wait_said(client, "accept") == "127.0.0.1"
    assert wait_said(client, "recvfrom") == "local 127.0.0.1"


def test_hosted(run, server, order):
    """An error, or none where the host's network goes on; and the next host
    of the same state directory is found."""
    read, tell = order
    client = run("client", "python3", os.path.join(APPS, "host_death.py"),
                 "hosted", server.ip, stdin=read)
    kill_host(client, server, tell, held="ECONNREFUSED")
    tell("next")
    assert wait_said(client, "connect") == "ENETDOWN"
    assert wait_said(client, "sendto") == "ENETDOWN"
    local_clients(client)
    run("client", "sleep", "60").wait_running()
    tell("next")
    wait_until(lambda: said(client, "connect") == ["OK"], "a connect")
    wait_until(lambda: said(client, "sendto") == ["OK"], "a datagram")


@in_process
def test_of_the_parent(run, call, server, order):
    """The connect that was held, or the next call, starts the node anew, and
    the listeners are its too."""
    read, tell = order
    client = run("client", "python3", os.path.join(APPS, "host_death.py"),
                 "child", server.ip, stdin=read, options=["--in-process"])
    kill_host(client, server, tell)
    assert wait_said(client, "held") == "OK"
    tell("next")
    assert wait_said(client, "connect") == "OK"
    assert wait_said(client, "sendto") == "OK"
    peer = call("peer", "python3", "-c", """
import socket
with socket.create_connection(("client", 7005)) as s:
    print(s.makefile().readline(), end="")
    socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(
        b"remote", ("client", 7006))
""")
    assert peer.out == "accepted\n", peer.err
    assert wait_said(client, "accept") == peer.ip
    assert wait_said(client, "recvfrom") == f"remote {peer.ip}"


BEFORE_THE_NODE = """
import errno, os, socket, threading
def say(word, fn, *args):
    try:
        os.write(1, f"{word} {fn(*args)}\\n".encode())
    except OSError as e:
        os.write(1, f"{word} {errno.errorcode.get(e.errno, e.errno)}\\n".encode())
for call in (("connect", socket.create_connection, ("100.64.0.9", 80)),
             ("getaddrinfo", socket.getaddrinfo, "server", 80),
             ("getnameinfo", socket.getnameinfo, ("100.64.0.9", 80), 8)):
    threading.Thread(target=say, args=call).start()
say("all", lambda: "wait")
"""


def test_before_the_node_is_up(lab, run):
    """What waits for the node, then waits for nothing."""
    lab.command("refuse-control on")
    client = run("client", "python3", "-c", BEFORE_THE_NODE)
    wait_said(client, "all")
    wait_until(lambda: "waiting" in client.log, "the connect")
    time.sleep(0.3)  # for the others
    client.process.send_signal(signal.SIGKILL)
    assert wait_said(client, "connect") == "ECONNREFUSED"
    assert wait_said(client, "getaddrinfo") == str(socket.EAI_AGAIN)
    assert wait_said(client, "getnameinfo") == str(socket.EAI_AGAIN)
