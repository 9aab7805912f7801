"""Programs that start programs: with new environments, in every way."""
import os
import shutil
import socket
import subprocess

import pytest

from harness import SANITIZERS, SHIM, needs, wait_until

pytestmark = pytest.mark.skipif(not shutil.which("gcc"),
                                reason="gcc not installed")
APPS = os.path.join(os.path.dirname(__file__), "apps")
in_process = pytest.mark.skipif(
    bool(SANITIZERS), reason="a stock program has no sanitizer runtime")


def build(directory, name, *flags):
    program = directory / name
    subprocess.run(["gcc", "-std=gnu11", "-O1", "-g", "-Wall", "-Werror", "-o",
                    str(program), os.path.join(APPS, name + ".c"), "-lpthread",
                    *flags], check=True)
    return str(program)


@pytest.fixture(scope="module")
def shapes(tmp_path_factory):
    return build(tmp_path_factory.mktemp("shapes"), "shapes")


@pytest.fixture(scope="module")
def starter(tmp_path_factory):
    return build(tmp_path_factory.mktemp("starter"), "exec_shapes")


@pytest.fixture(scope="module")
def static_shapes(tmp_path_factory):
    return build(tmp_path_factory.mktemp("static"), "shapes", "-static")


@pytest.fixture
def server(run):
    return run("server", "python3", os.path.join(APPS, "shape_server.py"),
               "7000").wait_running().wait_listening(7000)


FUNCTIONS = ["by_execve", "by_execv", "by_execvp", "by_execvpe", "by_execl",
             "by_execlp", "by_execle", "by_fexecve", "by_execveat",
             "by_execveat_fd", "by_execveat_below", "by_memfd",
             "by_posix_spawn", "by_posix_spawnp", "by_vfork",
             "by_signal_handler", "no_environment"]


def test_all_functions(server, call, shapes, starter):
    talk = f"{shapes} call_and_talk {server.ip} 7000"
    client = call("client", "sh", "-c", "; ".join(
        f"echo {name}; {starter} {name} {talk}" for name in FUNCTIONS))
    assert client.out == "".join(f"{name}\nok\n" for name in FUNCTIONS)
    assert client.err == ""


@in_process  # a sanitized --notify needs its settings
def test_all_functions_and_a_static_program(server, call, static_shapes,
                                            starter):
    test_all_functions(server, call, static_shapes, starter)


def test_what_libc_starts(server, call, shapes, starter):
    """Has this program's environment; without one it is on the host's network,
    which has no way to the server."""
    talk = f"{shapes} call_and_talk {server.ip} 7000"
    for function in ("with_system", "with_popen"):
        client = call("client", starter, function, *talk.split())
        assert (client.out[-3:], client.err) == ("ok\n", "")
    for function in ("system_after_clearenv", "popen_after_clearenv"):
        client = call("client", starter, function, *talk.split())
        assert client.code == 3
    assert client.err.count("Network is unreachable") == 2


@in_process
@pytest.mark.parametrize("function", ["by_execve", "by_vfork",
                                      "by_posix_spawn"])
def test_in_process(server, call, shapes, starter, function):
    """The new program finds the same state directory; as no auth key came
    along, a node of this directory must be there already."""
    call("client", "true", options=["--wait=20"])
    client = call("client", starter, function, shapes, "call_and_talk",
                  server.ip, "7000", options=["--in-process"])
    assert (client.out, client.err) == ("ok\n", "")


def test_errors_are_the_kernels(run, call, starter):
    client = call("client", starter, "errors", starter)
    assert (client.out, client.err) == ("ok\n", "")


@pytest.mark.parametrize("how", ["option", "environment", "target"])
def test_turned_off(server, call, starter, how):
    """Only the mark is left; the new program has nothing of ours."""
    show = ["env"]
    kwargs = {}
    if how == "option":
        kwargs["options"] = ["--no-follow-exec"]
    elif how == "environment":
        kwargs["env"] = {"TSNET_FOLLOW_EXEC": "no"}
    else:
        show = ["env", "-i", "TSNET_FOLLOW_EXEC=no", "env"]
    client = call("client", starter, "by_execvpe", *show, **kwargs)
    if how == "target":
        assert client.out == "TSNET_FOLLOW_EXEC=no\n"
    else:
        assert client.out == "MARK=1\n"


def test_what_is_added(server, call, starter):
    client = call("client", starter, "by_execvpe", "env")
    lines = dict(line.split("=", 1) for line in client.out.splitlines())
    assert lines.pop("MARK") == "1"
    assert lines.pop("LD_PRELOAD") == SHIM
    assert lines.pop("TSNET_NOTIFY", "1") == "1"  # where the kernel has it
    assert set(lines) == {"TSNET_BROKER", "TSNET_BROKER_ABSTRACT",
                          "TSNET_LOCALAPI"}


