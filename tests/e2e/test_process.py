"""Ends, interruptions, narrow limits, sandboxes; hosted and in-process."""
import os
import shutil
import signal
import subprocess
import time

import pytest

from harness import SANITIZERS, wait_until

pytestmark = pytest.mark.skipif(not shutil.which("gcc"),
                                reason="gcc not installed")
APPS = os.path.join(os.path.dirname(__file__), "apps")
in_process = pytest.mark.skipif(
    bool(SANITIZERS), reason="a stock program has no sanitizer runtime")
WHERE = ["hosted", pytest.param("in-process", marks=in_process)]
SINK = """
import socket
with socket.create_server(("0.0.0.0", 7001)) as listener:
    while True:
        conn, peer = listener.accept()
        count, end = 0, "EOF"
        conn.settimeout(3)
        try:
            while data := conn.recv(65536):
                count += len(data)
        except OSError as e:
            end = type(e).__name__
        print(peer[0], count, end, flush=True)
"""


def options(where):
    return ["--in-process"] if where == "in-process" else []


@pytest.fixture(scope="module")
def shapes(tmp_path_factory):
    program = tmp_path_factory.mktemp("shapes") / "process_shapes"
    subprocess.run(["gcc", "-std=gnu11", "-O1", "-g", "-Wall", "-Werror", "-o",
                    str(program), os.path.join(APPS, "process_shapes.c"),
                    "-lpthread"], check=True)
    return str(program)


@pytest.fixture
def server(run):
    return run("server", "python3", os.path.join(APPS, "shape_server.py"),
               "7000").wait_running().wait_listening(7000)


@pytest.fixture
def sink(run):
    return run("sink", "python3", "-u", "-c", SINK
               ).wait_running().wait_listening(7001)


CLIENTS = ["then__exit_in_child", "cancelled_anywhere",
           "cancelled_where_posix_says", "connect_in_handler",
           "sixty_four_fds", "all_closed_in_child", "first_number_is_three",
           "daemonized", "sandboxed", "plain"]


@pytest.mark.parametrize("where", WHERE)
@pytest.mark.parametrize("shape", CLIENTS)
def test_client(server, call, shapes, shape, where):
    client = call("client", shapes, shape, server.ip, "7000", timeout=60,
                  options=options(where))
    assert (client.out, client.err) == ("ok\n", "")


def test_sixteen_descriptors(server, call, shapes):
    client = call("client", shapes, "sixteen_fds", server.ip, "7000")
    assert (client.out, client.err) == ("ok\n", "")


@in_process
def test_sixteen_descriptors_in_process(server, call, shapes):
    """Too few for a node: an error at once, and said why."""
    client = call("client", shapes, "sixteen_fds", server.ip, "7000",
                  options=["--in-process"])
    assert client.code == 1 and "Network is down" in client.err
    assert "no tailnet in this program" in client.err


HOSTED_ENDS = ["then_kill"]
ENDS = ["then_exit", "then__exit", "then__Exit", "then_quick_exit",
        "then_exec", "then_execlp"]


def check_end(sink, call, shapes, shape, where):
    call("client", shapes, shape, sink.ip, "7001", options=options(where))
    wait_until(lambda: [line for line in sink.out.splitlines()
                        if line.startswith("100.")], "the end")
    peer = sink.lab.node("client")["ips"][0]
    line = [line for line in sink.out.splitlines() if line.startswith("100.")]
    return [word for word in line[-1].split() if word != peer]


@pytest.mark.parametrize("shape", ENDS + HOSTED_ENDS)
def test_ends_with_unsent_data(sink, call, shapes, shape):
    assert check_end(sink, call, shapes, shape, "hosted") == ["1048576", "EOF"]


@in_process
@pytest.mark.parametrize("shape", ENDS)
def test_ends_with_unsent_data_in_process(sink, call, shapes, shape):
    count, end = check_end(sink, call, shapes, shape, "in-process")
    assert count == "1048576"
    if not shape.startswith("then_exec"):
        assert end == "EOF"


@pytest.mark.parametrize("where", WHERE)
@pytest.mark.parametrize("shape", ["longjmp_from_connect",
                                   "cancelled_connects"])
def test_a_held_connect_is_left(server, run, shapes, shape, where):
    """The peer does not answer meanwhile. In-process the node comes up first
    with a connect of another's, so that the held one is the peer's doing."""
    client = run("client", shapes, shape, server.ip, "7000",
                 options=options(where))
    wait_until(lambda: "now" in client.out, "the client")
    server.process.send_signal(signal.SIGSTOP)
    try:
        wait_until(lambda: "resume" in client.out or
                   client.process.poll() is not None, "the client to leave")
    finally:
        server.process.send_signal(signal.SIGCONT)
    client.wait()
    assert (client.out, client.err) == ("now\nresume\nok\n", "")


HELD = """
import errno, os, select, socket, sys, threading
blocking = socket.socket()
waiting = socket.socket()
waiting.setblocking(False)
def block():
    try:
        blocking.connect((sys.argv[1], 7000))
    except OSError as e:
        os.write(1, f"blocking {errno.errorcode[e.errno]}\\n".encode())
print("now", flush=True)
sys.stdin.readline()
thread = threading.Thread(target=block)
thread.start()
assert waiting.connect_ex((sys.argv[1], 7000)) == errno.EINPROGRESS
poll = select.poll()
poll.register(waiting, select.POLLOUT)
print("held", flush=True)
poll.poll()
error = waiting.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
os.write(1, f"polled {errno.errorcode[error]}\\n".encode())
thread.join()
again = socket.socket()
try:
    again.connect((sys.argv[1], 7000))
except OSError as e:
    print("again", errno.errorcode[e.errno], flush=True)
"""


def test_the_host_dies_while_connects_are_held(server, run):
    """After 8 s a SYN that nobody answers has its next try 8 s later (kernels
    since 6.15 let us have that sooner, others fail too)."""
    read, write = os.pipe()
    client = run("client", "python3", "-c", HELD, server.ip, stdin=read)
    wait_until(lambda: "now" in client.out, "the client")
    client.wait_running()
    host = client.process.pid
    server.process.send_signal(signal.SIGSTOP)
    try:
        os.write(write, b"go\n")
        wait_until(lambda: "held" in client.out, "the connects")
        time.sleep(8)
        assert "polled" not in client.out and "blocking" not in client.out
        os.kill(host, signal.SIGKILL)
        wait_until(lambda: "again" in client.out, "the program to learn of it")
    finally:
        server.process.send_signal(signal.SIGCONT)
        os.close(read)
        os.close(write)
    assert "polled ECONNREFUSED" in client.out
    assert "blocking ECONNREFUSED" in client.out
    assert "again ENETDOWN" in client.out
