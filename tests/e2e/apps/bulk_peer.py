"""Both directions at once: send N pseudo-random bytes, check what comes.

usage: bulk_peer.py listen PORT BYTES | bulk_peer.py HOST PORT BYTES
Each side sends BYTES, half-closes, reads to EOF and prints the SHA-256 of what
it got; both send the same stream, so both must print the same.
"""
import hashlib
import random
import socket
import sys
import threading

CHUNK = random.Random(1).randbytes(1 << 20)


def send(sock, count):
    while count > 0:
        piece = CHUNK[:min(count, len(CHUNK))]
        sock.sendall(piece)
        count -= len(piece)
    sock.shutdown(socket.SHUT_WR)


def exchange(sock, count):
    sender = threading.Thread(target=send, args=(sock, count))
    sender.start()
    digest, total = hashlib.sha256(), 0
    while True:
        data = sock.recv(1 << 18)
        if not data:
            break
        digest.update(data)
        total += len(data)
    sender.join()
    print(total, digest.hexdigest(), flush=True)


host, port, size = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
if host == "listen":
    server = socket.socket()
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind(("", port))
    server.listen()
    exchange(server.accept()[0], size)
else:
    exchange(socket.create_connection((host, port), timeout=120), size)
