"""What a node serves by itself: proxies, files, texts, redirects, TCP ports."""
import base64
import contextlib
import hashlib
import http.server
import json
import os
import socket
import ssl
import struct
import subprocess
import threading

import pytest

from harness import needs, wait_until
from test_localapi import Watch, ask, patch
from test_seeing import c2n

NAME = "web.lab.ts.net"
BIG = 24 * 1024 * 1024


class Backend(http.server.ThreadingHTTPServer):
    """Remembers who it was told is calling; on this machine's loopback."""
    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.seen = []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def port(self):
        return self.server_address[1]


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def body(self):
        if self.headers.get("Transfer-Encoding") == "chunked":
            data = b""
            while True:
                size = int(self.rfile.readline(), 16)
                data += self.rfile.read(size)
                self.rfile.readline()
                if size == 0:
                    return data
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def reply(self, status, body, **fields):
        self.send_response(status)
        for name, value in fields.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def answer(self):
        body = self.body()
        self.server.seen.append((self.command, self.path,
                                 list(self.headers.items()), body,
                                 self.client_address))
        path = self.path.partition("?")[0]
        if path.endswith("/echo"):
            self.reply(200, body)
        elif path.endswith("/sum"):
            self.reply(200, hashlib.sha256(body).hexdigest().encode())
        elif path.endswith("/big"):
            self.reply(200, big())
        elif path.endswith("/chunks"):
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for part in (b"one ", b"two ", b"three"):
                self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
                self.wfile.flush()
            self.wfile.write(b"0\r\n\r\n")
        elif path.endswith("/end"):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"until the end")
            self.close_connection = True
        elif path.endswith("/cut"):
            self.send_response(200)
            self.send_header("Content-Length", "100")
            self.end_headers()
            self.wfile.write(b"a part")
            self.close_connection = True
        elif path.endswith("/socket"):
            self.websocket()
        else:
            self.reply(200, f"{self.command} {self.path}".encode(),
                       X_Back="yes", Keep_Alive="timeout=5")

    do_GET = do_POST = do_PUT = do_HEAD = do_DELETE = answer

    def websocket(self):
        """As far as an echo of small frames needs it."""
        key = self.headers["Sec-WebSocket-Key"]
        magic = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        accept = base64.b64encode(hashlib.sha1(key.encode() + magic).digest())
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        self.send_header("Sec-WebSocket-Accept", accept.decode())
        self.end_headers()
        self.close_connection = True
        while True:
            head = self.rfile.read(2)
            if len(head) < 2 or head[0] & 15 == 8:
                return
            mask = self.rfile.read(4)
            data = bytes(c ^ mask[i % 4] for i, c in
                         enumerate(self.rfile.read(head[1] & 127)))
            self.wfile.write(struct.pack("BB", head[0], len(data)) + data)
            self.wfile.flush()


def big():
    return (b"0123456789abcdef" * 64 * 1024)[:1 << 20] * (BIG >> 20)


@pytest.fixture
def backend():
    server = Backend()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def web(run):
    return run("web", "sleep", "1000").wait_running()


def serve(program, config):
    status, _, reply = ask(program, "POST", "serve-config", config)
    assert status == 200, reply


def handlers(port=80, **mounts):
    return {"TCP": {str(port): {"HTTP": True}},
            "Web": {f"{NAME}:{port}": {"Handlers": mounts}}}


def at(handler, mount="/", port=80):
    return handlers(port, **{mount: handler})


READ = {}  # of a node's output, by earlier programs on it


def output(program):
    before = READ.get(program.out_path, 0)
    READ[program.out_path] = len(program.out)
    return program.out[before:]


def curl(call, *args, code=0):
    program = call("laptop", "curl", "-sS", "--max-time", "20", *args,
                   key="key-bob")
    assert program.code == code, program.err
    return output(program)


def python(call, text):
    """A client in Python."""
    program = call("laptop", "python3", "-c",
                   "import socket,sys,hashlib\n" + text, key="key-bob")
    assert program.code == 0, program.err
    return output(program)


