"""actions.py PARTNER SILENT SEED END: programs of many kinds, one at a time.

Runs under tsrun and does one random thing after another until the time END:
connects, listens, forks, execs and dies in all sorts of ways. PARTNER is the
address of partner.py's node, SILENT one of a node that never answers. What
should succeed is checked to the byte; a wrong answer ends the worker with 1.
Prints "ACTION COUNT" at the end.
"""
import collections
import os
import random
import signal
import socket
import struct
import subprocess
import sys
import threading
import time

ECHO, SINK, CALL_BACK, CLOSED = 7000, 7001, 7002, 7999
PARTNER, SILENT = sys.argv[1], sys.argv[2]
RANDOM = random.Random(int(sys.argv[3]))
END = float(sys.argv[4])
SOME = bytes(range(256)) * 512
LIMIT_S = 60


def connected(host=PARTNER, port=ECHO):
    return socket.create_connection((host, port), timeout=LIMIT_S)


def echo_over(sock, data):
    sender = threading.Thread(target=lambda: (
        sock.sendall(data), sock.shutdown(socket.SHUT_WR)))
    sender.start()
    answer = b""
    while part := sock.recv(65536):
        answer += part
    sender.join()
    assert answer == data, f"{len(answer)} of {len(data)} bytes came back"


def echo():
    with connected() as s:
        echo_over(s, SOME[:RANDOM.randrange(1, len(SOME))])


def in_child(work, ending):
    """Fork, work, and end it in some way; wait for it."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            signal.alarm(LIMIT_S)
            work()
            code = 0
        finally:
            if ending:
                os.kill(os.getpid(), ending)
            os._exit(code)
    status = os.waitpid(pid, 0)[1]
    wanted = ending if ending else 0
    assert (os.waitstatus_to_exitcode(status) == -wanted), (
        f"child: {os.waitstatus_to_exitcode(status)}")


def child_echoes():
    in_child(echo, 0)


def child_is_killed_in_a_transfer():
    def work():
        s = connected(port=SINK)
        s.sendall(SOME)
    in_child(work, signal.SIGKILL)


def child_is_killed_while_held():
    def work():
        s = socket.socket()
        s.setblocking(False)
        s.connect_ex((SILENT, 80))
    in_child(work, signal.SIGKILL)


def held_and_closed():
    s = socket.socket()
    s.setblocking(False)
    s.connect_ex((SILENT, 80))
    s.close()


def refused():
    try:
        connected(port=CLOSED).close()
    except ConnectionRefusedError:
        return
    raise AssertionError("nobody listens there")


def reset():
    s = connected()
    s.sendall(b"x")
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.close()


def many_at_once():
    sockets = [connected() for _ in range(20)]
    for s in sockets:
        s.sendall(b"one line\n")
    for s in sockets:
        assert s.recv(100) == b"one line\n"
        s.close()


def exec_with_a_connection():
    with connected() as s:
        s.set_inheritable(True)
        # the new program speaks on the connection it was given
        pid = os.fork()
        if pid == 0:
            os.dup2(s.fileno(), 0)
            os.dup2(s.fileno(), 1)
            os.execlp("head", "head", "-c", "6")
        s.sendall(b"hello\n")
        os.waitpid(pid, 0)
        s.shutdown(socket.SHUT_WR)
        while s.recv(4096):
            pass


def listen_and_be_called():
    with socket.socket() as listener:
        listener.bind(("0.0.0.0", 0))
        listener.listen()
        listener.settimeout(LIMIT_S)
        with connected(port=CALL_BACK) as control:
            control.sendall(b"%d\n" % listener.getsockname()[1])
            s, peer = listener.accept()
            assert peer[0] == PARTNER, peer
            with s:
                assert s.recv(100) == b"you asked\n"


def listener_is_killed():
    def work():
        listener = socket.socket()
        listener.bind(("0.0.0.0", 0))
        listener.listen()
        control = connected(port=CALL_BACK)
        control.sendall(b"%d\n" % listener.getsockname()[1])
        listener.settimeout(LIMIT_S)
        listener.accept()
    in_child(work, signal.SIGKILL)


def datagrams():
    with socket.socket(type=socket.SOCK_DGRAM) as s:
        s.settimeout(2)
        for n in range(5):
            word = b"datagram %d" % n
            s.sendto(word, (PARTNER, ECHO))
            assert s.recvfrom(100) == (word, (PARTNER, ECHO))


def connected_datagrams():
    with socket.socket(type=socket.SOCK_DGRAM) as s:
        s.settimeout(2)
        s.connect((PARTNER, ECHO))
        s.send(b"word")
        assert s.recv(100) == b"word"


def datagrams_and_death():
    def work():
        for _ in range(10):
            s = socket.socket(type=socket.SOCK_DGRAM)
            s.sendto(b"word", (PARTNER, ECHO))
            os.dup(s.fileno())
    in_child(work, signal.SIGKILL)


def run(*argv, env=None, out=None):
    result = subprocess.run(argv, capture_output=True, timeout=LIMIT_S,
                            env=env, check=False)
    assert result.returncode == 0, f"{argv}: {result.stderr[-300:]}"
    assert out is None or result.stdout == out, f"{argv}: {result.stdout!r}"


def shell_tree():
    run("sh", "-c", f"for i in 1 2 3; do (echo line $i | nc -N -w 20 {PARTNER} "
        f"{ECHO}) & done; wait", out=None)


def daemon():
    # a double fork whose grandchild outlives its parents, and talks
    done, told = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.setsid()
        if os.fork() == 0:
            try:
                os.close(done)
                signal.alarm(LIMIT_S)
                echo()
                os.write(told, b"ok")
            finally:
                os._exit(0)
        os._exit(0)
    os.waitpid(pid, 0)
    os.close(told)
    assert os.read(done, 2) == b"ok"
    os.close(done)


def names():
    for name in ("partner", "no-such-node.lab.ts.net", "localhost"):
        try:
            socket.getaddrinfo(name, 80)
        except socket.gaierror:
            assert name.startswith("no-such"), name


def threads():
    failures = []

    def work():
        try:
            echo()
        except Exception as e:  # told by the assert below
            failures.append(e)
    workers = [threading.Thread(target=work) for _ in range(10)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not failures, failures


ACTIONS = [echo, child_echoes, child_is_killed_in_a_transfer,
           child_is_killed_while_held, held_and_closed, refused, reset,
           many_at_once, exec_with_a_connection, listen_and_be_called,
           listener_is_killed, datagrams, connected_datagrams,
           datagrams_and_death, shell_tree, daemon, names, threads]


def main():
    counts = collections.Counter()
    while time.time() < END:
        action = RANDOM.choice(ACTIONS)
        try:
            action()
        except (AssertionError, OSError, subprocess.SubprocessError) as e:
            print(f"FAILED {action.__name__}: {type(e).__name__}: {e}", flush=True)
            counts["failed"] += 1
        counts[action.__name__] += 1
        time.sleep(RANDOM.random() * 0.02)
    for name, count in sorted(counts.items()):
        print(name, count)
    sys.exit(1 if counts["failed"] else 0)


main()
