"""Answer each datagram with what was seen of it, as JSON: PORT [ADDRESS]"""
import json
import socket
import sys

port = int(sys.argv[1])
address = sys.argv[2] if len(sys.argv) > 2 else "::"
family = socket.AF_INET6 if ":" in address else socket.AF_INET
s = socket.socket(family, socket.SOCK_DGRAM)
if address == "::":
    s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
s.bind((address, port))
print("bound", s.getsockname()[0], flush=True)
while True:
    data, peer = s.recvfrom(65536)
    ip = peer[0].removeprefix("::ffff:")
    text = data.decode() if len(data) < 1000 else ""
    s.sendto(json.dumps({"from": [ip, peer[1]], "size": len(data),
                         "text": text}).encode(), peer)
    print("from", ip, peer[1], len(data), flush=True)
