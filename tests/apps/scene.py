#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""scene.py CASE MODE DIRECTORY RESULT - play one case in one mode

Runs inside a network namespace that has nothing but loopback, with an
embedded tailnet of its own. Each server and each caller is a node. Modes:

    tsrun        every program under tsrun
    in-process   servers under tsrun --in-process, callers with LD_PRELOAD alone
    loopback     no tailnet: the case itself is sound when this passes
    native       no tailnet, but the tailnet's names and addresses are asked
                 for: the case proves something when this fails

The result is written as JSON: {"ok": bool, "why": text, "step": text}. What
programs printed and the nodes' logs stay in DIRECTORY, for who wants to know.
"""
import ctypes
import ipaddress
import json
import os
import pwd
import re
import shutil
import signal
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(os.path.dirname(HERE), "e2e")]
# pylint: disable=wrong-import-position
from harness import CLEAN_ENV, SHIM, TSRUN, Lab  # noqa: E402

import catalogue  # noqa: E402
import programs  # noqa: E402
from case import PAGE, prints_peer  # noqa: E402

TAILNET = ("tsrun", "in-process")
READY_SECONDS, LIMITED_SECONDS, SEEN_SECONDS = 40, 10, 10
NOWHERE = "100.64.0.77"         # of mode native: nobody has it
WORD = re.compile(r"@([a-z0-9]+)(?::([a-z0-9]+))?@")


class Failed(Exception):
    """The case does not pass; says why."""


def forms(address):
    """The ways to write an address."""
    ip = ipaddress.ip_address(address)
    if ip.version == 4:
        return [address, f"::ffff:{address}"]
    return [str(ip), ip.exploded,
            ":".join(f"{int(group, 16):x}" for group in ip.exploded.split(":"))]


def last_lines(text, count=4):
    return " | ".join(line.strip() for line in text.strip().splitlines()[-count:])


class Node:
    """A node of the scene, and the program that is it at the moment."""

    def __init__(self, scene, name, user=""):
        self.scene, self.name, self.user = scene, name, user
        self.dir = os.path.join(scene.dir, "node-" + name)
        os.makedirs(self.dir, exist_ok=True)
        self.process = self.out_path = None
        if user:
            entry = pwd.getpwnam(user)
            os.chown(self.dir, entry.pw_uid, entry.pw_gid)

    def start(self, command, label, alone=False):
        """Start a command; alone: with LD_PRELOAD, and no tsrun."""
        self.out_path = os.path.join(self.scene.dir, f"{label}.out")
        self.err_path = os.path.join(self.scene.dir, f"{label}.err")
        argv, env = ["sh", "-c", command], self.scene.environment()
        env["HOME"] = self.dir
        mode = self.scene.mode
        level = "debug" if self.scene.debug else "info"
        state, log = self.dir + "/state", self.dir + "/log"
        if mode in TAILNET:
            env["TS_AUTHKEY"] = "key-bob" if alone else "key-alice"
            if self.scene.debug:
                env["TSNET_SHIM_DEBUG"] = "1"
        if mode == "in-process" and alone:
            env.update(LD_PRELOAD=SHIM, TSNET_HOSTNAME=self.name,
                       TS_CONTROL_URL=self.scene.lab.url,
                       TSNET_SUFFIX="lab.ts.net", TSNET_STATE_DIR=state,
                       TSNET_LOG_FILE=log, TSNET_LOG_LEVEL=level)
        elif mode in TAILNET:
            argv = [TSRUN, "--hostname", self.name, "--control-url",
                    self.scene.lab.url, "--state", state, "--log-file", log,
                    "--log-level", level,
                    *(["--in-process"] if mode == "in-process" else []),
                    "--", *argv]
        if self.user and os.geteuid() == 0:
            argv = ["setpriv", f"--reuid={self.user}",
                    f"--regid={pwd.getpwnam(self.user).pw_gid}",
                    "--init-groups", "--", *argv]
        with open(self.out_path, "wb") as out, open(self.err_path, "wb") as err:
            self.process = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=out, stderr=err, env=env,
                cwd=self.scene.dir, start_new_session=True)

    @property
    def out(self):
        with open(self.out_path, "rb") as f:
            return f.read().decode(errors="replace")

    @property
    def err(self):
        with open(self.err_path, "rb") as f:
            return f.read().decode(errors="replace")

    def end(self):
        """SIGTERM, and SIGKILL when that is not enough."""
        if self.process is None or self.process.poll() is not None:
            return
        self.process.terminate()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    @property
    def ips(self):
        """The addresses of the node; those of loopback without a tailnet."""
        if self.scene.mode == "loopback":
            return ["127.0.0.1", "::1"]
        if self.scene.mode == "native":
            return [NOWHERE, "fd7a:115c:a1e0::77"]
        node = self.scene.lab.node(self.name)
        return node["ips"] if node else []


class Scene:
    """One case in one mode."""

    def __init__(self, case, mode, directory, debug):
        self.case, self.mode, self.debug = case, mode, debug
        self.dir, self.www = directory, os.path.join(directory, "www")
        self.nodes, self.step, self.lab = {}, "set-up", None

    # -- words ---------------------------------------------------------------
    def word(self, match, host=None):
        key, name = match.groups()
        fixed = {"dir": self.dir, "www": self.www, "bin": programs.BIN,
                 "src": os.path.join(HERE, "src"),
                 "user": pwd.getpwuid(os.geteuid()).pw_name, "host": host}
        if key in fixed and not name and fixed[key]:
            return fixed[key]
        if key == "name" and name:
            return "127.0.0.1" if self.mode == "loopback" else name
        if key in ("ip", "ip6") and name in self.nodes:
            return self.nodes[name].ips[key == "ip6"]
        return match.group()

    def fill(self, text, host=None):
        return WORD.sub(lambda match: self.word(match, host), text)

    def pattern(self, text, escape):
        """A pattern in which @client@ stands for that node's addresses."""
        parts = re.split(r"(@[a-z0-9]+@)", text)
        for i, part in enumerate(parts):
            node = self.nodes.get(part.strip("@")) if i % 2 else None
            if node:
                ways = [re.escape(f) for ip in node.ips for f in forms(ip)]
                # The longest first; no digit of another address beside it.
                ways.sort(key=len, reverse=True)
                parts[i] = rf"(?<![0-9.])(?:{'|'.join(ways)})(?![0-9]|\.[0-9])"
            else:
                part = self.fill(part)
                parts[i] = re.escape(part) if escape else part
        return "".join(parts)

    def environment(self):
        return dict(CLEAN_ENV, PATH=programs.path(), LANG="C.UTF-8",
                    LC_ALL="C.UTF-8", DIR=self.dir, WWW=self.www,
                    TMPDIR=self.dir, TERM="dumb", PYTHONUNBUFFERED="1")

    # -- before --------------------------------------------------------------
    def write_files(self):
        os.makedirs(self.www)
        files = {"www/index.html": PAGE}
        for name, text in {**files, **self.case.files}.items():
            path = os.path.join(self.dir, name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w", encoding="utf-8") as f:
                f.write(self.fill(text))
            os.chmod(path, 0o755 if text.startswith("#!") else 0o644)
        with open(self.www + "/big", "wb") as f:
            f.write(bytes(range(256)) * 16384)          # 4 MiB
        os.chmod(self.dir, 0o777)
        os.chmod(self.www, 0o777)

    def prepare(self):
        if self.case.prepare:
            self.host_command(self.fill(self.case.prepare), "prepare", 60)

    def host_command(self, command, label, seconds):
        """A command outside the tailnet; its output, or the case fails."""
        try:
            result = subprocess.run(
                ["sh", "-c", command], cwd=self.dir, stdin=subprocess.DEVNULL,
                env=dict(self.environment(), HOME=self.dir), timeout=seconds,
                capture_output=True, check=False)
        except subprocess.TimeoutExpired:
            raise Failed(f"{label}: no end in {seconds} s") from None
        text = (result.stdout + result.stderr).decode(errors="replace")
        if result.returncode:
            raise Failed(f"{label}: status {result.returncode}: "
                         f"{last_lines(text)}")
        return text

    # -- servers -------------------------------------------------------------
    def start_server(self, server):
        self.step = f"server {server.name}"
        for name, text in self.case.files.items():     # they may name nodes
            with open(os.path.join(self.dir, name), "w", encoding="utf-8") as f:
                f.write(self.fill(text))
        node = self.nodes.setdefault(
            server.name, Node(self, server.name, server.user))
        node.start(self.fill(server.run), server.name)
        limited = self.mode in self.case.limits
        self.until(lambda: self.is_ready(server, node),
                   LIMITED_SECONDS if limited else READY_SECONDS, node,
                   f"{server.name} to be ready")

    def is_ready(self, server, node):
        if server.tcp and not listens("tcp", server.tcp):
            return False
        if server.udp and not listens("udp", server.udp):
            return False
        if server.file and not os.path.exists(self.fill(server.file)):
            return False
        if server.ready and not re.search(server.ready, node.out + node.err):
            return False
        if server.probe and subprocess.run(
                ["sh", "-c", self.fill(server.probe)], cwd=self.dir,
                env=dict(self.environment(), HOME=self.dir), timeout=20,
                stdin=subprocess.DEVNULL, capture_output=True,
                check=False).returncode:
            return False
        return self.is_up(node) or not server.joins

    def is_up(self, node):
        """The node is in the tailnet, and its control connection stands."""
        if self.mode not in TAILNET:
            return True
        if not self.lab.node(node.name):
            return False
        try:
            self.lab.command(f"wait {node.name} ready 50")
        except RuntimeError:
            return False
        return True

    @staticmethod
    def until(condition, seconds, node, what):
        end = time.monotonic() + seconds
        while not condition():
            if node and node.process.poll() not in (None, 0):
                raise Failed(f"{node.name} ended with status "
                             f"{node.process.returncode}: "
                             f"{last_lines(node.out + node.err)}")
            if time.monotonic() > end:
                text = last_lines(node.out + node.err) if node else ""
                raise Failed(f"timed out: {what}: {text}")
            time.sleep(0.05)

    # -- calls ---------------------------------------------------------------
    def make_call(self, call, number):
        hosts = {"name": self.fill(f"@name:{call.to}@"),
                 "address": self.nodes[call.to].ips[0],
                 "address6": self.nodes[call.to].ips[1]}
        ways = call.by if self.mode != "loopback" else call.by[:1]
        for way in ways:
            self.step = f"call {number} by {way}"
            if call.native:
                self.native_call(call, hosts[way])
            else:
                self.tailnet_call(call, hosts[way], f"call{number}-{way}")

    def native_call(self, call, host):
        text = self.host_command(self.fill(call.run, host), self.step,
                                 call.seconds)
        self.expect(call, text, text)

    def tailnet_call(self, call, host, label):
        node = self.nodes.setdefault(call.name, Node(self, call.name))
        before = len(self.seen_text())
        command = self.fill(call.run, host)
        node.start(command, f"{call.name}.{label}", alone=True)
        try:
            status = node.process.wait(call.seconds)
        except subprocess.TimeoutExpired:
            node.end()
            raise Failed(f"{self.step}: no end in {call.seconds} s: "
                         f"{last_lines(node.out + node.err)}") from None
        if status != call.code:
            raise Failed(f"{self.step}: status {status}: "
                         f"{last_lines(node.err) or last_lines(node.out)}")
        self.expect(call, node.out, node.out + node.err)
        if self.case.seen and not any(map(prints_peer, self.case.calls)):
            self.expect_seen(node, before)

    def expect(self, call, out, everything):
        if call.out is not None:
            pattern = self.pattern(call.out, escape=True)
            if not re.fullmatch(pattern, out):
                raise Failed(f"{self.step}: printed {out[:300]!r}, and not "
                             f"{call.out[:200]!r}; {last_lines(everything, 2)}")
        for pattern in call.has:
            if not re.search(self.pattern(pattern, escape=False), everything,
                             re.M):
                raise Failed(f"{self.step}: no {pattern!r} in "
                             f"{last_lines(everything, 8)[:600]!r}")

    def seen_text(self):
        """What the server's side has written down so far."""
        if not self.case.seen:
            return ""
        if self.case.seen in self.nodes:
            node = self.nodes[self.case.seen]
            return node.out + node.err
        try:
            with open(os.path.join(self.dir, self.case.seen), "rb") as f:
                return f.read().decode(errors="replace")
        except FileNotFoundError:
            return ""

    def expect_seen(self, node, before):
        pattern = self.pattern(f"@{node.name}@", escape=False)
        end = time.monotonic() + SEEN_SECONDS
        while not re.search(pattern, self.seen_text()):
            if time.monotonic() > end:
                raise Failed(f"{self.step}: the server did not see "
                             f"{node.ips[0]}: {self.seen_text()[before:][-300:]!r}")
            time.sleep(0.05)

    # -- all of it -----------------------------------------------------------
    def play(self):
        if self.mode in TAILNET:
            self.lab = Lab(self.dir)
        self.write_files()
        self.prepare()
        for server in self.case.servers:
            self.start_server(server)
        for number, call in enumerate(self.case.calls, 1):
            self.make_call(call, number)

    def close(self):
        for node in reversed(self.nodes.values()):
            node.end()
        if self.lab:
            self.lab.close()
        end_descendants()


def listens(protocol, port):
    """A socket of this namespace is bound to the port, and listens if TCP."""
    want = "0A" if protocol == "tcp" else "07"
    for name in (protocol, protocol + "6"):
        try:
            with open(f"/proc/net/{name}", encoding="ascii") as f:
                rows = f.read().splitlines()[1:]
        except OSError:
            continue
        for row in rows:
            _, local, _, state = row.split()[:4]
            if int(local.rsplit(":", 1)[1], 16) == port and state == want:
                return True
    return False


# -- the room ------------------------------------------------------------------

def adopt_orphans():
    """What daemons leave behind is ours to end."""
    pr_set_child_subreaper = 36
    ctypes.CDLL(None).prctl(pr_set_child_subreaper, 1, 0, 0, 0)


def children():
    found = []
    for task in os.listdir("/proc/self/task"):
        with open(f"/proc/self/task/{task}/children", encoding="ascii") as f:
            found += [int(pid) for pid in f.read().split()]
    return found


def end_descendants():
    """End every process that came from this one; their orphans come to us."""
    for _ in range(500):
        pids = children()
        if not pids:
            return
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
            except (ProcessLookupError, ChildProcessError):
                pass


def furnish(directory):
    """A /run of our own, and name servers that refuse at once."""
    mount = ["mount", "--bind"]
    if os.geteuid() == 0:
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/run"], check=False)
        for name in ("sshd", "lock", "screen", "php"):
            os.makedirs("/run/" + name, exist_ok=True)
        os.chmod("/run/screen", 0o777)
    for name, text in (("resolv.conf", "nameserver 127.0.0.1\n"
                        "options timeout:1 attempts:1\n"),
                       ("hosts", "127.0.0.1 localhost\n::1 localhost\n"
                        f"127.0.1.1 {os.uname().nodename}\n")):
        path, target = f"{directory}/{name}", os.path.realpath("/etc/" + name)
        with open(path, "w", encoding="ascii") as f:
            f.write(text)
        if not os.path.exists(target):
            os.makedirs(os.path.dirname(target), exist_ok=True)
            with open(target, "w", encoding="ascii"):
                pass
        subprocess.run([*mount, path, target], check=False)


def on_alarm(_signal, _frame):
    raise Failed("no end in time")


def main():
    name, mode, directory, result_path = sys.argv[1:5]
    case = catalogue.by_name()[name]
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    adopt_orphans()
    furnish(directory)
    scene = Scene(case, mode, directory, bool(os.environ.get("APPS_DEBUG")))
    result = {"ok": True, "why": ""}
    signal.signal(signal.SIGALRM, on_alarm)
    signal.signal(signal.SIGTERM, on_alarm)
    signal.alarm(case.seconds)
    try:
        scene.play()
    except Failed as e:
        result = {"ok": False, "why": str(e)}
    except BaseException as e:  # pylint: disable=broad-except
        result = {"ok": False, "why": f"{type(e).__name__}: {e}"}
    signal.alarm(0)
    result["step"] = scene.step
    scene.close()
    with open(result_path, "w", encoding="utf-8") as f:
        json.dump(result, f)


if __name__ == "__main__":
    main()
