"""A transfer that never rests, to see whether it survives what happens below.

steady.py serve PORT         echo what comes, to one client after the other
steady.py run HOST PORT FILE numbered blocks to the server and back, each
                             compared, until FILE exists; then says how many,
                             and the longest pause between two
"""
import os
import socket
import sys
import threading
import time

BLOCK = 16384
WINDOW = 16  # blocks under way


def serve(port):
    with socket.create_server(("", port)) as server:
        print("listening", flush=True)
        while True:
            client, _ = server.accept()
            with client:
                while data := client.recv(65536):
                    client.sendall(data)


def block(number):
    return (b"%015d\n" % number) * (BLOCK // 16)


def run(host, port, stop_file):
    s = socket.create_connection((host, port))
    room = threading.Semaphore(WINDOW)
    done = threading.Event()

    def send():
        number = 0
        while not done.is_set():
            room.acquire()
            s.sendall(block(number))
            number += 1
            time.sleep(0.005)
        s.shutdown(socket.SHUT_WR)

    threading.Thread(target=send, daemon=True).start()
    stream = s.makefile("rb")
    number, longest, last = 0, 0.0, time.monotonic()
    while data := stream.read(BLOCK):
        if data != block(number):
            sys.exit(f"block {number} is not as sent")
        number += 1
        room.release()
        now = time.monotonic()
        longest, last = max(longest, now - last), now
        if number % 20 == 0:
            print("at", number, flush=True)
        if os.path.exists(stop_file):
            done.set()
    print(f"OK {number} {longest:.3f}", flush=True)


if sys.argv[1] == "serve":
    serve(int(sys.argv[2]))
else:
    run(sys.argv[2], int(sys.argv[3]), sys.argv[4])
