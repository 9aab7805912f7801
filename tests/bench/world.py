"""The network of a run: namespaces joined by veth pairs, made and removed here.

The hub is where this process runs: control server and relay, and a veth pair
to every end. It forwards nothing. A Lane is the two ends of one side, with
their own namespaces, as what one side puts there (TUN devices, routes) would be
a path for another, and one link between them:

    hub 10.99.0.1 -- 10.C.1.1 --- 10.C.1.2 client 10.77.0.1 --.
        (relay)   -- 10.C.2.1 --- 10.C.2.2 server 10.77.0.2 --'  the link

Without a link ends meet at the relay only. An impaired link has a process in
the middle, `impair`, that holds two veth ends in the hub.
"""
import contextlib
import json
import os
import socket
import subprocess

from harness import CLEAN_ENV, Lab, stop, wait_until

HUB = "10.99.0.1"
CONTROL_PORT, DERP_PORT, STUN_PORT = 8080, 8443, 3478
ENDS = ("client", "server")
LINK_IPS = {"client": "10.77.0.1", "server": "10.77.0.2"}
OFFLOADS = ("tso", "gso", "gro", "tx-udp-segmentation")


def run(*command):
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL,
                   env=CLEAN_ENV)


def ip(*words, namespace=None):
    run("ip", *(["-n", namespace] if namespace else []), *words)


def enter(namespace):
    """What to put before a command that shall run there; None is here."""
    return ["nsenter", f"--net=/run/netns/{namespace}", "--"] \
        if namespace else []


def add_veth(here, here_ns, there, there_ns, mtu=1500):
    """Up, and without IPv6 addresses: they would come up in the midst of it
    all, and a change of the network makes every peer look for paths again."""
    def end(name, namespace):
        return ["name", name, *(["netns", namespace] if namespace else [])]
    ip("link", "add", *end(here, here_ns), "type", "veth", "peer",
       *end(there, there_ns))
    for name, namespace in ((here, here_ns), (there, there_ns)):
        ip("link", "set", name, "addrgenmode", "none", namespace=namespace)
        ip("link", "set", name, "mtu", str(mtu), "up", namespace=namespace)


class Lane:
    """Two ends and their link: "direct", "impaired" or None."""

    def __init__(self, number, link, mtu=1500):
        self.number, self.mtu, self.impair = number, mtu, None
        self.names = {end: f"{end}{number}" for end in ENDS}
        with contextlib.ExitStack() as stack:
            for at, end in enumerate(ENDS, 1):
                self.add_end(end, at, stack)
            if link == "direct":
                add_veth("wire", self.names["client"], "wire",
                         self.names["server"], mtu)
            elif link == "impaired":
                self.add_impaired_link(stack)
            if link:
                for end in ENDS:
                    ip("addr", "add", LINK_IPS[end] + "/24", "dev", "wire",
                       namespace=self.names[end])
            self.stack = stack.pop_all()

    def add_end(self, end, at, stack):
        name, net = self.names[end], f"10.{self.number + 100}.{at}"
        here = f"hub{self.number}{end[0]}"
        ip("netns", "add", name)
        stack.callback(ip, "netns", "del", name)
        ip("link", "set", "lo", "up", namespace=name)
        add_veth(here, None, "hub", name)
        ip("addr", "add", net + ".1/24", "dev", here)
        ip("addr", "add", net + ".2/24", "dev", "hub", namespace=name)
        # Peers that have no default route take the network for down.
        ip("route", "add", "default", "via", net + ".1", namespace=name)

    def add_impaired_link(self, stack):
        wires = []
        for end in ENDS:
            wires.append(f"mid{self.number}{end[0]}")
            add_veth("wire", self.names[end], wires[-1], None)
            # impair wants finished frames of single packets.
            self.set_features(end, {"tx": "off", **dict.fromkeys(OFFLOADS,
                                                                 "off")})
        self.impair = Impair(wires, seed=1)
        stack.callback(self.impair.close)

    def set_features(self, end, features):
        words = [word for pair in features.items() for word in pair]
        run(*enter(self.names[end]), "ethtool", "-K", "wire", *words)

    def set_offloads(self, on):
        for end in ENDS:
            self.set_features(end, dict.fromkeys(OFFLOADS,
                                                 "on" if on else "off"))

    def close(self):
        self.stack.close()


