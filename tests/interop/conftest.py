"""The real peers: control servers, derper, tailscaled, tsnet.

Each control fixture gives url and a way to make auth keys; every peer joins
the same tailnet. At the end a table says which scenario worked with which
peer.
"""
import ctypes
import json
import os
import socket
import subprocess
import sys

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "e2e"))
from harness import (CLEAN_ENV, Program, set_loopback_up, stop,
                     wait_until)
from passed import pytest_runtest_logreport  # noqa: E402, F401 - a hook

PEERS = os.environ["PEERS"]
PEER_ENV = dict(CLEAN_ENV, TS_NO_LOGS_NO_SUPPORT="true")
RESULTS = {}
CLONE_NEWNET = 0x40000000


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def accepts(port):
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


class Daemon:
    """A background process with its output in a file."""

    def __init__(self, directory, name, *argv, env=None):
        directory.mkdir(exist_ok=True)
        self.path = directory / f"{name}.log"
        self.file = open(self.path, "ab")
        self.process = subprocess.Popen(
            [str(a) for a in argv], stdout=self.file, stderr=self.file,
            stdin=subprocess.DEVNULL, env=env or PEER_ENV, cwd=directory)

    @property
    def log(self):
        return self.path.read_text(errors="replace")

    def alive(self):
        assert self.process.poll() is None, self.log[-2000:]
        return True

    def close(self):
        stop(self.process)
        self.file.close()


@pytest.fixture(scope="module")
def derper(tmp_path_factory):
    directory = tmp_path_factory.mktemp("derper")
    port, stun = free_port(), free_port()
    daemon = Daemon(directory, "derper", f"{PEERS}/derper", "-a",
                    f"127.0.0.1:{port}", "-certmode", "manual", "-certdir",
                    directory, "-hostname", "127.0.0.1", "-http-port", "-1",
                    "-stun-port", stun, "-c", directory / "key.json")
    wait_until(lambda: daemon.alive() and accepts(port), "derper")
    yield port, stun
    daemon.close()


class TestControl:
    """tailscale.com/tstest/integration/testcontrol"""
    name = "testcontrol"
    user = None  # every node is a user of its own

    def __init__(self, directory, derper):
        port = free_port()
        self.daemon = Daemon(directory, "testcontrol",
                             f"{PEERS}/testcontrol", "-listen",
                             f"127.0.0.1:{port}", "-derp-port", derper[0],
                             "-stun-port", derper[1])
        self.url = f"http://127.0.0.1:{port}"
        wait_until(lambda: self.daemon.alive() and accepts(port), self.name)

    def key(self):
        return "tskey-auth-any"

    def close(self):
        self.daemon.close()


class Headscale:
    """github.com/juanfont/headscale"""
    name = "headscale"
    user = "carol"

    def __init__(self, directory, derper):
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self.dir = directory
        self.conf = directory / "headscale.json"
        region = json.dumps({
            "regionid": 900, "regioncode": "test", "regionname": "Test",
            "nodes": [{"name": "900a", "regionid": 900,
                       "hostname": "127.0.0.1", "ipv4": "127.0.0.1",
                       "stunport": derper[1], "derpport": derper[0],
                       "insecurefortests": True}]})
        (directory / "derp.yaml").write_text(f"regions:\n  900: {region}\n")
        # YAML is a superset of JSON
        self.conf.with_suffix(".yaml").write_text(json.dumps({
            "server_url": self.url,
            "listen_addr": f"127.0.0.1:{port}",
            "metrics_listen_addr": f"127.0.0.1:{free_port()}",
            "grpc_listen_addr": f"127.0.0.1:{free_port()}",
            "noise": {"private_key_path": str(directory / "noise.key")},
            "prefixes": {"v4": "100.64.0.0/10", "v6": "fd7a:115c:a1e0::/48",
                         "allocation": "sequential"},
            "derp": {"server": {"enabled": False}, "urls": [],
                     "paths": [str(directory / "derp.yaml")],
                     "auto_update_enabled": False},
            "disable_check_updates": True,
            "database": {"type": "sqlite",
                         "sqlite": {"path": str(directory / "db.sqlite")}},
            "dns": {"magic_dns": True, "base_domain": "hs.test",
                    "override_local_dns": False,
                    "nameservers": {"global": []}},
            "unix_socket": str(directory / "headscale.sock"),
            "unix_socket_permission": "0700",
            "policy": {"mode": "database"},
            "log": {"level": "info"},
        }))
        self.conf = self.conf.with_suffix(".yaml")
        self.daemon = Daemon(directory, "headscale", f"{PEERS}/headscale",
                             "-c", self.conf, "serve")
        wait_until(lambda: self.daemon.alive() and accepts(port), self.name)
        wait_until((directory / "headscale.sock").exists, "headscale's socket")
        self.cli("users", "create", self.user)
        self.user_id = json.loads(self.cli("users", "list", "-o",
                                           "json"))[0]["id"]
        self.reusable_key = json.loads(self.cli(
            "preauthkeys", "create", "--user", self.user_id, "--reusable",
            "-o", "json"))["key"]

    def cli(self, *args):
        result = subprocess.run(
            [f"{PEERS}/headscale", "-c", self.conf, *map(str, args)],
            capture_output=True, text=True, env=PEER_ENV, timeout=30)
        assert result.returncode == 0, result.stderr + result.stdout
        return result.stdout

    def key(self):
        return self.reusable_key

    def close(self):
        self.daemon.close()


