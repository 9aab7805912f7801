"""Transfers while something happens to their path.

A stock curl takes a file from a stock nginx at a limited rate. When a part of
it has come, the event strikes; the rest must come too, be the same bytes, and
not stand still for more than 5 s.
"""
import hashlib
import os
import select
import time

from ends import Broken

PORT = 8081
STALL_MAX_S = 5
LIMIT_S = 60            # beyond three times what it takes at its rate
PINGS, PINGS_RELAYED = 15, 3    # until a path that should be direct is
SILENCE_S = 35          # more than a mapping of kind fw30 lasts


class Event:
    """steps: [(part of the bytes, function(world))]; path: the pair's last."""

    def __init__(self, name, client, server, path, steps, before=None):
        self.name, self.path, self.steps = name, path, steps
        self.client, self.server, self.before = client, server, before


EVENTS = (
    Event("from relay to direct", "port", "port", "direct",
          [(0.3, lambda w: w.block(False))],
          before=lambda w: w.block_and_wait()),
    Event("from direct to relay", "port", "port", "relay",
          [(0.3, lambda w: w.block(True))]),
    Event("there and back", "port", "port", "direct",
          [(0.2, lambda w: w.block(True)),
           (0.5, lambda w: w.block(False))]),
    Event("client moves", "open", "open", "direct",
          [(0.3, lambda w: w.client.site.move())]),
    Event("server moves", "open", "open", "direct",
          [(0.3, lambda w: w.server.site.move())]),
    Event("client's NAT gets another address", "port", "port", "direct",
          [(0.3, lambda w: w.client.site.move())]),
    Event("server's NAT forgets", "port", "port", "direct",
          [(0.3, lambda w: w.server.site.forget())]),
    Event("both NATs forget", "port", "port", "direct",
          [(0.3, lambda w: (w.client.site.forget(),
                              w.server.site.forget()))]),
    Event(f"after {SILENCE_S} s of silence, mappings last 30 s", "fw30",
          "fw30", "direct", [], before=lambda w: time.sleep(SILENCE_S)),
    Event("relay begins anew, direct path", "port", "port", "direct",
          [(0.3, lambda w: w.tailnet.restart("derper"))]),
    Event("relay begins anew, no other path", "blocked", "blocked", "relay",
          [(0.3, lambda w: w.tailnet.restart("derper"))]),
    Event("one after the other", "port", "port", "direct",
          [(0.1, lambda w: w.block(True)),
           (0.3, lambda w: w.block(False)),
           (0.45, lambda w: w.client.site.move()),
           (0.6, lambda w: w.tailnet.restart("derper")),
           (0.75, lambda w: w.server.site.move()),
           (0.9, lambda w: w.client.site.forget())]),
    # It does not come back: it has forgotten everybody.
    Event("control server gone", "port", "port", "direct", [],
          before=lambda w: w.tailnet.stop("testcontrol")),
)


class World:
    def __init__(self, client, server, tailnet):
        self.client, self.server, self.tailnet = client, server, tailnet

    def block(self, blocked):
        for node in (self.client, self.server):
            node.site.block_udp(blocked)

    def settle(self, is_direct):
        """The path that there is when it has become that, or late."""
        path = ""
        for _ in range(PINGS):
            path = self.client.ping(self.server, 1)[0]
            if path != "none" and (path != "derp") == is_direct:
                break
            time.sleep(0.5)
        return path

    def block_and_wait(self):
        self.block(True)
        self.settle(False)


def chosen(options):
    return [e for e in EVENTS if (options.events or "") in e.name]


def kinds(options):
    """Of the sites that the transfers need."""
    return list(dict.fromkeys(k for e in chosen(options)
                              for k in (e.client, e.server)))


def run(nodes, tailnet, say, options):
    """event -> what happened."""
    found, served = {}, set()
    for event in chosen(options):
        client, server = nodes.get(event.client + "-a"), nodes.get(
            event.server + "-b")
        if not client or not server:
            continue
        say(f"{client.side}: {event.name}")
        digest = serve(server, options.mb, served)
        found[event.name] = transfer(event, World(client, server, tailnet),
                                     options, digest)
    return found