class Impair:
    """The process in the middle of a link."""

    def __init__(self, interfaces, seed):
        tool = os.path.join(os.environ["BUILD"], "bench", "impair")
        self.process = subprocess.Popen(
            [tool, *interfaces, str(seed)], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, env=CLEAN_ENV)
        self.process.stdout.readline()

    def set(self, delay_ms=0, jitter_ms=0, loss=0, reorder=0):
        """What happened since the last time."""
        self.process.stdin.write(
            f"{delay_ms} {jitter_ms} {loss} {reorder}\n".encode())
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def close(self):
        self.process.stdin.close()
        stop(self.process)


class Daemon:
    """A background process with its output in a file."""

    def __init__(self, directory, name, *argv, env):
        self.path = os.path.join(directory, f"{name}.log")
        with open(self.path, "ab") as f:
            self.process = subprocess.Popen(
                [str(a) for a in argv], stdout=f, stderr=f, env=env,
                stdin=subprocess.DEVNULL, cwd=directory)

    def wait_for(self, ready, what):
        wait_until(lambda: self.process.poll() is not None or ready(), what)
        if self.process.poll() is not None:
            raise RuntimeError(f"{what}: ended with status "
                               f"{self.process.returncode}: {self.tail()}")

    def tail(self):
        with open(self.path, encoding="utf-8", errors="replace") as f:
            return f.read()[-1500:]

    def close(self):
        stop(self.process)


class Tailnet:
    """Tailscale's own control server of its tests, and derper."""

    key = "tskey-auth-any"

    def __init__(self, directory, peers, env, hub6=None):
        self.url = f"http://{HUB}:{CONTROL_PORT}"
        self.directory, self.peers, self.env = directory, peers, env
        self.daemons, self.args = {}, {}
        try:
            self.start("derper", "-a", f":{DERP_PORT}", "-certmode", "manual",
                       "-certdir", directory, "-hostname", HUB, "-http-port",
                       "-1", "-stun-port", STUN_PORT, "-c",
                       os.path.join(directory, "derper.json"))
            self.start("testcontrol", "-listen", f":{CONTROL_PORT}", "-url",
                       self.url, "-derp-host", HUB, "-derp-host6",
                       hub6 or "none", "-derp-port", DERP_PORT, "-stun-port",
                       STUN_PORT)
            for name, port in (("derper", DERP_PORT),
                               ("testcontrol", CONTROL_PORT)):
                self.daemons[name].wait_for(lambda p=port: accepts(p), name)
        except BaseException:
            self.close()
            raise

    def start(self, name, *args):
        self.args[name] = args
        self.daemons[name] = Daemon(self.directory, name,
                                    f"{self.peers}/{name}", *args,
                                    env=self.env)

    def stop(self, name):
        self.daemons.pop(name).close()

    def restart(self, name):
        self.stop(name)
        self.start(name, *self.args[name])

    @property
    def relay_pid(self):
        return self.daemons["derper"].process.pid

    def close(self):
        for daemon in self.daemons.values():
            daemon.close()


class EmbeddedTailnet(Lab):
    """Ours, where theirs cannot be built."""

    key = "key-alice"

    def __init__(self, directory):
        at = f"{HUB}:0"
        super().__init__(directory, "--listen", at, "--derp-listen", at,
                         "--stun", at)

    @property
    def relay_pid(self):
        return self.process.pid


def accepts(port):
    with socket.socket() as s:
        return s.connect_ex((HUB, port)) == 0
