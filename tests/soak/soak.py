"""A long soak: random programs start, fork, connect, listen and die over one
node. Descriptors, threads and memory of its host must come back to where they
were: they are read in pauses, when everything that may linger is over.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "e2e"))
from harness import Lab, Program  # noqa: E402

WORKERS = 4
ROUNDS = 6
# Entries of ended flows stay for a minute; then nothing of a round is left.
SETTLE_S = 75
FDS_MORE, KB_MORE = 4, 2048


def host_figures(pid):
    """Descriptors, threads and private memory of a process."""
    figures = {"fds": len(os.listdir(f"/proc/{pid}/fd"))}
    for name, path, key in (("threads", "status", "Threads:"),
                            ("rss_kb", "status", "VmRSS:"),
                            ("private_kb", "smaps_rollup", "Private_Dirty:")):
        with open(f"/proc/{pid}/{path}", encoding="ascii") as f:
            figures[name] = next(int(line.split()[1]) for line in f
                                 if line.startswith(key))
    return figures


class Soak:
    def __init__(self, directory, minutes):
        self.lab = Lab(directory, "--peers", "3")
        self.directory = directory
        self.round_s = max(10, (minutes * 60 - ROUNDS * SETTLE_S) / ROUNDS)
        self.partner = Program(self.lab, directory, "partner", sys.executable,
                               "-B", os.path.join(HERE, "partner.py"))
        self.partner.wait_running().wait_listening(7002)
        self.node = Program(self.lab, directory, "node", "cat",
                            stdin=self.held_open())
        self.node.wait_running()
        self.samples = []

    def held_open(self):
        """The program whose node this is only waits."""
        read_end, self.write_end = os.pipe()
        return read_end

    def silent(self):
        known = {"partner", "node"}
        return next(n["ips"][0] for n in self.lab.nodes()
                    if n["name"].split(".")[0] not in known)

    def environment(self):
        """What programs under the node's tsrun have."""
        with open(f"/proc/{self.program_pid()}/environ", "rb") as f:
            return dict(pair.split("=", 1) for pair in
                        f.read().decode().split("\0") if "=" in pair)

    def program_pid(self):
        host = self.node.process.pid
        with open(f"/proc/{host}/task/{host}/children", encoding="ascii") as f:
            return int(f.read().split()[0])

    def round(self, number):
        end = time.time() + self.round_s
        environment = self.environment()
        workers = []
        for i in range(WORKERS):
            with open(os.path.join(self.directory, f"worker{number}.{i}"),
                      "w", encoding="utf-8") as out:
                workers.append(subprocess.Popen(
                    [sys.executable, "-B", os.path.join(HERE, "actions.py"),
                     self.partner.ip, self.silent(), str(number * 100 + i),
                     str(end)], env=environment, stdout=out, stderr=out))
        codes = [w.wait(self.round_s + 180) for w in workers]
        time.sleep(SETTLE_S)
        sample = {"round": number, "failed_workers": sum(map(bool, codes)),
                  "actions": self.actions(number),
                  "node": host_figures(self.node.process.pid),
                  "partner": host_figures(self.partner.process.pid)}
        self.samples.append(sample)
        print(json.dumps(sample), flush=True)

    def actions(self, number):
        total = 0
        for i in range(WORKERS):
            with open(os.path.join(self.directory, f"worker{number}.{i}"),
                      encoding="utf-8") as f:
                for line in f:
                    if line.startswith("FAILED"):
                        print(line.rstrip(), flush=True)
                    elif len(line.split()) == 2 and line.split()[1].isdigit():
                        total += int(line.split()[1])
        return total

    def verdict(self):
        """Problems, in words. The first round warms up."""
        problems = []
        first, last = self.samples[1], self.samples[-1]
        for side in ("node", "partner"):
            for key, more in (("fds", FDS_MORE), ("threads", 0),
                              ("private_kb", KB_MORE)):
                grown = last[side][key] - first[side][key]
                if grown > more:
                    problems.append(f"{side}: {key} grew by {grown} since "
                                    f"round {first['round']}")
        if any(s["failed_workers"] for s in self.samples):
            problems.append("some actions failed")
        return problems

    def close(self):
        os.close(self.write_end)
        self.node.stop()
        self.partner.stop()
        self.lab.close()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--keep", help="directory for logs")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        directory = options.keep or temporary
        os.makedirs(directory, exist_ok=True)
        if os.listdir(directory):
            sys.exit(f"soak: {directory} is not empty")
        soak = Soak(directory, options.minutes)
        try:
            for number in range(ROUNDS):
                soak.round(number)
        finally:
            soak.close()
    problems = soak.verdict()
    for problem in problems:
        print("soak:", problem)
    print("soak:", "not flat" if problems else
          f"flat after {sum(s['actions'] for s in soak.samples)} actions")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
