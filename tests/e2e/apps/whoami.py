"""Tell each caller its address: HTTP and UDP at PORT of ADDRESS.

/bytes/N are N bytes of a pattern."""
import http.server
import socket
import socketserver
import sys
import threading

ADDRESS, PORT = sys.argv[1], int(sys.argv[2])


def pattern(length):
    return (bytes(range(251)) * (length // 251 + 1))[:length]


class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path.startswith("/bytes/"):
            body = pattern(int(self.path[7:]))
        else:
            body = f"{self.path} from {self.client_address[0]}\n".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_PUT(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        right = body == pattern(len(body))
        self.send_response(200 if right else 400)
        self.end_headers()
        self.wfile.write(f"took {len(body)}\n".encode())

    def log_message(self, *_):
        pass


class Server(socketserver.ThreadingTCPServer):
    """Without http.server's look-up of its own name, which takes seconds
    where no name server is."""
    daemon_threads = True
    allow_reuse_address = True


def serve_datagrams(sock):
    while True:
        data, addr = sock.recvfrom(65535)
        sock.sendto(data + b" from " + addr[0].encode(), addr)


if __name__ == "__main__":
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind((ADDRESS, PORT))
    threading.Thread(target=serve_datagrams, args=(sock,), daemon=True).start()
    server = Server((ADDRESS, PORT), Answer)
    print("ready", flush=True)
    server.serve_forever()
