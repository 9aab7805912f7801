"""Several nodes for one program, or one tree of programs."""
import subprocess

import pytest

from harness import (CLEAN_ENV, PATIENCE, SANITIZERS, SHIM, TSRUN, needs, stop,
                     wait_until)

CONF = """[node "frontend"]
control_url = {front.url}
auth_key = key-alice
state_dir = {dir}/frontend

[node "backend"]
control_url = {back.url}
auth_key = key-bob
state_dir = {dir}/backend
"""

pytestmark = needs("curl")


@pytest.fixture
def tailnets(make_lab, run, tmp_path, request):
    """Two, whose web servers have the same address and say where they are."""
    options = [("--domain", f"{name}.example") if hasattr(request, "param")
               else () for name in ("front", "back")]
    labs = [make_lab(*o) for o in options]
    servers = []
    for name, lab in zip(("front", "back"), labs):
        directory = tmp_path / f"www-{name}"
        directory.mkdir()
        (directory / "where").write_text(f"in the {name}\n")
        servers.append(run(f"web-{name}", "python3", "-u", "-m", "http.server",
                           "8000", "--bind", "::", "--directory", directory,
                           lab=lab,
                           options=["--wait", "--listen", "tailnet"]))
    for server in servers:
        wait_until(lambda s=server: s.alive() and "is served" in s.log,
                   "the web servers")
    assert servers[0].ip == servers[1].ip
    (tmp_path / "tsnet.conf").write_text(
        CONF.format(front=labs[0], back=labs[1], dir=tmp_path))
    return labs, servers[0].ip


@pytest.fixture
def tree(tmp_path):
    """tree(script, *options) runs a shell with both nodes."""
    def go(script, nodes=("frontend", "backend"), **env):
        options = [o for n in nodes for o in ("--node", n)]
        return subprocess.Popen(
            [TSRUN, *options, "--wait", "--", "sh", "-c", script],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            start_new_session=True,
            env=dict(CLEAN_ENV, TSNET_CONF=str(tmp_path / "tsnet.conf"),
                     **env))
    return go


def outcome(process):
    out, err = process.communicate(timeout=3 * PATIENCE)
    return process.returncode, out, err


def test_the_same_address_in_two_tailnets(tailnets, tree):
    (front, back), ip = tailnets
    get = f"curl -sS http://{ip}:8000/where"
    code, out, err = outcome(tree(
        f"{get}; TSNET_NODE=backend {get}; TSNET_NODE=frontend {get}; "
        # it is inherited, by those with an environment of their own, too
        f"TSNET_NODE=backend sh -c 'sh -c \"{get}\"; env -i PATH=$PATH {get}'; "
        "exit 7"))
    assert (code, out) == (7, "in the front\nin the back\nin the front\n"
                              "in the back\nin the back\n"), err
    assert front.node("frontend") and not front.node("backend")
    assert back.node("backend") and not back.node("frontend")


def test_the_environment_says_which_from_the_beginning(tailnets, tree):
    _, ip = tailnets
    code, out, err = outcome(tree(f"curl -sS http://{ip}:8000/where",
                                  TSNET_NODE="backend"))
    assert (code, out) == (0, "in the back\n"), err


def test_one_node_by_its_name(tailnets, tree):
    _, ip = tailnets
    code, out, err = outcome(tree(f"curl -sS http://{ip}:8000/where",
                                  nodes=["backend"]))
    assert (code, out) == (0, "in the back\n"), err


def test_a_node_that_is_not_there(tailnets, tree):
    """No other one takes its place, nor does the host's network."""
    _, ip = tailnets
    code, out, _ = outcome(tree(
        f"TSNET_NODE=front curl -sS http://{ip}:8000/where"))
    assert code == 7 and not out


def test_a_listener_of_one_of_them_and_one_of_all(tailnets, tree, run):
    (front, back), _ = tailnets
    servers = tree("TSNET_NODE=backend python3 -u -m http.server 9000 & "
                   "python3 -u -m http.server 9001 & wait",
                   TSNET_LISTEN="tailnet")
    wait_until(lambda: back.node("backend") and front.node("frontend"),
               "the nodes")
    try:
        for lab, node, count in ((back, "backend", 2),
                                 (front, "frontend", 1)):
            ip = lab.node(node)["ips"][0]
            client = run(f"client-{node}", "sh", "-c",
                         "curl -sS --retry 20 --retry-connrefused "
                         f"--retry-delay 1 http://{ip}:9001/; "
                         f"curl -sS http://{ip}:9000/", lab=lab)
            client.wait(3 * PATIENCE)
            assert client.out.count("<title>Directory") == count, client.err
            assert ("port 9000" in client.err) == (count == 1)
    finally:
        stop(servers)
        servers.communicate()


