"""What a peer may see of a node from inside, by its PeerAPI."""
import json

from harness import wait_until
from test_taildrop import send_raw

DEBUG = "https://tailscale.com/cap/debug"
DEBUG_PEER = "https://tailscale.com/cap/debug-peer"
PATHS = "magicsock", "metrics", "interfaces", "sockstats"
REFUSED = 403, b"denied; no debug access\n"


def get(lab, a, b, path):
    return send_raw(lab, a, b, f"GET /v0/{path} HTTP/1.1\nHost: peer\n"
                    "Connection: close\n\n")


def test_who_may_look_and_what_there_is(lab, run):
    a, b = (run(n, "sleep", "600").wait_running() for n in ("from", "to"))
    other = run("other", "sleep", "600", key="key-bob").wait_running()
    wait_until(lambda: len(other.status().get("Peer") or {}) == 2, "the peers")
    for path in PATHS:
        assert get(lab, a, b, path) == REFUSED, path
    lab.command(f"cap to {DEBUG}")
    wait_until(lambda: get(lab, a, b, "metrics")[0] == 200, "the admin's word")
    for path in PATHS:
        assert get(lab, a, b, path)[0] == 200, path
        assert get(lab, other, b, path) == REFUSED, path
    everybody = {"SrcIPs": ["*"], "DstPorts": [
        {"IP": "*", "Ports": {"First": 0, "Last": 65535}}]}
    grant = {"SrcIPs": [f"{other.ip}/32"], "CapGrant": [
        {"Dsts": [f"{b.ip}/32"], "CapMap": {DEBUG_PEER: []}}]}
    lab.command("filter " + json.dumps([everybody, grant]))
    wait_until(lambda: get(lab, other, b, "metrics")[0] == 200, "the rule")
    status, page = get(lab, a, b, "magicsock")
    assert status == 200 and b"<h3>from." in page and b"may be at" in page
    assert b"127.0.0.1" in page
    assert b"# TYPE" in get(lab, a, b, "metrics")[1]
    assert b"<td>lo</td><td>up</td><td>127.0.0.1</td>" in \
        get(lab, a, b, "interfaces")[1]
    # Neither what the program was given, nor what there is not.
    for path in "env", "goroutines", "nothing":
        assert get(lab, a, b, path) == (404, b"unsupported peerapi path\n")
