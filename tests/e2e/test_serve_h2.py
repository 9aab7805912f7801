"""Serve by HTTP/2, and what comes after a body."""
import contextlib
import hashlib
import socket
import subprocess
import threading
from pathlib import Path

import pytest

from harness import needs
from test_serve import (NAME, Backend, backend, big, curl, handlers, output,
                        python, serve)
from test_serve_tls import acme, https, web

__all__ = ["acme", "backend", "web"]  # fixtures
pytestmark = needs("openssl", "curl")


class RawBackend:
    """Takes one request after the other to their chunked ends, and says the
    same to each."""

    def __init__(self, answer):
        self.answer = answer
        self.seen = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            conn, _ = self.listener.accept()
            with conn:
                got = b""
                while b"\r\n0\r\n" not in got or not got.endswith(b"\r\n\r\n"):
                    data = conn.recv(65536)
                    if not data:
                        break
                    got += data
                self.seen.append(got.decode())
                conn.sendall(self.answer)


def test_streams_share_a_connection(web, call, acme, backend, tmp_path):
    serve(web, https(**{"/": {"Proxy": str(backend.port)},
                        "/text": {"Text": "hello"}}))
    data = tmp_path / "data"
    data.write_bytes(big())
    base = f"https://{NAME}"
    wants = [word for i in range(40)
             for word in ("-o", str(tmp_path / f"got{i}"), f"{base}/{i}")]
    out = curl(call, "--cacert", acme.ca, "-Z", "--parallel-max", "50", "-w",
               "%{http_version} %{http_code} %{num_connects}\n", *wants,
               "-o", str(tmp_path / "big"), f"{base}/big",
               "-o", str(tmp_path / "text"), f"{base}/text")
    lines = [line.split() for line in out.splitlines()]
    assert len(lines) == 42
    assert {(line[0], line[1]) for line in lines} == {("2", "200")}
    assert sum(int(line[2]) for line in lines) < 42
    for i in range(40):
        assert (tmp_path / f"got{i}").read_text() == f"GET /{i}"
    assert (tmp_path / "text").read_text() == "hello"
    assert hashlib.sha256((tmp_path / "big").read_bytes()).digest() == \
        hashlib.sha256(big()).digest()
    # who is calling is said of a stream as of any connection
    fields = dict(backend.seen[0][2])
    assert fields["Tailscale-User-Login"] == "bob@example.com"
    assert fields["X-Forwarded-For"] == web.lab.node("laptop")["ips"][0]
    assert fields["X-Forwarded-Host"] == NAME


def test_a_client_of_the_old_protocol(web, call, acme, backend):
    serve(web, https(**{"/": {"Proxy": str(backend.port)}}))
    assert curl(call, "--cacert", acme.ca, "--http1.1", "-w",
                "|%{http_version}", f"https://{NAME}/a") == "GET /a|1.1"


def test_trailers_go_both_ways(run, call):
    web = run("web", "sleep", "1000").wait_running()
    raw = RawBackend(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"
                     b"Trailer: X-Sum\r\nConnection: close\r\n\r\n"
                     b"4\r\nbody\r\n0\r\nX-Sum: 42\r\nSet-Cookie: a\r\n\r\n")
    serve(web, handlers(80, **{"/": {"Proxy": f"127.0.0.1:{raw.port}"}}))
    out = python(call, f"""
s = socket.create_connection(("{NAME}", 80), 20)
s.sendall(b"POST / HTTP/1.1\\r\\nHost: {NAME}\\r\\nTrailer: X-Mine\\r\\n"
          b"Transfer-Encoding: chunked\\r\\n\\r\\n3\\r\\nabc\\r\\n0\\r\\n"
          b"X-Mine: 7\\r\\nTailscale-User-Login: eve\\r\\n\\r\\n")
got = b""
while not got.endswith(b"\\r\\n\\r\\n") or b"\\r\\n0\\r\\n" not in got:
    got += s.recv(65536)
print(got.decode())
""")
    head, body = out.replace("\r", "").split("\n\n", 1)
    assert "Trailer: X-Sum" in head
    assert body.strip() == "4\nbody\n0\nX-Sum: 42"
    seen = raw.seen[0]
    assert "Trailer: X-Mine\r\n" in seen
    assert seen.endswith("\r\n\r\n3\r\nabc\r\n0\r\nX-Mine: 7\r\n\r\n")


# -- many, and too many -----------------------------------------------------------


class Busy(Backend):
    request_queue_size = 512


@pytest.fixture
def busy():
    server = Busy()
    yield server
    server.shutdown()
    server.server_close()