@needs("busybox")
def test_a_static_program(tailnets, tree):
    _, ip = tailnets
    get = f"busybox wget -q -O - http://{ip}:8000/where"
    code, out, err = outcome(tree(
        f"{get}; TSNET_NODE=backend {get}; TSNET_NODE=front {get}"))
    assert (code != 0, out) == (True, "in the front\nin the back\n"), err


def test_nodes_that_make_no_sense(tailnets, tree):
    code, _, err = outcome(tree("true", nodes=["a b"]))
    assert code == 64 and "not a name" in err
    code, _, err = outcome(tree("true", nodes=["b", "b"]))
    assert code == 125 and "b,b" in err


# -- one program, several nodes -------------------------------------------------

TALK = r"""
import socket, sys, threading
def get(host, port=8000, device=None, source=None):
    s = socket.socket()
    s.settimeout(30)
    if device:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode())
    if source:
        s.bind((source, 0))
    s.connect((host, port))
    s.sendall(b"GET /where HTTP/1.0\r\n\r\n")
    text = b""
    while True:
        data = s.recv(4096)
        if not data:
            break
        text += data
    peer = s.getpeername()[0]
    s.close()
    return text.split(b"\r\n\r\n")[1].decode().strip(), peer
def both(calls):
    said = [None] * len(calls)
    def one(i):
        said[i] = get(*calls[i][0], **calls[i][1])
    threads = [threading.Thread(target=one, args=(i,)) for i in range(len(calls))]
    for t in threads: t.start()
    for t in threads: t.join()
    return said
"""

def inside(name):
    return pytest.param(name, marks=pytest.mark.skipif(
        bool(SANITIZERS), reason="a stock program has no sanitizer runtime"))


WHERE = ["tree", inside("process")]


@pytest.fixture
def conf(tailnets, tmp_path):
    """conf(frontend="...", backend="...") adds lines to their sections."""
    def write(**lines):
        (front, back), _ = tailnets
        text = CONF.format(front=front, back=back, dir=tmp_path)
        for name, more in lines.items():
            text = text.replace(f'[node "{name}"]\n',
                                f'[node "{name}"]\n{more}\n')
        (tmp_path / "tsnet.conf").write_text(text)
    return write


@pytest.fixture
def python(tmp_path):
    """python(where, script): a program with both nodes, in a tree, or with
    nothing but LD_PRELOAD."""
    def start(where, script, *args, **env):
        env = dict(CLEAN_ENV, TSNET_CONF=str(tmp_path / "tsnet.conf"), **env)
        argv = ["python3", "-u", "-c", TALK + script, *map(str, args)]
        if where == "tree":
            argv = [TSRUN, "--node", "frontend", "--node", "backend", "--",
                    *argv]
        else:
            env.update(LD_PRELOAD=SHIM, TSNET_NODES="frontend,backend")
        return subprocess.Popen(argv, stdout=subprocess.PIPE, text=True,
                                stderr=subprocess.PIPE, stdin=subprocess.PIPE,
                                env=env, start_new_session=True)
    return start


@pytest.mark.parametrize("where", WHERE)
def test_one_program_by_name(tailnets, python, where):
    """Both web servers have one address; their names lead to each of them, at
    the same time, and the program is told what it called."""
    (front, back), ip = tailnets
    code, out, err = outcome(python(where, """
names = ["web-front", "web-back", "web-front.lab.ts.net", "web-back.lab.ts.net"]
got = both([((n,), {}) for n in names])
for n, (text, peer) in zip(names, got):
    print(n, text, peer == socket.getaddrinfo(n, 0, socket.AF_INET)[0][4][0])
a, b = (socket.gethostbyname(n) for n in names[:2])
print(a, b.startswith("198.1"), socket.gethostbyaddr(b)[0])
v6 = socket.getaddrinfo("web-back", 8000, socket.AF_INET6)[0][4]
s = socket.create_connection(v6[:2], 30)
s.sendall(b"GET /where HTTP/1.0\\r\\n\\r\\n")
print(s.makefile().read().split()[-1], s.getpeername()[0] == v6[0],
      v6[0].startswith("fd5a:"))
"""))
    assert code == 0, err
    assert out.splitlines() == [
        "web-front in the front True", "web-back in the back True",
        "web-front.lab.ts.net in the front True",
        "web-back.lab.ts.net in the back True",
        f"{ip} True web-back.lab.ts.net", "back True True"], out


