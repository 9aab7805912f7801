"""What a node's own web server makes of HTTP/1.1 beside the plain case."""
import ast
import os
import socket
import threading
import wsgiref.simple_server

import pytest

from harness import needs
from test_serve import NAME, at, curl, python, serve
from test_serve import web  # noqa: F401 (a fixture)


class Quiet(wsgiref.simple_server.WSGIRequestHandler):
    def log_message(self, *args):
        pass


@pytest.fixture
def wsgi():
    """A program behind WSGI, which sees fields as variables."""
    seen = []

    def program(environ, start_response):
        seen.append(environ)
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [environ.get("HTTP_TAILSCALE_USER_LOGIN", "nobody").encode()]

    server = wsgiref.simple_server.make_server(
        "127.0.0.1", 0, program, handler_class=Quiet)
    server.seen = seen
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


class Tired:
    """A backend that answers once a connection: with the second request it
    closes, as one does whose patience with a client has just ended."""

    def __init__(self):
        self.server = socket.create_server(("127.0.0.1", 0))
        self.port = self.server.getsockname()[1]
        self.heard = []
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            try:
                conn, _ = self.server.accept()
            except OSError:
                return
            threading.Thread(target=self.talk, args=(conn,),
                             daemon=True).start()

    def talk(self, conn):
        with conn, conn.makefile("rb") as f:
            self.read(f)
            conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            self.read(f)

    def read(self, f):
        line, length = f.readline(), 0
        while (field := f.readline()) not in (b"\r\n", b""):
            name, _, value = field.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        f.read(length)
        if line:
            self.heard.append(line.split()[0].decode())


@pytest.fixture
def tired():
    backend = Tired()
    yield backend
    backend.server.close()


OK = b"HTTP/1.1 200 OK\r\n"
ANSWERS = {
    "/hints": b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + OK +
              b"Content-Length: 2\r\n\r\nok",
    "/both": OK + b"Content-Length: 99\r\nTransfer-Encoding: chunked\r\n\r\n"
             b"2\r\nok\r\n0\r\n\r\n",
    "/lines": b"HTTP/1.1 200 OK\nX-Own: a\nContent-Length: 2\n\nok",
    # what could be read in two ways
    "/cr": OK + b"X: a\rSet-Cookie: b\r\nContent-Length: 2\r\n\r\nok",
    "/fold": OK + b"X: a\r\n Set-Cookie: b\r\nContent-Length: 2\r\n\r\nok",
    "/space": OK + b"Content-Length : 2\r\n\r\nok",
    "/two": OK + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nokk",
    "/old": b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"2\r\nok\r\n0\r\n\r\n",
    "/coding": OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "/long": OK + b"X: " + 20000 * b"a" + b"\r\n\r\n",
    "/chunks": OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n"
               b"1 1\r\nx\r\n0\r\n\r\n",
    "/early": b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n"
              b"\r\nbig",
}


class Scripted(Tired):
    """A backend that says what it is told, as soon as it has read a head, and
    reads nothing of a body."""

    def talk(self, conn):
        with conn, conn.makefile("rb") as f:
            path = f.readline().split()[1].decode()
            while f.readline() not in (b"\r\n", b""):
                pass
            self.heard.append(path)
            conn.sendall(ANSWERS[path])
            self.is_over.wait(30)


@pytest.fixture
def scripted():
    backend = Scripted()
    backend.is_over = threading.Event()
    yield backend
    backend.is_over.set()
    backend.server.close()


# -- proxies --------------------------------------------------------------------


@needs("curl")
def test_nobody_is_another_by_an_underscore(web, call, wsgi):  # noqa: F811
    serve(web, at({"Proxy": str(wsgi.server_port)}))
    forged = ("Tailscale_User_Login: root@example.com",
              "Tailscale-User_Login: root@example.com",
              "Tailscale_App_Capabilities: {}", "X_Forwarded_For: 9.9.9.9",
              "X_Forwarded_Proto: https", "Tailscale_Funnel_Request: ?1")
    out = curl(call, *(a for f in forged for a in ("-H", f)),
               "-H", "X_Own: kept", f"http://{NAME}/")
    assert out == "bob@example.com"
    environ, = wsgi.seen
    assert environ["HTTP_X_FORWARDED_FOR"] == \
        web.lab.node("laptop")["ips"][0]
    assert environ["HTTP_X_OWN"] == "kept"
    for name in ("HTTP_TAILSCALE_APP_CAPABILITIES", "HTTP_X_FORWARDED_PROTO",
                 "HTTP_TAILSCALE_FUNNEL_REQUEST"):
        assert name not in environ


