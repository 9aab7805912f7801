"""Seeing what happens: captures, counters, states, the log, and the doctor."""
import http.client
import http.server
import json
import os
import signal
import socket
import struct
import subprocess
import threading

import pytest

from harness import CLEAN_ENV, PATIENCE, TSRUN, needs, stop, wait_until


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a node's LocalAPI socket."""

    def __init__(self, path):
        super().__init__("local-tailscaled.sock", timeout=PATIENCE)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(PATIENCE)
        self.sock.connect(self.path)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@pytest.fixture
def web(run, tmp_path):
    """A web server; its page is 100 KB of x."""
    page = tmp_path / "page"
    page.mkdir()
    (page / "x").write_text("x" * 100_000)
    port = free_port()
    node = run("web", "python3", "-m", "http.server", "8080", "--directory",
               str(page), options=[], env={
                   "TSNET_METRICS_LISTEN": f"127.0.0.1:{port}"})
    node.metrics_port = port
    return node.wait_running().wait_listening(8080)


def fetch(call, name="client"):
    client = call(name, "curl", "-sS", "--max-time", "20", "-o", "/dev/null",
                  "-w", "%{size_download}", "http://web.lab.ts.net:8080/x")
    assert (client.code, client.out) == (0, "100000"), client.err
    return client


# -- captures -------------------------------------------------------------------

def capture(node, path):
    process = subprocess.Popen(
        [TSRUN, "--socket", node.localapi, "capture", "-o", str(path)],
        env=CLEAN_ENV, stderr=subprocess.PIPE, text=True)
    wait_until(lambda: path.exists() and path.stat().st_size > 60,
               "the capture to begin")
    return process


def blocks(data):
    """(type, body) of each whole block of pcapng."""
    at = 0
    while at + 8 <= len(data):
        kind, length = struct.unpack_from("<II", data, at)
        if at + length > len(data):
            return
        assert length >= 12 and struct.unpack_from(
            "<I", data, at + length - 4)[0] == length
        yield kind, data[at + 8:at + length - 4]
        at += length


def packets(data):
    """(comment, IP packet) of each packet."""
    for kind, body in blocks(data):
        if kind != 6:
            continue
        length = struct.unpack_from("<I", body, 12)[0]
        at, comment = 20 + (length + 3) // 4 * 4, ""
        while at < len(body):
            code, size = struct.unpack_from("<HH", body, at)
            if code == 1:
                comment = body[at + 4:at + 4 + size].decode()
            at += 4 + (size + 3) // 4 * 4
        yield comment, body[20:20 + length]


@needs("curl", "tcpdump")
def test_a_capture_shows_what_is_inside_the_tunnel(web, call, lab, tmp_path):
    out = tmp_path / "x.pcapng"
    process = capture(web, out)
    fetch(call)
    client_ip = lab.command("nodes")
    seen = wait_until(lambda: [p for p in packets(out.read_bytes())
                               if b"200 OK" in p[1]], "the answer's packet")
    assert seen[0][0].startswith("to client.lab.ts.net. via "), client_ip
    comments = [c for c, p in packets(out.read_bytes()) if b"GET /x" in p]
    assert comments and comments[0].startswith("from client.lab.ts.net. via ")
    assert stop(process, signal.SIGINT) == 0
    text = subprocess.run(["tcpdump", "-nn", "-A", "-r", str(out)],
                          capture_output=True, text=True, check=True,
                          errors="replace").stdout
    assert f"> {web.ip}.8080: Flags [S]" in text
    assert "GET /x HTTP/1.1" in text
    assert os.stat(out).st_mode & 0o777 == 0o600


@needs("curl", "tcpdump")
def test_a_capture_ends_with_its_reader(web, call):
    process = subprocess.Popen(
        f"{TSRUN} --socket {web.localapi} capture | "
        "tcpdump -nn -c 3 -r - 2>/dev/null; echo ${PIPESTATUS[0]}",
        shell=True, executable="/bin/bash", env=CLEAN_ENV,
        stdout=subprocess.PIPE, text=True)
    wait_until(lambda: "debug-capture" in web.log or fetch(call), "traffic")
    out = process.communicate(timeout=PATIENCE)[0].splitlines()
    assert len(out) == 4 and out[3] == "0", out
    assert ".8080" in out[0]
    # The node goes on.
    fetch(call, "second")


