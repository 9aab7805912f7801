"""What a program asks about itself: interfaces, options, names."""
import json
import os
import shutil
import signal
import socket
import subprocess
import sys

import pytest

from harness import SANITIZERS, needs, wait_until

APPS = os.path.join(os.path.dirname(__file__), "apps")
TUN_FLAGS = 0x1 | 0x10 | 0x40 | 0x80 | 0x1000  # UP PTP RUNNING NOARP MULTICAST


def app(name):
    return os.path.join(APPS, name)


@pytest.fixture
def go(run):
    """Run a Python app once its node is up; its JSON."""
    def start(hostname, name, *args, timeout=None, **kwargs):
        program = run(hostname, "sh", "-c", 'read line; exec "$@"', "sh",
                      sys.executable, app(name), *args,
                      stdin=subprocess.PIPE, **kwargs)
        program.wait_running()
        program.process.stdin.write(b"go\n")
        program.process.stdin.close()
        return program

    def finish(*args, timeout=None, **kwargs):
        program = start(*args, **kwargs)
        assert program.wait(timeout) == 0, program.err
        program.seen = json.loads(program.out)
        return program
    finish.start = start
    return finish


def test_interfaces(go):
    program = go("self", "self_interfaces.py", "tailscale0")
    seen = program.seen
    v4, v6 = program.lab.node("self")["ips"]
    index = seen["index"]
    assert [index, "tailscale0"] == seen["names"][-1]
    assert seen["names"][0][1] == "lo" and len(seen["names"]) == 2
    assert seen["name"] == seen["ioctl_name"] == "tailscale0"
    assert seen["ioctl_index"] == index
    assert seen["flags"] == TUN_FLAGS
    assert (seen["addr"], seen["mask"]) == (v4, "255.255.255.255")
    assert (seen["mtu"], seen["hardware"]) == (1280, 0xfffe)
    assert seen["ifconf"] == [["lo", "127.0.0.1"], ["tailscale0", v4]]
    assert seen["ifconf_whole"] == 2 * 40
    assert seen["ifconf_short"] == [["lo", "127.0.0.1"]]
    rows = [row for row in seen["getifaddrs"] if row[0] == "tailscale0"]
    assert seen["getifaddrs"][-3:] == rows
    flags = TUN_FLAGS | 0x10000
    assert rows == [
        ["tailscale0", flags, f"link ({index}, 65534)", None, None, True],
        ["tailscale0", flags, v4, "255.255.255.255", v4, False],
        ["tailscale0", flags, v6,
         "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", None, False]]
    assert seen["unknown"] == ["ENODEV", "none", "none", "ENXIO"]


@pytest.fixture
def server(run):
    """Echoes; every connection inherits the listener's options."""
    return run("server", sys.executable, app("self_server.py"), "7000"
               ).wait_running().wait_listening(7000)


def check_mtu(info):
    """lo is a path of 9,000 bytes, which may have been found out or not."""
    assert info["pmtu"] in (1280, 8912, 8928)
    assert (info["snd_mss"], info["advmss"]) == (info["pmtu"] - 40, 8888)


def check_options(seen):
    info = seen["info"]
    assert info["state"] == "ESTABLISHED"
    check_mtu(info)
    assert 0 < info["rtt"] < 5_000_000 and 0 < info["rto"] < 60_000_000
    assert info["bytes_acked"] >= 100_000 and info["unacked"] == 0
    assert info["bytes_received"] >= 100_000
    assert info["snd_cwnd"] >= 2 and info["options"] & 1 == 0
    assert seen["native"]["pmtu"] > 9000  # a server on the host's loopback
    assert seen["short_info"] == [1, 7]
    assert seen["shut"] == ["FIN_WAIT1", "FIN_WAIT2"] or \
        seen["shut"] == ["FIN_WAIT2", "FIN_WAIT2"]
    assert seen["maxseg"] in (1240, 8872, 8888)
    assert seen["mtu"] == 1280  # the interface's: what datagrams pass whole
    assert seen["congestion"] == "bbr"
    assert seen["congestion_set"] == "cubic"
    assert seen["cc_info_len"] == 0
    assert seen["ip_options_len"] == 0
    assert seen["refused"] == {
        "TCP_CONGESTION cubic": "OK", "TCP_CONGESTION reno": "ENOENT",
        "IP_OPTIONS": "EINVAL", "IP_OPTIONS none": "OK",
        "TCP_MD5SIG": "ENOPROTOOPT", "TCP_REPAIR": "EPERM",
        "IP_MINTTL": "ENOPROTOOPT", "IP_TTL": "OK", "IP_TOS": "OK"}
    assert seen["kept"] == {"TCP_KEEPIDLE": 11, "TCP_KEEPINTVL": 12,
                            "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": 7654,
                            "SO_KEEPALIVE": 1, "TCP_NODELAY": 1}