# Sends bytes, prints all that comes back.
RAW = """
s = socket.create_connection(("%s", 80), 10)
s.sendall(%r)
s.settimeout(10)
try:
    while data := s.recv(65536):
        sys.stdout.buffer.write(data)
except ConnectionResetError:
    print("reset")
"""


def raw(call, data):
    return python(call, RAW % (NAME, data))


# -- handlers -------------------------------------------------------------------


@needs("curl")
def test_texts_and_redirects(web, call):
    serve(web, handlers(**{
        "/": {"Text": "hello <all>"},
        "/old/": {"Redirect": "301:https://${HOST}${REQUEST_URI}&new"},
        "/none": {}}))
    out = curl(call, "-w", "|%{http_code}|%{content_type}\n", f"http://{NAME}/",
               f"http://{NAME}/x/y", f"http://web/", "--next", "-sS", "-o",
               "/dev/null", "-w", "%{http_code} %{redirect_url}\n",
               f"http://{NAME}/old/a?b", "--next", "-sS", "-w",
               "%{http_code}\n", f"http://{NAME}/none",
               f"http://{web.ip}/")
    text = "hello <all>|200|text/plain; charset=utf-8\n"
    assert out == (3 * text + f"301 https://{NAME}/old/a?b&new\n"
                   "500 Internal Server Error\n500\n"
                   "404 page not found\n404\n")


@needs("curl")
def test_a_proxy_says_who_is_calling(web, call, backend):
    serve(web, at({"Proxy": str(backend.port)}))
    out = curl(call, "-H", "Tailscale-User-Login: root@example.com",
               "-H", "X-Forwarded-For: 1.2.3.4", "-H", "X-Own: kept",
               "-H", "Tailscale-Funnel-Request: ?1", "-D", "-",
               f"http://{NAME}/a%20b?c=d")
    assert out.endswith("GET /a%20b?c=d")
    assert "X-Back: yes" in out and "Keep-Alive" not in out
    (method, path, fields, _, _), = backend.seen
    fields = {name.lower(): value for name, value in fields}
    caller = web.lab.node("laptop")["ips"][0]
    assert fields["host"] == NAME
    assert fields["x-own"] == "kept"
    assert fields["x-forwarded-for"] == caller
    assert fields["x-forwarded-host"] == NAME
    assert "x-forwarded-proto" not in fields
    assert fields["tailscale-user-login"] == "bob@example.com"
    assert fields["tailscale-headers-info"] == \
        "https://tailscale.com/s/serve-headers"
    assert "tailscale-funnel-request" not in fields
    who = web.cli("whois", caller).stdout
    assert "bob@example.com" in who


@needs("curl")
def test_a_handler_gets_the_capabilities_that_it_accepts(web, call, backend):
    everything = {"SrcIPs": ["*"], "DstPorts": [
        {"IP": "*", "Ports": {"First": 0, "Last": 65535}}]}
    grant = {"SrcIPs": ["*"], "CapGrant": [
        {"Dsts": ["0.0.0.0/0", "::/0"], "CapMap": {
            "example.com/cap/role": [{"role": "<admin>"}],
            "example.com/cap/other": [1]}}]}
    web.lab.command("filter " + json.dumps([everything, grant]))
    web.lab.command("authkey key-tagged,tag:client")
    serve(web, handlers(**{
        "/": {"Proxy": str(backend.port),
              "AcceptAppCaps": ["example.com/cap/role", "example.com/none"]},
        "/without": {"Proxy": str(backend.port)}}))
    curl(call, "-H", "Tailscale-App-Capabilities: {}", f"http://{NAME}/",
         f"http://{NAME}/without")
    name = "Tailscale-App-Capabilities"
    assert dict(backend.seen[0][2])[name] == \
        '{"example.com/cap/role":[{"role":"\\u003cadmin\\u003e"}]}'
    assert name not in dict(backend.seen[1][2])
    # a tagged node is nobody's
    client = call("robot", "curl", "-sS", f"http://{NAME}/", key="key-tagged")
    assert client.code == 0, client.err
    fields = dict(backend.seen[2][2])
    assert fields[name] and "Tailscale-User-Login" not in fields
    assert fields["X-Forwarded-For"] == web.lab.node("robot")["ips"][0]


