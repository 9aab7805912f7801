"""Every command of the stock tailscale CLI against a node of ours.

One row a command: what it was given, what is expected, what came out. The table
is printed, and written to docs/CLI.md. A row is a limit when it says why; a
limit that works after all fails the test, and so does any other row that does
not do what it says.
"""
import os
import re
import subprocess
import threading

import pytest

from acme_server import AcmeServer
from conftest import PEER_ENV, PEERS, LabControl, OwnNetwork, start_ours
from harness import Lab, wait_until

DOCS = os.path.join(os.path.dirname(__file__), "..", "..", "docs", "CLI.md")
# Upstream hides id-token behind this.
CLI_ENV = dict(PEER_ENV, TAILSCALE_USE_WIP_CODE="1")
HEAD = """# The tailscale CLI

What the stock `tailscale` command says to a node of ours, through the LocalAPI
socket in its state directory: `tailscale --socket=DIR/tailscaled.sock`.
`make interop` runs every row and writes this page; do not edit it.

| command | result |
|---|---|
"""


class Row:
    """args: as for the shell, {peer} and {ip} filled in. want: a pattern in
    what it prints. limit: why it does not work here. is_endless: it is ended
    when it has printed something."""

    def __init__(self, args, want="", status=0, limit=None, stdin=None,
                 after=None, is_endless=False):
        self.args, self.want, self.status = args, want, status
        self.limit, self.stdin = limit, stdin
        self.after, self.is_endless = after, is_endless


