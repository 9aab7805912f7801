"""tsnet.h: listeners behind TLS, and for the internet."""
import json
import subprocess

import pytest

from acme_server import AcmeServer
from c_programs import build  # noqa: F401, pylint: disable=unused-import
from harness import CLEAN_ENV, PATIENCE, needs, stop, wait_until

pytestmark = needs("gcc", "curl", "openssl")
NAME = "web.lab.ts.net"
PORTS = "https://tailscale.com/cap/funnel-ports?ports=443,8443,10000"
INGRESS = "https://tailscale.com/cap/ingress"


# pylint: disable=redefined-outer-name
@pytest.fixture
def acme(lab, tmp_path):
    server = AcmeServer(tmp_path / "acme", lab)
    yield server
    server.close()


@pytest.fixture
def start(build, lab, acme, tmp_path):
    """start(SOURCE, *ARGS) runs it; what it says is in tmp_path/out."""
    processes = []

    def go(source, *args, library="tsnet", **env):
        program = build(source, library)
        with open(tmp_path / "out", "ab") as out, \
                open(tmp_path / "err", "ab") as err:
            processes.append(subprocess.Popen(
                [program, *args], stdin=subprocess.PIPE, stdout=out,
                stderr=err, cwd=tmp_path, env=dict(
                    CLEAN_ENV, **acme.env, TS_CONTROL_URL=lab.url,
                    TS_AUTHKEY="key-alice",
                    TSNET_STATE_DIR=str(tmp_path / "state"), **env)))
        return processes[-1]
    yield go
    for process in processes:
        stop(process)
        process.stdin.close()


@pytest.fixture
def said(tmp_path):
    def read(text, process):
        def has_said():
            assert process.poll() is None, (tmp_path / "err").read_text()
            return text in (tmp_path / "out").read_text()
        wait_until(has_said, f"the program to say {text}")
    return read


def let_funnel(lab, name):
    """It may be reached from the internet, by the node "ingress"."""
    for cap in ("funnel", PORTS):
        lab.command(f"cap {name} {cap} []")
    everything = {"SrcIPs": ["*"], "DstPorts": [
        {"IP": "*", "Ports": {"First": 0, "Last": 65535}}]}
    grant = {"SrcIPs": [lab.node("ingress")["ips"][0]], "CapGrant": [
        {"Dsts": ["0.0.0.0/0", "::/0"], "CapMap": {INGRESS: None}}]}
    lab.command("filter " + json.dumps([everything, grant]))


# As an ingress does it: a request to the PeerAPI, then the client's bytes.
VISIT = """
import socket, ssl, sys
s = socket.create_connection(("{ip}", {port}), 20)
s.sendall(b"POST /v0/ingress HTTP/1.1\\r\\nHost: {ip}:{port}\\r\\n"
          b"Tailscale-Ingress-Src: 203.0.113.9:4444\\r\\n"
          b"Tailscale-Ingress-Target: {name}:443\\r\\n"
          b"Content-Length: 0\\r\\n\\r\\n")
head = b""
while b"\\r\\n\\r\\n" not in head:
    got = s.recv(1)
    if not got:
        break
    head += got
print(head.split(b"\\r\\n")[0].decode())
if b" 101 " in head:
    s = ssl.create_default_context(cafile="{ca}").wrap_socket(
        s, server_hostname="{name}")
    s.sendall(b"GET / HTTP/1.1\\r\\nHost: {name}\\r\\n\\r\\n")
    while data := s.recv(4096):
        sys.stdout.write(data.decode())
"""


def visit(run, lab, acme, name="web", target=NAME):
    node = lab.node(name)
    port = next(s["Port"] for s in node["hostinfo"]["Services"]
                if s["Proto"] == "peerapi4")
    client = run("ingress", "python3", "-c", VISIT.format(
        ip=node["ips"][0], port=port, name=target, ca=acme.ca), key="key-bob")
    client.wait(2 * PATIENCE)
    return client.out


def test_https_of_the_tailnet(start, said, run, acme, lab):
    server = start("examples/web_server.c")
    said(f"https://{NAME}/\n", server)
    client = run("client", "curl", "-sS", "--max-time", "30", "--cacert",
                 acme.ca, f"https://{NAME}/")
    client.wait(2 * PATIENCE)
    ip = lab.node("client")["ips"][0]
    assert client.out.startswith(f"hello {ip}:"), client.err
    assert client.out.endswith(", of this tailnet\n")
    assert acme.steps().count("finalize") == 1
    # no other name, and no plain text
    other = run("other", "sh", "-c",
                f"curl -sSk --max-time 30 https://{lab.node('web')['ips'][0]}/;"
                f" echo $?; printf 'GET / HTTP/1.0\\r\\n\\r\\n' | "
                f"busybox nc -w 5 {NAME} 443 | grep -c hello")
    other.wait(2 * PATIENCE)
    assert other.out.split() == ["35", "0"], other.err


