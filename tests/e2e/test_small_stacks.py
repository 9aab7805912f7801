"""Signal handlers may connect and exec, and their stacks may be small."""
import os
import subprocess

import pytest

from harness import BUILD, needs

SOURCE = os.path.join(os.path.dirname(os.path.abspath(__file__)),
                      "apps/small_stacks.c")


@pytest.fixture
def program(tmp_path):
    out = str(tmp_path / "small_stacks")
    subprocess.run(["gcc", "-O1", "-Wall", "-D_GNU_SOURCE", SOURCE, "-o", out],
                   check=True, timeout=60)
    return out


@needs("busybox")
def test_in_a_signal_handler(run, call, program):
    """busybox is static: tsnet-host is started in its place."""
    server = run("server", "python3", "-c", "import socket, time\n"
                 "s = socket.create_server(('', 7000))\n"
                 "while True: s.accept()[0].sendall(b'hello')")
    server.wait_running().wait_listening(7000)
    client = call("client", program, server.ip, "7000", "/bin/busybox",
                  "echo", "still here")
    assert client.code == 0, client.err
    heard, echoed = client.out.splitlines()
    assert heard.startswith("heard hello, in "), client.out
    assert echoed == "still here"
    print(heard)
