"""The stock CLI logs in as somebody else on our LocalAPI, and switches back."""
import json

from conftest import tailscale
from harness import wait_until


def own(program):
    def known():
        status = program.status()
        return status.get("BackendState") == "Running" and status["Self"]
    found = wait_until(known, "the node to run")
    return found["PublicKey"], found["TailscaleIPs"][0]


def another_key(control):
    """Of another user, where the server has users."""
    if not control.user:
        return control.key()
    users = json.loads(control.cli("users", "list", "-o", "json"))
    if len(users) == 1:
        control.cli("users", "create", "dave")
        users = json.loads(control.cli("users", "list", "-o", "json"))
    other = next(u["id"] for u in users if u["name"] == "dave")
    return json.loads(control.cli("preauthkeys", "create", "--user", other,
                                  "--reusable", "-o", "json"))["key"]


def profiles(program):
    """Of `tailscale switch --list`: ID -> is it the current one?"""
    result = tailscale(program.localapi, "switch", "--list")
    assert result.returncode == 0, result.stderr
    rows = [line for line in result.stdout.splitlines()[1:] if line.strip()]
    return {row.split()[0]: row.rstrip().endswith("*") for row in rows}


def test_stock_login_and_switch(control, ours):
    """stock tailscale login as another user, switch to and fro, on our LocalAPI"""
    program = ours("switcher", "sleep", "60").wait_running()
    first = own(program)
    (first_id,) = profiles(program)
    result = tailscale(program.localapi, "login",
                       f"--login-server={control.url}", "--timeout=30s",
                       f"--auth-key={another_key(control)}",
                       "--hostname=switcher2")
    assert result.returncode == 0, (result.stderr, program.log[-3000:])
    wait_until(lambda: own(program)[0] != first[0], "the other node")
    second = own(program)
    listed = profiles(program)
    assert len(listed) == 2 and not listed[first_id], listed
    (second_id,) = set(listed) - {first_id}
    for profile, who in ((first_id, first), (second_id, second),
                         (first_id, first)):
        result = tailscale(program.localapi, "switch", profile)
        assert result.returncode == 0, result.stderr
        wait_until(lambda: own(program) == who, "the profile's node")
        assert profiles(program)[profile]
