"""libc_probe's udp-serve and udp-call for roots that have Python instead."""
import socket
import sys

how, *arguments = sys.argv[1:]
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
    if how == "udp-serve":
        s.bind(("", int(arguments[0])))
        print("listening")
        for _ in range(int(arguments[1])):
            text, peer = s.recvfrom(500)
            told = f"{peer[0]} says {text.decode()}"
            s.sendto(told.encode(), peer)
            print("served", told)
    else:
        s.sendto(arguments[2].encode(), (arguments[0], int(arguments[1])))
        told, peer = s.recvfrom(500)
        print(f"{peer[0]}: {told.decode()}")
