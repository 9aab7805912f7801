"""The tailnet is not behind another interface that a socket is tied to."""
import os
import subprocess

import pytest

SOURCE = os.path.join(os.path.dirname(os.path.abspath(__file__)),
                      "apps/tied.c")


def ip(*args):
    return subprocess.run(["ip", *args], capture_output=True, text=True)


@pytest.fixture
def interface():
    """One that leads everywhere."""
    done = ip("link", "add", "other0", "type", "veth", "peer", "name", "other1")
    if done.returncode:
        pytest.skip("no veth here: " + done.stderr)
    for args in ("address add 10.77.0.1/24 dev other0", "link set other1 up",
                 "link set other0 up", "route add default via 10.77.0.2"):
        assert ip(*args.split()).returncode == 0, args
    yield "other0"
    ip("link", "delete", "other0")


@pytest.mark.parametrize("how", ["-no-pie", "-static"])
def test_sockets_tied_elsewhere(run, call, interface, tmp_path, how):
    """By the shim, and by seccomp notifications."""
    program = str(tmp_path / "tied")
    subprocess.run(["gcc", how, "-O1", "-Wall", "-D_GNU_SOURCE", SOURCE, "-o",
                    program], check=True, timeout=60)
    server = run("server", "python3", "-m", "http.server", "7000")
    server.wait_running().wait_listening(7000)
    for name, answers in ((interface, ["ENETUNREACH"] * 3), ("lo", ["OK"] * 3)):
        client = call("client-" + name, program, name, server.ip, "7000")
        assert client.out.splitlines() == [
            f"{what}: {answer}" for what, answer in zip(
                ("stream", "datagrams", "datagram"), answers)], client.err


OWN_SAKE = """
import socket, struct, sys, threading
there, DEVICE, INDEX, PEERNAME = sys.argv[1], socket.SO_BINDTODEVICE, 62, 28
def tied(family, device):
    s = socket.socket(family)
    s.settimeout(20)
    s.setsockopt(socket.SOL_SOCKET, DEVICE, device)
    index = s.getsockopt(socket.SOL_SOCKET, INDEX)
    print(s.getsockopt(socket.SOL_SOCKET, DEVICE, 16).strip(b"\\0").decode(),
          socket.if_indextoname(index), end=" ")
    return s
for family, address in (socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"):
    s = tied(family, b"tailscale0")
    s.connect((there if family == socket.AF_INET else "::ffff:" + there, 7000))
    name = s.getsockopt(socket.SOL_SOCKET, PEERNAME, 16)
    print(struct.unpack_from("!H", name, 2)[0],
          family == socket.AF_INET6 or socket.inet_ntoa(name[4:8]) == there)
    s = tied(family, b"lo")
    s.bind((address, 0))
    s.listen()
    c = socket.create_connection(s.getsockname()[:2], 20)
    a, _ = s.accept()
    a.send(b"local")
    print(c.recv(10).decode())
"""


def test_sockets_tied_to_lo_for_its_own_sake(run, call):
    """An AF_INET6 one looked like one that is tied to the tailnet's."""
    server = run("server", "python3", "-m", "http.server", "7000")
    server.wait_running().wait_listening(7000)
    client = call("client", "python3", "-c", OWN_SAKE, server.ip)
    assert client.out.splitlines() == [
        "tailscale0 tailscale0 7000 True", "lo lo local"] * 2, client.err
