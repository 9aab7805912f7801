"""Connections that are broken off leave nothing behind, however it is done.
LEAK_CONNS says how many of each kind; a soak takes 2000."""
import os
import time

import pytest

from harness import SANITIZERS, needs, wait_until
from test_serve import NAME, backend, serve
from test_serve_tls import acme, https, peerapi_of, web as tls_web
from test_taildrop import CAP

__all__ = ["backend", "acme", "tls_web"]  # fixtures
pytestmark = needs("openssl")
CONNS = int(os.environ.get("LEAK_CONNS", "24"))
GROWTH_KB, KEPT = 4096, 4

# Each kind is one function of a number; a third of them reset.
CLIENT = """
import socket, ssl, struct, sys
ip, name, peerapi, conns = %r, %r, %d, %d
context = ssl.create_default_context()
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
def dial(port):
    return socket.create_connection((ip, port), 20)
def end(s, i):
    if i %% 3 == 0:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                     struct.pack("ii", 1, 0))
    elif i %% 3 == 1:
        s.shutdown(socket.SHUT_WR)
        s.settimeout(0.01)
        try:
            s.recv(100)
        except OSError:
            pass
    s.close()
def say(port, text, body=b""):
    s = dial(port)
    s.sendall(text.replace("\\n", "\\r\\n").encode() + body)
    return s
def web(i):
    head = f"Host: {name}\\n"
    return say(80, ("GET / HTTP/1.1\\n", "GET /big HTTP/1.1\\n" + head + "\\n",
        "PUT /echo HTTP/1.1\\n" + head + "Content-Length: 9999\\n\\nabc",
        "GET /socket HTTP/1.1\\n" + head + "Connection: upgrade\\n"
        "Upgrade: websocket\\nSec-WebSocket-Key: a\\n\\n",
        "nonsense\\n\\n", "GET /none HTTP/1.1\\n" + head + "\\n",
        "PUT /echo HTTP/1.1\\n" + head + "Transfer-Encoding: chunked\\n\\nzz\\n",
        "GET /files/data HTTP/1.1\\n" + head + "\\n")[i %% 8])
def forward(i):
    return say(90, "abc" * (i %% 2))
def bad_tls(i):
    s = dial(443)
    if i %% 4 == 0:
        s.sendall(b"\\x16\\x03\\x01\\x02\\x00\\x01\\x00\\x01\\xfc\\x03\\x03" +
                  b"a" * (i %% 600))
    elif i %% 4 == 1:
        s.sendall(b"GET / HTTP/1.0\\r\\n\\r\\n")
    elif i %% 4 == 2:
        try:
            context.wrap_socket(s, server_hostname="other.lab.ts.net",
                                do_handshake_on_connect=False).do_handshake()
        except (ssl.SSLError, OSError):
            pass
        return dial(443)
    return s
def tls(i):
    s = context.wrap_socket(dial(443), server_hostname=name)
    s.sendall(f"GET /big HTTP/1.1\\r\\nHost: {name}\\r\\n\\r\\n".encode())
    s.recv(100)
    return s
def garbage(i):
    return say(peerapi, ("GET / HTTP/1.1\\n", "nonsense\\n\\n", "\\n" * 100,
        "GET / HTTP/1.1\\nHost: peer\\n\\n" * 5, "PUT /v0/put/\\n\\n",
        "GET /dns-query?q=x HTTP/1.1\\nHost: peer\\n\\n")[i %% 6])
def drop(i):
    return say(peerapi, f"PUT /v0/put/{i %% 50} HTTP/1.1\\nHost: peer\\n" + (
        "Content-Length: 100000\\n\\n", "Transfer-Encoding: chunked\\n\\n",
        "Expect: 100-continue\\nContent-Length: 5\\n\\n",
        "Range: bytes=3-\\nContent-Length: 5\\n\\n")[i %% 4],
        (b"abc", b"5\\r\\nab", b"", b"xy")[i %% 4])
for line in sys.stdin:
    kind = globals()[line.strip()]
    for i in range(conns):
        try:
            end(kind(i), i)
        except OSError as e:
            if i == 0:
                print(line.strip(), e)
    print("done", line.strip(), flush=True)
"""
KINDS = "web", "forward", "bad_tls", "tls", "garbage", "drop"


@pytest.fixture
def web(tls_web):
    return tls_web


def cost(program):
    """Descriptors, and KB of memory."""
    of = f"/proc/{program.process.pid}"
    with open(of + "/status", encoding="ascii") as f:
        kb = next(int(x.split()[1]) for x in f if x.startswith("VmRSS"))
    return len(os.listdir(of + "/fd")), kb


def test_nothing_is_left_of_what_is_broken_off(web, run, backend, tmp_path):
    (tmp_path / "data").write_bytes(bytes(1 << 20))
    mounts = {"/": {"Proxy": str(backend.port)},
              "/files/": {"Path": str(tmp_path)}}
    config = https(**mounts)
    config["TCP"]["80"] = {"HTTP": True}
    config["TCP"]["90"] = {"TCPForward": f"127.0.0.1:{backend.port}"}
    config["Web"][f"{NAME}:80"] = config["Web"][f"{NAME}:443"]
    serve(web, config)
    web.lab.command(f"cap web {CAP}")
    read, write = os.pipe()
    client = run("laptop", "python3", "-uc", CLIENT % (
        web.ip, NAME, peerapi_of(web), CONNS), stdin=read)
    os.close(read)

    def play(kind, times):
        os.write(write, (kind + "\n").encode())
        wait_until(lambda: client.alive() and
                   client.out.count(f"done {kind}\n") == times,
                   f"the end of {kind}", 30 + CONNS)

    def rests(before):
        return cost(web)[0] <= before + KEPT

    fds, begin = cost(web)[0], time.monotonic()
    for times in 1, 2:  # what is made once is kept
        for kind in KINDS:
            play(kind, times)
            wait_until(lambda: rests(fds), f"the ends of {kind}")
        if times == 1:
            kb = cost(web)[1]
    print(f"{fds} descriptors, {kb} KB; then {cost(web)[1]} KB")
    # AddressSanitizer keeps what is freed, and looks for leaks itself.
    assert SANITIZERS or cost(web)[1] < kb + GROWTH_KB
    # and the log has five, and one a second
    assert 0 < web.log.count("was not received") < \
        10 + time.monotonic() - begin
    os.close(write)
