"""tsnet.h: the example of the repository, built and run."""
import os
import platform
import subprocess

import pytest

from harness import BUILD, CLEAN_ENV, SANITIZERS, needs

TOP = os.path.join(os.path.dirname(__file__), "..", "..")


LIBRARIES = ["libsodium", "libcrypto", "libssl", "jansson", "libnghttp2",
             "libzstd", "libcurl", "libcares", "inih", "libmicrohttpd"]


def link_options():
    """The shared library; sanitizer builds link everything statically, since
    their runtime must come first."""
    if not SANITIZERS:
        return ["-L", BUILD, "-l:libtsnet.so", f"-Wl,-rpath,{BUILD}"]
    libs = subprocess.run(["pkg-config", "--libs", *LIBRARIES],
                          capture_output=True, text=True, check=True)
    return [f"-fsanitize={SANITIZERS}", f"{BUILD}/libtsnet.a",
            *libs.stdout.split(), "-lev", "-lm", "-lpthread",
            *(["-lIPSec_MB"] if platform.machine() == "x86_64" else [])]


@pytest.fixture
def hello(tmp_path):
    program = tmp_path / "hello"
    subprocess.run(["gcc", "-Wall", "-Wextra", "-Werror", "-I",
                    f"{TOP}/include", f"{TOP}/examples/hello.c", "-o", program,
                    *link_options()], check=True)

    def start(url, key, directory="state"):
        return subprocess.run(
            [program], capture_output=True, text=True, timeout=90, check=False,
            env=dict(CLEAN_ENV, TS_CONTROL_URL=url, TS_AUTHKEY=key,
                     TSNET_STATE_DIR=str(tmp_path / directory)))
    return start


pytestmark = needs("gcc")


def test_the_example_joins_and_says_who_it_is(lab, hello):
    result = hello(lab.url, "key-alice")
    assert result.returncode == 0, result.stderr
    ips = lab.node("hello")["ips"]
    assert result.stdout.startswith(f"hello, I am {ips[0]} and {ips[1]}\n")
    # and it has the same identity the second time
    assert hello(lab.url, "key-alice").stdout == result.stdout


def test_the_example_says_why_it_was_refused(lab, hello):
    result = hello(lab.url, "key-nobody-knows")
    assert result.returncode == 1
    assert "invalid" in result.stderr.lower()
