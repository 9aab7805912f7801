"""Programs that cannot be preloaded: their system calls are served."""
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time

import pytest

from harness import (CLEAN_ENV, SANITIZERS, TSRUN, copy_products, needs,
                     wait_until)
from test_self import NODES, check_congestion, check_options, each_choice
from test_shapes import APPS, AS_ROOT, CLIENTS, root_only

pytestmark = pytest.mark.skipif(not shutil.which("gcc"),
                                reason="gcc not installed")


def build(tmp_path_factory, name, *command):
    program = str(tmp_path_factory.mktemp(name) / name)
    subprocess.run([*command, "-o", program], check=True)
    return program


@pytest.fixture(scope="module", params=["gcc", "musl-gcc"])
def static_shapes(request, tmp_path_factory):
    if not shutil.which(request.param):
        pytest.skip(f"{request.param} not installed")
    return build(tmp_path_factory, "shapes", request.param, "-static",
                 "-std=gnu11", "-O1", "-w", os.path.join(APPS, "shapes.c"))


@pytest.fixture
def server(run):
    return run("server", "python3", os.path.join(APPS, "shape_server.py"),
               "7000").wait_running().wait_listening(7000)


@pytest.mark.parametrize("shape", [
    s for s in CLIENTS if s != "datagrams"] + [
    pytest.param(s, marks=root_only) for s in AS_ROOT])
def test_shapes(server, call, static_shapes, shape):
    client = call("client", static_shapes, shape, server.ip, "7000",
                  timeout=60)
    assert (client.out, client.err) == ("ok\n", "")


# -- one static C program, many habits -------------------------------------------

@pytest.fixture(scope="module")
def probe(tmp_path_factory):
    return build(tmp_path_factory, "notify_probe", "gcc", "-static",
                 "-D_GNU_SOURCE", "-O1", "-Wall", "-Wextra", "-Werror",
                 os.path.join(APPS, "notify_probe.c"), "-lpthread")


@pytest.fixture
def serve(run, probe):
    """serve(mode="serve", address="0.0.0.0") starts the probe as a server."""
    def start(mode="serve", address="0.0.0.0", port=7000, **kwargs):
        program = run("server", probe, mode, address, str(port), **kwargs)
        program.wait_running()
        wait_until(lambda: "listening" in program.out, "the server")
        return program
    return start


@pytest.fixture
def stopped(server):
    """A node that does not answer: a connect to it is held."""
    server.process.send_signal(signal.SIGSTOP)
    yield server
    server.process.send_signal(signal.SIGCONT)


def test_names_of_both_ends(serve, call, probe):
    server = serve()
    assert server.out == "listening 0.0.0.0:7000\n"
    client = call("client", probe, "names", server.ip, "7000")
    assert client.code == 0, client.err
    own, peer, accepted, accepted_peer, accepted_own, _ = client.out.split()
    ip = client.lab.node("client")["ips"][0]
    assert own.split(":")[0] == ip
    assert peer == accepted_own == f"{server.ip}:7000"
    assert accepted == accepted_peer == own


def test_names_of_ipv6(serve, call, probe):
    server = serve(address="::")
    ip6 = server.lab.node("server")["ips"][1]
    client = call("client", probe, "names", ip6, "7000")
    assert client.code == 0, client.err
    own, peer, accepted, _, accepted_own, _ = client.out.split()
    assert peer == accepted_own == f"{ip6}:7000"
    assert own == accepted
    assert own.startswith(client.lab.node("client")["ips"][1])


def test_bound_to_its_own_address(serve, run, call, probe):
    address = serve().ip  # the same node comes back with the same address
    server = run("server2", probe, "names", "127.0.0.1", "1")
    server.wait()
    first = run("own", "sleep", "60").wait_running()
    ip = first.ip
    first.stop()
    own = run("own", probe, "serve", ip, "7001")
    wait_until(lambda: f"listening {ip}:7001" in own.out, "the server")
    client = call("client", probe, "names", ip, "7001")
    assert client.code == 0, client.err
    assert client.out.split()[1] == f"{ip}:7001"
    with socket.socket() as s:
        assert s.connect_ex(("127.0.0.1", 7001)) != 0
    assert address != ip