@in_process
def test_no_auth_key_is_added(call, starter):
    client = call("client", starter, "by_execvpe", "env",
                  options=["--in-process"])
    assert "LD_PRELOAD=" in client.out and "TSNET_HOSTNAME=" in client.out
    assert "AUTH" not in client.out and "key-" not in client.out


def test_other_preloaded_libraries_keep_their_order(call, starter, tmp_path):
    others = []
    for name in ("one", "two"):
        source = tmp_path / f"{name}.c"
        source.write_text("int dummy_%s;" % name)
        others.append(str(tmp_path / f"{name}.so"))
        subprocess.run(["gcc", "-shared", "-fPIC", "-o", others[-1],
                        str(source)], check=True)
    client = call("client", starter, "by_execvpe", "env",
                  env={"WITH_PRELOAD": ":".join(others)})
    assert f"LD_PRELOAD={SHIM}:{others[0]}:{others[1]}\n" in client.out


def test_shell_and_python_with_new_environments(server, call, shapes):
    talk = [shapes, "call_and_talk", server.ip, "7000"]
    client = call("client", "env", "-i", *talk)
    assert (client.out, client.err) == ("ok\n", "")
    client = call("client2", "python3", "-c",
                  "import subprocess, sys; subprocess.run(sys.argv[1:], env={})",
                  *talk)
    assert (client.out, client.err) == ("ok\n", "")
    client = call("client3", "python3", "-c", """
import os, subprocess, sys
os.environ.pop("LD_PRELOAD")
pid = os.posix_spawnp(sys.argv[1], sys.argv[1:], {})
os.waitpid(pid, 0)
subprocess.run(sys.argv[1:], env={}, close_fds=False)
os.execvpe(sys.argv[1], sys.argv[1:], {"PATH": "/bin"})
""", *talk)
    assert (client.out, client.err) == ("ok\nok\nok\n", "")


def test_a_tsrun_within_a_tsrun_is_another_node(lab, call, tmp_path):
    """Its settings are its own, its host meets no library of ours."""
    from harness import TSRUN
    client = call("outer", TSRUN, "--hostname", "inner", "--state",
                  str(tmp_path / "inner"),
                  "--control-url", lab.url, "--authkey", "key-bob", "--wait",
                  "env")
    assert client.code == 0, client.err
    assert lab.node("inner") and "TSNET_BROKER=" in client.out


@needs("sshd", "ssh", "ssh-keygen")
@pytest.mark.skipif(os.geteuid() != 0, reason="sshd wants root")
def test_a_session_of_sshd_is_on_the_tailnet(server, run, call, shapes,
                                             tmp_path):
    """sshd gives its sessions an environment of their own."""
    key = str(tmp_path / "key")
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key],
                   check=True)
    os.makedirs("/run/sshd", exist_ok=True)
    os.chmod(tmp_path, 0o755)
    sshd = run("sshd", shutil.which("sshd"), "-D", "-e", "-f", "/dev/null",
               "-h", key, "-p", "2222", "-o", "StrictModes=no", "-o",
               f"AuthorizedKeysFile={key}.pub", "-o", "UsePAM=no", "-o",
               "PidFile=none")
    sshd.wait_running().wait_listening(2222)
    client = call("client", "ssh", "-F", "/dev/null", "-i", key, "-p", "2222",
                  "-o", "StrictHostKeyChecking=no", "-o",
                  "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR",
                  "root@sshd", f"{shapes} call_and_talk {server.ip} 7000; "
                  "echo $SSH_CONNECTION")
    assert client.out.startswith("ok\n100."), client.err + sshd.err


SHORT = """
import socket, sys
with socket.create_connection((sys.argv[1], 7000), 30) as s:
    s.sendall(b"hello\\n")
    print(s.makefile().readline(), end="")
"""


@pytest.mark.parametrize("where", ["hosted", pytest.param(
    "in-process", marks=in_process)])
def test_many_short_programs_at_once(server, call, where, tmp_path):
    """In-process the node goes from one to the next, and nobody notices."""
    script = tmp_path / "short.py"
    script.write_text(SHORT)
    client = call("client", "sh", "-c",
                  f"yes {server.ip} | head -n 40 | "
                  f"xargs -P 4 -n 1 python3 {script}",
                  timeout=120,
                  options=["--in-process"] if where == "in-process" else [])
    assert (client.out, client.err) == (f"{client.ip} hello\n" * 40, "")
