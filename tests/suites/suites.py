"""Other people's test suites, natively and over the tailnet.

Each module of CPython's suite runs three times: natively on loopback; under
tsrun with its addresses replaced by the node's own; and, for what connects by
TCP, with every connection going through a peer. libuv's and libevent's suites
run natively and at the node's own address. What fails over the tailnet and not
natively is tried again, as many tests measure time; what fails each time is a
defect, or stands in known.txt with its cause. The table goes to docs/SUITES.md
when all was run.
"""
import argparse
import collections
import fnmatch
import os
import platform
import re
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(TOP, "tests", "e2e"))
import c_suites  # noqa: E402
from harness import BUILD, CLEAN_ENV, Lab, Program, wait_until  # noqa: E402

CPYTHON = ("test_socket", "test_asyncio", "test_selectors",
           "test_socketserver", "test_ssl", "test_httplib", "test_ftplib",
           "test_smtplib")
C_SUITES = tuple(c_suites.PROGRAMS)
# The address that scripts/build-suites puts into them: the lab's first node.
OWN_ADDRESS = "100.64.0.1"
MODES = ("native", "own", "peer")
MODE_NAMES = {"native": "on loopback", "own": "at the node's own address",
              "peer": "through a peer"}
MODULE_S = 900
RESTARTS = 12
TRIES = 3
BAD = ("fail", "hang")


def read_outcomes(path):
    """Test -> its last outcome; one that never ended has hung."""
    outcomes = {}
    if os.path.exists(path):
        with open(path, encoding="utf-8") as f:
            for line in f:
                outcome, name = line.rstrip("\n").split(" ", 1)
                outcomes[name] = "hang" if outcome == "running" else outcome
    return outcomes


def forget(path, names):
    """The outcomes of these tests, so that they run once more."""
    with open(path, encoding="utf-8") as f:
        lines = [line for line in f
                 if line.rstrip("\n").split(" ", 1)[1] not in names]
    with open(path, "w", encoding="utf-8") as f:
        f.writelines(lines)


class Tailnet:
    """A lab, the node that runs the suites, and the peer of the third mode."""

    def __init__(self, directory):
        self.directory = directory
        self.lab = Lab(directory)
        self.count = 0
        self.relay = None

    def addresses(self, name):
        return self.lab.node(name)["ips"]

    def start_relay(self):
        if self.relay:
            return self.relay_socket
        self.relay_socket = os.path.join(self.directory, "relay.sock")
        holder = Program(self.lab, self.directory, "relay", "sleep", "3600")
        holder.wait_running()
        own = self.addresses("relay")
        holder.stop()
        self.relay = Program(self.lab, self.directory, "relay", sys.executable,
                             "-B", os.path.join(HERE, "relay.py"),
                             self.relay_socket, *own)
        self.relay.wait_running()
        wait_until(lambda: os.path.exists(self.relay_socket), "the relay")
        return self.relay_socket

    def close(self):
        if self.relay:
            self.relay.stop()
        self.lab.close()


