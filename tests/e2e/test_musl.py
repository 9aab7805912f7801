"""Programs of another C library than the shim's and the host's: one shim, built
against glibc, is loaded by musl's dynamic linker too."""
import os
import shutil
import subprocess

import pytest

from harness import BUILD, CLEAN_ENV, SHIM, needs

TOP = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
PROBE = os.path.join(TOP, "tests/foreign/libc_probe.c")


def build_probe(directory, compiler):
    out = os.path.join(str(directory), f"probe-{os.path.basename(compiler)}")
    subprocess.run([compiler, "-O1", "-Wall", "-D_GNU_SOURCE", PROBE, "-o",
                    out], check=True, timeout=60)
    return out


@pytest.fixture
def probes(tmp_path):
    return {"musl": build_probe(tmp_path, "musl-gcc"),
            "glibc": build_probe(tmp_path, os.environ.get("CC", "gcc"))}


def check_talk(lab, server, client):
    """The server saw the client's address, and the client the server's."""
    web, laptop = lab.node("web"), lab.node("laptop")
    heard = client.out.splitlines()
    assert heard[0].startswith("canonical web."), client.out
    for own, peer in zip(web["ips"], laptop["ips"]):
        assert any(line == f"{own}: {peer} says hello" or
                   line == f"{own}: ::ffff:{peer} says hello"
                   for line in heard), client.out + client.err + server.out
    assert any(line.startswith("reverse web.") for line in heard), client.out
    assert any(line.startswith("gethostbyname web") and
               line.endswith(web["ips"][0]) for line in heard), client.out
    assert server.out.count("says hello") == 2


@needs("musl-gcc")
@pytest.mark.parametrize("server_libc", ["musl", "glibc"])
@pytest.mark.parametrize("client_libc", ["musl", "glibc"])
def test_libcs_talk(lab, run, call, probes, server_libc, client_libc):
    server = run("web", probes[server_libc], "serve", "7000", "2",
                 options=["--listen", "tailnet", "--wait"])
    server.wait_running()
    client = call("laptop", probes[client_libc], "call", "web", "7000",
                  "hello", options=["--wait"])
    assert client.code == 0, client.err + client.log
    assert server.wait() == 0, server.err
    check_talk(lab, server, client)


@needs("musl-gcc")
def test_musl_child_of_glibc_shell(lab, run, call, probes):
    """A preloaded tree crosses from one libc to the other by exec."""
    server = run("web", "sh", "-c", f"{probes['musl']} serve 7000 2; true",
                 options=["--listen", "tailnet", "--wait"])
    server.wait_running()
    client = call("laptop", "python3", "-c",
                  "import subprocess, sys; sys.exit(subprocess.call("
                  f"['{probes['musl']}', 'call', 'web', '7000', 'hello']))",
                  options=["--wait"])
    assert client.code == 0, client.err + client.log
    assert server.wait() == 0, server.err
    check_talk(lab, server, client)


@needs("musl-gcc")
def test_shim_alone_costs_a_musl_program_nothing(probes):
    """Nothing is missing at the start: musl ends a program with 127 then."""
    env = dict(CLEAN_ENV, LD_PRELOAD=SHIM)
    done = subprocess.run([probes["musl"]], env=env, capture_output=True,
                          text=True, timeout=30)
    assert (done.returncode, done.stderr) == (64, "")


@needs("musl-gcc")
def test_in_process_says_what_is_missing(lab, probes, tmp_path):
    """The node as a thread needs a libtsnet built for musl."""
    if os.path.exists(os.path.join(BUILD, "libtsnet-musl.so")):
        pytest.skip("it is there")
    shutil.copy(SHIM, tmp_path)
    env = dict(CLEAN_ENV, TS_AUTHKEY="key-alice", TS_CONTROL_URL=lab.url,
               TSNET_HOSTNAME="web", TSNET_STATE_DIR=str(tmp_path / "state"),
               LD_PRELOAD=str(tmp_path / "libtsnet_shim.so"))
    done = subprocess.run([probes["musl"], "call", "web.ts.net", "1", "x"],
                          env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "libtsnet-musl.so" in done.stderr
