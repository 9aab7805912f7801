"""The LocalAPI: what a caller on this machine reads, watches and changes."""
import base64
import http.client
import itertools
import json
import os
import socket
import stat
import subprocess
import sys
import threading
import time

import pytest

from harness import wait_until

API = "/localapi/v0/"
NOBODY = 65534


class Connection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path):
        super().__init__("local-tailscaled.sock", timeout=30)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(30)
        self.sock.connect(self.path)


def ask(program, method, path, body=None, headers=None):
    """(status, headers, body; parsed when it is JSON)"""
    conn = Connection(program.localapi)
    if body is not None and not isinstance(body, (str, bytes)):
        body = json.dumps(body)
    conn.request(method, API + path, body, headers or {})
    reply = conn.getresponse()
    data = reply.read()
    conn.close()
    if (reply.headers.get("Content-Type") or "").startswith("application/json"):
        data = json.loads(data)
    return reply.status, reply.headers, data


def patch(program, **fields):
    body = dict(fields)
    body.update({name + "Set": True for name in fields})
    status, _, prefs = ask(program, "PATCH", "prefs", body)
    assert status == 200, prefs
    return prefs


class Watch:
    """watch-ipn-bus, read by a thread into a list."""

    def __init__(self, program, mask=0):
        self.conn = Connection(program.localapi)
        self.conn.request("GET", f"{API}watch-ipn-bus?mask={mask}")
        self.reply = self.conn.getresponse()
        assert self.reply.status == 200
        self.news, self.over = [], False
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        try:
            for line in self.reply:
                self.news.append(json.loads(line))
        except (OSError, ValueError, http.client.HTTPException):
            pass
        self.over = True

    def until(self, condition, what):
        return wait_until(lambda: next((n for n in list(self.news)
                                        if condition(n)), None), what)

    def close(self):
        self.conn.sock.shutdown(socket.SHUT_RDWR)
        self.thread.join(10)
        self.conn.close()


@pytest.fixture
def watch():
    watches = []

    def start(program, mask=0):
        watches.append(Watch(program, mask))
        return watches[-1]
    yield start
    for w in watches:
        w.close()


def state(program):
    return program.status().get("BackendState")


def serve(run):
    """A web server, on the tailnet alone, ready."""
    web = run("web", "python3", "-u", "-m", "http.server", "8080",
              options=["--listen", "tailnet"]).wait_running()
    wait_until(lambda: "Serving" in web.out, "http.server")
    return web


def fetch(program_ip, call, hostname, seconds=15):
    return call(hostname, "curl", "-sS", "--max-time", str(seconds),
                f"http://{program_ip}:8080/")


# -- preferences --------------------------------------------------------------

def test_down_takes_the_node_off_and_up_brings_it_back(lab, run, call):
    web = serve(run)
    assert fetch(web.ip, call, "c1").code == 0
    patch(web, WantRunning=False)
    assert state(web) == "Stopped"
    wait_until(lambda: not lab.node("web")["online"], "the server to notice")
    assert fetch(web.ip, call, "c2", 3).code == 28  # time-out: nobody there
    patch(web, WantRunning=True)
    web.wait_running()
    wait_until(lambda: lab.node("web")["online"], "the server to hear of it")
    got = fetch(web.ip, call, "c3")
    assert got.code == 0 and "Directory listing" in got.out


CONNECTS = """
import errno, os, socket, sys, time
for name in ("stopped", "up"):
    while not os.path.exists(name):
        time.sleep(0.05)
    s = socket.socket()
    print(errno.errorcode.get(s.connect_ex((sys.argv[1], 8080)), "ok"),
          flush=True)
"""


def test_programs_of_a_stopped_node_are_told_at_once(run):
    web = serve(run)
    client = run("client", "python3", "-c", CONNECTS, web.ip).wait_running()

    def go(name):
        with open(os.path.join(client.dir, name), "w", encoding="utf-8"):
            pass
    patch(client, WantRunning=False)
    go("stopped")
    wait_until(lambda: client.out, "the first connect")
    assert client.out in ("ENETDOWN\n", "ENETUNREACH\n"), client.out
    patch(client, WantRunning=True)
    client.wait_running()
    go("up")
    assert client.wait() == 0, client.err
    assert client.out.split()[1] == "ok"


