"""full_table.py HOST PORT OWN: uses the tailnet with no descriptor to spare.

Connects to the echo server at HOST PORT, sends it a datagram, and serves OWN,
a port of its own; prints what happened.
"""
import os
import resource
import socket
import sys
import time


def threads():
    return len(os.listdir("/proc/self/task"))


host, port, own = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
client, served, datagrams = (socket.socket(), socket.socket(),
                             socket.socket(type=socket.SOCK_DGRAM))
served.bind(("0.0.0.0", own))
resource.setrlimit(resource.RLIMIT_NOFILE, (20, 20))
spare = []
try:
    while True:
        spare.append(os.dup(0))
except OSError as e:
    print("full:", e.errno)
client.connect((host, port))
client.sendall(b"hello\n")
print("tcp:", client.recv(100), client.getpeername())
datagrams.sendto(b"word", (host, port))
print("udp:", *datagrams.recvfrom(100))
served.listen()
os.close(spare.pop())
for i in range(200):  # one that has just ended may still be listed
    if threads() == 1:
        break
    time.sleep(0.01)
print("threads:", threads())
print("serving", flush=True)
connection, peer = served.accept()
print("served:", connection.recv(100), peer[0], flush=True)
