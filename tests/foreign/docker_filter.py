#!/usr/bin/env python3
"""docker_filter.py > FILE: the filter of docker-denied.txt as BPF, for
bwrap --seccomp. Needs Debian's python3-seccomp (and its interpreter)."""
import errno
import os
import sys

import seccomp
from seccomp import ALLOW, ERRNO, EQ, MASKED_EQ, Arg

NAMESPACES = 0x7E020000  # CLONE_NEW*
AF_VSOCK = 40


def denied_names():
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)),
                        "docker-denied.txt")
    with open(path, encoding="utf-8") as f:
        for line in f:
            if not line.startswith("#"):
                yield from line.split()


def main():
    deny = ERRNO(errno.EPERM)
    names = seccomp.SyscallFilter(defaction=ALLOW)
    for name in denied_names():
        try:
            names.add_rule(deny, name)
        except (RuntimeError, OSError):
            print(f"no such call here: {name}", file=sys.stderr)
    names.add_rule(ERRNO(errno.ENOSYS), "clone3")
    for bit in range(32):
        if NAMESPACES & 1 << bit:
            names.add_rule(deny, "clone",
                           Arg(0, MASKED_EQ, 1 << bit, 1 << bit))
    names.add_rule(deny, "socket", Arg(0, EQ, AF_VSOCK))
    names.export_bpf(sys.stdout)


if __name__ == "__main__":
    main()