def test_the_hostname_is_told_to_the_server(lab, run):
    program = run("before", "sleep", "60").wait_running()
    assert patch(program, Hostname="after")["Hostname"] == "after"
    wait_until(lambda: any(n["hostinfo"].get("Hostname") == "after"
                           for n in lab.nodes()), "the new name")
    assert state(program) == "Running"


def test_shields_go_up_and_down(lab, run, call):
    web = serve(run)
    assert fetch(web.ip, call, "c1").code == 0
    patch(web, ShieldsUp=True)
    wait_until(lambda: lab.node("web")["hostinfo"].get("ShieldsUp"),
               "the server to hear of it")
    assert fetch(web.ip, call, "c2", 3).code != 0
    patch(web, ShieldsUp=False)
    assert fetch(web.ip, call, "c3").code == 0


def test_accepted_routes_take_effect(lab, run):
    router = run("router", "sleep", "60").wait_running()
    program = run("client", "sleep", "60").wait_running()
    lab.command("routes router 10.77.0.0/16")

    def accepts():
        _, _, whois = ask(program, "GET", "whois?addr=10.77.1.2")
        return isinstance(whois, dict) and whois["Node"]["Name"]
    wait_until(lambda: any("10.77.0.0/16" in (p.get("PrimaryRoutes") or
                                              p["AllowedIPs"])
                           for p in program.status()["Peer"].values()),
               "the route")
    assert not accepts()
    assert patch(program, RouteAll=True)["RouteAll"]
    assert accepts().startswith("router.")
    patch(program, RouteAll=False)
    assert not accepts()
    assert router.alive()


def test_tags_are_asked_for_with_a_registration(lab, run):
    program = run("a", "sleep", "60").wait_running()
    before = lab.command("stats")["register"]
    patch(program, AdvertiseTags=["tag:web"])
    wait_until(lambda: lab.command("stats")["register"] != before,
               "another registration")
    wait_until(lambda: lab.node("a")["hostinfo"].get("RequestTags") ==
               ["tag:web"], "the tags")
    program.wait_running()


def test_preferences_are_stored(run):
    program = run("a", "sleep", "60").wait_running()
    patch(program, OperatorUser="nobody", ProfileName="work")
    program.stop()
    with open(os.path.join(program.state, "tailscaled.state"),
              encoding="utf-8") as f:
        stored = json.load(f)
    texts = [base64.b64decode(v).decode(errors="replace")
             for v in stored.values()]
    assert any('"ProfileName":"work"' in t for t in texts)
    assert any('"OperatorUser":"nobody"' in t for t in texts)


def test_what_cannot_be_is_refused_with_the_reason(run):
    program = run("a", "sleep", "60").wait_running()
    for name, value in (("RunSSH", True), ("ControlURL", "https://elsewhere"),
                        ("AdvertiseTags", ["web"]), ("Hostname", 7)):
        status, _, body = ask(program, "PATCH", "prefs",
                              {name: value, name + "Set": True})
        assert status == 400 and body["Error"], (name, body)
    assert state(program) == "Running"
    status, _, body = ask(program, "PATCH", "prefs", "x" * (1 << 20) + "xx")
    assert status == 413
    status, _, body = ask(program, "PATCH", "prefs", "{")
    assert status == 400 and b"JSON" in body


def test_the_reason_of_a_stop_is_in_the_log(run):
    program = run("a", "sleep", "60").wait_running()
    for reason in ("!no base64!", base64.b64encode(b"moves\nhouse").decode()):
        status, _, _ = ask(program, "PATCH", "prefs",
                           {"WantRunning": False, "WantRunningSet": True},
                           {"X-Tailscale-Reason": reason})
        assert status == 200
        patch(program, WantRunning=True)
    wait_until(lambda: "the reason: moves?house" in program.log, "the reason")
    assert program.log.count("the reason:") == 1


# -- the bus -------------------------------------------------------------------

STATE, PREFS, NETMAP, PEERS, STATUS, PATCHES = 2, 4, 8, 1 << 12, 1 << 14, 1 << 15


