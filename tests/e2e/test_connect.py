"""connect() says what a real network would say, in every way of asking."""
import json
import os
import signal

import pytest

from harness import wait_until

APPS = os.path.join(os.path.dirname(__file__), "apps")
MODES = ["blocking", "poll", "epoll", "again"]


def app(name):
    return os.path.join(APPS, name)


@pytest.fixture
def server(run):
    return run("server", "python3", app("names_server.py"), "7000"
               ).wait_running().wait_listening(7000)


def probe(call, host, port, hostname="client"):
    client = call(hostname, "python3", app("connect_probe.py"), host,
                  str(port), *MODES, timeout=90)
    assert client.code == 0, client.err
    return json.loads(client.out)


def test_an_open_port_connects(server, call):
    assert probe(call, server.ip, 7000) == {
        "blocking": "OK", "poll": "EINPROGRESS OK", "epoll": "EINPROGRESS OK",
        "again": "EINPROGRESS OK EISCONN"}


def test_a_closed_port_refuses(server, call):
    assert probe(call, server.ip, 7001) == {
        "blocking": "ECONNREFUSED", "poll": "EINPROGRESS ECONNREFUSED",
        "epoll": "EINPROGRESS ECONNREFUSED",
        "again": "EINPROGRESS ECONNREFUSED"}


def test_an_address_of_nobody_is_unreachable(server, call):
    said = probe(call, "100.99.99.99", 80)
    for mode, words in said.items():
        assert set(words.split()) <= {"EINPROGRESS", "EHOSTUNREACH"}, mode


def test_what_the_filter_forbids_is_refused(server, call):
    server.lab.command(
        'filter [{"SrcIPs":["*"],"DstPorts":'
        '[{"IP":"*","Ports":{"First":7000,"Last":7000}}]}]')
    assert probe(call, server.ip, 7000)["blocking"] == "OK"
    assert probe(call, server.ip, 22, "other")["blocking"] == "ECONNREFUSED"


def test_both_ends_see_tailnet_addresses(server, call):
    client = call("client", "python3", app("names_probe.py"), "server", "7000")
    assert client.code == 0, client.err
    seen = json.loads(client.out)
    client_ip = server.lab.node("client")["ips"][0]
    assert seen["client"]["peer"] == [server.ip, 7000]
    assert seen["client"]["own"][0] == client_ip
    assert seen["server"]["own"] == [server.ip, 7000]
    assert seen["server"]["peer"] == seen["client"]["own"]
    assert seen["server"]["accept"] == seen["client"]["own"]


def test_ipv6_both_ends(run, call):
    server = run("server", "python3", app("names_server.py"), "7000", "6"
                 ).wait_running().wait_listening(7000)
    ip6 = server.lab.node("server")["ips"][1]
    client = call("client", "python3", app("names_probe.py"), ip6, "7000")
    assert client.code == 0, client.err
    seen = json.loads(client.out)
    assert seen["client"]["peer"] == [ip6, 7000]
    assert seen["server"]["peer"] == seen["client"]["own"]


def test_the_program_itself_over_the_tailnet(run, call):
    """A program that connects to its own node's address."""
    server = run("server", "sh", "-c",
                 f"python3 {app('names_server.py')} 7000 & "
                 f"sleep 1; exec python3 {app('names_probe.py')} server 7000"
                 ).wait_running()
    seen = wait_until(lambda: server.out and json.loads(server.out),
                      "the answer")
    assert seen["client"]["peer"] == [server.ip, 7000]


def test_host_traffic_stays_native(lab, call):
    """An address outside the tailnet is none of our business."""
    host, port = lab.url.removeprefix("http://").split(":")
    client = call("client", "python3", app("connect_probe.py"), host, port,
                  "blocking", "poll")
    assert json.loads(client.out) == {"blocking": "OK",
                                      "poll": "EINPROGRESS OK"}


def test_other_protocols_fail_closed(server, call):
    client = call("client", "python3", "-c", f"""
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_UDPLITE)
for go in (lambda: s.sendto(b"x", ("{server.ip}", 7000)),
           lambda: s.connect(("{server.ip}", 7000))):
    try:
        go(); print("leaked")
    except OSError as e:
        print(e.errno)
""")
    import errno
    assert client.out.split() == [str(errno.ENETUNREACH)] * 2, client.err


TOO_MANY = """
import errno, socket, sys, threading
said = []
def call():
    with socket.socket() as s:
        try:
            s.settimeout(None)
            s.connect((sys.argv[1], 7000))
        except OSError as e:
            said.append(errno.errorcode[e.errno])
            if len(said) == 6:
                print(*set(said), flush=True)
threads = [threading.Thread(target=call, daemon=True) for _ in range(70)]
for t in threads:
    t.start()
sys.stdin.readline()
"""


def test_too_many_that_wait_are_refused(server, run):
    """Nobody waits for the host's word, and yet its no is heard."""
    server.process.send_signal(signal.SIGSTOP)
    try:
        read, write = os.pipe()
        client = run("client", "python3", "-c", TOO_MANY, server.ip,
                     stdin=read, options=["--wait"],
                     wrap=["prlimit", "--nofile=256:256"])  # a quarter: 64
        wait_until(lambda: client.out, "six refusals")
        assert client.out.split() == ["ENOBUFS"]
    finally:
        server.process.send_signal(signal.SIGCONT)
        os.close(write)
        os.close(read)


NO_ROOM = """
import socket, sys, threading, time
open_, waits = [], threading.Event()
def fill():
    for _ in range(240):
        s = socket.socket()
        s.connect((sys.argv[1], 7000))
        open_.append(s)
threading.Thread(target=fill, daemon=True).start()
seen = -1
while len(open_) != seen:
    seen = len(open_)
    time.sleep(0.5)
print("stuck at", seen, flush=True)
for s in open_[:60]:
    s.close()
while len(open_) < 240:
    time.sleep(0.05)
print("all", flush=True)
"""


def test_a_host_without_descriptors_lets_them_wait(run):
    """What it has no descriptor for stays in its queue, whole."""
    server = run("server", "python3", app("echo_server.py"), "7000"
                 ).wait_running().wait_listening(7000)
    client = run("client", "python3", "-c", NO_ROOM, server.ip,
                 options=["--wait"], wrap=["prlimit", "--nofile=256:256"])
    wait_until(lambda: client.out.endswith("all\n"), "all")
    stuck = int(client.out.split()[2])
    assert 200 < stuck < 240
    assert client.wait() == 0, client.err
