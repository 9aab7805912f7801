"""Certificates from Pebble, Let's Encrypt's own CA for tests.

It looks for the TXT record in a DNS server that answers what the lab's control
server was told by set-dns, and refuses a fifth of all nonces."""
import json
import os
import socket
import ssl
import subprocess
import urllib.request

import pytest

from auth_server import make_certificate
from conftest import PEER_ENV, PEERS, Daemon, LabControl, OwnNetwork, start_ours
from harness import Lab, wait_until
from name_server import NameServer, record
from test_localapi import ask

PEBBLE = f"{PEERS}/pebble"
A, TXT = 1, 16
DIRECTORY = "https://localhost:14000/dir"

pytestmark = pytest.mark.skipif(
    not os.path.exists(PEBBLE), reason="Pebble could not be built")


class Records(NameServer):
    """The TXT records that the control server has been given, and the address
    of the forwarder that stands for Funnel."""

    def __init__(self, log, lab):
        super().__init__(log, {})
        self.lab = lab

    def look_up(self, name, kind, way):
        if kind == A:
            return 0, [record(name, A, bytes([127, 0, 0, 1]))], []
        records = self.lab.command("txt-records")["records"]
        found = [r["Value"].encode() for r in records
                 if r["Name"].lower() == name]
        return 0, [record(name, TXT, bytes([len(v)]) + v)
                   for v in found if kind == TXT], []


class Pebble:
    def __init__(self, directory, lab):
        self.dir = str(directory)
        self.dns = Records(directory / "queries", lab)
        for way in ("udp", "tcp"):
            self.dns.start(way, "127.0.0.1:8053")
        self.root, key = make_certificate(self.dir)
        config = {"pebble": {
            "listenAddress": "127.0.0.1:14000", "certificate": self.root,
            "managementListenAddress": "127.0.0.1:15000", "privateKey": key,
            "httpPort": 5002, "tlsPort": 5001, "ocspResponderURL": ""}}
        path = directory / "pebble.json"
        path.write_text(json.dumps(config))
        self.ca = Daemon(directory, "pebble", PEBBLE, "-config", path,
                         "-dnsserver", "127.0.0.1:8053",
                         env=dict(PEER_ENV, PEBBLE_WFE_NONCEREJECT="20",
                                  PEBBLE_VA_NOSLEEP="1"))
        wait_until(lambda: self.get("https://127.0.0.1:14000/dir"), "Pebble")

    def get(self, url, data=None):
        context = ssl.create_default_context(cafile=self.root)
        try:
            with urllib.request.urlopen(url, data, 5,
                                        context=context) as reply:
                return reply.read()
        except OSError:
            return None

    def roots(self, path):
        with open(path, "wb") as f:
            f.write(self.get("https://127.0.0.1:15000/roots/0"))
        return str(path)

    def close(self):
        self.ca.close()
        self.dns.close()


@pytest.fixture
def lab(tmp_path, keep):
    keep(OwnNetwork())
    (tmp_path / "lab").mkdir()
    return keep(Lab(tmp_path / "lab"))


@pytest.fixture
def pebble(lab, tmp_path, keep):
    (tmp_path / "pebble").mkdir()
    return keep(Pebble(tmp_path / "pebble", lab))


def test_a_certificate_from_pebble(lab, pebble, tmp_path, keep):
    """Pebble's certificate, by dns-01, in front of a stock web server"""
    env = {"TS_DEBUG_ACME_DIRECTORY_URL": DIRECTORY,
           "SSL_CERT_FILE": pebble.root, "TSNET_LISTEN_TLS": "8443"}
    program = keep(start_ours(LabControl(lab), tmp_path, "web", "python3", "-u",
                              "-m", "http.server", "8443", env=env))
    with open(os.path.join(program.dir, "page"), "w", encoding="ascii") as f:
        f.write("inside")
    program.wait_running().wait_listening(8443)
    domain = program.status()["CertDomains"][0]
    status, _, pair = ask(program, "GET", f"cert/{domain}?type=pair")
    assert status == 200, pair.decode() + program.log
    root = pebble.roots(tmp_path / "root.pem")
    client = keep(start_ours(LabControl(lab), tmp_path, "peer", "curl", "-sS",
                             "--cacert", root,
                             f"https://{domain}:8443/page"))
    assert client.wait() == 0, client.err
    assert client.out == "inside"
    # The stock CLI has the same one, from the store.
    cli = subprocess.run(
        [f"{PEERS}/tailscale", f"--socket={program.localapi}", "cert",
         "--cert-file=-", "--key-file=-", domain], env=PEER_ENV,
        capture_output=True, check=True, timeout=60)
    key, sep, chain = pair.partition(b"-----END EC PRIVATE KEY-----\n")
    assert cli.stdout == chain + key + sep


# What Pebble finds at the name: a way into the tailnet, as Funnel is one.
FORWARD = """
import socket, sys, threading
def move(a, b):
    while data := a.recv(65536):
        b.sendall(data)
    b.shutdown(socket.SHUT_WR)
server = socket.create_server(("127.0.0.1", 5001))
while True:
    client, _ = server.accept()
    node = socket.create_connection((sys.argv[1], 443))
    for pair in (client, node), (node, client):
        threading.Thread(target=move, args=pair, daemon=True).start()
"""


def test_pebble_looks_by_tls(lab, pebble, tmp_path, keep):
    """A name of the user's own, by tls-alpn-01"""
    name = "shop.example"
    env = {"TS_DEBUG_ACME_DIRECTORY_URL": DIRECTORY,
           "SSL_CERT_FILE": pebble.root}
    program = keep(start_ours(LabControl(lab), tmp_path, "web", "sleep", "300",
                              env=env))
    ip = program.wait_running().status()["Self"]["TailscaleIPs"][0]
    forward = keep(start_ours(LabControl(lab), tmp_path, "forward", "python3",
                              "-c", FORWARD, ip))
    forward.wait_running()
    wait_until(lambda: listens(5001), "the forwarder")
    status, _, reply = ask(program, "POST", "serve-config", {
        "TCP": {"443": {"HTTPS": True}},
        "Web": {f"{name}:443": {"Handlers": {"/": {"Text": "inside"}}}},
        "AllowFunnel": {f"{name}:443": True}})
    assert status == 200, reply
    status, _, pair = ask(program, "GET", f"cert/{name}?type=pair")
    assert status == 200, pair.decode() + program.log
    assert not lab.command("txt-records")["records"]
    root = pebble.roots(tmp_path / "root.pem")
    client = keep(start_ours(
        LabControl(lab), tmp_path, "peer", "curl", "-sS", "--cacert", root,
        "--connect-to", f"{name}:443:{ip}:443", f"https://{name}/"))
    assert client.wait() == 0, client.err
    assert client.out == "inside"


def listens(port):
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0