def serve(node, mb, served):
    """A web server with one file; its SHA-256."""
    path = os.path.join(node.directory, "file")
    if node.name not in served:
        with open(path, "wb") as f:
            for _ in range(mb):
                f.write(os.urandom(1_000_000))
        conf = os.path.join(node.directory, "file.conf")
        with open(conf, "w", encoding="utf-8") as f:
            f.write(NGINX.format(d=node.directory, port=PORT))
        node.end.write(f"nginx -c {conf} & echo '{{}}'")
        node.end.answer(10)
        served.add(node.name)
    with open(path, "rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def transfer(event, world, options, digest):
    client, server = world.client, world.server
    size, rate = options.mb * 1_000_000, int(options.rate * 1_000_000)
    world.block(False)
    said = {"path at first": world.settle(event.client != "blocked")}
    if event.before:
        event.before(world)
    fifo = os.path.join(client.directory, "fifo")
    if not os.path.exists(fifo):
        os.mkfifo(fifo)
    command = client.curl(server, "file", "-f", "--limit-rate", str(rate),
                          "-o", fifo, port=PORT)
    client.end.write(" ".join(command) + "; echo '{\"status\": '$?'}'")
    said.update(receive(fifo, event.steps, world, size,
                        LIMIT_S + 3 * size / rate))
    try:
        said["curl"] = client.end.answer(10)["status"]
    except Broken as e:
        said["curl"] = str(e)
    said["path after"] = client.ping(
        server, PINGS if event.path == "direct" else PINGS_RELAYED)[0]
    said["failure"] = failure(event, said, digest)
    return said


def receive(fifo, steps, world, size, limit):
    """Reads what curl writes, and lets happen what shall."""
    steps, taken, stall, stalled_at = list(steps), 0, 0.0, 0
    digest = hashlib.sha256()
    began = last = time.monotonic()
    fd = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    try:
        while taken < size and time.monotonic() - began < limit:
            select.select([fd], [], [], 0.1)
            stall, stalled_at = max((stall, stalled_at),
                                    (time.monotonic() - last, taken))
            try:
                chunk = os.read(fd, 1 << 20)
            except BlockingIOError:
                continue
            if not chunk and taken:
                break           # curl has closed it
            if not chunk:
                time.sleep(0.01)    # or not yet opened
                continue
            last = time.monotonic()
            taken += len(chunk)
            digest.update(chunk)
            while steps and taken >= steps[0][0] * size:
                steps.pop(0)[1](world)
    finally:
        os.close(fd)
    return {"bytes": taken, "sha256": digest.hexdigest(), "stall_s": stall,
            "stalled_at": stalled_at, "seconds": time.monotonic() - began}


def failure(event, said, digest):
    path = "relay" if said["path after"] == "derp" else \
        "none" if said["path after"] == "none" else "direct"
    if said["curl"] != 0:
        return f"curl: {said['curl']}, after {said['bytes']} bytes"
    if said["sha256"] != digest:
        return "other bytes arrived"
    if said["stall_s"] > STALL_MAX_S:
        return f"stood still for {said['stall_s']:.1f} s"
    if path != event.path:
        return f"the path is then {path}, not {event.path}"
    return ""


def table(found):
    """found: side -> event -> what happened."""
    names = dict.fromkeys(e for side in found.values() for e in side)
    lines = ["", f"{'event, stall in s':50}" + "".join(
        f"{side:>14}" for side in found)]
    for name in names:
        cells = ""
        for side in found.values():
            said = side.get(name)
            cells += f"{said['stall_s']:>14.2f}" if said else f"{'-':>14}"
        failures = "; ".join(f"{side}: {said[name]['failure']}"
                             for side, said in found.items()
                             if name in said and said[name]["failure"])
        lines.append(f"{name:50}{cells}  {failures}".rstrip())
    return "\n".join(lines)


NGINX = """
daemon off; user root; worker_processes 1; pid {d}/file.pid;
error_log /dev/null;
events {{ worker_connections 64; }}
http {{
  access_log off; client_body_temp_path {d}; proxy_temp_path {d};
  fastcgi_temp_path {d}; uwsgi_temp_path {d}; scgi_temp_path {d};
  server {{ listen {port}; root {d}; }}
}}
"""