@pytest.fixture(scope="module", params=[TestControl, Headscale],
                ids=["testcontrol", "headscale"])
def control(request, derper, tmp_path_factory):
    server = request.param(tmp_path_factory.mktemp(request.param.name), derper)
    yield server
    server.close()


class LabControl:
    """The embedded tailnet, as the other peers' fixtures want it."""

    def __init__(self, lab):
        self.url = lab.url

    @staticmethod
    def key():
        return "key-alice"


class OwnNetwork:
    """A network namespace of its own, with loopback, until it is closed: other
    tests' servers are in the one before."""

    def __init__(self):
        self.before = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        if ctypes.CDLL(None).unshare(CLONE_NEWNET):
            raise OSError("no network namespace")
        set_loopback_up()

    def close(self):
        if ctypes.CDLL(None).setns(self.before, CLONE_NEWNET):
            raise OSError("the network namespace cannot be left")
        os.close(self.before)


class Tailscaled:
    """tailscaled in userspace mode, logged in by the tailscale CLI."""

    def __init__(self, control, directory, hostname, wrap=()):
        self.socket = directory / "tailscaled.sock"
        self.socks = free_port()
        self.daemon = Daemon(
            directory, hostname, *wrap, f"{PEERS}/tailscaled",
            "--tun=userspace-networking", f"--statedir={directory}",
            f"--socket={self.socket}", "--port=0",
            f"--socks5-server=127.0.0.1:{self.socks}")
        wait_until(self.socket.exists, "tailscaled's socket")
        self.cli("up", f"--login-server={control.url}",
                 f"--auth-key={control.key()}", f"--hostname={hostname}",
                 "--accept-dns=false", "--netfilter-mode=off",
                 "--timeout=40s")

    def cli(self, *args):
        result = tailscale(self.socket, *args)
        assert result.returncode == 0, (result.stdout + result.stderr +
                                        self.daemon.log[-1500:])
        return result.stdout

    @property
    def ip(self):
        return self.cli("ip", "-4").strip()

    def close(self):
        self.daemon.close()


def tailscale(sock, *args, env=None):
    """The stock CLI against a LocalAPI socket."""
    return subprocess.run([f"{PEERS}/tailscale", f"--socket={sock}", *args],
                          capture_output=True, text=True, env=env or PEER_ENV,
                          timeout=60)


class TsnetPeer:
    def __init__(self, control, directory, hostname, *verb, state=None):
        env = dict(PEER_ENV, TS_AUTHKEY=control.key())
        self.daemon = Daemon(
            directory, hostname, f"{PEERS}/tsnetpeer", "-verbose", "-hostname",
            hostname, "-dir", state or directory / "state", "-control-url",
            control.url, *verb, env=env)

    @property
    def log(self):
        return self.daemon.log

    def wait_up(self):
        """Its tailnet address."""
        def line():
            found = [x for x in self.log.splitlines() if x.startswith("up ")]
            return found and found[0].split()[1]
        return wait_until(lambda: line() or not self.daemon.alive(),
                          "tsnet to be up", 60)

    def wait(self):
        return self.daemon.process.wait(90)

    def close(self):
        self.daemon.close()


@pytest.fixture
def keep(request):
    """keep(x) closes x at the end of the test; returns it."""
    kept = []

    def add(thing):
        kept.append(thing)
        return thing
    yield add
    for thing in reversed(kept):
        thing.close()


def start_ours(control, directory, hostname, *argv, path=None, **kwargs):
    """A program under tsrun, with close()."""
    if path == "derp":
        kwargs["env"] = dict(kwargs.get("env") or {}, TSNET_DIRECT="no")
    program = Program(control, directory, hostname, *argv, key=control.key(),
                      **kwargs)
    program.close = lambda: program.process.poll() is None and program.stop()
    return program


@pytest.fixture
def ours(control, tmp_path, keep):
    """ours(hostname, *argv) starts a program under tsrun on that tailnet."""
    def start(hostname, *argv, **kwargs):
        return keep(start_ours(control, tmp_path, hostname, *argv, **kwargs))
    return start


@pytest.fixture(scope="module", params=["direct", "derp"])
def path(request):
    """Which way the bytes of this test shall go, and be shown to have gone."""
    return request.param


def path_to(program, ip):
    """What the node of ours says of its path to a peer."""
    for peer in (program.status().get("Peer") or {}).values():
        if ip in peer["TailscaleIPs"]:
            return "direct" if peer["CurAddr"] else "derp"
    return None


def wait_path(program, ip, path):
    """Pings the peer until that is the path."""
    def is_there():
        pong = program.cli("ping", "-c", "1", ip, check=False)
        return pong.returncode == 0 and path_to(program, ip) == path
    wait_until(is_there, f"a {path} path to {ip}", 60)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    if report.when == "call" or report.outcome != "passed":
        scenario = (item.function.__doc__ or item.name).strip().rstrip(".")
        peer = item.name.partition("[")[2].rstrip("]") or "-"
        RESULTS[(scenario, peer)] = report.outcome


def pytest_terminal_summary(terminalreporter):
    peers = sorted({peer for _, peer in RESULTS})
    scenarios = list(dict.fromkeys(s for s, _ in RESULTS))
    width = max([len(s) for s in scenarios] or [0])
    write = terminalreporter.write_line
    write("")
    write("scenario".ljust(width) + "  " + "  ".join(peers))
    for s in scenarios:
        cells = [RESULTS.get((s, p), "-").ljust(len(p)) for p in peers]
        write(s.ljust(width) + "  " + "  ".join(cells))
