"""What becomes of one TCP connect or datagram: its answer, or its errno."""
import errno
import socket
import sys

KIND, ADDRESS, PORT, SECONDS = (sys.argv[1], sys.argv[2], int(sys.argv[3]),
                                float(sys.argv[4]))
FAMILY = socket.AF_INET6 if ":" in ADDRESS else socket.AF_INET


def ask(sock):
    sock.settimeout(SECONDS)
    sock.connect((ADDRESS, PORT))
    if KIND == "tcp":
        sock.sendall(b"GET /x HTTP/1.0\r\n\r\n")
        return sock.makefile().read().splitlines()[-1]
    sock.send(b"y")
    return sock.recv(65535).decode()


try:
    with socket.socket(FAMILY, socket.SOCK_STREAM if KIND == "tcp"
                       else socket.SOCK_DGRAM) as s:
        print(ask(s))
except TimeoutError:
    print("silence")
except OSError as e:
    print(errno.errorcode.get(e.errno, e))