def test_what_may_have_been_heard_is_not_said_twice(  # noqa: F811
        web, call, tired):
    """A backend's connection ends when it is used again."""
    serve(web, at({"Proxy": str(tired.port)}))
    out = python(call, f"""
import http.client, time
def ask(*requests):
    c = http.client.HTTPConnection("{NAME}", timeout=20)
    for method, body, fields, wait in requests:
        time.sleep(wait)
        c.request(method, "/", body, fields)
        r = c.getresponse()
        r.read()
        print(method, r.status)
    c.close()
get = "GET", None, {{}}, 0
ask(get, get)
ask(get, ("DELETE", None, {{}}, 0))
ask(get, ("POST", b"x", {{}}, 0))
ask(get, ("POST", None, {{"Idempotency-Key": "1"}}, 0))
ask(get, ("POST", b"late", {{}}, 2))
""")
    assert out.split("\n")[1::2] == ["GET 200", "DELETE 502", "POST 502",
                                     "POST 200", "POST 200"]
    assert tired.heard == ["GET", "GET", "GET", "GET", "DELETE", "GET",
                           "POST", "GET", "POST", "POST", "GET", "POST"]


def test_what_backends_may_say(web, call, scripted):  # noqa: F811
    serve(web, at({"Proxy": str(scripted.port)}))
    get = "GET %s HTTP/1.1\r\nHost: " + NAME + "\r\nConnection: close\r\n\r\n"
    paths = [p for p in ANSWERS if p != "/early"]
    out = python(call, f"""
for path in {paths}:
    s = socket.create_connection(("{NAME}", 80), 20)
    s.sendall(({get!r} % path).encode())
    got = b""
    try:
        while data := s.recv(65536):
            got += data
    except ConnectionResetError:
        got += b" reset"
    print(got)
""")
    got = dict(zip(paths, map(ast.literal_eval, out.splitlines())))
    assert got["/hints"].startswith(b"HTTP/1.1 103 Early Hints\r\nLink: </a>"
                                    b"\r\n\r\nHTTP/1.1 200 OK\r\n")
    assert b"Content-Length" not in got["/both"]
    assert got["/both"].endswith(b"\r\n\r\n2\r\nok\r\n0\r\n\r\n")
    assert b"\r\nX-Own: a\r\n" in got["/lines"]
    assert got["/lines"].endswith(b"\r\n\r\nok")
    for path in ("/cr", "/fold", "/space", "/two", "/old", "/coding",
                 "/long"):
        assert got[path].startswith(b"HTTP/1.1 502 Bad Gateway\r\n"), path
        assert b"Set-Cookie" not in got[path]
    # its end is missing: the client cannot take it for the whole
    assert b"0\r\n\r\n" not in got["/chunks"] and got["/chunks"][-5:] == b"reset"


@needs("curl")
def test_an_answer_before_the_body_is_there(  # noqa: F811
        web, call, scripted, tmp_path):
    data = tmp_path / "data"
    data.write_bytes(bytes(8 << 20))
    serve(web, at({"Proxy": str(scripted.port)}))
    for fields in ("Expect:", "Expect: 100-continue"):
        out = curl(call, "-H", fields, "-T", str(data), "-w",
                   " %{http_code}", f"http://{NAME}/early")
        assert out == "big 413"
    assert scripted.heard == ["/early", "/early"]


# -- files ----------------------------------------------------------------------


ASK = """
import email, http.client, json
c = http.client.HTTPConnection("%s", timeout=20)
def ask(method="GET", **fields):
    c.request(method, "/f.bin", headers={
        k.replace("_", "-"): v for k, v in fields.items()})
    r = c.getresponse()
    return r, r.read()
"""


def client(call, text):
    return python(call, ASK % NAME + text)


