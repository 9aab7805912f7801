"""The daemons that others run: tailscaled and wireguard-go."""
import json
import os
import socket
import subprocess

from harness import BUILD, CLEAN_ENV
from world import Daemon, LINK_IPS, enter, ip

PEERS = os.environ.get("PEERS", os.path.join(BUILD, "interop-peers"))
GO_ENV = dict(CLEAN_ENV, TS_NO_LOGS_NO_SUPPORT="true")
WIREGUARD_PORT = 51820
WIREGUARD_IPS = {"client": "10.78.0.1", "server": "10.78.0.2"}
SOCKS = "127.0.0.1:1080"


class Tailscaled:
    """With a TUN device, or in userspace behind a SOCKS5 proxy."""

    def __init__(self, directory, namespace, tailnet, hostname, has_tun,
                 port=0):
        self.namespace, self.tailnet = namespace, tailnet
        self.has_tun, self.port = has_tun, port
        self.environment = "" if has_tun else f"export SOCKS5={SOCKS}; "
        self.curl = [] if has_tun else ["--socks5", SOCKS]
        self.start(directory, hostname)

    def start(self, directory, hostname):
        """Also after close(): with the state that is there, or as a node that
        was never there."""
        self.directory, self.hostname = directory, hostname
        self.socket = os.path.join(directory, "tailscaled.sock")
        more = ["--tun=tailscale0"] if self.has_tun else [
            "--tun=userspace-networking", f"--socks5-server={SOCKS}"]
        self.daemon = Daemon(
            directory, "tailscaled", *enter(self.namespace),
            f"{PEERS}/tailscaled", f"--statedir={directory}",
            f"--socket={self.socket}", f"--port={self.port}", *more,
            env=GO_ENV)
        try:
            self.daemon.wait_for(lambda: os.path.exists(self.socket),
                                 "tailscaled")
            self.cli("up", f"--login-server={self.tailnet.url}",
                     "--auth-key=tskey-auth-any", f"--hostname={hostname}",
                     "--accept-dns=false", "--netfilter-mode=off",
                     "--timeout=30s")
            self.ip = self.cli("ip", "-4").strip()
        except BaseException:
            self.close()
            raise

    @property
    def process(self):
        return self.daemon.process

    def cli(self, *args):
        result = subprocess.run(
            [f"{PEERS}/tailscale", f"--socket={self.socket}", *args],
            capture_output=True, text=True, env=GO_ENV, timeout=60,
            check=False)
        if result.returncode:
            raise RuntimeError(f"tailscale {args[0]}: {result.stderr}"
                               f"{self.daemon.tail()}")
        return result.stdout

    def path_to(self, address):
        status = json.loads(self.cli("status", "--json"))
        for peer in (status["Peer"] or {}).values():
            if address in peer["TailscaleIPs"]:
                return peer["CurAddr"]
        return ""

    def close(self):
        self.daemon.close()


class WireGuard:
    """wireguard-go, at the inner MTU that tailnets have."""

    environment, curl = "", []

    def __init__(self, directory, lane, end, keys):
        self.lane, self.end, self.keys = lane, end, keys
        self.ip = WIREGUARD_IPS[end]
        self.start(directory, None)

    def start(self, directory, _hostname):
        """Also after close()."""
        lane, end, keys = self.lane, self.end, self.keys
        self.directory, self.hostname = directory, None
        namespace = lane.names[end]
        other = "server" if end == "client" else "client"
        device = f"wg{lane.number}{end[0]}"
        control = f"/run/wireguard/{device}.sock"
        self.daemon = Daemon(directory, "wireguard", *enter(namespace),
                             f"{PEERS}/wireguard-go", "-f", device,
                             env=CLEAN_ENV)
        try:
            self.daemon.wait_for(lambda: os.path.exists(control),
                                 "wireguard-go")
            configure(control, {
                "private_key": keys[end][0], "listen_port": WIREGUARD_PORT,
                "public_key": keys[other][1],
                "endpoint": f"{LINK_IPS[other]}:{WIREGUARD_PORT}",
                "allowed_ip": WIREGUARD_IPS[other] + "/32"})
            ip("addr", "add", self.ip + "/24", "dev", device,
               namespace=namespace)
            # 1,280 as tailnets have; on a link of 9,000 bytes all it takes.
            ip("link", "set", device, "mtu",
               "1280" if lane.mtu == 1500 else str(lane.mtu - 80), "up",
               namespace=namespace)
        except BaseException:
            self.close()
            raise

    @property
    def process(self):
        return self.daemon.process

    def path_to(self, _address):
        return LINK_IPS["server"]

    def close(self):
        self.daemon.close()


def configure(control, settings):
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(control)
        s.sendall(b"set=1\n" + "".join(
            f"{k}={v}\n" for k, v in settings.items()).encode() + b"\n")
        answer = s.makefile().readline().strip()
    if answer != "errno=0":
        raise RuntimeError(f"wireguard-go: {answer}")


def openssl(*args, data=b""):
    return subprocess.run(["openssl", *args], input=data, capture_output=True,
                          check=True).stdout


def pair_of_keys():
    """end -> private and public key in hexadecimal."""
    keys = {}
    for end in ("client", "server"):
        private = openssl("genpkey", "-algorithm", "X25519", "-outform", "DER")
        public = openssl("pkey", "-inform", "DER", "-pubout", "-outform",
                         "DER", data=private)
        keys[end] = private[-32:].hex(), public[-32:].hex()
    return keys
