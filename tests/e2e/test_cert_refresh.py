"""Certificates that are there before anybody asks, and what is told of them."""
import os
import time

from harness import needs, wait_until
from test_certs import (acme, certs_dir, get_cert, name_of, node, problem,
                        serial, split, stored)
from test_localapi import ask
from test_serve import handlers, serve

__all__ = ["acme", "node"]  # fixtures
pytestmark = needs("openssl")


def https(name, port=443):
    config = handlers(port, **{"/": {"Text": "hello"}})
    config["TCP"][str(port)] = {"HTTPS": True}
    config["Web"] = {f"{name}:{port}": next(iter(config["Web"].values()))}
    return config


def metric(program, name):
    text = ask(program, "GET", "metrics")[2].decode()
    lines = dict(line.split(" ", 1) for line in text.splitlines()
                 if not line.startswith("#"))
    return int(lines[name])


def count(acme, step="finalize"):
    return acme.steps().count(step)


def test_what_is_served_has_one_before_anybody_comes(acme, node):
    """And while it is on its way, that is a warning."""
    acme.polls = 2
    program = node()
    domain = name_of(program)
    serve(program, https(domain))
    warned = wait_until(
        lambda: [t for t in program.status()["Health"] or [] if domain in t],
        "the warning")
    assert "certificate" in warned[0]
    assert metric(program, "cert_acme_dns01_start") == 1
    assert metric(program, "cert_acme_dns01_success") == 0
    wait_until(lambda: os.path.exists(
        os.path.join(certs_dir(program), domain + ".crt")), "a certificate")
    wait_until(lambda: not any(domain in t for t in
                               program.status()["Health"] or []),
               "the warning's end")
    assert metric(program, "cert_acme_dns01_success") == 1
    assert metric(program, "cert_acme_dns01_failure") == 0
    assert metric(program, "cert_acme_tls_alpn01_start") == 0
    # Another entry of the same name needs no other one.
    config = https(domain)
    config["TCP"]["8443"] = {"TCPForward": "127.0.0.1:1",
                             "TerminateTLS": domain}
    serve(program, config)
    assert get_cert(program)[0] == 200
    assert count(acme) == 1


def test_the_bus_and_control_hear_of_the_warning(acme, node, lab):
    acme.polls = 4
    program = node()
    domain = name_of(program)
    serve(program, https(domain))

    def told():
        answer = lab.command("c2n web GET /debug/health")["answer"]
        return "tls-cert-pending" in answer and domain in answer
    wait_until(told, "the warning")
    wait_until(lambda: count(acme) == 1, "a certificate")
    wait_until(lambda: not told(), "the warning's end")


def test_what_is_not_behind_tls_needs_none(acme, node):
    program = node()
    domain = name_of(program)
    config = handlers(80, **{"/": {"Text": "hello"}})
    config["Web"] = {f"{domain}:80": next(iter(config["Web"].values()))}
    config["TCP"]["90"] = {"TCPForward": "127.0.0.1:1"}
    # Nor does a name that is not the node's.
    config["TCP"]["91"] = {"TCPForward": "127.0.0.1:1",
                           "TerminateTLS": "other.example.com"}
    serve(program, config)
    assert ask(program, "GET", "status")[0] == 200
    time.sleep(0.3)
    assert not acme.seen


def test_a_port_that_ends_tls_has_one(acme, node):
    program = node()
    domain = name_of(program)
    serve(program, {"TCP": {"90": {"TCPForward": "127.0.0.1:1",
                                   "TerminateTLS": domain}}})
    wait_until(lambda: count(acme) == 1, "a certificate")


def test_a_listener_behind_tls_has_one(acme, node):
    program = node("python3", "-u", "-m", "http.server", "8443",
                   env={"TSNET_LISTEN_TLS": "8443"})
    wait_until(lambda: count(acme) == 1, "a certificate")
    domain = name_of(program)
    wait_until(lambda: os.path.exists(
        os.path.join(certs_dir(program), domain + ".crt")), "its file")


def test_what_is_stored_is_renewed_though_nobody_asks(acme, node):
    program = node()
    domain = name_of(program)
    first = split(get_cert(program)[2])[1]
    program.stop()
    acme.window = (time.time() - 7200, time.time() - 3600)
    program = node(key=None)
    wait_until(lambda: count(acme) == 2, "a renewal")
    wait_until(lambda: serial(stored(program, domain + ".crt")) !=
               serial(first), "the new certificate")
    # There was one to show all the time.
    assert metric(program, "cert_acme_dns01_success") == 1


def test_a_refusal_is_counted_and_not_repeated(acme, node):
    acme.script["order"] = lambda server: problem(403, "rejectedIdentifier",
                                                  "no")
    program = node()
    domain = name_of(program)
    serve(program, https(domain))
    wait_until(lambda: metric(program, "cert_acme_dns01_failure") == 1,
               "the refusal")
    serve(program, https(domain, 8443))
    assert "rejectedIdentifier" in get_cert(program)[2]
    assert count(acme, "order") == 1
    assert "rejectedIdentifier" in program.log
