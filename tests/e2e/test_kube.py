"""A node whose state is a Kubernetes Secret."""
import json
import os

import pytest

from harness import SANITIZERS, needs, wait_until
from kube_server import KubeServer, make_certificates

pytestmark = needs("openssl")


APPS = os.path.join(os.path.dirname(__file__), "apps")


def app(name):
    return os.path.join(APPS, name)


@pytest.fixture
def kube(tmp_path):
    server = KubeServer(tmp_path / "kube")
    yield server
    server.close()


def in_secret(kube, *options, **more):
    """Keyword arguments of run() and call()."""
    return {"options": ["--state", "kube:web", *options], "env": kube.env,
            **more}


def online(lab, name):
    node = lab.node(name)
    return node and node["online"]


def stored_key(kube):
    """The profile's entry of the Secret, once there is one."""
    data = kube.data("web")
    key = data.get("_current-profile", b"").decode()
    return data.get(key)


def change_key(lab, name):
    """Something that a node must keep."""
    before = lab.node(name)["key"]
    lab.command(f"rekey {name}")
    wait_until(lambda: lab.node(name)["key"] != before, "a new node key")


def test_a_secret_keeps_the_node(kube, lab, run):
    first = run("web", "sleep", "60", **in_secret(kube))
    wait_until(lambda: stored_key(kube), "the profile in the Secret")
    assert kube.data("web")["_machinekey"].startswith(b"privkey:")
    node = lab.node("web")
    first.stop()
    assert "token-1" not in first.log
    run("web", "sleep", "60", **in_secret(kube, key=None))
    wait_until(lambda: online(lab, "web"), "the node to be back")
    again = lab.node("web")
    assert (again["key"], again["ips"]) == (node["key"], node["ips"])
    assert len(lab.nodes()) == 1


POD = {"POD_NAME": "web-0", "POD_UID": "0c5-11"}


def events(kube):
    return {e["reason"]: e for e in list(kube.events.values())}


def test_the_pod_is_told(kube, lab, run):
    """By one Event a reason, as upstream names and counts them."""
    kube.allowed_events = {"get", "create", "patch"}
    web = run("web", "sleep", "60", options=["--state", "kube:web"],
              env={**kube.env, **POD})
    wait_until(lambda: "TailscaledStateUpdated" in events(kube), "Events")
    loaded = kube.events["web-0.0c5-11.tailscalestateloaded"]
    assert loaded["involvedObject"] == {
        "kind": "Pod", "namespace": "apps", "name": "web-0", "uid": "0c5-11",
        "apiVersion": "v1"}
    assert (loaded["type"], loaded["count"], loaded["source"]) == (
        "Normal", 1, {"component": "tailscale-state-store"})
    wait_until(lambda: stored_key(kube), "the profile in the Secret")
    count = lambda: events(kube)["TailscaledStateUpdated"]["count"]
    before = count()
    kube.allowed.discard("patch")
    kube.allowed.discard("update")
    change_key(lab, "web")
    failed = "TailscaleStateUpdateFailed"
    wait_until(lambda: failed in events(kube), "the failure")
    assert events(kube)[failed]["type"] == "Warning"
    assert "cannot" in events(kube)[failed]["message"]
    kube.allowed |= {"patch", "update"}
    wait_until(lambda: count() > before, "another change")
    assert "token-1" not in json.dumps(kube.events)
    web.stop()
    web.wait()
    run("web", "sleep", "60", options=["--state", "kube:web"],
        env={**kube.env, **POD}, key=None)
    wait_until(lambda: events(kube)["TailscaleStateLoaded"]["count"] == 2,
               "the second start")


def test_the_pod_is_told_of_a_node_that_cannot_start(kube, call):
    kube.allowed_events = {"get", "create", "patch"}
    kube.put("web")["data"]["bad"] = "%%%"
    program = call("web", "true", options=["--state", "kube:web", "--wait"],
                   env={**kube.env, **POD})
    assert program.code == 125
    failed = events(kube)["TailscaleStateLoadFailed"]
    assert failed["type"] == "Warning" and failed["message"] in program.err


