"""Certificates that replicas share, in Secrets of their own, as upstream's
containers do it (TS_CERT_SHARE_MODE)."""
import hashlib
import time

import pytest

from harness import needs, wait_until
from kube_server import KubeServer
from test_certs import acme, get_cert, serial, split

__all__ = ["acme"]  # a fixture
pytestmark = needs("openssl")
SHOP = "shop.lab.ts.net"


@pytest.fixture
def kube(tmp_path, lab):
    lab.command('dns {"Proxied": true, "CertDomains": ["%s"]}' % SHOP)
    server = KubeServer(tmp_path / "kube")
    yield server
    server.close()


@pytest.fixture
def replica(acme, kube, run, tmp_path):
    def start(name, mode, **more):
        place = tmp_path / f"run-{name}"
        place.mkdir(mode=0o700, exist_ok=True)
        program = run(name, "sleep", "300", options=["--state", f"kube:{name}"],
                      env={**kube.env, **acme.env, "SSL_CERT_FILE": acme.ca,
                           "XDG_RUNTIME_DIR": str(place),
                           "TS_CERT_SHARE_MODE": mode}, **more)
        found = wait_until(lambda: list(place.glob("tsnet-*")), "a place")
        program.state = str(found[0])
        program.place = place
        return program.wait_running()
    return start


def end(program):
    program.stop()
    wait_until(lambda: not list(program.place.glob("tsnet-*")), "its end")


def get(program):
    return get_cert(program, domain=SHOP)


def count(acme):
    return acme.steps().count("finalize")


def test_one_writes_and_others_read(acme, kube, replica):
    kube.put(SHOP)  # the operator's part
    writer, reader = replica("web-0", "rw"), replica("web-1", "ro")
    status, _, text = get(reader)
    assert status == 500 and "this replica obtains none" in text
    assert not acme.seen
    status, _, pair = get(writer)
    assert status == 200, pair
    key, chain = split(pair)
    wait_until(lambda: "tls.crt" in kube.data(SHOP), "the Secret")
    data = kube.data(SHOP)
    account = kube.data("web-0")["acme-account.key.pem"]
    assert data == {
        "tls.crt": chain.encode(), "tls.key": key.encode(),
        "acme-account-fingerprint": hashlib.sha256(account).digest()}
    assert not [k for k in kube.data("web-0") if SHOP in k]
    wait_until(lambda: get(reader)[2] == pair, "the reader to have it")
    # Another process reads it as well, and asks nobody else.
    end(writer)
    writer = replica("web-0", "rw", key=None)
    assert get(writer)[2] == pair
    assert count(acme) == 1
    # Whoever makes the Secret anew gets another certificate.
    end(writer)
    kube.put(SHOP, **{"tls.crt": None, "tls.key": None})
    writer = replica("web-0", "rw", key=None)
    assert get(writer)[0] == 200
    assert count(acme) == 2
    wait_until(lambda: "tls.crt" in kube.data(SHOP), "the Secret")
    assert serial(kube.data(SHOP)["tls.crt"].decode()) != serial(chain)


def test_the_writer_renews(acme, kube, replica):
    """A reader never does; and what another account obtained is no renewal to
    the CA."""
    kube.put(SHOP)
    writer = replica("web-0", "rw")
    first = get(writer)[2]
    wait_until(lambda: "tls.crt" in kube.data(SHOP), "the Secret")
    end(writer)
    acme.window = (time.time() - 7200, time.time() - 3600)
    reader = replica("web-1", "ro")
    assert get(reader)[2] == first
    other = replica("web-2", "rw")
    assert get(other)[2] == first
    wait_until(lambda: count(acme) == 2, "the renewal")
    assert acme.orders[-1]["replaces"] is None
    wait_until(lambda: kube.data(SHOP)["tls.crt"].decode() !=
               split(first)[1], "the Secret")
    assert get(reader)[2] == first


def test_a_secret_that_is_not_ours(acme, kube, replica):
    """Who may not read it has none; what cannot be written is told."""
    writer = replica("web-0", "rw")
    assert get(writer)[0] == 200  # there is no such Secret
    wait_until(lambda: "the other replicas do not get it" in writer.log,
               "the warning")
    assert SHOP not in kube.secrets
    assert get(writer)[0] == 200 and count(acme) == 1


def test_a_server_in_trouble(acme, kube, replica):
    """Nobody asks the CA for what may be there."""
    kube.put(SHOP)
    writer = replica("web-0", "rw")
    kube.fail("get", 500)
    status, _, text = get(writer)
    assert status == 500 and "cannot read the certificate's Secret" in text
    assert not acme.seen
    wait_until(lambda: get(writer)[0] == 200, "another try")


def test_a_mode_that_is_none(acme, kube, run):
    program = run("web", "true", options=["--state", "kube:web"],
                  env={**kube.env, "TS_CERT_SHARE_MODE": "both"})
    assert program.wait() != 0
    assert 'TS_CERT_SHARE_MODE: "both" is neither "ro" nor "rw"' in program.err
