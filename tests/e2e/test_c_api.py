"""tsnet.h: the examples of the repository, and every call, built and run."""
import os
import re
import socket
import subprocess
import urllib.error
import urllib.request
from base64 import b64encode

import pytest

from c_programs import TOP, build  # noqa: F401, pylint: disable=unused-import
from harness import (BUILD, CLEAN_ENV, PATIENCE, SANITIZERS, needs, stop,
                     wait_until)

# pylint: disable=redefined-outer-name

@pytest.fixture
def start(tmp_path):
    """start(argv, env) in a directory of the test's own."""
    processes = []

    def go(argv, **env):
        processes.append(subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, cwd=tmp_path,
            env=dict(CLEAN_ENV, **env)))
        return processes[-1]
    yield go
    for process in processes:
        stop(process)
        for stream in (process.stdin, process.stdout, process.stderr):
            stream.close()


@pytest.fixture
def hello(build, tmp_path):
    program = build("examples/hello.c")

    def run(url, key, directory="state"):
        return subprocess.run(
            [program], capture_output=True, text=True, timeout=90, check=False,
            env=dict(CLEAN_ENV, TS_CONTROL_URL=url, TS_AUTHKEY=key,
                     TSNET_STATE_DIR=str(tmp_path / directory)))
    return run


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


def test_a_server_and_a_caller(lab, build, start, tmp_path):
    """Two processes, each a node by tsnet.h."""
    env = {"TS_CONTROL_URL": lab.url}
    server = start([build("examples/echo_server.c"), "1999"], **env,
                   TS_AUTHKEY="key-alice",
                   TSNET_STATE_DIR=str(tmp_path / "server"))
    wait_until(lambda: (lab.node("echo") or {}).get("online", True) and
               lab.node("echo"), "the server to join")
    caller = subprocess.run(
        [build("examples/call.c"), "tcp", "echo:1999"], input="hello there\n",
        capture_output=True, text=True, timeout=2 * PATIENCE, check=False,
        env=dict(CLEAN_ENV, **env, TS_AUTHKEY="key-bob",
                 TSNET_STATE_DIR="mem:"))
    assert caller.stdout == "hello there\n", caller.stderr
    line = server.stdout.readline()
    assert re.match(r"100\.\d+\.\d+\.\d+:\d+ \{", line)
    assert '"bob@example.com"' in line and '"Name":"caller.' in line


def test_a_page_by_libcurl(lab, build, run):
    server = run("server", "python3", "-u", "-m", "http.server", "8000")
    server.wait_running().wait_listening(8000)
    fetch = build("examples/fetch.c", others=["libcurl"])

    def get(url):
        return subprocess.run(
            [fetch, url], capture_output=True, text=True, check=False,
            timeout=2 * PATIENCE,
            env=dict(CLEAN_ENV, TS_CONTROL_URL=lab.url, TS_AUTHKEY="key-bob",
                     TSNET_STATE_DIR="mem:", http_proxy="http://127.0.0.1:9",
                     no_proxy="*"))
    result = get("http://server:8000/")
    assert "Directory listing" in result.stdout, result.stderr
    ip = server.err.split(" - - ")[0].split("\n")[-1]
    assert ip.startswith("100.64.") and ip != server.ip
    result = get("http://server:8001/")
    assert result.returncode == 1 and "fetch: " in result.stderr


def test_an_answer_at_every_port(lab, build, run, start, tmp_path):
    start([build("examples/catch_all.c")], TS_CONTROL_URL=lab.url,
          TS_AUTHKEY="key-alice", TSNET_STATE_DIR=str(tmp_path / "state"))
    wait_until(lambda: lab.node("catch-all"), "the node to join")
    ip = lab.node("catch-all")["ips"][0]
    client = run("client", "sh", "-c",
                 f"for i in $(seq 100); do busybox nc {ip} 5555 && break; "
                 f"sleep 0.1; done; busybox nc {ip} 555 || echo refused")
    client.wait()
    assert client.out == (f"hello {client.ip}:" + client.out.split(":")[1]
                          .split(",")[0] + f", you called {ip}:5555\n"
                          "refused\n"), client.err


