"""Routers with NAT and, behind each, a network of its own.

    the internet (the test's namespace)   203.0.120.1   203.0.121.1  ...
      router (a namespace)                203.0.120.2   203.0.121.2
        host (a namespace)                192.168.120.2 192.168.121.2

A router gives every flow a random port, whatever its source (symmetric), and
lets in only answers and what a port mapping asks for: two hosts behind two of
them cannot reach each other directly without one."""
import json
import os
import subprocess
import threading

from harness import CLEAN_ENV, stop, wait_until

APPS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "apps")

RULES = """
table ip nat {
	map mapped { type inet_service : ipv4_addr . inet_service; }
	chain pre {
		type nat hook prerouting priority -100;
		iifname "wan" dnat ip to udp dport map @mapped
	}
	chain post {
		type nat hook postrouting priority 100;
		oifname "wan" masquerade random,fully-random
	}
}
table ip filter {
	chain input {
		type filter hook input priority 0; policy drop;
		iifname { "lan", "lo" } accept
		ct state established,related accept
	}
	chain forward {
		type filter hook forward priority 0; policy drop;
		iifname "lan" accept
		ct state established,related accept
		ct status dnat accept
	}
}
"""

MINIUPNPD_RULES = """
table inet filter {
	chain pre {
		type nat hook prerouting priority -101;
		jump prerouting_miniupnpd
	}
	chain post {
		type nat hook postrouting priority 99;
		jump postrouting_miniupnpd
	}
	chain miniupnpd {}
	chain prerouting_miniupnpd {}
	chain postrouting_miniupnpd {}
}
"""


def sh(*command, **kwargs):
    return subprocess.run(command, check=True, capture_output=True, text=True,
                          **kwargs).stdout


class Namespace:
    def __init__(self):
        self.process = subprocess.Popen(
            ["unshare", "-n", "sh", "-c", "echo; exec sleep infinity"],
            stdout=subprocess.PIPE)
        self.process.stdout.readline()
        self.wrap = ("nsenter", "-t", str(self.process.pid), "-n")
        self("ip", "link", "set", "lo", "up")

    def __call__(self, *command, **kwargs):
        return sh(*self.wrap, *command, **kwargs)

    def close(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


def connect(outer, outer_name, outer_ip, inner, inner_name, inner_ip):
    """A cable; outer None: this process's namespace."""
    run = outer or sh
    peer = ["netns", str(inner.process.pid)]
    run("ip", "link", "add", outer_name, "type", "veth", "peer", "name",
        inner_name, *peer)
    for side, name, ip in ((run, outer_name, outer_ip),
                           (inner, inner_name, inner_ip)):
        side("ip", "addr", "add", ip + "/24", "dev", name)
        side("ip", "link", "set", name, "up")


class Router:
    """Router and host number n."""

    def __init__(self, n):
        self.router, self.host = Namespace(), Namespace()
        self.wan, self.lan = f"203.0.{n}.2", f"192.168.{n}.1"
        self.ip = f"192.168.{n}.2"
        connect(None, f"net{n}", f"203.0.{n}.1", self.router, "wan", self.wan)
        connect(self.router, "lan", self.lan, self.host, "eth0", self.ip)
        self.host("ip", "route", "add", "default", "via", self.lan)
        self.router("ip", "route", "add", "default", "via", f"203.0.{n}.1")
        self.router("sysctl", "-qw", "net.ipv4.ip_forward=1")
        self.router("nft", "-f", "-", input=RULES)
        self.process = self.reader = None
        self.events = []

    def speak(self, *protocols):
        """Start the port mapping service."""
        self.process = subprocess.Popen(
            [*self.router.wrap, "python3", os.path.join(APPS, "gateway.py"),
             self.lan, self.wan, *protocols], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True, env=CLEAN_ENV)
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()
        self.wait("ready")
        return self

    def run_miniupnpd(self, directory, **settings):
        """The service of many a router that is sold, in place of speak()."""
        self.router("nft", "-f", "-", input=MINIUPNPD_RULES)
        conf = os.path.join(directory, "miniupnpd.conf")
        with open(conf, "w", encoding="utf-8") as f:
            for name, value in dict(
                    ext_ifname="wan", listening_ip="lan", secure_mode="yes",
                    min_lifetime=120,
                    max_lifetime=86400,
                    uuid="00000000-0000-0000-0000-000000000000",
                    **settings).items():
                print(f"{name}={value}", file=f)
        self.process = subprocess.Popen(
            [*self.router.wrap, "miniupnpd", "-d", "-f", conf, "-P",
             os.path.join(directory, "miniupnpd.pid")],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
            stderr=open(os.path.join(directory, "miniupnpd.log"), "wb"))

    def miniupnpd_ports(self):
        """The ports that it leads inwards, by what it told the kernel."""
        answer = self.router("nft", "-j", "list", "chain", "inet", "filter",
                             "prerouting_miniupnpd")
        return [item["match"]["right"] for rule in json.loads(answer)[
            "nftables"] for item in rule.get("rule", {}).get("expr", [])
                if item.get("match", {}).get("left", {}).get(
                    "payload", {}).get("field") == "dport"]

    def read(self):
        for line in self.process.stdout:
            self.events.append(json.loads(line))

    def tell(self, *command):
        before = len(self.all("done"))
        print(*command, file=self.process.stdin, flush=True)
        wait_until(lambda: len(self.all("done")) > before, "the gateway")

    def all(self, event):
        return [e for e in self.events if e["event"] == event]

    def wait(self, event, count=1):
        """The count-th event of that kind."""
        wait_until(lambda: len(self.all(event)) >= count,
                   f"the gateway's {event}")
        return self.all(event)[count - 1]

    def rules(self):
        """The ports that lead inwards."""
        answer = self.router("nft", "-j", "list", "map", "ip", "nat", "mapped")
        for item in json.loads(answer)["nftables"]:
            if "map" in item:
                return [pair[0] for pair in item["map"].get("elem", [])]
        return None

    def close(self):
        if self.process:
            self.process.stdin.close()
            stop(self.process)
        if self.reader:
            self.reader.join()
            self.process.stdout.close()
        self.host.close()
        self.router.close()
