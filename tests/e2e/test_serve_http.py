"""What a node's own web server makes of HTTP/1.1 beside the plain case."""
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
