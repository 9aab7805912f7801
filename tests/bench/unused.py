"""Programs that never use the tailnet, with the shim and without it, in turns.

What they cost is told by CPU seconds, of the program and all its children; the
server's by CPU per request. The shim is attached to a running host, as in any
program under tsrun.
"""
import os
import shutil
import signal
import subprocess
import time

from harness import CLEAN_ENV, SHIM, wait_until
import processes

FILES, FOLDERS = 10_000, 100
LOAD_S = 2
PORT = 7480
TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")


def inside(program):
    """The environment of programs under this one's tsrun."""
    host = program.process.pid
    with open(f"/proc/{host}/task/{host}/children", encoding="ascii") as f:
        child = f.read().split()[0]
    with open(f"/proc/{child}/environ", encoding="utf-8") as f:
        return dict(pair.split("=", 1) for pair in f.read().split("\0")
                    if "=" in pair)


class Unused:
    def __init__(self, directory, program, figures):
        self.directory, self.figures = directory, figures
        self.sides = {"plain": CLEAN_ENV, "ours": inside(program)}
        assert SHIM in self.sides["ours"]["LD_PRELOAD"]
        self.make_files()

    def make_files(self):
        self.tree = os.path.join(self.directory, "tree")
        for folder in range(FOLDERS):
            os.makedirs(os.path.join(self.tree, str(folder)))
            for number in range(FILES // FOLDERS):
                open(os.path.join(self.tree, str(folder), str(number)),
                     "wb").close()

    def cpu_of(self, command, env):
        """CPU seconds of a command and its children."""
        pid = os.posix_spawnp(command[0], command, env, file_actions=[
            (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)])
        _, status, usage = os.wait4(pid, 0)
        if status != 0:
            raise RuntimeError(f"{command}: wait status {status}")
        return usage.ru_utime + usage.ru_stime

    def in_turns(self, figure, command_of):
        for side, env in self.sides.items():
            self.figures.add(figure, "CPU-s", side,
                             self.cpu_of(command_of(side), env))

    def find(self):
        self.in_turns("find of 10,000 files", lambda side: [
            "find", self.tree, "-type", "f", "-size", "+1"])

    def make(self):
        def command(side):
            build = os.path.join(self.directory, "make-" + side)
            shutil.rmtree(build, ignore_errors=True)
            return ["make", "-s", "-C", TOP, f"BUILD={build}",
                    "LWIP_DIR=" + os.path.join(TOP, "build/lwip/src-2.2.1"),
                    f"{build}/tsnet-host", f"{build}/libtsnet_shim.so"]
        self.in_turns("make of this project", command)

    def nginx(self):
        if not (shutil.which("nginx") and shutil.which("wrk")):
            self.figures.note("nginx on loopback: nginx or wrk is missing")
            return
        for side, env in self.sides.items():
            self.nginx_of(side, env)

    def nginx_of(self, side, env):
        conf = os.path.join(self.directory, f"nginx-{side}.conf")
        with open(conf, "w", encoding="utf-8") as f:
            f.write(NGINX.format(d=self.directory, port=PORT))
        server = subprocess.Popen(["nginx", "-c", conf], env=env,
                                  stderr=subprocess.DEVNULL)
        try:
            wait_until(lambda: answers(PORT), "nginx")
            for words, name in (([], "kept"),
                                (["-H", "Connection: close"], "closed")):
                before = processes.cpu_seconds(server.pid)
                count = requests(env, words)
                used = processes.cpu_seconds(server.pid) - before
                self.figures.add(f"nginx on loopback, {name}", "us CPU/req",
                                 side, used / count * 1e6)
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait()


def answers(port):
    return subprocess.run(["curl", "-s", f"http://127.0.0.1:{port}/"],
                          env=CLEAN_ENV, stdout=subprocess.DEVNULL,
                          check=False).returncode == 0


def requests(env, words):
    """Requests that wrk got answered in LOAD_S seconds."""
    out = subprocess.run(
        ["wrk", "-t", "1", "-c", "8", "-d", f"{LOAD_S}s", *words,
         f"http://127.0.0.1:{PORT}/"], env=env, capture_output=True, text=True,
        check=True).stdout
    time.sleep(0.1)
    return next(int(line.split()[0]) for line in out.splitlines()
                if "requests in" in line)


NGINX = """
daemon off; worker_processes 1; pid {d}/nginx.pid; error_log /dev/null;
events {{ worker_connections 512; }}
http {{
  access_log off; client_body_temp_path {d}; proxy_temp_path {d};
  fastcgi_temp_path {d}; uwsgi_temp_path {d}; scgi_temp_path {d};
  server {{ listen 127.0.0.1:{port}; location / {{ return 200 "page"; }} }}
}}
"""
