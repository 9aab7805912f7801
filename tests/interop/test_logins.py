"""Logins that Headscale ends and asks for anew; and the stock client against
the scripted API server of tests/e2e, which so is shown to be asked for keys as
ours asks it."""
import json
import re

import pytest

from auth_server import (CLIENT_SECRET, EXCHANGE, KEYS, TOKEN, AuthServer)
from conftest import (PEER_ENV, PEERS, Daemon, Headscale, LabControl, free_port,
                      start_ours, tailscale, wait_until)
from harness import Lab, Program


@pytest.fixture(scope="module")
def headscale(derper, tmp_path_factory):
    server = Headscale(tmp_path_factory.mktemp("headscale"), derper)
    yield server
    server.close()


def nodes(headscale):
    return json.loads(headscale.cli("nodes", "list", "-o", "json"))


def node(headscale, name):
    found = [n for n in nodes(headscale) if n["given_name"] == name]
    return found[0] if found else None


def test_headscale_expires_our_key(headscale, tmp_path, keep):
    """our key expires, and we log in again with the auth key"""
    program = keep(start_ours(headscale, tmp_path, "expires", "sleep", "60"))
    program.wait_running()
    before = node(headscale, "expires")
    headscale.cli("nodes", "expire", "-i", before["id"], "--force")
    wait_until(lambda: node(headscale, "expires")["node_key"] !=
               before["node_key"], "a new node key", 60)
    program.wait_running()
    after = node(headscale, "expires")
    assert after["id"] == before["id"]
    assert after["ip_addresses"] == before["ip_addresses"]


def test_headscale_is_asked_for_a_person(headscale, tmp_path, keep):
    """login by the server's page, at first and after our key has expired"""
    program = keep(Program(headscale, tmp_path, "person", "sleep", "90",
                           key=None))
    program.close = lambda: program.process.poll() is None and program.stop()

    def approve(count):
        urls = wait_until(
            lambda: (u := re.findall(r"visit (\S+)", program.log)) and
            len(u) == count and u, "the address", 60)
        headscale.cli("nodes", "register", "--user", headscale.user, "--key",
                      urls[-1].rpartition("/")[2])
    approve(1)
    program.wait_running()
    before = node(headscale, "person")
    headscale.cli("nodes", "expire", "-i", before["id"], "--force")
    wait_until(lambda: program.status().get("BackendState") == "NeedsLogin",
               "the state", 60)
    approve(2)
    wait_until(lambda: node(headscale, "person")["node_key"] !=
               before["node_key"], "a new node key", 60)
    program.wait_running()


def test_headscale_and_a_forced_login(headscale, tmp_path, keep):
    """TSNET_FORCE_LOGIN: a new key for the same node"""
    program = keep(start_ours(headscale, tmp_path, "forced", "sleep", "60"))
    program.wait_running()
    before = node(headscale, "forced")
    program.stop()
    again = keep(start_ours(headscale, tmp_path, "forced", "sleep", "60",
                            env={"TSNET_FORCE_LOGIN": "1"}))
    again.wait_running()
    after = node(headscale, "forced")
    assert after["node_key"] != before["node_key"]
    assert after["ip_addresses"] == before["ip_addresses"]


# -- the scripted API server and the stock client ---------------------------------

@pytest.fixture
def api(tmp_path, keep):
    directory = tmp_path / "lab"
    directory.mkdir()
    lab = keep(Lab(directory))
    server = keep(AuthServer(str(directory), lab))
    server.control = LabControl(lab)
    return server


def stock_login(api, tmp_path, keep, *options):
    """tailscale up, to its end; what was asked of the API server."""
    directory = tmp_path / "stock"
    directory.mkdir()
    sock = directory / "tailscaled.sock"
    env = dict(PEER_ENV, SSL_CERT_FILE=api.cert)
    keep(Daemon(directory, "stock", f"{PEERS}/tailscaled",
                "--tun=userspace-networking", f"--statedir={directory}",
                f"--socket={sock}", "--port=0",
                f"--socks5-server=127.0.0.1:{free_port()}", env=env))
    wait_until(sock.exists, "tailscaled's socket")
    result = tailscale(sock, "up", "--hostname=stock", "--accept-dns=false",
                       "--netfilter-mode=off", "--advertise-tags=tag:web",
                       "--timeout=40s", *options, env=env)
    assert result.returncode == 0, result.stdout + result.stderr
    asked, api.requests = api.requests, []
    return asked


def own_login(api, tmp_path, keep, *options, **env):
    program = Program(api.lab, tmp_path, "ours", "sleep", "60", key=None,
                      env={"SSL_CERT_FILE": api.cert, **env},
                      options=["--advertise-tags", "tag:web", *options])
    program.close = lambda: program.process.poll() is None and program.stop()
    keep(program)
    program.wait_running()
    asked, api.requests = api.requests, []
    return asked


def summary(asked):
    """What counts of each request that was taken."""
    return [(r.method, r.target, r.basic,
             r.headers.get("authorization"),
             r.form if r.path in (TOKEN, EXCHANGE) else json.loads(r.body))
            for r in asked]


def test_a_client_secret_as_the_stock_client(api, tmp_path, keep):
    """an OAuth client's requests are those of tailscale up"""
    secret = (f"{CLIENT_SECRET}?baseURL={api.url}&preauthorized=true&"
              "ephemeral=false")
    stock = stock_login(api, tmp_path, keep, f"--auth-key={secret}",
                        f"--login-server={api.control.url}")
    ours = own_login(api, tmp_path, keep, TS_CLIENT_SECRET=secret)
    assert [r.path for r in ours] == [TOKEN, KEYS]
    assert summary(ours) == summary(stock)


def test_an_identity_token_as_the_stock_client(api, tmp_path, keep):
    """workload identity federation's requests are those of tailscale up"""
    stock = stock_login(api, tmp_path, keep, "--client-id=client-1?"
                        "preauthorized=true", "--id-token=given.id.token",
                        f"--login-server={api.url}")
    ours = own_login(api, tmp_path, keep, "--control-url", api.url,
                     TS_CLIENT_ID="client-1?preauthorized=true",
                     TS_ID_TOKEN="given.id.token")
    assert [r.path for r in ours] == [EXCHANGE, KEYS]
    # The stock client tries an empty Basic header first.
    assert summary(ours)[-1] == summary(stock)[-1]
    assert summary(ours)[0][4] == summary(stock)[0][4]