def test_listen_tailnet_is_not_reached_locally(serve, call, probe):
    server = serve(options=["--listen", "tailnet"])
    assert server.out == "listening 0.0.0.0:7000\n"
    assert call("client", probe, "names", server.ip, "7000").code == 0
    with socket.socket() as s:
        assert s.connect_ex(("127.0.0.1", 7000)) != 0


def test_refusals_are_told_as_natively(server, call, probe):
    client = call("client", probe, "refused", server.ip, "7009")
    assert client.out == ("ECONNREFUSED EINPROGRESS ECONNREFUSED once "
                          "ECONNREFUSED ENOTCONN\n"), client.err


def test_epoll_before_connect(serve, call, probe):
    client = call("client", probe, "epoll", serve().ip, "7000")
    assert client.code == 0, client.err
    first, accepted, *_, own = client.out.split()
    assert (first, accepted) == ("EINPROGRESS", own)


def test_connect_and_send_in_one_call(serve, call, probe):
    client = call("client", probe, "fastopen", serve().ip, "7000")
    assert client.out == ("4 heard EISCONN 4 heard EINPROGRESS "
                          "ECONNREFUSED\n"), client.err


def test_a_signal_interrupts_a_held_connect(stopped, call, probe):
    client = call("client", probe, "eintr", stopped.ip, "7000")
    assert client.out == "EINTR EALREADY\n", client.err


def test_a_restarting_signal_does_not(stopped, run, probe):
    client = run("client", probe, "restart", stopped.ip, "7000")
    time.sleep(0.5)  # some dozens of signals
    assert client.process.poll() is None
    stopped.process.send_signal(signal.SIGCONT)
    assert client.wait() == 0
    assert client.out == "OK\n"


def test_the_time_limit_of_a_socket(stopped, call, probe):
    client = call("client", probe, "sndtimeo", stopped.ip, "7000")
    assert client.out == "EINPROGRESS EALREADY\n", client.err


def fds_of(program):
    return len(os.listdir(f"/proc/{program.process.pid}/fd"))


def test_a_killed_program_leaves_nothing(stopped, run, probe):
    client = run("client", "sh", "-c", "for i in 1 2 3 4 5; do "
                 f"{probe} killed {stopped.ip} 7000 & pids=\"$pids $!\"; "
                 "done; read x; kill -KILL $pids; wait; read x",
                 stdin=subprocess.PIPE)
    wait_until(lambda: client.out.count("connecting") == 5, "the connects")
    held = lambda: client.log.count("waiting -> ") + client.log.count(
        "-> dialling")
    wait_until(lambda: held() >= 5, "the node")
    many = fds_of(client)
    client.process.stdin.write(b"\n")
    client.process.stdin.flush()
    wait_until(lambda: fds_of(client) <= many - 10, "their descriptors")
    client.process.stdin.write(b"\n")
    client.process.stdin.close()
    assert client.wait() == 0
    client = run("direct", probe, "killed", stopped.ip, "7000")
    wait_until(lambda: "connecting" in client.out, "the connect")
    before = fds_of(client)
    children = subprocess.run(["pgrep", "-P", str(client.process.pid)],
                              capture_output=True, text=True, check=True)
    assert before > 0
    os.kill(int(children.stdout.split()[0]), signal.SIGKILL)
    assert client.wait() == 128 + signal.SIGKILL


def words(text):
    return dict(word.split("=") for word in text.split())


def test_nonsense_is_answered_as_natively(server, call, probe):
    native = words(subprocess.run([probe, "nonsense", server.ip, "7000"],
                                  capture_output=True, text=True,
                                  check=True).stdout)
    client = call("client", probe, "nonsense", server.ip, "7000")
    served = words(client.out)
    assert (native.pop("uring"), served.pop("uring")) == ("EFAULT", "ENOSYS")
    assert served == native
    assert len(served) > 25


def test_nonsense_on_a_connected_socket(server, call, probe):
    native = subprocess.run([probe, "nonsense_connected", "127.0.0.1", "7000"],
                            capture_output=True, text=True, check=True)
    client = call("client", probe, "nonsense_connected", server.ip, "7000")
    assert words(client.out) == words(native.stdout)


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="x86 only")
def test_other_ways_into_the_kernel(call, probe):
    client = call("client", probe, "other_abis", "127.0.0.1", "1")
    assert client.out in ("EACCES OK ENOSYS\n",
                          "ENOSYS ENOSYS ENOSYS\n")  # a kernel without i386