@needs("curl")
def test_bodies_stream_both_ways(web, call, backend, tmp_path):
    serve(web, at({"Proxy": f"http://127.0.0.1:{backend.port}/api"}, "/m"))
    data = tmp_path / "data"
    data.write_bytes(big())
    want = hashlib.sha256(big()).hexdigest()
    out = curl(call, "-T", str(data), f"http://{NAME}/m/sum", "--next",
               "-sS", "-H", "Transfer-Encoding: chunked", "-T", str(data),
               f"http://{NAME}/m/sum", "--next", "-sS",
               f"http://{NAME}/m/chunks", f"http://{NAME}/m/end",
               f"http://{NAME}/m/")
    assert out == want + want + "one two threeuntil the endGET /api/"
    assert [s[1] for s in backend.seen] == [
        "/api/sum", "/api/sum", "/api/chunks", "/api/end", "/api/"]
    # one connection of the client's: one to the backend, until one ends
    ports = [s[4][1] for s in backend.seen]
    assert ports[0] == ports[1] == ports[2] == ports[3] != ports[4]
    out = python(call, f"""
import urllib.request
data = urllib.request.urlopen("http://{NAME}/m/big", timeout=60).read()
print(hashlib.sha256(data).hexdigest(), len(data))
""")
    assert out.split() == [want, str(BIG)]


def test_a_slow_reader_is_waited_for(web, call, backend):
    serve(web, at({"Proxy": str(backend.port)}))
    out = python(call, f"""
import time
s = socket.create_connection(("{NAME}", 80), 10)
s.sendall(b"GET /big HTTP/1.0\\r\\nHost: {NAME}\\r\\n\\r\\n")
time.sleep(0.5)
h, n, head = hashlib.sha256(), 0, b""
while data := s.recv(65536):
    if b"\\r\\n\\r\\n" not in head:
        head += data
        data = head.partition(b"\\r\\n\\r\\n")[2]
    h.update(data); n += len(data)
print(h.hexdigest(), n)
""")
    assert out.split() == [hashlib.sha256(big()).hexdigest(), str(BIG)]


def test_a_websocket_goes_through(web, call, backend):
    serve(web, at({"Proxy": f"localhost:{backend.port}"}, "/ws/"))
    out = python(call, f"""
s = socket.create_connection(("{NAME}", 80), 10)
s.sendall(b"GET /ws/socket HTTP/1.1\\r\\nHost: {NAME}\\r\\n"
          b"Upgrade: websocket\\r\\nConnection: keep-alive, Upgrade\\r\\n"
          b"Sec-WebSocket-Version: 13\\r\\n"
          b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\\r\\n\\r\\n")
f = s.makefile("rb")
head = []
while (line := f.readline()) not in (b"\\r\\n", b""):
    head.append(line.decode().strip())
print(head[0], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in " ".join(head))
for text in (b"one", b"two" * 30):
    s.sendall(bytes([0x81, 0x80 | len(text), 0, 0, 0, 0]) + text)
    n = f.read(2)[1]
    print(f.read(n) == text)
s.sendall(bytes([0x88, 0x80, 0, 0, 0, 0]))
print(f.read())
""")
    assert out == "HTTP/1.1 101 Switching Protocols True\nTrue\nTrue\nb''\n"


@needs("curl")
def test_a_backend_that_is_gone(web, call, backend):
    port = backend.port
    serve(web, handlers(**{"/": {"Proxy": "1"},
                           "/cut/": {"Proxy": f"http://127.0.0.1:{port}/cut"},
                           "/unix": {"Proxy": "unix:/no/such.sock"},
                           "/api": {"Proxy": f"unix:{web.localapi}"}}))
    out = curl(call, "-w", "%{http_code}\n", f"http://{NAME}/",
               f"http://{NAME}/unix", f"http://{NAME}/api/localapi/v0/status")
    assert out == 3 * "502 Bad Gateway\n502\n"
    # an answer that breaks off is not taken for whole
    client = call("laptop", "curl", "-sS", f"http://{NAME}/cut", key="key-bob")
    assert client.code in (18, 56), client.err


