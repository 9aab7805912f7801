"""Connections with different options to a peer that falls silent: which of
them end, and how. Says "ready" when they stand, then one JSON line."""
import errno
import json
import select
import socket
import sys
import time

T, SOL = socket.IPPROTO_TCP, socket.SOL_SOCKET


def keepalive(s):
    s.setsockopt(SOL, socket.SO_KEEPALIVE, 1)
    s.setsockopt(T, socket.TCP_KEEPIDLE, 1)
    s.setsockopt(T, socket.TCP_KEEPINTVL, 1)
    s.setsockopt(T, socket.TCP_KEEPCNT, 2)


def connection(before=None, after=None):
    s = socket.socket()
    if before:
        before(s)
    s.connect((sys.argv[1], int(sys.argv[2])))
    s.recv(100)
    if after:
        after(s)
    return s


def name(number):
    return errno.errorcode.get(number, str(number))


def ending(s):
    """How it ended, or "stands" after what is left of the time."""
    left = max(0.0, end - time.monotonic())
    if not select.select([s], [], [], left)[0]:
        return "stands"
    said = [name(s.getsockopt(SOL, socket.SO_ERROR))]
    try:
        said.append(repr(s.recv(1)))
    except OSError as e:
        said.append(name(e.errno))
    return said


def user_timeout(s):
    s.setsockopt(T, socket.TCP_USER_TIMEOUT, 2000)


all_of_them = {
    "keepalive before": connection(before=keepalive),
    "keepalive after": connection(after=keepalive),
    "user timeout": connection(before=user_timeout),
    "plain": connection(),
}
print("ready", flush=True)
sys.stdin.readline()
for s in all_of_them.values():
    s.send(b"x") if s is all_of_them["user timeout"] else None
end = time.monotonic() + 20
out = {what: ending(s) for what, s in all_of_them.items() if what != "plain"}
end = time.monotonic()
out["plain"] = ending(all_of_them["plain"])
print(json.dumps(out), flush=True)
