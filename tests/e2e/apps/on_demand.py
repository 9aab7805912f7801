"""Connections to an echo server when told so: on_demand.py HOST PORT

Prints the port of a control socket. Commands: new, keep, resolve NAME,
connect HOST PORT. Answers OK, an address, or the name of the error.
"""
import errno
import socket
import sys

HOST, PORT = sys.argv[1], int(sys.argv[2])
kept = []


def echo(s):
    s.sendall(b"ping")
    return "OK" if s.recv(4) == b"ping" else "EOF"


def connect(host, port):
    with socket.create_connection((host, port), timeout=10) as s:
        return echo(s)


def keep():
    if not kept:
        kept.append(socket.create_connection((HOST, PORT), timeout=20))
    return echo(kept[0])


def handle(words):
    if words[0] == "new":
        return connect(HOST, PORT)
    if words[0] == "connect":
        return connect(words[1], int(words[2]))
    if words[0] == "keep":
        return keep()
    return socket.getaddrinfo(words[1], 80, socket.AF_INET)[0][4][0]


server = socket.create_server(("127.0.0.1", 0))
print(server.getsockname()[1])
conn = server.accept()[0]
lines = conn.makefile("rw")
for line in lines:
    try:
        answer = handle(line.split())
    except socket.gaierror:
        answer = "gaierror"
    except TimeoutError:
        answer = "ETIMEDOUT"
    except OSError as e:
        answer = errno.errorcode.get(e.errno, str(e))
    lines.write(answer + "\n")
    lines.flush()