@needs("busybox")
def test_options_are_those_of_the_shim(run, call):
    """Any program without the shim is served as a static one is."""
    server = run("server", sys.executable, os.path.join(APPS, "self_server.py"),
                 "7000").wait_running().wait_listening(7000)
    client = call("client", "busybox", "sh", "-c", "unset LD_PRELOAD; exec "
                  f"{sys.executable} {os.path.join(APPS, 'self_options.py')} "
                  f"{server.ip} 7000")
    assert client.code == 0, client.err
    check_options(json.loads(client.out))


def check_chosen(run, call, choice, **kwargs):
    """Of a client, and of a listener."""
    env = {"TSNET_CONGESTION": NODES[choice]}
    bare = ["busybox", "sh", "-c", 'unset LD_PRELOAD; exec "$@"', "sh",
            sys.executable]
    server = run("server", *bare, os.path.join(APPS, "self_server.py"), "7000",
                 f"TCP_CONGESTION={choice}", env=env, **kwargs
                 ).wait_running().wait_listening(7000)
    client = call("client", *bare, os.path.join(APPS, "self_congestion.py"),
                  server.ip, "7000", choice, env=env, **kwargs)
    assert client.code == 0, client.err
    assert f"acknowledged {choice}\n" in server.out
    assert f"acknowledged {NODES[choice]}\n" not in server.out
    return json.loads(client.out)


@needs("busybox")
@each_choice
def test_chosen_congestion_reaches_the_tunnel(run, call, choice):
    check_congestion(check_chosen(run, call, choice), choice)


def test_a_listener_that_defers_late(serve, call, probe):
    server = serve("serve_greeting")
    client = call("client", probe, "hear", server.ip, "7000")
    assert client.out == "deferred\n", client.err


@pytest.fixture
def who_server(run):
    """Answers datagrams with whom they are from, and what they said."""
    server = run("server", "python3", "-u", "-c",
                 "import socket\n"
                 "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
                 "s.bind(('0.0.0.0', 7000))\nprint('listening')\n"
                 "while True:\n"
                 "    data, who = s.recvfrom(2000)\n"
                 "    s.sendto(who[0].encode() + b' ' + data, who)")
    server.wait_running()
    wait_until(lambda: "listening" in server.out, "the server")
    return server


def test_datagrams_for_both_networks_at_once(who_server, call, probe):
    server = who_server
    client = call("client", probe, "mixed", server.ip, "7000")
    ip = client.lab.node("client")["ips"][0]
    assert client.out == (f"11+14 to the host {server.ip}:7000 {ip} "
                          "to the tailnet\n"), client.err


def test_what_was_sent_before_a_disconnect_arrives(run, call, probe):
    server = run("server", "python3", os.path.join(APPS, "datagram_server.py"),
                 "7000").wait_running()
    wait_until(lambda: "bound" in server.out, "the server")
    client = call("client", probe, "leaves", server.ip, "7000",
                  options=["--wait"])
    assert client.code == 0, client.err
    want = {str(100 + i) for i in range(60)}
    wait_until(lambda: want <= {line.split()[-1] for line in
                                server.out.splitlines()}, "all datagrams")


def test_the_source_that_a_datagram_names(who_server, call, probe):
    client = call("client", probe, "pktinfo", who_server.ip, "7000")
    ip = client.lab.node("client")["ips"][0]
    assert client.out == f"{ip} {ip}\n", client.err


def test_batches_that_fail_on_their_way(who_server, call, probe):
    client = call("client", probe, "batches", who_server.ip, "7000")
    assert client.out == "2 EFAULT 2 EAGAIN\n", client.err


def test_an_address_that_changes_meanwhile(serve, call, probe):
    server = serve()
    client = call("client", probe, "flip", server.ip, "7000", timeout=60)
    assert client.out == "tailnet local\n", client.err


def test_the_host_waits_for_no_socket(server, call, probe):
    """Its other thread takes O_NONBLOCK away in the middle of a call."""
    client = call("client", probe, "unblock", server.ip, "7000", timeout=60)
    assert client.out == "ok\n", client.err


