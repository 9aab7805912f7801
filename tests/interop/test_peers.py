"""Both ways between programs under tsrun and the real peers, over a direct path
and over the relay alone."""
import base64
import json
import os
import subprocess

import pytest

from conftest import (PEER_ENV, Tailscaled, TsnetPeer, accepts, path_to,
                      start_ours, tailscale, wait_path)
from harness import CLEAN_ENV, wait_until

PAGE = "<p>from a stock web server</p>\n"


# Joining a tailnet takes some servers seconds: who only serves joins it once.

@pytest.fixture(scope="module")
def page(tmp_path_factory):
    directory = tmp_path_factory.mktemp("page")
    (directory / "index.html").write_text(PAGE)
    return directory


@pytest.fixture(scope="module")
def tsnet_server(control, tmp_path_factory):
    """Serves HTTP at port 80, as "gosrv"."""
    peer = TsnetPeer(control, tmp_path_factory.mktemp("tsnet"), "gosrv",
                     "serve")
    try:
        peer.ip = peer.wait_up()
        yield peer
    finally:
        peer.close()


@pytest.fixture(scope="module")
def tailscaled(control, tmp_path_factory):
    daemon = Tailscaled(control, tmp_path_factory.mktemp("tailscaled"), "tsd")
    yield daemon
    daemon.close()


@pytest.fixture(scope="module")
def web(control, page, path, tmp_path_factory):
    """A stock web server of ours, port 8080, up; its name has the path."""
    program = start_ours(control, tmp_path_factory.mktemp("web"),
                         f"web-{path}", "python3", "-u", "-m", "http.server",
                         "8080", "--directory", str(page), path=path,
                         options=["--listen", "tailnet"])
    try:
        program.wait_running()
        wait_until(lambda: "Serving" in program.out, "http.server to serve")
        yield program
    finally:
        program.close()


def our_ip(program):
    return program.cli("ip").stdout.split()[0]


# The node must be there before curl, to find the path, and after it, to tell.
CURL = """while [ ! -e go ]; do sleep 0.05; done
curl -sS --max-time 60 "$@"; echo $? >status
while [ -e go ]; do sleep 0.05; done"""


def curl(ours, hostname, path, ip, *argv):
    """A stock curl of ours that goes that way; its output."""
    client = ours(hostname, "sh", "-c", CURL, "curl", *argv, path=path)
    go, status = (os.path.join(client.dir, n) for n in ("go", "status"))
    client.wait_running()
    wait_path(client, ip, path)
    with open(go, "w", encoding="utf-8"):
        pass
    wait_until(lambda: os.path.exists(status) and os.path.getsize(status),
               "curl", 70)
    assert path_to(client, ip) == path
    os.unlink(go)
    assert client.wait(20) == 0
    with open(status, encoding="utf-8") as f:
        assert f.read() == "0\n", client.err + client.log[-3000:]
    return client.out


def test_curl_to_tsnet(ours, tsnet_server, path):
    """curl under tsrun -> HTTP server in a tsnet program"""
    ip = tsnet_server.ip
    out = curl(ours, f"laptop-{path}", path, ip, f"http://{ip}/")
    assert out == f"hello laptop-{path} from tsnet\n"


def test_curl_to_tsnet_by_name(ours, tsnet_server, path):
    """the same by MagicDNS name"""
    out = curl(ours, f"laptop2-{path}", path, tsnet_server.ip, "http://gosrv/")
    assert out == f"hello laptop2-{path} from tsnet\n"


def test_upload_to_tsnet(ours, tsnet_server, path, tmp_path):
    """20 MB from curl to tsnet"""
    blob = tmp_path / "blob"
    blob.write_bytes(bytes(range(256)) * 80_000)
    out = curl(ours, f"laptop3-{path}", path, tsnet_server.ip,
               f"http://{tsnet_server.ip}/", "-T", str(blob), "-X", "POST")
    assert out == f"took {blob.stat().st_size} bytes\n"


def test_tsnet_to_web(control, web, keep, path, tmp_path):
    """tsnet program -> stock web server under tsrun"""
    client = keep(TsnetPeer(control, tmp_path / "go", f"goclient-{path}", "get",
                            path, f"http://{our_ip(web)}:8080/"))
    assert client.wait() == 0, client.log[-3000:]
    assert PAGE in client.log
    assert f"path {path}" in client.log


def test_curl_to_tailscaled(ours, tailscaled, page, path):
    """curl under tsrun -> HTTP server behind tailscaled"""
    server = subprocess.Popen(
        ["python3", "-u", "-m", "http.server", "8081", "--bind", "127.0.0.1",
         "--directory", str(page)], stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL, env=CLEAN_ENV)
    try:
        wait_until(lambda: accepts(8081), "http.server")
        ip = tailscaled.ip
        out = curl(ours, f"laptop4-{path}", path, ip, f"http://{ip}:8081/")
    finally:
        server.terminate()
        server.wait()
    assert out == PAGE


