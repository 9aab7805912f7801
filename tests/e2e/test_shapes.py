"""Processes of odd shapes: fork, exec, setuid, chroot, closed descriptors."""
import os
import shutil
import signal
import socket
import subprocess

import pytest

from harness import CLEAN_ENV, SANITIZERS, SHIM, wait_until

pytestmark = pytest.mark.skipif(not shutil.which("gcc"),
                                reason="gcc not installed")
APPS = os.path.join(os.path.dirname(__file__), "apps")
in_process = pytest.mark.skipif(
    bool(SANITIZERS), reason="a stock program has no sanitizer runtime")
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="changes users")


@pytest.fixture(scope="module")
def shapes(tmp_path_factory):
    program = tmp_path_factory.mktemp("shapes") / "shapes"
    subprocess.run(["gcc", "-std=gnu11", "-O1", "-g", "-Wall", "-Werror", "-o",
                    str(program), os.path.join(APPS, "shapes.c"), "-lpthread"],
                   check=True)
    return str(program)


@pytest.fixture
def server(run):
    return run("server", "python3", os.path.join(APPS, "shape_server.py"),
               "7000").wait_running().wait_listening(7000)


def ask(call, hostname, host, port, count=1):
    """Who answered, as {who: how often}."""
    client = call(hostname, "python3", os.path.join(APPS, "ask.py"), host,
                  str(port), str(count))
    assert client.code == 0, client.err
    return {who: int(n) for who, _, n in
            (word.rpartition(":") for word in client.out.split())}


def fds_of_host(program):
    return len(os.listdir(f"/proc/{program.process.pid}/fd"))


CLIENTS = ["fork_after_connect", "fork_before_connect", "two_forks_at_once",
           "exec_connected", "close_all_then_connect", "dup2_over",
           "thousand_threads", "datagrams"]
AS_ROOT = ["setuid_worker", "chroot_worker", "connect_then_setuid"]
SHAPES = CLIENTS + [pytest.param(s, marks=root_only) for s in AS_ROOT]


@pytest.mark.parametrize("shape", SHAPES)
def test_client(server, call, shapes, shape):
    client = call("client", shapes, shape, server.ip, "7000", timeout=60)
    assert (client.out, client.err) == ("ok\n", "")


# A node per process: what was connected before exec or fork goes with the
# process that hosts it.
ALONE = ["fork_before_connect", "dup2_over", "close_all_then_connect",
         "thousand_threads", "datagrams"]


@in_process
@pytest.mark.parametrize("shape", ALONE + [
    pytest.param(s, marks=root_only) for s in AS_ROOT])
def test_client_in_process(server, call, shapes, shape):
    client = call("client", shapes, shape, server.ip, "7000", timeout=60,
                  options=["--in-process"])
    assert (client.out, client.err) == ("ok\n", "")


@pytest.mark.parametrize("shape", ["signal_in_connect", "send_timeout"])
def test_a_held_connect(server, run, shapes, shape):
    """The peer does not answer for a while."""
    client = run("client", shapes, shape, server.ip, "7000")
    wait_until(lambda: "now" in client.out, "the client")
    server.process.send_signal(signal.SIGSTOP)
    wait_until(lambda: "SYN_SENT" not in client.log and True, "x")
    subprocess.run(["sleep", "1.2"], check=True)
    server.process.send_signal(signal.SIGCONT)
    client.wait()
    assert (client.out, client.err) == ("now\nok\n", "")


def test_connects_closed_at_once_leave_nothing(server, run, shapes):
    client = run("client", shapes, "call_and_talk", server.ip, "7000")
    assert client.wait() == 0
    client = run("closer", shapes, "connect_and_close", server.ip, "7000"
                 ).wait_running()
    baseline = fds_of_host(client)
    wait_until(lambda: "closed" in client.out, "2,000 connects")
    wait_until(lambda: fds_of_host(client) <= baseline + 2,
               f"the host's fds to go back to {baseline}")
    assert client.err == ""


@pytest.mark.parametrize("address", ["10.9.8.7"])
def test_a_refused_socket_may_go_elsewhere(server, call, shapes, address):
    subprocess.run(["ip", "addr", "replace", f"{address}/32", "dev", "lo"],
                   check=True)
    client = call("client", shapes, "refused_then_elsewhere", server.ip,
                  "7000", address)
    assert (client.out, client.err) == ("ok\n", "")


SERVERS = ["prefork", "reuse_port_workers", "exec_listening", "reopened",
           "defer_accept"]


@pytest.mark.parametrize("shape", SERVERS + [
    pytest.param(s, marks=root_only)
    for s in ("setuid_workers", "jailed_workers")])
def test_server(run, call, shapes, shape):
    run("server", shapes, shape, "7000").wait_running().wait_listening(7000)
    answers = ask(call, "client", "server", 7000, 40)
    assert sum(answers.values()) == 40
    if "workers" in shape or shape == "prefork":
        assert len(answers) > 1, answers
