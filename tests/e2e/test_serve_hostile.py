"""What clients of the node's own servers can do to others: nothing."""
import os
import socket

import pytest

from harness import SANITIZERS, needs, wait_until
from test_serve import NAME, at, backend, curl, python, serve
from test_serve_tls import (VISIT, acme, https, ingress, peerapi_of, visit,
                            web as tls_web)

__all__ = ["backend", "acme", "ingress", "tls_web"]  # fixtures
pytestmark = needs("openssl", "curl")


@pytest.fixture
def web(tls_web):
    return tls_web


def test_what_is_no_longer_public_ends_for_who_is_connected(ingress, run,
                                                            acme):
    """A connection from the internet that stands reaches nothing once Funnel
    is off, though the tailnet still does."""
    web = ingress
    config = https(**{"/": {"Text": "hello"}})
    config["AllowFunnel"] = {f"{NAME}:443": True}
    serve(web, config)
    client = run("ingress", "python3", "-uc", "import socket\n" + VISIT % {
        "ip": web.ip, "port": peerapi_of(web), "ca": acme.ca} + f"""
import os, time
s = visit("203.0.113.9:4444", "{NAME}:443")
for i in range(2):
    s.sendall(b"GET / HTTP/1.1\\r\\nHost: {NAME}\\r\\n\\r\\n")
    got = b""
    while not got.endswith((b"hello", b"Forbidden\\n")):
        got += s.recv(1000)
    print(got.split(b" ")[1].decode())
    while not os.path.exists("go"):
        time.sleep(0.02)
print(s.recv(1000))
""", key="key-bob")
    wait_until(lambda: "200" in client.out, "the first answer")
    config["AllowFunnel"] = {}
    serve(web, config)
    open(os.path.join(client.dir, "go"), "w", encoding="ascii").close()
    assert client.wait() == 0, client.err
    assert client.out.split("\n")[-4:] == ["200", "403", "b''", ""]


def test_one_caller_does_not_keep_out_the_others(ingress, call, acme):
    """An ingress brings many that keep silent from one address, then one from
    another."""
    web = ingress
    config = https(**{"/": {"Text": "hello"}})
    config["AllowFunnel"] = {f"{NAME}:443": True}
    serve(web, config)
    out = visit(call, web, acme, f"""
def bring(src):
    try:
        return ask({{"Tailscale-Ingress-Src": src,
                    "Tailscale-Ingress-Target": "{NAME}:443"}})[0]
    except ConnectionResetError:
        return None
def is_open(s):
    try:
        if s:
            s.setblocking(False)
            return s.recv(1) != b""
    except BlockingIOError:
        return True
    except ConnectionResetError:
        pass
    return False
silent = [bring(f"203.0.113.9:{{1000 + i}}") for i in range(40)]
silent += [bring(f"[2001:db8::{{i + 1:x}}]:5") for i in range(40)]
s = visit("203.0.113.10:4444", "{NAME}:443")
s.sendall(b"GET / HTTP/1.0\\r\\nHost: {NAME}\\r\\n\\r\\n")
print(s.makefile("rb").read().endswith(b"hello"))
print(sum(map(is_open, silent[:40])), sum(map(is_open, silent[40:])))
""")
    assert out.split("\n")[-3:] == ["True", "32 32", ""]


def full_queue():
    """A port where nobody answers a call."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    callers = []
    for _ in range(4):
        callers.append(socket.socket())
        callers[-1].setblocking(False)
        callers[-1].connect_ex(listener.getsockname())
    return listener, callers


def test_who_waits_for_a_silent_backend_has_a_place_too(run, call):
    """A peer has its share of them, as of those that are answered, and the
    others theirs."""
    web = run("web", "sleep", "1000").wait_running()
    listener, callers = full_queue()
    config = at({"Text": "hello"})
    config["TCP"]["90"] = {
        "TCPForward": f"127.0.0.1:{listener.getsockname()[1]}"}
    serve(web, config)
    greedy = run("greedy", "python3", "-uc", f"""
import errno, resource, select, socket, time
resource.setrlimit(resource.RLIMIT_NOFILE, (2048, 2048))
p, conns = select.poll(), []
for i in range(600):
    s = socket.socket()
    s.setblocking(False)
    s.connect_ex(("{web.ip}", 90))
    conns.append(s)
refused = set()
while len(refused) < 88:
    p = select.poll()
    for s in conns:
        if s not in refused:
            p.register(s, select.POLLOUT)
    for fd, _ in p.poll(1000):
        refused |= {{s for s in conns if s.fileno() == fd and s.getsockopt(
            socket.SOL_SOCKET, socket.SO_ERROR) == errno.ECONNREFUSED}}
print(len(refused))
time.sleep(1000)
""", key="key-bob")
    wait_until(lambda: greedy.out, "refusals")
    assert int(greedy.out) == 88
    assert curl(call, f"http://{NAME}/") == "hello"
    listener.close()
    for caller in callers:
        caller.close()


H2C = f"""GET /socket HTTP/1.1\r
Host: {NAME}\r
Connection: Upgrade\r
Upgrade: h2c\r
HTTP2-Settings: AAMAAABkAAQAAP__\r
Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r
\r
"""


def test_nobody_speaks_to_a_backend_past_us(run, call, backend):
    """HTTP/2 in the clear would be a way to say that one is somebody else."""
    web = run("web", "sleep", "1000").wait_running()
    serve(web, at({"Proxy": str(backend.port)}))
    out = python(call, f"""
