# SPDX-License-Identifier: BSD-3-Clause
"""All cases, by the files in cases/: each has TITLE and CASES."""
import importlib
import os

FILES = ("clients", "shells", "tools", "datagrams", "web", "stores",
         "languages", "compiled", "sessions")


def groups():
    """(title, cases) in the order of the table."""
    found = []
    for name in FILES:
        if not os.path.exists(os.path.join(os.path.dirname(__file__), "cases",
                                           name + ".py")):
            continue
        file = importlib.import_module("cases." + name)
        found.append((file.TITLE, file.CASES))
    return found


def by_name():
    cases = {}
    for _, group in groups():
        for case in group:
            if case.name in cases:
                raise ValueError(f"two cases are called {case.name}")
            cases[case.name] = case
    return cases
