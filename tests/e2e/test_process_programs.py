"""Stock programs of odd process shapes, hosted and in-process."""
import glob
import os
import shutil
import signal
import subprocess

import pytest

from harness import SANITIZERS, needs, wait_until

APPS = os.path.join(os.path.dirname(__file__), "apps")
in_process = pytest.mark.skipif(
    bool(SANITIZERS), reason="a stock program has no sanitizer runtime")
WHERE = ["hosted", pytest.param("in-process", marks=in_process)]
LIBS = "/usr/lib/x86_64-linux-gnu"


def options(where):
    return ["--in-process"] if where == "in-process" else []


@pytest.fixture(scope="module")
def shapes(tmp_path_factory):
    program = tmp_path_factory.mktemp("shapes") / "process_shapes"
    subprocess.run(["gcc", "-std=gnu11", "-O1", "-o", str(program),
                    os.path.join(APPS, "process_shapes.c"), "-lpthread"],
                   check=True)
    return str(program)


@pytest.fixture(scope="module")
def other_library(tmp_path_factory):
    library = tmp_path_factory.mktemp("other") / "preloads.so"
    subprocess.run(["gcc", "-std=gnu11", "-shared", "-fPIC", "-Wall",
                    "-Werror", "-o", str(library),
                    os.path.join(APPS, "preloads.c"), "-ldl", "-lpthread"],
                   check=True)
    return str(library)


@pytest.fixture
def server(run):
    return run("server", "python3", os.path.join(APPS, "shape_server.py"),
               "7000").wait_running().wait_listening(7000)


def allocators():
    names = ["libjemalloc.so.2", "libtcmalloc_minimal.so.4"]
    return [pytest.param(path, id=os.path.basename(path))
            for name in names for path in glob.glob(f"{LIBS}/{name}")]


@pytest.mark.parametrize("where", WHERE)
@pytest.mark.parametrize("allocator", allocators())
@pytest.mark.skipif(bool(SANITIZERS),
                    reason="AddressSanitizer is an allocator itself")
def test_another_allocator(server, call, shapes, allocator, where):
    for shape in ("connect_in_handler", "all_closed_in_child"):
        client = call(f"client-{shape.replace('_', '-')}", shapes, shape,
                      server.ip, "7000", env={"LD_PRELOAD": allocator},
                      options=options(where))
        assert (client.out, client.err) == ("ok\n", "")


@pytest.mark.parametrize("where", WHERE)
def test_a_thread_of_a_constructor(server, run, other_library, where):
    client = run("client", "sleep", "60", options=options(where),
                 env={"LD_PRELOAD": other_library,
                      "PRELOADS_CONNECT": f"{server.ip}:7000"})
    wait_until(lambda: client.err and client.alive(), "the thread")
    assert client.err == f"{client.ip} early\n"


@pytest.mark.parametrize("where", WHERE)
def test_another_library_hooks_connect(server, call, shapes, other_library,
                                       where):
    client = call("client", shapes, "plain", server.ip, "7000",
                  options=options(where),
                  env={"LD_PRELOAD": other_library, "PRELOADS_COUNT": "1"})
    assert client.out == "ok\n" and "connects: 1" in client.err


def answers(call, name, *argv, needle):
    """Ask until the answer comes; the asking program."""
    for i in range(30):
        client = call(f"{name}{i}", *argv)
        if needle in client.out:
            return client
    pytest.fail(f"no {needle!r}: {client.out} {client.err}")


@needs("redis-server", "redis-cli")
@pytest.mark.parametrize("where", WHERE)
def test_redis_as_a_daemon(run, call, lab, tmp_path, where):
    pid_file = tmp_path / "redis.pid"
    server = run("redis", "redis-server", "--port", "7379", "--daemonize",
                 "yes", "--pidfile", str(pid_file), "--dir", str(tmp_path),
                 "--bind", "0.0.0.0", "--protected-mode", "no", "--save", "",
                 options=options(where))
    pid = int(wait_until(lambda: pid_file.exists() and pid_file.read_text(),
                         "the daemon"))
    try:
        wait_until(lambda: lab.node("redis"), "the daemon's node")
        ip = lab.node("redis")["ips"][0]
        client = call("client", "redis-cli", "-h", ip, "-p", "7379", "set",
                      "k", "v" * 1000)
        assert client.out == "OK\n", client.err
        client = call("reader", "redis-cli", "-h", ip, "-p", "7379", "get",
                      "k")
        assert client.out.strip() == "v" * 1000
    finally:
        os.kill(pid, signal.SIGTERM)
    if where == "hosted":
        assert server.wait() == 0


