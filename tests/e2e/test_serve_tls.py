"""What a node serves with its certificates: HTTPS, ports behind TLS, Funnel."""
import hashlib
import json
import socket
import struct

import pytest

from acme_server import AcmeServer
from harness import needs, wait_until
from test_localapi import ask, patch
from test_serve import (BIG, NAME, Once, backend, big, curl, handlers, output,
                        python, serve)

__all__ = ["backend"]  # a fixture
pytestmark = needs("openssl", "curl")
INGRESS = "https://tailscale.com/cap/ingress"


@pytest.fixture
def acme(lab, tmp_path):
    server = AcmeServer(tmp_path / "acme", lab)
    yield server
    server.close()


@pytest.fixture
def web(acme, run):
    return run("web", "sleep", "1000", env=acme.env).wait_running()


def https(port=443, **mounts):
    config = handlers(port, **mounts)
    config["TCP"][str(port)] = {"HTTPS": True}
    return config


def test_https_handlers(web, call, acme, backend, tmp_path):
    serve(web, https(**{"/": {"Proxy": str(backend.port)},
                        "/text": {"Text": "hello"},
                        "/files/": {"Path": str(tmp_path)}}))
    data = tmp_path / "data"
    data.write_bytes(big())
    want = hashlib.sha256(big()).hexdigest()
    base = f"https://{NAME}"
    out = curl(call, "--cacert", acme.ca, "-w", "|%{http_version}|",
               f"{base}/text", f"{base}/a", "--next", "-sS", "--cacert",
               acme.ca, "-T", str(data), f"{base}/sum")
    assert out == f"hello|2|GET /a|2|{want}"
    fields = dict(backend.seen[0][2])
    assert fields["X-Forwarded-Proto"] == "https"
    assert fields["Tailscale-User-Login"] == "bob@example.com"
    assert fields["X-Forwarded-For"] == web.lab.node("laptop")["ips"][0]
    for path in ("files/data", "big"):
        out = python(call, f"""
import ssl, urllib.request
data = urllib.request.urlopen("{base}/{path}", timeout=60, context=
    ssl.create_default_context(cafile="{acme.ca}")).read()
print(hashlib.sha256(data).hexdigest(), len(data))
""")
        assert out.split() == [want, str(BIG)]
    # by another name there is no certificate, and so no web server
    client = call("laptop", "curl", "-sS", "-k", "--max-time", "10",
                  f"https://{web.ip}/", key="key-bob")
    assert client.code == 35, client.err
    assert acme.steps().count("finalize") == 1


@pytest.mark.parametrize("version", [0, 2])
def test_a_port_behind_tls(web, call, acme, version):
    once = Once(b"from behind")
    serve(web, {"TCP": {"90": {"TCPForward": f"127.0.0.1:{once.port}",
                               "TerminateTLS": NAME,
                               "ProxyProtocol": version}}})
    out = python(call, f"""
import ssl
s = ssl.create_default_context(cafile="{acme.ca}").wrap_socket(
    socket.create_connection(("{NAME}", 90), 20), server_hostname="{NAME}")
s.sendall(b"from the client")
print(s.recv(100).decode(), s.getsockname()[1])
s.unwrap()
""")
    said, port = out.rsplit(" ", 1)
    caller = web.lab.node("laptop")["ips"][0]
    head = b"" if not version else (
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c" + socket.inet_aton(caller) +
        socket.inet_aton(web.ip) + struct.pack(">HH", int(port), once.port))
    assert said == "from behind"
    assert once.all() == head + b"from the client"


# -- Funnel ---------------------------------------------------------------------


def allow_ingress(lab, ip):
    everything = {"SrcIPs": ["*"], "DstPorts": [
        {"IP": "*", "Ports": {"First": 0, "Last": 65535}}]}
    grant = {"SrcIPs": [ip], "CapGrant": [
        {"Dsts": ["0.0.0.0/0", "::/0"], "CapMap": {INGRESS: None}}]}
    lab.command("filter " + json.dumps([everything, grant]))


def peerapi_of(program):
    services = program.lab.node(program.hostname)["hostinfo"]["Services"]
    return next(s["Port"] for s in services if s["Proto"] == "peerapi4")


# As an ingress does it: a request, then the client's bytes.
VISIT = """
import ssl
def ask(fields, method="POST"):
    s = socket.create_connection((%(ip)r, %(port)d), 20)
    s.sendall((method + " /v0/ingress HTTP/1.1\\r\\nHost: %(ip)s:%(port)d\\r\\n"
               + "".join(f"{k}: {v}\\r\\n" for k, v in fields.items())
               + "Content-Length: 0\\r\\n\\r\\n").encode())
    got = b""
    while b"\\r\\n\\r\\n" not in got:
        got += s.recv(1)
    return s, got.decode()
def visit(src, target, protocol="http/1.1"):
    s, head = ask({"Tailscale-Ingress-Src": src,
                   "Tailscale-Ingress-Target": target})
    print(head.split("\\r\\n")[0])
    context = ssl.create_default_context(cafile=%(ca)r)
    context.set_alpn_protocols([protocol])
    return context.wrap_socket(s, server_hostname=target.rpartition(":")[0])
"""


def visit(call, web, acme, text):
    program = call("ingress", "python3", "-c", "import socket\n" + VISIT % {
        "ip": web.ip, "port": peerapi_of(web), "ca": acme.ca} + text,
        key="key-bob")
    assert program.code == 0, program.err + web.log[-2000:]
    return output(program)


