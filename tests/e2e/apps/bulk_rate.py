"""A transfer that never ends, and how much has come.

bulk_rate.py serve PORT        count what one client sends; print it often
bulk_rate.py send HOST PORT
"""
import socket
import sys
import time

EVERY_S = 0.1


def serve(port):
    buf, total, said = bytearray(1 << 18), 0, 0.0
    with socket.create_server(("", port)) as server:
        print("ready", flush=True)
        client, _ = server.accept()
        while n := client.recv_into(buf):
            total += n
            now = time.monotonic()
            if now - said > EVERY_S:
                said = now
                print(total, flush=True)


def send(host, port):
    data = bytes(1 << 18)
    with socket.create_connection((host, port)) as s:
        while True:
            s.sendall(data)


if sys.argv[1] == "serve":
    serve(int(sys.argv[2]))
else:
    send(sys.argv[2], int(sys.argv[3]))
