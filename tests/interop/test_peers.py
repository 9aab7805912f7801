"""Both ways between programs under tsrun and the real peers."""
import json
import subprocess

import pytest

from conftest import PEER_ENV, Tailscaled, TsnetPeer, tailscale
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
    """A stock web server of ours, port 8080, up."""
    program = ours("web", "python3", "-u", "-m", "http.server", "8080",
                   "--directory", str(page), options=["--listen", "tailnet"])
    program.wait_running()
    wait_until(lambda: "Serving" in program.out, "http.server to serve")
    return program


def our_ip(program):
    return program.cli("ip").stdout.split()[0]


def curl(ours, hostname, url, *more, **kwargs):
    """A stock curl of ours; its output."""
    client = ours(hostname, "curl", "-sS", "--max-time", "30", "--retry", "15",
                  "--retry-all-errors", "--retry-delay", "1", *more, url,
                  **kwargs)
    assert client.wait(60) == 0, client.err + client.log[-3000:]
    return client.out


def test_curl_to_tsnet(control, ours, keep, tmp_path):
    """curl under tsrun -> HTTP server in a tsnet program"""
    server = keep(TsnetPeer(control, tmp_path / "go", "gosrv", "serve"))
    ip = server.wait_up()
    assert curl(ours, "laptop", f"http://{ip}/") == "hello laptop from tsnet\n"


def test_curl_to_tsnet_by_name(control, ours, keep, tmp_path):
    """the same by MagicDNS name"""
    server = keep(TsnetPeer(control, tmp_path / "go", "gosrv2", "serve"))
    server.wait_up()
    out = curl(ours, "laptop2", "http://gosrv2/")
    assert out == "hello laptop2 from tsnet\n"


def test_upload_to_tsnet_by_derper(control, ours, keep, tmp_path):
    """20 MB from curl to tsnet through derper only"""
    server = keep(TsnetPeer(control, tmp_path / "go", "gosrv3", "serve"))
    ip = server.wait_up()
    blob = tmp_path / "blob"
    blob.write_bytes(bytes(range(256)) * 80_000)
    out = curl(ours, "laptop3", f"http://{ip}/", "-T", str(blob), "-X", "POST",
               env={"TSNET_DIRECT": "no"})
    assert out == f"took {blob.stat().st_size} bytes\n"


def test_tsnet_to_web(control, web, keep, tmp_path):
    """tsnet program -> stock web server under tsrun"""
    client = keep(TsnetPeer(control, tmp_path / "go", "goclient", "get",
                            f"http://{our_ip(web)}:8080/"))
    assert client.wait() == 0, client.log[-3000:]
    assert PAGE in client.log


def test_curl_to_tailscaled(control, ours, keep, page, tmp_path):
    """curl under tsrun -> HTTP server behind tailscaled"""
    daemon = keep(Tailscaled(control, tmp_path / "ts1", "tsd1"))
    server = subprocess.Popen(
        ["python3", "-u", "-m", "http.server", "8081", "--bind", "127.0.0.1",
         "--directory", str(page)], stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL, env=CLEAN_ENV)
    try:
        out = curl(ours, "laptop4", f"http://{daemon.ip}:8081/")
    finally:
        server.terminate()
        server.wait()
    assert out == PAGE


def test_tailscaled_to_web(control, web, keep, tmp_path):
    """through tailscaled -> stock web server under tsrun"""
    daemon = keep(Tailscaled(control, tmp_path / "ts2", "tsd2"))
    result = subprocess.run(
        ["curl", "-sS", "--max-time", "30", "--retry", "15",
         "--retry-all-errors", "--retry-delay", "1", "-x",
         f"socks5://127.0.0.1:{daemon.socks}",
         f"http://{our_ip(web)}:8080/"],
        capture_output=True, text=True, env=PEER_ENV, timeout=60)
    assert result.stdout == PAGE, result.stderr + web.log[-2000:]


def test_tailscaled_pings_us(control, web, keep, tmp_path):
    """tailscale ping (disco, TSMP, ICMP) from tailscaled to us"""
    daemon = keep(Tailscaled(control, tmp_path / "ts3", "tsd3"))
    ip = our_ip(web)
    for kind in ([], ["--tsmp"], ["--icmp"]):
        out = daemon.cli("ping", "-c", "8", "--timeout=5s", "--until-direct=false", *kind, ip)
        assert "pong from web" in out, out + web.log[-2000:]


def test_stock_cli_on_our_localapi(control, web, keep, tmp_path):
    """stock tailscale status, ip, whois, ping on our LocalAPI"""
    daemon = keep(Tailscaled(control, tmp_path / "ts4", "tsd4"))
    peer = daemon.ip

    def ask(*args):
        result = tailscale(web.localapi, *args)
        assert result.returncode == 0, f"{args}: {result.stdout}{result.stderr}"
        return result.stdout

    wait_until(lambda: peer in ask("status"), "the peer in our netmap")
    status = ask("status")
    assert our_ip(web) in status and "web" in status and "tsd4" in status
    assert ask("ip", "-4").strip() == our_ip(web)
    assert ask("ip", "-4", "tsd4").strip() == peer
    whois = ask("whois", peer)
    assert "tsd4" in whois
    pong = ask("ping", "-c", "8", "--timeout=5s", "--until-direct=false", peer)
    assert "pong from tsd4" in pong
    pong = ask("ping", "-c", "8", "--timeout=5s", "--until-direct=false",
               "--size=1400", peer)
    assert "pong from tsd4" in pong
    assert "'size' is 8972" in tailscale(
        web.localapi, "ping", "-c", "1", "--size=9000", peer).stderr
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