s = socket.create_connection(("{NAME}", 80), 20)
s.sendall({H2C.encode()!r})
print(s.recv(1000).split(b" ")[1].decode())
""")
    # this backend would have switched; an answer of 101 is none then
    assert out == "502\n"
    fields = {name.lower() for name, _ in backend.seen[0][2]}
    assert "upgrade" not in fields and "connection" not in fields


# -- TLS ------------------------------------------------------------------------


def test_handshakes_are_no_work_for_the_disk(web, run, acme):
    """What is stored and not fit is looked at once, however many knock while
    the CA is asked."""
    acme.polls = 10000
    certs = os.path.join(web.state, "certs")
    os.makedirs(certs, exist_ok=True)
    for name, kind in (("server.pem", ".crt"), ("server.key", ".key")):
        with open(acme.path(name), "rb") as f, \
                open(os.path.join(certs, NAME + kind), "wb") as out:
            out.write(f.read())
    config = https(**{"/": {"Text": "hello"}})
    config["TCP"]["80"] = {"HTTP": True}
    config["Web"][f"{NAME}:80"] = config["Web"][f"{NAME}:443"]
    serve(web, config)
    client = run("laptop", "python3", "-uc", f"""
import socket, ssl
context = ssl.create_default_context(cafile={acme.ca!r})
conns = []
for i in range(25):
    s = context.wrap_socket(socket.create_connection(("{web.ip}", 443), 20),
                            server_hostname="{NAME}",
                            do_handshake_on_connect=False)
    s.setblocking(False)
    try:
        s.do_handshake()
    except ssl.SSLWantReadError:
        conns.append(s)
s = socket.create_connection(("{web.ip}", 80), 20)
s.sendall(b"GET / HTTP/1.0\\r\\nHost: {NAME}\\r\\n\\r\\n")
print(s.makefile("rb").read()[-5:], len(conns), flush=True)
s.recv(1)
import time; time.sleep(1000)
""", key="key-bob")
    wait_until(lambda: client.alive() and "hello" in client.out, "the client")
    assert "25" in client.out
    wait_until(lambda: "not fit any more" in web.log, "the first look")
    assert web.log.count("not fit any more") <= 2
    client.stop()


# -- HTTP/2 ---------------------------------------------------------------------

# Frames by hand, over TLS.
H2 = """
import socket, ssl, struct, sys, time
def dial():
    context = ssl.create_default_context(cafile=%r)
    context.set_alpn_protocols(["h2"])
    s = context.wrap_socket(socket.create_connection((%r, 443), 20),
                            server_hostname=%r)
    assert s.selected_alpn_protocol() == "h2"
    s.sendall(b"PRI * HTTP/2.0\\r\\n\\r\\nSM\\r\\n\\r\\n" + frame(4, 0, 0))
    return s
def frame(kind, flags, stream, data=b""):
    return (struct.pack(">I", len(data))[1:] + bytes([kind, flags]) +
            struct.pack(">I", stream) + data)
# GET / of https and some authority, without an end of the stream
def get(stream, flags=4):
    return frame(1, flags, stream, b"\\x82\\x84\\x87\\x41\\x01a")
def goaway(s):
    s.settimeout(20)
    data = b""
    try:
        while more := s.recv(65536):
            data += more
    except OSError:
        pass
    while len(data) >= 9:
        length = int.from_bytes(data[:3], "big")
        if data[3] == 7:
            return int.from_bytes(data[13:17], "big")
        data = data[9 + length:]
    return None
"""


def memory(program):
    with open(f"/proc/{program.process.pid}/status", encoding="ascii") as f:
        return next(int(x.split()[1]) for x in f if x.startswith("VmRSS"))


@pytest.fixture
def h2(web, call, acme):
    serve(web, https(**{"/": {"Text": "hello"}}))
    curl(call, "--cacert", acme.ca, f"https://{NAME}/")

    def program(text):
        return H2 % (acme.ca, web.ip, NAME) + text
    return program


def test_streams_that_are_refused_do_not_pile_up(web, run, h2):
    """Who opens one after the other and hardly reads makes no more wait for
    him than his connection holds."""
    before = memory(web)
    client = run("laptop", "python3", "-uc", h2("""
s = dial()
s.setblocking(False)
opened, stream, stuck = b"", 1, 0
while stream < 1200001 and stuck < 200:
    if not opened:
        opened = b"".join(get(i) for i in range(stream, stream + 8000, 2))
        stream += 8000
    try:
        opened = opened[s.send(opened[:16384]):]
        stuck = 0
    except (ssl.SSLWantWriteError, BlockingIOError):
        stuck += 1
        time.sleep(0.005)
    except OSError:
        break
    try:
        s.recv(512)
    except (ssl.SSLWantReadError, BlockingIOError):
        pass
print("sent", stream)
time.sleep(1000)
"""), key="key-bob")
    wait_until(lambda: client.alive() and "sent" in client.out, "the flood", 60)
    # AddressSanitizer keeps what is freed.
    assert SANITIZERS or memory(web) < before + 16384
    client.stop()


def test_frames_that_make_no_sense_are_not_for_free(web, call, h2):
    """They make us break off what was begun: as many resets."""
    out = python(call, h2("""
s = dial()
out = b""
for i in range(1, 8001, 2):
    out += get(i) + frame(8, 0, i, b"\\x7f\\xff\\xff\\xff")
try:
    s.sendall(out)
except OSError:
    pass
print(goaway(s))
"""))
    assert out == "11\n"  # ENHANCE_YOUR_CALM