def test_a_backend_at_a_unix_socket(web, call, tmp_path):
    class Unix(http.server.HTTPServer):
        address_family = socket.AF_UNIX

        def server_bind(self):
            socket.socket.bind(self.socket, self.server_address)
            self.server_name, self.server_port = "x", 0

    class Quiet(Handler):
        def address_string(self):
            return "unix"
    path = str(tmp_path / "backend.sock")
    server = Unix(path, Quiet)
    server.seen = []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    serve(web, at({"Proxy": "unix:" + path}))
    out = raw(call, f"GET /x HTTP/1.0\r\nHost: {NAME}\r\n\r\n".encode())
    server.shutdown()
    server.server_close()
    assert out.endswith("\r\n\r\nGET /x"), out
    assert ("Host", "localhost") in server.seen[0][2]


@pytest.fixture
def https(backend, tmp_path):
    """backend, by TLS, with a certificate for localhost; its file."""
    cert, key = str(tmp_path / "cert.pem"), str(tmp_path / "key.pem")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                    "-subj", "/CN=localhost", "-addext",
                    "subjectAltName=DNS:localhost", "-keyout", key, "-out",
                    cert], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    backend.socket = context.wrap_socket(backend.socket, server_side=True)
    return cert


@needs("curl", "openssl")
def test_backends_by_https(run, call, backend, https, tmp_path):
    web = run("web", "sleep", "1000",
              env={"SSL_CERT_FILE": https}).wait_running()
    port = backend.port
    serve(web, handlers(**{
        "/": {"Proxy": f"https://localhost:{port}"},
        "/insecure": {"Proxy": f"https+insecure://127.0.0.1:{port}"},
        "/other": {"Proxy": f"https://127.0.0.1:{port}"}}))
    data = tmp_path / "data"
    data.write_bytes(big())
    base = f"http://{NAME}"
    out = curl(call, f"{base}/a", f"{base}/insecure/b", "--next", "-sS", "-T",
               str(data), f"{base}/sum", "--next", "-sS", "-w",
               "%{http_code}", f"{base}/other/c")
    assert out == ("GET /aGET /b" + hashlib.sha256(big()).hexdigest() +
                   "502 Bad Gateway\n502")
    assert [s[1] for s in backend.seen] == ["/a", "/b", "/sum"]
    assert "serve: backend 127.0.0.1: TLS: IP address mismatch" in web.log
    out = python(call, f"""
import urllib.request
data = urllib.request.urlopen("{base}/big", timeout=60).read()
print(hashlib.sha256(data).hexdigest())
""")
    assert out.strip() == hashlib.sha256(big()).hexdigest()


# -- files -----------------------------------------------------------------------