@pytest.fixture
def files(web, tmp_path):  # noqa: F811
    root = tmp_path / "root"
    root.mkdir()
    (root / "f.bin").write_bytes(bytes(range(256)) * 1024)
    (root / "empty.txt").write_bytes(b"")
    os.utime(root / "f.bin", (784111777, 784111777))
    serve(web, at({"Path": str(root)}))
    return root


def test_several_parts_of_a_file(files, call):
    out = client(call, """
want = bytes(range(256)) * 1024
r, data = ask(Range="bytes=0-9, 1000-70999,-3")
assert r.status == 206 and int(r.getheader("Content-Length")) == len(data)
kind = r.getheader("Content-Type")
assert kind.startswith("multipart/byteranges; boundary=")
message = email.message_from_bytes(
    b"Content-Type: " + kind.encode() + b"\\r\\n\\r\\n" + data)
mark = b"--" + kind.split("=")[1].encode()
bodies = [p.split(b"\\r\\n\\r\\n", 1)[1][:-2] for p in
          data.split(mark)[1:-1]]
assert bodies == [want[:10], want[1000:71000], want[-3:]]
assert [p["Content-Range"] for p in message.get_payload()] == [
    "bytes 0-9/262144", "bytes 1000-70999/262144",
    "bytes 262141-262143/262144"]
assert [p["Content-Type"] for p in message.get_payload()] == \\
    3 * ["application/octet-stream"]
head, none = ask("HEAD", Range="bytes=0-9,20-29")
assert head.status == 206 and none == b""
whole, data = ask(Range="bytes=0-,0-")
assert whole.status == 200 and data == want
one, data = ask(Range="bytes=5-6,999999-")
assert one.status == 206 and data == want[5:7]
assert one.getheader("Content-Range") == "bytes 5-6/262144"
c.request("GET", "/empty.txt", headers={"Range": "bytes=0-9"})
r = c.getresponse()
print(r.status, r.read())
""")
    assert out == "200 b''\n"


def test_what_has_not_changed_is_not_sent(files, call):
    out = client(call, """
THEN = "Sun, 06 Nov 1994 08:49:37 GMT"
for fields in ({}, {"If_Modified_Since": THEN},
               {"If_Modified_Since": "Mon, 07 Nov 1994 00:00:00 GMT"},
               {"If_Modified_Since": "Sun, 06 Nov 1994 08:49:36 GMT"},
               {"If_None_Match": "*"}, {"If_Match": '"x"'},
               {"If_Unmodified_Since": "Sun, 06 Nov 1994 08:49:36 GMT"},
               {"Range": "bytes=0-4", "If_Range": THEN},
               {"Range": "bytes=0-4", "If_Range": '"x"'}):
    for method in "GET", "HEAD":
        r, data = ask(method, **fields)
        assert r.getheader("Date").endswith(" GMT")
        if r.status in (200, 206, 304):
            assert r.getheader("Last-Modified") == THEN
        print(r.status, len(data), end=" ")
""")
    assert out.split() == [
        "200", "262144", "200", "0", "304", "0", "304", "0", "304", "0",
        "304", "0", "200", "262144", "200", "0", "304", "0", "304", "0",
        "412", "0", "412", "0", "412", "0", "412", "0",
        "206", "5", "206", "0", "200", "262144", "200", "0"]


def test_a_refused_part_leaves_nothing_open(files, call):
    out = client(call, f"""
import os
def open_files():
    count = 0
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            count += sum(os.readlink(f"/proc/{{pid}}/fd/{{fd}}") ==
                         "{files / 'f.bin'}"
                         for fd in os.listdir(f"/proc/{{pid}}/fd"))
        except OSError:
            continue
    return count
c.request("GET", "/f.bin") # sent as far as there is room for it
with c.getresponse() as r:
    print(open_files(), len(r.read()))
for i in range(30):
    r, data = ask(Range="bytes=999999-")
    assert r.status == 416 and b"failed to overlap" in data
    assert r.getheader("Content-Range") == "bytes */262144"
    assert ask(If_Match='"x"')[0].status == 412
print(open_files())
""")
    assert out.split()[1:] == ["262144", "0"]