@needs("h2load")
def test_many_streams_of_many_connections(web, call, acme, busy):
    serve(web, https(**{"/": {"Proxy": str(busy.port)},
                        "/text": {"Text": "hello"}}))
    for path, count in (("/text", 4000), ("/a", 400)):
        program = call("laptop", "h2load", "-n", str(count), "-c", "4", "-m",
                       "50", f"https://{NAME}{path}", key="key-bob")
        assert program.code == 0, program.err
        assert f"{count} done, {count} succeeded, 0 failed" in output(program)
    # a stream's backend is kept for the next one
    assert len({seen[4] for seen in busy.seen}) < 400
    curl(call, "--cacert", acme.ca, f"https://{NAME}/text")


# A request that is taken back at once, as often as it is let.
RESETS = r"""
import ssl, struct
def frame(kind, flags, stream, data):
    return (struct.pack(">I", len(data))[1:] + bytes((kind, flags)) +
            struct.pack(">I", stream) + data)
tls = ssl.create_default_context(cafile=%r)
tls.set_alpn_protocols(["h2"])
s = tls.wrap_socket(socket.create_connection((%r, 443), 20),
                    server_hostname=%r)
assert s.selected_alpn_protocol() == "h2"
name = %r.encode()
head = b"\x82\x87\x84\x01" + bytes((len(name),)) + name
s.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0, b""))
try:
    for i in range(1, 20000, 2):
        s.sendall(frame(1, 5, i, head) + frame(3, 0, i, bytes(4)))
except OSError:
    pass
got = b""
try:
    while data := s.recv(65536):
        got += data
except OSError:
    pass
kinds, reason = [], None
while len(got) >= 9:
    size = int.from_bytes(got[:3], "big")
    kinds.append(got[3])
    if got[3] == 7:
        reason = int.from_bytes(got[13:17], "big")
    got = got[9 + size:]
print(7 in kinds, reason)
"""


def test_who_takes_back_all_requests_is_sent_away(web, call, acme, backend):
    serve(web, https(**{"/": {"Proxy": str(backend.port)}}))
    out = python(call, RESETS % (str(acme.ca), NAME, NAME, NAME))
    assert out.split()[0] == "True"
    assert curl(call, "--cacert", acme.ca, f"https://{NAME}/a") == "GET /a"


# -- gRPC -----------------------------------------------------------------------

PYTHON = "/usr/bin/python3"
ECHO = str(Path(__file__).with_name("grpc_echo.py"))
HAS_GRPC = subprocess.run([PYTHON, "-c", "import grpc"], check=False,
                          capture_output=True).returncode == 0
needs_grpc = pytest.mark.skipif(not HAS_GRPC, reason="no python3-grpcio")
SAID = ("once 3000000 bob@example.com True\nmany 490000\nboth ABC\n"
        "fail NOT_FOUND no such thing")


@contextlib.contextmanager
def grpc_server(*args):
    with subprocess.Popen([PYTHON, ECHO, "server", *args], text=True,
                          stdout=subprocess.PIPE) as server:
        try:
            yield int(server.stdout.readline())
        finally:
            server.kill()


def grpc_client(call, acme):
    program = call("laptop", PYTHON, ECHO, "client", f"{NAME}:443",
                   str(acme.ca), key="key-bob")
    assert program.code == 0, program.err
    return output(program).strip()


@needs_grpc
def test_grpc_goes_through(web, call, acme):
    with grpc_server() as port:
        serve(web, https(**{"/": {"Proxy": f"http://127.0.0.1:{port}"}}))
        assert grpc_client(call, acme) == SAID


@needs_grpc
def test_grpc_to_a_backend_behind_tls(web, call, acme, tmp_path):
    cert, key = str(tmp_path / "cert.pem"), str(tmp_path / "key.pem")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048",
                    "-nodes", "-keyout", key, "-out", cert, "-days", "2",
                    "-subj", "/CN=localhost"],
                   check=True, capture_output=True)
    with grpc_server(cert, key) as port:
        serve(web, https(**{
            "/": {"Proxy": f"https+insecure://127.0.0.1:{port}"}}))
        assert grpc_client(call, acme) == SAID


def test_grpc_to_nobody(web, call, acme):
    serve(web, https(**{"/": {"Proxy": "http://127.0.0.1:1"}}))
    assert curl(call, "--cacert", acme.ca, "-o", "/dev/null", "-w",
                "%{http_code} %{http_version}", "-H",
                "Content-Type: application/grpc", "-d", "x",
                f"https://{NAME}/") == "502 2"
