"""Every way to be let in, and every way to be turned away."""
import base64
import json
import os

from harness import wait_until


def test_a_wrong_key_says_so(run):
    program = run("a", "sleep", "30", key="key-nobody-knows")
    wait_until(lambda: "key" in program.log and "invalid" in program.log.lower(),
               "the server's refusal in the log")
    assert "key-nobody-knows" not in program.log


def test_a_wrong_key_ends_wait(call):
    program = call("a", "true", key="key-nobody-knows",
                   options=["--wait"])
    assert program.code == 125
    assert "tsrun: the node cannot log in: invalid key: API key does not " \
        "exist; make another auth key (" in program.err, program.err
    assert program.err.count("cannot log in") == 1
    assert "key-nobody-knows" not in program.err


def test_an_expired_key_says_so(make_lab, call):
    lab = make_lab("--authkey", "old-key,expired")
    program = call("a", "true", key="old-key", lab=lab, options=["--wait"])
    assert program.code == 125 and "expired" in program.err.lower(), program.err


def test_a_connect_fails_when_the_node_cannot_log_in(call):
    program = call("a", "python3", "-c", """
import errno, socket
s = socket.socket()
print(errno.errorcode[s.connect_ex(("100.64.0.1", 80))])
""", key="key-nobody-knows", options=["--timeout", "2"])
    assert program.out.strip() in ("ENETDOWN", "ENETUNREACH", "ETIMEDOUT",
                                   "EHOSTUNREACH")


def test_interactive_login(make_lab, run):
    lab = make_lab("--interactive")
    program = run("a", "sleep", "60", key=None, lab=lab,
                  options=["--log-level", "off"])
    wait_until(lambda: "http" in program.err, "the login URL on stderr")
    assert program.err.count("http") == 1
    wait_until(lambda: program.status().get("BackendState") == "NeedsLogin",
               "the state")
    assert "http" in program.status()["AuthURL"]
    lab.command("approve all")
    program.wait_running()
    assert program.err.count("http") == 1


def test_a_node_that_needs_approval(lab, run):
    program = run("a", "sleep", "60").wait_running()
    lab.command("authorize a off")
    wait_until(lambda: program.status()["BackendState"] == "NeedsMachineAuth",
               "the state")
    lab.command("authorize a on")
    program.wait_running()


def test_own_key_expired_logs_in_again_with_the_key(lab, run):
    program = run("a", "sleep", "60").wait_running()
    before = lab.node("a")["key"]
    lab.command("expire a")
    wait_until(lambda: lab.node("a") and lab.node("a")["key"] != before,
               "a new node key")
    program.wait_running()


def test_unreachable_control_is_named(tmp_path, lab, run):
    program = run("a", "sleep", "30",
                  options=["--control-url", "http://127.0.0.1:9"])
    wait_until(lambda: "127.0.0.1:9" in program.log and
               "connect to" in program.log, "the reason in the log")


def test_a_damaged_state_file_is_reported_and_kept(run, call):
    first = run("a", "sleep", "60").wait_running()
    first.stop()
    path = os.path.join(first.state, "tailscaled.state")
    with open(path, encoding="utf-8") as f:
        whole = f.read()
    json.loads(whole)
    with open(path, "w", encoding="utf-8") as f:
        f.write(whole[:len(whole) // 2])
    second = call("a", "true")
    assert second.code == 125
    assert "tailscaled.state" in second.err
    with open(path, encoding="utf-8") as f:
        assert f.read() == whole[:len(whole) // 2]


def test_no_secret_is_logged(run):
    program = run("a", "sleep", "60").wait_running()
    with open(os.path.join(program.state, "tailscaled.state"),
              encoding="utf-8") as f:
        state = f.read()
    for value in json.loads(state).values():
        text = base64.b64decode(value).decode()
        for word in text.replace('"', " ").split():
            if word.startswith(("privkey:", "nlpriv:")):
                assert word not in program.log
                assert word.partition(":")[2] not in program.log
    assert "key-alice" not in program.log
