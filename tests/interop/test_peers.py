"""Both ways between programs under tsrun and the real peers, over a direct path
and over the relay alone."""
import json
import os
import subprocess

import pytest

from conftest import (PEER_ENV, Tailscaled, TsnetPeer, path_to, tailscale,
                      wait_path)
from harness import CLEAN_ENV, wait_until

PAGE = "<p>from a stock web server</p>\n"


@pytest.fixture
def page(tmp_path):
    directory = tmp_path / "page"
    directory.mkdir()
    (directory / "index.html").write_text(PAGE)
    return directory


@pytest.fixture
def web(ours, page):
    """Starts a stock web server of ours, port 8080, up."""
    def start(path):
        program = ours(f"web-{path}", "python3", "-u", "-m", "http.server",
                       "8080", "--directory", str(page), path=path,
                       options=["--listen", "tailnet"])
        program.wait_running()
        wait_until(lambda: "Serving" in program.out, "http.server to serve")
        return program
    return start


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


def test_curl_to_tsnet(control, ours, keep, path, tmp_path):
    """curl under tsrun -> HTTP server in a tsnet program"""
    server = keep(TsnetPeer(control, tmp_path / "go", f"gosrv-{path}", "serve"))
    ip = server.wait_up()
    out = curl(ours, f"laptop-{path}", path, ip, f"http://{ip}/")
    assert out == f"hello laptop-{path} from tsnet\n"


def test_curl_to_tsnet_by_name(control, ours, keep, path, tmp_path):
    """the same by MagicDNS name"""
    server = keep(TsnetPeer(control, tmp_path / "go", f"gosrv2-{path}",
                            "serve"))
    ip = server.wait_up()
    out = curl(ours, f"laptop2-{path}", path, ip, f"http://gosrv2-{path}/")
    assert out == f"hello laptop2-{path} from tsnet\n"


def test_upload_to_tsnet(control, ours, keep, path, tmp_path):
    """20 MB from curl to tsnet"""
    server = keep(TsnetPeer(control, tmp_path / "go", f"gosrv3-{path}",
                            "serve"))
    ip = server.wait_up()
    blob = tmp_path / "blob"
    blob.write_bytes(bytes(range(256)) * 80_000)
    out = curl(ours, f"laptop3-{path}", path, ip, f"http://{ip}/", "-T",
               str(blob), "-X", "POST")
    assert out == f"took {blob.stat().st_size} bytes\n"


def test_tsnet_to_web(control, web, keep, path, tmp_path):
    """tsnet program -> stock web server under tsrun"""
    server = web(path)
    client = keep(TsnetPeer(control, tmp_path / "go", f"goclient-{path}", "get",
                            path, f"http://{our_ip(server)}:8080/"))
    assert client.wait() == 0, client.log[-3000:]
    assert PAGE in client.log
    assert f"path {path}" in client.log


def test_curl_to_tailscaled(control, ours, keep, page, path, tmp_path):
    """curl under tsrun -> HTTP server behind tailscaled"""
    daemon = keep(Tailscaled(control, tmp_path / "ts1", f"tsd1-{path}"))
    server = subprocess.Popen(
        ["python3", "-u", "-m", "http.server", "8081", "--bind", "127.0.0.1",
         "--directory", str(page)], stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL, env=CLEAN_ENV)
    try:
        out = curl(ours, f"laptop4-{path}", path, daemon.ip,
                   f"http://{daemon.ip}:8081/")
    finally:
        server.terminate()
        server.wait()
    assert out == PAGE


def test_tailscaled_to_web(control, web, keep, path, tmp_path):
    """through tailscaled -> stock web server under tsrun"""
    server = web(path)
    daemon = keep(Tailscaled(control, tmp_path / "ts2", f"tsd2-{path}"))
    wait_path(server, daemon.ip, path)
    result = subprocess.run(
        ["curl", "-sS", "--max-time", "30", "-x",
         f"socks5://127.0.0.1:{daemon.socks}",
         f"http://{our_ip(server)}:8080/"],
        capture_output=True, text=True, env=PEER_ENV, timeout=60)
    assert result.stdout == PAGE, result.stderr + server.log[-2000:]
    assert path_to(server, daemon.ip) == path


def test_tailscaled_pings_us(control, web, keep, path, tmp_path):
    """tailscale ping (disco, TSMP, ICMP) from tailscaled to us"""
    server = web(path)
    daemon = keep(Tailscaled(control, tmp_path / "ts3", f"tsd3-{path}"))
    ip = our_ip(server)
    wait_path(server, daemon.ip, path)
    for kind in ([], ["--tsmp"], ["--icmp"]):
        out = daemon.cli("ping", "-c", "8", "--timeout=5s",
                         "--until-direct=false", *kind, ip)
        assert f"pong from web-{path}" in out, out + server.log[-2000:]
        # Of a disco ping alone it says which way the pong came.
        if not kind:
            last = out.strip().splitlines()[-1]
            assert ("via DERP" in last) == (path == "derp"), out


def test_stock_cli_on_our_localapi(control, web, keep, path, tmp_path):
    """stock tailscale status, ip, whois, ping on our LocalAPI"""
    server = web(path)
    daemon = keep(Tailscaled(control, tmp_path / "ts4", f"tsd4-{path}"))
    peer = daemon.ip

    def ask(*args):
        result = tailscale(server.localapi, *args)
        assert result.returncode == 0, f"{args}: {result.stdout}{result.stderr}"
        return result.stdout

    wait_path(server, peer, path)
    status = ask("status")
    assert our_ip(server) in status and f"web-{path}" in status and \
        f"tsd4-{path}" in status
    assert ask("ip", "-4").strip() == our_ip(server)
    assert ask("ip", "-4", f"tsd4-{path}").strip() == peer
    whois = ask("whois", peer)
    assert f"tsd4-{path}" in whois
    pong = ask("ping", "-c", "8", "--timeout=5s", "--until-direct=false", peer)
    assert f"pong from tsd4-{path}" in pong
    pong = ask("ping", "-c", "8", "--timeout=5s", "--until-direct=false",
               "--size=1200", peer)
    assert f"pong from tsd4-{path}" in pong
    assert "'size' is 8972" in tailscale(
        server.localapi, "ping", "-c", "1", "--size=9000", peer).stderr
    machine = json.loads(ask("status", "--json"))
    assert machine["BackendState"] == "Running"


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
