"""Several logins in one state: to switch among them while programs run."""
import base64
import json
import os

import pytest

from harness import SANITIZERS, wait_until
from talker import Talker
from test_localapi import ask

APPS = os.path.join(os.path.dirname(__file__), "apps")


def app(name):
    return os.path.join(APPS, name)


def profiles(program):
    status, _, found = ask(program, "GET", "profiles/")
    assert status == 200
    return {p["UserProfile"]["LoginName"]: p["ID"] for p in found}


def current(program):
    status, _, found = ask(program, "GET", "profiles/current")
    assert status == 200
    return found["ID"]


def own(program):
    """Key and address of the node, once it is up."""
    def known():
        status = program.status()
        return status.get("BackendState") == "Running" and status["Self"]
    found = wait_until(known, f"{program.hostname} to run")
    return found["PublicKey"], found["TailscaleIPs"][0]


def switch(program, profile):
    status, _, reply = ask(program, "POST", f"profiles/{profile}")
    assert status == 204, reply


def leave(program):
    status, _, reply = ask(program, "PUT", "profiles/")
    assert status == 201, reply


def log_in(program, lab, user):
    """As a person does who opens the page."""
    wait_until(lambda: program.status()["BackendState"] == "NeedsLogin",
               "the empty profile")
    status, _, reply = ask(program, "POST", "login-interactive")
    assert status == 204, reply
    wait_until(lambda: program.status().get("AuthURL"), "the login page")
    lab.command(f"approve all {user}")


@pytest.fixture
def talker(run):
    made = []

    def start(*args, **kwargs):
        made.append(Talker(run, *args, **kwargs))
        return made[-1]
    yield start
    for one in made:
        one.close()


@pytest.mark.parametrize("where", ["hosted", pytest.param(
    "inside", marks=pytest.mark.skipif(
        bool(SANITIZERS),
        reason="a stock program has no sanitizer runtime"))])
def test_there_and_back(lab, run, talker, where):
    """One tailnet, two users: an address each, one program all the while."""
    options = ["--listen", "tailnet"]
    if where == "inside":
        options.append("--in-process")
    echo = run("echo", "python3", app("echo_server.py"), "7000",
               options=options).wait_running()
    peer = talker("peer", "echo", "7000")
    peer.program.wait_running()
    alice = own(echo)
    assert peer.ask(f"connect {alice[1]} 7000") == "OK"
    leave(echo)
    assert current(echo) == ""
    log_in(echo, lab, "bob@example.com")
    bob = own(echo)
    assert bob[0] != alice[0] and bob[1] != alice[1]
    ids = profiles(echo)
    assert set(ids) == {"alice@example.com", "bob@example.com"}
    assert current(echo) == ids["bob@example.com"]
    wait_until(lambda: peer.ask(f"connect {bob[1]} 7000") == "OK",
               "the listener at the new address")
    switch(echo, ids["alice@example.com"])
    assert current(echo) == ids["alice@example.com"]
    wait_until(lambda: own(echo) == alice, "the first node to be back")
    wait_until(lambda: peer.ask(f"connect {alice[1]} 7000") == "OK",
               "the listener at the first address")
    assert echo.alive() and len(lab.nodes()) == 3


def test_switching_while_programs_are_busy(lab, run):
    echo = run("echo", "python3", app("echo_server.py"), "7000").wait_running(
        ).wait_listening(7000)
    reading, writing = os.pipe()
    busy = run("busy", "python3", app("switch_load.py"), echo.ip, stdin=reading)
    os.close(reading)
    alice = own(busy)
    leave(busy)
    log_in(busy, lab, "bob@example.com")
    own(busy)
    ids = profiles(busy)
    wait_until(lambda: {"stream", "datagram", "name"} <= set(busy.out.split()),
               "all kinds of traffic")
    for _ in range(40):
        for user in ("alice@example.com", "bob@example.com"):
            switch(busy, ids[user])
    switch(busy, ids["alice@example.com"])
    wait_until(lambda: own(busy) == alice, "the chosen node")
    os.close(writing)
    assert busy.wait() == 0, busy.err
    assert "Sanitizer" not in busy.err and len(lab.nodes()) == 3


