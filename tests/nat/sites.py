"""Sites behind every kind of NAT, on an internet that is a bridge.

    hub 10.99.0.1, fd99::1: control server, relay, STUN
     `-- bridge "net" 10.99.0.0/16, fd99::/64 -- router -- host 192.168.0.2

Each site has a host in a namespace of its own, and one or two routers. Routers
drop what nobody asked for, also to themselves: a stray packet would make an
entry for its ports, and take them away from the host.
"""
import contextlib

from world import HUB, add_veth, enter, ip, run

HUB6 = "fd99::1"
PORTS = {"a": 41001, "b": 41002}    # of the nodes that hairpin

# What a router does beside forwarding what comes from inside.
MASQUERADE = {
    "port": "masquerade", "full": "masquerade", "restricted": "masquerade",
    "symmetric": "masquerade random,fully-random",
}
DNAT = {
    "full": 'iifname "wan" meta l4proto udp dnat ip to 192.168.0.2',
    "restricted": 'iifname "wan" meta l4proto udp ip saddr @asked '
                  "dnat ip to 192.168.0.2",
}
RULES = """
table inet nat {{
  set asked {{ type ipv4_addr; flags dynamic, timeout; timeout 2m; }}
  chain post {{ type nat hook postrouting priority srcnat;
    meta nfproto ipv4 oifname "wan" {masquerade}; }}
  chain pre {{ type nat hook prerouting priority dstnat; {dnat}; }}
  chain forward {{ type filter hook forward priority filter; policy drop;
    {block}
    iifname "lan" oifname "wan" meta l4proto udp meta nfproto ipv4 \
add @asked {{ ip daddr }};
    iifname "lan" accept; ct state established,related accept;
    ct status dnat accept; }}
  chain input {{ type filter hook input priority filter; policy drop;
    ct state established,related accept; iifname "lan" accept;
    meta l4proto icmpv6 accept; }}
}}
"""
# Two LANs that see each other only by the router's outer address.
HAIRPIN = """
table inet nat {{
  chain post {{ type nat hook postrouting priority srcnat;
    meta nfproto ipv4 masquerade; }}
  chain pre {{ type nat hook prerouting priority dstnat;
    ip daddr {outside} udp dport {a} dnat ip to 192.168.1.2;
    ip daddr {outside} udp dport {b} dnat ip to 192.168.2.2; }}
  chain forward {{ type filter hook forward priority filter; policy drop;
    ct state established,related accept; ct status dnat accept;
    iifname "lan*" oifname "wan" accept; }}
}}
"""


def nft(namespace, rules):
    run(*enter(namespace), "nft", rules)


def sysctl(namespace, **values):
    for key, value in values.items():
        path = "/proc/sys/net/" + key.replace("__", "/")
        run(*enter(namespace), "sh", "-c", f"echo {value} >{path}")


class Internet:
    """The bridge, with the hub on it; makes and removes namespaces."""

    def __init__(self):
        self.stack, self.count = contextlib.ExitStack(), 0
        ip("link", "add", "net", "type", "bridge")
        self.stack.callback(ip, "link", "del", "net")
        ip("addr", "add", HUB + "/16", "dev", "net")
        # Its only one there: what it answers comes from where it was asked.
        ip("addr", "add", HUB6 + "/64", "dev", "net", "nodad")
        ip("link", "set", "net", "up")
        sysctl(None, ipv6__conf__all__forwarding=1)

    def namespace(self, name):
        ip("netns", "add", name)
        self.stack.callback(ip, "netns", "del", name)
        ip("link", "set", "lo", "up", namespace=name)
        return name

    def plug(self, namespace, device):
        """Onto the bridge; its number there."""
        self.count += 1
        port = f"port{self.count}"
        add_veth(port, None, device, namespace)
        ip("link", "set", port, "master", "net")
        return self.count

    def close(self):
        self.stack.close()