def rows(env):
    """In this order: each leaves the node as the next one wants it."""
    lab = env.lab

    def hostinfo():
        return next((n["hostinfo"] for n in lab.nodes()
                     if n["ips"][0] == env.ip), {})

    def told(name, value):
        wait_until(lambda: hostinfo().get(name) == value,
                   f"the server to hear of {name}")

    def told_home(region):
        wait_until(lambda: lab.node("ours")["net_info"].get(
            "PreferredDERP", 0) == region, f"home {region}")

    def pref(name, value):
        def check():
            assert env.program_prefs()[name] == value
        return check

    def peer_has(name):
        def check():
            inbox = os.path.join(env.peer.state, "files")
            assert [f for _, _, fs in os.walk(inbox) for f in fs] == [name]
        return check

    def is_state(value):
        def check():
            wait_until(lambda: env.program.status().get("BackendState") ==
                       value, f"state {value}")
        return check

    return [
        Row("status", r"{ip}\s+ours"),
        Row("status --json", r'"BackendState": "Running"'),
        Row("status --peers=false", r"{ip}"),
        Row("ip", r"{ip}"),
        Row("ip -4 peer", r"{peer}"),
        Row("ip -6", r"fd7a:"),
        Row("whoami", r"ours"),
        Row("whois {peer}", r"peer\."),
        Row("whois --json {peer}:80", r'"Name": "peer\.'),
        Row("ping -c 1 --until-direct=false peer", r"pong from peer"),
        Row("ping -c 1 --tsmp peer", r"pong from peer"),
        Row("ping -c 1 --icmp peer", r"pong from peer"),
        Row("ping -c 1 --peerapi peer", r"hit peerapi"),
        Row("debug peer-endpoint-changes {peer}", r'"What": "new-endpoint"'),
        Row("netcheck", r"Report:"),
        Row("version --daemon", r"Daemon:"),
        Row("wait --timeout 10s"),
        Row("get", r"accept-routes"),
        Row("get --json", r'"hostname"'),
        Row("set --hostname=renamed",
            after=lambda: told("Hostname", "renamed")),
        Row("set --hostname=ours", after=lambda: told("Hostname", "ours")),
        Row("set --shields-up", after=lambda: told("ShieldsUp", True)),
        Row("set --shields-up=false",
            after=lambda: told("ShieldsUp", None)),
        Row("set --accept-routes", after=pref("RouteAll", True)),
        Row("set --accept-routes=false", after=pref("RouteAll", False)),
        Row("set --accept-dns=false", after=pref("CorpDNS", False)),
        Row("set --accept-dns", after=pref("CorpDNS", True)),
        Row("set --operator=nobody", after=pref("OperatorUser", "nobody")),
        Row("set --operator=", after=lambda: None),
        Row("set --nickname=work", after=pref("ProfileName", "work")),
        Row("set --advertise-routes=10.99.1.0/24",
            after=pref("AdvertiseRoutes", ["10.99.1.0/24"])),
        Row("set --advertise-routes=", after=pref("AdvertiseRoutes", None)),
        Row("set --exit-node=peer", status=1,
            want="not.*exit node|does not offer|invalid"),
        Row("set --exit-node="),
        Row("set --ssh", limit="there is no SSH server"),
        Row("set --webclient", limit="there is no web client"),
        Row("set --auto-update",
            limit="the system's packages update this node"),
        Row("set --advertise-connector", limit="no app connector"),
        Row("set --snat-subnet-routes=false",
            limit="routes are always source NATed"),
        Row("set --netfilter-mode=off", after=pref("NetfilterMode", 0)),
        Row("set --netfilter-mode=on", after=pref("NetfilterMode", 2)),
        Row("set --netfilter-mode=nodivert",
            limit="the kernel's netfilter is not used"),
        Row("set --stateful-filtering"),
        Row("set --stateful-filtering=false"),
        Row("set --update-check=false"),
        Row("set --update-check"),
        Row("set --report-posture", after=pref("PostureChecking", True)),
        Row("set --report-posture=false",
            after=pref("PostureChecking", False)),
        Row("set --relay-server-port=0", limit="no peer relay"),
        Row("exit-node list", status=1, want="no exit nodes found"),
        Row("exit-node suggest", r"(?i)no exit node|suggest"),
        Row("dns status", r"MagicDNS"),
        Row("dns query peer.{suffix}", r"{peer}"),
        Row("dns query --json peer.{suffix}", r"{peer}"),
        Row("lock status", r"(?i)not enabled|tailnet lock|network lock"),
        Row("metrics print", r"tailscaled_"),
        Row("bugreport", r"BUG-"),
        Row("bugreport --diagnose", r"BUG-"),
        Row("bugreport --record", r"BUG-.*\nBUG-", stdin="\n"),
        Row("id-token some-audience", r"^eyJ"),
        Row("nc {peer} 8080", r"HTTP/1.0 200", stdin="GET / HTTP/1.0\n\n"),
        Row("switch --list", r"ID\s+Tailnet\s+Account"),
        Row("switch nobody", status=1, want="No profile named"),
        Row("serve status", r"No serve config"),
        Row("serve --bg --http=80 3000", r"http://ours"),
        Row("serve --bg --http=80 --set-path=/text text:hello", r"text"),
        Row("serve --bg --tcp=2222 --proxy-protocol=2 tcp://localhost:22",
            r"PROXY protocol v2"),
        Row("serve status", r"/text\s+text  \"hello\""),
        Row("serve status --json", r'"ProxyProtocol": 2'),
        Row("serve --http=80 off"),
        Row("serve --http=8080 text:hello", r"Available", is_endless=True),
        Row("serve --bg 3000", r"https://ours"),
        Row("serve reset"),
        Row("funnel status", r"No serve config"),
        Row("funnel --bg 3000", r"Available on the internet",
            after=lambda: told("IngressEnabled", True)),
        Row("funnel status", r"Funnel on"),
        Row("funnel --https=443 off",
            after=lambda: told("IngressEnabled", None)),
        Row("serve --service=svc:x --bg --http=80 3000",
            r"service hosts must be tagged nodes", status=1),
        Row("serve advertise svc:x",
            after=pref("AdvertiseServices", ["svc:x"])),
        Row("serve drain svc:x"),
        Row("serve get-config --all", r"version"),
        Row("cert", r'use "ours.{suffix}"', status=1),
        Row("cert ours.lab.test", r"invalid domain", status=1),
        Row("cert --cert-file=- --key-file=- ours.{suffix}",
            r"BEGIN CERTIFICATE[^$]*BEGIN EC PRIVATE KEY"),
        Row("file cp --targets", r"{peer}\s+peer"),
        Row("file cp /etc/hostname peer:", after=peer_has("hostname")),
        Row("file get /dev/null"),
        Row("drive list", limit="no Taildrive"),
        Row("appc-routes", r"not a connector"),
        Row("licenses", r"https?://"),
        Row("debug prefs", r'"WantRunning": true'),
        Row("debug netmap", r'"SelfNode"'),
        Row("debug derp-map", r'"Regions"'),
        Row("debug derp 900", r"Successfully established a DERP connection"),
        Row("debug control-knobs", r"SilentDisco"),
        Row("debug restun"),
        Row("debug rebind"),
        Row("debug break-derp-conns"),
        Row("debug break-tcp-conns"),
        Row("debug force-netmap-update"),
        Row("debug statedir", r"state"),
        Row("debug watch-ipn --initial --count 1", r'"State": 6'),
        Row("debug localapi GET status?peers=false", r"BackendState"),
        Row("debug rotate-disco-key"),
        Row("debug pick-new-derp"),
        Row("debug force-prefer-derp 901",
            after=lambda: told_home(901)),
        Row("debug force-prefer-derp 0"),
        Row("debug derp-set-on-demand", after=lambda: told_home(0)),
        Row("debug derp-unset-on-demand"),
        Row("debug peer-relay-servers", r"^\[\]"),
        Row("debug peer-relay-sessions", r"No peer relay|not configured"),
        Row("debug clear-netmap-cache"),
        Row("debug daemon-bus-graph", limit="there is no event bus"),
        Row("debug daemon-bus-queues", limit="there is no event bus"),
        Row("debug daemon-bus-events", limit="there is no event bus"),
        Row("syspolicy list", r"No policy settings"),
        Row("syspolicy reload", r"No policy settings"),
        Row("debug component-logs magicsock", r"(?i)enabled"),
        Row("debug component-logs --for=0 magicsock", r"(?i)disabled"),
        Row("debug component-logs none", status=1, want="unknown component"),
        Row("debug daemon-goroutines", r"thread \d+"),
        Row("debug daemon-logs", r"logtap connected", is_endless=True),
        Row("debug metrics", r"tailscaled_|# TYPE"),
        Row("debug capture -o -", "\xd4\xc3\xb2\xa1", is_endless=True),
        Row("debug dev-store-set --danger a b"),
        Row("debug set-expire --in 720h"),
        Row("debug portmap --duration=1s", r"gw=|no gateway or self IP"),
        Row("debug local-creds", r"--unix-socket|curl"),
        Row("debug via 7 10.1.0.0/16", r"fd7a:115c:a1e0:b1a:0:7:"),
        Row("debug hostinfo", r'"OS": "linux"'),
        Row("debug resolve localhost", r"127\.0\.0\.1|::1"),
        Row("debug env", r"TAILSCALE_USE_WIP_CODE"),
        Row("service list"),
        Row("completion bash", r"complete"),
        Row("debug reload-config", r"config reloaded"),
        Row("down --reason=maintenance", after=is_state("Stopped")),
        Row("status", r"stopped", status=1),
        Row("down", r"already stopped"),
        Row("ping -c 1 peer", r"(?i)stopped", status=1),
        Row("up --login-server={url} --hostname=ours",
            after=is_state("Running")),
        Row("up --login-server={url}", status=1,
            want="non-default flags|requires mentioning"),
        Row("up --login-server={url} --hostname=ours --advertise-tags=tag:x "
            "--timeout=20s", after=lambda: told("RequestTags", ["tag:x"])),
        Row("up --reset --login-server={url} --hostname=ours --timeout=20s",
            after=lambda: told("RequestTags", None)),
        Row("up --login-server={other} --hostname=ours --force-reauth "
            "--auth-key=key-alice --timeout=20s",
            after=lambda: env.other.node("ours") or 1 / 0),
        Row("switch work", after=is_state("Running")),
        Row("login --login-server={other} --hostname=ours "
            "--auth-key=key-bob --timeout=20s", after=is_state("Running")),
        Row("switch work", after=is_state("Running")),
        Row("switch remove alice@example.com"),
        Row("up --login-server={url} --hostname=ours --force-reauth "
            "--auth-key=key-alice --timeout=20s",
            after=is_state("Running")),
        Row("login --login-server={url} --hostname=ours --auth-key=key-bob "
            "--timeout=20s", after=is_state("Running")),
        Row("logout", after=is_state("NeedsLogin")),
        Row("status", r"Logged out", status=1),
        Row("up --login-server={url} --hostname=ours --auth-key=key-alice "
            "--timeout=20s", after=is_state("Running")),
        Row("status", r"ours"),
    ]


