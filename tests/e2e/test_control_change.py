"""Another control server while the node runs, as `tailscale up|login
--login-server` asks for it; and which one a start has."""
import os

import pytest

from harness import wait_until
from test_localapi import ask, fetch, patch, serve, state, watch  # noqa: F401


@pytest.fixture
def two(make_lab):
    """Two tailnets of the same addresses."""
    return make_lab(), make_lab()


def go(program, lab, key=None, **fields):
    """What the CLI sends for --login-server with --force-reauth."""
    prefs = ask(program, "GET", "prefs")[2]
    prefs.update(WantRunning=True, ControlURL=lab.url, **fields)
    assert ask(program, "POST", "check-prefs", prefs)[2] == {}
    options = {"UpdatePrefs": prefs}
    if key:
        options["AuthKey"] = key
    status, _, body = ask(program, "POST", "start", options)
    assert status == 204, body
    assert ask(program, "POST", "login-interactive")[0] == 204


def profiles(program):
    return ask(program, "GET", "profiles/")[2]


def is_at(program, lab):
    return state(program) == "Running" and \
        ask(program, "GET", "prefs")[2]["ControlURL"] == lab.url


def test_a_login_at_another_server_and_back(two, run, call, watch):
    first, second = two
    program = run("a", "sleep", "600", lab=first).wait_running()
    before = ask(program, "GET", "profiles/current")[2]
    key = program.status()["Self"]["PublicKey"]
    patch(program, ProfileName="home")
    bus = watch(program, 0)
    go(program, second, key="key-bob", ProfileName="home")
    bus.until(lambda n: (n.get("SelfChange") or {}).get("Key", key) != key,
              "the new key")
    wait_until(lambda: is_at(program, second), "the other server")
    assert second.node("a")["user"] == "bob@example.com"
    assert first.node("a")  # is still there, and the key with it
    now = ask(program, "GET", "profiles/current")[2]
    assert now["ID"] != before["ID"] and now["ControlURL"] == second.url
    assert now["Name"] == "bob@example.com"  # not twice the same
    assert {p["ControlURL"] for p in profiles(program)} == \
        {first.url, second.url}
    # Its peers are the other tailnet's.
    web = run("web", "python3", "-u", "-m", "http.server", "8080", lab=second,
              options=["--listen", "tailnet"]).wait_running()
    wait_until(lambda: "Serving" in web.out, "http.server")
    wait_until(lambda: program.status().get("Peer"), "the peer")
    assert ask(program, "POST", f"profiles/{before['ID']}")[0] == 204
    wait_until(lambda: is_at(program, first), "the first server again")
    assert program.status()["Self"]["PublicKey"] == key
    wait_until(lambda: not program.status().get("Peer"), "no peer")


def test_a_person_logs_in_at_another_server(two, make_lab, run, watch):
    program = run("a", "sleep", "600", lab=two[0]).wait_running()
    asks = make_lab("--interactive")
    bus = watch(program, 0)
    go(program, asks)
    url = bus.until(lambda n: n.get("BrowseToURL"), "the page")["BrowseToURL"]
    assert url.startswith(asks.url)
    assert state(program) == "NeedsLogin"
    current = ask(program, "GET", "profiles/current")[2]
    assert current["ID"] == ""
    assert len(profiles(program)) == 1


def test_a_server_that_is_not_there(two, run):
    program = run("a", "sleep", "600", lab=two[0]).wait_running()
    before = ask(program, "GET", "profiles/current")[2]["ID"]
    key = program.status()["Self"]["PublicKey"]
    prefs = ask(program, "GET", "prefs")[2]
    for url in ("ftp://x", "http://", "https://host name"):
        bad = dict(prefs, ControlURL=url)
        assert "http://HOST" in \
            ask(program, "POST", "check-prefs", bad)[2]["Error"]
        assert ask(program, "POST", "start", {"UpdatePrefs": bad})[0] == 500
    assert state(program) == "Running"
    # A preference alone is no login.
    status, _, body = ask(program, "PATCH", "prefs",
                          {"ControlURL": two[1].url, "ControlURLSet": True})
    assert status == 400 and "--force-reauth" in body["Error"]
    two[1].close()
    go(program, two[1], key="key-bob")
    wait_until(lambda: "control" in program.log and
               state(program) != "Running", "the end of the first")
    assert ask(program, "POST", f"profiles/{before}")[0] == 204
    wait_until(lambda: is_at(program, two[0]), "the first server again")
    assert program.status()["Self"]["PublicKey"] == key
    assert "key-bob" not in program.log


def test_which_server_a_start_has(two, run):
    """A configured one decides; without one it is the last login's."""
    first, second = two
    program = run("a", "sleep", "600", lab=first).wait_running()
    key = program.status()["Self"]["PublicKey"]
    go(program, second, key="key-bob")
    wait_until(lambda: is_at(program, second), "the other server")
    other_key = program.status()["Self"]["PublicKey"]
    program.stop()
    program = run("a", "sleep", "600", lab=first, key=None).wait_running()
    assert is_at(program, first)
    assert program.status()["Self"]["PublicKey"] == key
    program.stop()
    program = run("a", "sleep", "600", lab=second, key=None).wait_running()
    assert is_at(program, second)
    assert program.status()["Self"]["PublicKey"] == other_key
    program.stop()
    program = run("a", "sleep", "600", lab=second, key=None,
                  options=["--control-url", ""]).wait_running()
    assert is_at(program, second)
    assert program.status()["Self"]["PublicKey"] == other_key
    assert os.path.exists(program.localapi)
