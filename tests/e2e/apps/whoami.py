"""Tell each caller its address: HTTP and UDP at PORT of ADDRESS."""
import http.server
import socket
import sys
import threading

ADDRESS, PORT = sys.argv[1], int(sys.argv[2])


class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = f"{self.path} from {self.client_address[0]}\n".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def serve_datagrams(sock):
    while True:
        data, addr = sock.recvfrom(65535)
        sock.sendto(data + b" from " + addr[0].encode(), addr)


sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.bind((ADDRESS, PORT))
threading.Thread(target=serve_datagrams, args=(sock,), daemon=True).start()
server = http.server.ThreadingHTTPServer((ADDRESS, PORT), Answer)
print("ready", flush=True)
server.serve_forever()
