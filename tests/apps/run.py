#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""run.py [--prove] [--modes LIST] [--jobs N] [--no-docs] [--keep] [CASE...]

The matrix of programs: plays every case in every mode, prints the table and
writes docs/COMPATIBILITY.md. CASE may be a prefix, such as nginx. Exits with
1 when a case fails that is no named limitation, or when a named limitation
is none any more.

--prove plays the cases without the shim instead: over plain loopback, where
each must pass (the case is sound), and with the tailnet's names and addresses,
where each must fail (the case can fail). It writes nothing.
"""
import argparse
import concurrent.futures
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE]
# pylint: disable=wrong-import-position
import catalogue  # noqa: E402
import programs  # noqa: E402
import table  # noqa: E402

PRODUCTS = ("tsrun", "tsnet-host", "libtsnet_shim.so", "libtsnet.so",
            "tsnet-lab")
PROVE = ("loopback", "native")


def stage(directory, build):
    """The products where every user may read them."""
    target = os.path.join(directory, "build")
    os.makedirs(target)
    for name in PRODUCTS:
        shutil.copy(os.path.join(build, name), target)
    os.chmod(directory, 0o755)
    return target


def play(case, mode, directory, build):
    """One case in one mode, in a process and a namespace of its own."""
    lacking = programs.missing(case)
    if lacking:
        return {"result": "skip", "why": "not here: " + ", ".join(lacking)}
    if case.root and os.geteuid() != 0:
        return {"result": "skip", "why": "needs root"}
    if mode == "loopback" and not case.loopback:
        return {"result": "skip", "why": "is about the tailnet itself"}
    room = os.path.join(directory, f"{case.name}.{mode}")
    os.makedirs(room)
    answer = room + ".json"
    command = ["unshare", "--net", "--mount"]
    if os.geteuid() != 0:
        command += ["--user", "--map-root-user"]
    command += [sys.executable, "-B", os.path.join(HERE, "scene.py"),
                case.name, mode, room, answer]
    started = time.monotonic()
    with open(room + ".log", "wb") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL,
                                   stdout=log, stderr=log,
                                   env=dict(os.environ, BUILD=build))
        try:
            process.wait(case.seconds + 30)
        except subprocess.TimeoutExpired:
            process.terminate()
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
    try:
        with open(answer, encoding="utf-8") as f:
            got = json.load(f)
    except (OSError, ValueError):
        with open(room + ".log", encoding="utf-8", errors="replace") as f:
            got = {"ok": False, "why": f.read()[-500:] or "no end in time"}
    got["result"] = "pass" if got["ok"] else "fail"
    got["seconds"] = time.monotonic() - started
    got["room"] = room
    return got


def judge(case, mode, got):
    """Turn a result into what the table says; whether all is as expected."""
    limit = case.limits.get(mode)
    if got["result"] == "skip":
        return True
    if mode == "native":
        got["why"] = "" if got["result"] == "fail" and (
            got["step"].startswith(("call", "server"))) else (
            "passes, or fails too early, without the shim: " + got["why"])
        return not got["why"]
    if got["result"] == "pass" and limit:
        got["why"] = f"works, but is named a limitation: {limit}"
        got["result"] = "pass"
        return False
    if got["result"] == "fail" and limit and mode != "loopback":
        got["result"], got["failure"] = "limit", got["why"]
        got["why"] = limit
        return True
    return got["result"] == "pass"


def keep_evidence(got, kept, label):
    """What a failed case printed outlives the run."""
    target = os.path.join(kept, label)
    shutil.rmtree(target, ignore_errors=True)
    os.makedirs(target)
    for root, _, files in os.walk(got["room"]):
        for name in files:
            path = os.path.join(root, name)
            if name.endswith((".out", ".err", ".log", ".conf", ".cfg")) or (
                    name == "log"):
                flat = os.path.relpath(path, got["room"]).replace("/", "_")
                shutil.copyfile(path, os.path.join(target, flat))
    return target


def chosen(words):
    cases = catalogue.by_name()
    picked = []
    for word in words:
        fits = [c for n, c in cases.items() if n.startswith(word)]
        if not fits:
            sys.exit(f"apps: no case {word}; there are: {' '.join(cases)}")
        picked += fits
    return picked or list(cases.values())


def arguments():
    parser = argparse.ArgumentParser(description="the matrix of programs")
    parser.add_argument("--prove", action="store_true",
                        help="show that each case fails without the shim")
    parser.add_argument("--modes", default="tsrun,in-process")
    parser.add_argument("--jobs", type=int,
                        default=min(2, os.cpu_count() or 1))
    parser.add_argument("--no-docs", action="store_true",
                        help="leave docs/COMPATIBILITY.md as it is")
    parser.add_argument("--keep", action="store_true",
                        help="keep the directories of the cases")
    parser.add_argument("--debug", action="store_true",
                        help="nodes and shim say what they do")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("cases", nargs="*")
    return parser.parse_args()


def report(case, mode, got, fine):
    mark = {"pass": "ok", "fail": "FAILS", "limit": "limit",
            "skip": "skipped"}[got["result"]]
    if mode == "native" and fine and got["result"] == "fail":
        mark = "ok (fails)"
    if not fine:
        mark = "FAILS"
    seconds = f"{got['seconds']:5.1f} s" if "seconds" in got else " " * 7
    text = f"  {case.name:22} {mode:11} {seconds}  {mark}"
    print(text + (f": {got['why']}" if got["why"] else ""), flush=True)


def run_all(cases, modes, directory, build, options):
    """{(case name, mode): result}, in which each has "fine"."""
    kept = os.path.join(programs.BIN, "failed")
    results = {}
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        jobs = {pool.submit(play, case, mode, directory, build): (case, mode)
                for case in cases for mode in modes}
        for job in concurrent.futures.as_completed(jobs):
            case, mode = jobs[job]
            got = job.result()
            got["fine"] = judge(case, mode, got)
            report(case, mode, got, got["fine"])
            if "room" in got:
                if not got["fine"] or got["result"] == "limit":
                    keep_evidence(got, kept, f"{case.name}.{mode}")
                if not options.keep:
                    shutil.rmtree(got["room"], ignore_errors=True)
            results[case.name, mode] = got
    return results


def main():
    options = arguments()
    if options.list:
        for title, group in catalogue.groups():
            print(title)
            for case in group:
                print(f"  {case.name:22} {case.does}")
        return 0
    cases = chosen(options.cases)
    modes = PROVE if options.prove else options.modes.split(",")
    if options.debug:
        os.environ["APPS_DEBUG"] = "1"
    build = os.environ.get("BUILD", os.path.join(programs.TOP, "build"))
    directory = tempfile.mkdtemp(prefix="tsnet-apps.", dir="/tmp")
    try:
        started = time.monotonic()
        results = run_all(cases, modes, directory, stage(directory, build),
                          options)
    finally:
        if options.keep:
            print(f"kept: {directory}")
        else:
            shutil.rmtree(directory, ignore_errors=True)
    bad = [key for key, got in results.items() if not got["fine"]]
    if not options.prove and not options.no_docs:
        table.write(results)
    print(f"{len(results)} results in {time.monotonic() - started:.0f} s: "
          f"{len(bad)} not as they should be"
          + "".join(f"\n  {name}, {mode}: {results[name, mode]['why']}"
                    for name, mode in sorted(bad)))
    if bad:
        print(f"What the programs printed: {programs.BIN}/failed/CASE.MODE")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
