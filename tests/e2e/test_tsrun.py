"""tsrun as a parent: status, signals, environment, checks, quietness."""
import fcntl
import os
import shutil
import signal
import stat
import subprocess
import tempfile
from collections import Counter

import pytest

from harness import BUILD, CLEAN_ENV, SANITIZERS, SHIM, TSRUN, needs, wait_until


def test_exit_status_is_the_commands(call):
    assert call("a", "sh", "-c", "exit 7").code == 7


def test_a_killed_command_is_128_plus_signal(call):
    assert call("a", "sh", "-c", "kill -KILL $$").code == 128 + signal.SIGKILL


def test_a_missing_command_is_127(call):
    program = call("a", "no-such-command-here")
    assert program.code == 127
    assert "no-such-command-here" in program.err


def test_signals_reach_the_command(run):
    program = run("a", "python3", "-u", "-c",
                  "import signal,sys,time\n"
                  "signal.signal(signal.SIGUSR1, lambda *a: sys.exit(33))\n"
                  "print('ready')\ntime.sleep(60)")
    wait_until(lambda: "ready" in program.out, "the command")
    assert program.stop(signal.SIGUSR1) == 33


def test_output_is_only_the_commands(call):
    program = call("a", "echo", "hello")
    assert (program.out, program.err) == ("hello\n", "")


def test_stdin_reaches_the_command(run):
    program = run("a", "cat", stdin=subprocess.PIPE)
    program.process.stdin.write(b"through\n")
    program.process.stdin.close()
    assert program.wait() == 0
    assert program.out == "through\n"


def test_the_auth_key_is_not_in_the_environment(call):
    program = call("a", "sh", "-c", "env; cat /proc/$PPID/cmdline")
    assert "key-alice" not in program.out
    assert "LD_PRELOAD" in program.out


def test_the_state_directory_names_the_node(run):
    program = run("a", "sleep", "60").wait_running()
    result = subprocess.run([TSRUN, "--state", program.state, "ip"],
                            env=CLEAN_ENV, capture_output=True, text=True,
                            check=True)
    assert result.stdout.split()[0] == program.ip


def test_without_a_home_the_state_is_in_memory(run):
    program = run("a", "sleep", "60", options=["--state", "/nonexistent/x/y"]
                  if os.getuid() else ["--state", "/proc/nonexistent"])
    wait_until(lambda: program.lab.node("a"), "the node to join")
    assert "memory" in program.log


def test_the_auth_key_from_a_file(call, tmp_path, lab):
    keyfile = tmp_path / "key"
    keyfile.write_text("key-bob\n")
    program = call("a", "true", key=None,
                   options=["--authkey", f"file:{keyfile}", "--wait=20"])
    assert program.code == 0, program.err
    assert lab.node("a")


def test_the_state_is_private(run):
    program = run("a", "sleep", "60").wait_running()
    mode = stat.S_IMODE(os.stat(program.state).st_mode)
    assert mode == 0o700
    for name in os.listdir(program.state):
        path = os.path.join(program.state, name)
        assert stat.S_IMODE(os.lstat(path).st_mode) & 0o077 == 0, name


def test_two_programs_do_not_share_a_state_directory(run, call):
    first = run("a", "sleep", "60").wait_running()
    second = call("b", "true", options=["--state", first.state])
    assert second.code != 0
    assert first.state in second.err and str(first.process.pid) in second.err


def test_a_restart_keeps_the_address(run):
    first = run("a", "sleep", "60").wait_running()
    ip = first.ip
    first.stop()
    second = run("a", "sleep", "60", key=None).wait_running()
    assert second.status()["TailscaleIPs"][0] == ip


def test_an_ephemeral_node_leaves_at_exit(call, lab):
    program = call("gone", "true", state=False, options=["--wait=20"])
    assert program.code == 0, program.err
    wait_until(lambda: lab.node("gone") is None, "the node to be removed")


def test_wait_runs_the_command_after_the_node_is_up(call):
    program = call("a", TSRUN, "status", options=["--wait=20"])
    assert program.code == 0, program.err
    assert "this node" in program.out


def test_children_may_outlive_the_command(run):
    """A daemon keeps its node until it ends."""
    program = run("a", "sh", "-c", "sleep 3 & exit 5").wait_running()
    assert program.wait() == 5