@pytest.mark.parametrize("where", WHERE)
def test_one_program_by_destination(tailnets, conf, python, where):
    """The same address, which the user gives to the second node; the first's
    server is reached by its name."""
    _, ip = tailnets
    conf(backend=f"destinations = {ip}")
    code, out, err = outcome(python(where, f"""
for text, peer in both([(("{ip}",), {{}}), (("web-front",), {{}})]):
    print(text, peer == "{ip}")
"""))
    assert code == 0, err
    assert out == "in the back True\nin the front False\n"


def test_the_longest_destination_wins(tailnets, conf, python):
    _, ip = tailnets
    conf(backend="destinations = 100.64.0.0/10, web-front",
         frontend=f"destinations = {ip}/32")
    code, out, err = outcome(python("tree", f"""
print(get("{ip}")[0])
try:
    print(socket.gethostbyname("web-front")) # the backend's, who has none
except OSError as e:
    print("no")
print(get("web-back")[0])
"""))
    assert code == 0, err
    assert out == "in the front\nno\nin the back\n"


@pytest.mark.parametrize("where", WHERE)
def test_one_program_by_interface(tailnets, conf, python, where):
    _, ip = tailnets
    conf(backend="interface = tailscale7")
    code, out, err = outcome(python(where, f"""
print(get("{ip}")[0])
print(*sorted(n for _, n in socket.if_nameindex() if n.startswith("tails")))
for text, _ in both([(("{ip}",), dict(device=d))
                     for d in ("tailscale0", "tailscale7")]):
    print(text)
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"tailscale7")
print(s.getsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, 16).strip(b"\\0"))
"""))
    assert code == 0, err
    assert out.splitlines() == [
        "in the front", "tailscale0 tailscale7", "in the front",
        "in the back", "b'tailscale7'"]


def test_an_address_that_one_of_them_has(make_lab, run, tailnets, python):
    """The second tailnet alone has another node, with an address of its own;
    a socket bound to the own address of one node is that node's."""
    (front, back), ip = tailnets
    for name in ("other", "another"):  # the first has our address in front
        other = run(name, "python3", "-u", "-m", "http.server", "8000",
                    lab=back, options=["--wait", "--listen", "tailnet"])
        wait_until(lambda o=other: o.alive() and "is served" in o.log, name)
    code, out, err = outcome(python("tree", f"""
s = socket.create_connection(("{other.ip}", 8000), 30)
s.sendall(b"GET / HTTP/1.0\\r\\n\\r\\n")
print("Directory listing" in s.makefile().read())
own = s.getsockname()[0]
print(get("{ip}")[0])
print(get("{ip}", source=own)[0])
print(get("{ip}")[0])
"""))
    assert code == 0, err
    assert out == "True\nin the front\nin the back\nin the front\n"


SERVE = """
import socket
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("0.0.0.0", int(sys.argv[1])))
s.listen()
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
u.bind(("0.0.0.0", int(sys.argv[1])))
def datagrams():
    while True:
        data, peer = u.recvfrom(100)
        u.sendto(b"to " + peer[0].encode() + b": " + data, peer)
threading.Thread(target=datagrams, daemon=True).start()
print("ready", flush=True)
while True:
    c, peer = s.accept()
    c.sendall(("hello " + peer[0]).encode())
    c.close()
"""

ASK = """
import socket, sys
host, port = sys.argv[1], int(sys.argv[2])
try:
    s = socket.create_connection((host, port), 20)
    print(s.makefile().read())
except OSError as e:
    print(e.strerror)
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
u.settimeout(10)
u.connect((host, port))
for i in range(20):
    try:
        u.send(b"hi")
        print(u.recv(100).decode())
        break
    except OSError as e:
        print(e.strerror or "silence")
        break
"""


