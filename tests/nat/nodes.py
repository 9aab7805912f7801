"""Nodes of one implementation, one at every site; the stock CLI asks both."""
import os
import re
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

from ends import FAILURES, OurEnd, TunnelEnd
from tunnels import GO_ENV, PEERS, Tailscaled
from world import CONTROL_PORT

PONG = re.compile(r"pong from \S+ \(\S+\) via (\S+) in (\S+)")
AT_A_TIME = 4


class Control:
    """The control server as a site sees it."""

    def __init__(self, tailnet, host):
        self.url, self.key = f"http://{host}:{CONTROL_PORT}", tailnet.key


def make_ours(directory, site, control):
    return OurEnd(directory, site.host, control, site.name,
                  {"TSNET_PORT": str(site.port)})


def make_tailscaled(directory, site, control):
    return TunnelEnd(directory, site.host, Tailscaled(
        directory, site.host, control, site.name, False, site.port))


MAKERS = {"ours": make_ours, "tailscaled": make_tailscaled}


class Node:
    def __init__(self, side, directory, site, tailnet):
        self.site, self.side, self.name = site, side, site.name
        os.makedirs(directory)
        self.directory = directory
        self.end = MAKERS[side](directory, site, Control(tailnet,
                                                         site.control))
        self.ip = self.end.ip
        self.socket = self.end.program.localapi if side == "ours" else \
            self.end.tunnel.socket
        self.log = self.end.program.log_path if side == "ours" else \
            self.end.tunnel.daemon.path

    def cli(self, *args, timeout=60):
        return subprocess.run(
            [f"{PEERS}/tailscale", f"--socket={self.socket}", *args],
            capture_output=True, text=True, env=GO_ENV, timeout=timeout,
            check=False)

    def ping(self, other, count):
        """(path of the last pong, or "none"; seconds until it was direct)."""
        start = time.monotonic()
        said = self.cli("ping", "-c", str(count), "--timeout=2s",
                        "--until-direct", other.ip)
        took = time.monotonic() - start
        pongs = PONG.findall(said.stdout)
        if not pongs:
            return "none", took
        via = pongs[-1][0]
        return ("derp" if via.startswith("DERP") else via), took

    def curl(self, other, path, *options, port):
        """The command of a download from another node's web server."""
        proxy = [] if self.side == "ours" else ["-x", "socks5://127.0.0.1:1080"]
        return ["curl", "-sS", *proxy, *options,
                f"http://{other.ip}:{port}/{path}"]

    def close(self):
        self.end.close()


def start_all(side, directory, sites, tailnet, stack, say):
    """name -> Node, of those that came up."""
    def start(site):
        return Node(side, os.path.join(directory, f"{side}-{site.name}"), site,
                    tailnet)
    nodes = {}
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        started = {site.name: pool.submit(start, site) for site in sites}
    for name, future in started.items():
        try:
            nodes[name] = future.result()
            stack.callback(nodes[name].close)
        except FAILURES as e:
            say(f"{side}: {name} did not come up: {e}")
    return nodes