@pytest.fixture
def ingress(lab, run, web):
    """A node that may bring connections from the internet."""
    run("ingress", "sleep", "1000", key="key-bob").wait_running().stop()
    allow_ingress(lab, lab.node("ingress")["ips"][0])
    return web


def test_funnel_to_a_web_handler(ingress, call, acme, backend):
    web = ingress
    config = https(**{"/": {"Proxy": str(backend.port)}})
    config["AllowFunnel"] = {f"{NAME}:443": True}
    serve(web, config)
    wait_until(lambda: web.lab.node("web")["hostinfo"].get("IngressEnabled"),
               "the server to hear of it")
    out = visit(call, web, acme, f"""
s = visit("203.0.113.9:4444", "{NAME}:443")
for path in ("/1", "/2"):
    s.sendall(f"GET {{path}} HTTP/1.1\\r\\nHost: {NAME}\\r\\n"
              "Tailscale-User-Login: root\\r\\n\\r\\n".encode())
    got = b""
    while b"GET" not in got:
        got += s.recv(1000)
    print(got.split(b"\\r\\n")[0].decode())
""")
    assert out.split("\n")[:3] == ["HTTP/1.1 101 Switching Protocols",
                                   "HTTP/1.1 200 OK", "HTTP/1.1 200 OK"]
    fields = dict(backend.seen[0][2])
    assert fields["X-Forwarded-For"] == "203.0.113.9"
    assert fields["Tailscale-Funnel-Request"] == "?1"
    assert not any(name.startswith("Tailscale-User") for name in fields)
    # the entry goes, and so does the way in
    config["AllowFunnel"] = {f"{NAME}:443": False}
    serve(web, config)
    wait_until(lambda: web.lab.node("web")["hostinfo"].get("WireIngress"),
               "the server to hear of it")
    out = visit(call, web, acme, f"""
print(ask({{"Tailscale-Ingress-Src": "1.2.3.4:5",
           "Tailscale-Ingress-Target": "{NAME}:443"}})[1].split(" ")[1])
""")
    assert out == "403\n"


def test_funnel_to_ports(ingress, call, acme):
    web = ingress
    ended, raw = Once(b"in TLS"), Once()
    serve(web, {"TCP": {"443": {"TCPForward": f"127.0.0.1:{ended.port}",
                                "TerminateTLS": NAME, "ProxyProtocol": 1},
                        "8443": {"TCPForward": f"127.0.0.1:{raw.port}",
                                 "ProxyProtocol": 1}},
                "AllowFunnel": {f"{NAME}:443": True, f"{NAME}:8443": True}})
    out = visit(call, web, acme, f"""
s = visit("[2001:db8::9]:4444", "{NAME}:443")
print(s.recv(100).decode())
s.close()
s, head = ask({{"Tailscale-Ingress-Src": "203.0.113.9:4444",
               "Tailscale-Ingress-Target": "{NAME}:8443"}})
s.sendall(b"whatever it is")
s.shutdown(socket.SHUT_WR)
print(head.split(" ")[1], s.recv(10))
""")
    assert out == ("HTTP/1.1 101 Switching Protocols\nin TLS\n101 b''\n")
    v6 = web.lab.node("web")["ips"][1]
    assert ended.all() == \
        f"PROXY TCP6 2001:db8::9 {v6} 4444 {ended.port}\r\n".encode()
    assert raw.all() == (f"PROXY TCP4 203.0.113.9 {web.ip} 4444 {raw.port}"
                         "\r\nwhatever it is").encode()


def test_who_may_bring_what(web, call, acme, lab, run):
    serve(web, dict(https(**{"/": {"Text": "hello"}}),
                    AllowFunnel={f"{NAME}:443": True}))
    asks = f"""
good = {{"Tailscale-Ingress-Src": "1.2.3.4:5",
        "Tailscale-Ingress-Target": "{NAME}:443"}}
for change in ({{}}, {{"Tailscale-Ingress-Target": "{NAME}:8443"}},
               {{"Tailscale-Ingress-Target": "other:443"}},
               {{"Tailscale-Ingress-Target": "{NAME}"}},
               {{"Tailscale-Ingress-Target": ""}},
               {{"Tailscale-Ingress-Src": "1.2.3.4"}},
               {{"Tailscale-Ingress-Src": "x:5"}},
               {{"Tailscale-Ingress-Src": "100.64.0.1:5"}},
               {{"Tailscale-Ingress-Src": "[fd7a:115c:a1e0::1]:5"}},
               {{"Tailscale-Ingress-Src": "127.0.0.1:5"}},
               {{"Origin": "https://evil"}}):
    print(ask(dict(good, **change))[1].split(" ")[1])
print(ask(good, "GET")[1].split(" ")[1])
"""
    assert visit(call, web, acme, asks).split() == ["403"] * 12
    allow_ingress(lab, lab.node("ingress")["ips"][0])
    assert visit(call, web, acme, asks).split() == [
        "101", "403", "403", "400", "400", "400", "400", "400", "400", "400",
        "403", "405"]
    # shields and Funnel exclude each other
    status, _, reply = ask(web, "POST", "serve-config", {})
    patch(web, ShieldsUp=True)
    status, _, reply = ask(web, "POST", "serve-config",
                           {"AllowFunnel": {f"{NAME}:443": True}})
    assert status == 500 and reply["error"] == (
        "updating config: Unable to turn on Funnel while shields-up is "
        "enabled")
