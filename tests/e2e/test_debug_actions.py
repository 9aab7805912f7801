"""What `tailscale debug` and admins of a machine do to a node that runs."""
import hashlib
import os

from harness import wait_until
from test_localapi import ask, fetch, serve, state, watch  # noqa: F401


def act(program, action, body=None):
    status, _, text = ask(program, "POST", f"debug?action={action}", body)
    assert status == 200, (action, text)


def is_direct(program, ip):
    said = program.cli("ping", "-c", "3", ip, check=False).stdout
    return "via 127.0.0.1" in said or "via [::1]" in said


def test_the_discovery_key_is_another(lab, run, call, tmp_path):
    """A download in the middle of it goes on."""
    web = run("web", "python3", "-u", "-m", "http.server", "8080",
              options=["--listen", "tailnet"]).wait_running()
    wait_until(lambda: "Serving" in web.out, "http.server")
    data = os.urandom(1 << 20) * 48
    with open(os.path.join(web.dir, "large"), "wb") as f:
        f.write(data)
    program = run("a", "curl", "-sS", "--limit-rate", "24M", "-o", "large",
                  f"http://{web.ip}:8080/large")
    path = os.path.join(program.dir, "large")
    wait_until(lambda: os.path.exists(path) and os.path.getsize(path) > 1 << 20,
               "the download to begin")
    before = lab.node("a")["disco"]
    act(program, "rotate-disco-key")
    wait_until(lambda: lab.node("a")["disco"] != before, "the server to know")
    assert program.wait() == 0, program.err
    with open(path, "rb") as f:
        assert hashlib.sha256(f.read()).digest() == \
            hashlib.sha256(data).digest()
    # And a path is found under the new one, from both ends.
    program = run("a", "sleep", "600").wait_running()
    assert ask(program, "POST", "debug-rotate-disco-key")[0] == 200
    wait_until(lambda: is_direct(program, web.ip), "a direct path")
    wait_until(lambda: is_direct(web, program.ip), "the way back")


def test_another_home_relay(make_lab, run):
    lab = make_lab("--regions", "2")
    program = run("a", "sleep", "600", lab=lab).wait_running()

    def home():
        return lab.node("a")["net_info"].get("PreferredDERP", 0)
    wait_until(home, "a home")
    first = home()
    other = ({900, 901} - {first}).pop()
    act(program, "pick-new-derp")
    wait_until(lambda: home() == other, "the other one")
    act(program, "force-prefer-derp", str(first))
    wait_until(lambda: home() == first, "the preferred one")
    act(program, "force-prefer-derp", str(other))
    wait_until(lambda: home() == other, "the other one again")
    act(program, "restun")
    assert home() == other
    status, _, text = ask(program, "POST", "debug?action=force-prefer-derp",
                          "77")
    assert (status, text) == (400, b"no such region\n")
    act(program, "derp-set-homeless")
    wait_until(lambda: home() == 0, "none")
    act(program, "derp-unset-homeless")
    wait_until(home, "one again")
    assert state(program) == "Running"


def test_a_node_without_its_control_server_works_on(lab, run, call):
    web = serve(run)
    client = run("c", "sleep", "600").wait_running()
    wait_until(lambda: client.status().get("Peer"), "the peer")
    assert client.cli("ping", "-c", "1", web.ip).returncode == 0
    assert ask(web, "POST", "disconnect-control")[0] == 200
    wait_until(lambda: not lab.node("web")["online"], "the server to see it")
    assert state(web) == "Running"
    assert client.cli("ping", "-c", "1", web.ip).returncode == 0
    assert ask(web, "POST", "start", {})[0] == 204
    wait_until(lambda: lab.node("web")["online"], "it to be back")
    assert fetch(web.ip, call, "d").code == 0
    # Down is down from there, too.
    assert ask(web, "POST", "disconnect-control")[0] == 200
    for running in (False, True):
        ask(web, "PATCH", "prefs", {"WantRunning": running,
                                    "WantRunningSet": True})
        wait_until(lambda: state(web) == ("Running" if running else
                                          "Stopped"), "the state")
    wait_until(lambda: lab.node("web")["online"], "it to be back")


def test_reset_auth_makes_a_new_machine(lab, run):
    program = run("a", "sleep", "600").wait_running()
    before = lab.node("a")
    assert ask(program, "POST", "reset-auth")[0] == 204
    wait_until(lambda: state(program) == "NeedsLogin", "the state")
    assert ask(program, "GET", "profiles/")[2] == []
    with open(os.path.join(program.state, "tailscaled.state"), "rb") as f:
        assert b"profile-" not in f.read()
    prefs = ask(program, "GET", "prefs")[2]
    prefs.update(WantRunning=True, ControlURL=lab.url, Hostname="fresh")
    status, _, text = ask(program, "POST", "start", {"UpdatePrefs": prefs,
                                                     "AuthKey": "key-bob"})
    assert status == 204, text
    wait_until(lambda: state(program) == "Running", "the node")
    after = lab.node("fresh")
    assert after["machine"] != before["machine"]
    assert after["key"] != before["key"]