@needs("curl", "tshark")
def test_tshark_reads_names_and_requests(web, call, tmp_path):
    out = tmp_path / "x.pcapng"
    process = capture(web, out)
    fetch(call)
    wait_until(lambda: any(b"GET /x" in p for _, p in
                           packets(out.read_bytes())), "the request")
    stop(process, signal.SIGINT)
    text = subprocess.run(
        ["tshark", "-r", str(out), "-d", "tcp.port==8080,http", "-Y",
         "http.request", "-T", "fields", "-e", "http.request.uri", "-e",
         "frame.comment"], capture_output=True, text=True, check=True).stdout
    uri, comment = text.strip().split("\t")
    assert uri == "/x" and comment.startswith("from client.lab.ts.net. via ")


@needs("curl")
def test_debug_capture_is_upstreams(web, call):
    """As `tailscale debug capture` asks for it."""
    connection = UnixConnection(web.localapi)
    connection.request("POST", "/localapi/v0/debug-capture")
    answer = connection.getresponse()
    assert answer.status == 200
    head = answer.read(24)
    assert struct.unpack("<IHHIIII", head) == (
        0xa1b2c3d4, 2, 4, 0, 0, 65535, 147)
    fetch(call)
    paths = set()
    while not paths >= {0, 1, 254}:
        _, _, length, whole = struct.unpack("<IIII", answer.read(16))
        record = answer.read(length)
        assert length == whole
        paths.add(record[0])
        if record[0] == 254:  # disco: flags, DERP key, port, address, message
            flags, _, port, n = struct.unpack("<B32sHH", record[4:41])
            assert flags in (0, 1) and port and n in (4, 16)
            size, = struct.unpack("<H", record[41 + n:43 + n])
            assert size == length - 43 - n
        else:
            assert record[4] >> 4 == 4
    connection.close()
    fetch(call, "second")