def test_packets_into_a_file(build, lab, tmp_path):
    check_calls(build, lab, tmp_path, "capture")
    capture = (tmp_path / "packets").read_bytes()
    assert capture[:4] == b"\x0a\x0d\x0d\x0a"  # a section header of pcapng
    assert b"what was said" in capture
    assert (tmp_path / "packets").stat().st_mode & 0o77 == 0


def test_two_tailnets_of_the_same_addresses(make_lab, run, build, start):
    """One process is a node in both, and joins what no address could."""
    front, back = make_lab(), make_lab()
    server = run("server", "python3", "-u", "-m", "http.server", "8000",
                 lab=back, options=["--wait"])
    server.wait_listening(8000)
    decoy = run("decoy", "sleep", "1000", lab=front, options=["--wait"])
    decoy.wait_running()
    assert server.ip == decoy.ip  # nobody listens at the decoy
    bridge = start([build("examples/bridge.c"), "8080", f"{server.ip}:8000"],
                   FRONT_URL=front.url, FRONT_KEY="key-alice",
                   BACK_URL=back.url, BACK_KEY="key-bob")
    first = bridge.stdout.readline()
    assert first, bridge.stderr.read()
    ip = front.node("front")["ips"][0]
    assert first == f"front {ip}, back {back.node('back')['ips'][0]}\n"
    assert ip == back.node("back")["ips"][0]
    client = run("client", "curl", "-sS", f"http://{ip}:8080/", lab=front)
    client.wait()
    assert "Directory listing" in client.out, client.err
    assert f"{ip} - - " in server.err


def check_calls(build, lab, tmp_path, what):
    result = subprocess.run(
        [build("tests/e2e/apps/api_calls.c"), lab.url, "key-alice", what],
        capture_output=True, text=True, cwd=tmp_path, timeout=4 * PATIENCE,
        check=False, env=CLEAN_ENV)
    assert (result.returncode, result.stdout) == (0, "ok\n"), result.stderr


def test_every_call(build, lab, tmp_path):
    check_calls(build, lab, tmp_path, "calls")


def test_a_close_ends_those_that_wait(build, lab, tmp_path):
    check_calls(build, lab, tmp_path, "ends")


def test_many_calls_at_once(build, lab, tmp_path):
    check_calls(build, lab, tmp_path, "threads")


def test_an_exit_without_close(build, lab, tmp_path):
    check_calls(build, lab, tmp_path, "leaves")


# -- tsnet_loopback ------------------------------------------------------------

@pytest.fixture
def loopback(build, lab, start):
    process = start([build("tests/e2e/apps/api_calls.c"), lab.url,
                     "key-alice", "loopback"])
    line = process.stdout.readline().split()
    assert len(line) == 3, process.stderr.read()
    return line


def local_request(loopback, password, headers, path="/localapi/v0/status"):
    token = b64encode(f":{password}".encode()).decode()
    request = urllib.request.Request(
        f"http://{loopback[0]}{path}",
        headers=dict(headers, Authorization=f"Basic {token}"))
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=PATIENCE) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_the_localapi_on_loopback(loopback):
    mark = {"Sec-Tailscale": "localapi"}
    _, proxy_cred, local_cred = loopback
    assert len(proxy_cred) == len(local_cred) == 32
    status, body = local_request(loopback, local_cred, mark)
    assert status == 200 and '"BackendState"' in body
    assert local_request(loopback, local_cred, {}) == (
        403, "missing 'Sec-Tailscale: localapi' header\n")
    assert local_request(loopback, proxy_cred, mark)[0] == 401
    assert local_request(loopback, "", mark)[0] == 401
    assert local_request(loopback, local_cred + "0", mark)[0] == 401
    # and it is still an API that no browser may use
    assert local_request(loopback, local_cred, dict(
        mark, Origin="http://evil.example"))[0] == 403