def test_events_are_as_the_role_allows(kube, lab, run):
    web = run("web", "sleep", "60", options=["--state", "kube:web"],
              env={**kube.env, **POD})
    wait_until(lambda: stored_key(kube), "the profile in the Secret")
    assert "the role needs get, create and patch for events" in web.log
    assert not kube.events


@pytest.mark.skipif(bool(SANITIZERS),
                    reason="a stock program has no sanitizer runtime")
def test_a_node_inside_the_program(kube, lab, run, call):
    """Its first question of the tailnet starts the node, and waits for the
    Secret."""
    echo = run("echo", "python3", app("echo_server.py"), "7000").wait_running(
        ).wait_listening(7000)
    ask = (f"import socket; s = socket.create_connection(('{echo.ip}', 7000));"
           "s.sendall(b'ping'); print(s.recv(4))")
    for key in ("key-alice", None):
        program = call("web", "python3", "-c", ask,
                       **in_secret(kube, "--in-process", key=key))
        assert program.code == 0 and "ping" in program.out, program.err
        assert stored_key(kube)
    assert len(lab.nodes()) == 2


def test_its_name_can_come_as_upstreams_container_has_it(kube, lab, run):
    env = {**kube.env, "TS_KUBE_SECRET": "web", "HOME": "/proc/nonexistent"}
    run("web", "sleep", "60", env=env, state=False)
    wait_until(lambda: stored_key(kube), "the profile in the Secret")


def test_the_role_may_lack_patch(kube, lab, run):
    kube.allowed.discard("patch")
    kube.put("web", authkey="theirs")["metadata"]["labels"] = {"app": "web"}
    run("web", "sleep", "60", **in_secret(kube))
    wait_until(lambda: stored_key(kube), "the profile in the Secret")
    assert kube.data("web")["authkey"] == b"theirs"
    assert kube.secrets["web"]["metadata"]["labels"] == {"app": "web"}
    assert kube.secrets["web"]["type"] == "Opaque"
    assert "update" in kube.seen and "patch" not in kube.seen


@pytest.mark.parametrize("lacks,words", [
    ("update", "missing permission to update"),
    ("get", "missing permission to get"),
    ("create", "there is none"),
])
def test_a_missing_permission_is_named(kube, lab, call, lacks, words):
    kube.allowed.discard(lacks)
    program = call("web", "true", **in_secret(kube))
    assert program.code == 125
    assert words in program.err and "apps/web" in program.err, program.err
    assert not lab.nodes()


def test_a_wrong_token_is_told_from_a_server_that_is_away(kube, lab, run, call):
    kube.write_account("token", "forged")
    program = call("web", "true", **in_secret(kube))
    assert program.code == 125
    assert "401" in program.err and "token" in program.err, program.err
    assert "forged" not in program.err + program.log
    env = {**kube.env, "KUBERNETES_SERVICE_PORT_HTTPS": "9"}
    away = run("web", "true", **in_secret(kube, env=env))
    wait_until(lambda: "the API server does not answer: 127.0.0.1:9" in away.log,
               "the reason in the log")
    assert not lab.nodes()


