"""Certificates by tls-alpn-01: the CA comes by Funnel and looks."""
import base64
import time

import pytest

from harness import needs, wait_until
from test_cert_refresh import count, https, metric
from test_certs import get_cert
from test_serve import NAME, output, serve
from test_serve_tls import VISIT, acme, ingress, peerapi_of, visit, web

__all__ = ["acme", "ingress", "web"]  # fixtures
pytestmark = needs("openssl")

LOOK = """
import base64, ssl
s, head = ask({"Tailscale-Ingress-Src": "203.0.113.1:4444",
               "Tailscale-Ingress-Target": "%(name)s:443"})
context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
context.check_hostname = False
context.verify_mode = ssl.CERT_NONE
context.set_alpn_protocols(["acme-tls/1"])
try:
    s = context.wrap_socket(s, server_hostname="%(name)s")
    print(s.selected_alpn_protocol(),
          base64.b64encode(s.getpeercert(True)).decode(), s.recv(100))
except OSError as e:
    print("-", "", e)
"""


def peerapi_port(program):
    """Once the control server knows it."""
    wait_until(lambda: program.lab.node("web")["hostinfo"].get(
        "IngressEnabled"), "Funnel")
    return peerapi_of(program)


@pytest.fixture
def look(call, acme):
    """Looks at a name as the CA does; running is the program that has it."""
    def go(name):
        program = go.program
        client = call("ingress", "python3", "-c", "import socket\n" + VISIT % {
            "ip": program.ip, "port": peerapi_port(program), "ca": acme.ca} +
            LOOK % {"name": name}, key="key-bob")
        protocol, cert, go.rest = output(client).split(" ", 2)
        return protocol, base64.b64decode(cert)
    return go


def funnel(name):
    config = https(name)
    config["AllowFunnel"] = {f"{name}:443": True}
    return config


def start_again(web, acme, run):
    """With a certificate that is due."""
    serve(web, funnel(NAME))
    assert get_cert(web)[0] == 200
    assert count(acme, "look") == 0  # the first is by dns-01
    web.stop()
    acme.window = (time.time() - 7200, time.time() - 3600)
    return run("web", "sleep", "1000", env=acme.env, key=None)


def test_a_renewal_behind_funnel(ingress, acme, look, run):
    acme.look = look
    look.program = again = start_again(ingress, acme, run)
    records = len(again.lab.command("txt-records")["records"])
    wait_until(lambda: count(acme) == 2, "the renewal")
    assert count(acme, "look") == 1
    assert look.rest == "b''\n"  # the end, at once
    assert len(again.lab.command("txt-records")["records"]) == records
    wait_until(lambda: metric(again, "cert_acme_tls_alpn01_success") == 1,
               "the count")
    assert metric(again, "cert_acme_dns01_start") == 0
    # Who asks when nobody is expected is turned away.
    assert look(NAME)[0] == "-"


def test_what_fails_so_is_tried_by_the_dns(ingress, acme, run):
    acme.look = lambda name: ("http/1.1", b"")
    again = start_again(ingress, acme, run)
    wait_until(lambda: count(acme) == 2, "the renewal")
    wait_until(lambda: metric(again, "cert_acme_dns01_success") == 1,
               "the count")
    assert metric(again, "cert_acme_tls_alpn01_failure") == 1
    assert f"no proof is shown by {NAME}" in again.log


def test_a_name_of_ones_own(ingress, acme, look, call):
    """The tailnet knows nothing of it, but Funnel brings its clients."""
    web, name = ingress, "shop.example"
    acme.look = look
    look.program = web
    status, _, text = get_cert(web, domain=name)
    assert status == 500 and "invalid domain" in text
    serve(web, funnel(name))
    wait_until(lambda: count(acme) == 1, "a certificate")
    out = visit(call, web, acme, f"""
s = visit("203.0.113.9:4444", "{name}:443")
s.sendall(b"GET / HTTP/1.0\\r\\nHost: {name}\\r\\n\\r\\n")
got = b""
while more := s.recv(1000):
    got += more
print(got.split(b"\\r\\n\\r\\n")[1].decode())
""")
    assert out.split("\n")[1] == "hello"
    assert get_cert(web, domain=name)[0] == 200
    assert count(acme, "chall") == 0
    # There is no other way for it, and none without Funnel.
    status, _, text = get_cert(web, domain="*." + name)
    assert status == 500
    config = funnel(name)
    config["AllowFunnel"] = {f"{name}:443": False}
    serve(web, config)
    status, _, text = get_cert(web, domain=name)
    assert status == 500 and "invalid domain" in text
