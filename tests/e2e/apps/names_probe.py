"""Connect and print the four addresses that both ends see, as JSON."""
import json
import socket
import sys

host, port = sys.argv[1], int(sys.argv[2])
s = socket.create_connection((host, port), timeout=30)
s.sendall(b"who\n")
seen = json.loads(s.makefile().readline())
print(json.dumps({"client": {"own": s.getsockname()[:2],
                             "peer": s.getpeername()[:2]}, "server": seen}))