class Env:
    def __init__(self, lab, other, program, peer):
        self.lab, self.other = lab, other
        self.program, self.peer = program, peer
        self.ip = lab.node("ours")["ips"][0]
        self.peer_ip = lab.node("peer")["ips"][0]
        self.suffix = program.status()["MagicDNSSuffix"]

    def program_prefs(self):
        import json
        return json.loads(self.cli("debug prefs").stdout)

    def fill(self, text):
        return (text.replace("{peer}", self.peer_ip)
                .replace("{ip}", self.ip).replace("{url}", self.lab.url)
                .replace("{other}", self.other.url)
                .replace("{suffix}", self.suffix))

    def cli(self, args, stdin=None, is_endless=False):
        command = [f"{PEERS}/tailscale", f"--socket={self.program.localapi}",
                   *self.fill(args).split()]
        process = subprocess.Popen(command, stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE,
                                   encoding="latin-1", env=CLI_ENV)
        timer = threading.Timer(40, process.kill)
        timer.start()
        # nc ends with its input: that stays open until the command is done.
        if stdin:
            process.stdin.write(stdin)
            process.stdin.flush()
        else:
            process.stdin.close()
        with process.stdout as out, process.stderr as err:
            if is_endless:
                texts = os.read(out.fileno(), 4096).decode("latin-1"), ""
                process.kill()
            else:
                texts = out.read(), err.read()
        status = process.wait()
        if is_endless:
            status = 0
        timer.cancel()
        if process.stdin and not process.stdin.closed:
            process.stdin.close()
        return subprocess.CompletedProcess(command, status, *texts)


