"""libtailscale's own programs, unmodified, with our libtailscale.so.

Sources: LIBTAILSCALE, a checkout of github.com/tailscale/libtailscale, or one at
BUILD/libtailscale, or else the module by that name from the Go module proxy. They
are copied, never changed; control is testcontrol, as in their own tests.
"""
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import urllib.request
from base64 import b64encode

import pytest

from conftest import PEERS
from conftest import TestControl as Control
from harness import (BUILD, CLEAN_ENV, PATIENCE, TSRUN, Program, needs,
                     stop, wait_until)

MODULE = ("github.com/tailscale/libtailscale@"
          "v0.0.0-20260228020650-5e89501def80")
LINK = ["-L", BUILD, "-ltailscale", f"-Wl,-rpath,{BUILD}"]

pytestmark = needs("gcc")


def fetch_module():
    """The directory of the module, or None."""
    result = subprocess.run(["go", "mod", "download", "-json", MODULE],
                            capture_output=True, text=True, timeout=120,
                            check=False, cwd="/")
    answer = json.loads(result.stdout or "{}")
    return answer.get("Dir")


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """A copy that may be built in."""
    checkout = os.environ.get("LIBTAILSCALE", f"{BUILD}/libtailscale")
    found = checkout if os.path.isdir(checkout) else fetch_module()
    if not found:
        pytest.skip("libtailscale's sources cannot be fetched here: put a "
                    f"checkout into {checkout}")
    copy = tmp_path_factory.mktemp("libtailscale") / "src"
    shutil.copytree(found, copy)
    subprocess.run(["chmod", "-R", "u+w", copy], check=True)
    return copy


@pytest.fixture
def control(tmp_path, derper):
    """A new one each: the first node has the address 100.64.0.1."""
    server = Control(tmp_path / "control", derper)
    yield server
    server.close()


@pytest.fixture
def env(control, tmp_path):
    return dict(CLEAN_ENV, TS_CONTROL_URL=control.url, HOME=str(tmp_path),
                XDG_CONFIG_HOME=str(tmp_path / "config"),
                LD_LIBRARY_PATH=BUILD)


class Caller(Program):
    """A program under our tsrun that says something to a server."""

    def __init__(self, control, directory, address, text):
        super().__init__(control, directory, "caller", "sh", "-c",
                         "for i in $(seq 50); do "
                         f"printf '{text}' | busybox nc -w 5 {address} && "
                         "exit 0; sleep 0.2; done; exit 1",
                         options=["--wait"])


def is_running(directory):
    """The node whose state that is."""
    status = subprocess.run(
        [TSRUN, "--socket", f"{directory}/tailscaled.sock", "--json",
         "status"], capture_output=True, text=True, check=False,
        timeout=PATIENCE, env=CLEAN_ENV).stdout
    return status and json.loads(status)["BackendState"] == "Running"


def check_hears(process, control, tmp_path, program):
    """What is said to the example's port, once it is the first node of the
    tailnet, is what it prints. (The Python one never closes a connection.)"""
    directory = tmp_path / f"config/tsnet-{program}"
    wait_until(lambda: is_running(directory), f"{program} to run")
    caller = Caller(control, tmp_path, "100.64.0.1 1999", "hello\\n")
    try:
        assert process.stdout.readline() == "hello\n", caller.err
    finally:
        stop(caller.process)


# -- C ------------------------------------------------------------------------------

DRIVER = """
#include <stdio.h>
#include "%s"
int main(int argc, char **argv)
{
	(void)argc;
	control_url = argv[1];
	tmps1 = argv[2];
	tmps2 = argv[3];
	if (test_conn() != 0) {
		fprintf(stderr, "%%s\\n", err);
		return 1;
	}
	printf("%%s %%s %%s\\n", addr, proxy_cred, local_api_cred);
	fflush(stdout);
	getchar();
	if (close_conn() != 0) {
		fprintf(stderr, "%%s\\n", err);
		return 1;
	}
	return 0;
}
"""


def c_of(go_file):
    """The C program in the comment before import "C"."""
    text = go_file.read_text()
    return re.search(r'/\*\n(.*?)\*/\nimport "C"', text, re.S).group(1)