@pytest.mark.parametrize("port", [9000, 9100])
@pytest.mark.parametrize("where", WHERE)
def test_listeners_of_one_program(tailnets, conf, python, run, where, port):
    """At both nodes, TCP and UDP, and at the one that has the port; peers are
    told apart by nothing but their tailnet: their addresses are the same."""
    labs, _ = tailnets
    conf(backend="listen_ports = 9100-9199")
    server = python(where, SERVE, port, TSNET_LISTEN="tailnet")
    try:
        assert server.stdout.readline() == "ready\n"
        wait_until(lambda: labs[0].node("frontend") and
                   labs[1].node("backend"), "the nodes")
        for lab, node in zip(labs, ("frontend", "backend")):
            ip = lab.node(node)["ips"][0]
            client = run(f"ask-{node}", "python3", "-c", ASK, ip, str(port),
                         lab=lab, options=["--wait"])
            client.wait(3 * PATIENCE)
            own = lab.node(f"ask-{node}")["ips"][0]
            want = [f"hello {own}", f"to {own}: hi"]
            if node == "frontend" and port == 9100:
                want = ["Connection refused", "Connection refused"]
            assert client.out.splitlines() == want, client.err
    finally:
        stop(server)
        server.communicate()


SAME_PORT = """
import socket, sys
kind, host, who = sys.argv[1], sys.argv[2], sys.argv[3]
s = socket.socket(socket.AF_INET, getattr(socket, kind))
s.settimeout(60)
s.bind(("0.0.0.0", 5555))
s.connect((host, 9000))
for line in sys.stdin:
    s.send((who + " " + line.strip()).encode())
    print(s.recv(100).decode(), s.getsockname()[1])
"""

ECHO = """
kind = getattr(socket, sys.argv[1])
s = socket.socket(socket.AF_INET, kind)
s.bind(("0.0.0.0", 9000))
def serve(c, peer):
    while True:
        data = c.recv(100)
        if not data:
            break
        c.sendall(peer[0].encode() + b" " + data)
if kind == socket.SOCK_STREAM:
    s.listen()
    print("ready", flush=True)
    while True:
        threading.Thread(target=serve, args=s.accept(), daemon=True).start()
print("ready", flush=True)
while True:
    data, peer = s.recvfrom(100)
    s.sendto(peer[0].encode() + b" " + data, peer)
"""


@pytest.mark.parametrize("kind", ["SOCK_STREAM", "SOCK_DGRAM"])
def test_peers_of_the_same_address_and_port(tailnets, python, run, kind):
    """Two peers who cannot be told apart talk with one listener in turns: what
    is said to one never reaches the other."""
    labs, _ = tailnets
    server = python("tree", ECHO, kind, TSNET_LISTEN="tailnet")
    clients = []
    try:
        assert server.stdout.readline() == "ready\n"
        wait_until(lambda: labs[0].node("frontend") and
                   labs[1].node("backend"), "the nodes")
        for lab, node in zip(labs, ("frontend", "backend")):
            clients.append(run(f"peer-{node}", "python3", "-u", "-c", SAME_PORT,
                               kind, lab.node(node)["ips"][0], node, lab=lab,
                               options=["--wait", "--listen", "tailnet"],
                               stdin=subprocess.PIPE))
        for i in range(3):
            for client, node in zip(clients, ("frontend", "backend")):
                client.process.stdin.write(b"%d\n" % i)
                client.process.stdin.flush()
                wait_until(lambda c=client: c.out.count("\n") > i or
                           not c.alive(), "an answer")
        own = [lab.node(f"peer-{n}")["ips"][0]
               for lab, n in zip(labs, ("frontend", "backend"))]
        assert own[0] == own[1]
        for client, node in zip(clients, ("frontend", "backend")):
            assert client.out.splitlines() == [
                f"{own[0]} {node} {i} 5555" for i in range(3)], client.err
    finally:
        stop(server)
        server.communicate()


@pytest.mark.parametrize("option", ["--proxy", inside("--in-process")])
def test_with_other_options(tailnets, tmp_path, option):
    _, ip = tailnets
    done = subprocess.run(
        [TSRUN, "--node", "frontend", "--node", "backend", option, "--",
         "sh", "-c", f"curl -sS http://{ip}:8000/where; "
         "curl -sS http://web-back:8000/where; curl -sS http://web-front:8000/"
         "where"],
        capture_output=True, text=True, timeout=3 * PATIENCE,
        env=dict(CLEAN_ENV, TSNET_CONF=str(tmp_path / "tsnet.conf")))
    assert done.stdout == "in the front\nin the back\nin the front\n", done.stderr


