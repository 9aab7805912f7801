"""Waits in every call while the host is killed: host_death.py hosted|child IP

As child, the node is a thread of the parent, which does nothing else. Told
"hold" it starts a connect to a peer that does not answer, told "next" it calls
the tailnet again. Says how each call ended."""
import errno
import os
import select
import signal
import socket
import sys
import threading

server = (sys.argv[2], 7000)
ready = threading.Semaphore(0)


def say(*words):
    os.write(1, (" ".join(words) + "\n").encode())


def waits(fn):
    def run():
        try:
            say(fn.__name__, fn())
        except OSError as e:
            say(fn.__name__, errno.errorcode.get(e.errno, str(e.errno)))
    threading.Thread(target=run, daemon=True).start()
    return fn


if sys.argv[1] == "child":
    from_parent, to_child = os.pipe()
    if os.fork() > 0:
        keep = socket.create_connection(server)
        os.write(to_child, b"!")
        signal.pause()
    os.read(from_parent, 1)


@waits
def recv():
    s = socket.create_connection(server)
    ready.release()
    return repr(s.recv(1))


@waits
def epoll():
    s, e = socket.create_connection(server), select.epoll()
    e.register(s, select.EPOLLIN)
    ready.release()
    while not e.poll():
        pass
    return repr(s.recv(1))


@waits
def send():
    s = socket.create_connection(server)
    ready.release()
    while True:
        s.sendall(b"x" * 65536)


@waits
def accept():
    with socket.create_server(("0.0.0.0", 7005)) as listener:
        ready.release()
        s, peer = listener.accept()
        s.sendall(b"accepted\n")
        return peer[0]


@waits
def recvfrom():
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind(("0.0.0.0", 7006))
    ready.release()
    data, peer = s.recvfrom(100)
    return f"{data.decode()} {peer[0]}"


for _ in range(5):
    ready.acquire()
say("ready")
for order in sys.stdin:
    if order.strip() == "hold":
        @waits
        def held():
            ready.release()
            socket.create_connection(server)
            return "OK"
        ready.acquire()
        say("holding")
        continue

    @waits
    def connect():
        socket.create_connection(server)
        return "OK"

    @waits
    def sendto():
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        s.sendto(b"x", server)
        return "OK"
