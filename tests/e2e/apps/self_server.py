"""Echo whatever comes; options of the listener by argument: NAME=VALUE."""
import socket
import struct
import sys
import threading
import time


def unacked(conn):
    info = conn.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
    return struct.unpack_from("I", info, 24)[0]


def serve(conn):
    with conn:
        try:
            conn.sendall(repr(conn.getpeername()[:2]).encode() + b"\n")
            while unacked(conn):
                time.sleep(0.01)
            if conn.getpeername()[0].startswith("100."):
                print("acknowledged", flush=True)
            while data := conn.recv(65536):
                conn.sendall(data)
        except OSError as e:
            print("lost", e.errno, flush=True)


listener = socket.create_server(("", int(sys.argv[1])), backlog=64)
for word in sys.argv[2:]:
    name, value = word.split("=")
    level = (socket.IPPROTO_TCP if name.startswith("TCP_") else
             socket.SOL_SOCKET)
    listener.setsockopt(level, getattr(socket, name), int(value))
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],),
                     daemon=True).start()
