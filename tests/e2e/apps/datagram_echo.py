"""Echo datagrams: PORT HOW, HOW one of v4, dual, v6only, group"""
import os
import socket
import sys

port, how = int(sys.argv[1]), sys.argv[2]
if how == "group":
    for _ in range(2):
        if os.fork() == 0:
            break
v6 = how in ("dual", "v6only")
s = socket.socket(socket.AF_INET6 if v6 else socket.AF_INET, socket.SOCK_DGRAM)
if v6:
    s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, how == "v6only")
if how == "group":
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
s.bind(("::" if v6 else "0.0.0.0", port))
while True:
    data, peer = s.recvfrom(65536)
    s.sendto(data, peer)