def test_accept_is_interrupted_and_restarted(serve, call, probe):
    server = serve("serve_signals")
    client = call("client", "sh", "-ec", "for i in $(seq 30); do nc -N "
                  f"{server.ip} 7000 </etc/hostname; done", timeout=60)
    assert client.code == 0, client.err
    ip = client.lab.node("client")["ips"][0]
    assert len(re.findall(f"^{ip}:", client.out, re.M)) == 30


def test_accept_with_limits(serve, call, probe):
    server = serve("serve_timeout")
    wait_until(lambda: server.out.count("listening") == 2, "both listeners")
    assert re.findall("accept .*", server.out) == ["accept EAGAIN",
                                                  "accept EINTR",
                                                  "accept EAGAIN"]
    assert call("client", probe, "names", server.ip, "7000").code == 0


def test_accept_without_a_number_left(serve, call, probe):
    server = serve("serve_full")
    client = call("client", probe, "names", server.ip, "7000")
    assert client.code == 0, client.err
    assert re.findall("accept .*", server.out) == ["accept EMFILE"] * 3


def test_prefork(serve, call, probe):
    server = serve("serve_prefork")
    pids = set()
    for i in range(12):
        client = call("client", probe, "names", server.ip, "7000")
        pids.add(client.out.split()[-1])
        os.truncate(client.out_path, 0)
    assert len(pids) > 1


# -- Go ----------------------------------------------------------------------------

@pytest.fixture(scope="module", params=["0", "1"], ids=["static", "cgo"])
def go_program(request, tmp_path_factory):
    if not shutil.which("go"):
        pytest.skip("go not installed")
    out = str(tmp_path_factory.mktemp("go") / "notify")
    subprocess.run(["go", "build", "-o", out, "."], check=True,
                   cwd=os.path.join(APPS, "notify_go"),
                   env=dict(os.environ, CGO_ENABLED=request.param,
                            GOFLAGS="-mod=mod -buildvcs=false"))
    return out


def test_go_both_ways(run, call, go_program):
    server = run("server", go_program, "serve", ":8000").wait_running()
    wait_until(lambda: "listening" in server.out, "the server")
    client = call("client", go_program, "get", f"http://{server.ip}:8000/",
                  "20", "4")
    ip = client.lab.node("client")["ips"][0]
    assert client.out == f"20 from {ip} at {server.ip}:8000\n"
    assert subprocess.run([go_program, "get", "http://127.0.0.1:8000/"],
                          capture_output=True, text=True,
                          check=True).stdout.startswith("1 from 127.0.0.1 ")


def test_go_a_thousand_at_once(run, call, go_program):
    server = run("server", go_program, "serve", ":8000").wait_running()
    wait_until(lambda: "listening" in server.out, "the server")
    client = call("client", go_program, "get", f"http://{server.ip}:8000/",
                  "1000", "1000", timeout=90)
    ip = client.lab.node("client")["ips"][0]
    assert client.out == f"1000 from {ip} at {server.ip}:8000\n"


def test_go_is_refused_as_natively(server, call, go_program):
    client = call("client", go_program, "get", f"http://{server.ip}:8009/")
    assert "connection refused" in client.out


@pytest.mark.parametrize("how", ["send", "sendto"])
def test_go_datagrams(run, call, go_program, how):
    server = run("server", go_program, "echo", ":7000").wait_running()
    wait_until(lambda: "listening" in server.out, "the server")
    ip = None
    for size in (10, 3000, 60000):
        # What address it has is not known before the node is up.
        client = call("client", go_program, how, f"{server.ip}:7000",
                      str(size), options=["--wait"])
        assert client.code == 0, client.err
        ip = client.lab.node("client")["ips"][0]
        words = client.out.split()
        if how == "send":
            own, peer, seen, length = words
            assert own == seen
        else:
            peer, seen, length = words
        assert seen.split(":")[0] == ip
        assert (peer, length) == (f"{server.ip}:7000", str(size))
        os.truncate(client.out_path, 0)


def test_go_datagrams_are_refused(server, call, go_program):
    client = call("client", go_program, "send", f"{server.ip}:7009")
    assert "connection refused" in client.err


