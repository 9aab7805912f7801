"""The proxy, by hand: datagrams (SOCKS5 UDP ASSOCIATE) and their bounds."""
import os
import socket
import struct
import subprocess

import pytest

from harness import PATIENCE, wait_until

APPS = os.path.join(os.path.dirname(__file__), "apps")


@pytest.fixture
def proxy(run):
    """Its address and password, while its command sleeps."""
    program = run("client", "sh", "-c", "echo $ALL_PROXY; exec sleep 1000",
                  options=["--proxy", "--wait"])
    wait_until(lambda: program.alive() and program.out.endswith("\n"),
               "the proxy's address")
    user, where = program.out.strip().removeprefix("socks5h://").split("@")
    host, port = where.rsplit(":", 1)
    return (host, int(port)), user.split(":")[1]


def login(proxy):
    address, password = proxy
    s = socket.create_connection(address, PATIENCE)
    s.sendall(b"\x05\x01\x02")
    assert s.recv(2) == b"\x05\x02"
    s.sendall(b"\x01\x05tsnet" + bytes([len(password)]) + password.encode())
    assert s.recv(2) == b"\x01\x00"
    return s


def associate(s, said=("0.0.0.0", 0)):
    """The reply's code, and where datagrams are taken."""
    s.sendall(b"\x05\x03\x00\x01" + socket.inet_aton(said[0]) +
              struct.pack(">H", said[1]))
    reply = s.recv(10)
    assert reply[:1] == b"\x05" and len(reply) == 10
    return reply[1], (socket.inet_ntoa(reply[4:8]),
                      struct.unpack(">H", reply[8:])[0])


def by_ip(ip, port, data, frag=0):
    return (b"\x00\x00" + bytes([frag]) + b"\x01" + socket.inet_aton(ip) +
            struct.pack(">H", port) + data)


def by_ip6(ip, port, data):
    return (b"\x00\x00\x00\x04" + socket.inet_pton(socket.AF_INET6, ip) +
            struct.pack(">H", port) + data)


def by_name(name, port, data):
    return (b"\x00\x00\x00\x03" + bytes([len(name)]) + name.encode() +
            struct.pack(">H", port) + data)


def datagram_socket():
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind(("127.0.0.1", 0))
    s.settimeout(PATIENCE)
    return s


@pytest.fixture
def server(run):
    program = run("server", "python3", "-u", f"{APPS}/datagram_echo.py",
                  "7000", "dual", options=["--wait"])
    wait_until(lambda: program.alive() and "is served" in program.log,
               "the server")
    return program


def test_datagrams(proxy, server, lab):
    control = login(proxy)
    code, at = associate(control)
    assert code == 0 and at[0] == "127.0.0.1"
    v4, v6 = lab.node("server")["ips"]
    with datagram_socket() as s:
        for sent in (by_ip(v4, 7000, b"by address"),
                     by_ip6(v6, 7000, b"of version 6")):
            s.sendto(sent, at)
            assert s.recvfrom(2000) == (sent, at)
        # Who answers is an address, whatever the name.
        s.sendto(by_name("server", 7000, b"by name"), at)
        assert s.recv(2000) == by_ip(v4, 7000, b"by name")
        s.sendto(by_name("server.lab.ts.net", 7000, b"and again"), at)
        assert s.recv(2000) == by_ip(v4, 7000, b"and again")
        large = by_ip(v4, 7000, os.urandom(9000))
        s.sendto(large, at)
        assert s.recv(20000) == large
    control.close()


def test_datagrams_of_the_hosts_network(proxy):
    control = login(proxy)
    _, at = associate(control)
    with datagram_socket() as s, datagram_socket() as far:
        port = far.getsockname()[1]
        s.sendto(by_ip("127.0.0.1", port, b"native"), at)
        data, peer = far.recvfrom(100)
        assert data == b"native"
        far.sendto(b"answer", peer)
        assert s.recv(100) == by_ip("127.0.0.1", port, b"answer")
    control.close()


def test_what_is_dropped(proxy, server):
    """Fragments, nonsense, and what another port sends."""
    control = login(proxy)
    _, at = associate(control)
    ip = server.ip
    with datagram_socket() as s, datagram_socket() as other:
        s.sendto(by_ip(ip, 7000, b"first"), at)
        assert s.recv(100) == by_ip(ip, 7000, b"first")
        for bad in (by_ip(ip, 7000, b"part", frag=1), b"", b"\x00",
                    by_ip(ip, 7000, b"")[:9], by_ip(ip, 0, b"no port"),
                    b"\x00\x00\x00\x02abcdefgh",
                    by_name("nobody.lab.ts.net", 7000, b"who?")):
            s.sendto(bad, at)
        other.sendto(by_ip(ip, 7000, b"stranger"), at)
        s.sendto(by_ip(ip, 7000, b"last"), at)
        assert s.recv(100) == by_ip(ip, 7000, b"last")
        other.settimeout(0)
        with pytest.raises(BlockingIOError):
            other.recv(100)
    control.close()


