"""Datagrams and pings of stock programs, over the embedded tailnet."""
import json
import os
import re
import shutil
import subprocess

import pytest

from harness import SANITIZERS, needs, wait_until

APPS = os.path.join(os.path.dirname(__file__), "apps")
FAMILIES = pytest.mark.parametrize("family", [0, 1], ids=["v4", "v6"])


def app(name):
    return os.path.join(APPS, name)


def ips(lab, name):
    return lab.node(name)["ips"]


@pytest.fixture
def server(run):
    """A program that answers each datagram at 7000 with what it saw."""
    program = run("server", "python3", app("datagram_server.py"), "7000"
                  ).wait_running()
    wait_until(lambda: "bound" in program.out, "the server")
    return program


def talk(call, *args, hostname="client", **kwargs):
    client = call(hostname, "python3", app("datagram_client.py"), *args,
                  timeout=90, **kwargs)
    assert client.code == 0, client.err + client.log[-3000:]
    return json.loads(client.out)


# -- two programs ----------------------------------------------------------------

@FAMILIES
@pytest.mark.parametrize("how", ["unconnected", "connected"])
def test_a_datagram_and_its_answer(lab, server, call, how, family):
    said = talk(call, ips(lab, "server")[family], "7000", how)
    client_ip = ips(lab, "client")[family]
    assert said["from"] == [ips(lab, "server")[family], 7000]
    assert said["seen"]["from"][0] == client_ip
    assert said["seen"]["text"] == "hello"
    if how == "connected":
        assert said["own"] == said["seen"]["from"]
        assert said["peer"] == said["from"]


@FAMILIES
@pytest.mark.parametrize("how", ["unconnected", "connected"])
def test_our_own_address(lab, run, how, family):
    """Both programs on one node; the second one knows it when it is up."""
    program = run("both", "sh", "-c", f"""
python3 {app("datagram_server.py")} 7000 &
read go
exec python3 {app("datagram_client.py")} "$go" 7000 {how}
""", stdin=subprocess.PIPE).wait_running()
    own = ips(lab, "both")[family]
    program.process.stdin.write(own.encode() + b"\n")
    program.process.stdin.flush()
    line = wait_until(lambda: re.search(r"^{.*}$", program.out, re.M),
                      "the answer")
    said = json.loads(line.group(0))
    assert said["from"] == [own, 7000]
    assert said["seen"]["from"][0] == own


@pytest.mark.skipif(bool(SANITIZERS),
                    reason="a stock program has no sanitizer runtime")
@pytest.mark.parametrize("how", ["unconnected", "connected"])
def test_a_node_inside_the_program(lab, server, call, how):
    said = talk(call, server.ip, "7000", how, options=["--in-process"])
    assert said["from"] == [server.ip, 7000]
    assert said["seen"]["from"][0] == ips(lab, "client")[0]


@needs("ip")
def test_connections_change_networks(lab, server, call):
    """From the tailnet to the host's network and back, by one socket."""
    subprocess.run(["ip", "addr", "replace", "10.9.8.7/32", "dev", "lo"],
                   check=True)
    client = call("client", "python3", "-c", f"""
import socket
local = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
local.bind(("10.9.8.7", 7100))
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(20); local.settimeout(20)
for i in range(3):
    s.connect(("{server.ip}", 7000)); s.send(b"x")
    print(s.recvfrom(1000)[1][0], s.getsockname()[0])
    s.connect(("10.9.8.7", 7100)); s.send(b"y")
    print(local.recvfrom(100)[1][0], s.getsockname()[0])
""", timeout=60)
    own = ips(lab, "client")[0]
    assert client.out.splitlines() == [
        f"{server.ip} {own}", "10.9.8.7 10.9.8.7"] * 3, client.err


def test_a_group_of_sockets_shares_a_port(lab, run, call):
    """SO_REUSEPORT: a flow stays with one of them."""
    server = run("server", "python3", "-c", """
import os, socket
for i in range(3):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    s.bind(("0.0.0.0", 7000))
    if os.fork() == 0:
        while True:
            data, peer = s.recvfrom(100)
            s.sendto(b"%d" % i, peer)
print("bound", flush=True)
os.wait()
""").wait_running()
    wait_until(lambda: "bound" in server.out, "the group")
    client = call("client", "python3", "-c", f"""
import socket
seen = set()
for i in range(60):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(20)
    who = set()
    for again in range(3):
        s.sendto(b"x", ("{server.ip}", 7000))
        who.add(s.recvfrom(100)[0])
    assert len(who) == 1, who
    seen |= who
print(len(seen))
""", timeout=60)
    assert client.out == "3\n", client.err


