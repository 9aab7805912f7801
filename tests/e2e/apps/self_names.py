"""The names of TCP sockets in every state, as JSON: HOST PORT OWN CLOSED."""
import array
import ctypes
import errno
import json
import os
import socket
import struct
import sys

host, port, own, closed = (sys.argv[1], int(sys.argv[2]), sys.argv[3],
                           int(sys.argv[4]))


def ask(function):
    try:
        return list(function()[:2])
    except OSError as e:
        return errno.errorcode[e.errno]


def names(s):
    return [ask(s.getsockname), ask(s.getpeername)]


if sys.argv[5:] == ["exec"]:
    print(json.dumps(names(socket.socket(fileno=3))))
    sys.exit()

out = {}
s = socket.socket()
out["unbound"] = names(s)
s.bind(("", 0))
out["wildcard"] = names(s)[0][0], names(s)[1]
s = socket.socket()
s.bind(("127.0.0.1", 0))
out["loopback"] = names(s)[0][0], names(s)[1]

s = socket.socket()
s.bind((own, 5555))
out["own"] = names(s)
s.connect((host, port))
out["own connected"] = names(s)
out["own seen"] = eval(s.makefile().readline())
s.close()

s = socket.socket()
s.bind(("", 5556))
s.connect((host, port))
out["fixed port"] = names(s)
out["fixed port seen"] = eval(s.makefile().readline())

s = socket.socket()
s.connect((host, port))
mine = s.getsockname()
out["connected is seen"] = eval(s.makefile().readline()) == mine
out["connected"] = [mine[0], ask(s.getpeername)]
s.shutdown(socket.SHUT_RDWR)
s.recv(100)
out["after shutdown is"] = s.getsockname() == mine

s = socket.socket()
s.connect((host, port))
mine = s.getsockname()
libc = ctypes.CDLL(None, use_errno=True)
assert libc.connect(s.fileno(), struct.pack("=H14x", 0), 16) == 0
out["unspec"] = [s.getsockname()[0], ask(s.getpeername)]
s.connect((host, port))
out["unspec again"] = [s.getsockname()[0], ask(s.getpeername)]

s = socket.socket()
out["refused"] = errno.errorcode[s.connect_ex((host, closed))]
out["refused names"] = [s.getsockname()[0], ask(s.getpeername)]

listener = socket.create_server((own, 7777))
out["listener"] = names(listener)
c = socket.create_connection((own, 7777))
a, peer = listener.accept()
out["accepted"] = names(a) == [list(c.getpeername()), list(c.getsockname())]
out["accepted peer"] = [peer[0], peer == c.getsockname()]
left, right = socket.socketpair()
left.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS,
                       array.array("i", [a.fileno()]))])
_, data, _, _ = right.recvmsg(1, 100)
passed = socket.socket(fileno=array.array("i", data[0][2])[0])
out["passed"] = names(passed) == names(a)

s = socket.create_connection((host, port))
r, w = os.pipe()
if os.fork() == 0:
    os.dup2(w, 1)
    os.dup2(s.fileno(), 3)
    os.execv(sys.executable, [sys.executable, *sys.argv, "exec"])
os.close(w)
os.wait()
out["exec"] = json.loads(os.read(r, 4096)) == names(s)
json.dump(out, sys.stdout)