@needs("gcc")
def test_static_programs_are_refused_in_process(tmp_path):
    source = tmp_path / "s.c"
    source.write_text("int main(void) { return 0; }\n")
    static = tmp_path / "static"
    subprocess.run(["gcc", "-static", "-o", static, source], check=True)
    check = subprocess.run([TSRUN, "--check", str(static)], env=CLEAN_ENV,
                           capture_output=True, text=True, check=False)
    assert check.returncode == 0 and "seccomp" in check.stdout
    check = subprocess.run([TSRUN, "--in-process", str(static)],
                           env=CLEAN_ENV, capture_output=True, text=True,
                           check=False)
    assert check.returncode == 126 and "statically linked" in check.stderr


@needs("go")
def test_go_programs_are_recognized():
    go = subprocess.run(["sh", "-c", "command -v go"], capture_output=True,
                        text=True, check=True).stdout.strip()
    check = subprocess.run([TSRUN, "--check", "--in-process", go],
                           env=CLEAN_ENV, capture_output=True, text=True,
                           check=False)
    assert check.returncode == 1 and "Go program" in check.stderr


def test_set_id_programs_are_refused(tmp_path):
    program = tmp_path / "setid"
    program.write_bytes(open("/bin/true", "rb").read())
    os.chown(program, 65534, 65534)
    program.chmod(0o4755)
    check = subprocess.run([TSRUN, "--check", str(program)], env=CLEAN_ENV,
                           capture_output=True, text=True, check=False)
    assert check.returncode == 1 and "set-user-ID" in check.stderr


# Five mappings are the library's; a page more the linker itself may need.
LOADING = Counter({"openat": 1, "read": 1, "fstat": 1, "mmap": 6,
                   "mprotect": 1, "close": 1})


def system_calls(argv, env):
    """How often it makes which, with env added to it and not to strace."""
    with tempfile.NamedTemporaryFile("r") as out:
        subprocess.run(
            ["strace", "-f", "-qqq", "-e", "signal=none", "-o", out.name,
             *(w for name in env for w in ("-E", f"{name}={env[name]}")),
             *argv], env=CLEAN_ENV, stdout=subprocess.DEVNULL, check=True)
        names = [line.split(None, 1)[1].split("(")[0] for line in out]
    return Counter("fstat" if name == "newfstatat" else name
                   for name in names)


@needs("strace", "tar", "sort")
@pytest.mark.parametrize("is_configured", [False, True])
@pytest.mark.parametrize("argv", [
    ["sort", os.path.abspath(__file__)],
    ["ls", "-l", os.path.dirname(os.path.abspath(__file__))],
    ["tar", "-cf", "-", os.path.dirname(os.path.abspath(__file__))]],
    ids=lambda argv: argv[0])
def test_a_program_that_needs_no_tailnet_pays_nothing(argv, is_configured):
    """Beside the loading of the library every system call is its own: no
    thread, no socket, no file."""
    settings = {"TS_AUTHKEY": "x"} if is_configured else {}
    plain = system_calls(argv, settings)
    shimmed = system_calls(argv, dict(settings, LD_PRELOAD=SHIM))
    assert plain - shimmed == Counter()
    assert shimmed - plain - LOADING == Counter()
    assert shimmed["openat"] == plain["openat"] + 1  # it was loaded


def test_an_unknown_option_is_an_error():
    result = subprocess.run([TSRUN, "--no-such", "true"], env=CLEAN_ENV,
                            capture_output=True, text=True, check=False)
    assert result.returncode == 64 and "--no-such" in result.stderr


in_process = pytest.mark.skipif(
    bool(SANITIZERS), reason="a stock program has no sanitizer runtime")


@in_process
@needs("curl")
def test_ld_preload_alone(lab, run, tmp_path):
    """No tsrun: the node is a thread of the program."""
    page = tmp_path / "page"
    page.mkdir()
    (page / "index.html").write_text("<p>page</p>\n")
    run("web", "python3", "-m", "http.server", "8080", "--directory",
        str(page)).wait_running().wait_listening(8080)
    result = subprocess.run(
        ["curl", "-sS", "--max-time", "20", "http://web.lab.ts.net:8080/"],
        env=dict(CLEAN_ENV, LD_PRELOAD=SHIM, TS_AUTHKEY="key-bob",
                 TS_CONTROL_URL=lab.url, TSNET_HOSTNAME="alone",
                 TSNET_SUFFIX="lab.ts.net",
                 TSNET_STATE_DIR=str(tmp_path / "alone")),
        capture_output=True, text=True, timeout=60, check=False)
    assert (result.stdout, result.stderr) == ("<p>page</p>\n", "")
    assert lab.node("alone")