class Suites:
    def __init__(self, options, directory):
        self.options = options
        self.directory = directory
        self.tailnet = Tailnet(directory)
        self.outcomes = collections.defaultdict(dict)  # module -> mode -> {}
        self.repeated = collections.defaultdict(list)  # passed at last
        self.known = read_known(os.path.join(HERE, "known.txt"))
        self.seconds = {}

    def results_path(self, module, mode):
        return os.path.join(self.directory, f"{module}.{mode}")

    def run_python(self, module, mode, results, log):
        command = [sys.executable, "-B", os.path.join(HERE, "cpython_main.py"),
                   module, results, "--match", self.options.match]
        if mode == "native":
            return subprocess.run(command, stdout=log, stderr=log,
                                  timeout=MODULE_S, cwd=self.directory,
                                  env=CLEAN_ENV, check=False).returncode
        ips = self.own_addresses()
        command += ["--host", "suites", "--host4", ips[0], "--host6", ips[1]]
        if mode == "peer":
            command += ["--relay", self.tailnet.start_relay(),
                        "--relay-hosts", *self.tailnet.addresses("relay")]
        program = Program(self.tailnet.lab, self.directory, "suites", *command,
                          options=("--wait", *self.options.tsrun))
        try:
            return program.wait(MODULE_S)
        finally:
            if program.process.poll() is None:
                program.stop()
            log.write(program.err)
            for path in (program.err_path, program.out_path):
                os.unlink(path)

    def run_c(self, suite, mode, tests=()):
        """libuv's or libevent's suite, or some of it; their outcomes."""
        where = os.path.join(self.directory, f"{suite}.{mode}.dir")
        command = c_suites.command(os.path.join(BUILD, "suites"), suite, mode,
                                   where) + list(tests)
        if mode == "native":
            text = subprocess.run(command, env=CLEAN_ENV, capture_output=True,
                                  timeout=MODULE_S, check=False).stdout.decode(
                                      errors="replace")
        else:
            assert self.own_addresses()[0] == OWN_ADDRESS
            program = Program(self.tailnet.lab, self.directory, "suites",
                              *command, options=("--wait", *self.options.tsrun))
            try:
                program.wait(MODULE_S)
            finally:
                if program.process.poll() is None:
                    program.stop()
            text = program.out
            os.unlink(program.out_path)
        with open(self.results_path(suite, mode) + ".log", "a",
                  encoding="utf-8") as log:
            log.write(text)
        return c_suites.parse(suite, text)

    def own_addresses(self):
        if not self.tailnet.lab.node("suites"):
            first = Program(self.tailnet.lab, self.directory, "suites", "true",
                            options=("--wait",))
            first.wait()
        return self.tailnet.addresses("suites")

    def run(self, module, mode):
        began = time.monotonic()
        if module in C_SUITES:
            self.outcomes[module][mode] = self.run_c(module, mode)
        else:
            self.run_module(module, mode)
        for _ in range(1, TRIES):
            if mode == "native" or not self.try_again(module, mode):
                break
        self.seconds[module, mode] = time.monotonic() - began

    def try_again(self, module, mode):
        """Once more what ought not to fail; is there still anything?"""
        bad = [name for name in self.only_over_the_tailnet(module, mode)
               if not cause_of(self.known, mode, name)]
        outcomes = self.outcomes[module][mode]
        if module in C_SUITES:
            for tests in c_suites.at_a_time(module, bad):
                outcomes.update(self.run_c(module, mode, tests))
        elif bad:
            results = self.results_path(module, mode)
            forget(results, bad)
            self.outcomes[module][mode] = read_outcomes(results)
            self.run_module(module, mode)
        outcomes = self.outcomes[module][mode]
        passed = [name for name in bad if outcomes.get(name) == "ok"]
        self.repeated[module, mode] += passed
        return len(passed) < len(bad)

    def run_module(self, module, mode):
        results = self.results_path(module, mode)
        with open(results + ".log", "a", encoding="utf-8") as log:
            for _ in range(RESTARTS):
                code = self.run_python(module, mode, results, log)
                outcomes = read_outcomes(results)
                if "hang" not in outcomes.values() or not self.has_new(
                        module, mode, outcomes):
                    break
                log.write(f"-- ended with {code}, going on after it\n")
        self.outcomes[module][mode] = read_outcomes(results)

    def has_new(self, module, mode, outcomes):
        """Did this run get any further than the one before?"""
        before = self.outcomes[module].get(mode, {})
        self.outcomes[module][mode] = outcomes
        return len(outcomes) > len(before)

    def only_over_the_tailnet(self, module, mode):
        """Tests that fail in this mode and do not natively."""
        native = self.outcomes[module]["native"]
        return sorted(name for name, outcome in
                      self.outcomes[module].get(mode, {}).items()
                      if outcome in BAD and native.get(name) not in BAD)

    def not_run(self, module, mode):
        """Tests that ran natively, and here neither failed nor ran."""
        mine = self.outcomes[module].get(mode)
        if mine is None:
            return []
        return sorted(name for name, outcome in
                      self.outcomes[module]["native"].items()
                      if outcome == "ok" and
                      mine.get(name, "missing") in ("skip", "missing"))


def read_known(path):
    """Patterns of tests with their mode and cause: MODE PATTERN CAUSE..."""
    known = []
    with open(path, encoding="utf-8") as f:
        for line in f:
            if line.strip() and not line.startswith("#"):
                known.append(line.split(None, 2))
    return known


