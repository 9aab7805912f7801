"""The test programs of libuv and libevent, built by scripts/build-suites."""
import os
import re

NOBODY = 65534
PROGRAMS = {"libuv": "b/uv_run_tests", "libevent": "b/bin/regress"}


def command(built, suite, mode, directory):
    """libuv's refuses to run as root, and wants to write where it runs."""
    os.makedirs(directory, exist_ok=True)
    os.chown(directory, NOBODY, NOBODY)
    program = os.path.join(built, f"{suite}-{mode}", PROGRAMS[suite])
    return ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}",
            "--clear-groups", "--", "env", "-C", directory, program]


def at_a_time(suite, tests):
    """As the programs take them: libuv's one, libevent's any number."""
    if suite == "libuv":
        return [[test] for test in tests]
    return [tests] if tests else []


def parse_tap(text):
    """ok 12 - name # SKIP why"""
    outcomes = {}
    for line in text.splitlines():
        match = re.match(r"(not )?ok \d+ - (\S+)(.*)", line)
        if match:
            skipped = "SKIP" in match[3]
            outcomes[match[2]] = ("fail" if match[1] else
                                  "skip" if skipped else "ok")
    return outcomes


def parse_tinytest(text):
    """group/name: [forking] OK, or details and then [name FAILED]"""
    outcomes, name = {}, None
    for line in text.splitlines():
        match = re.match(r"(\w+/\w+): (.*)", line)
        if match:
            name = match[1]
            word = match[2].split()[-1] if match[2].split() else ""
            outcomes[name] = {"OK": "ok", "SKIPPED": "skip",
                              "DISABLED": "skip"}.get(word, "running")
        if name and "FAILED]" in line:
            outcomes[name] = "fail"
        elif name and line.strip() == "OK":
            outcomes[name] = "ok"
    return {name: "fail" if outcome == "running" else outcome
            for name, outcome in outcomes.items()}


def parse(suite, text):
    return (parse_tap if suite == "libuv" else parse_tinytest)(text)