def test_a_port_that_was_named(proxy, server):
    control = login(proxy)
    with datagram_socket() as s, datagram_socket() as other:
        _, at = associate(control, s.getsockname())
        other.sendto(by_ip(server.ip, 7000, b"stranger"), at)
        s.sendto(by_ip(server.ip, 7000, b"client"), at)
        assert s.recv(100) == by_ip(server.ip, 7000, b"client")
    control.close()
    # An address that is not the client's is a lie.
    with login(proxy) as control:
        assert associate(control, ("192.0.2.1", 7))[0] != 0


def test_the_end_of_the_connection(proxy, server):
    control = login(proxy)
    _, at = associate(control)
    control.close()

    def is_closed():
        with datagram_socket() as s:
            s.connect(at)
            s.send(by_ip(server.ip, 7000, b"late"))
            try:
                s.settimeout(0.1)
                s.recv(100)
            except ConnectionRefusedError:
                return True
            except TimeoutError:
                pass
            return False
    wait_until(is_closed, "the port to be closed")


def test_no_more_than_some(proxy):
    """128 clients with datagrams at once; a place is free again at once."""
    controls = [login(proxy) for _ in range(129)]
    codes = [associate(c)[0] for c in controls]
    assert codes == [0] * 128 + [1]
    for control in controls:
        control.close()
    wait_until(lambda: associate(login(proxy))[0] == 0, "a free place")


def test_datagrams_of_who_does_not_know_the_password(proxy):
    address, _ = proxy
    with socket.create_connection(address, PATIENCE) as s:
        s.sendall(b"\x05\x01\x02")
        assert s.recv(2) == b"\x05\x02"
        s.sendall(b"\x05\x03\x00\x01" + bytes(6))
        assert s.recv(10)[:1] != b"\x05"


def test_the_proxy_serves_no_localapi(proxy):
    """Only tsnet_loopback() asks for that."""
    (host, port), password = proxy
    out = subprocess.run(
        ["curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}",
         "-H", "Sec-Tailscale: localapi", "-u", f":{password}",
         f"http://{host}:{port}/localapi/v0/status"],
        capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert out.stdout == "407"


# -- proxy_listen --------------------------------------------------------------

def test_a_proxy_for_others(run, tmp_path):
    """At a port of one's choice; the password is in a file."""
    web = run("web", "python3", "-u", "-m", "http.server", "8000",
              options=["--wait"])
    web.wait_listening(8000)
    node = run("gate", "sleep", "1000", options=["--wait"],
               env={"TSNET_PROXY_LISTEN": "127.0.0.1:1080"})
    node.wait_running()
    path = os.path.join(node.state, "proxy.cred")
    assert os.stat(path).st_mode & 0o777 == 0o600
    with open(path, encoding="utf-8") as f:
        access = f.read().strip()
    assert access.startswith("tsnet:") and access.endswith("@127.0.0.1:1080")

    def get(scheme, who):
        return subprocess.run(
            ["curl", "-sS", "-x", f"{scheme}://{who}", "http://web:8000/"],
            capture_output=True, text=True, timeout=PATIENCE,
            check=False).stdout
    assert "Directory listing" in get("socks5h", access)
    assert "Directory listing" in get("http", access)
    assert "Directory listing" not in get("socks5h", "127.0.0.1:1080")
    node.stop()
    assert not os.path.exists(path)


def test_a_proxy_where_none_can_be(call):
    for value, words in (("0.0.0.0:1080", "IP:PORT of loopback"),
                         ("127.0.0.1", "IP:PORT of loopback")):
        result = call("gate", "true", env={"TSNET_PROXY_LISTEN": value})
        assert result.code == 125 and words in result.err
    with socket.socket() as s:
        s.bind(("127.0.0.1", 1080))
        s.listen()
        result = call("gate", "true",
                      env={"TSNET_PROXY_LISTEN": "127.0.0.1:1080"})
        assert result.code == 125
        assert "proxy_listen: 127.0.0.1:1080: address already in use" in \
            result.err
