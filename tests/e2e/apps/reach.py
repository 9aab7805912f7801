"""What becomes of one TCP connect or datagram: its answer, or its errno.

keep: of a connection that goes on when a line is read."""
import errno
import socket
import sys

KIND, ADDRESS, PORT, SECONDS = (sys.argv[1], sys.argv[2], int(sys.argv[3]),
                                float(sys.argv[4]))
FAMILY = socket.AF_INET6 if ":" in ADDRESS else socket.AF_INET


def ask(sock):
    sock.settimeout(SECONDS)
    sock.connect((ADDRESS, PORT))
    if KIND == "keep":
        print("up", flush=True)
        sys.stdin.readline()
    if KIND != "udp":
        sock.sendall(b"GET /x HTTP/1.0\r\n\r\n")
        return sock.makefile().read().splitlines()[-1]
    sock.send(b"y")
    return sock.recv(65535).decode()


try:
    with socket.socket(FAMILY, socket.SOCK_DGRAM if KIND == "udp"
                       else socket.SOCK_STREAM) as s:
        print(ask(s))
except TimeoutError:
    print("silence")
except OSError as e:
    print(errno.errorcode.get(e.errno, e))