def test_options_of_a_connection(server, go):
    check_options(go("client", "self_options.py", server.ip, "7000").seen)


def test_a_silent_peer_is_found_as_asked(server, run):
    client = run("client", sys.executable, app("self_dying.py"), server.ip,
                 "7000", stdin=subprocess.PIPE)
    wait_until(lambda: "ready" in client.out, "the connections")
    os.kill(server.process.pid, signal.SIGSTOP)
    try:
        client.process.stdin.write(b"go\n")
        client.process.stdin.close()
        assert client.wait(60) == 0, client.err
    finally:
        os.kill(server.process.pid, signal.SIGCONT)
    seen = json.loads(client.out.splitlines()[-1])
    timed_out = ["ETIMEDOUT", "b''"]
    assert seen == {"keepalive before": timed_out, "user timeout": timed_out,
                    "keepalive after": timed_out, "plain": "stands"}


def test_accepted_connections_inherit(run):
    server = run("server", sys.executable, app("self_server.py"), "7000",
                 "SO_KEEPALIVE=1", "TCP_KEEPIDLE=1", "TCP_KEEPINTVL=1",
                 "TCP_KEEPCNT=2").wait_running().wait_listening(7000)
    client = run("client", sys.executable, app("self_dying.py"), server.ip,
                 "7000", stdin=subprocess.PIPE)
    wait_until(lambda: "ready" in client.out, "the connections")
    wait_until(lambda: server.out.count("acknowledged") == 4, "their ACKs")
    os.kill(client.process.pid, signal.SIGSTOP)
    try:
        wait_until(lambda: server.out.count("lost ") == 4,
                   "the server to lose its connections")
    finally:
        os.kill(client.process.pid, signal.SIGCONT)
        client.process.stdin.close()


NODES = {"cubic": "bbr", "bbr": "cubic"}  # when this is chosen


def can_choose(name):
    with socket.socket() as s:
        try:
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION,
                         name.encode())
        except OSError:
            return False
    return True


each_choice = pytest.mark.parametrize("choice",
                                      [n for n in NODES if can_choose(n)])
CHOOSE = """
import socket, sys
chosen, plain = socket.socket(), socket.socket()
chosen.setsockopt(6, socket.TCP_CONGESTION, sys.argv[3].encode())
for s in chosen, plain:
    s.connect((sys.argv[1], int(sys.argv[2])))
    print(s.getsockopt(6, socket.TCP_CONGESTION, 16).rstrip(bytes(1)).decode())
    s.shutdown(socket.SHUT_WR)
    with s.makefile("rb") as f:
        f.read()  # until the server has seen its ACK
"""


def check_congestion(seen, choice):
    nodes = NODES[choice]
    assert seen == {
        "before": choice, "chosen": choice, "seen after exec": choice,
        "after another option": choice, "not chosen": nodes, "mapped": choice,
        "duplicate": choice, "connected after exec": choice,
        "chosen while it connects": choice, "not the tunnel's": nodes,
        "no such": "ENOENT", "no such after one": choice, "child": 0,
        "native": "reno"}


@each_choice
def test_chosen_congestion_reaches_the_tunnel(server, go, choice):
    client = go("client", "self_congestion.py", server.ip, "7000", choice,
                env={"TSNET_CONGESTION": NODES[choice]})
    check_congestion(client.seen, choice)


@pytest.mark.skipif(bool(SANITIZERS),
                    reason="a stock program has no sanitizer runtime")
@each_choice
def test_chosen_congestion_with_the_node_inside(server, run, choice):
    """It is chosen before there is a node."""
    client = run("client", sys.executable, "-c", CHOOSE, server.ip, "7000",
                 choice, options=("--in-process",),
                 env={"TSNET_CONGESTION": NODES[choice]})
    assert client.wait() == 0, client.err
    assert client.out.split() == [choice, NODES[choice]]


@each_choice
@pytest.mark.parametrize("options", [
    [], pytest.param(["--in-process"], marks=pytest.mark.skipif(
        bool(SANITIZERS), reason="a stock program has no sanitizer runtime"))])
