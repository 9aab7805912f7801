"""Datagrams to and fro without a rest, to see whether the flow stays itself.

steady_datagrams.py serve PORT answer|choose
        answer everybody, or only those who know what to say, with their own
        words and address
steady_datagrams.py run HOST PORT FILE
        one every 10 ms until FILE exists; then says how many were sent and
        came back
"""
import os
import socket
import sys

WORD = b"steady "


def serve(port, whom):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind(("", port))
        print("listening", flush=True)
        while True:
            data, source = s.recvfrom(2048)
            if whom == "answer" or data.startswith(WORD):
                s.sendto(data + b" %s %d" % (source[0].encode(), source[1]),
                         source)


def run(host, port, stop_file):
    sent = came = 0
    known = None
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.connect((host, port))
        s.settimeout(0.01)
        while not os.path.exists(stop_file):
            s.send(WORD + b"%d" % sent)
            sent += 1
            try:
                while True:
                    word, number, *source = s.recv(2048).split()
                    assert word == WORD.strip() and int(number) < sent
                    known = known or source
                    assert source == known, (source, known)
                    came += 1
                    if came % 50 == 0:
                        print("at", came, flush=True)
            except TimeoutError:
                pass
    print("OK", sent, came, flush=True)


if sys.argv[1] == "serve":
    serve(int(sys.argv[2]), sys.argv[3])
else:
    run(sys.argv[2], int(sys.argv[3]), sys.argv[4])