def test_a_listener_at_one_interface(tailnets, python, run):
    labs, _ = tailnets
    server = python("tree", SERVE.replace(
        "s.bind", "[x.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, "
        "b'tailscale1') for x in (s,)]; s.bind"), 9000)
    try:
        assert server.stdout.readline() == "ready\n"
        wait_until(lambda: labs[0].node("frontend") and
                   labs[1].node("backend"), "the nodes")
        for lab, node in zip(labs, ("frontend", "backend")):
            client = run(f"ask-{node}", "python3", "-c", ASK,
                         lab.node(node)["ips"][0], "9000", lab=lab,
                         options=["--wait"])
            client.wait(3 * PATIENCE)
            own = lab.node(f"ask-{node}")["ips"][0]
            assert client.out.splitlines() == [
                "Connection refused" if node == "frontend" else
                f"hello {own}", f"to {own}: hi"], client.err
    finally:
        stop(server)
        server.communicate()


@pytest.mark.parametrize("where", WHERE)
def test_datagrams_of_one_program(tailnets, run, python, where):
    """One unconnected socket talks with both servers of the same address and
    port, and tells them apart by the addresses that their names have."""
    labs, _ = tailnets
    servers = []
    for name, lab in zip(("front", "back"), labs):
        servers.append(run(f"udp-{name}", "python3", "-u", "-c", f"""
import socket
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
u.bind(("0.0.0.0", 7000))
print("ready")
while True:
    data, peer = u.recvfrom(2000)
    u.sendto(b"{name} " + data, peer)
""", lab=lab, options=["--wait", "--listen", "tailnet"]))
    for server in servers:
        wait_until(lambda s=server: "ready" in s.out, "the servers")
    assert servers[0].ip == servers[1].ip
    code, out, err = outcome(python(where, """
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
u.settimeout(30)
at = {socket.gethostbyname("udp-" + n): n for n in ("front", "back")}
for i in range(3):
    for ip in at:
        u.sendto(b"%d" % i, (ip, 7000))
for _ in range(6):
    data, peer = u.recvfrom(2000)
    name, _, number = data.decode().partition(" ")
    print(name == at[peer[0]] and peer[1] == 7000)
c = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
c.settimeout(30)
c.connect(("udp-back", 7000))
c.send(b"again")
print(c.recv(100).decode(), at[c.getpeername()[0]])
"""))
    assert code == 0, err
    assert out == "True\n" * 6 + "back again back\n"


def test_a_name_server_of_its_own(tailnets, python):
    """A program with its own resolver: stand-ins, and their PTR records."""
    _, ip = tailnets
    code, out, err = outcome(python("tree", r"""
import struct
def ask(name, kind, tcp=False):
    q = struct.pack(">HHHHHH", 7, 256, 1, 0, 0, 0)
    q += b"".join(bytes([len(l)]) + l.encode() for l in name.split(".")) + b"\0"
    q += struct.pack(">HH", kind, 1)
    u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    u.settimeout(30)
    u.sendto(q, ("100.100.100.100", 53))
    return u.recv(1000)
a = socket.inet_ntoa(ask("web-back.lab.ts.net", 1)[-4:])
b = socket.inet_ntoa(ask("web-front.lab.ts.net", 1)[-4:])
print(b, a.startswith("198.1"), get(a)[0], get(b)[0])
rev = ".".join(reversed(a.split("."))) + ".in-addr.arpa"
print(b"\x08web-back" in ask(rev, 12))
print(ask("nobody.lab.ts.net", 1)[3] & 15)
"""))
    assert code == 0, err
    assert out == f"{ip} True in the back in the front\nTrue\n3\n"


DOMAINS = """
print(get("web-front.front.example")[0], get("web-back.back.example")[0])
print(get("web-back")[0], socket.gethostbyaddr(
    socket.gethostbyname("web-back.back.example"))[0])
try:
    socket.gethostbyname("web-back.front.example")
except OSError:
    print("no such name")
"""


@pytest.mark.parametrize("tailnets", [True], indirect=True)
@pytest.mark.parametrize("where", WHERE)
def test_tailnets_of_different_names(tailnets, python, where):
    """Each resolves what is under its own, also while they come up."""
    code, out, err = outcome(python(where, DOMAINS))
    assert code == 0, err
    assert out == ("in the front in the back\n"
                   "in the back web-back.back.example\nno such name\n")


# -- one of them is away ---------------------------------------------------------

def test_one_control_server_is_away(tailnets, conf, python):
    """The first node cannot start: what is the second's works after the time
    that the first was waited for, and its names are not looked for elsewhere."""
    (front, _), ip = tailnets
    front.close()
    code, out, err = outcome(python("tree", f"""
print(get("{ip}")[0])
print(get("web-back")[0])
""", TSNET_TIMEOUT="3"))
    assert code == 0, err
    assert out == "in the back\nin the back\n"