def test_what_the_filter_forbids_is_dropped(lab, server, run):
    lab.command('filter [{"SrcIPs":["*"],"DstPorts":'
                '[{"IP":"*","Ports":{"First":7000,"Last":7000}}]}]')
    other = run("other", "python3", app("datagram_server.py"), "7001"
                ).wait_running()
    wait_until(lambda: "bound" in other.out, "the other server")
    client = run("client", "python3", "-c", f"""
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(0.5)
s.sendto(b"forbidden", ("{ips(lab, 'other')[0]}", 7001))
for i in range(40):
    s.sendto(b"allowed", ("{ips(lab, 'server')[0]}", 7000))
    try:
        print(s.recvfrom(1000)[1]); break
    except TimeoutError:
        pass
""")
    assert client.wait() == 0
    assert ips(lab, "server")[0] in client.out, client.err
    assert "from" not in other.out


def test_a_bound_own_address_is_the_tailnets_only(lab, run, call):
    server = run("server", "sh", "-c", "read ip; exec python3 "
                 f"{app('datagram_server.py')} 7000 $ip",
                 stdin=subprocess.PIPE).wait_running()
    own = ips(lab, "server")[0]
    server.process.stdin.write(own.encode() + b"\n")
    server.process.stdin.flush()
    wait_until(lambda: f"bound {own}" in server.out, "the server")
    said = talk(call, own, "7000", "unconnected")
    assert said["from"] == [own, 7000]


# -- one careful program ---------------------------------------------------------

PROBES = ["echo", "pktinfo", "segments", "batch", "large", "again", "fork"]


@pytest.fixture(scope="module")
def probe(tmp_path_factory):
    if not shutil.which("gcc"):
        pytest.skip("gcc not installed")
    program = tmp_path_factory.mktemp("probe") / "probe"
    subprocess.run(["gcc", "-std=gnu11", "-O1", "-g", "-Wall", "-Werror", "-o",
                    str(program), app("datagram_probe.c")], check=True)
    return str(program)


@FAMILIES
def test_probes(lab, run, probe, family):
    server = run("server", probe, "serve", "7000").wait_running()
    wait_until(lambda: "bound" in server.out, "the server")
    ip = ips(lab, "server")[family]
    script = "read own\n" + "".join(
        f"{probe} {name} {ip} 7000 $own && echo {name}\n" for name in PROBES
    ) + "".join(f"{probe} {name} {ip} 7009 && echo {name}\n"
                for name in ["refused", "errors"])
    client = run("client", "sh", "-c", script, stdin=subprocess.PIPE
                 ).wait_running()
    client.process.stdin.write(ips(lab, "client")[family].encode() + b"\n")
    client.process.stdin.close()
    client.wait(120)
    assert client.err == ""
    assert client.out.split() == PROBES + ["refused", "errors"]


# -- stock programs --------------------------------------------------------------

@needs("iperf3")
@FAMILIES
@pytest.mark.parametrize("reverse", [(), ("-R",)], ids=["forth", "back"])
def test_iperf3(lab, run, call, family, reverse):
    run("server", "iperf3", "-s").wait_running().wait_listening(5201)
    client = call("client", "iperf3", "-u", "-J", "-b", "20M", "-l", "1200",
                  "-t", "1", "-c", ips(lab, "server")[family], *reverse,
                  timeout=60)
    report = json.loads(client.out)
    assert "error" not in report, client.out
    assert report["end"]["sum"]["packets"] > 100
    assert report["end"]["sum"]["lost_percent"] < 50
    pair = report["start"]["connected"][0]
    assert pair["remote_host"] == ips(lab, "server")[family]
    assert pair["local_host"] == ips(lab, "client")[family]
    assert pair["remote_port"] == 5201


@needs("nc")
def test_netcat(lab, run, call):
    """A server that looks at the first datagram, then connects."""
    server = run("server", "sh", "-c", "echo pong | nc -u -l -p 7000 -q 3"
                 ).wait_running()
    client = call("client", "sh", "-c", "(echo ping; sleep 2) | "
                  f"nc -u -w 3 {server.ip} 7000", timeout=60)
    assert client.out == "pong\n"
    wait_until(lambda: server.out == "ping\n", "the ping")


@needs("socat")
def test_socat(lab, run, call):
    server = run("server", "socat", "UDP-LISTEN:7000,fork",
                 "SYSTEM:read x; echo $SOCAT_PEERADDR $x").wait_running()
    client = call("client", "sh", "-c", "(echo ping; sleep 1) | "
                  f"socat -t 2 - UDP:{server.ip}:7000", timeout=60)
    assert client.out == f"{ips(lab, 'client')[0]} ping\n"


@needs("dig")
def test_dig(lab, run, call):
    server = run("web", "sleep", "600").wait_running()
    name = lab.node("web")["name"].rstrip(".")
    client = call("client", "dig", "+short", "+notcp", "+tries=1", "+time=10",
                  "@100.100.100.100", name)
    assert client.out == server.ip + "\n"


