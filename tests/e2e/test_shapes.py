"""Processes of odd shapes: fork, exec, setuid, chroot, closed descriptors."""
import os
import shutil
import signal
import socket
import subprocess
import time

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
           "exec_connected", "close_all_first", "close_all_later", "dup2_over",
           "thousand_threads", "datagrams"]
AS_ROOT = ["setuid_worker", "chroot_worker", "connect_then_setuid"]
SHAPES = CLIENTS + [pytest.param(s, marks=root_only) for s in AS_ROOT]


@pytest.mark.parametrize("shape", SHAPES)
def test_client(server, call, shapes, shape):
    client = call("client", shapes, shape, server.ip, "7000", timeout=60)
    assert (client.out, client.err) == ("ok\n", "")


# A node per process: what was connected before exec goes with the process
# that hosts it.
ALONE = ["fork_before_connect", "fork_after_connect", "dup2_over",
         "close_all_first", "close_all_later", "thousand_threads", "datagrams"]


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
    time.sleep(1.2)
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
SERVERS_AS_ROOT = ["setuid_workers", "jailed_workers", "one_worker_as_nobody"]
SERVER_SHAPES = SERVERS + [pytest.param(s, marks=root_only)
                           for s in SERVERS_AS_ROOT]


def check_answers(answers, shape):
    assert sum(answers.values()) == 40
    if "workers" in shape or shape == "prefork":
        assert len(answers) > 1, answers


@pytest.mark.parametrize("shape", SERVER_SHAPES)
def test_server(run, call, shapes, shape):
    run("server", shapes, shape, "7000").wait_running().wait_listening(7000)
    check_answers(ask(call, "client", "server", 7000, 40), shape)


@in_process
@pytest.mark.parametrize("shape", [
    "prefork", pytest.param("one_worker_as_nobody", marks=root_only),
    pytest.param("setuid_workers", marks=root_only)])
def test_server_in_process(run, call, lab, shapes, shape):
    run("server", shapes, shape, "7000", options=["--in-process"])
    wait_until(lambda: lab.node("server"), "the server to join")
    check_answers(ask(call, "client", "server", 7000, 40), shape)


@in_process
def test_a_child_takes_the_node_over(run, call, shapes):
    server = run("server", shapes, "orphan", "7000", options=["--in-process"])
    child = int(wait_until(lambda: server.out, "the child"))
    try:
        assert server.wait() == 0
        client = call("client", "python3", "-c", """
import socket, time
for i in range(100):
    try:
        s = socket.create_connection(('server', 7000), 5)
        print(s.makefile().readline(), end='')
        break
    except OSError:
        time.sleep(0.1)
""")
        assert client.out == "served\n", client.err
    finally:
        os.kill(child, signal.SIGKILL)


ASKS_UNTIL_ANSWERED = """
import socket, sys, time
for i in range(150):
    try:
        s = socket.create_connection((sys.argv[1], int(sys.argv[2])), 2)
        s.sendall(b"hello\\n")
        line = s.makefile().readline()
        if line:
            print(line, end="")
            break
    except OSError:
        pass
    time.sleep(0.2)
"""


@in_process
def test_listeners_of_waiting_processes_are_taken_over(run, call, lab, shapes):
    server = run("server", shapes, "killed", "7000", options=["--in-process"])
    wait_until(lambda: lab.node("server"), "the server to join")
    children = wait_until(lambda: "\n" in server.out and server.out.split(),
                          "the children")
    try:
        assert ask(call, "before", "server", 7000) == {"waiting": 1}
        server.process.send_signal(signal.SIGKILL)
        server.wait()
        for name, port in (("active", 7001), ("waiting", 7000)):
            client = call(f"ask-{name}", "python3", "-c", ASKS_UNTIL_ANSWERED,
                          "server", str(port), timeout=60)
            assert client.out == f"{client.ip} hello {name}\n", client.err
    finally:
        for pid in children:
            os.kill(int(pid), signal.SIGKILL)


def test_a_refused_key_is_a_network_that_is_down(call):
    """Nothing to wait for: at once, not after the timeout."""
    client = call("client", "python3", "-c", """
import errno, socket, time
start = time.monotonic()
try:
    socket.create_connection(('100.64.0.9', 80))
except OSError as e:
    print(errno.errorcode[e.errno])
try:
    socket.getaddrinfo('server', 80)
except socket.gaierror as e:
    print(e.errno == socket.EAI_AGAIN)
""", key="key-nobody", timeout=15)
    assert client.out == "ENETDOWN\nTrue\n", client.err


PASS_AS_3 = """import os, sys
os.dup2(int(sys.argv[1]), 3)
os.execv(sys.argv[2], sys.argv[2:])"""