@needs("curl")
def test_files_and_directories(web, call, tmp_path):
    site = tmp_path / "site"
    (site / "sub dir").mkdir(parents=True)
    (site / "sub dir" / "<b>.bin").write_bytes(bytes(range(256)))
    (site / "page").mkdir()
    (site / "page" / "index.html").write_text("<p>index</p>")
    (site / "a.txt").write_text("0123456789")
    os.mkfifo(site / "pipe")
    (site / "zeros").write_bytes(b"a\0b")
    (tmp_path / "secret").write_text("secret")
    serve(web, handlers(**{"/f/": {"Path": str(site)},
                           "/one": {"Path": str(site / "a.txt")}}))
    code = "\n%{http_code} %{content_type} %{redirect_url}\n"
    base = f"http://{NAME}"
    out = curl(call, "-w", code, f"{base}/f/a.txt", f"{base}/f/page/",
               f"{base}/f/page", f"{base}/f/page/index.html", f"{base}/f",
               f"{base}/one", f"{base}/one/x", f"{base}/f/none",
               f"{base}/f/pipe", "--path-as-is", f"{base}/f/../secret",
               f"{base}/f/%2e%2e/secret", f"{base}/f/..%2f..%2fsecret",
               f"{base}/f/zeros")
    text = "text/plain; charset=utf-8"
    parts = [line for line in out.split("\n") if line]
    assert parts[:3] == ["0123456789", f"200 {text} ", "<p>index</p>"]
    assert f"301 text/html; charset=utf-8 {base}/f/page/" in parts
    assert f"301 text/html; charset=utf-8 {base}/f/" in parts
    assert parts.count("0123456789") == 2
    assert "200 application/octet-stream " in parts
    assert parts.count("404 page not found") == 5 and "secret" not in parts
    assert parts.count("500 Internal Server Error") == 1  # the pipe
    out = curl(call, f"{base}/f/", f"{base}/f/sub%20dir/")
    assert '<a href="sub%20dir/">sub dir/</a>' in out
    assert '<a href="%3Cb%3E.bin">&lt;b&gt;.bin</a>' in out


@needs("curl")
def test_parts_of_files(web, call, tmp_path):
    (tmp_path / "big").write_bytes(big())
    serve(web, at({"Path": str(tmp_path)}))
    base = f"http://{NAME}/big"
    out = curl(call, "-r", "10-15", base, "--next", "-sS", "-r", "-4", base,
               "--next", "-sS", "-w", "%{http_code}", "-r", f"{BIG}-", base,
               "--next", "-sS", "-I", base)
    assert out.startswith("abcdefcdefinvalid range: failed to overlap\n416")
    assert f"Content-Length: {BIG}" in out and "Accept-Ranges: bytes" in out
    modified = [line for line in out.splitlines()
                if line.startswith("Last-Modified: ")][0][15:]
    out = curl(call, "-w", "%{http_code}", "-H",
               f"If-Modified-Since: {modified}", base)
    assert out == "304"
    out = python(call, f"""
import urllib.request
data = urllib.request.urlopen("{base}", timeout=60).read()
print(hashlib.sha256(data).hexdigest())
""")
    assert out.strip() == hashlib.sha256(big()).hexdigest()


# -- TCP -------------------------------------------------------------------------


class Once:
    """Takes one connection: what it got, once the other side has ended."""

    def __init__(self, reply=b"", family=socket.AF_INET, path=None):
        self.listener = socket.socket(family)
        self.listener.bind(path or ("127.0.0.1", 0))
        self.listener.listen()
        self.got, self.reply = b"", reply
        self.port = None if path else self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self.work, daemon=True)
        self.thread.start()

    def work(self):
        conn, _ = self.listener.accept()
        conn.sendall(self.reply)
        while data := conn.recv(65536):
            self.got += data
        conn.close()

    def all(self):
        self.thread.join(20)
        self.listener.close()
        return self.got


SEND = """
s = socket.create_connection(("%s", 90), 10)
s.sendall(b"from the client")
s.shutdown(socket.SHUT_WR)
print(s.recv(100).decode(), s.getsockname()[1])
"""


@pytest.mark.parametrize("version", [0, 1, 2])
def test_a_port_is_passed_on(web, call, version):
    once = Once(b"from behind")
    serve(web, {"TCP": {"90": {"TCPForward": f"127.0.0.1:{once.port}",
                               "ProxyProtocol": version}}})
    said, port = python(call, SEND % NAME).rsplit(" ", 1)
    caller = web.lab.node("laptop")["ips"][0]
    head = {0: b"",
            1: f"PROXY TCP4 {caller} {web.ip} {port.strip()} {once.port}\r\n"
               .encode(),
            2: b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c" +
               socket.inet_aton(caller) + socket.inet_aton(web.ip) +
               struct.pack(">HH", int(port), once.port)}[version]
    assert said == "from behind"
    assert once.all() == head + b"from the client"


