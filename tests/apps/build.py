#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""build.py - build the test programs of tests/apps/src into build/apps

Each group is built when its tool is there and its sources have changed; what
cannot be built is named and its cases are skipped. Modules are pinned by
go.sum and Cargo.lock, and come from the registries that the tools use."""
import glob
import hashlib
import os
import subprocess
import sys

import programs

SRC = os.path.join(programs.HERE, "src")
BIN = programs.BIN
GO_STATIC = {"CGO_ENABLED": "0"}
GO_CGO = {"CGO_ENABLED": "1"}


def groups():
    """name: (tool, sources, [(directory, environment, command)])"""
    java = os.path.join(SRC, "java")
    netty = "/usr/share/java/netty-all.jar"
    plain = [f for f in sorted(os.listdir(java)) if not f.startswith("Netty")]
    yield ("java", "javac", java,
           [(java, {}, ["javac", "-d", f"{BIN}/java", *plain])])
    if os.path.exists(netty):
        yield ("netty", "javac", java,
               [(java, {}, ["javac", "-cp", "/usr/share/java/*", "-d",
                            f"{BIN}/java", "NettyHello.java"])])
    web = os.path.join(SRC, "goweb")
    yield ("goweb", "go", web,
           [(web, GO_STATIC, ["go", "build", "-trimpath", "-o",
                              f"{BIN}/goweb-static", "."]),
            (web, GO_CGO, ["go", "build", "-trimpath", "-o",
                           f"{BIN}/goweb-cgo", "."])])
    grpc = os.path.join(SRC, "grpc")
    yield ("grpc", "go", grpc,
           [(grpc, GO_STATIC, ["go", "build", "-trimpath", "-o",
                               f"{BIN}/gogrpc", "."])])
    rust = os.path.join(SRC, "rust")
    yield ("rust", "cargo", rust,
           [(rust, {"CARGO_TARGET_DIR": f"{BIN}/rust-target"},
             ["cargo", "build", "--release", "--locked", "--quiet"]),
            (rust, {}, ["sh", "-c", f"mkdir -p {BIN}/rust && cp "
                        f"{BIN}/rust-target/release/ruststd "
                        f"{BIN}/rust-target/release/rusthttp {BIN}/rust/"])])


def digest(directory):
    """Of all sources: a group is built again when it changes."""
    h = hashlib.sha256()
    for path in sorted(glob.glob(directory + "/**", recursive=True)):
        if os.path.isfile(path):
            with open(path, "rb") as f:
                h.update(path.encode() + b"\0" + f.read())
    return h.hexdigest()


def build(name, tool, directory, steps):
    stamp = os.path.join(BIN, f".{name}.stamp")
    want = digest(directory)
    try:
        with open(stamp, encoding="ascii") as f:
            if f.read() == want:
                return
    except OSError:
        pass
    env = dict(os.environ, PATH=programs.path())
    print(f"  building {name}", flush=True)
    for where, more, command in steps:
        result = subprocess.run(command, cwd=where, env={**env, **more},
                                capture_output=True, text=True, check=False)
        if result.returncode:
            print(f"  {name}: {tool} failed, its cases are skipped: "
                  f"{result.stderr.strip()[-400:]}")
            return
    with open(stamp, "w", encoding="ascii") as f:
        f.write(want)


def main():
    os.makedirs(BIN, exist_ok=True)
    for name, tool, directory, steps in groups():
        if not os.path.isdir(directory):
            continue
        found = subprocess.run(["sh", "-c", f"command -v {tool}"], check=False,
                               env=dict(os.environ, PATH=programs.path()),
                               capture_output=True).returncode == 0
        if found:
            build(name, tool, directory, steps)
        else:
            print(f"  {name}: no {tool}, its cases are skipped")
    return 0


if __name__ == "__main__":
    sys.exit(main())
