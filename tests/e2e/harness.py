"""The embedded tailnet and programs under tsrun, as objects of a test."""
import fcntl
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import time

import pytest

BUILD = os.environ.get("BUILD", os.path.abspath("build"))
TSRUN = os.path.join(BUILD, "tsrun")
LAB = os.path.join(BUILD, "tsnet-lab")
SHIM = os.path.join(BUILD, "libtsnet_shim.so")
# By the name of the build directory, as the Makefile has it.
SANITIZERS = {"build-asan": "address,undefined", "build-tsan": "thread"}.get(
    os.path.basename(BUILD))
# Sanitizer builds and busy machines are slow; nothing here measures time.
PATIENCE = 90 if SANITIZERS else 30

CLEAN_ENV = {k: v for k, v in os.environ.items()
             if not k.startswith(("TS_", "TSNET_", "LD_", "http_", "https_",
                                  "HTTP_", "HTTPS_", "ALL_PROXY"))}
CLEAN_ENV["TSNET_CONF"] = "/dev/null"
if SANITIZERS:
    # tsnet-host --notify has the shim preloaded, for its program's sake.
    CLEAN_ENV["ASAN_OPTIONS"] = os.environ.get(
        "ASAN_OPTIONS", "") + ":verify_asan_link_order=0"

SIOCSIFFLAGS, IFF_UP = 0x8914, 1


def set_loopback_up():
    """In a network namespace that was just made."""
    name_and_flags = struct.pack("16sH14x", b"lo", IFF_UP)
    with socket.socket() as s:
        fcntl.ioctl(s, SIOCSIFFLAGS, name_and_flags)


def wait_until(condition, what, timeout=None):
    """Poll condition until it is true; its value, or the test fails."""
    end = time.monotonic() + (timeout or PATIENCE)
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            pytest.fail(f"timed out: {what}")
        time.sleep(0.02)


def stop(process, sig=signal.SIGTERM, timeout=None):
    """End a process that the test started; its exit status."""
    if process.poll() is None:
        process.send_signal(sig)
    try:
        return process.wait(timeout or PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise


class Lab:
    """One embedded tailnet."""

    def __init__(self, directory, *args):
        self.dir = str(directory)
        ready = os.path.join(self.dir, "lab.ready")
        self.socket = os.path.join(self.dir, "lab.sock")
        self.args = args
        self.log = open(os.path.join(self.dir, "lab.log"), "ab")
        self.process = subprocess.Popen(
            [LAB, "--listen", "127.0.0.1:0", "--ready-file", ready,
             "--command-socket", self.socket,
             "--authkey", "key-alice,reusable,user=alice@example.com",
             "--authkey", "key-bob,reusable,user=bob@example.com", *args],
            stdout=self.log, stderr=self.log, env=CLEAN_ENV)
        wait_until(lambda: os.path.exists(ready) and os.path.getsize(ready),
                   "the lab to be ready")
        with open(ready, encoding="utf-8") as f:
            self.info = json.load(f)
        self.url = self.info["control_url"]

    def command(self, line):
        """One command of the lab's command socket; its JSON answer."""
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(PATIENCE)
            s.connect(self.socket)
            s.sendall(line.encode() + b"\n")
            answer = s.makefile().readline()
        result = json.loads(answer)
        if isinstance(result, dict) and result.get("error"):
            raise RuntimeError(f"lab: {line}: {result['error']}")
        return result

    def nodes(self):
        answer = self.command("nodes")
        return answer["nodes"] if isinstance(answer, dict) else answer

    def node(self, name):
        """The node whose name or FQDN begins with that label, or None."""
        for node in self.nodes():
            if node["name"].split(".")[0] == name:
                return node
        return None

    def close(self):
        stop(self.process)
        self.log.close()


class Program:
    """A program under tsrun."""

    def __init__(self, lab, directory, hostname, *argv, key="key-alice",
                 options=(), env=None, state=True, stdin=subprocess.DEVNULL,
                 pass_fds=(), wrap=(), tsrun=TSRUN):
        self.lab, self.hostname = lab, hostname
        self.dir = os.path.join(str(directory), hostname)
        os.makedirs(self.dir, exist_ok=True)
        self.state = os.path.join(self.dir, "state")
        self.out_path = os.path.join(self.dir, "out")
        self.err_path = os.path.join(self.dir, "err")
        self.log_path = os.path.join(self.dir, "log")
        command = [*wrap, tsrun, "--hostname", hostname, "--control-url",
                   lab.url, "--log-level", "debug", "--log-file", self.log_path]
        command += ["--state", self.state] if state else ["--ephemeral"]
        command += [*options, "--", *argv]
        environment = dict(CLEAN_ENV, **(env or {}))
        if key:
            environment["TS_AUTHKEY"] = key
        with open(self.out_path, "ab") as out, open(self.err_path, "ab") as err:
            self.process = subprocess.Popen(command, stdin=stdin, stdout=out,
                                            stderr=err, env=environment,
                                            cwd=self.dir, pass_fds=pass_fds,
                                            start_new_session=True)

    @property
    def out(self):
        with open(self.out_path, "rb") as f:
            return f.read().decode(errors="replace")

    @property
    def err(self):
        with open(self.err_path, "rb") as f:
            return f.read().decode(errors="replace")

    @property
    def log(self):
        if not os.path.exists(self.log_path):
            return ""
        with open(self.log_path, "rb") as f:
            return f.read().decode(errors="replace")

    @property
    def localapi(self):
        return os.path.join(self.state, "tailscaled.sock")

    def cli(self, *args, check=True):
        """tsrun VERB... against this program's node."""
        return subprocess.run([TSRUN, "--socket", self.localapi, *args],
                              env=CLEAN_ENV, capture_output=True, text=True,
                              timeout=PATIENCE, check=check)

    def status(self):
        if not os.path.exists(self.localapi):
            return {}
        result = self.cli("--json", "status", check=False)
        return json.loads(result.stdout) if result.stdout else {}

    def wait_running(self):
        wait_until(lambda: self.alive() and
                   self.status().get("BackendState") == "Running",
                   f"{self.hostname} to run")
        return self

    def wait_listening(self, port, host="127.0.0.1"):
        """The program itself listens (seen on the host's loopback)."""
        def listens():
            self.alive()
            with socket.socket() as s:
                s.settimeout(1)
                return s.connect_ex((host, port)) == 0
        wait_until(listens, f"{self.hostname} to listen on {port}")
        return self

    def alive(self):
        if self.process.poll() is not None:
            pytest.fail(f"{self.hostname} ended with status "
                        f"{self.process.returncode}: {self.err}{self.log}")
        return True

    @property
    def ip(self):
        return self.lab.node(self.hostname)["ips"][0]

    def wait(self, timeout=None):
        return self.process.wait(timeout or PATIENCE)

    def stop(self, sig=signal.SIGTERM):
        return stop(self.process, sig)


def copy_products(directory):
    """For users who may not enter our own directory; the copy's tsrun."""
    os.makedirs(directory)
    for name in ("tsrun", "tsnet-host", "libtsnet_shim.so", "libtsnet.so"):
        shutil.copy(os.path.join(BUILD, name), directory)
    return os.path.join(directory, "tsrun")


def needs(*commands):
    """Skip where a stock program is missing."""
    missing = [c for c in commands if not shutil.which(c)]
    return pytest.mark.skipif(bool(missing),
                              reason=f"{', '.join(missing)} not installed")