def test_a_watcher_sees_states_prefs_and_peers(lab, run, watch):
    program = run("a", "sleep", "60").wait_running()
    everything = watch(program, STATE | PREFS | NETMAP | STATUS | PEERS)
    first = everything.until(lambda n: "State" in n, "the first message")
    assert first["State"] == 6 and len(first["SessionID"]) == 32
    assert first["Prefs"]["Hostname"] == "a"
    assert first["NetMap"]["SelfNode"]["Name"].startswith("a.")
    assert first["InitialStatus"]["BackendState"] == "Running"
    assert "privkey:" + "0" * 64 in json.dumps(first["Prefs"])
    run("b", "sleep", "60").wait_running()
    everything.until(lambda n: any(p["Name"].startswith("b.")
                                   for p in n.get("PeersChanged", [])),
                     "the new peer")
    lab.command("remove b")
    everything.until(lambda n: n.get("PeersRemoved"), "its end")
    patch(program, WantRunning=False)
    everything.until(lambda n: n.get("State") == 4, "Stopped")
    patch(program, WantRunning=True)
    wait_until(lambda: everything.news[-1].get("State") == 6 or
               any(n.get("State") == 6 for n in everything.news[1:]),
               "Running again")


def test_a_patch_is_short(lab, run, watch):
    program = run("a", "sleep", "60").wait_running()
    run("b", "sleep", "60").wait_running()
    wait_until(lambda: len(program.status()["Peer"]) == 1, "the peer")
    bus = watch(program, PATCHES)
    lab.command("offline b on")
    news = bus.until(lambda n: any(p.get("Online") is False for p in
                                   n.get("PeerChangedPatch", [])),
                     "the patch")
    assert set(news["PeerChangedPatch"][0]) <= {
        "NodeID", "Online", "LastSeen", "DERPRegion", "Endpoints"}


def test_a_login_is_watched(make_lab, run, watch):
    lab = make_lab("--interactive")
    program = run("a", "sleep", "60", key=None, lab=lab)
    wait_until(lambda: state(program) == "NeedsLogin", "the state")
    bus = watch(program, STATE)
    bus.until(lambda n: n.get("BrowseToURL", "").startswith("http"), "the URL")
    lab.command("approve all")
    bus.until(lambda n: "LoginFinished" in n, "the login")
    bus.until(lambda n: n.get("State") == 6, "Running")


def test_a_reader_that_does_not_read_costs_the_others_nothing(lab, run, watch):
    program = run("a", "sleep", "60").wait_running()
    run("b", "sleep", "60").wait_running()
    stuck = Connection(program.localapi)
    stuck.connect()
    stuck.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    stuck.request("GET", f"{API}watch-ipn-bus?mask={PEERS}")
    bus = watch(program, PEERS)
    turns = itertools.cycle(("on", "off"))
    wait_until(lambda: lab.command(f"offline b {next(turns)}") and
               len(bus.news) >= 500, "the news")
    assert state(program) == "Running"
    reply = stuck.getresponse()
    lines = reply.read().splitlines()  # it ends by itself
    assert "too slow" in json.loads(lines[-1]).get("ErrMessage", "")
    stuck.close()


def test_watchers_that_leave_make_room(run):
    program = run("a", "sleep", "60").wait_running()
    for _ in range(3):
        watches = [Watch(program) for _ in range(30)]
        for w in watches:
            w.close()
    wait_until(lambda: ask(program, "GET", "status")[0] == 200, "an answer")
    last = Watch(program, STATE)
    last.until(lambda n: "State" in n, "the first message")
    last.close()


def test_news_ends_with_the_node(run, watch):
    program = run("a", "sleep", "60").wait_running()
    bus = watch(program, STATE)
    bus.until(lambda n: "State" in n, "the first message")
    program.stop()
    wait_until(lambda: bus.over, "the end of the stream")


# -- logging out -----------------------------------------------------------------

def test_logout_ends_the_nodes_key(lab, run, watch):
    program = run("a", "sleep", "60").wait_running()
    bus = watch(program, STATE)
    status, _, body = ask(program, "POST", "logout")
    assert status == 204, body
    assert state(program) == "NeedsLogin"
    bus.until(lambda n: n.get("State") == 2, "NeedsLogin")
    assert ask(program, "GET", "prefs")[2]["LoggedOut"]
    wait_until(lambda: not lab.node("a") or not lab.node("a")["online"] or
               lab.node("a").get("expired"), "the server to know")


