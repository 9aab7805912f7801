"""What a node of ours serves, configured by the stock CLI and called by a real
peer; and that the configuration's text is upstream's, byte for byte."""
import http.client
import http.server
import json
import socket
import subprocess
import threading

import pytest

from conftest import PEER_ENV, tailscale, wait_path
from test_peers import page, tailscaled, web

__all__ = ["page", "tailscaled", "web"]  # fixtures
CONFIGS = [
    {},
    {"TCP": {"443": {"HTTPS": True}, "80": {"HTTP": True},
             "22": {"TCPForward": "localhost:22", "ProxyProtocol": 2}},
     "Web": {"a.b:80": {"Handlers": {
         "/z": {"Text": "<&> \u2028 \u00e9 \"\\\t\u0001"},
         "/": {"Proxy": "http://127.0.0.1:3000"},
         "/r": {"Redirect": "301:https://${HOST}"},
         "/p": {"Path": "/tmp", "AcceptAppCaps": ["x/y"]}}}},
     "AllowFunnel": {"a.b:443": False}},
    {"Services": {"svc:x": {"TCP": {"80": {"HTTP": True}}, "Web": {
        "x.b:80": {"Handlers": {"/": {"Text": "x"}}}}}}},
]


class Backend(http.server.BaseHTTPRequestHandler):
    seen = []

    def do_GET(self):  # pylint: disable=invalid-name
        self.seen.append(dict(self.headers))
        self.send_response(200)
        self.send_header("Content-Length", "5")
        self.end_headers()
        self.wfile.write(b"hello")

    def log_message(self, *args):
        pass


@pytest.fixture
def port():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Backend)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port
    server.shutdown()
    server.server_close()


def ask(path, method, body=None):
    """(ETag, text) of the serve configuration."""
    conn = http.client.HTTPConnection("local-tailscaled.sock", timeout=30)
    conn.sock = socket.socket(socket.AF_UNIX)
    conn.sock.connect(str(path))
    conn.request(method, "/localapi/v0/serve-config", body)
    reply = conn.getresponse()
    text = reply.read().decode()
    conn.close()
    assert reply.status == 200, text
    return reply.headers["Etag"], text


def test_the_configurations_text(web, tailscaled):
    """serve-config of ours and of tailscaled: the same text, the same ETag"""
    for config in CONFIGS:
        for sock in (web.localapi, tailscaled.socket):
            ask(sock, "POST", "{}")
            ask(sock, "POST", json.dumps(config))
        assert ask(web.localapi, "GET") == ask(tailscaled.socket, "GET")
    for sock in (web.localapi, tailscaled.socket):
        ask(sock, "POST", "{}")


def test_tailscaled_to_what_we_serve(web, tailscaled, port, path):
    """through tailscaled -> a proxy that `tailscale serve` set up on ours"""
    result = tailscale(web.localapi, "serve", "--bg", "--http=8088", str(port))
    assert result.returncode == 0, result.stderr
    wait_path(web, tailscaled.ip, path)
    name = web.status()["Self"]["DNSName"].rstrip(".")
    result = subprocess.run(
        ["curl", "-sS", "--max-time", "30", "-x",
         f"socks5h://127.0.0.1:{tailscaled.socks}", f"http://{name}:8088/"],
        capture_output=True, text=True, env=PEER_ENV, timeout=60)
    assert result.stdout == "hello", result.stderr + web.log[-2000:]
    fields = Backend.seen[-1]
    assert fields["X-Forwarded-For"] == tailscaled.ip
    assert fields["Host"] == f"{name}:8088"
    assert fields["Tailscale-User-Login"]
    assert tailscale(web.localapi, "serve", "reset").returncode == 0
