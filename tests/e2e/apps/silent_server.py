"""Accepts, and neither reads nor writes: silent_server.py PORT"""
import socket
import sys

connections = []
with socket.create_server(("0.0.0.0", int(sys.argv[1]))) as listener:
    while True:
        connections.append(listener.accept())