@needs("node")
@FAMILIES
def test_node(lab, run, call, family):
    server = run("server", "node", app("datagram.js"), "serve", "7000"
                 ).wait_running()
    wait_until(lambda: "bound" in server.out, "the server")
    ip = ips(lab, "server")[family]
    client = call("client", "node", app("datagram.js"), ip, "7000")
    assert client.code == 0, client.err
    said = json.loads(client.out)
    assert said["peer"]["address"].removeprefix("::ffff:") == ip
    assert said["from"] == said["peer"]["address"]
    own = ips(lab, "client")[family]
    assert said["own"]["address"].removeprefix("::ffff:") == own
    assert said["text"].removeprefix("::ffff:") == own


def test_asyncio(lab, server, call):
    client = call("client", "python3", "-c", f"""
import asyncio
class Ask(asyncio.DatagramProtocol):
    def __init__(self, done): self.done = done
    def connection_made(self, transport): transport.sendto(b"x")
    def datagram_received(self, data, peer): self.done.set_result(peer)
    def error_received(self, err): self.done.set_result(err.errno)
async def ask(port):
    loop = asyncio.get_running_loop()
    done = loop.create_future()
    await loop.create_datagram_endpoint(
        lambda: Ask(done), remote_addr=("{server.ip}", port))
    return await asyncio.wait_for(done, 20)
for port in 7000, 7001:
    print(asyncio.run(ask(port)))
""", timeout=60)
    assert client.out.splitlines() == [f"('{server.ip}', 7000)", "111"]


@needs("mosh-server", "mosh-client")
def test_mosh(lab, run, call):
    server = run("server", "mosh-server", "new", "-p", "60001", "--", "sh",
                 env={"LC_ALL": "C.UTF-8"}).wait_running()
    key = wait_until(lambda: re.search(r"MOSH CONNECT 60001 (\S+)",
                                       server.out), "the server").group(1)
    client = call("client", "python3", app("terminal.py"), "mosh-client",
                  server.ip, "60001", timeout=60,
                  env={"MOSH_KEY": key, "LC_ALL": "C.UTF-8"})
    assert "answer-42" in client.out, client.out


# -- ping ------------------------------------------------------------------------

def ping(call, *args, hostname="client", wrap=()):
    client = call(hostname, *wrap, *args, timeout=60)
    return client.code, client.out + client.err


@needs("ping")
@FAMILIES
def test_ping(lab, server, call, family):
    ip = ips(lab, "server")[family]
    # "tsrun ping" is tsrun's own
    code, said = ping(call, "env", "ping", "-c", "3", "-i", "0.2", "-W", "10", ip)
    assert code == 0, said
    assert f"from {ip}: icmp_seq=3" in said
    assert "3 received" in said


@needs("ping")
def test_ping_by_name_from_our_address(lab, server, run):
    client = run("client", "sh", "-c", "read ip; ping -c 1 -W 10 -I $ip server",
                 stdin=subprocess.PIPE).wait_running()
    client.process.stdin.write(ips(lab, "client")[0].encode() + b"\n")
    client.process.stdin.close()
    assert client.wait() == 0, client.out + client.err
    assert f"({server.ip}): icmp_seq=1" in client.out
    assert f"from {ips(lab, 'client')[0]}" in client.out


@needs("ping")
def test_ping_of_nobody_and_of_the_host(server, call):
    code, said = ping(call, "sh", "-c", "ping -c 1 -W 1 100.99.99.99 || "
                      "ping -c 1 127.0.0.1")
    assert code == 0 and "from 127.0.0.1: icmp_seq=1" in said
    assert "from 100.99.99.99" not in said


@needs("fping")
def test_fping(lab, server, call):
    both = ips(lab, "server")
    code, said = ping(call, "fping", "-c", "2", "-p", "100", "-t", "5000",
                      *both)
    assert code == 0, said
    for ip in both:
        assert re.search(rf"{re.escape(ip)} +: xmt/rcv/%loss = 2/2/0%", said)


@needs("ping", "setpriv")
@pytest.mark.skipif(os.geteuid() != 0, reason="changes users")
def test_who_may_not_ping_can_ping_the_tailnet(lab, server, call, tmp_path):
    """Without capabilities, nor those of the file, which ld.so would mind."""
    copy = os.path.join(str(tmp_path), "ping")
    shutil.copyfile(shutil.which("ping"), copy)
    for path in (str(tmp_path), copy):
        os.chmod(path, 0o755)
    code, said = ping(call, copy, "-c", "1", "-W", "10", server.ip,
                      wrap=("setpriv", "--reuid", "65534", "--regid", "65534",
                            "--clear-groups"))
    assert code == 0, said
    assert f"from {server.ip}: icmp_seq=1" in said