def test_go_resolves_by_itself(server, call, go_program):
    """Go's own resolver asks the name server; the node answers for it."""
    client = call("client", go_program, "look", "server.lab.ts.net",
                  env={"GODEBUG": "netdns=go"})
    assert server.ip in client.out, client.err
    refused = call("client2", go_program, "look", "nobody.lab.ts.net",
                   env={"GODEBUG": "netdns=go"})
    assert "no such host" in refused.err


# -- with others -------------------------------------------------------------------

@needs("busybox")
def test_busybox(run, call):
    server = run("server", "busybox", "httpd", "-f", "-p", "8000")
    server.wait_running()
    with open(os.path.join(server.dir, "page"), "w", encoding="utf-8") as f:
        f.write("from busybox\n")
    client = call("client", "busybox", "wget", "-q", "-O", "-",
                  f"http://{server.ip}:8000/page")
    assert (client.out, client.err) == ("from busybox\n", "")


def test_a_static_child_of_a_preloaded_parent(serve, call, probe):
    server = serve()
    # A sanitized --notify needs its settings.
    scrub = "" if SANITIZERS else "env -i"
    client = call("client", "sh", "-c", f"{probe} names {server.ip} 7000; "
                  f"{scrub} {probe} names {server.ip} 7000")
    ip = client.lab.node("client")["ips"][0]
    lines = client.out.splitlines()
    assert len(lines) == 2, client.err
    assert all(line.startswith(f"{ip}:") for line in lines)


@needs("busybox", "curl")
def test_a_preloaded_child_of_a_static_parent(run, call):
    server = run("server", "python3", "-u", "-m", "http.server", "8000")
    server.wait_running().wait_listening(8000)
    client = call("client", "busybox", "sh", "-c",
                  f"/usr/bin/curl -v http://{server.ip}:8000/; "
                  f"/usr/bin/curl -v http://server:8009/; exit 0")
    assert "Directory listing" in client.out
    assert "Connection refused" in client.err, client.err
    assert client.lab.node("client")["ips"][0] in server.err


@needs("busybox")
def test_a_preloaded_server_below_a_static_parent(run, call):
    server = run("server", "busybox", "sh", "-c",
                 f"exec python3 {os.path.join(APPS, 'shape_server.py')} 7000")
    server.wait_running().wait_listening(7000)
    client = call("client", "python3", os.path.join(APPS, "ask.py"), server.ip,
                  "7000", "3")
    assert client.out == "-:3\n", client.err


@pytest.mark.skipif(os.geteuid() != 0, reason="changes users")
@needs("setpriv")
def test_without_any_privilege(server, call, probe, make_lab, tmp_path):
    os.chmod(tmp_path, 0o777)
    directory = os.path.join(str(tmp_path), "client")
    os.makedirs(directory)
    os.chown(directory, 65534, 65534)
    copy = os.path.join(directory, "probe")
    shutil.copy(probe, copy)
    client = call("client", copy, "names", server.ip, "7000",
                  tsrun=copy_products(os.path.join(str(tmp_path), "products")),
                  wrap=["setpriv", "--reuid", "65534", "--regid", "65534",
                        "--clear-groups", "--bounding-set=-all",
                        "--inh-caps=-all"])
    assert client.code == 0, client.err
    assert client.out.split()[1] == f"{server.ip}:7000"


@pytest.fixture(scope="module")
def deny(tmp_path_factory):
    """deny NUMBER COMMAND...: that system call fails with EPERM below it."""
    source = tmp_path_factory.mktemp("deny") / "deny.c"
    source.write_text("""
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>
int main(int argc, char **argv)
{
	struct sock_filter code[] = {
		{BPF_LD | BPF_W | BPF_ABS, 0, 0,
		 offsetof(struct seccomp_data, nr)},
		{BPF_JMP | BPF_JEQ | BPF_K, 0, 1, atoi(argv[1])},
		{BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ERRNO | EPERM},
		{BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW},
	};
	struct sock_fprog program = {4, code};
	(void)argc;
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
		return 1;
	execvp(argv[2], argv + 2);
	return 1;
}
""")
    return build(tmp_path_factory, "deny-bin", "gcc", str(source))


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="numbers of x86-64")
def test_where_it_is_denied_tsrun_says_so(call, probe, deny):
    client = call("client", probe, "names", "100.64.0.1", "7000",
                  wrap=[deny, "317"])
    assert client.code == 126
    assert "statically linked" in client.err and "--proxy" in client.err
    assert client.err.count("\n") == 1


