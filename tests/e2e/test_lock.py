"""Tailnet Lock: only nodes that a trusted key vouches for are spoken with."""
import glob
import http.client
import json
import os
import socket

from harness import wait_until

SERVER = ("python3", "-u", "-c",
          "import socket\n"
          "s = socket.create_server(('', 8000))\n"
          "while True:\n"
          "    c, who = s.accept()\n"
          "    c.sendall(('hello ' + who[0]).encode())\n"
          "    c.close()\n")


def asks(ip, timeout=20):
    """What the server on that node says, or why there is no answer."""
    return ("python3", "-c",
            "import socket, errno\n"
            "s = socket.socket()\n"
            f"s.settimeout({timeout})\n"
            "try:\n"
            f"    s.connect(('{ip}', 8000))\n"
            "    print(s.recv(100).decode())\n"
            "except OSError as e:\n"
            "    print(errno.errorcode.get(e.errno, e))\n")


def localapi(program, path):
    """GET by the node's socket; status and JSON (or text)."""
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(program.localapi)
        s.sendall(f"GET /localapi/v0/{path} HTTP/1.1\r\n"
                  "Host: local-tailscaled.sock\r\n\r\n".encode())
        response = http.client.HTTPResponse(s)
        response.begin()
        body = response.read().decode()
    return response.status, json.loads(body) if body[0] in "[{" else body


def lock_status(program):
    return localapi(program, "tka/status")[1]


def names(peers):
    return sorted(p["Name"].split(".")[0] for p in peers or [])


def wait_enabled(program):
    wait_until(lambda: lock_status(program)["Enabled"], "the lock to be on")


def wait_filtered(program, *wanted):
    wait_until(lambda: names(lock_status(program)["FilteredPeers"]) ==
               sorted(wanted), f"{wanted} to be locked out")


def chain_files(program):
    return glob.glob(os.path.join(program.state, "tka-profiles", "*", "??",
                                  "*"))


def greeting(lab, name):
    return f"hello {lab.node(name)['ips'][0]}"


def test_who_is_not_signed_is_locked_out(lab, run, call):
    web = run("web", *SERVER).wait_running().wait_listening(8000)
    before = call("a", *asks(web.ip))
    assert before.out.strip() == greeting(lab, "a")
    head = lab.command("lock init")["head"]
    wait_enabled(web)
    assert call("a", *asks(web.ip)).out.split("\n")[1] == greeting(lab, "a")
    assert [os.path.basename(f) for f in chain_files(web)] == [head]

    lab.command("lock forge a")
    wait_filtered(web, "a")
    assert names(lock_status(web)["VisiblePeers"]) == []
    assert web.status()["Peer"] == {}
    assert "hello" not in call("a", *asks(web.ip, 2)).out.split("\n")[2]
    lab.command("lock sign a")
    wait_filtered(web)
    assert call("a", *asks(web.ip)).out.split("\n")[3] == greeting(lab, "a")


def test_names_of_the_locked_out_are_unknown(lab, run, call):
    run("web", *SERVER).wait_running()
    a = run("a", "sleep", "60").wait_running()
    lab.command("lock init")
    wait_enabled(a)
    lab.command("lock forge web")
    wait_filtered(a, "web")
    assert localapi(a, f"whois?addr={lab.node('web')['ips'][0]}")[0] == 404
    code = ("import socket\n"
            "try: print(socket.gethostbyname('web'))\n"
            "except OSError as e: print('unknown')\n")
    c = call("c", "python3", "-c", code, key="key-bob")
    # c itself has no signature, and sees web no better for that.
    assert c.out.strip() == "unknown"


def test_who_is_locked_out_is_told(lab, run):
    run("web", "sleep", "60").wait_running()
    lab.command("lock init")
    b = run("b", "sleep", "60").wait_running()
    wait_enabled(b)
    assert not lock_status(b)["NodeKeySigned"]
    assert any("locked out" in line for line in b.status()["Health"])
    lab.command("lock sign b")
    wait_until(lambda: lock_status(b)["NodeKeySigned"], "the signature")
    assert not any("locked out" in line for line in b.status()["Health"])
    assert lock_status(b)["NodeKeySignature"]["SigKind"] == 1