def test_a_control_server_goes_away(tailnets, python):
    (front, _), ip = tailnets
    program = python("tree", f"""
print(get("{ip}")[0], get("web-back")[0], flush=True)
sys.stdin.readline()
print(get("{ip}")[0], get("web-back")[0], flush=True)
""")
    assert program.stdout.readline() == "in the front in the back\n"
    front.close()
    out, err = program.communicate("go\n", timeout=3 * PATIENCE)
    assert program.returncode == 0, err
    assert out == "in the front in the back\n"


def test_one_logs_out(tailnets, tree, tmp_path):
    """Its connections end, the other's do not; its address is the other's."""
    _, ip = tailnets
    get = f"curl -sS http://{ip}:8000/where"
    code, out, err = outcome(tree(
        f"{get}; {TSRUN} --node backend status >/dev/null && echo asked; "
        f"curl -sS --unix-socket {tmp_path}/frontend/tailscaled.sock "
        "-X POST -H 'Sec-Tailscale: localapi' "
        "http://local-tailscaled.sock/localapi/v0/logout; "
        f"{get}; curl -sS http://web-back:8000/where"))
    assert out == ("in the front\nasked\nin the back\nin the back\n"), err


def test_questions_to_each(tailnets, tree):
    (front, back), ip = tailnets
    code, out, err = outcome(tree(
        f"{TSRUN} ip; {TSRUN} --node backend status --json; "
        f"{TSRUN} --node nobody ip"))
    assert out.split()[0] == front.node("frontend")["ips"][0]
    assert '"HostName": "backend"' in out
    assert "node frontend; others (--node): backend" in err
    assert 'no node "nobody" here' in err and code == 1


@needs("busybox")
def test_a_static_child_of_a_static_parent(tailnets, tree):
    """Below one filter each program has the node that it names."""
    _, ip = tailnets
    get = f"busybox wget -q -O - http://{ip}:8000/where"
    code, out, err = outcome(tree(
        f"busybox sh -c '{get}; TSNET_NODE=backend {get}; "
        f"TSNET_NODE=front {get}'"))
    assert (code != 0, out) == (True, "in the front\nin the back\n"), err


def test_nodes_of_the_configuration(tailnets, conf, tmp_path):
    """`nodes` in the program's section, and no option at all."""
    _, ip = tailnets
    conf()
    with open(tmp_path / "tsnet.conf", "a", encoding="ascii") as f:
        f.write('[node "sh"]\nnodes = backend, frontend\n')
    done = subprocess.run(
        [TSRUN, "--", "sh", "-c",
         f"curl -sS http://{ip}:8000/where; curl -sS http://web-front:8000/where"],
        capture_output=True, text=True, timeout=3 * PATIENCE,
        env=dict(CLEAN_ENV, TSNET_CONF=str(tmp_path / "tsnet.conf")))
    assert done.stdout == "in the back\nin the front\n", done.stderr


WHICH = """
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
u.setsockopt(socket.IPPROTO_IP, 8, 1) # IP_PKTINFO
u.bind(("0.0.0.0", 9000))
print("ready", flush=True)
while True:
    data, control, _, peer = u.recvmsg(100, 100)
    index = int.from_bytes(control[0][2][:4], sys.byteorder)
    own = socket.inet_ntoa(control[0][2][4:8])
    u.sendto(f"{own} at {socket.if_indextoname(index)}".encode(), peer)
"""


def test_which_interface_a_datagram_came_by(tailnets, python, run):
    """The second node's address is none of the first's tailnet."""
    labs, _ = tailnets
    for name in ("other", "another"):
        run(name, "sleep", "60", lab=labs[1], options=["--wait"]
            ).wait_running()
    server = python("tree", WHICH, TSNET_LISTEN="tailnet")
    try:
        assert server.stdout.readline() == "ready\n"
        wait_until(lambda: labs[0].node("frontend") and
                   labs[1].node("backend"), "the nodes")
        owns = [lab.node(n)["ips"][0]
                for lab, n in zip(labs, ("frontend", "backend"))]
        assert owns[0] != owns[1]
        for i, (lab, own) in enumerate(zip(labs, owns)):
            client = run(f"ask-{i}", "python3", "-c", ASK, own, "9000",
                         lab=lab, options=["--wait"])
            client.wait(3 * PATIENCE)
            assert client.out.splitlines()[1:] == [
                f"{own} at tailscale{i}"], client.err
    finally:
        stop(server)
        server.communicate()