@in_process
@needs("curl")
def test_in_process(lab, run, call, tmp_path):
    page = tmp_path / "page"
    page.mkdir()
    (page / "index.html").write_text("<p>page</p>\n")
    run("web", "python3", "-m", "http.server", "8080", "--directory",
        str(page), options=["--in-process"]).wait_listening(8080)
    wait_until(lambda: lab.node("web"), "the server to join")
    client = call("client", "curl", "-sS", "--max-time", "20", "--retry", "5",
                  "--retry-connrefused", "http://web.lab.ts.net:8080/",
                  options=["--in-process"])
    assert client.out == "<p>page</p>\n", client.err


@needs("curl", "setpriv")
@pytest.mark.skipif(os.getuid() != 0, reason="already unprivileged")
def test_as_an_unprivileged_user(lab, run, tmp_path):
    """No root, no capability: server on a port below 1024, and client."""
    nobody = ["setpriv", "--reuid", "65534", "--regid", "65534",
              "--clear-groups", "--inh-caps=-all", "--bounding-set=-all"]
    with tempfile.TemporaryDirectory() as directory:
        os.chmod(directory, 0o777)
        with open(f"{directory}/index.html", "w", encoding="utf-8") as f:
            f.write("<p>page</p>\n")
        # the build directory need not be readable for everybody
        for name in ("tsrun", "tsnet-host", "libtsnet_shim.so"):
            shutil.copy(os.path.join(BUILD, name), directory)

        def tsrun(hostname, *argv):
            return subprocess.Popen(
                [*nobody, f"{directory}/tsrun", "--hostname", hostname,
                 "--ephemeral",
                 "--control-url", lab.url, "--wait=30", *argv],
                env=dict(CLEAN_ENV, TS_AUTHKEY="key-alice", HOME=directory),
                cwd=directory, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                text=True)
        server = tsrun("web", "python3", "-u", "-m", "http.server", "80")
        try:
            wait_until(lambda: lab.node("web"), "the server to join")
            client = tsrun("client", "curl", "-sS", "--max-time", "20",
                           "--retry", "10", "--retry-connrefused",
                           "--retry-delay", "1", "http://web/")
            out, err = client.communicate(timeout=60)
        finally:
            server.terminate()
            log = server.communicate(timeout=30)
    assert (out, client.returncode) == ("<p>page</p>\n", 0), (err, log)


def test_inherited_descriptors_end_with_the_command(tmp_path, lab, run):
    """The host keeps no copy: the reader of a pipe sees the command's end."""
    reader, writer = os.pipe()
    program = run("a", "python3", "-c", "import os, time\n"
                  f"os.write({writer}, b'from the command\\n')\n"
                  f"os.close({writer})\ntime.sleep(60)", pass_fds=[writer])
    os.close(writer)
    with os.fdopen(reader, encoding="utf-8") as pipe:
        assert pipe.read() == "from the command\n"
    program.alive()


def test_socket_activation_names_the_command(call):
    """LISTEN_PID is the process that the listener was passed to."""
    program = call("a", "sh", "-c", "echo $LISTEN_PID $$",
                   wrap=["sh", "-c", 'export LISTEN_PID=$$; exec "$@"', "sh"])
    listen_pid, own = program.out.split()
    assert listen_pid == own


def full_pipe(path):
    """That nobody reads."""
    os.mkfifo(path)
    fd = os.open(path, os.O_RDWR | os.O_NONBLOCK)
    size = fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, 4096)
    assert os.write(fd, b"x" * size) == size
    return fd


def read_some(fd):
    try:
        return os.read(fd, 65536)
    except BlockingIOError:
        return b""


@pytest.mark.parametrize("place", ["log_file", "stderr"])
def test_a_log_that_nobody_reads_holds_nobody_up(run, tmp_path, place):
    path = tmp_path / "pipe"
    pipe = full_pipe(path)
    if place == "log_file":
        program = run("a", "sleep", "60", options=["--log-file", path])
    else:
        program = run("a", "sleep", "60", options=["--log-file", ""],
                      wrap=["sh", "-c", 'exec "$@" 2>"$0"', path])
    program.wait_running()
    assert set(os.read(pipe, 65536)) == {ord("x")}
    program.cli("down")  # which makes lines
    wait_until(lambda: b"lines were lost: nobody read them" in read_some(pipe),
               "a line that tells of those that were lost")
    os.close(pipe)


def test_a_log_pipe_without_a_reader_is_an_error(call, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    program = call("a", "true", options=["--log-file", tmp_path / "pipe"])
    assert program.code != 0
    assert f"log_file {tmp_path}/pipe: nobody reads" in program.err