class Site:
    """One host of a kind, and what is between it and the internet. behind:
    another site, whose outermost router it shares."""

    def __init__(self, internet, name, kind, behind=None):
        self.name, self.kind, self.behind = name, kind, behind
        self.internet = internet
        self.host = internet.namespace(name)
        make = {"open": self.make_open, "v6only": self.make_v6,
                "dual": self.make_v6, "double": self.make_double,
                "cgnat": self.make_double, "hairpin": self.make_hairpin,
                }.get(kind, self.make_nat)
        make()

    # -- addresses -----------------------------------------------------------

    def outer_address(self, number):
        return f"10.99.{1 + number // 250}.{number % 250 + 1}"

    def join(self, namespace):
        """Take a namespace onto the internet, IPv4."""
        self.router, self.moves = namespace, 0
        self.number = self.internet.plug(namespace, "wan")
        self.address = self.outer_address(self.number)
        self.set_address(self.address)

    def set_address(self, address):
        """Another one takes the place of the first, with its routes; a
        masquerading router forgets its mappings then."""
        ip("addr", "flush", "dev", "wan", "scope", "global",
           namespace=self.router)
        ip("addr", "add", address + "/16", "dev", "wan",
           namespace=self.router)
        ip("route", "add", "default", "via", HUB, namespace=self.router)
        self.address = address

    def move(self):
        """Out of the reach of the other sites' addresses, each time further."""
        self.moves += 1
        self.set_address(f"10.99.{100 + self.moves}.{self.number % 250 + 1}")

    def forget(self):
        self.set_address(self.address)

    def block_udp(self, blocked):
        """At the edge of the site, in both directions."""
        nft(self.router, "add table inet block; delete table inet block")
        if blocked:
            nft(self.router, BLOCK)

    # -- kinds ---------------------------------------------------------------

    def make_open(self):
        self.join(self.host)

    def make_lan(self, router, net="192.168.0", host=None, device="lan"):
        """host (our own) behind router."""
        host = host or self.host
        add_veth(device, router, "wan", host)
        ip("addr", "add", f"{net}.1/24", "dev", device, namespace=router)
        ip("addr", "add", f"{net}.2/24", "dev", "wan", namespace=host)
        ip("route", "add", "default", "via", f"{net}.1", namespace=host)
        sysctl(router, ipv4__ip_forward=1)

    def rules(self, namespace, kind, block=""):
        nft(namespace, RULES.format(
            masquerade=MASQUERADE.get(kind, "masquerade"),
            dnat=DNAT.get(kind, "continue"), block=block))

    def make_nat(self):
        router = self.internet.namespace(self.name + "-r")
        self.join(router)
        self.make_lan(router)
        self.rules(router, self.kind, "meta l4proto udp drop;"
                   if self.kind == "blocked" else "")
        if self.kind == "fw30":
            for key in ("timeout", "timeout_stream"):
                sysctl(router, **{
                    f"netfilter__nf_conntrack_udp_{key}": 30})

    def join_or_share(self):
        """The number of this site among those behind the same router."""
        if not self.behind:
            self.join(self.internet.namespace(self.name + "-o"))
            return 1
        self.router, self.number = self.behind.router, self.behind.number
        self.address = self.behind.address
        return 2

    def make_double(self):
        """Two routers. A carrier's is shared by its customers."""
        customer = self.join_or_share()
        inner = self.internet.namespace(self.name + "-r")
        net = f"100.64.{customer}" if self.kind == "cgnat" else "172.16.0"
        self.make_lan(self.router, net, inner, f"lan{customer}")
        self.make_lan(inner)
        self.rules(inner, "port")
        if not self.behind:
            nft(self.router, CARRIER)

    def make_hairpin(self):
        """Two hosts that see each other only by their router's address."""
        at = self.join_or_share()
        self.make_lan(self.router, f"192.168.{at}", device=f"lan{at}")
        if not self.behind:
            nft(self.router, HAIRPIN.format(outside=self.address, **PORTS))

    @property
    def port(self):
        """The node's; the router knows it where it hairpins."""
        return PORTS[self.name[-1]] if self.kind == "hairpin" else 0

    def make_v6(self):
        """A prefix of its own behind a firewall; dual: IPv4 behind NAT too."""
        router = self.internet.namespace(self.name + "-r")
        self.join(router)
        n = self.number
        self.make_lan(router)
        if self.kind == "v6only":
            ip("addr", "flush", "dev", "wan", namespace=self.host)
        outer, lan = f"fd99::{n:x}:0", f"2001:db8:{n:x}:1"
        sysctl(router, ipv6__conf__all__forwarding=1)
        ip("addr", "add", outer + "/64", "dev", "wan", "nodad",
           namespace=router)
        for at, (device, namespace) in enumerate((
                ("wan", router), ("lan", router), ("wan", self.host)), 1):
            ip("addr", "add", f"fe80::{n:x}:{at}/64", "dev", device, "nodad",
               namespace=namespace)
        ip("-6", "route", "add", "default", "via", HUB6,
           namespace=router)
        ip("addr", "add", lan + "::1/64", "dev", "lan", "nodad",
           namespace=router)
        ip("addr", "add", lan + "::2/64", "dev", "wan", "nodad",
           namespace=self.host)
        ip("-6", "route", "add", "default", "via", lan + "::1",
           namespace=self.host)
        ip("-6", "route", "add", lan + "::/64", "via", outer)
        self.rules(router, "port")

    @property
    def control(self):
        return f"[{HUB6}]" if self.kind == "v6only" else HUB


BLOCK = """
table inet block {
  chain inward { type filter hook prerouting priority -300;
    meta l4proto udp drop; }
  chain outward { type filter hook output priority -300;
    meta l4proto udp drop; }
}
"""
CARRIER = """
table inet nat {
  chain post { type nat hook postrouting priority srcnat;
    meta nfproto ipv4 oifname "wan" masquerade; }
  chain forward { type filter hook forward priority filter; policy drop;
    iifname "lan*" oifname "wan" accept; ct state established,related accept; }
  chain input { type filter hook input priority filter; policy drop; }
}
"""
