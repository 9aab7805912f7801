"""TLS certificates of a node: obtained from a CA, kept, handed out, used."""
import json
import os
import subprocess
import sys
import threading
import time

import pytest

from acme_server import PROBLEM, AcmeServer
from harness import SANITIZERS, needs, wait_until
from kube_server import KubeServer
from test_localapi import ask

pytestmark = needs("openssl")


@pytest.fixture
def acme(lab, tmp_path):
    server = AcmeServer(tmp_path / "acme", lab)
    yield server
    server.close()


@pytest.fixture
def node(acme, run):
    """node(...) starts a node that waits, with the scripted CA."""
    def start(*argv, **more):
        more["env"] = {**acme.env, **more.get("env", {})}
        argv = argv or ("sleep", "300")
        return run("web", *argv, **more).wait_running()
    return start


def name_of(program):
    """The name that it may have a certificate for."""
    return program.status()["CertDomains"][0]


def get_cert(program, what="pair", domain=None, **query):
    query = {"type": what, **query}
    text = "&".join(f"{k}={v}" for k, v in query.items())
    status, headers, body = ask(program, "GET",
                                f"cert/{domain or name_of(program)}?{text}")
    return status, headers, body.decode()


def split(pair):
    key, sep, chain = pair.partition("-----END EC PRIVATE KEY-----\n")
    assert sep, pair
    return key + sep, chain


def certs_dir(program):
    return os.path.join(program.state, "certs")


def stored(program, name):
    with open(os.path.join(certs_dir(program), name), encoding="ascii") as f:
        return f.read()


def serial(chain):
    return subprocess.run(["openssl", "x509", "-noout", "-serial"],
                          input=chain, text=True, check=True,
                          capture_output=True).stdout


def test_a_certificate_is_obtained_and_kept(acme, node):
    acme.polls = 1
    program = node()
    status, _, pair = get_cert(program)
    assert status == 200, pair + program.log
    key, chain = split(pair)
    domain = name_of(program)
    assert chain.count("BEGIN CERTIFICATE") == 2
    assert stored(program, f"{domain}.key") == key
    assert stored(program, f"{domain}.crt") == chain
    modes = {n: os.stat(os.path.join(certs_dir(program), n)).st_mode & 0o777
             for n in os.listdir(certs_dir(program))}
    assert modes == {f"{domain}.key": 0o600, f"{domain}.crt": 0o644,
                     "acme-account.key.pem": 0o600}
    assert os.stat(certs_dir(program)).st_mode & 0o777 == 0o700
    assert key.splitlines()[1] not in program.log
    # From the store, and in its parts.
    before = len(acme.seen)
    assert get_cert(program, "crt")[2] == chain
    assert get_cert(program, "key")[2] == key
    assert get_cert(program, "cert")[2] == chain
    assert [s for s in acme.steps()[before:] if s not in ("dir", "ari")] == []
    assert get_cert(program, "both")[0] == 400
    # And by the next process.
    program.stop()
    again = node(key=None)
    assert split(get_cert(again)[2]) == (key, chain)
    assert acme.steps().count("finalize") == 1
    assert acme.steps().count("account") == 1


def test_what_control_is_told(acme, node, lab):
    program = node()
    domain = name_of(program)

    def told():
        answer = lab.command(
            f"c2n web GET /tls-cert-status?domain={domain}")["answer"]
        return json.loads(answer.partition("\r\n\r\n")[2])
    assert told() == {"Missing": True, "Error": "no certificate"}
    assert get_cert(program)[0] == 200
    info = told()
    assert info["Valid"] and info["NotBefore"] < info["NotAfter"], info
    with open(os.path.join(certs_dir(program), f"{domain}.crt"), "w",
              encoding="ascii") as f:
        f.write("torn")
    assert told()["Expired"]
    status, _, domains = ask(program, "GET", "cert-domains")
    assert (status, domains) == (200, [domain])


@pytest.mark.parametrize("domain,words", [
    ("other.example.com", 'invalid domain "other.example.com"; must be one of'),
    ("*.web.tail.test", "wildcard certificates are not enabled"),
    ("..%2f..%2fetc%2fpasswd", "invalid domain"),
    ("web", "invalid domain"),
])
def test_only_our_own_names(acme, node, domain, words):
    status, _, text = get_cert(node(), domain=domain)
    assert status == 500 and words in text, text
    assert not acme.seen


