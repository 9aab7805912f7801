"""A node with a shell, which starts what it is told to."""
import functools
import json
import os

import processes
from harness import BUILD, Program, wait_until

TOOLS = os.path.join(BUILD, "bench")
SHELL = ("sh", "-c", 'while read -r line; do eval "$line"; done')


class End:
    """A node whose program is a shell; the host is the program's parent."""

    def __init__(self, lab, directory, name):
        self.read, self.write = os.pipe()
        self.program = Program(lab, directory, name, *SHELL, stdin=self.read,
                               options=["--wait", "--log-level", "warn"])
        self.pid, self.taken = self.program.process.pid, 0
        self.say("echo 1")
        self.answer(60)

    @functools.cached_property
    def ip(self):
        return self.program.cli("ip").stdout.split()[0]

    def say(self, line):
        os.write(self.write, line.encode() + b"\n")

    def answer(self, limit):
        def line():
            with open(self.program.out_path, "rb") as f:
                f.seek(self.taken)
                found = f.readline()
            return found if found.endswith(b"\n") else None
        found = wait_until(line, "an answer", limit)
        self.taken += len(found)
        return json.loads(found)

    def do(self, line, limit):
        self.say(line)
        return self.answer(limit)

    def rss_mb(self):
        return processes.memory_mb(self.pid)["rss"]

    def fds(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def cpu_ms(self):
        with open(f"/proc/{self.pid}/schedstat", encoding="ascii") as f:
            return int(f.read().split()[0]) / 1e6

    def close(self):
        os.close(self.write)
        os.close(self.read)
        self.program.stop()