@needs("tshark", "curl")
def test_a_capture_has_discovery_on_request(web, call, tmp_path):
    out = tmp_path / "x.pcapng"
    capture = subprocess.Popen(
        [TSRUN, "--socket", web.localapi, "capture", "--disco", "-o", str(out)],
        env=CLEAN_ENV, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_until(lambda: out.exists() and out.stat().st_size, "the capture")
    fetch(call)
    wait_until(lambda: b"disco ping from" in out.read_bytes(), "a ping")
    assert stop(capture) == 0
    read = subprocess.run(["tshark", "-r", str(out), "-T", "fields", "-e",
                           "frame.comment", "-e", "frame.interface_name"],
                          capture_output=True, text=True, check=True).stdout
    lines = {tuple(x.split("\t")[:2]) for x in read.splitlines()}
    assert any(c.startswith("disco ping from client") and i == "disco"
               for c, i in lines), read
    assert any(c.startswith("from client") and i == "tailscale0"
               for c, i in lines), read


@needs("curl")
def test_wireshark_finds_nodes_by_extcap(web, call, tmp_path):
    extcap = os.path.join(os.path.dirname(TSRUN), "tsnet-extcap")
    states = tmp_path / "states" / "tsnet"
    states.mkdir(parents=True)
    (states / "web").symlink_to(web.state)
    env = dict(CLEAN_ENV, XDG_STATE_HOME=str(states.parent))
    listed = subprocess.run([extcap, "--extcap-interfaces"], env=env,
                            capture_output=True, text=True, check=True).stdout
    assert "interface {value=tsnet-web}" in listed
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    process = subprocess.Popen([extcap, "--extcap-interface", "tsnet-web",
                                "--capture", "--fifo", str(fifo)], env=env,
                               stderr=subprocess.DEVNULL)
    with open(fifo, "rb", buffering=0) as f:
        data = f.read(65536)
        fetch(call)
        while b"GET /x" not in data:
            data += f.read(65536)
    assert stop(process) == 0
    assert any(b"GET /x" in p for _, p in packets(data))


def test_only_a_writer_may_capture(run):
    node = run("a", "sleep", "60").wait_running()
    connection = UnixConnection(node.localapi)
    connection.request("POST", "/localapi/v0/debug-capture",
                       headers={"Origin": "http://evil"})
    assert connection.getresponse().status == 403


# -- counters --------------------------------------------------------------------

def metric(text, name):
    for line in text.splitlines():
        if line.startswith(name + " "):
            return float(line.split()[-1])
    raise AssertionError(f"no {name} in {text}")


@needs("curl")
def test_metrics_count_by_way_and_on_a_port(web, call):
    def outbound(text):
        return sum(metric(text, "tailscaled_outbound_bytes_total{path=\"%s\"}"
                          % way) for way in ("direct_ipv4", "direct_ipv6",
                                             "derp"))
    before = web.cli("metrics").stdout
    fetch(call)
    after = web.cli("metrics").stdout
    assert 100_000 < outbound(after) - outbound(before) < 400_000
    assert metric(after, "tailscaled_home_derp_region_id") >= 1
    assert metric(after, "tailscaled_advertised_routes") == 0

    connection = http.client.HTTPConnection("127.0.0.1", web.metrics_port,
                                            timeout=PATIENCE)
    connection.request("GET", "/metrics")
    answer = connection.getresponse()
    assert answer.status == 200
    assert answer.getheader("Content-Type").startswith("text/plain")
    assert outbound(answer.read().decode()) >= outbound(after)
    connection.request("GET", "/metrics", headers={"Host": "evil.example"})
    answer = connection.getresponse()
    assert (answer.status, answer.read()) == (403, b"this is not your host\n")
    connection.request("GET", "/localapi/v0/status")
    answer = connection.getresponse()
    assert answer.status == 404
    connection.close()


def test_a_taken_port_costs_only_the_metrics(web, run):
    other = run("other", "sleep", "60", env={
        "TSNET_METRICS_LISTEN": f"127.0.0.1:{web.metrics_port}"})
    other.wait_running()
    assert "no metrics: cannot listen at metrics_listen 127.0.0.1:" in other.log
    assert "tailscaled_home_derp" in other.cli("metrics").stdout


def test_metrics_are_on_loopback_only(call):
    node = call("a", "true", env={"TSNET_METRICS_LISTEN": "0.0.0.0:9100"})
    assert node.code == 125
    assert "metrics_listen" in node.err and "loopback" in node.err


# -- states ------------------------------------------------------------------------

def test_status_is_a_table_with_health(run, lab):
    node = run("a", "sleep", "60").wait_running()
    run("longername", "sleep", "60", key="key-bob").wait_running()
    lab.command("health The sky is falling")
    text = wait_until(lambda: (t := node.cli("status").stdout) and
                      "sky" in t and t, "the warning")
    lines = text.splitlines()
    assert lines[0].split() == [node.ip, "a", "alice@example.com", "linux",
                                "this", "node"]
    peer = next(line for line in lines if " longername " in line)
    assert peer.split()[2:4] == ["bob@example.com", "linux"]
    assert peer.index("linux") == lines[0].index("linux")
    assert "# Health check:\n#   - The sky is falling" in text


def test_watch_prints_what_changes(run):
    node = run("a", "sleep", "60").wait_running()
    watch = subprocess.Popen(
        [TSRUN, "--socket", node.localapi, "status", "--watch"],
        env=CLEAN_ENV, stdout=subprocess.PIPE, text=True)
    first = watch.stdout.readline()
    assert "this node" in first
    run("late", "sleep", "60")
    seen = ""
    while " late " not in seen:
        seen = watch.stdout.readline()
        assert seen
    stop(watch, signal.SIGINT)
    watch.stdout.close()


def test_states_are_told_in_words(run):
    node = run("a", "sleep", "60", key=None)
    wait_until(lambda: node.status().get("AuthURL"), "the login page")
    result = node.cli("status", check=False)
    assert result.returncode == 1
    assert "# state: NeedsLogin: somebody has to log this node in" in (
        result.stdout)
    assert "# to join the tailnet, visit http" in result.stdout


def test_a_verb_explains_itself_and_refuses_nonsense():
    for verb in ("status", "ip", "whois", "ping", "netcheck", "capture",
                 "metrics", "doctor"):
        result = subprocess.run([TSRUN, verb, "--help"], env=CLEAN_ENV,
                                capture_output=True, text=True, check=True)
        assert result.stdout.startswith("usage: tsrun ") and (
            f" {verb} " in result.stdout)
    for words in (["ping"], ["ping", "-c", "x", "a"], ["status", "a"],
                  ["status", "-o", "x"], ["capture", "-o"]):
        result = subprocess.run([TSRUN, *words], env=CLEAN_ENV,
                                capture_output=True, text=True, check=False)
        assert result.returncode == 64, words
        assert "usage: tsrun " in result.stderr


def test_after_dashes_a_word_is_a_command(call, tmp_path):
    command = tmp_path / "status"
    command.write_text("#!/bin/sh\necho my own\n")
    command.chmod(0o755)
    program = call("a", "status", env={
        "PATH": f"{tmp_path}:{CLEAN_ENV['PATH']}"})
    assert (program.code, program.out) == (0, "my own\n")


# -- the log -----------------------------------------------------------------------

def test_the_log_as_json(run):
    node = run("a", "sleep", "60", options=["--log-format", "json"])
    node.wait_running()
    lines = [json.loads(line) for line in node.log.splitlines()]
    assert len(lines) > 10
    for line in lines:
        assert list(line) == ["time", "level", "component", "message"]
        assert line["level"] in ("error", "warn", "info", "debug")
        assert line["time"].endswith("Z") and line["message"]
    assert any(line["component"] == "node-a" and
               "-> Running" in line["message"] for line in lines)


# -- the control server's questions ----------------------------------------------------

def c2n(lab, *words):
    answer = lab.command("c2n " + " ".join(words))["answer"]
    head, body = answer.split("\r\n\r\n", 1)
    return int(head.split()[1]), body


def test_control_may_ask(run, lab):
    run("a", "sleep", "60").wait_running()
    assert c2n(lab, "a", "POST", "/echo", "hello") == (200, "hello")
    status, body = c2n(lab, "a", "GET", "/debug/prefs")
    prefs = json.loads(body)
    assert status == 200 and prefs["Hostname"] == "a"
    assert "privkey:" + "0" * 64 in body or "privkey" not in body
    lab.command("health The sky is falling")
    wait_until(lambda: "sky" in c2n(lab, "a", "GET", "/debug/health")[1],
               "the message")
    assert c2n(lab, "a", "GET", "/update")[0] == 200
    assert "magicsock_send_udp" in c2n(lab, "a", "GET", "/debug/metrics")[1]
    assert c2n(lab, "a", "GET", "/nonsense") == (400, "unknown c2n path\n")
    assert c2n(lab, "a", "PUT", "/update") == (405, "bad method\n")


class Heads(http.server.BaseHTTPRequestHandler):
    """Notes who asked by HEAD."""
    seen = []

    def do_HEAD(self):  # pylint: disable=invalid-name
        self.seen.append(self.path)
        self.send_response(204)
        self.end_headers()

    def log_message(self, *args):  # pylint: disable=arguments-differ
        pass


def test_control_may_want_a_page_asked_for(run, lab):
    """A PingRequest without types: HEAD, by the server's link or without."""
    server = http.server.HTTPServer(("127.0.0.1", 0), Heads)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/ping/one"
    node = run("a", "sleep", "60").wait_running()
    assert lab.command("ping-request a")["answer"] == ""
    for ping in ({"URL": "file:///etc/passwd"}, {"URL": url},
                 {"URL": url}):
        lab.command("send-json a " + json.dumps({"PingRequest": ping}))
    wait_until(lambda: Heads.seen, "the HEAD")
    wait_until(lambda: "ping by HEAD: http 204" in node.log, "its answer")
    assert Heads.seen == ["/ping/one"]
    server.shutdown()
    assert node.status()["BackendState"] == "Running"


def test_pings_of_every_kind(run, lab):
    """By tsrun, and by the control server's wish."""
    a = run("a", "sleep", "60").wait_running()
    b = run("b", "sleep", "60").wait_running()
    for option, via in (("--tsmp", "via TSMP in"), ("--icmp", "via ICMP in"),
                        ("--peerapi", f"via http://{b.ip}:")):
        pong = a.cli("ping", "-c", "3", option, "b").stdout
        assert f"pong from b ({b.ip})" in pong and via in pong, pong
    for kind in ("disco", "TSMP", "ICMP", "peerapi"):
        answer = lab.command(f"ping-request a {kind} b")["answer"]
        assert answer["Type"] == kind and answer["NodeName"] == "b"
        assert "Err" not in answer and answer["LatencySeconds"] > 0
    pong = a.cli("ping", "-c", "1", "--peerapi", a.ip, check=False)
    assert pong.returncode == 1 and "local Tailscale IP" in pong.stdout


@needs("curl")
def test_routes_are_counted(run, lab):
    node = run("a", "sleep", "60", env={
        "TSNET_ADVERTISE_ROUTES": "10.9.0.0/16,192.0.2.0/24"})
    node.wait_running()
    assert metric(node.cli("metrics").stdout,
                  "tailscaled_advertised_routes") == 2
    lab.command("routes a 10.9.0.0/16")
    wait_until(lambda: metric(node.cli("metrics").stdout,
                              "tailscaled_approved_routes") == 1,
               "the approval")


# -- the doctor ---------------------------------------------------------------------

def doctor(*args, env=None):
    result = subprocess.run([TSRUN, *args], env=dict(CLEAN_ENV, **(env or {})),
                            capture_output=True, text=True, check=False,
                            timeout=PATIENCE)
    return result


def checks(result):
    report = json.loads(result.stdout)
    assert report["Works"] == (result.returncode == 0)
    return {c["Check"]: c for c in report["Checks"]}


def test_doctor_without_a_node(lab, tmp_path):
    result = doctor("--control-url", lab.url, "--state", str(tmp_path / "s"),
                    "--json", "doctor", "python3")
    found = checks(result)
    assert result.returncode == 0, result.stdout
    assert found["control"]["Verdict"] == "ok"
    assert found["node"]["Verdict"] == "skipped"
    assert found["state"]["Verdict"] == "ok"
    assert found["preload"]["Verdict"] == "ok"
    assert "can be preloaded" in found["program"]["Text"]
    assert not (tmp_path / "s").exists()


def test_doctor_with_a_node(run):
    node = run("a", "sleep", "60").wait_running()
    result = doctor("--control-url", node.lab.url, "--state", node.state,
                    "--json", "doctor")
    found = checks(result)
    assert result.returncode == 0, result.stdout
    assert node.ip in found["node"]["Text"]
    assert found["relays"]["Verdict"] == "ok", found["relays"]
    assert found["udp"]["Verdict"] == "ok", found["udp"]
    assert "keys are there" in found["state"]["Text"]


def test_doctor_says_what_to_do(tmp_path):
    torn = tmp_path / "torn"
    torn.mkdir(mode=0o700)
    (torn / "tailscaled.state").write_text("{")
    port = free_port()
    result = doctor("--control-url", f"http://127.0.0.1:{port}", "--state",
                    str(torn), "doctor", "no-such-program")
    assert result.returncode == 1
    text = result.stdout
    assert "failed   control" in text and "-> is the server running?" in text
    assert "failed   state" in text and "-> repair it, or move it" in text
    assert "failed   program" in text and "-> check its name" in text
    result = doctor("--json", "doctor", env={"TSNET_PORT": "many"})
    assert checks(result)["settings"]["Verdict"] == "failed"


def test_doctor_knows_a_control_server_from_a_web_server(tmp_path):
    port = free_port()
    server = subprocess.Popen(
        ["python3", "-m", "http.server", str(port), "--bind", "127.0.0.1",
         "--directory", str(tmp_path)], stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL)
    wait_until(lambda: socket.socket().connect_ex(("127.0.0.1", port)) == 0,
               "the server")
    result = doctor("--control-url", f"http://127.0.0.1:{port}", "--state",
                    "mem:", "--json", "doctor")
    stop(server)
    found = checks(result)
    assert result.returncode == 1
    assert "status 404" in found["control"]["Text"]
    assert found["clock"]["Verdict"] == "ok"
