"""A program that is interrupted by a signal in every moment."""
import os
import shutil
import subprocess

import pytest

APPS = os.path.join(os.path.dirname(__file__), "apps")
SIGNALS = 300

pytestmark = pytest.mark.skipif(not shutil.which("gcc"),
                                reason="gcc not installed")


@pytest.fixture(scope="module")
def storm(tmp_path_factory):
    program = str(tmp_path_factory.mktemp("storm") / "storm")
    subprocess.run(["gcc", "-std=gnu11", "-O1", "-Wall", "-Wextra", "-Werror",
                    os.path.join(APPS, "signal_storm.c"), "-o", program],
                   check=True)
    return program


def test_no_connection_is_lost_or_made_twice(run, call, storm):
    server = run("server", storm, "serve", "7000").wait_running()
    server.wait_listening(7000)
    client = call("client", storm, "call", "server", "7000", str(SIGNALS),
                  timeout=60)
    assert client.code == 0, client.err
    ip = client.lab.node("client")["ips"][0]
    calls = [line for line in server.out.splitlines()
             if not line.endswith(" 127.0.0.1")]  # wait_listening's
    assert calls == [f"{i} from {ip}" for i in range(int(client.out))]
