"""Sockets tied to the tailnet's interface, as JSON: HOST PORT [USER]."""
import errno
import json
import os
import socket
import sys

SOL, BIND_INDEX = socket.SOL_SOCKET, 62
DEVICE = socket.SO_BINDTODEVICE
host, port = sys.argv[1], int(sys.argv[2])
"x".encode("idna")  # loaded while it can be read
if len(sys.argv) > 3:
    os.setuid(int(sys.argv[3]))


def attempt(function, *args):
    try:
        function(*args)
        return "OK"
    except OSError as e:
        return errno.errorcode[e.errno]


def tied(name=b"tailscale0", kind=socket.SOCK_STREAM):
    s = socket.socket(type=kind)
    s.setsockopt(SOL, DEVICE, name)
    return s


def device(s):
    return s.getsockopt(SOL, DEVICE, 16).rstrip(b"\0").decode()


index = socket.if_nametoindex("tailscale0")
local = socket.create_server(("127.0.0.1", 0))
s = tied()
out = {"name": device(s), "index": s.getsockopt(SOL, BIND_INDEX) == index}
out["tailnet"] = attempt(s.connect, (host, port))
out["greeted"] = s.recv(100).startswith(b"('100.")
out["still"] = device(s)
out["host"] = attempt(tied().connect, local.getsockname())
out["elsewhere"] = attempt(tied().connect, ("10.9.8.7", 9))
out["unknown"] = attempt(tied, b"tailscale9")
out["none"] = device(socket.socket())
s = tied(b"lo")
out["lo"] = [device(s), attempt(s.connect, local.getsockname())]
s = socket.socket()
s.setsockopt(SOL, BIND_INDEX, index)
out["by index"] = [device(s), attempt(s.connect, (host, port))]
listener = tied()
listener.bind(("", 7070))
listener.listen()
out["listener"] = device(listener)
out["local client"] = attempt(socket.create_connection, ("127.0.0.1", 7070))
own = socket.create_connection((sys.stdin.readline().strip(), 7070))
accepted = listener.accept()[0]
out["accepted"] = device(accepted)
late = socket.socket()
late.setsockopt(SOL, socket.SO_REUSEADDR, 1)
late.bind(("", 7071))
late.setsockopt(SOL, DEVICE, b"tailscale0")
late.listen()
stranger = socket.create_connection(("127.0.0.1", 7071))
peer = socket.create_connection((own.getpeername()[0], 7071))
out["late"] = late.accept()[1] == peer.getsockname()
out["stranger"] = stranger.recv(1).decode()
json.dump(out, sys.stdout)
