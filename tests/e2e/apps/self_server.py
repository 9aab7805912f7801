"""Echo whatever comes; options of the listener by argument: NAME=VALUE."""
import os
import socket
import struct
import sys
import threading
import time


def acknowledged(conn):
    """Bytes that the peer has, once the tunnel tells (its MTU shows it: lo's
    is far larger)."""
    info = conn.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 192)
    mtu = struct.unpack_from("I", info, 60)[0]
    return struct.unpack_from("Q", info, 120)[0] if mtu < 9000 else 0


def serve(conn, peer):
    """Of a local client, who only looks whether we listen, nothing is said."""
    def say(text):
        if peer[0].startswith("100."):
            os.write(1, text.encode() + b"\n")  # lines in one piece

    with conn:
        try:
            name = repr(conn.getpeername()[:2]).encode() + b"\n"
            conn.sendall(name)
            while (peer[0].startswith("100.") and
                   acknowledged(conn) < len(name)):
                time.sleep(0.01)
            cc = conn.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16)
            say("acknowledged " + cc.rstrip(b"\0").decode())
            while data := conn.recv(65536):
                conn.sendall(data)
        except OSError as e:
            say(f"lost {e.errno}")


listener = socket.create_server(("", int(sys.argv[1])), backlog=64)
for word in sys.argv[2:]:
    name, value = word.split("=")
    level = (socket.IPPROTO_TCP if name.startswith("TCP_") else
             socket.SOL_SOCKET)
    listener.setsockopt(level, getattr(socket, name),
                        int(value) if value.isdigit() else value.encode())
while True:
    threading.Thread(target=serve, args=listener.accept(),
                     daemon=True).start()