@pytest.fixture
def env(tmp_path, keep):
    keep(OwnNetwork())
    labs = []
    for name in ("lab", "other"):
        directory = tmp_path / name
        directory.mkdir()
        labs.append(keep(Lab(directory, "--regions", "2")))
    lab, other = labs
    control = LabControl(lab)
    acme = keep(AcmeServer(tmp_path / "acme", lab))
    program = keep(start_ours(control, tmp_path, "ours", "sleep", "600",
                              env=acme.env))
    peer = keep(start_ours(control, tmp_path, "peer", "python3", "-u", "-m",
                           "http.server", "8080",
                           options=["--listen", "tailnet"]))
    program.wait_running()
    peer.wait_running()
    wait_until(lambda: len(program.status().get("Peer") or {}) == 1, "peer")
    return Env(lab, other, program, peer)


def first_line(result):
    """The same in every run."""
    text = (result.stderr + result.stdout).strip().splitlines()
    line = text[0] if text else ""
    return re.sub(r"127\.0\.0\.1:\d{2,}", "127.0.0.1:PORT", line)[:120]


def run_row(env, row):
    """(outcome, remark): "yes", "limit" or "FAILS"."""
    result = env.cli(row.args, row.stdin, row.is_endless)
    output = result.stdout + result.stderr
    if row.limit:
        if result.returncode == 0:
            return "FAILS", "works, and is said not to: " + first_line(result)
        return "limit", f"{row.limit}: `{first_line(result)}`"
    if result.returncode != row.status:
        return "FAILS", f"status {result.returncode}: {first_line(result)}"
    if not re.search(env.fill(row.want.replace("{ip}", re.escape(env.ip))),
                     output):
        return "FAILS", f"no {row.want}: {first_line(result)}"
    if row.after:
        try:
            row.after()
        except BaseException as e:  # pytest.fail is one of those
            return "FAILS", f"no effect: {e}".splitlines()[0][:120]
    return "yes", f"status {row.status}, as meant" if row.status else ""


def write_table(results):
    lines = []
    for args, outcome, remark in results:
        said = "works" if outcome == "yes" else outcome
        remark = remark.replace("|", "\\|")
        lines.append(f"| `{args}` | {said}{': ' + remark if remark else ''} |")
    with open(DOCS, "w", encoding="utf-8") as f:
        f.write(HEAD + "\n".join(lines) + "\n")


def test_every_command(env):
    """the tailscale CLI's commands, as docs/CLI.md says"""
    results = []
    for row in rows(env):
        outcome, remark = run_row(env, row)
        args = row.args.replace("{url}", "URL").replace(
            "{other}", "OTHER-URL").replace("{peer}", "PEER-IP").replace(
                "{ip}", "IP").replace("{suffix}", "SUFFIX")
        results.append((args, outcome, remark))
    width = max(len(r[0]) for r in results)
    for args, outcome, remark in results:
        print(args.ljust(width), outcome.ljust(6), remark)
    write_table(results)
    bad = [r for r in results if r[1] == "FAILS"]
    assert not bad, "\n".join(map(str, bad))