def test_a_start_with_a_key_logs_in(make_lab, run, watch):
    """As `tailscale up --auth-key` asks for it."""
    lab = make_lab("--interactive")
    lab.command("authkey key-carol,user=carol@example.com")
    program = run("a", "sleep", "60", key=None, lab=lab)
    wait_until(lambda: state(program) == "NeedsLogin", "the state")
    bus = watch(program)
    prefs = ask(program, "GET", "prefs")[2]
    prefs.update(WantRunning=True, Hostname="renamed")
    status, _, body = ask(program, "POST", "start",
                          {"UpdatePrefs": prefs, "AuthKey": "key-carol"})
    assert status == 204, body
    assert ask(program, "POST", "login-interactive")[0] == 204
    bus.until(lambda n: "LoginFinished" in n, "the login")
    bus.until(lambda n: n.get("State") == 6, "Running")
    assert lab.node("renamed")["user"] == "carol@example.com"
    assert "key-carol" not in program.log


def test_a_start_with_a_wrong_key_says_so(make_lab, run, watch):
    lab = make_lab("--interactive")
    program = run("a", "sleep", "60", key=None, lab=lab)
    wait_until(lambda: state(program) == "NeedsLogin", "the state")
    bus = watch(program)
    assert ask(program, "POST", "start", {"AuthKey": "key-wrong"})[0] == 204
    news = bus.until(lambda n: n.get("ErrMessage"), "the refusal")
    assert "invalid" in news["ErrMessage"]


def test_profiles_are_made_and_switched(lab, run, watch):
    program = run("a", "sleep", "60").wait_running()
    _, _, first = ask(program, "GET", "profiles/current")
    assert first["ID"] and first["UserProfile"]["LoginName"] == \
        "alice@example.com"
    assert ask(program, "PUT", "profiles/")[0] == 201
    wait_until(lambda: state(program) != "Running", "the empty profile")
    assert ask(program, "POST", "start", {"AuthKey": "key-bob"})[0] == 204
    assert ask(program, "POST", "login-interactive")[0] == 204
    program.wait_running()
    wait_until(lambda: len(ask(program, "GET", "profiles/")[2]) == 2,
               "the second profile")
    _, _, second = ask(program, "GET", "profiles/current")
    assert second["UserProfile"]["LoginName"] == "bob@example.com"
    bus = watch(program)
    assert ask(program, "POST", f"profiles/{first['ID']}")[0] == 204
    bus.until(lambda n: n.get("State") == 6, "Running as the first")
    assert ask(program, "GET", "profiles/current")[2]["ID"] == first["ID"]
    assert ask(program, "DELETE", f"profiles/{second['ID']}")[0] == 204
    assert len(ask(program, "GET", "profiles/")[2]) == 1
    assert ask(program, "POST", "profiles/none")[0] == 500


# -- the netmap, people, the server -------------------------------------------------

def test_the_netmap_comes_with_its_peers(run):
    program = run("a", "sleep", "60").wait_running()
    run("b", "sleep", "60").wait_running()
    wait_until(lambda: len(program.status()["Peer"]) == 1, "the peer")
    status, _, netmap = ask(program, "POST", "debug?action=current-netmap")
    assert status == 200
    peer = netmap["Peers"][0]
    assert peer["Name"].startswith("b.")
    assert netmap["PacketFilterRules"] and netmap["DERPMap"]["Regions"]
    _, _, same = ask(program, "GET", f"peer-by-id?id={peer['ID']}")
    assert same["Key"] == peer["Key"]
    _, _, user = ask(program, "GET", f"user-profile?id={peer['User']}")
    assert user["LoginName"] == "alice@example.com"
    assert ask(program, "POST", "debug?action=nonsense")[0] == 400


def test_the_server_names_this_node_to_others(run):
    program = run("a", "sleep", "60").wait_running()
    status, _, body = ask(program, "GET", "id-token?aud=some-service")
    assert status == 200, body
    claims = json.loads(base64.b64decode(body["id_token"].split(".")[1]))
    assert claims["aud"] == "some-service"
    assert claims["sub"] == "a"
    status, _, body = ask(program, "GET", "id-token?aud=forbidden")
    assert status == 400 and b"no token for that audience" in body
    assert ask(program, "GET", "id-token")[0] == 400


