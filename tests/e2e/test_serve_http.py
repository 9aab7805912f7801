"""What a node's own web server makes of HTTP/1.1 beside the plain case."""
import threading
import wsgiref.simple_server

import pytest

from harness import needs
from test_serve import NAME, at, curl, serve
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