def test_c_test(sources, control, env, tmp_path):
    """libtailscale: its C test (tsnetctest)."""
    directory = sources / "tsnetctest"
    (directory / "conn.c").write_text(c_of(directory / "tsnetctest.go"))
    (directory / "main.c").write_text(DRIVER % "conn.c")
    program = tmp_path / "ctest"
    subprocess.run(["gcc", "-o", program, directory / "main.c", *LINK],
                   check=True)
    for name in ("s1", "s2"):
        (tmp_path / name).mkdir()
    process = subprocess.Popen(
        [program, control.url, tmp_path / "s1", tmp_path / "s2"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, env=env)
    line = process.stdout.readline().split()
    assert len(line) == 3, process.stderr.read()
    request = urllib.request.Request(
        f"http://{line[0]}/localapi/v0/status", headers={
            "Sec-Tailscale": "localapi", "Authorization": "Basic " +
            b64encode(f":{line[2]}".encode()).decode()})
    with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
        assert answer.status == 200
    _, err = process.communicate("\n", timeout=PATIENCE)
    assert process.returncode == 0, err


def test_c_example(sources, control, env, tmp_path):
    """libtailscale: its C example (echo_server)."""
    program = tmp_path / "echo_server"
    subprocess.run(["gcc", "-o", program, sources / "example/echo_server.c",
                    *LINK], check=True)
    with subprocess.Popen(
            [program], stdout=subprocess.PIPE, env=env, text=True) as process:
        try:
            check_hears(process, control, tmp_path, "echo_server")
        finally:
            stop(process)
    # where tsnet would keep it
    assert (tmp_path / "config/tsnet-echo_server/tailscaled.state").exists()


def exports():
    names = subprocess.run(["nm", "-D", "--defined-only",
                            f"{BUILD}/libtailscale.so"], check=True,
                           capture_output=True, text=True).stdout
    return {line.split()[2] for line in names.splitlines()}


def test_every_name_that_bindings_use(sources):
    """libtailscale: what its Swift, Ruby and Python bindings call."""
    used = set()
    for pattern in ("swift/**/*.swift", "ruby/lib/**/*.rb",
                    "python/src/*.cpp", "tailscale.h", "tailscale.c"):
        for path in sources.glob(pattern):
            text = re.sub(r"(?m)//.*$", "", path.read_text())
            used |= set(re.findall(
                r"\b(tailscale_[a-z0-9_]+|Tsnet[A-Za-z0-9]+)(?=\()", text))
            used |= set(re.findall(r"attach_function :(\w+)", text))
    types = {"tailscale_conn", "tailscale_listener"}
    assert len(used) > 30 and not used - types - exports()


def test_its_own_c_part(sources, control, env, tmp_path):
    """libtailscale: its tailscale.c over our Tsnet functions."""
    program = tmp_path / "echo_server"
    subprocess.run(["gcc", "-o", program, sources / "tailscale.c",
                    sources / "example/echo_server.c", *LINK], check=True)
    with subprocess.Popen(
            [program], stdout=subprocess.PIPE, env=env, text=True) as process:
        try:
            check_hears(process, control, tmp_path, "echo_server")
        finally:
            stop(process)


# -- Python ----------------------------------------------------------------------------

def pybind11_options():
    """Of the system's package, or of this Python's."""
    if os.path.exists("/usr/include/pybind11/pybind11.h"):
        return ["-I", sysconfig.get_paths()["include"]]
    result = subprocess.run([sys.executable, "-m", "pybind11", "--includes"],
                            capture_output=True, text=True, check=False)
    if result.returncode:
        pytest.skip("pybind11 is not installed")
    return result.stdout.split()


def test_python_example(sources, control, env, tmp_path):
    """libtailscale: its Python binding and example (echo.py)."""
    includes = pybind11_options()
    package = sources / "python"
    top = os.path.join(os.path.dirname(__file__), "..", "..")
    suffix = sysconfig.get_config_var("EXT_SUFFIX")
    subprocess.run(
        ["g++", "-shared", "-fPIC", "-std=c++17", "-O1",
         *includes, "-I", f"{top}/include", "-o",
         package / f"tailscale/_tailscale{suffix}", package / "src/main.cpp",
         *LINK], check=True)
    program = os.path.basename(os.path.realpath(sys.executable)).lower()
    with subprocess.Popen(
            [sys.executable, package / "examples/echo.py"],
            stdout=subprocess.PIPE, text=True, start_new_session=True,
            env=dict(env, PYTHONPATH=str(package), PYTHONUNBUFFERED="1"),
    ) as process:
        try:
            check_hears(process, control, tmp_path, program)
        finally:
            # The child of each connection reads its end for ever.
            os.killpg(process.pid, signal.SIGTERM)
            stop(process)


# -- Ruby --------------------------------------------------------------------------------

def stand_in_for_go(directory, derper):
    """The tests install testcontrol by `go install`: it is there already."""
    directory.mkdir()
    (directory / "testcontrol").write_text(
        f"#!/bin/sh\nexec {PEERS}/testcontrol -listen 127.0.0.1:9911 "
        f"-derp-port {derper[0]} -stun-port {derper[1]} >/dev/null 2>&1\n")
    (directory / "go").write_text(
        f'#!/bin/sh\n[ "$1" != env ] || echo {directory}\n')
    for name in ("testcontrol", "go"):
        (directory / name).chmod(0o755)


@needs("ruby")
def test_ruby_tests(sources, derper, env, tmp_path):
    """libtailscale: its Ruby tests."""
    if subprocess.run(["ruby", "-e", "require 'ffi'; require 'minitest'"],
                      capture_output=True, check=False).returncode:
        pytest.skip("ruby-ffi or ruby-minitest is not installed")
    package = sources / "ruby"
    library = package / "lib/libtailscale.so"
    if not library.exists():
        library.symlink_to(f"{BUILD}/libtailscale.so")
    stand_in_for_go(tmp_path / "bin", derper)
    result = subprocess.run(
        ["ruby", "-Ilib", "-Itest", "test/tailscale/test_tailscale.rb", "-v"],
        cwd=package, capture_output=True, text=True, timeout=4 * PATIENCE,
        check=False,
        env=dict(env, PATH=f"{tmp_path}/bin:{env['PATH']}"))
    assert result.returncode == 0, result.stdout + result.stderr
    runs = re.search(r"(\d+) runs, \d+ assertions, 0 failures, 0 errors, "
                     r"0 skips", result.stdout)
    assert runs and int(runs.group(1)) > 30, result.stdout
