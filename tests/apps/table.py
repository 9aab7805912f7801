# SPDX-License-Identifier: BSD-3-Clause
"""docs/COMPATIBILITY.md: written by the run, and read by it again so that a
run of a part leaves the other rows as they are. No date and no machine in
it: the same programs give the same file."""
import os
import re

import catalogue
import programs

PATH = os.path.join(programs.TOP, "docs", "COMPATIBILITY.md")
MODES = ("tsrun", "in-process")
WORDS = {"pass": "works", "fail": "**fails**", "limit": "no", "skip": "-"}
HEAD = """# Compatibility

Written by `make apps`; do not edit. Each row is a case of `tests/apps/cases/`,
played over the embedded tailnet in a network namespace that has nothing but
loopback: server and caller are different nodes, the server is asked for by its
MagicDNS name and by its address, and both what arrives and the tailnet address
that the server saw are checked.

Hosted: every program runs under `tsrun`. In-process: servers under `tsrun
--in-process`, callers with `LD_PRELOAD` alone. "no" is a limitation, explained
below the table; "-" was not run.
"""


def known_rows():
    """Rows and notes that stand in the file: {name: cells}, {key: note}."""
    rows, notes = {}, {}
    try:
        with open(PATH, encoding="utf-8") as f:
            text = f.read()
    except FileNotFoundError:
        return rows, notes
    for line in text.splitlines():
        row = re.fullmatch(r"\| `([^`]+)` \| (.*) \| (.*) \| (.*) \| (.*) \|",
                           line)
        if row:
            rows[row.group(1)] = list(row.groups()[1:])
        note = re.fullmatch(r"- `([^`]+)`, ([a-z-]+): (.*)", line)
        if note:
            notes[note.group(1), note.group(2)] = note.group(3)
    return rows, notes


def subject(case):
    name = case.programs.split(", ")[0]
    version = programs.version(name)
    return f"{name} {version}" if version else name


def plain(text):
    """One line without what belongs to a machine or a moment."""
    text = re.sub(r"/tmp/tsnet-apps\.\w+(/build)?", "", text)
    text = re.sub(r"\b(?:100|127)\.\d+\.\d+\.\d+(?::\d+)?", "ADDRESS", text)
    return " ".join(text.split())[:300]


def merge(results, rows, notes):
    for name, case in catalogue.by_name().items():
        old = rows.get(name, ["", "", "-", "-"])
        cells = [subject(case), case.does, old[2], old[3]]
        for i, mode in enumerate(MODES):
            got = results.get((name, mode))
            if not got:
                continue
            cells[2 + i] = WORDS[got["result"]]
            notes.pop((name, mode), None)
            if got["why"]:
                notes[name, mode] = plain(got["why"])
        rows[name] = cells


def write(results):
    rows, notes = known_rows()
    merge(results, rows, notes)
    out = [HEAD]
    for title, cases in catalogue.groups():
        out.append(f"## {title}\n")
        out.append("| case | program | what is done | hosted | in-process |")
        out.append("| --- | --- | --- | --- | --- |")
        for case in cases:
            out.append(f"| `{case.name}` | " + " | ".join(rows[case.name])
                       + " |")
        out.append("")
        lines = [f"- `{case.name}`, {mode}: {notes[case.name, mode]}"
                 for case in cases for mode in MODES
                 if (case.name, mode) in notes]
        if lines:
            out += [*lines, ""]
    with open(PATH, "w", encoding="utf-8") as f:
        f.write("\n".join(out).rstrip("\n") + "\n")
