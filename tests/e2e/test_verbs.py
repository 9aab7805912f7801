"""tsrun's verbs that change a node: for who has no tailscale command."""
import json
import os
import signal
import subprocess

import pytest

from harness import CLEAN_ENV, PATIENCE, TSRUN, wait_until
from test_localapi import ask, state


def prefs(program):
    return ask(program, "GET", "prefs")[2]


def test_up_and_down(run):
    program = run("a", "sleep", "600").wait_running()
    program.cli("down")
    assert state(program) == "Stopped"
    program.cli("down")
    program.cli("up")
    assert state(program) == "Running"
    program.cli("up")


def test_settings_are_changed(lab, run):
    program = run("a", "sleep", "600").wait_running()
    peer = run("exit", "sleep", "600",
               options=["--advertise-exit-node"]).wait_running()
    lab.command("routes exit 0.0.0.0/0 ::/0")
    wait_until(lambda: any(p.get("ExitNodeOption") for p in
                           (program.status().get("Peer") or {}).values()),
               "the exit node")
    program.cli("set", "hostname=New!", "shields_up=yes", "tags=tag:a,tag:b",
                "advertise_routes=10.1.0.0/16", "advertise_exit_node=yes",
                "exit_node=exit")
    now = prefs(program)
    assert now["Hostname"] == "new" and now["ShieldsUp"]
    assert now["AdvertiseTags"] == ["tag:a", "tag:b"]
    assert now["AdvertiseRoutes"] == ["10.1.0.0/16", "0.0.0.0/0", "::/0"]
    assert now["ExitNodeID"]
    program.cli("set", "advertise_routes=10.2.0.0/16", "exit_node=auto:any")
    now = prefs(program)
    assert now["AdvertiseRoutes"] == ["10.2.0.0/16", "0.0.0.0/0", "::/0"]
    assert now["AutoExitNode"] == "any"
    program.cli("set", "advertise_exit_node=no", "exit_node=", "shields_up=no")
    now = prefs(program)
    assert now["AdvertiseRoutes"] == ["10.2.0.0/16"] and not now["ShieldsUp"]
    assert not now["ExitNodeID"] and not now.get("AutoExitNode")
    assert peer.alive()


def test_what_cannot_be_set_is_said(run):
    program = run("a", "sleep", "600").wait_running()
    before = prefs(program)
    for words, reason in ((["hostname"], "NAME=VALUE"),
                          (["port=7"], "NAME=VALUE"),
                          (["shields_up=perhaps"], "yes or no"),
                          (["exit_node=nobody"], "no such node"),
                          (["hostname=!!!"], "letters or digits"),
                          ([b"nickname=\xff"], "not UTF-8"),
                          (["tags=tag:a", b"tags=tag:\xff"], "not UTF-8"),
                          (["hostname=x", "tags=web"], "tag")):
        result = program.cli("set", *words, check=False)
        assert result.returncode == 1 and reason in result.stderr, result
    assert program.cli("set", check=False).returncode == 64
    assert prefs(program) == before


def test_profiles(make_lab, run, tmp_path):
    first, second = make_lab(), make_lab()
    program = run("a", "sleep", "600", lab=first).wait_running()
    key = tmp_path / "key"
    key.write_text("key-bob\n")
    program.cli("login", "--login-server", second.url, "--auth-key",
                f"file:{key}")
    assert second.node("a")["user"] == "bob@example.com"
    assert state(program) == "Running"
    lines = program.cli("switch").stdout.splitlines()
    assert len(lines) == 3
    assert [line.endswith("*") for line in lines[1:]] == [False, True]
    assert first.url in lines[1] and second.url in lines[2]
    program.cli("switch", "alice@example.com")
    wait_until(lambda: prefs(program)["ControlURL"] == first.url and
               state(program) == "Running", "the first")
    program.cli("switch", lines[2].split()[0])
    wait_until(lambda: prefs(program)["ControlURL"] == second.url and
               state(program) == "Running", "the second")
    result = program.cli("switch", "nobody", check=False)
    assert result.returncode == 1 and "no such profile" in result.stderr
    assert len(json.loads(program.cli("--json", "switch").stdout)) == 2
    result = program.cli("login", "--auth-key", "env:NO_SUCH", check=False)
    assert result.returncode == 1 and "no key" in result.stderr
    assert "key-bob" not in program.log


def test_a_wrong_key_is_said(run):
    program = run("a", "sleep", "600").wait_running()
    result = program.cli("login", "--auth-key", "key-wrong", check=False)
    assert "tsrun switch PROFILE goes back" in result.stderr
    assert result.returncode == 1 and "invalid" in result.stderr
    program.cli("switch", "alice@example.com")
    wait_until(lambda: state(program) == "Running", "the first again")


def test_a_person_logs_in(make_lab, run, tmp_path):
    lab = make_lab("--interactive")
    program = run("a", "sleep", "600", key=None, lab=lab)
    wait_until(lambda: state(program) == "NeedsLogin", "the state")
    out = tmp_path / "out"
    with open(out, "wb") as f:
        login = subprocess.Popen([TSRUN, "--socket", program.localapi, "up"],
                                 env=CLEAN_ENV, stdout=f)
    wait_until(lambda: lab.url in out.read_text(), "the address")
    lab.command("approve all")
    assert login.wait(PATIENCE) == 0
    assert state(program) == "Running"


def test_logout(lab, run):
    program = run("a", "sleep", "600").wait_running()
    program.cli("logout")
    assert state(program) == "NeedsLogin"
    assert not lab.node("a") or lab.node("a")["expired"]


def test_lock(run):
    program = run("a", "sleep", "600").wait_running()
    out = program.cli("lock").stdout
    assert "Tailnet Lock: off" in out and "nlpub:" in out
    assert not json.loads(program.cli("--json", "lock").stdout)["Enabled"]


def test_who_may_not_is_told(run):
    program = run("a", "sleep", "600").wait_running()
    if os.geteuid():
        pytest.skip("only root can be somebody else")
    os.chmod(program.localapi, 0o666)
    os.chmod(program.state, 0o755)
    for path in (program.dir, os.path.dirname(program.dir)):
        os.chmod(path, 0o755)
    result = subprocess.run(
        ["setpriv", "--reuid=65534", "--clear-groups", TSRUN, "--socket",
         program.localapi, "down"], env=CLEAN_ENV, capture_output=True,
        text=True, timeout=PATIENCE)
    if "cannot talk" in result.stderr or "Permission" in result.stderr:
        pytest.skip("nobody cannot reach the test's directory")
    assert result.returncode == 1 and "denied" in result.stderr
    assert state(program) == "Running"


def test_a_login_is_given_up(make_lab, run):
    lab = make_lab("--interactive")
    program = run("a", "sleep", "600", key=None, lab=lab)
    wait_until(lambda: state(program) == "NeedsLogin", "the state")
    login = subprocess.Popen([TSRUN, "--socket", program.localapi, "login"],
                             env=CLEAN_ENV, stdout=subprocess.PIPE, text=True)
    while lab.url not in login.stdout.readline():
        assert login.poll() is None
    login.send_signal(signal.SIGINT)
    assert login.wait(PATIENCE) != 0
    login.stdout.close()
    assert state(program) == "NeedsLogin"