def test_a_wildcard(acme, node, lab):
    program = node()
    domain = name_of(program)
    lab.command("cap web dns-subdomain-resolve")
    wait_until(lambda: get_cert(program, domain="*." + domain)[0] == 200,
               "a wildcard certificate")
    assert os.path.exists(os.path.join(certs_dir(program),
                                       f"wildcard_.{domain}.key"))
    assert acme.orders[-1]["names"] == ["*." + domain, domain]


def test_an_account_without_https(acme, node, lab):
    program = node()
    domain = name_of(program)
    lab.command('dns {"Proxied": true}')
    wait_until(lambda: program.status()["CertDomains"] is None,
               "a tailnet without HTTPS")
    status, _, text = get_cert(program, domain=domain)
    assert status == 500
    assert "does not support getting TLS certs" in text


# -- a CA that is in trouble, or hostile ------------------------------------------


def once(answer):
    """A script that answers so the first time."""
    left = [answer]
    return lambda server: left.pop() if left else None


def problem(status, kind, detail, **headers):
    return status, headers, {"type": PROBLEM + kind, "detail": detail}


@pytest.mark.parametrize("step,answer", [
    ("order", problem(400, "badNonce", "used already")),
    ("account", problem(500, "serverInternal", "try again")),
    ("dir", (503, {"Retry-After": "1"}, "overloaded")),
    ("finalize", problem(503, "serverInternal", "busy")),
])
def test_what_passes_by_itself_is_tried_again(acme, node, step, answer):
    acme.script[step] = once(answer)
    status, _, text = get_cert(node())
    assert status == 200, text


@pytest.mark.parametrize("step,answer,words", [
    ("account", problem(403, "unauthorized", "account is banned"),
     "account is banned"),
    ("order", problem(400, "rejectedIdentifier", "policy \x07forbids"),
     "rejectedIdentifier: policy  forbids"),
    ("order", (201, {"Location": "https://localhost/o"}, {"status": "x"}),
     "makes no sense"),
    ("order", (201, {"Location": "file:///etc/passwd"}, {}), "makes no sense"),
    ("authz", (200, {}, {"status": "pending", "identifier":
                         {"value": "other.example"}, "challenges": []}),
     "another name"),
    ("dir", (200, {}, "[" * 5000), "makes no sense"),
    ("dir", (200, {}, "x" * 100000), "too long"),
    ("dir", (200, {}, {"newNonce": "http://127.0.0.1/", "newAccount": "ftp:",
                       "newOrder": 7}), "makes no sense"),
    ("cert", (200, {}, "-----BEGIN CERTIFICATE-----\nAAAA\n"),
     "makes no sense"),
])
def test_what_the_ca_refuses_is_told_in_its_words(acme, node, step, answer,
                                                  words):
    acme.script[step] = lambda server: answer
    program = node()
    status, _, text = get_cert(program)
    assert status == 500 and words in text, text
    assert "\x07" not in text
    # And it is left in peace then.
    before = len(acme.seen)
    assert get_cert(program)[2] == text
    assert len(acme.seen) == before


def test_a_server_without_nonces(acme, node):
    usual = acme.directory()
    acme.script["dir"] = lambda server: (200, {"Replay-Nonce": ""}, usual[2])
    acme.script["nonce"] = lambda server: (200, {"Replay-Nonce": "no nonce!"},
                                           "")
    status, _, text = get_cert(node())
    assert status == 500 and "gives no nonce" in text


def test_a_certificate_of_another_key(acme, node):
    """Whoever is in the CA's place cannot make us show his."""
    def own(server):
        with open(server.ca, encoding="ascii") as f:
            return 200, {}, f.read()
    acme.script["cert"] = own
    status, _, text = get_cert(node())
    assert status == 500 and "not the one that was asked for" in text


def test_a_rate_limit_is_told_as_one(acme, node):
    acme.script["order"] = lambda server: problem(
        429, "rateLimited", "too many certificates", **{"Retry-After": "7200"})
    status, headers, text = get_cert(node())
    assert status == 429 and "too many certificates" in text
    assert 7000 < int(headers["Retry-After"]) <= 7200


def test_the_record_is_not_believed_elsewhere(acme, node, lab):
    """The control server takes the record, and the CA does not see it."""
    def lost(server):
        server.orders[-1]["key"] += "x"
        answer = server.challenge(len(server.orders) - 1, 0)
        server.orders[-1]["key"] = server.orders[-1]["key"][:-1]
        return answer
    acme.script["chall"] = lost
    program = node()
    status, _, text = get_cert(program)
    assert status == 500
    assert f"unauthorized: no record at _acme-challenge.{name_of(program)}" \
        in text