def test_only_the_clusters_ca_is_believed(kube, lab, run, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    with open(make_certificates(str(other))[0], encoding="utf-8") as f:
        kube.write_account("ca.crt", f.read())
    program = run("web", "true", **in_secret(kube))
    wait_until(lambda: "certificate" in program.log, "the reason in the log")
    assert not kube.seen and not kube.bad_tokens


def test_no_service_account_is_told(kube, call):
    os.unlink(os.path.join(kube.account, "token"))
    program = call("web", "true", **in_secret(kube))
    assert program.code == 125
    assert "cannot read the service account's" in program.err, program.err
    os.unlink(os.path.join(kube.account, "namespace"))
    program = call("web", "true", **in_secret(kube))
    assert program.code == 125 and "/namespace" in program.err, program.err


def test_a_token_is_replaced_while_the_node_runs(kube, lab, run):
    run("web", "sleep", "60", **in_secret(kube))
    before = wait_until(lambda: stored_key(kube), "the profile in the Secret")
    kube.tokens = {"token-2"}
    kube.write_account("token", "token-2\n")  # as an editor leaves it
    change_key(lab, "web")
    wait_until(lambda: stored_key(kube) != before, "the new key in the Secret")
    assert kube.bad_tokens == 0


def test_a_server_in_trouble_is_waited_for(kube, lab, run):
    kube.fail("get", 500, 2)
    program = run("web", "sleep", "60", **in_secret(kube))
    before = wait_until(lambda: stored_key(kube), "the profile in the Secret")
    kube.fail("patch", 500)
    kube.fail("patch", "drop")
    change_key(lab, "web")
    wait_until(lambda: stored_key(kube) != before and not kube.faults,
               "the new key in the Secret")
    wait_until(lambda: "kept again" in program.log, "the end of the trouble")
    assert "with 500: etcdserver: leader changed" in program.log
    assert "another process" not in program.log


def test_what_is_not_kept_yet_is_kept_at_the_end(kube, lab, run):
    program = run("web", "sleep", "60", **in_secret(kube))
    before = wait_until(lambda: stored_key(kube), "the profile in the Secret")
    kube.fail("patch", 503, 3)
    change_key(lab, "web")
    program.stop()
    assert stored_key(kube) != before


def test_entries_of_others_stay(kube, lab, run):
    run("web", "sleep", "60", **in_secret(kube))
    before = wait_until(lambda: stored_key(kube), "the profile in the Secret")
    kube.put("web", device_id="n1", device_fqdn="web.lab.ts.net")
    change_key(lab, "web")
    wait_until(lambda: stored_key(kube) != before, "the new key in the Secret")
    assert kube.data("web")["device_id"] == b"n1"
    assert kube.data("web")["device_fqdn"] == b"web.lab.ts.net"


def test_a_second_process_of_the_pod_is_turned_away(kube, lab, run, call):
    run("web", "sleep", "60", **in_secret(kube))
    wait_until(lambda: stored_key(kube), "the profile in the Secret")
    second = call("web2", "true", **in_secret(kube))
    assert second.code == 125
    assert "Secret apps/web is in use by another process" in second.err, second.err
    third = run("web3", "sleep", "60", options=["--state", "kube:other"],
                env=kube.env)
    wait_until(lambda: kube.data("other").get("_current-profile"),
               "another Secret's node")
    assert third.alive() and len(lab.nodes()) == 2


def test_a_second_node_in_the_secret_is_told_and_saves_nothing(kube, lab, run):
    program = run("web", "sleep", "60", **in_secret(kube))
    wait_until(lambda: stored_key(kube), "the profile in the Secret")
    key = kube.data("web")["_current-profile"].decode()
    prefs = json.loads(kube.data("web")[key])
    prefs["Config"]["PrivateNodeKey"] = "privkey:" + "11" * 32
    kube.put("web", **{key: json.dumps(prefs)})
    theirs = kube.data("web")
    change_key(lab, "web")
    wait_until(lambda: "another process has written" in program.log,
               "the conflict in the log")
    change_key(lab, "web")
    assert kube.data("web") == theirs
    assert online(lab, "web")  # the node itself goes on
    program.stop()
    assert kube.data("web") == theirs


def test_a_deleted_secret_comes_back(kube, lab, run):
    run("web", "sleep", "60", **in_secret(kube))
    wait_until(lambda: stored_key(kube), "the profile in the Secret")
    machine_key = kube.data("web")["_machinekey"]
    with kube.lock:
        del kube.secrets["web"]
    change_key(lab, "web")
    wait_until(lambda: stored_key(kube), "the Secret to be made again")
    assert kube.data("web")["_machinekey"] == machine_key
