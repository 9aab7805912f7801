"""What a program sees of remote ends that come and go: CASE HOST PORT"""
import ctypes
import errno
import select
import socket
import sys
import time

case, host, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
family = socket.AF_INET6 if ":" in host else socket.AF_INET


def say(*what):
    print(*what, flush=True)


def outcome(what):
    """What a call returned, or the name of its errno."""
    try:
        return what()
    except OSError as error:
        return errno.errorcode.get(error.errno, repr(error))


def new_socket(connected=False):
    s = socket.socket(family, socket.SOCK_DGRAM)
    s.settimeout(5)
    if connected:
        s.connect((host, port))
    return s


def await_answer(s, text):
    """The server may not have bound its port yet."""
    for _ in range(200):
        if outcome(lambda: s.sendto(text, (host, port))) == len(text):
            s.settimeout(0.5)
            answer = outcome(lambda: s.recv(100))
            s.settimeout(5)
            if isinstance(answer, bytes):
                return answer
        time.sleep(0.05)
    return None


def closed_port():
    """Nobody has the port: told while it waits, each time."""
    s = new_socket(connected=True)
    for _ in range(3):
        while outcome(lambda: s.send(b"anybody?")) == "ECONNREFUSED":
            time.sleep(0.01)
        say(outcome(lambda: s.recv(100)))


def peer_leaves():
    loose, bound = new_socket(), new_socket(connected=True)
    say(await_answer(loose, b"one"))
    bound.send(b"two")
    say(bound.recv(100))
    while outcome(lambda: loose.sendto(b"x", (host, port))) == 1:
        time.sleep(0.05)
    say(outcome(lambda: loose.sendto(b"x", (host, port))))
    # an error of the send before may come first
    answers = {outcome(lambda: bound.send(b"x")) for _ in range(5)}
    say("ECONNREFUSED" in answers)


def many():
    """Short-lived sockets, as name server clients have them."""
    say(await_answer(new_socket(), b"first"))
    right = 0
    for i in range(600):
        s = new_socket(connected=i % 2 == 0)
        text = b"q%d" % i
        s.sendto(text, (host, port)) if i % 2 else s.send(text)
        right += s.recv(100) == text
        s.close()
    say(right)
    sys.stdin.read()


def own():
    """A datagram to our own address, and to a port of it that nobody has."""
    server = socket.socket(family, socket.SOCK_DGRAM)
    server.bind((host, port))
    server.settimeout(5)
    for connected in (False, True):
        client = new_socket(connected)
        client.sendto(b"hello", (host, port)) if not connected \
            else client.send(b"hello")
        text, sender = server.recvfrom(100)
        say(text, sender[0] == host)
        server.sendto(b"answer", sender)
        text, sender = client.recvfrom(100)
        say(text, sender[:2] == (host, port))
    server.close()
    client.send(b"x")
    say(outcome(lambda: client.recv(100)))


def late_errors():
    """Sockets that want their errors only after they were used."""
    level, option = (0, 11) if family == socket.AF_INET else (41, 25)
    for bound in (False, True):
        for connected in (False, True):
            s = socket.socket(family, socket.SOCK_DGRAM)
            if bound:
                s.bind(("", 0))
            if connected:
                s.connect((host, port))
            else:
                s.sendto(b"nobody is told", (host, port))
            s.setsockopt(level, option, 1)
            s.sendto(b"x", (host, port))
            waiting = select.poll()
            waiting.register(s, 0)
            waiting.poll(20000)
            data, control, flags, peer = s.recvmsg(100, 500,
                                                   socket.MSG_ERRQUEUE)
            say([(*c[:2], c[2][0]) for c in control], peer[:2] == (host, port))


def leaves():
    """Disconnects, or connects elsewhere, right after it has sent."""
    libc = ctypes.CDLL(None)
    unspec = b"\0" * 16
    say(await_answer(new_socket(), b"first") is not None)
    for i in range(60):
        s = new_socket(connected=True)
        s.send(b"x" * (100 + i))
        if i % 3 == 0:
            libc.connect(s.fileno(), unspec, len(unspec))
        else:
            s.connect(("127.0.0.1" if family == socket.AF_INET else "::1", 9)
                      if i % 3 == 1 else (host, port + 1))
        s.close()


{"closed_port": closed_port, "peer_leaves": peer_leaves, "many": many,
 "own": own, "leaves": leaves,
 "late_errors": late_errors}[case]()