def test_a_new_key_signs_itself(lab, run, call):
    web = run("web", *SERVER).wait_running().wait_listening(8000)
    a = run("a", "sleep", "60").wait_running()
    lab.command("lock init")
    wait_enabled(a)
    wait_enabled(web)
    old_key = lab.node("a")["key"]
    lab.command("rekey a")
    wait_until(lambda: lab.node("a")["key"] != old_key, "another key")
    wait_until(lambda: names(lock_status(web)["VisiblePeers"]) == ["a"],
               "a to be seen with its new key")
    wait_until(lambda: lock_status(a)["NodeKeySigned"], "the signature")
    signature = lock_status(a)["NodeKeySignature"]
    assert signature["SigKind"] == 2 and signature["Nested"]["SigKind"] == 1
    a.stop()
    assert call("a", *asks(web.ip)).out.strip() == greeting(lab, "a")


def test_a_wrapped_auth_key_signs(lab, run, call):
    web = run("web", *SERVER).wait_running().wait_listening(8000)
    lab.command("lock init")
    wait_enabled(web)
    key = lab.command("lock wrap key-alice")["key"]
    b = call("b", *asks(web.ip), key=key)
    assert b.out.strip() == greeting(lab, "b")
    assert key.split("--TL")[1] not in b.log


def test_trust_in_keys_comes_and_goes(lab, run):
    web = run("web", "sleep", "60").wait_running()
    run("a", "sleep", "60").wait_running()
    lab.command("lock init")
    wait_enabled(web)
    lab.command("lock add-key")
    wait_until(lambda: len(lock_status(web)["TrustedKeys"]) == 2, "the key")
    lab.command("lock sign web")  # by the new one
    head = lab.command("lock remove-key")["head"]
    wait_filtered(web, "a")
    assert lock_status(web)["NodeKeySigned"]
    status, log = localapi(web, "tka/log")
    assert status == 200
    assert [u["Change"] for u in log] == ["remove-key", "add-key",
                                          "checkpoint"]
    assert len(chain_files(web)) == 3
    assert head in [os.path.basename(f) for f in chain_files(web)]
    lab.command("lock sign a")
    wait_filtered(web)


def test_only_the_secret_ends_it(lab, run):
    web = run("web", "sleep", "60").wait_running()
    lab.command("lock init")
    run("a", "sleep", "60").wait_running()
    wait_enabled(web)
    wait_filtered(web, "a")
    lab.command("lock disable wrong")
    wait_until(lambda: "secret is wrong" in web.log, "the refusal")
    assert lock_status(web)["Enabled"]
    assert names(lock_status(web)["FilteredPeers"]) == ["a"]
    lab.command("lock disable")
    wait_until(lambda: not lock_status(web)["Enabled"], "the end")
    assert chain_files(web) == []
    wait_until(lambda: len(web.status()["Peer"]) == 1, "a")


def test_the_chain_outlives_the_process(lab, run):
    web = run("web", "sleep", "60").wait_running()
    lab.command("lock init")
    wait_enabled(web)
    wait_until(lambda: lab.command("lock show")["bootstraps"] == 1, "it")
    web.stop()
    lab.command("lock add-key")
    web = run("web", "sleep", "60").wait_running()
    wait_until(lambda: len(lock_status(web)["TrustedKeys"]) == 2, "the news")
    assert lab.command("lock show")["bootstraps"] == 1


def test_a_server_that_fails_is_asked_again(lab, run):
    web = run("web", "sleep", "60").wait_running()
    a = run("a", "sleep", "60").wait_running()
    lab.command("lock fail 2")
    lab.command("lock init")
    wait_until(lambda: "out of order" in web.log + a.log, "the failure")
    wait_enabled(web)
    wait_until(lambda: names(lock_status(web)["VisiblePeers"]) == ["a"], "a")


def test_a_damaged_chain_trusts_nobody(lab, run):
    web = run("web", "sleep", "60").wait_running()
    run("a", "sleep", "60").wait_running()
    lab.command("lock init")
    wait_enabled(web)
    web.stop()
    with open(chain_files(web)[0], "r+b") as f:
        f.truncate(40)
    web = run("web", "sleep", "60").wait_running()
    assert web.status()["Peer"] == {}
    assert any("cannot be read" in line for line in web.status()["Health"])
