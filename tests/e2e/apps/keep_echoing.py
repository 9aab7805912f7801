"""N echoes over one connection, one every 100 ms: HOST PORT N"""
import socket
import sys
import time

s = socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=30)
s.settimeout(50)
for i in range(1, int(sys.argv[3]) + 1):
    message = f"number {i}".encode()
    s.sendall(message)
    got = b""
    while len(got) < len(message):
        got += s.recv(len(message) - len(got)) or sys.exit("EOF")
    assert got == message
    print("echo", i)
    time.sleep(0.1)