def test_a_port_is_passed_on_to_a_unix_socket(web, call, tmp_path):
    once = Once(b"from behind", socket.AF_UNIX, str(tmp_path / "s"))
    serve(web, {"TCP": {"90": {"TCPForward": f"unix:{tmp_path}/s"}}})
    assert python(call, SEND % NAME).startswith("from behind ")
    assert once.all() == b"from the client"


def test_nobody_behind_a_port_is_a_refusal(web, call):
    serve(web, {"TCP": {"90": {"TCPForward": "127.0.0.1:1"}}})
    out = python(call, f"""
for port in (90, 91):
    print(socket.socket().connect_ex(("{NAME}", port)))
""")
    assert out == "111\n111\n"


# -- services --------------------------------------------------------------------

VIP = "100.100.7.7"


@needs("curl", "ping")
def test_a_service_has_an_address_of_its_own(lab, run, call):
    lab.command("authkey key-host,tag:host")
    web = run("web", "sleep", "1000", key="key-host").wait_running()
    lab.command(f'cap web service-host [{{"svc:shop":["{VIP}"],'
                '"svc:other":["100.100.7.8"]}]')
    lab.command(f"routes web {VIP}/32 100.100.7.8/32")
    once = Once(b"by the service")
    serve(web, {"Services": {"svc:shop": {
        "TCP": {"80": {"HTTP": True},
                "90": {"TCPForward": f"127.0.0.1:{once.port}",
                       "ProxyProtocol": 1}},
        "Web": {"shop.lab.ts.net:80": {"Handlers": {"/": {"Text": "shop"}}}}}}})
    patch(web, AdvertiseServices=["svc:shop"])
    assert curl(call, f"http://{VIP}/", f"http://{VIP}/x") == "shopshop"
    out = python(call, f"""
for ip, port in (("{VIP}", 81), ("{web.ip}", 80)):
    print(socket.socket().connect_ex((ip, port)))
s = socket.create_connection(("{VIP}", 90), 10)
s.shutdown(socket.SHUT_WR)
print(s.recv(100).decode())
s = socket.socket()
s.settimeout(1)
print(s.connect_ex(("100.100.7.8", 80)) != 0)
""")
    assert out == "111\n111\nby the service\nTrue\n"
    caller = lab.node("laptop")["ips"][0]
    assert once.all().startswith(f"PROXY TCP4 {caller} {web.ip} ".encode())
    pong = call("laptop", "ping", "-c", "1", "-W", "10", VIP, key="key-bob")
    assert pong.code == 0 and f"from {VIP}" in pong.out, pong.out + pong.err
    # the server hears of it, and asks
    body = json.loads(c2n(lab, "web", "GET", "/vip-services")[1])
    assert body["VIPServices"] == [{"Name": "svc:shop", "Active": True,
                                    "Ports": ["tcp:80", "tcp:90"]}]
    hostinfo = lab.node("web")["hostinfo"]
    assert hostinfo["ServicesHash"] == body["ServicesHash"]
    # no service any more, no address any more
    serve(web, {})
    patch(web, AdvertiseServices=[])
    wait_until(lambda: "ServicesHash" not in lab.node("web")["hostinfo"],
               "the server to hear of it")
    client = call("laptop", "curl", "-sS", "--max-time", "2",
                  f"http://{VIP}/", key="key-bob")
    assert client.code in (7, 28), client.err


# -- programs of the node itself ---------------------------------------------------