def cause_of(known, mode, name):
    for known_mode, pattern, cause in known:
        if known_mode in (mode, "both") and fnmatch.fnmatchcase(name, pattern):
            return cause.strip()
    return None


def counts(outcomes):
    tally = collections.Counter(outcomes.values())
    failed = tally["fail"] + tally["hang"]
    return f"{tally['ok']} / {failed} / {tally['skip']}"


def table(suites, modules):
    known = suites.known
    lines = ["| module | " + " | ".join(MODE_NAMES[m] for m in MODES) + " |",
             "|---|" + "---|" * len(MODES)]
    for module in modules:
        cells = [counts(suites.outcomes[module][mode])
                 if mode in suites.outcomes[module] else "-" for mode in MODES]
        lines.append(f"| {module} | " + " | ".join(cells) + " |")
    rows, unknown = [], []
    for module in modules:
        for mode in MODES[1:]:
            for name in suites.only_over_the_tailnet(module, mode):
                cause = cause_of(known, mode, name)
                rows.append(f"| `{short(name)}` | {MODE_NAMES[mode]} | "
                            f"{cause or '**not explained**'} |")
                if not cause:
                    unknown.append(f"{mode} {name}")
            for name in suites.not_run(module, mode):
                cause = cause_of(known, mode, name)
                rows.append(f"| `{short(name)}` | {MODE_NAMES[mode]}, not run "
                            f"| {cause or '**not explained**'} |")
                if not cause:
                    unknown.append(f"{mode} not run: {name}")
    if rows:
        lines += ["", "What passes natively and not here:", "",
                  "| test | where | cause |", "|---|---|---|", *rows]
    repeated = [f"- `{short(name)}`, {MODE_NAMES[mode]}"
                for (_, mode), names in suites.repeated.items()
                for name in names]
    if repeated:
        lines += ["", f"What failed in this run, and passed when tried again "
                  f"(up to {TRIES - 1} times):", "", *repeated]
    return "\n".join(lines), unknown


def short(name):
    return re.sub(r"^test\.", "", name)


def parse_options():
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", help="modules, with commas")
    parser.add_argument("--modes", default=",".join(MODES[1:]))
    parser.add_argument("--match", default="*",
                        help="tests of CPython's to run")
    parser.add_argument("--keep", help="directory for logs")
    parser.add_argument("--write", help="file for the table")
    parser.add_argument("--tsrun", action="append", default=[],
                        help="one more option for tsrun")
    return parser.parse_args()


def main():
    options = parse_options()
    modules = options.only.split(",") if options.only else [
        *CPYTHON, *C_SUITES]
    modes = ["native"] + options.modes.split(",")
    with tempfile.TemporaryDirectory() as temporary:
        directory = options.keep or temporary
        os.makedirs(directory, exist_ok=True)
        os.chmod(directory, 0o755)  # some suites want another user
        if os.listdir(directory):
            sys.exit(f"suites: {directory} is not empty")
        suites = Suites(options, directory)
        try:
            for module in modules:
                for mode in modes:
                    if module in C_SUITES and mode == "peer":
                        continue
                    suites.run(module, mode)
                    print(f"{module} {mode}: "
                          f"{counts(suites.outcomes[module][mode])} "
                          f"({suites.seconds[module, mode]:.0f} s)", flush=True)
                    if "ok" not in suites.outcomes[module][mode].values():
                        sys.exit(f"suites: {module} {mode}: nothing passed")
        finally:
            suites.tailnet.close()
    text, unknown = table(suites, modules)
    print(text)
    if options.write and not options.only and options.match == "*":
        with open(options.write, "w", encoding="utf-8") as f:
            f.write(PAGE.format(python=platform.python_version(), table=text))
    for name in unknown:
        print(f"suites: {name}", file=sys.stderr)
    return 1 if unknown else 0


PAGE = """# Other people's test suites

Written by `make suites`. The tests of CPython {python}, libuv 1.44.2 and
libevent 2.1.12, natively on loopback and over the tailnet: passed / failed /
skipped.

{table}
"""

if __name__ == "__main__":
    sys.exit(main())