def passed_listener(run, shapes, **kwargs):
    """A socket that an unshimmed parent bound and passes as fd 3."""
    with socket.create_server(("0.0.0.0", 0)) as listener:
        fd = listener.fileno()
        program = run("server", shapes, "activated", "-", pass_fds=[fd],
                      wrap=["python3", "-c", PASS_AS_3, str(fd)], **kwargs)
        return program, listener.getsockname()[1]


def test_an_inherited_listener_is_served(run, call, shapes):
    server, port = passed_listener(run, shapes)
    server.wait_running()
    assert ask(call, "client", "server", port, 3) == {"fd3": 3}


def test_port_0_is_a_real_port(run, call, shapes):
    server = run("server", shapes, "any_port").wait_running()
    address, port = wait_until(lambda: server.out.split(), "the port")
    assert address == "0.0.0.0"
    assert ask(call, "client", "server", port) == {"any": 1}


def local_answer(port, address="127.0.0.1"):
    """What an unshimmed client on the host sees."""
    with socket.create_connection((address, int(port)), timeout=5) as s:
        s.sendall(b"hello\n")
        return s.makefile().readline()


def test_own_address_any_port(lab, run, call, shapes):
    call("server", "true", options=["--wait=20"])
    ip = lab.node("server")["ips"][0]
    server = run("server", shapes, "any_port", ip, key=None).wait_running()
    address, port = wait_until(lambda: server.out.split(), "the port")
    assert address == ip
    assert ask(call, "client", "server", port) == {"any": 1}
    with pytest.raises(OSError):
        local_answer(port)


def test_own_address_and_a_port(lab, run, call, shapes):
    call("server", "true", options=["--wait=20"])
    ip = lab.node("server")["ips"][0]
    server = run("server", shapes, "at", "80", ip, key=None)
    wait_until(lambda: "listening" in server.out, "the server")
    assert ask(call, "client", "server", 80) == {"at": 1}
    with pytest.raises(ConnectionRefusedError):
        local_answer(80)


def test_loopback_is_not_the_tailnets(run, call, shapes):
    server = run("server", shapes, "at", "7000", "127.0.0.1").wait_running()
    wait_until(lambda: "listening" in server.out, "the server")
    assert local_answer(7000) == "127.0.0.1 hello at\n"
    client = call("client", "python3", os.path.join(APPS, "ask.py"), "server",
                  "7000")
    assert "ConnectionRefusedError" in client.err


def test_local_clients_of_a_both_listener(run, call, shapes):
    run("server", shapes, "prefork", "7000").wait_running().wait_listening(7000)
    for _ in range(4):
        assert local_answer(7000).startswith("127.0.0.1 hello w")
    assert sum(ask(call, "client", "server", 7000, 5).values()) == 5


def test_local_clients_of_a_tailnet_listener(run, call, shapes):
    server = run("server", shapes, "at", "7000", "0.0.0.0",
                 options=["--listen", "tailnet"]).wait_running()
    wait_until(lambda: "listening" in server.out, "the server")
    assert ask(call, "client", "server", 7000) == {"at": 1}
    with pytest.raises(ConnectionRefusedError):
        local_answer(7000)
    # nor where it really is
    with open("/proc/net/tcp", encoding="ascii") as f:
        rows = [line.split() for line in f.readlines()[1:]]
    natives = [row[1] for row in rows if row[3] == "0A" and
               20000 <= int(row[1].split(":")[1], 16) < 32000]
    assert natives
    for native in natives:
        address, port = native.split(":")
        address = socket.inet_ntoa(bytes.fromhex(address)[::-1])
        try:
            assert local_answer(int(port, 16), address) == ""
        except ConnectionResetError:
            pass


@in_process
def test_libcrypto_cleans_up_first(lab, run, tmp_path):
    """By the program, before our destructor: a node that was just setting up
    TLS crashed it (1 in 100 dig)."""
    program = tmp_path / "tls_exit"
    subprocess.run(["gcc", "-o", str(program),
                    os.path.join(APPS, "tls_exit.c"), "-lcrypto"], check=True)
    run("web", "sleep", "100").wait_running()
    result = subprocess.run(
        [str(program), "web.lab.ts.net"], capture_output=True, text=True,
        timeout=60, check=False,
        env=dict(CLEAN_ENV, LD_PRELOAD=SHIM, TS_AUTHKEY="key-bob",
                 TS_CONTROL_URL=lab.url, TSNET_HOSTNAME="brief",
                 TSNET_SUFFIX="lab.ts.net",
                 TSNET_STATE_DIR=str(tmp_path / "state")))
    assert (result.returncode, result.stdout) == (0, "found\ncleaned up\n"), \
        result.stderr