@needs("busybox")
def test_a_tsrun_in_a_tsrun(run, call, serve, probe):
    """The inner one's programs cannot have a second supervisor."""
    server = serve()
    client = call("client", "busybox", "sh", "-c",
                  f"{TSRUN} --state mem: --control-url {server.lab.url} "
                  f"--hostname inner {probe} names {server.ip} 7000",
                  env={"TS_AUTHKEY": "key-alice"})
    assert "another supervisor" in client.err
    assert client.code == 126


# -- where descriptors cannot be fetched -----------------------------------------

@pytest.fixture
def denied(deny):
    """pidfd_getfd fails, as with Docker's default profile."""
    return {"wrap": [deny, "438"]}


def test_denied_names_of_both_ends(serve, call, probe, denied):
    server = serve(**denied)
    client = call("client", probe, "names", server.ip, "7000", **denied)
    assert client.code == 0, client.err
    own, peer, accepted, accepted_peer, accepted_own, _ = client.out.split()
    assert own.split(":")[0] == client.lab.node("client")["ips"][0]
    assert peer == accepted_own == f"{server.ip}:7000"
    assert accepted == accepted_peer == own


@pytest.mark.parametrize("shape", ["fork_after_connect", "exec_connected",
                                   "dup2_over", "thousand_threads"])
def test_denied_shapes(server, call, static_shapes, denied, shape):
    client = call("client", static_shapes, shape, server.ip, "7000",
                  timeout=60, **denied)
    assert (client.out, client.err) == ("ok\n", "")


def test_denied_refusals(server, call, probe, denied):
    client = call("client", probe, "refused", server.ip, "7009", **denied)
    assert client.out == ("ECONNREFUSED EINPROGRESS ECONNREFUSED once "
                          "ECONNREFUSED ENOTCONN\n"), client.err


def test_denied_epoll_before_connect(serve, call, probe, denied):
    client = call("client", probe, "epoll", serve(**denied).ip, "7000",
                  **denied)
    assert client.code == 0, client.err
    first, accepted, *_, own = client.out.split()
    assert (first, accepted) == ("EINPROGRESS", own)


def test_denied_connect_and_send(serve, call, probe, denied):
    client = call("client", probe, "fastopen", serve(**denied).ip, "7000",
                  **denied)
    assert client.out == ("4 heard EISCONN 4 heard EINPROGRESS "
                          "ECONNREFUSED\n"), client.err


@pytest.mark.parametrize("mode, expected", [
    ("mixed", "11+14 to the host {server}:7000 {client} to the tailnet\n"),
    ("pktinfo", "{client} {client}\n"),
    ("batches", "2 EFAULT 2 EAGAIN\n")])
def test_denied_datagrams(who_server, call, probe, denied, mode, expected):
    client = call("client", probe, mode, who_server.ip, "7000", **denied)
    ip = client.lab.node("client")["ips"][0]
    assert client.out == expected.format(server=who_server.ip,
                                         client=ip), client.err


def test_denied_many_sockets_leave_nothing(serve, run, probe, denied):
    server = serve(**denied)
    before = fds_of(server)
    client = run("client", probe, "many", server.ip, "7000", **denied)
    wait_until(lambda: client.out == "done\n", "300 connections")
    for program, few in ((server, before), (client, before)):
        wait_until(lambda program=program, few=few:
                   fds_of(program) <= few + 5, "their descriptors")


def test_denied_listener_is_closed(serve, call, probe, denied):
    server = serve("serve_once", **denied)
    assert call("client", probe, "names", server.ip, "7000", **denied
                ).code == 0
    again = call("client2", probe, "names", server.ip, "7000", **denied)
    assert again.err == "connect: Connection refused\n"


def test_denied_listener_is_reopened(serve, call, probe, denied):
    server = serve("serve_timeout", **denied)
    wait_until(lambda: server.out.count("listening") == 2, "both listeners")
    assert call("client", probe, "names", server.ip, "7000", **denied
                ).code == 0


