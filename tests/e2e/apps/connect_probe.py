"""Connect to host port in several ways and print what the socket API said.

usage: connect_probe.py HOST PORT MODE...   modes: blocking poll epoll again
"""
import errno
import json
import select
import socket
import sys
import time


def family_of(host):
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def name_of(error):
    return errno.errorcode.get(error, str(error)) if error else "OK"


def blocking(host, port):
    with socket.socket(family_of(host)) as s:
        s.settimeout(None)
        return name_of(s.connect_ex((host, port)))


def nonblocking(host, port, wait):
    with socket.socket(family_of(host)) as s:
        s.setblocking(False)
        first = name_of(s.connect_ex((host, port)))
        if first != "EINPROGRESS":
            return first
        wait(s)
        error = s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error == 0:
            s.getpeername()
        return "EINPROGRESS " + name_of(error)


def by_poll(s):
    poller = select.poll()
    poller.register(s, select.POLLOUT)
    assert poller.poll(60_000)


def by_epoll(host, port):
    """Registered before connect, edge-triggered, as nginx does."""
    with socket.socket(family_of(host)) as s, select.epoll() as ep:
        s.setblocking(False)
        ep.register(s, select.EPOLLIN | select.EPOLLOUT | select.EPOLLRDHUP |
                    select.EPOLLET)
        ep.poll(0)
        first = name_of(s.connect_ex((host, port)))
        if first != "EINPROGRESS":
            return first
        assert ep.poll(60)
        return "EINPROGRESS " + name_of(
            s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))


def again(host, port):
    """A second connect() to learn the result, as hiredis does."""
    with socket.socket(family_of(host)) as s:
        s.setblocking(False)
        said = [name_of(s.connect_ex((host, port)))]
        end = time.monotonic() + 60
        while time.monotonic() < end:
            select.select([], [s], [], 5)
            said.append(name_of(s.connect_ex((host, port))))
            if said[-1] != "EALREADY":
                break
        if said[-1] == "OK":
            said.append(name_of(s.connect_ex((host, port))))
        return " ".join(x for x in said if x != "EALREADY")


MODES = {"blocking": blocking, "epoll": by_epoll, "again": again,
         "poll": lambda h, p: nonblocking(h, p, by_poll)}

start = time.monotonic()
print(json.dumps({mode: MODES[mode](sys.argv[1], int(sys.argv[2]))
                  for mode in sys.argv[3:]}))
print(round(time.monotonic() - start, 3), file=sys.stderr)
