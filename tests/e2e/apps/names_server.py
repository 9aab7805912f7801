"""Tell every caller the addresses that accept() and the socket show."""
import json
import socket
import sys

family = socket.AF_INET6 if sys.argv[2:] == ["6"] else socket.AF_INET
server = socket.socket(family)
server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
server.bind(("", int(sys.argv[1])))
server.listen(64)
while True:
    conn, addr = server.accept()
    with conn:
        conn.makefile().readline()
        conn.sendall(json.dumps({
            "own": conn.getsockname()[:2], "peer": conn.getpeername()[:2],
            "accept": addr[:2]}).encode() + b"\n")
