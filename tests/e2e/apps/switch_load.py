"""Connects, sends, asks for names and serves until its input ends, whatever the
errors: switch_load.py ADDRESS. A line when every kind has worked once."""
import os
import socket
import sys
import threading

PEER = sys.argv[1]
over = threading.Event()
worked = set()


def again(fn):
    def loop():
        while not over.is_set():
            try:
                fn()
            except OSError:
                over.wait(0.01)
                continue
            if fn.__name__ not in worked:
                worked.add(fn.__name__)
                os.write(1, f"{fn.__name__}\n".encode())  # whole
    return loop


def stream():
    with socket.create_connection((PEER, 7000), timeout=1) as s:
        for _ in range(20):
            s.sendall(b"x" * 1000)
            if not s.recv(1000):
                raise OSError("cut off")


def datagram():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.sendto(b"y", (PEER, 9))
        s.connect((PEER, 9))
        s.send(b"z")


def name():
    socket.getaddrinfo("echo", 80)


server = socket.create_server(("0.0.0.0", 7100))
server.settimeout(0.2)


def serve():
    server.accept()[0].close()


for work in (stream, stream, datagram, name, serve):
    threading.Thread(target=again(work), daemon=True).start()
sys.stdin.read()
over.set()