def test_the_nodes_key_can_be_made_to_expire_sooner(lab, run):
    program = run("a", "sleep", "60").wait_running()
    at = int(time.time()) + 86400
    status, _, body = ask(program, "POST", f"set-expiry-sooner?expiry={at}")
    assert (status, body) == (200, b"done\n")
    want = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))
    wait_until(lambda: program.status()["Self"].get("KeyExpiry") == want,
               "the expiry in the map")
    assert state(program) == "Running"


def test_debug_actions_leave_a_node_that_works(run, call):
    web = serve(run)
    for action in ("rebind", "restun", "break-derp-conns", "break-tcp-conns",
                   "force-netmap-update"):
        status, _, body = ask(web, "POST", f"debug?action={action}")
        assert (status, body) == (200, b"done\n"), action
        assert fetch(web.ip, call, f"after-{action}").code == 0


def dial(program, host, port, then=b""):
    """The socket after the switch, or the reply's head and body."""
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(30)
    s.connect(program.localapi)
    s.sendall(f"POST {API}dial HTTP/1.1\r\nHost: local-tailscaled.sock\r\n"
              "Connection: upgrade\r\nUpgrade: ts-dial\r\n"
              f"Dial-Host: {host}\r\nDial-Port: {port}\r\n"
              "Dial-Network: tcp\r\nContent-Length: 0\r\n\r\n".encode() +
              then)
    head = b""
    while b"\r\n\r\n" not in head:
        data = s.recv(1)
        assert data, head
        head += data
    return s, head.decode()


def test_a_connection_is_dialled(run):
    web = serve(run)
    program = run("a", "sleep", "60").wait_running()
    for host in (web.ip, "web", f"web.{program.status()['MagicDNSSuffix']}"):
        s, head = dial(program, host, 8080)
        assert head.startswith("HTTP/1.1 101") and "ts-dial" in head
        s.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert b"Directory listing" in s.makefile("rb").read()
        s.close()
    assert web.out.count('"GET / HTTP/1.0" 200') + \
        web.err.count('"GET / HTTP/1.0" 200') == 3
    s, head = dial(program, web.ip, 81)
    assert head.startswith("HTTP/1.1 502")
    s.close()
    s, head = dial(program, "127.0.0.1", 80)
    assert "Dial-Self: true" in head and "Dial-Addr: 127.0.0.1:80" in head
    s.close()
    for host in ("localhost", "LOCALHOST."):
        s, head = dial(program, host, 80)
        assert "Dial-Self: true" in head and ":80" in \
            head.split("Dial-Addr: ")[1].split()[0]
        s.close()
    s, head = dial(program, "nobody-there", 80)
    assert head.startswith("HTTP/1.1 502")
    s.close()
    assert ask(program, "POST", "dial")[0] == 400


def test_a_dialled_connection_carries_much_both_ways(run):
    data = os.urandom(3 << 20)
    echo = run("echo", "python3", "-u", "-c", """
import socket
s = socket.create_server(("", 7000)); print("ready")
c = s.accept()[0]
while True:
    data = c.recv(65536)
    if not data: break
    c.sendall(data)
""", options=["--listen", "tailnet"]).wait_running()
    wait_until(lambda: "ready" in echo.out, "the server")
    program = run("a", "sleep", "60").wait_running()
    s, head = dial(program, echo.ip, 7000)
    assert "101" in head

    def send():
        s.sendall(data)
        s.shutdown(socket.SHUT_WR)
    sender = threading.Thread(target=send, daemon=True)
    sender.start()
    assert s.makefile("rb").read() == data
    sender.join(10)
    s.close()


# -- who may ask ---------------------------------------------------------------------

AS_NOBODY = """
import http.client, os, socket, sys
os.setgid(65534); os.setuid(65534)
s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1])
c = http.client.HTTPConnection("local-tailscaled.sock"); c.sock = s
c.request(sys.argv[2], sys.argv[3], sys.argv[4] or None)
print(c.getresponse().status)
"""


def as_nobody(program, method, path, body=""):
    result = subprocess.run([sys.executable, "-c", AS_NOBODY, program.localapi,
                             method, API + path, body],
                            capture_output=True, text=True, timeout=30)
    return int(result.stdout) if result.stdout else result.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to be others")