def test_an_endless_answer(acme, node):
    """Nobody waits for a CA that never comes to an end: there are limits of
    size."""
    acme.script["cert"] = lambda server: (200, {}, "A" * (1 << 20))
    status, _, text = get_cert(node())
    assert status == 500 and "too long" in text


def test_many_ask_for_one(acme, node):
    acme.polls = 1
    program = node()
    answers = []
    threads = [threading.Thread(
        target=lambda: answers.append(get_cert(program)[2]))
        for _ in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert len(set(answers)) == 1 and "PRIVATE KEY" in answers[0]
    assert acme.steps().count("finalize") == 1


# -- renewal -------------------------------------------------------------------------


def test_it_is_renewed_when_the_ca_wants_it(acme, node):
    """The old one is served meanwhile, and replaced in the CA's books."""
    program = node()
    first = split(get_cert(program)[2])[1]
    program.stop()
    acme.window = (time.time() - 7200, time.time() - 3600)
    may_go_on = threading.Event()
    acme.script["finalize"] = lambda server: may_go_on.wait(20) and None
    program = node(key=None)
    assert split(get_cert(program)[2])[1] == first
    may_go_on.set()
    wait_until(lambda: acme.steps().count("finalize") == 2, "a renewal")
    wait_until(lambda: serial(split(get_cert(program)[2])[1]) !=
               serial(first), "the new certificate")
    replaced = acme.orders[-1]["replaces"]
    assert replaced and replaced.count(".") == 1


def test_min_validity_renews_at_once(acme, node):
    program = node()
    first = split(get_cert(program)[2])[1]
    assert split(get_cert(program, min_validity="48h")[2])[1] == first
    status, _, text = get_cert(program, min_validity="2days")
    assert status == 400 and "invalid validity" in text
    assert get_cert(program, min_validity="1h30m0.5s")[0] == 200
    assert acme.steps().count("finalize") == 1


def test_a_ca_that_refuses_the_renewals_hint(acme, node):
    program = node()
    get_cert(program)
    program.stop()
    acme.window = (time.time() - 7200, time.time() - 3600)

    def picky(server):
        if (server.seen[-1][1] or {}).get("replaces"):
            return problem(409, "alreadyReplaced", "was replaced")
        return None
    acme.script["order"] = picky
    program = node(key=None)
    get_cert(program)
    wait_until(lambda: acme.steps().count("finalize") == 2, "a renewal")


# -- where it is kept ----------------------------------------------------------------


def place_elsewhere(program, tmp_path):
    """A node without a state directory has its sockets in a new one."""
    found = wait_until(lambda: list(tmp_path.glob("run/tsnet-*")), "a place")
    program.state = str(found[0])
    return program.wait_running()


def elsewhere(tmp_path, *envs):
    (tmp_path / "run").mkdir(mode=0o700)
    env = {"XDG_RUNTIME_DIR": str(tmp_path / "run")}
    for more in envs:
        env.update(more)
    return env


def test_in_memory(acme, run, tmp_path):
    """A node without a place keeps it as long as it lives."""
    program = run("web", "sleep", "300", state=False,
                  env=elsewhere(tmp_path, acme.env))
    place_elsewhere(program, tmp_path)
    first = get_cert(program)[2]
    assert get_cert(program)[2] == first and "PRIVATE KEY" in first
    assert acme.steps().count("finalize") == 1
    assert not os.path.exists(certs_dir(program))


def test_in_a_secret(acme, run, tmp_path):
    """As Tailscale's own container keeps it; the next pod has it."""
    kube = KubeServer(tmp_path / "kube")
    env = elsewhere(tmp_path, kube.env, acme.env)
    env["SSL_CERT_FILE"] = acme.ca
    options = ["--state", "kube:web"]
    try:
        program = run("web", "sleep", "300", options=options, env=env)
        place_elsewhere(program, tmp_path)
        key, chain = split(get_cert(program)[2])
        domain = name_of(program)
        wait_until(lambda: f"{domain}.crt" in kube.data("web"), "the Secret")
        data = kube.data("web")
        assert data[f"{domain}.crt"].decode() == chain
        assert data[f"{domain}.key"].decode() == key
        assert b"EC PRIVATE KEY" in data["acme-account.key.pem"]
        program.stop()
        wait_until(lambda: not list(tmp_path.glob("run/tsnet-*")), "its end")
        again = run("web", "sleep", "300", options=options, env=env, key=None)
        place_elsewhere(again, tmp_path)
        assert split(get_cert(again)[2]) == (key, chain)
        assert acme.steps().count("finalize") == 1
    finally:
        kube.close()


# -- who may have it ------------------------------------------------------------------


ASK_AS_NOBODY = """
import os, socket, sys
os.setgid(65534); os.setuid(65534)
s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1])
s.sendall(f"GET /localapi/v0/cert/{sys.argv[2]}?type=pair HTTP/1.1\\r\\n"
          "Host: local-tailscaled.sock\\r\\nConnection: close\\r\\n"
          "\\r\\n".encode())
while more := s.recv(65536):
    sys.stdout.buffer.write(more)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to be others")
@pytest.mark.parametrize("permitted", [False, True])
def test_a_stranger_does_not_get_the_key(acme, node, permitted):
    program = node(env={"TS_PERMIT_CERT_UID": "nobody" if permitted
                        else "4242"})
    for place in (program.state, program.dir, os.path.dirname(program.dir)):
        os.chmod(place, 0o755)
    answer = subprocess.run(
        [sys.executable, "-c", ASK_AS_NOBODY, program.localapi,
         name_of(program)], capture_output=True, text=True, timeout=60,
        check=True).stdout
    if permitted:
        assert "200 OK" in answer and "PRIVATE KEY" in answer
    else:
        assert "403" in answer and "cert access denied" in answer
        assert "PRIVATE KEY" not in answer and not acme.seen


# -- TLS in front of a listener ---------------------------------------------------------


def app(name):
    return os.path.join(os.path.dirname(__file__), "apps", name)


@pytest.fixture
def https(acme, node):
    return serve_https(node)


def serve_https(node):
    """A stock server that knows nothing of TLS, at port 8443."""
    program = node("python3", "-u", "-m", "http.server", "8443",
                   env={"TSNET_LISTEN_TLS": "8443"})
    with open(os.path.join(program.dir, "page"), "w", encoding="ascii") as f:
        f.write("plain inside " * 40000)
    return program.wait_listening(8443)


@needs("curl")
@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_a_stock_server_speaks_https(acme, https, lab, call, version):
    """A peer's curl believes the CA's root alone; the server sees the peer."""
    domain = name_of(https)
    client = call("peer", "curl", "-sS", "--cacert", acme.ca,
                  f"--tlsv{version}", "--tls-max", version, "-w",
                  "%{ssl_verify_result} %{remote_ip}", "-o", "got",
                  f"https://{domain}:8443/page")
    assert client.code == 0, client.err + https.log
    assert client.out == f"0 {https.ip}"
    with open(os.path.join(client.dir, "got"), encoding="ascii") as f:
        assert f.read() == "plain inside " * 40000
    wait_until(lambda: f'{lab.node("peer")["ips"][0]} - - ' in https.err,
               "the peer in the server's log")
    assert acme.steps().count("finalize") == 1


@pytest.mark.parametrize("arguments,words", [
    (["-noservername"], "unrecognized name"),
    (["-servername", "other.example"], "alert"),
    (["-tls1_1", "-servername", "NAME"], "error"),
])
def test_who_asks_for_another_name_is_turned_away(acme, https, call,
                                                  arguments, words):
    """With an alert, and the listener goes on."""
    domain = name_of(https)
    arguments = [a.replace("NAME", domain) for a in arguments]
    client = call("peer", "openssl", "s_client", "-connect",
                  f"{https.ip}:8443", *arguments)
    assert words in client.err + client.out, client.err
    assert "BEGIN CERTIFICATE" not in client.out
    again = call("peer2", "openssl", "s_client", "-connect",
                 f"{https.ip}:8443", "-servername", domain, "-CAfile", acme.ca,
                 "-verify_return_error")
    assert "Verify return code: 0" in again.out, again.err


def test_a_short_name_is_completed(acme, https, call):
    client = call("peer", "openssl", "s_client", "-connect",
                  f"{https.ip}:8443", "-servername", "web", "-CAfile", acme.ca)
    assert f"CN = {name_of(https)}" in client.out, client.out


def test_plain_text_is_no_tls(https, call):
    client = call("peer", "python3", "-c", f"""
import socket
s = socket.create_connection(("{https.ip}", 8443))
s.sendall(b"GET / HTTP/1.0\r\n\r\n")
print(s.recv(100))""")
    assert "200" not in client.out, client.out


def test_bytes_both_ways_in_order(acme, node, call):
    """More than all buffers, from a peer who is slow to read; then his end."""
    program = node("python3", app("echo_server.py"), "7000",
                   env={"TSNET_LISTEN_TLS": "7000"}).wait_listening(7000)
    client = call("peer", "python3", "-c", f"""
import hashlib, os, socket, ssl, threading, time
context = ssl.create_default_context(cafile="{acme.ca}")
s = context.wrap_socket(socket.create_connection(("{program.ip}", 7000)),
                        server_hostname="{name_of(program)}")
data = os.urandom(1 << 16) * 128
threading.Thread(target=s.sendall, args=(data,), daemon=True).start()
got = b""
while len(got) < len(data):
    if len(got) < 1 << 20:
        time.sleep(0.01)
    more = s.recv(65536)
    assert more
    got += more
print(got == data, s.version())
s.unwrap()
""")
    assert client.out == "True TLSv1.3\n", client.err + program.log


def test_a_session_is_taken_up(acme, https, call):
    """By a stock client, on another connection."""
    client = call("peer", "python3", "-c", f"""
import socket, ssl
context = ssl.create_default_context(cafile="{acme.ca}")
session = None
for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
    context.minimum_version = context.maximum_version = version
    session = None
    for i in range(3):
        s = context.wrap_socket(
            socket.create_connection(("{https.ip}", 8443)),
            server_hostname="{name_of(https)}", session=session)
        s.sendall(b"GET /page HTTP/1.0\\r\\n\\r\\n")
        got = b""
        while more := s.recv(65536):
            got += more
        assert got.endswith(b"plain inside " * 40000)
        print(s.session_reused)
        session = s.session
        s.unwrap()
""")
    assert client.out.split() == ["False", "True", "True"] * 2, client.err


LAST_WORDS = """
import os, socket, sys
listener = socket.create_server(("0.0.0.0", 7000))
conn, peer = listener.accept()
if sys.argv[1] == "asked":
    conn.recv(1)
conn.sendall(b"x" * (1 << 20))
os._exit(0)
"""


@pytest.mark.skipif(bool(SANITIZERS),
                    reason="a stock program has no sanitizer runtime")
@pytest.mark.parametrize("when", ["asked", "unasked"])
def test_what_was_written_at_the_end_arrives(acme, node, call, when):
    """The node is in the program, and ends with it."""
    program = node("python3", "-c", LAST_WORDS, when,
                   options=["--in-process"], env={"TSNET_LISTEN_TLS": "7000"})
    wait_until(lambda: "is served" in program.log, "the listener")
    client = call("peer", "python3", "-c", f"""
import socket, ssl, time
context = ssl.create_default_context(cafile="{acme.ca}")
s = context.wrap_socket(socket.create_connection(("{program.ip}", 7000)),
                        server_hostname="{name_of(program)}",
                        suppress_ragged_eofs=False)
s.sendall(b"!")
count = 0
while more := s.recv(65536):
    count += len(more)
    time.sleep(0.005)
print(count, s.version())
""")
    assert client.out == f"{1 << 20} TLSv1.3\n", client.err + program.log


@needs("curl")
def test_its_own_programs_reach_it_too(acme, node):
    """By the relay of one host: no packet is made."""
    program = node("sh", "-c", f"""
echo plain inside >page
python3 -u -m http.server 8443 >server 2>&1 &
trap "kill $!" EXIT
until curl -sS --cacert {acme.ca} https://web.lab.ts.net:8443/page; do
        sleep 0.1
done
sleep 300""", env={"TSNET_LISTEN_TLS": "8443"})
    wait_until(lambda: program.out == "plain inside\n", "the page")
    with open(os.path.join(program.dir, "server"), encoding="ascii") as f:
        assert f"{program.ip} - - " in f.read()


def test_a_certificate_that_cannot_be_had(acme, node, call):
    """The client is told by an alert, soon."""
    acme.script["order"] = lambda server: problem(403, "rejectedIdentifier",
                                                  "no")
    https = serve_https(node)
    domain = name_of(https)
    client = call("peer", "openssl", "s_client", "-connect",
                  f"{https.ip}:8443", "-servername", domain)
    assert "alert" in client.err and "BEGIN CERT" not in client.out, client.err
    assert "rejectedIdentifier" in https.log
    assert acme.steps().count("order") == 1