NGINX = """
daemon off; user root; master_process on; worker_processes 2; pid {dir}/nginx.pid;
error_log {dir}/error.log; events {{ worker_connections 256; }}
http {{ access_log off; server {{ listen 7080; root {dir}; }} }}
"""
LOAD = """
import sys, time, urllib.request
ok, end = 0, time.monotonic() + 4
while time.monotonic() < end:
    with urllib.request.urlopen(f"http://{sys.argv[1]}:7080/page") as r:
        assert r.read() == b"p" * 20000
    ok += 1
    print(ok, flush=True)
print("done")
"""


@needs("nginx")
@pytest.mark.parametrize("where", WHERE)
def test_nginx_is_reloaded_under_load(run, lab, tmp_path, where):
    os.chmod(tmp_path, 0o755)
    (tmp_path / "page").write_text("p" * 20000)
    (tmp_path / "nginx.conf").write_text(NGINX.format(dir=tmp_path))
    nginx = run("nginx", "nginx", "-c", str(tmp_path / "nginx.conf"),
                options=options(where))
    nginx.wait_running().wait_listening(7080)
    client = run("client", "python3", "-c", LOAD, nginx.ip)
    master = int((tmp_path / "nginx.pid").read_text())
    for number in ("5\n", "50\n", "100\n"):
        wait_until(lambda n=number: n in client.out or
                   client.process.poll() is not None, "some answers")
        os.kill(master, signal.SIGHUP)
    assert client.wait() == 0, client.err
    assert "done" in client.out


APACHE = """
ServerRoot "{dir}"
ServerName localhost
PidFile {dir}/httpd.pid
LoadModule mpm_prefork_module {modules}/mod_mpm_prefork.so
LoadModule authz_core_module {modules}/mod_authz_core.so
StartServers 3
Listen 7081
DocumentRoot "{dir}"
ErrorLog {dir}/error.log
User nobody
Group nogroup
"""


@needs("apache2")
@pytest.mark.parametrize("where", WHERE)
@pytest.mark.skipif(os.geteuid() != 0, reason="changes users")
def test_apache_prefork(run, call, tmp_path, where):
    modules = "/usr/lib/apache2/modules"
    if not os.path.exists(f"{modules}/mod_mpm_prefork.so"):
        pytest.skip("no prefork module")
    os.chmod(tmp_path, 0o755)
    (tmp_path / "page").write_text("p" * 20000)
    (tmp_path / "httpd.conf").write_text(APACHE.format(dir=tmp_path,
                                                       modules=modules))
    apache = run("apache", "apache2", "-DFOREGROUND", "-f",
                 str(tmp_path / "httpd.conf"), options=options(where))
    apache.wait_running().wait_listening(7081)
    client = call("client", "python3", "-c", """
import sys, urllib.request
from concurrent.futures import ThreadPoolExecutor
def get(n):
    return urllib.request.urlopen(f"http://{sys.argv[1]}:7081/page").read()
with ThreadPoolExecutor(8) as pool:
    print(sum(page == b"p" * 20000 for page in pool.map(get, range(40))))
""", apache.ip)
    assert client.out == "40\n", client.err