@needs("curl", "nc")
def test_a_program_calls_its_own_node(run, backend, tmp_path):
    """It sees what a peer would see, and is told apart by its address."""
    once = Once(b"from behind")
    (tmp_path / "data").write_bytes(big())
    web = run("web", "sh", "-c", f"""
until [ -e go ]; do sleep 0.05; done
curl -sS http://{NAME}/a http://{NAME}/text http://{NAME}:81/
curl -sS -T {tmp_path}/data http://{NAME}/sum
curl -sS http://{NAME}/files/data | sha256sum
echo from the client | nc -N {NAME} 90""").wait_running()
    serve(web, handlers(**{"/": {"Proxy": str(backend.port)},
                           "/text": {"Text": " text "},
                           "/files/": {"Path": str(tmp_path)}}))
    config = ask(web, "GET", "serve-config")[2]
    config["TCP"]["90"] = {"TCPForward": f"127.0.0.1:{once.port}"}
    serve(web, config)
    open(os.path.join(web.dir, "go"), "w", encoding="ascii").close()
    assert web.wait() == 0, web.err
    want = hashlib.sha256(big()).hexdigest()
    assert web.out == (f"GET /a text {want}{want}  -\nfrom behind"), web.err
    assert once.all() == b"from the client\n"
    assert "Connection refused" in web.err or "connect to" in web.err  # 81
    fields = dict(backend.seen[0][2])
    assert fields["X-Forwarded-For"] == web.lab.node("web")["ips"][0]
    assert fields["Tailscale-User-Login"] == "alice@example.com"


# -- hostile clients --------------------------------------------------------------


def test_requests_that_could_be_two_are_refused(web, call, backend):
    serve(web, at({"Proxy": str(backend.port)}))
    head = f"POST /echo HTTP/1.1\r\nHost: {NAME}\r\n".encode()
    chunked = b"Transfer-Encoding: chunked\r\n"
    hostile = [
        head + chunked + b"Content-Length: 4\r\n\r\n0\r\n\r\n",
        head + b"Content-Length: 0\r\nContent-Length: 4\r\n\r\nGET ",
        head + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        head + b"X: a\r\n folded\r\n\r\n",
        head + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
        head + b"X: a\nTransfer-Encoding: chunked\r\n\r\n",
        f"GET / HTTP/1.1\r\nHost: {NAME}\r\nHost: x\r\n\r\n".encode(),
        b"GET / HTTP/1.1\r\n\r\n",
        f"GET http:/// HTTP/1.1\r\nHost: {NAME}\r\n\r\n".encode(),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        head + b"X: " + b"a" * 20000 + b"\r\n\r\n",
        head + b"a: b\r\n" * 100 + b"\r\n",
        f"GET / HTTP/2.0\r\nHost: {NAME}\r\n\r\n".encode(),
    ]
    text = "name = %r\nfor data in %r:" % (NAME, hostile) + """
    s = socket.create_connection((name, 80), 10)
    s.sendall(data)
    got = b""
    while more := s.recv(65536):
        got += more
    print(got.split(b" ")[1].decode(), got.count(b"HTTP/1.1"))
"""
    out = python(call, text).split("\n")
    assert out[:13] == ["400 1", "400 1", "501 1", "400 1", "400 1", "400 1",
                        "400 1", "400 1", "400 1", "400 1", "431 1", "431 1",
                        "400 1"]
    assert backend.seen == []
    # chunks that are none end the connection, and nothing is made of the rest
    out = raw(call, head + chunked + b"\r\n5\r\nhello\r\nZ\r\n\r\n" +
              f"GET /evil HTTP/1.1\r\nHost: {NAME}\r\n\r\n".encode())
    assert out == "reset\n" and "/evil" not in str(backend.seen)


def test_pipelined_requests_are_answered_in_order(web, call, backend):
    serve(web, handlers(**{"/": {"Proxy": str(backend.port)},
                           "/t": {"Text": "text"}}))
    get = f"GET %s HTTP/1.1\r\nHost: {NAME}\r\n%s\r\n"
    out = raw(call, (get % ("/1", "") + get % ("/t", "") +
                     get % ("/2", "Content-Length: 3\r\n") + "abc" +
                     get % ("/t", "Content-Length: 3\r\n") + "abc" +
                     get % ("/3", "Connection: close\r\n")).encode())
    bodies = [part.partition("\r\n\r\n")[2] for part in
              out.split("HTTP/1.1 200 OK\r\n")[1:]]
    assert bodies == ["GET /1", "text", "GET /2", "text", "GET /3"]