def test_denied_go(run, call, go_program, denied):
    server = run("server", go_program, "serve", ":8000", **denied)
    server.wait_running()
    wait_until(lambda: "listening" in server.out, "the server")
    client = call("client", go_program, "get", f"http://{server.ip}:8000/",
                  "200", "50", timeout=60, **denied)
    ip = client.lab.node("client")["ips"][0]
    assert client.out == f"200 from {ip} at {server.ip}:8000\n"


def test_denied_go_datagrams(run, call, go_program, denied):
    server = run("server", go_program, "echo", ":7000", **denied)
    server.wait_running()
    wait_until(lambda: "listening" in server.out, "the server")
    client = call("client", go_program, "send", f"{server.ip}:7000", "3000",
                  options=["--wait"], **denied)
    assert client.code == 0, client.err
    own, peer, seen, length = client.out.split()
    assert own == seen and length == "3000" and peer == f"{server.ip}:7000"


@needs("busybox")
def test_denied_options(run, call, denied):
    """Of an open connection the socket is the program's alone."""
    server = run("server", sys.executable, os.path.join(APPS, "self_server.py"),
                 "7000").wait_running().wait_listening(7000)
    client = call("client", "busybox", "sh", "-c", "unset LD_PRELOAD; exec "
                  f"{sys.executable} {os.path.join(APPS, 'self_options.py')} "
                  f"{server.ip} 7000", **denied)
    assert client.code == 0, client.err
    seen = json.loads(client.out)
    assert seen["info"]["snd_mss"] == seen["info"]["pmtu"] - 40 >= 1240
    assert seen["info"]["advmss"] == 8888
    assert seen["refused"]["TCP_CONGESTION reno"] == "ENOENT"
    assert seen["congestion_set"] == "cubic"
    assert seen["refused"]["IP_MINTTL"] == "ENOPROTOOPT"


@needs("busybox")
@each_choice
def test_denied_chosen_congestion(run, call, choice, denied):
    seen = check_chosen(run, call, choice, **denied)
    # It may be connected by then, and the socket the program's alone.
    while_it_connects = seen.pop("chosen while it connects")
    assert while_it_connects in (choice, NODES[choice])
    check_congestion(dict(seen, **{"chosen while it connects": choice}), choice)


# -- the proxy ---------------------------------------------------------------------

@needs("curl")
def test_the_proxy(run, call):
    server = run("server", "python3", "-u", "-m", "http.server", "8000")
    server.wait_running().wait_listening(8000)
    name = "server.lab.ts.net"
    client = call(
        "client", "sh", "-c", "unset LD_PRELOAD; "
        f"curl -sS http://{server.ip}:8000/; "             # absolute target
        f"curl -sS -x $ALL_PROXY http://{name}:8000/; "    # SOCKS, a name
        f"curl -sS -p http://{name}:8000/; "               # CONNECT
        "curl -sS -p http://server:8009/; "
        "curl -sS -x $ALL_PROXY http://server:8009/; "
        f"curl -sS -x $ALL_PROXY http://nobody.lab.ts.net/; "
        "curl -sS -o /dev/null -w '%{http_code}\n' "
        "-x ${HTTP_PROXY%%:*}://x:y@${HTTP_PROXY#*@} http://server:8000/; "
        "curl -sS -x ${ALL_PROXY%%:*}://${ALL_PROXY#*@} http://server:8000/; "
        "exit 0", options=["--proxy"], timeout=60)
    assert client.out.count("<title>Directory listing") == 3, client.err
    assert client.out.endswith("407\n")
    assert "(97)" in client.err  # SOCKS: refused, unknown name, no password
    assert client.err.count("curl: ") >= 4, client.err
    ip = client.lab.node("client")["ips"][0]
    assert server.err.count(f"{ip} - - ") == 3


@needs("busybox")
def test_a_static_program_by_the_proxy(run, call):
    server = run("server", "python3", "-u", "-m", "http.server", "8000")
    server.wait_running().wait_listening(8000)
    client = call("client", "busybox", "wget", "-q", "-O", "-",
                  "http://server:8000/", options=["--proxy"])
    assert "Directory listing" in client.out, client.err