def test_accepted_connections_have_the_listeners_congestion(run, call, choice,
                                                            options):
    server = run("server", sys.executable, app("self_server.py"), "7000",
                 f"TCP_CONGESTION={choice}", options=options,
                 env={"TSNET_CONGESTION": NODES[choice]}
                 ).wait_running().wait_listening(7000)
    client = call("client", sys.executable, "-c", CHOOSE, server.ip, "7000",
                  choice, env={"TSNET_CONGESTION": NODES[choice]})
    assert client.code == 0, client.err
    wait_until(lambda: server.out.count("acknowledged") == 2, "both ACKs")
    assert server.out.split() == ["acknowledged", choice] * 2


@needs("iperf3")
@each_choice
def test_iperf3_chooses(run, call, choice):
    env = {"TSNET_CONGESTION": NODES[choice]}
    run("server", "iperf3", "-s", "-p", "7000", env=env
        ).wait_running().wait_listening(7000)
    client = call("client", "iperf3", "-c", "server", "-p", "7000", "-n", "2M",
                  "-J", "-C", choice, env=env)
    assert client.code == 0, client.out
    end = json.loads(client.out)["end"]
    assert end["sender_tcp_congestion"] == choice
    assert end["receiver_tcp_congestion"] == choice


def test_names_in_every_state(server, go, run):
    client = run("client", "sh", "-c", 'read ip; exec "$@" "$ip" 7001', "sh",
                 sys.executable, app("self_names.py"), server.ip, "7000",
                 stdin=subprocess.PIPE).wait_running()
    own, host = client.ip, server.ip
    client.process.stdin.write(own.encode() + b"\n")
    client.process.stdin.close()
    assert client.wait() == 0, client.err
    assert json.loads(client.out) == {
        "unbound": [["0.0.0.0", 0], "ENOTCONN"],
        "wildcard": ["0.0.0.0", "ENOTCONN"],
        "loopback": ["127.0.0.1", "ENOTCONN"],
        "own": [[own, 5555], "ENOTCONN"],
        "own connected": [[own, 5555], [host, 7000]],
        "own seen": [own, 5555],
        "fixed port": [[own, 5556], [host, 7000]],
        "fixed port seen": [own, 5556],
        "connected": [own, [host, 7000]],
        "connected is seen": True,
        "after shutdown is": True,
        "unspec": ["0.0.0.0", "ENOTCONN"],
        "unspec again": [own, [host, 7000]],
        "refused": "ECONNREFUSED",
        "refused names": ["0.0.0.0", "ENOTCONN"],
        "listener": [[own, 7777], "ENOTCONN"],
        "accepted": True, "accepted peer": [own, True],
        "passed": True, "exec": True}


@pytest.mark.parametrize("user", [(), pytest.param(
    ("65534",), marks=pytest.mark.skipif(os.geteuid() != 0,
                                         reason="changes users"))])
def test_sockets_tied_to_the_interface(server, run, user):
    client = run("client", "sh", "-c", 'read ip; echo $ip | "$@"', "sh",
                 sys.executable, app("self_device.py"), server.ip, "7000",
                 *user, stdin=subprocess.PIPE).wait_running()
    client.process.stdin.write(client.ip.encode() + b"\n")
    client.process.stdin.close()
    assert client.wait() == 0, client.err
    assert json.loads(client.out) == {
        "name": "tailscale0", "index": True, "still": "tailscale0",
        "tailnet": "OK", "greeted": True, "host": "ENETUNREACH",
        "elsewhere": "ENETUNREACH", "unknown": "ENODEV", "none": "",
        "lo": ["lo", "OK"], "by index": ["tailscale0", "OK"],
        "listener": "tailscale0", "local client": "ECONNREFUSED",
        "accepted": "tailscale0", "late": True, "stranger": ""}


@pytest.fixture(scope="module")
def nonsense(tmp_path_factory):
    if not shutil.which("gcc"):
        pytest.skip("gcc not installed")
    program = tmp_path_factory.mktemp("self") / "nonsense"
    subprocess.run(["gcc", "-std=gnu11", "-O1", "-g", "-Wall", "-Werror",
                    "-Wno-nonnull", "-o", str(program),
                    app("self_nonsense.c")], check=True)
    return str(program)