def test_one_peer_has_not_all_connections(web, call):
    """What is more than its share is refused, and what it has goes on."""
    serve(web, at({"Text": "hello"}))
    out = python(call, f"""
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, (2048, 2048))
conns, refused = [], 0
for i in range(530):
    try:
        conns.append(socket.create_connection(("{web.ip}", 80), 20))
    except ConnectionRefusedError:
        refused += 1
print(len(conns), refused)
for s in conns[0], conns[-1]:
    s.sendall(b"GET / HTTP/1.0\\r\\nHost: {NAME}\\r\\n\\r\\n")
    print(b"hello" in s.makefile("rb").read())
conns[0].close()
""")
    count, refused = out.split()[:2]
    assert int(count) + int(refused) == 530 and 256 <= int(count) <= 512
    assert out.split()[2:] == ["True", "True"]


def test_hosts_that_are_not_ours(web, call):
    serve(web, at({"Text": "ours"}))
    for host, status in ((NAME, "200"), ("WEB", "200"), ("other", "404"),
                         ("evil.example.com", "404"), ("", "404")):
        out = raw(call, f"GET / HTTP/1.0\r\nHost: {host}\r\n\r\n".encode())
        assert out.split(" ")[1] == status, host
    assert "501" in raw(call, f"CONNECT x:1 HTTP/1.1\r\nHost: {NAME}\r\n"
                              "Transfer-Encoding: x\r\n\r\n".encode())
    for target in ("*", "x:1"):
        method = "OPTIONS" if target == "*" else "CONNECT"
        out = raw(call, f"{method} {target} HTTP/1.0\r\nHost: {NAME}\r\n\r\n"
                  .encode())
        assert out.split(" ")[1] == "404"


# -- the configuration ---------------------------------------------------------------


@needs("curl")
def test_it_is_kept_and_a_foreground_is_not(run, call):
    first = run("web", "sleep", "1000").wait_running()
    serve(first, at({"Text": "kept"}))
    with contextlib.closing(Watch(first, 2)) as watch:
        session = wait_until(lambda: watch.news, "news")[0]["SessionID"]
        _, headers, config = ask(first, "GET", "serve-config")
        config["Foreground"] = {session: at({"Text": "short"}, port=81)}
        status, _, reply = ask(first, "POST", "serve-config", config,
                               {"If-Match": headers["Etag"]})
        assert status == 200, reply
        status, _, _ = ask(first, "POST", "serve-config", config,
                           {"If-Match": headers["Etag"]})
        assert status == 412
        out = curl(call, f"http://{NAME}/", f"http://{NAME}:81/")
        assert out == "keptshort"
    wait_until(lambda: "Foreground" not in ask(first, "GET",
                                               "serve-config")[2],
               "the foreground to end")
    first.stop()
    again = run("web", "sleep", "1000").wait_running()
    assert ask(again, "GET", "serve-config")[2] == at({"Text": "kept"})
    assert curl(call, f"http://{NAME}/") == "kept"


@needs("curl")
def test_it_belongs_to_a_profile(web, call):
    serve(web, at({"Text": "first"}))
    _, _, profile = ask(web, "GET", "profiles/current")
    assert ask(web, "PUT", "profiles/")[0] == 201
    wait_until(lambda: ask(web, "GET", "serve-config")[2] is None,
               "another profile")
    assert ask(web, "POST", f"profiles/{profile['ID']}")[0] == 204
    web.wait_running()
    wait_until(lambda: ask(web, "GET", "serve-config")[2] ==
               at({"Text": "first"}), "the first profile")
    assert curl(call, f"http://{NAME}/") == "first"


@needs("curl")
def test_it_comes_before_a_program_that_listens(run, call):
    web = run("web", "python3", "-u", "-m", "http.server", "80", "--bind",
              "0.0.0.0", options=("--listen", "tailnet")).wait_running()
    wait_until(lambda: "is served at" in web.log, "the program to listen")
    assert "Directory listing" in curl(call, f"http://{NAME}/")
    serve(web, at({"Text": "by the node"}))
    assert curl(call, f"http://{NAME}/") == "by the node"
    serve(web, {})
    assert "Directory listing" in curl(call, f"http://{NAME}/")
