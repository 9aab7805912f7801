"""Send one datagram and print what both ends saw: HOST PORT HOW"""
import json
import socket
import sys
import time

host, port, how = sys.argv[1], int(sys.argv[2]), sys.argv[3]
family = socket.AF_INET6 if ":" in host else socket.AF_INET
s = socket.socket(family, socket.SOCK_DGRAM)
s.settimeout(3)
said = {}
for attempt in range(20):
    if how == "connected":
        s.connect((host, port))
        s.send(b"hello")
    else:
        s.sendto(b"hello", (host, port))
    try:
        data, peer = s.recvfrom(65536)
        break
    except ConnectionRefusedError:
        time.sleep(0.2)  # the server may not be there yet
    except socket.timeout:
        pass
said["seen"] = json.loads(data)
said["from"] = list(peer[:2])
said["own"] = list(s.getsockname()[:2])
if how == "connected":
    said["peer"] = list(s.getpeername()[:2])
print(json.dumps(said))
