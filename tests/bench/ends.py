"""The two ends of a measurement: programs that take command lines.

An end is a shell in a namespace - plain, or under tsrun, or beside a daemon
that makes the tunnel - or tsnetbench, which knows the same commands. Each says
its result in one line of JSON. A Pair is a server and a client of one side.
"""
import json
import os
import signal
import subprocess
import time

import pytest

import processes
from harness import BUILD, CLEAN_ENV, Program, stop, wait_until
from tunnels import GO_ENV, PEERS, Tailscaled, WireGuard, pair_of_keys
from world import LINK_IPS, enter

TOOLS = os.path.join(BUILD, "bench")
TSNETBENCH = os.path.join(PEERS, "tsnetbench")
ENDS_MAX = 6            # until a side that breaks again and again is let be
SHELL = ("sh", "-c", 'while read -r line; do eval "$line"; pids="$pids $!"; '
         'done; kill $pids 2>/dev/null; wait')
PORTS = {"bulk": 7101, "pingpong": 7102, "connrate client": 7103,
         "connrate server": 7104, "datagrams": 7105, "http": 7106}


class Broken(Exception):
    """An end that did not answer; what it was asked is lost."""


# What goes wrong with one side and need not end a run.
FAILURES = (Broken, RuntimeError, OSError, subprocess.SubprocessError,
            pytest.fail.Exception)


class End:
    """Reads answers, uses CPU, is stopped. Children set process, out_path."""

    broken = None
    environment = ""    # what goes before each command
    wrk = True          # knows wrk, or httpload
    runs_programs = True

    def begin(self, process, out_path):
        self.process, self.out_path, self.taken = process, out_path, 0

    def first_answer(self, ask):
        """An end that does not come up is stopped."""
        try:
            return ask()
        except Broken:
            self.close()
            raise

    def answer(self, limit):
        """The next line of output, decoded."""
        end = time.monotonic() + limit
        while time.monotonic() < end:
            with open(self.out_path, "rb") as f:
                f.seek(self.taken)
                line = f.readline()
            if line.endswith(b"\n"):
                self.taken += len(line)
                return json.loads(line)
            if self.process.poll() is not None:
                raise Broken(f"ended with status {self.process.returncode}")
            time.sleep(0.02)
        raise Broken(f"no answer in {limit} s")

    def write(self, line):
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()

    def do(self, line, limit):
        """Run one command; its answer."""
        if self.broken:
            raise Broken(self.broken)
        self.write(self.guarded(line))
        try:
            return self.answer(limit)
        except Broken as e:
            self.give_up(str(e))
            raise

    def give_up(self, why):
        self.broken = why

    def guarded(self, line):
        return line

    def serve(self, line):
        self.write(line + " &")
        self.answer(10)

    def cpu(self):
        return processes.cpu_seconds(self.process.pid)

    def host(self):
        """The process whose memory counts."""
        return self.process.pid

    def path_to(self, _ip):
        """The direct address in use towards a peer, or ''."""
        return LINK_IPS["server"]

    def close(self):
        left = [(p, processes.start_time(p))
                for p in processes.tree(self.process.pid)]
        self.process.stdin.close()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            stop(self.process, signal.SIGKILL)
        for pid, started in left:
            if started and processes.start_time(pid) == started:
                os.kill(pid, signal.SIGKILL)


class ShellEnd(End):
    def guarded(self, line):
        return f"{self.environment}{line} || " \
            "echo '{\"error\": \"it failed\"}'"

    def shell(self):
        return self.process.pid

    def give_up(self, _why):
        """End the command, keep the shell and what it serves: the command
        was started last."""
        children = [(int(processes.start_time(p) or 0), p)
                    for p in processes.tree(self.shell())[1:]]
        if children:
            os.kill(max(children)[1], signal.SIGKILL)
        try:
            self.answer(5)
        except Broken as e:
            self.broken = str(e)

    def serve_http(self, port, directory):
        conf = os.path.join(directory, "nginx.conf")
        with open(conf, "w", encoding="utf-8") as f:
            f.write(NGINX.format(d=directory, port=port))
        self.write(f"nginx -c {conf} & echo '{{\"serving\": {port}}}'")
        self.answer(10)


class PlainEnd(ShellEnd):
    def __init__(self, directory, namespace, ip):
        self.ip = ip
        out = os.path.join(directory, "out")
        with open(out, "ab") as f, open(os.path.join(directory, "err"),
                                        "ab") as e:
            process = subprocess.Popen([*enter(namespace), *SHELL], stdout=f,
                                       stdin=subprocess.PIPE, stderr=e,
                                       env=CLEAN_ENV)
        self.begin(process, out)


class TunnelEnd(PlainEnd):
    """A shell beside the daemon that carries what it sends."""

    def __init__(self, directory, namespace, tunnel):
        self.tunnel = tunnel
        self.environment = tunnel.environment
        self.wrk = not tunnel.environment
        super().__init__(directory, namespace, tunnel.ip)

    def cpu(self):
        return super().cpu() + processes.cpu_seconds(self.host())

    def host(self):
        return self.tunnel.process.pid

    def path_to(self, ip):
        return self.tunnel.path_to(ip)

    def close(self):
        super().close()
        self.tunnel.close()