def test_tailscaled_to_web(web, tailscaled, path):
    """through tailscaled -> stock web server under tsrun"""
    wait_path(web, tailscaled.ip, path)
    result = subprocess.run(
        ["curl", "-sS", "--max-time", "30", "-x",
         f"socks5://127.0.0.1:{tailscaled.socks}",
         f"http://{our_ip(web)}:8080/"],
        capture_output=True, text=True, env=PEER_ENV, timeout=60)
    assert result.stdout == PAGE, result.stderr + web.log[-2000:]
    assert path_to(web, tailscaled.ip) == path


def test_tailscaled_pings_us(web, tailscaled, path):
    """tailscale ping (disco, TSMP, ICMP) from tailscaled to us"""
    wait_path(web, tailscaled.ip, path)
    for kind in ([], ["--tsmp"], ["--icmp"]):
        out = tailscaled.cli("ping", "-c", "2", "--timeout=5s",
                             "--until-direct=false", *kind, our_ip(web))
        assert f"pong from web-{path}" in out, out + web.log[-2000:]
        # Of a disco ping alone it says which way the pong came.
        if not kind:
            last = out.strip().splitlines()[-1]
            assert ("via DERP" in last) == (path == "derp"), out


def test_stock_cli_on_our_localapi(web, tailscaled, path):
    """stock tailscale status, ip, whois, ping on our LocalAPI"""
    peer = tailscaled.ip

    def ask(*args):
        result = tailscale(web.localapi, *args)
        assert result.returncode == 0, f"{args}: {result.stdout}{result.stderr}"
        return result.stdout

    wait_path(web, peer, path)
    status = ask("status")
    assert our_ip(web) in status and f"web-{path}" in status and "tsd" in status
    assert ask("ip", "-4").strip() == our_ip(web)
    assert ask("ip", "-4", "tsd").strip() == peer
    whois = ask("whois", peer)
    assert "tsd" in whois
    pong = ask("ping", "-c", "2", "--timeout=5s", "--until-direct=false", peer)
    assert "pong from tsd" in pong
    pong = ask("ping", "-c", "2", "--timeout=5s", "--until-direct=false",
               "--size=1200", peer)
    assert "pong from tsd" in pong
    assert "'size' is 8972" in tailscale(
        web.localapi, "ping", "-c", "1", "--size=9000", peer).stderr
    machine = json.loads(ask("status", "--json"))
    assert machine["BackendState"] == "Running"


def entries(path):
    with open(path, encoding="utf-8") as f:
        return {k: base64.b64decode(v) for k, v in json.load(f).items()}


def add_profile(path):
    """Another login, and an entry that nobody knows."""
    held = entries(path)
    profiles = json.loads(held["_profiles"])
    profiles["ffff"] = {"ID": "ffff", "Key": "profile-ffff",
                        "Name": "somebody else", "NodeID": "other",
                        "ControlURL": "https://elsewhere.example",
                        "UserProfile": {"ID": 77, "LoginName": "x@example.com"}}
    held.update({"_profiles": json.dumps(profiles).encode(),
                 "profile-ffff": b"{}", "_newer": b"\x00"})
    with open(path, "w", encoding="utf-8") as f:
        json.dump({k: base64.b64encode(v).decode() for k, v in held.items()}, f)


def test_our_state_is_tsnets(control, ours, keep, tmp_path):
    """state written by us, opened by tsnet, and by us again"""
    def up():
        program = ours("maker", "sleep", "60").wait_running()
        own = json.loads(program.cli("--json", "status").stdout)["Self"]
        program.stop()
        return program.state, (own["TailscaleIPs"][0], own["PublicKey"])

    state, first = up()
    path = os.path.join(state, "tailscaled.state")
    add_profile(path)
    peer = keep(TsnetPeer(control, tmp_path / "go", "maker", "up", state=state))
    ip = peer.wait_up()
    line = next(x for x in peer.log.splitlines() if x.startswith("up "))
    assert peer.wait() == 0, peer.log[-2000:]
    assert (ip, line.split()[2]) == first
    assert up()[1] == first
    held = entries(path)
    assert json.loads(held["_profiles"])["ffff"]["Name"] == "somebody else"
    assert held["profile-ffff"] == b"{}" and held["_newer"] == b"\x00"


def test_tsnet_state_is_ours(control, ours, keep, tmp_path):
    """state written by tsnet, opened by us, and by tsnet again"""
    state = tmp_path / "moved" / "state"
    state.mkdir(parents=True)

    def tsnet_up():
        peer = TsnetPeer(control, tmp_path / "go", "mover", "up", state=state)
        ip = peer.wait_up()
        key = next(x for x in peer.log.splitlines()
                   if x.startswith("up ")).split()[2]
        assert peer.wait() == 0, peer.log[-2000:]
        peer.close()
        (tmp_path / "go" / "mover.log").unlink()
        return ip, key

    first = tsnet_up()
    program = ours("moved", "sleep", "60",
                   options=["--state", str(state), "--hostname", "mover"])
    program.state = str(state)
    program.wait_running()
    own = json.loads(program.cli("--json", "status").stdout)["Self"]
    assert (own["TailscaleIPs"][0], own["PublicKey"]) == first
    program.stop()
    assert tsnet_up() == first
