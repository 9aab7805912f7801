"""A scripted name server: UDP, TCP, HTTP and HTTPS (RFC 8484), for tests that
import it and as a program of its own:

    name_server.py --log FILE [--udp IP:PORT] [--tcp IP:PORT] [--http IP:PORT]
                   [--https IP:PORT --cert FILE] NAME=VALUE...

VALUE is an address, "@NAME" for an alias, ">NAME" for a PTR record, "fail" for
SERVFAIL, "refuse", "silent" for no answer, or a number of addresses, which only
come whole by TCP. Other names are NXDOMAIN. Each query is a line of the log:
way, name, type, and who asked."""
import argparse
import ipaddress
import socket
import ssl
import struct
import threading

SOA = b"\0\0" + struct.pack(">5I", 1, 60, 60, 60, 30)
A, CNAME, PTR, AAAA = 1, 5, 12, 28
TTL = 60


def wire_name(name):
    return b"".join(bytes([len(l)]) + l.encode()
                    for l in name.split(".") if l) + b"\0"


def record(owner, kind, data):
    return wire_name(owner) + struct.pack(">HHIH", kind, 1, TTL, len(data)) + \
        data


class NameServer:
    def __init__(self, log, records):
        self.log_path = log
        self.records = {k.lower(): v for k, v in records.items()}
        self.sockets = []
        self.lock = threading.Lock()

    # -- answers -----------------------------------------------------------

    def answer(self, query, way, who):
        """The answer, or None."""
        at, labels = 12, []
        while query[at]:
            labels.append(query[at + 1:at + 1 + query[at]].decode())
            at += 1 + query[at]
        question, name = query[12:at + 5], ".".join(labels).lower()
        kind, = struct.unpack(">H", query[at + 1:at + 3])
        with self.lock, open(self.log_path, "a", encoding="utf-8") as f:
            f.write(f"{way} {name} {kind} {who}\n")
        flags, answers, authority = self.look_up(name, kind, way)
        if flags is None:
            return None
        return query[:2] + struct.pack(
            ">5H", 0x8180 | flags, 1, len(answers), len(authority), 0) + \
            question + b"".join(answers) + b"".join(authority)

    def look_up(self, name, kind, way):
        value, answers = self.records.get(name), []
        for _ in range(8):
            if not value or not value.startswith("@"):
                break
            answers.append(record(name, CNAME, wire_name(value[1:])))
            name, value = value[1:], self.records.get(value[1:])
        codes = {"fail": 2, "refuse": 5, "silent": None}
        if value in codes:
            return codes[value], [], []
        if value is None:
            return (0 if answers else 3), answers, \
                [record("", 6, SOA)]
        if value.isdigit():
            if way == "udp":
                return 0x200, [], []
            found = [record(name, A, bytes((192, 0, 2, i + 1)))
                     for i in range(int(value))]
            return 0, found if kind == A else [], []
        if value.startswith(">"):
            answers.append(record(name, PTR, wire_name(value[1:])))
            return 0, answers, []
        ip = ipaddress.ip_address(value)
        if kind == (A if ip.version == 4 else AAAA):
            answers.append(record(name, kind, ip.packed))
        return 0, answers, [] if answers else [record("", 6, SOA)]

    # -- ways --------------------------------------------------------------

    def start(self, way, address, cert=None):
        ip, port = address.rsplit(":", 1)
        family = socket.AF_INET6 if ":" in ip else socket.AF_INET
        kind = socket.SOCK_DGRAM if way == "udp" else socket.SOCK_STREAM
        sock = socket.socket(family, kind)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((ip.strip("[]"), int(port)))
        if kind == socket.SOCK_STREAM:
            sock.listen(16)
        if cert:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(cert)
            sock = context.wrap_socket(sock, server_side=True,
                                       do_handshake_on_connect=False)
        self.sockets.append(sock)
        serve = self.serve_udp if way == "udp" else self.serve_streams
        thread = threading.Thread(target=serve, args=(sock, way), daemon=True)
        thread.start()
        return thread

    def serve_udp(self, sock, way):
        while True:
            try:
                query, who = sock.recvfrom(65535)
                answer = self.answer(query, way, who[0])
                if answer:
                    sock.sendto(answer, who)
            except OSError:
                return

    def serve_streams(self, sock, way):
        serve = self.serve_tcp if way == "tcp" else self.serve_http
        while True:
            try:
                conn, who = sock.accept()
            except ssl.SSLError:
                continue
            except OSError:
                return
            threading.Thread(target=self.serve_one, daemon=True,
                             args=(serve, conn, way, who[0])).start()

    @staticmethod
    def serve_one(serve, conn, way, who):
        try:
            with conn, conn.makefile("rwb") as f:
                while serve(f, way, who):
                    f.flush()
        except (OSError, ValueError):
            pass

    def serve_tcp(self, f, way, who):
        head = f.read(2)
        if len(head) < 2:
            return False
        answer = self.answer(f.read(struct.unpack(">H", head)[0]), way, who)
        if answer:
            f.write(struct.pack(">H", len(answer)) + answer)
        return True

    def serve_http(self, f, way, who):
        request, length = f.readline().decode(), 0
        if not request:
            return False
        while (line := f.readline().decode().strip()):
            key, value = line.split(":", 1)
            if key.lower() == "content-length":
                length = int(value)
        answer = self.answer(f.read(length), way, who) \
            if request.startswith("POST /dns-query ") else None
        status = "200 OK" if answer else "404 Not Found"
        answer = answer or b""
        f.write(f"HTTP/1.1 {status}\r\nContent-Type: application/dns-message"
                f"\r\nContent-Length: {len(answer)}\r\n\r\n".encode() + answer)
        return True

    # -- for tests ---------------------------------------------------------

    @property
    def asked(self):
        """(way, name) of each query."""
        return [tuple(line.split()[:2]) for line in self.lines]

    @property
    def lines(self):
        try:
            with open(self.log_path, encoding="utf-8") as f:
                return f.read().splitlines()
        except FileNotFoundError:
            return []

    def close(self):
        for sock in self.sockets:
            sock.close()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--log", required=True)
    parser.add_argument("--cert")
    ways = ("udp", "tcp", "http", "https")
    for way in ways:
        parser.add_argument("--" + way, action="append", default=[])
    parser.add_argument("records", nargs="*")
    args = parser.parse_args()
    server = NameServer(args.log, dict(r.split("=", 1) for r in args.records))
    threads = [server.start(way, address,
                            args.cert if way == "https" else None)
               for way in ways for address in getattr(args, way)]
    with open(args.log, "a", encoding="utf-8"):
        pass  # who waits for us sees it
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main()
