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