def test_the_proxy_on_loopback(loopback, run):
    server = run("server", "python3", "-u", "-m", "http.server", "8000")
    server.wait_running().wait_listening(8000)
    address, proxy_cred, local_cred = loopback

    def get(cred, scheme):
        return subprocess.run(
            ["curl", "-sS", "-x", f"{scheme}://tsnet:{cred}@{address}",
             "http://server:8000/"], capture_output=True, text=True,
            timeout=PATIENCE, check=False, env=CLEAN_ENV).stdout
    assert "Directory listing" in get(proxy_cred, "socks5h")
    assert "Directory listing" in get(proxy_cred, "http")
    assert "Directory listing" not in get(local_cred, "socks5h")
    host, port = address.rsplit(":", 1)
    with socket.create_connection((host, int(port))) as s:
        s.sendall(b"\x05\x01\x00")  # no password
        assert s.recv(2) == b"\x05\xff"


# -- libtailscale's interface ----------------------------------------------------

def test_libtailscale(build, lab, tmp_path):
    """As its header says; its own programs are run by `make interop`."""
    program = build("tests/e2e/apps/libtailscale_calls.c", "tailscale")
    result = subprocess.run(
        [program, lab.url, "key-alice"], capture_output=True, text=True,
        cwd=tmp_path, timeout=4 * PATIENCE, check=False,
        env=dict(CLEAN_ENV, HOME=str(tmp_path), XDG_CONFIG_HOME=""))
    assert (result.returncode, result.stdout) == (0, "ok\n"), result.stderr
    # where tsnet keeps it, by default
    home = tmp_path / ".config/tsnet-libtailscale_calls"
    assert (home / "tailscaled.state").exists()
    assert (tmp_path / "log").exists()


# -- installed --------------------------------------------------------------------

@needs("make", "pkg-config")
@pytest.mark.skipif(SANITIZERS is not None, reason="not meant for installing")
def test_installed(lab, tmp_path):
    """As users have it: pkg-config says how to build with it."""
    root = tmp_path / "root"
    subprocess.run(
        ["make", "-s", "-C", TOP, "install", f"DESTDIR={root}",
         "PREFIX=/opt/tsnet", f"BUILD={os.path.relpath(BUILD, TOP)}"],
        check=True, capture_output=True, timeout=4 * PATIENCE)
    env = dict(CLEAN_ENV, PKG_CONFIG_SYSROOT_DIR=str(root),
               PKG_CONFIG_LIBDIR=f"{root}/opt/tsnet/lib/pkgconfig")
    options = subprocess.run(["pkg-config", "--cflags", "--libs", "tsnet"],
                             env=env, capture_output=True, text=True,
                             check=True).stdout.split()
    program = tmp_path / "hello"
    subprocess.run(["gcc", "-o", program, f"{TOP}/examples/hello.c",
                    *options], check=True)
    result = subprocess.run(
        [program], capture_output=True, text=True, timeout=2 * PATIENCE,
        check=False,
        env=dict(CLEAN_ENV, TS_CONTROL_URL=lab.url, TS_AUTHKEY="key-alice",
                 TSNET_STATE_DIR="mem:",
                 LD_LIBRARY_PATH=f"{root}/opt/tsnet/lib"))
    assert result.stdout.startswith("hello, I am 100."), result.stderr
    subprocess.run(
        ["gcc", "-o", tmp_path / "other",
         f"{TOP}/tests/e2e/apps/libtailscale_calls.c",
         *subprocess.run(["pkg-config", "--cflags", "--libs", "libtailscale"],
                         env=env, capture_output=True, text=True,
                         check=True).stdout.split()], check=True)
    for name in ("tsnet.h", "tsnet_curl.h", "tailscale.h", "libtailscale.h"):
        assert (root / "opt/tsnet/include" / name).exists()
    assert (root / "opt/tsnet/share/man/man3/tsnet.3").exists()