def test_connections_end_as_a_lost_interface_ends_them(lab, run, talker):
    run("echo", "python3", app("echo_server.py"), "7000").wait_running(
        ).wait_listening(7000)
    client = talker("client", "echo", "7000")
    client.program.wait_running()
    assert client.ask("keep") == "OK"
    leave(client.program)
    log_in(client.program, lab, "bob@example.com")
    own(client.program)
    assert client.ask("keep") in ("ECONNRESET", "EPIPE")
    wait_until(lambda: client.ask("new") == "OK", "a connection as bob")


def test_the_next_start_is_as_the_profile_that_was_chosen(lab, run):
    program = run("a", "sleep", "60")
    alice = own(program)
    leave(program)
    log_in(program, lab, "bob@example.com")
    bob = own(program)
    program.stop()
    program = run("a", "sleep", "60", key=None)
    assert own(program) == bob
    switch(program, profiles(program)["alice@example.com"])
    program.stop()
    assert own(run("a", "sleep", "60", key=None)) == alice


def test_a_deleted_profile_leaves_no_key(lab, run):
    program = run("a", "sleep", "60")
    own(program)
    profile = current(program)
    path = os.path.join(program.state, "tailscaled.state")
    status, _, reply = ask(program, "DELETE", f"profiles/{profile}")
    assert status == 204, reply
    wait_until(lambda: program.status()["BackendState"] == "NeedsLogin",
               "the empty profile")
    assert profiles(program) == {} and current(program) == ""
    with open(path, encoding="utf-8") as f:
        held = json.load(f)
    assert f"profile-{profile}" not in held
    assert base64.b64decode(held["_profiles"]) == b"{}"
    assert "_machinekey" in held


def test_unknown_profiles_change_nothing(run):
    program = run("a", "sleep", "60")
    before = own(program)
    for method in ("POST", "DELETE"):
        for name in ("ffff", "_machinekey", "..%2f", "current%00"):
            status, _, _ = ask(program, method, f"profiles/{name}")
            assert status >= 400, (method, name)
    assert own(program) == before


def merge(first, second):
    """Both states' profiles in the first one."""
    def load(path):
        with open(path, encoding="utf-8") as f:
            return {k: base64.b64decode(v) for k, v in json.load(f).items()}
    one, two = load(first), load(second)
    both = {**json.loads(one["_profiles"]), **json.loads(two["_profiles"])}
    one.update({k: v for k, v in two.items() if k.startswith("profile-")})
    one["_profiles"] = json.dumps(both).encode()
    with open(first, "w", encoding="utf-8") as f:
        json.dump({k: base64.b64encode(v).decode() for k, v in one.items()}, f)


def test_from_one_tailnet_to_another_with_the_same_addresses(
        make_lab, run, talker, tmp_path):
    """Whoever is meant by an address is so in the new tailnet only."""
    homes = [make_lab(), make_lab()]
    first = run("a", "sleep", "60", lab=homes[0])
    own(first)
    first.stop()
    first_path = os.path.join(first.state, "tailscaled.state")
    with open(first_path, encoding="utf-8") as f:
        machine_key = json.load(f)["_machinekey"]
    other_dir = tmp_path / "other"
    other_dir.mkdir(mode=0o700)
    (other_dir / "tailscaled.state").write_text(
        json.dumps({"_machinekey": machine_key}))
    other = run("b", "sleep", "60", lab=homes[1],
                options=["--state", str(other_dir), "--hostname", "a"])
    wait_until(lambda: b"profile-" in
               (other_dir / "tailscaled.state").read_bytes(), "the profile")
    other.stop()
    merge(first_path, other_dir / "tailscaled.state")
    echo = run("a", "python3", app("echo_server.py"), "7000", lab=homes[0],
               key=None).wait_listening(7000)
    old = own(echo)
    peers = [talker(f"peer{i}", "a", "7000", lab=homes[i]) for i in range(2)]
    for peer in peers:
        peer.program.wait_running()
    assert peers[0].ask("new") == "OK"
    there = next(p["ID"] for p in ask(echo, "GET", "profiles/")[2]
                 if p["ControlURL"] == homes[1].url)
    switch(echo, there)
    wait_until(lambda: own(echo)[0] != old[0], "the other tailnet's node")
    assert own(echo)[1] == old[1]  # the same address, in the other tailnet
    wait_until(lambda: peers[1].ask("new") == "OK", "the other tailnet's peer")
    assert homes[1].node("a")["online"]
    wait_until(lambda: not homes[0].node("a")["online"], "the first to miss it")
