"""Programs against tsnet.h and tailscale.h, compiled as their users would."""
import os
import platform
import subprocess

import pytest

from harness import BUILD, SANITIZERS

TOP = os.path.join(os.path.dirname(__file__), "..", "..")


LIBRARIES = ["libsodium", "libcrypto", "libssl", "jansson", "libnghttp2",
             "libzstd", "libcurl", "libcares", "inih", "libmicrohttpd"]


def link_options(library="tsnet"):
    """The shared library; sanitizer builds link everything statically, since
    their runtime must come first."""
    if not SANITIZERS:
        return ["-L", BUILD, f"-l:lib{library}.so", f"-Wl,-rpath,{BUILD}",
                "-lpthread"]
    libs = subprocess.run(["pkg-config", "--libs", *LIBRARIES],
                          capture_output=True, text=True, check=True)
    return [f"-fsanitize={SANITIZERS}", f"{BUILD}/libtsnet.a",
            *libs.stdout.split(), "-lev", "-lm", "-lpthread",
            *(["-lIPSec_MB"] if platform.machine() == "x86_64" else [])]


def options_of(*libraries):
    """What pkg-config says."""
    if not libraries:
        return []
    return subprocess.run(["pkg-config", "--cflags", "--libs", *libraries],
                          capture_output=True, text=True,
                          check=True).stdout.split()


@pytest.fixture
def build(tmp_path):
    """build(source) compiles a program as a user would; others: libraries that
    pkg-config knows."""
    def compile_one(source, library="tsnet", others=()):
        program = tmp_path / os.path.basename(source)[:-2]
        subprocess.run(["gcc", "-g", "-Wall", "-Wextra", "-Werror", "-I",
                        f"{TOP}/include", f"{TOP}/{source}", "-o", program,
                        *link_options(library), *options_of(*others)],
                       check=True)
        return program
    return compile_one