@needs("socat")
@pytest.mark.parametrize("where", WHERE)
def test_inetd_style(run, call, where):
    """A connection becomes standard input and output of a new program."""
    server = run("inetd", "socat", "TCP-LISTEN:7082,reuseaddr,fork",
                 "EXEC:'tr a-z A-Z',nofork", options=options(where))
    server.wait_running().wait_listening(7082)
    for i in range(3):
        client = call(f"client{i}", "python3", "-c", """
import socket, sys
s = socket.create_connection((sys.argv[1], 7082))
s.sendall(b"hello " * 1000)
s.shutdown(socket.SHUT_WR)
print(s.makefile().read() == "HELLO " * 1000)
""", server.ip)
        assert client.out == "True\n", client.err
    if where == "in-process":
        return  # there the new program does not know the connection's names
    server = run("inetd2", "socat", "TCP-LISTEN:7083,reuseaddr,fork",
                 "EXEC:'python3 -c \"import socket; "
                 "s = socket.socket(fileno=0); "
                 "s.sendall(s.getpeername()[0].encode())\"',nofork",
                 options=options(where))
    server.wait_running().wait_listening(7083)
    client = call("who", "python3", "-c", """
import socket, sys
print(socket.create_connection((sys.argv[1], 7083)).makefile().read())
""", server.ip)
    assert client.out == f"{client.ip}\n", client.err + server.err


SYSTEMD = """
import os, socket, sys
os.dup2(int(sys.argv[1]), 3)
os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()))
os.execv(sys.argv[2], sys.argv[2:])
"""
ACTIVATED = """
import os, socket
assert os.environ["LISTEN_PID"] == str(os.getpid()), os.environ["LISTEN_PID"]
listener = socket.socket(fileno=3)
while True:
    conn, peer = listener.accept()
    conn.sendall(peer[0].encode())
    conn.close()
"""


@pytest.mark.parametrize("where", WHERE)
def test_socket_activation(run, call, lab, where):
    import socket
    with socket.create_server(("0.0.0.0", 0)) as listener:
        fd, port = listener.fileno(), listener.getsockname()[1]
        server = run("server", "python3", "-c", ACTIVATED, pass_fds=[fd],
                     wrap=["python3", "-c", SYSTEMD, str(fd)],
                     options=options(where))
    if where == "in-process":
        wait_until(lambda: lab.node("server"), "the server's node")
    else:
        server.wait_running()
    ip = wait_until(lambda: lab.node("server"), "the node")["ips"][0]
    client = call("client", "python3", "-c", """
import socket, sys, time
for i in range(100):
    try:
        s = socket.create_connection((sys.argv[1], int(sys.argv[2])), 5)
        print(s.makefile().read())
        break
    except OSError:
        time.sleep(0.1)
""", ip, str(port))
    assert client.out == f"{client.ip}\n", client.err + server.err


@needs("php")
def test_php_and_python_load_their_network_modules_late(server, call):
    client = call("client", "php", "-n", "-r",
                  f'$s = fsockopen("{server.ip}", 7000); '
                  'fwrite($s, "late\\n"); echo fgets($s);')
    assert client.out == f"{client.ip} late\n", client.err
    client = call("client2", "python3", "-c", f"""
import ctypes, sys
libc = ctypes.CDLL(None)
import socket
s = socket.create_connection(("{server.ip}", 7000))
s.sendall(b"late\\n")
print(s.makefile().readline(), end="")
""")
    assert client.out == f"{client.ip} late\n", client.err


@needs("python3")
@pytest.mark.parametrize("where", WHERE)
def test_a_connection_is_passed_to_a_program_without_the_shim(
        server, call, where):
    """SCM_RIGHTS: bytes go on, only names are the loopback's."""
    client = call("client", "python3", "-c", f"""
import os, socket, subprocess, sys
ours, theirs = socket.socketpair()
child = subprocess.Popen(
    [sys.executable, "-c", '''
import os, socket
assert "libtsnet_shim" not in open("/proc/self/maps").read()
data, fds, *_ = socket.recv_fds(socket.socket(fileno=0), 1, 1)
s = socket.socket(fileno=fds[0])
s.sendall(b"passed\\\\n")
print(s.makefile().readline(), end="", flush=True)
'''], stdin=theirs, env={{"TSNET_FOLLOW_EXEC": "no"}})
s = socket.create_connection(("{server.ip}", 7000))
socket.send_fds(ours, [b"x"], [s.fileno()])
s.close()
sys.exit(child.wait())
""", options=options(where))
    assert client.out == f"{client.ip} passed\n", client.err