def test_https_of_the_internet(start, said, run, acme, lab):
    run("ingress", "true", key="key-bob", options=["--wait"]).wait()
    server = start("tests/e2e/apps/api_funnel.c", "wait")
    said("up\n", server)
    let_funnel(lab, "web")
    server.stdin.write(b"\n")
    server.stdin.flush()
    said("listening\n", server)
    wait_until(lambda: lab.node("web")["hostinfo"].get("IngressEnabled"),
               "the server to hear of it")
    assert visit(run, lab, acme).split("\r\n\r\n")[-1] == \
        "funnel 203.0.113.9:4444\n"
    # the tailnet as well
    client = run("client", "curl", "-sS", "--max-time", "30", "--cacert",
                 acme.ca, f"https://{NAME}/")
    client.wait(2 * PATIENCE)
    assert client.out.startswith(
        f"funnel {lab.node('client')['ips'][0]}:"), client.err
    # for the internet alone
    server.stdin.write(b"\n")
    server.stdin.flush()
    said("only\n", server)
    client = run("late", "curl", "-sS", "--max-time", "30", "--cacert",
                 acme.ca, f"https://{NAME}/")
    assert client.wait(2 * PATIENCE) == 7, client.err + client.out
    assert "only 203.0.113.9:4444" in visit(run, lab, acme)
    # and taken back
    server.stdin.write(b"\n")
    server.stdin.flush()
    said("gone\n", server)
    assert " 403 " in visit(run, lab, acme) + " "
    server.stdin.write(b"\n")
    server.stdin.flush()
    assert server.wait(PATIENCE) == 0


def test_tls_of_the_programs_own(start, said, run, acme, lab):
    """What the internet sends comes as it is."""
    run("ingress", "true", key="key-bob", options=["--wait"]).wait()
    server = start("tests/e2e/apps/api_funnel.c", "raw")
    said("up\n", server)
    let_funnel(lab, "web")
    server.stdin.write(b"\n")
    server.stdin.flush()
    said("listening\n", server)
    wait_until(lambda: lab.node("web")["hostinfo"].get("IngressEnabled"),
               "the server to hear of it")
    visit(run, lab, acme)
    said("first byte 22\n", server)


# Says how many of 100 of one address stay, and of 10 of another.
MANY = '''
import socket
def bring(src):
    s = socket.create_connection(("%(ip)s", %(port)d), 20)
    s.sendall(("POST /v0/ingress HTTP/1.1\\r\\nHost: peer\\r\\n"
               f"Tailscale-Ingress-Src: {src}\\r\\n"
               "Tailscale-Ingress-Target: %(name)s:443\\r\\n"
               "Content-Length: 0\\r\\n\\r\\n").encode())
    try:
        while not s.recv(1000).endswith(b"\\r\\n\\r\\n"):
            pass
    except ConnectionResetError:
        pass
    return s
def stays(s):
    s.setblocking(False)
    try:
        return s.recv(1) != b""
    except BlockingIOError:
        return True
    except ConnectionResetError:
        return False
first = [bring(f"203.0.113.9:{1000 + i}") for i in range(100)]
others = [bring(f"203.0.113.10:{1000 + i}") for i in range(10)]
print(sum(map(stays, first)), sum(map(stays, others)))
'''


def test_who_is_not_accepted_waits_in_small_numbers(start, said, run, acme,
                                                    lab):
    run("ingress", "true", key="key-bob", options=["--wait"]).wait()
    server = start("tests/e2e/apps/api_funnel.c", "raw")
    said("up\n", server)
    let_funnel(lab, "web")
    server.stdin.write(b"\n")
    server.stdin.flush()
    said("listening\n", server)
    wait_until(lambda: lab.node("web")["hostinfo"].get("IngressEnabled"),
               "the server to hear of it")
    visit(run, lab, acme)
    said("first byte 22\n", server)  # and it accepts no more
    node = lab.node("web")
    client = run("ingress", "python3", "-c", MANY % {
        "ip": node["ips"][0], "name": NAME, "port": next(
            s["Port"] for s in node["hostinfo"]["Services"]
            if s["Proto"] == "peerapi4")}, key="key-bob")
    assert client.wait(2 * PATIENCE) == 0, client.err
    assert client.out.split()[-2:] == ["64", "10"]


def test_what_may_not_be(start, lab, tmp_path):
    del lab
    server = start("tests/e2e/apps/api_funnel.c", "wrong")
    assert server.wait(2 * PATIENCE) == 0, (tmp_path / "err").read_text()


def test_funnel_of_libtailscale(start, said, run, acme, lab):
    """To a web server on loopback that knows nothing of all this."""
    run("ingress", "true", key="key-bob", options=["--wait"]).wait()
    server = start("tests/e2e/apps/libtailscale_funnel.c",
                   library="tailscale")
    said("up\n", server)
    let_funnel(lab, "web")
    server.stdin.write(b"\n")
    server.stdin.flush()
    said("open\n", server)
    wait_until(lambda: lab.node("web")["hostinfo"].get("IngressEnabled"),
               "the server to hear of it")
    assert visit(run, lab, acme).endswith("\r\n\r\nplain\n")