def test_only_the_operator_among_others_may_write(run):
    program = run("a", "sleep", "60").wait_running()
    for directory in (program.state, program.dir, os.path.dirname(program.dir)):
        os.chmod(directory, 0o755)
    assert stat.S_IMODE(os.stat(program.localapi).st_mode) == 0o600
    assert "PermissionError" in as_nobody(program, "GET", "status")
    patch(program, OperatorUser="somebody-else")
    assert as_nobody(program, "GET", "status") == 200
    body = json.dumps({"ShieldsUp": True, "ShieldsUpSet": True})
    assert as_nobody(program, "PATCH", "prefs", body) == 403
    for user in ("nobody", str(NOBODY)):
        patch(program, OperatorUser=user, ShieldsUp=False)
        assert as_nobody(program, "PATCH", "prefs", body) == 200
        assert ask(program, "GET", "prefs")[2]["ShieldsUp"]
    patch(program, OperatorUser="")
    assert stat.S_IMODE(os.stat(program.localapi).st_mode) == 0o600


AS_MANY = """
import os, socket, sys
os.setgid(65534); os.setuid(65534)
ask = b"GET /localapi/v0/watch-ipn-bus?mask=2 HTTP/1.1\\r\\nHost: \\r\\n\\r\\n"
kept = []
for i in range(200):
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(20)
    try:
        s.connect(sys.argv[1])
        s.sendall(ask)
        if s.recv(100):
            kept.append(s)
    except OSError:
        pass
print(len(kept), flush=True)
sys.stdin.read()
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to be others")
def test_others_leave_room_for_those_who_may_write(run, watch):
    program = run("a", "sleep", "60").wait_running()
    for directory in (program.state, program.dir, os.path.dirname(program.dir)):
        os.chmod(directory, 0o755)
    patch(program, OperatorUser="somebody-else")
    with subprocess.Popen([sys.executable, "-c", AS_MANY, program.localapi],
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          text=True) as crowd:
        kept = int(crowd.stdout.readline())
        assert 8 <= kept <= 32
        news = watch(program, 2)
        news.until(lambda n: "State" in n, "a state")
        assert ask(program, "GET", "status")[0] == 200
        crowd.stdin.close()
    # They have gone, and are not counted any more.
    wait_until(lambda: as_nobody(program, "GET", "status") == 200, "room")


def test_browsers_and_other_hosts_are_kept_out(run):
    program = run("a", "sleep", "60").wait_running()
    for headers in ({"Origin": "https://evil.example"},
                    {"Referer": "https://evil.example/x"},
                    {"Host": "evil.example"}):
        status, _, body = ask(program, "GET", "status", headers=headers)
        assert (status, body) == (403, b"invalid localapi request\n")


def test_nothing_listens_for_it_on_the_network(run, call):
    """Not on loopback, and not on the tailnet's own address."""
    program = run("a", "sleep", "60").wait_running()
    with open("/proc/net/tcp", encoding="ascii") as f:
        listening = [line.split() for line in f.readlines()[1:]
                     if line.split()[3] == "0A"]
    for entry in listening:
        host, port = entry[1].split(":")
        address = socket.inet_ntoa(bytes.fromhex(host)[::-1])
        with socket.socket() as s:
            s.settimeout(1)
            try:
                s.connect((address, int(port, 16)))
                s.sendall(b"GET /localapi/v0/status HTTP/1.1\r\n"
                          b"Host: local-tailscaled.sock\r\n\r\n")
                assert b"BackendState" not in s.recv(65536)
            except OSError:
                pass
    got = call("b", "curl", "-sS", "--max-time", "3",
               f"http://{program.ip}/localapi/v0/status")
    assert got.code != 0


def test_odd_requests_harm_nobody(run):
    program = run("a", "sleep", "60").wait_running()
    for raw in (b"GET / HTTP/1.1\r\n\r\n",
                b"\x00" * 3000 + b"\r\n\r\n",
                b"GET " + b"/x" * 4000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
                b"POST /localapi/v0/prefs HTTP/1.1\r\nContent-Length: 99999999"
                b"99\r\n\r\n",
                b"PATCH /localapi/v0/prefs HTTP/1.1\r\nHost: "
                b"local-tailscaled.sock\r\nTransfer-Encoding: chunked\r\n\r\n"
                b"zz\r\n",
                b"GET /localapi/v0/watch-ipn-bus?mask=%00%ff HTTP/1.1\r\n"
                b"Host: local-tailscaled.sock\r\n\r\n"):
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(program.localapi)
            s.sendall(raw)
    assert state(program) == "Running"
    assert program.alive()