class OurEnd(ShellEnd):
    def __init__(self, directory, namespace, tailnet, hostname, env):
        start = time.monotonic()
        self.program = Program(
            tailnet, directory, hostname, *SHELL, stdin=subprocess.PIPE,
            wrap=enter(namespace), key=tailnet.key,
            options=["--wait", "--log-level",
                     os.environ.get("BENCH_LOG_LEVEL", "warn")], env=env)
        self.begin(self.program.process, self.program.out_path)
        self.first_answer(lambda: self.do("echo 1", 60))
        self.up_seconds = time.monotonic() - start
        self.ip = self.program.cli("ip").stdout.split()[0]

    def shell(self):
        """The host's child, which is not there before the node is up."""
        return processes.tree(self.process.pid)[:2][-1]

    def path_to(self, ip):
        for peer in (self.program.status().get("Peer") or {}).values():
            if ip in peer.get("TailscaleIPs", []):
                return peer.get("CurAddr") or ""
        return ""


class TsnetEnd(End):
    wrk = runs_programs = False

    def __init__(self, directory, namespace, tailnet, hostname):
        out = os.path.join(directory, "out")
        start = time.monotonic()
        with open(out, "ab") as f, open(os.path.join(directory, "err"),
                                        "ab") as e:
            process = subprocess.Popen(
                [*enter(namespace), TSNETBENCH, "-hostname", hostname, "-dir",
                 os.path.join(directory, "state"), "-control-url",
                 tailnet.url], stdin=subprocess.PIPE, stdout=f, stderr=e,
                env=dict(GO_ENV, TS_AUTHKEY=tailnet.key), cwd=directory)
        self.begin(process, out)
        self.ip = self.first_answer(lambda: self.answer(60))["up"]
        self.up_seconds = time.monotonic() - start

    def path_to(self, ip):
        return self.do(f"path to {ip}", 5)["direct"]

    def serve_http(self, port, _directory):
        self.serve(f"http serve {port}")


class Pair:
    """A server with every service and a client of the same side."""

    def __init__(self, side, make, directory):
        """make(end, directory) makes one of them."""
        self.side, self.ends = side, []
        self.make, self.directory, self.starts = make, directory, 0
        self.start()

    def start(self):
        try:
            self.server, self.client = map(self.added, ("server", "client"))
            for service in ("bulk serve", "pingpong serve",
                            "connrate serve client", "connrate serve server",
                            "datagrams serve"):
                program, verb, *more = service.split()
                port = PORTS[" ".join([program, *more])]
                self.server.serve(" ".join([os.path.join(TOOLS, program), verb,
                                            str(port), *more]))
            self.server.serve_http(PORTS["http"], self.directory)
        except BaseException:
            self.close()
            raise

    def added(self, end):
        self.starts += 1
        directory = os.path.join(self.directory, f"{end}-{self.starts}")
        os.makedirs(directory)
        self.ends.append(self.make(end, directory))
        return self.ends[-1]

    def revive(self):
        """New ends in place of one that does not answer any more."""
        if self.ends and not any(end.broken for end in self.ends):
            return
        if self.starts > ENDS_MAX:
            raise Broken("given up")
        self.close()
        self.start()

    def line(self, tool, service, words):
        """A client command against a service."""
        program, _, verb = tool.partition(" ")
        return (f"{os.path.join(TOOLS, program)} {verb} {self.server.ip} "
                f"{PORTS[service]} {words}")

    def do(self, tool, service, words, limit, first=""):
        """One such command, after whatever a shell shall do first."""
        return self.measured(first + self.line(tool, service, words), limit)

    def measured(self, line, limit):
        """A command's answer, with the CPU that each end used for it, and
        everything else on the machine."""
        start, machine = time.monotonic(), processes.machine_cpu_seconds()
        before = [end.cpu() for end in (self.client, self.server)]
        answer = self.client.do(line, limit)
        client, server = (end.cpu() - b for end, b in
                          zip((self.client, self.server), before))
        machine = processes.machine_cpu_seconds() - machine
        answer.update(cpu_seconds=client + server, client_cpu_seconds=client,
                      server_cpu_seconds=server, other_cores=(
                          (machine - client - server) /
                          (time.monotonic() - start)))
        return answer

    def path(self):
        return self.client.path_to(self.server.ip)

    def warm_up(self, direct):
        """Until the path is the one to be measured."""
        def settled():
            said = self.do("pingpong ping", "pingpong", "1 0.05", 15)
            if not said.get("round_trips"):
                return False
            return self.path().startswith(LINK_IPS["server"]) if direct \
                else not self.path()
        wait_until(settled, f"{self.side} to be "
                   f"{'direct' if direct else 'relayed'}, not {self.path()!r}")

    def close(self):
        while self.ends:
            self.ends.pop().close()


def maker(side, lane, tailnet):
    """make(end, directory) for the ends of a side in a lane."""
    def name(end):
        return f"{side}-{end}-{lane.number}"
    kind, _, control = side.partition("-")
    if kind == "plain":
        return lambda end, d: PlainEnd(d, lane.names[end], LINK_IPS[end])
    if kind == "ours":
        env = {"TSNET_CONGESTION": control} if control else {}
        return lambda end, d: OurEnd(d, lane.names[end], tailnet, name(end),
                                     env)
    if kind == "tsnet":
        return lambda end, d: TsnetEnd(d, lane.names[end], tailnet, name(end))
    if kind == "wg":
        keys = pair_of_keys()
        return lambda end, d: TunnelEnd(d, lane.names[end], WireGuard(
            d, lane, end, keys))
    return lambda end, d: TunnelEnd(d, lane.names[end], Tailscaled(
        d, lane.names[end], tailnet, name(end), kind == "tun"))


NGINX = """
daemon off; worker_processes 1; pid {d}/nginx.pid; error_log /dev/null;
events {{ worker_connections 512; }}
http {{
  access_log off; keepalive_requests 10000000; client_body_temp_path {d};
  proxy_temp_path {d}; fastcgi_temp_path {d}; uwsgi_temp_path {d};
  scgi_temp_path {d};
  server {{ listen {port}; location / {{ return 200 "page\\n"; }} }}
}}
"""