def test_nonsense_is_answered_by_the_kernel(run, nonsense):
    """Bad pointers, lengths, descriptors and families, and storms of signals:
    what a program sees is what it sees without us."""
    plain = subprocess.Popen([nonsense, "serve", "7100"])
    try:
        wait_until(lambda: subprocess.run(
            ["bash", "-c", ": < /dev/tcp/127.0.0.1/7100"],
            stderr=subprocess.DEVNULL).returncode == 0, "the native server")
        native = subprocess.run([nonsense, "127.0.0.1", "7100", "127.0.0.1"],
                                capture_output=True, text=True, check=True,
                                timeout=120).stdout.splitlines()
    finally:
        plain.kill()
        plain.wait()
    server = run("server", nonsense, "serve", "7000").wait_running()
    server.wait_listening(7000)
    client = run("client", "sh", "-c", 'read ip; exec "$@" "$ip"', "sh",
                 nonsense, server.ip, "7000",
                 stdin=subprocess.PIPE).wait_running()
    client.process.stdin.write(client.ip.encode() + b"\n")
    client.process.stdin.close()
    code = client.wait(240)
    ours = client.out.splitlines()
    assert code == 0, (client.err, ours[-3:])
    differences = [f"{a} | {b}" for a, b in zip(native, ours) if a != b]
    assert not differences, "\n".join(differences[:40])
    assert len(native) == len(ours) > 30000


JAVA = """
import java.net.*;
public class Show {
    public static void main(String[] args) throws Exception {
        var it = NetworkInterface.getByName("tailscale0");
        var out = new java.util.TreeSet<String>();
        for (var a : it.getInterfaceAddresses())
            out.add(a.getAddress().getHostAddress().replaceAll("%.*", "")
                    + "/" + a.getNetworkPrefixLength());
        System.out.println(out + " " + it.isUp() + " " + it.isPointToPoint()
                           + " " + it.getMTU());
    }
}
"""
NODE = """
const it = require("os").networkInterfaces().tailscale0;
console.log(it.map(a => a.cidr).sort().join(" "));
"""
RUBY = """
require "socket"
puts Socket.getifaddrs.select { |i| i.name == "tailscale0" && i.addr.ip? }
  .map { |i| i.addr.ip_address }.sort.join(" ")
"""
PSUTIL = """
import psutil
print(sorted(a.address for a in psutil.net_if_addrs()["tailscale0"]
             if a.family.name.startswith("AF_INET")))
"""


@pytest.fixture
def shown(run, tmp_path):
    """shown(*argv): what it prints once the node is up, and its addresses."""
    def show(*argv):
        program = run("self", "sh", "-c", 'read line; exec "$@"', "sh", *argv,
                      stdin=subprocess.PIPE).wait_running()
        addresses = program.lab.node("self")["ips"]
        program.process.stdin.write(b"go\n")
        program.process.stdin.close()
        assert program.wait(90) == 0, program.err
        return program.out.strip(), addresses
    return show


@needs("node")
def test_node_shows_the_interface(shown):
    out, (v4, v6) = shown("node", "-e", NODE)
    assert out == f"{v4}/32 {v6}/128"


@needs("ruby")
def test_ruby_shows_the_interface(shown):
    out, (v4, v6) = shown("ruby", "-e", RUBY)
    assert out == f"{v4} {v6}"


@needs("java")
def test_java_shows_the_interface(shown, tmp_path):
    source = tmp_path / "Show.java"
    source.write_text(JAVA)
    out, (v4, _) = shown("java", str(source))
    # IPv6 addresses it reads from /proc/net/if_inet6.
    assert out == f"[{v4}/32] true true 1280"


@pytest.mark.skipif(subprocess.run(
    ["/usr/bin/python3", "-c", "import psutil"], check=False,
    stderr=subprocess.DEVNULL).returncode != 0, reason="psutil not installed")
def test_psutil_shows_the_interface(shown):
    out, addresses = shown("/usr/bin/python3", "-c", PSUTIL)
    assert out == str(sorted(addresses))


@needs("curl")
def test_curl_uses_the_interface(shown, run):
    run("web", sys.executable, "-m", "http.server", "8000"
        ).wait_running().wait_listening(8000)
    out, (own, _) = shown("curl", "-sS", "--interface", "tailscale0", "-o",
                   "/dev/null", "-w", "%{http_code} %{local_ip}",
                   "http://web:8000/")
    assert out == f"200 {own}"


@pytest.mark.skipif(bool(SANITIZERS),
                    reason="a stock program has no sanitizer runtime")
def test_options_with_the_node_inside(server, run):
    client = run("client", sys.executable, app("self_options.py"), server.ip,
                 "7000", options=("--in-process",))
    assert client.wait() == 0, client.err
    seen = json.loads(client.out)
    check_mtu(seen["info"])
    assert seen["mtu"] == 1280
    assert seen["info"]["rtt"] > 0 and seen["info"]["bytes_acked"] >= 100_000
    assert seen["refused"]["TCP_CONGESTION reno"] == "ENOENT"
    assert seen["congestion_set"] == "cubic"
