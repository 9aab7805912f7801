"""Taildrop: files from one node to another, by PeerAPI and LocalAPI."""
import hashlib
import json
import os
import socket
import subprocess
import time
import urllib.parse

import pytest

from harness import SANITIZERS, wait_until
from test_localapi import API, Connection, Watch, ask

CAP = "https://tailscale.com/cap/file-sharing"
SEND = "https://tailscale.com/cap/file-send"
TARGET = "https://tailscale.com/cap/file-sharing-target"


def sha(data):
    return hashlib.sha256(data).hexdigest()


def share(lab, p, is_on=True):
    """The admin switches it on, as it is in the lab, or off."""
    if is_on:
        lab.command(f"cap {p.hostname} {CAP}")
    else:
        netmap = ask(p, "POST", "debug?action=current-netmap")[2]
        own = netmap["SelfNode"]
        del own["CapMap"][CAP]
        lab.command(f"send-json {p.hostname} {json.dumps({'Node': own})}")
    wait_until(lambda: is_on == (CAP in p.status()["Self"]["CapMap"]),
               "the admin's word")


@pytest.fixture
def pair(run):
    """Two of one user's, who share files."""
    a, b = (run(n, "sleep", "600").wait_running() for n in ("from", "to"))
    wait_until(lambda: target_of(a, b) == 1, "the target to be one")
    return a, b


def target_of(a, b):
    return next((p["TaildropTarget"] for p in a.status()["Peer"].values()
                 if p["HostName"] == b.hostname), None)


def peer_id(a, b):
    return next(p["ID"] for p in a.status()["Peer"].values()
                if p["HostName"] == b.hostname)


def put(a, b, name, data, headers=None):
    """As `tailscale file cp` does."""
    path = f"file-put/{peer_id(a, b)}/{urllib.parse.quote(name, safe='')}"
    return ask(a, "PUT", path, data, headers)


def waiting(program):
    status, _, files = ask(program, "GET", "files/")
    assert status == 200, files
    return {f["Name"]: f["Size"] for f in files}


def take(program, name):
    path = "files/" + urllib.parse.quote(name, safe="")
    status, headers, data = ask(program, "GET", path)
    assert status == 200, data
    assert int(headers["Content-Length"]) == len(data)
    return data


def box(program):
    """The one directory of its inbox."""
    files = os.path.join(program.state, "files")
    (login,) = os.listdir(files)
    return os.path.join(files, login)


def test_a_file_goes_from_one_to_the_other(lab, pair):
    a, b = pair
    data = os.urandom(3_000_000)
    status, _, text = put(a, b, "pictures of März.tar.gz", data)
    assert (status, text) == (200, b"{}\n")
    assert waiting(b) == {"pictures of März.tar.gz": len(data)}
    assert sha(take(b, "pictures of März.tar.gz")) == sha(data)
    assert os.path.basename(box(b)) == \
        f"alice-example.com-uid-{user_id(b)}"
    assert os.stat(box(b)).st_mode & 0o777 == 0o700
    status, _, _ = ask(b, "DELETE", "files/pictures%20of%20M%C3%A4rz.tar.gz")
    assert status == 204
    assert waiting(b) == {} and os.listdir(box(b)) == []
    status, _, text = ask(b, "GET", "files/pictures%20of%20M%C3%A4rz.tar.gz")
    assert status == 500 and b"no such file" in text.lower()


@pytest.mark.skipif(bool(SANITIZERS), reason="AddressSanitizer keeps what is "
                    "freed")
def test_none_of_it_is_kept_in_memory(pair, tmp_path):
    """A file larger than what either host may grow by."""
    a, b = pair
    size = 300_000_000
    path = tmp_path / "large"
    with open(path, "wb") as f:
        block = os.urandom(1 << 20)
        for i in range(size // len(block)):
            f.write(i.to_bytes(4, "big") + block[4:])

    def peak(program):
        with open(f"/proc/{program.process.pid}/status") as f:
            return int(next(x for x in f if x.startswith("VmHWM")).split()[1])
    before = [peak(p) for p in pair]
    url = f"http://local-tailscaled.sock{API}file-put/{peer_id(a, b)}/large"
    r = subprocess.run(["curl", "-sS", "--unix-socket", a.localapi, "-T",
                        str(path), url], capture_output=True, timeout=120)
    assert r.stdout == b"{}\n", r
    for p, old in zip(pair, before):
        assert peak(p) - old < 60_000, "kB more"
    a_sum = subprocess.run(["sha256sum", path, os.path.join(box(b), "large")],
                           capture_output=True, text=True).stdout.split()
    assert a_sum[0] == a_sum[2]
    # Nor where it is taken from.
    r = subprocess.run(["curl", "-sS", "--unix-socket", b.localapi, "-o",
                        str(tmp_path / "got"),
                        f"http://local-tailscaled.sock{API}files/large"],
                       capture_output=True, timeout=120)
    assert r.returncode == 0, r
    assert (tmp_path / "got").stat().st_size == path.stat().st_size
    assert peak(b) - before[1] < 60_000
    os.unlink(path)


def test_a_stream_without_a_length(pair, tmp_path):
    a, b = pair
    data = os.urandom(2_000_000)
    (tmp_path / "data").write_bytes(data)
    url = f"http://local-tailscaled.sock{API}file-put/{peer_id(a, b)}/stdin.txt"
    with open(tmp_path / "data", "rb") as f:
        r = subprocess.run(["curl", "-sS", "--unix-socket", a.localapi, "-T",
                            "-", url], stdin=f, capture_output=True,
                           timeout=60)
    assert r.stdout == b"{}\n", r
    assert sha(take(b, "stdin.txt")) == sha(data)
    status, _, _ = put(a, b, "empty", b"")
    assert status == 200 and take(b, "empty") == b""


def test_names_that_are_taken(pair):
    a, b = pair
    for content in (b"one", b"two!", b"one", b"two!", b"three"):
        status, _, text = put(a, b, "a.tar.gz", content)
        assert status == 200, text
    # What is the same was sent twice, and is there once.
    assert {n: take(b, n) for n in waiting(b)} == {
        "a.tar.gz": b"one", "a (1).tar.gz": b"two!", "a (2).tar.gz": b"three"}


BAD_NAMES = ["..", ".", "a/b", "../b", "a\\b", "a:b", "a\tb", "x.partial",
             "x.deleted", " a", "a ", "a\u202eb", "n" * 256]


class Raw:
    """A connection from the node of one program to another's PeerAPI."""

    def __init__(self, lab, a, b):
        services = lab.node(b.hostname)["hostinfo"]["Services"]
        port = next(s["Port"] for s in services if s["Proto"] == "peerapi4")
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(30)
        self.sock.connect(a.localapi)
        self.sock.sendall(
            f"POST {API}dial HTTP/1.1\r\nHost: local-tailscaled.sock\r\n"
            "Connection: upgrade\r\nUpgrade: ts-dial\r\nDial-Network: tcp\r\n"
            f"Dial-Host: {b.ip}\r\nDial-Port: {port}\r\n\r\n".encode())
        self.file = self.sock.makefile("rb")
        assert b" 101 " in self.file.readline()
        while self.file.readline() not in (b"\r\n", b""):
            pass

    def send(self, text, body=b""):
        if isinstance(text, str):
            text = text.replace("\n", "\r\n").encode()
        self.sock.sendall(text + body)
        return self

    def status(self):
        line = self.file.readline()
        return int(line.split()[1]) if line else 0

    def answer(self):
        """(status, body), to the connection's end."""
        status = self.status()
        rest = self.file.read()
        return status, rest.split(b"\r\n\r\n", 1)[1]

    def close(self):
        self.sock.shutdown(socket.SHUT_RDWR)
        self.file.close()
        self.sock.close()


def head(method, name, *fields):
    path = urllib.parse.quote(name, safe="")
    return "\n".join([f"{method} /v0/put/{path} HTTP/1.1", "Host: peer",
                      "Connection: close", *fields, "", ""])


def send_raw(lab, a, b, text, body=b""):
    raw = Raw(lab, a, b).send(text, body)
    try:
        return raw.answer()
    finally:
        raw.close()


def test_names_that_nobody_gets(lab, pair):
    """Refused by the sender's node, and by the receiver's."""
    a, b = pair
    for name in BAD_NAMES:
        assert put(a, b, name, b"x")[0] in (400, 404), name
        assert send_raw(lab, a, b, head("PUT", name, "Content-Length: 1"),
                        b"x") == (400, b"invalid filename\n"), name
    for path in "%", "%4", "%zz", "a%00b", "":
        text = (f"PUT /v0/put/{path} HTTP/1.1\nHost: peer\n"
                "Connection: close\nContent-Length: 1\n\n")
        assert send_raw(lab, a, b, text, b"x")[0] == 400, path
    assert waiting(b) == {}
    assert not os.path.exists(os.path.join(b.state, "files")) or \
        os.listdir(box(b)) == []


def test_a_file_goes_on_where_it_stopped(lab, pair):
    a, b = pair
    data = os.urandom(1_000_000)
    raw = Raw(lab, a, b).send(head("PUT", "f", "Content-Length: 1000000"),
                              data[:400_000])
    partial = f"f.{peer_id(b, a)}.partial"
    wait_until(lambda: os.path.exists(os.path.join(box(b), partial)) and
               os.path.getsize(os.path.join(box(b), partial)) == 400_000,
               "the first part")
    # It comes: nobody else may write it.
    assert send_raw(lab, a, b, head("PUT", "f", "Content-Length: 1"),
                    b"x") == (409, b"file already exists\n")
    raw.close()
    wait_until(lambda: "was not received" in b.log, "the sender to be gone")
    assert waiting(b) == {}
    status, lines = send_raw(lab, a, b, head("GET", "f"))
    assert status == 200
    blocks = [json.loads(x) for x in lines.split(b"\r\n")
              for x in x.splitlines() if x.startswith(b"{")]
    assert [x["size"] for x in blocks] == [65536] * 6 + [400_000 - 6 * 65536]
    assert blocks[0] == {"checksum": sha(data[:65536]), "algo": "sha256",
                         "size": 65536}
    status, names = send_raw(lab, a, b, "GET /v0/put/ HTTP/1.1\nHost: peer\n"
                             "Connection: close\n\n")
    assert status == 200 and json.loads(names) == [partial]
    # A range that it does not have, and ones that are none.
    assert send_raw(lab, a, b, head("PUT", "f", "Range: bytes=500000-",
                                    "Content-Length: 1"), b"x")[0] == 416
    for bad in "bytes=1-2", "bytes=-5", "lines=1-", "bytes=1-,2-":
        assert send_raw(lab, a, b, head("PUT", "f", f"Range: {bad}",
                                        "Content-Length: 1"), b"x")[0] == 400
    # Our own sender compares, and sends what is new: the last block differs.
    changed = data[:393_216] + os.urandom(606_784)
    before = sent_bytes(a)
    assert put(a, b, "f", changed)[0] == 200
    assert sha(take(b, "f")) == sha(changed)
    assert 606_784 < sent_bytes(a) - before < 800_000
    assert os.listdir(box(b)) == ["f"]


def sent_bytes(program):
    return sum(p["TxBytes"] for p in program.status()["Peer"].values())


def test_a_sender_that_says_the_wrong_length(lab, pair):
    a, b = pair
    raw = Raw(lab, a, b).send(head("PUT", "short", "Content-Length: 10"), b"x")
    raw.sock.shutdown(socket.SHUT_WR)
    assert raw.file.read() == b""
    raw.close()
    for fields in (["Content-Length: 5", "Content-Length: 6"],
                   ["Content-Length: -1"], ["Content-Length: 0x5"],
                   ["Content-Length: 5", "Transfer-Encoding: chunked"]):
        assert send_raw(lab, a, b, head("PUT", "bad", *fields),
                        b"hello")[0] == 400, fields
    assert send_raw(lab, a, b, head("PUT", "bad", "Transfer-Encoding: gzip"),
                    b"hello")[0] == 501
    for chunks in (b"z\r\nx\r\n", b"5\r\nhelloX", b"\r\n", b"f" * 40,
                   b"5\nhello"):
        raw = Raw(lab, a, b).send(
            head("PUT", "bad", "Transfer-Encoding: chunked"), chunks)
        assert raw.file.read() == b""
        raw.close()
    status, _ = send_raw(lab, a, b,
                         head("PUT", "good", "Transfer-Encoding: chunked"),
                         b"3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nTrail: er\r\n\r\n")
    assert status == 200 and take(b, "good") == b"abcde"
    assert waiting(b) == {"good": 5}


def test_who_may_send(lab, run):
    """One's own devices, and whom a rule names; if the admin wants it."""
    a, b = (run(n, "sleep", "600").wait_running() for n in ("from", "to"))
    other = run("other", "sleep", "600", key="key-bob").wait_running()
    for x in (a, other):
        wait_until(lambda x=x: target_of(x, b) is not None, "the peers")

    def raw_put(sender):
        return send_raw(lab, sender, b, head("PUT", "x", "Content-Length: 1"),
                        b"x")
    share(lab, a, is_on=False)
    share(lab, b, is_on=False)
    assert target_of(a, b) == 4
    assert put(a, b, "x", b"x")[0] == 500
    status, _, text = ask(a, "GET", "file-targets")
    assert status == 500 and "not enabled" in text["error"]
    refusal = (403, b"Taildrop disabled; no storage directory\n")
    assert raw_put(a) == refusal
    share(lab, a)
    share(lab, b)
    assert raw_put(a)[0] == 200
    assert raw_put(other) == refusal
    assert target_of(other, b) == 9 and target_of(a, b) == 1
    status, _, targets = ask(a, "GET", "file-targets")
    assert [t["Node"]["ComputedName"] for t in targets] == ["to"]
    assert targets[0]["PeerAPIURL"].startswith(f"http://{b.ip}:")
    assert put(other, b, "x", b"x")[0] == 404
    # Rules for both sides.
    everybody = {"SrcIPs": ["*"], "DstPorts": [
        {"IP": "*", "Ports": {"First": 0, "Last": 65535}}]}
    grants = [{"SrcIPs": [f"{x.ip}/32"], "CapGrant": [
        {"Dsts": [f"{y.ip}/32"], "CapMap": {cap: []}}]}
        for x, y, cap in ((other, b, SEND), (b, other, TARGET))]
    lab.command("filter " + json.dumps([everybody, *grants]))
    wait_until(lambda: target_of(other, b) == 1, "the rules")
    wait_until(lambda: raw_put(other)[0] == 200, "the rules at the other end")
    assert put(other, b, "from bob", b"hi")[0] == 200
    assert take(b, "from bob") == b"hi"
    lab.command("offline to")
    wait_until(lambda: target_of(a, b) == 5, "it to be offline")


def test_who_waits_hears_of_it(pair):
    a, b = pair
    news = Watch(b)
    conn = Connection(b.localapi)
    conn.request("GET", API + "files/?waitsec=60")
    status, _, files = ask(b, "GET", "files/?waitsec=1")
    assert (status, files) == (200, [])
    assert ask(b, "GET", "files/?waitsec=x")[0] == 400
    sender_news = Watch(a)
    put(a, b, "hello", b"world")
    assert json.loads(conn.getresponse().read()) == [
        {"Name": "hello", "Size": 5}]
    conn.close()
    done = news.until(lambda n: any(f.get("Done") for f in
                                    n.get("IncomingFiles") or []), "the file")
    assert done["IncomingFiles"][0]["Name"] == "hello"
    assert done["IncomingFiles"][0]["DeclaredSize"] == 5
    news.until(lambda n: n.get("FilesWaiting") == {} and
               n.get("IncomingFiles") == [], "that it waits")
    sent = sender_news.until(
        lambda n: any(f["Finished"] for f in n.get("OutgoingFiles") or []),
        "that it was sent")["OutgoingFiles"][0]
    assert sent["Succeeded"] and sent["Sent"] == sent["DeclaredSize"] == 5
    assert sent["Name"] == "hello" and sent["PeerID"] == peer_id(a, b)
    late = Watch(a, 64)
    late.until(lambda n: n.get("OutgoingFiles"), "what was sent before")
    for w in (news, sender_news, late):
        w.close()


def test_who_waits_and_leaves_is_forgotten(pair):
    """More of them than the LocalAPI has connections."""
    _, b = pair
    for _ in range(100):
        conn = Connection(b.localapi)
        conn.request("GET", API + "files/?waitsec=3600")
        conn.getresponse()  # the head is there
        conn.close()
    assert ask(b, "GET", "files/")[0] == 200


def test_a_directory_of_ones_own(lab, run, tmp_path):
    """Files are there at once; nothing waits."""
    a = run("from", "sleep", "600").wait_running()
    own = tmp_path / "incoming"
    b = run("to", "sleep", "600",
            env={"TSNET_TAILDROP_DIR": str(own)}).wait_running()
    wait_until(lambda: target_of(a, b) == 1, "the target to be one")
    own.mkdir()
    (own / "report.txt").write_text("mine")
    assert put(a, b, "report.txt", b"theirs")[0] == 200
    assert (own / "report.txt").read_text() == "mine"
    assert (own / "report (1).txt").read_text() == "theirs"
    assert waiting(b) == {}
    assert ask(b, "GET", "files/report.txt")[0] == 500
    assert ask(b, "DELETE", "files/report.txt")[0] == 500
    assert (own / "report.txt").exists()
    # A link that somebody planted leads nowhere.
    outside = tmp_path / "outside"
    outside.write_text("safe")
    (own / f"link.{peer_id(b, a)}.partial").symlink_to(outside)
    assert put(a, b, "link", b"evil")[0] == 500
    assert outside.read_text() == "safe"


def test_without_a_state_directory_nothing_is_taken(lab, run):
    a = run("from", "sleep", "600").wait_running()
    run("to", "sleep", "600", state=False)
    wait_until(lambda: lab.node("to"), "the other one")

    class To:
        hostname = "to"
        ip = lab.node("to")["ips"][0]
    wait_until(lambda: target_of(a, To) == 1, "the target to be one")
    status, _, text = put(a, To, "x", b"x")
    assert (status, text) == (403,
                              b"Taildrop disabled; no storage directory\n")


def test_a_disk_that_is_full(lab, run, tmp_path):
    """Told before, where the length says so; in the middle otherwise."""
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "none",
                    str(small)], check=True)
    try:
        a = run("from", "sleep", "600").wait_running()
        b = run("to", "sleep", "600",
                env={"TSNET_TAILDROP_DIR": str(small)}).wait_running()
        wait_until(lambda: target_of(a, b) == 1, "the target to be one")
        status, _, text = put(a, b, "big", os.urandom(4_000_000))
        assert status == 507 and text == b"no space left\n"
        url = (f"http://local-tailscaled.sock{API}file-put/{peer_id(a, b)}/"
               "stream")
        (tmp_path / "data").write_bytes(os.urandom(4_000_000))
        with open(tmp_path / "data", "rb") as f:
            r = subprocess.run(["curl", "-sS", "-w", "%{http_code}",
                                "--unix-socket", a.localapi, "-T", "-", url],
                               stdin=f, capture_output=True, timeout=60)
        assert r.stdout == b"no space left\n507", r
        assert os.listdir(small) == []
        assert put(a, b, "small", b"x" * 1000)[0] == 200
    finally:
        subprocess.run(["umount", "-l", str(small)], check=False)


def test_a_receiver_that_goes_away(lab, pair):
    """In the middle of it: the sender is told, and goes on later."""
    a, b = pair
    conn = Connection(a.localapi)
    conn.putrequest("PUT", f"{API}file-put/{peer_id(a, b)}/f")
    conn.putheader("Content-Length", "2000000")
    conn.endheaders()
    conn.send(os.urandom(1_000_000))
    wait_until(lambda: os.path.isdir(os.path.join(b.state, "files")) and
               os.listdir(box(b)), "the file to come")
    b.stop()
    conn.send(os.urandom(1_000_000))
    reply = conn.getresponse()
    assert reply.status in (502, 504)
    assert b"cannot send to the peer" in reply.read()
    conn.close()
    assert ask(a, "GET", "files/")[0] == 200


def test_what_was_left_is_swept(lab, run):
    """At the next start, when it is old."""
    b = run("to", "sleep", "600").wait_running()
    login = f"alice-example.com-uid-{user_id(b)}"
    files = os.path.join(b.state, "files", login)
    os.makedirs(files)
    for name in "old.n1.partial", "new.n1.partial", "whole":
        with open(os.path.join(files, name), "w", encoding="utf-8") as f:
            f.write("x")
    os.utime(os.path.join(files, "old.n1.partial"),
             (time.time() - 4000, time.time() - 4000))
    b.stop()
    b = run("to", "sleep", "600").wait_running()
    wait_until(lambda: sorted(os.listdir(files)) == ["new.n1.partial",
                                                     "whole"], "the sweep")
    assert waiting(b) == {"whole": 1}


def user_id(program):
    return program.status()["Self"]["UserID"]


def test_a_slow_reader_stops_the_sender(pair, tmp_path):
    """`tailscale file cp -`: its pipe is read as fast as the peer takes it,
    and an end in the middle of it leaves nothing whole."""
    a, b = pair
    url = f"http://local-tailscaled.sock{API}file-put/{peer_id(a, b)}/pipe"
    curl = subprocess.Popen(["curl", "-sS", "--unix-socket", a.localapi, "-T",
                             "-", url], stdin=subprocess.PIPE,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    curl.stdin.write(os.urandom(500_000))
    curl.stdin.flush()
    wait_until(lambda: os.path.isdir(os.path.join(b.state, "files")) and
               os.listdir(box(b)), "the file to come")
    curl.kill()
    curl.wait()
    wait_until(lambda: "was not received" in b.log, "the end to be noticed")
    assert waiting(b) == {}
    assert [n.endswith(".partial") for n in os.listdir(box(b))] == [True]


# -- a peer that answers as it likes ---------------------------------------------

HOSTILE = r"""
import hashlib, json, os, socket, time
while not os.path.exists("port"):
    time.sleep(0.02)
server = socket.socket()
server.bind(("0.0.0.0", int(open("port").read())))
server.listen(16)
print("ready")
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n{}\n"
EMPTY = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"

def block(size=65536, sum="00" * 32, algo="sha256"):
    return (json.dumps({"checksum": sum, "algo": algo, "size": size}) +
            "\n").encode()

def asked(c, name):
    head = b"HTTP/1.1 200 OK\r\n\r\n"
    return {
        "garbage": b"\0\1\2 garbage\r\n\r\n", "nothing": b"",
        "denied": b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n",
        "longline": head + b"x" * 100000, "nojson": head + b"{}\n" * 50,
        "otheralgo": head + block(algo="md5"),
        "toolong": head + block(65537), "negative": head + block(-1),
        "wrong": head + block() * 500,
        "beyond": head + b"".join(
            block(10, hashlib.sha256(b"x" * 10).hexdigest())
            for _ in range(1000)),
        "badchunk": head[:-2] +
            b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
    }.get(name, EMPTY)

def put(c, name, head):
    if name == "early":
        c.sendall(b"HTTP/1.1 403 No\r\nContent-Length: 18\r\n\r\n"
                  b"go \x1b[31maway\r\x07now\n")
        c.shutdown(socket.SHUT_WR)
        while c.recv(65536):  # a reset could overtake the answer
            pass
        return
    if name == "reset":
        c.recv(1000)
        c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                     b"\1\0\0\0\0\0\0\0")
        return
    size = next((int(x.split(b":")[1]) for x in head.split(b"\r\n")
                 if x.lower().startswith(b"content-length")))
    start = next((int(x.split(b"=")[1].rstrip(b"-"))
                  for x in head.split(b"\r\n") if x.startswith(b"Range")), 0)
    sum, got = hashlib.sha256(), 0
    rest = head.split(b"\r\n\r\n", 1)[1]
    while got < size:
        data = rest or c.recv(65536)
        rest = b""
        if not data:
            break
        sum.update(data)
        got += len(data)
    print("put", name, start, got, sum.hexdigest())
    answers = {"hugehead": b"HTTP/1.1 200 OK\r\nA: " + b"x" * 100000,
               "hangup": b"", "nohttp": b"\0" * 300 + b"\r\n\r\n",
               "cut": b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{}",
               "hundred": b"HTTP/1.1 100 Continue\r\n\r\n" * 3 + OK,
               "toend": b"HTTP/1.1 200 OK\r\n\r\n{}\n",
               "large": b"HTTP/1.1 500 X\r\n\r\n" + b"y" * 200000}
    c.sendall(answers.get(name, OK))

while True:
    c, _ = server.accept()
    try:
        head = b""
        while b"\r\n\r\n" not in head:
            head += c.recv(65536) or 1 / 0
        name = head.split()[1].decode().rsplit("/", 1)[1]
        if head.startswith(b"GET"):
            c.sendall(asked(c, name))
        else:
            put(c, name, head)
    except (OSError, ZeroDivisionError, StopIteration):
        pass
    c.close()
"""


def test_a_peer_that_answers_as_it_likes(lab, run):
    a = run("from", "sleep", "600").wait_running()
    b = run("to", "python3", "-u", "-c", HOSTILE,
            options=["--listen", "tailnet"]).wait_running()
    services = lab.node("to")["hostinfo"]["Services"]
    port = next(s["Port"] for s in services if s["Proto"] == "peerapi4")
    with open(os.path.join(b.dir, "port.new"), "w", encoding="utf-8") as f:
        f.write(str(port))
    os.rename(os.path.join(b.dir, "port.new"), os.path.join(b.dir, "port"))
    wait_until(lambda: "ready" in b.out, "the server")
    wait_until(lambda: target_of(a, b) == 1, "the target to be one")
    data = b"x" * 300_000
    # Nonsense about what it has costs nothing but what it could have saved.
    for name in ("garbage", "nothing", "denied", "longline", "nojson",
                 "otheralgo", "toolong", "negative", "wrong", "badchunk",
                 "hundred", "toend"):
        status, _, text = put(a, b, name, data)
        assert (status, text) == (200, b"{}\n"), name
        assert f"put {name} 0 300000 {sha(data)}" in b.out, name
    status, _, _ = put(a, b, "beyond", data)
    assert status == 200
    assert f"put beyond 10000 290000 {sha(data[10000:])}" in b.out
    # More blocks than the file has.
    assert put(a, b, "beyond", b"x" * 25)[0] == 200
    assert f"put beyond 20 5 {sha(b'x' * 5)}" in b.out
    # What it answers goes to somebody's terminal.
    status, _, text = put(a, b, "early", os.urandom(3_000_000))
    assert (status, text) == (403, b"go ?[31maway??now\n")
    for name in "reset", "hugehead", "hangup", "nohttp", "cut":
        status, _, text = put(a, b, name, data)
        assert status == 502 and b"cannot send to the peer" in text, name
    status, _, text = put(a, b, "large", data)
    assert status == 500 and len(text) < 1100
    assert ask(a, "GET", "files/")[0] == 200


# -- several at once -------------------------------------------------------------

def form(parts, boundary="-edge-"):
    """multipart/form-data, as Go's writer makes it."""
    out = b""
    for name, data in parts:
        head = ("Content-Type: application/json" if name is None else
                'Content-Disposition: form-data; name="f"; filename="%s"'
                % name.replace("\\", "\\\\").replace('"', '\\"'))
        out += f"--{boundary}\r\n{head}\r\n\r\n".encode() + data + b"\r\n"
    return out + f"--{boundary}--\r\n".encode()


def post(a, b, files, manifest=None, body=None):
    """All of files, {name: data}, in one request."""
    if manifest is None:
        manifest = [{"ID": f"id-{n}", "Name": n, "DeclaredSize": len(d)}
                    for n, d in files.items()]
    if body is None:
        body = form([(None, json.dumps(manifest).encode()), *files.items()])
    return ask(a, "POST", f"file-put/{peer_id(a, b)}", body,
               {"Content-Type": "multipart/form-data; boundary=-edge-"})


def outgoing(news):
    return {f["Name"]: f for f in news.get("OutgoingFiles") or []}


def test_several_files_at_once(pair):
    """One after the other; watchers know of all from the beginning."""
    a, b = pair
    files = {"large": os.urandom(2_500_000), 'an (odd); name=x': b"one",
             "empty": b"", "März.txt": b"\r\n---edge+\r\n--\r\n" * 30_000}
    news = Watch(a)
    status, _, text = post(a, b, files)
    assert (status, text) == (200, 4 * b"{}\n")
    assert {n: sha(take(b, n)) for n in waiting(b)} == \
        {n: sha(d) for n, d in files.items()}
    seen = outgoing(news.until(lambda n: outgoing(n), "the manifest"))
    assert set(seen) == set(files)
    assert not any(f["Finished"] for f in seen.values())
    done = outgoing(news.until(
        lambda n: outgoing(n) and all(f["Finished"] for f in
                                      outgoing(n).values()), "all of them"))
    for name, data in files.items():
        assert done[name]["Succeeded"], name
        assert done[name]["Sent"] == len(data)
        assert done[name]["ID"] == f"id-{name}"
        assert done[name]["PeerID"] == peer_id(a, b)
    news.close()


def test_several_of_which_one_is_refused(pair):
    """It is the end; those behind it are not sent, and nobody waits for them."""
    a, b = pair
    files = {"first": b"1", "wrong": b"123", "last": b"2"}
    manifest = [{"Name": n, "DeclaredSize": len(d) + (n == "wrong")}
                for n, d in files.items()]
    news = Watch(a)
    status, _, text = post(a, b, files, manifest)
    assert status == 502 and b"shorter than it said" in text
    assert waiting(b) == {"first": 1}
    done = outgoing(news.until(
        lambda n: outgoing(n) and all(f["Finished"] for f in
                                      outgoing(n).values()), "the end"))
    assert {n: f["Succeeded"] for n, f in done.items()} == \
        {"first": True, "wrong": False, "last": False}
    news.close()
    # What its manifest says of a length goes to the peer; more never does.
    manifest[1]["DeclaredSize"] = 2
    status, _, text = post(a, b, files, manifest)
    assert status == 400 and b"longer than the manifest says" in text
    # Without a length it is as long as it is.
    files["unknown"] = files.pop("wrong")
    status, _, _ = post(a, b, files, [{"Name": n} for n in files])
    assert status == 200
    assert waiting(b) == {"first": 1, "unknown": 3, "last": 1}


def test_bodies_that_are_no_form(pair):
    a, b = pair
    one = json.dumps([{"Name": "x", "DeclaredSize": 1}]).encode()
    twice = json.dumps(2 * [{"Name": "x", "DeclaredSize": 1}]).encode()
    for body, words in (
            (b"", "unexpected EOF"), (b"hello", "unexpected EOF"),
            (form([("x", b"1")]), "first MIME part"),
            (form([(None, b"{")]), "invalid manifest"),
            (form([(None, b"{}")]), "invalid manifest"),
            (form([(None, b'[{"Name": "../x"}]')]), "invalid manifest"),
            (form([(None, twice)]), "twice"),
            (form([(None, b'[{"Name": "x"},' + b" " * 300_000)]), "too long"),
            (form([(None, json.dumps([{"Name": f"f{i}"} for i in range(257)])
                    .encode())]), "more than 256"),
            (form([(None, one), ("y", b"1")]), '"y" is not in the manifest'),
            (form([(None, one), ("x", b"1"), ("x", b"1")]), "manifest twice"),
            (form([(None, one), ("x", b"1")])[:-6], "unexpected EOF"),
            (form([(None, one)]).replace(b"json\r", b"\x01\r"), "malformed"),
            (b"---edge-\r\nA: " + b"x" * 9000, "head is too long")):
        status, _, text = post(a, b, None, manifest=(), body=body)
        assert status == 400, (body[:60], text)
        assert words.encode() in text, (body[:60], text)
    assert waiting(b) in ({}, {"x": 1})
    path = f"file-put/{peer_id(a, b)}"
    status, _, text = ask(a, "POST", path, b"x", {"Content-Type": "text/plain"})
    assert status == 400 and b"invalid Content-Type" in text
    assert ask(a, "POST", "file-put/nobody", form([]))[0] == 404
    assert post(a, b, {"after": b"that"})[0] == 200
    assert take(b, "after") == b"that"


def test_several_whose_sender_goes_away(pair):
    """In the middle of the second: the first is there."""
    a, b = pair
    manifest = [{"Name": n, "DeclaredSize": 1_000_000} for n in "xyz"]
    body = form([(None, json.dumps(manifest).encode()),
                 *((n, bytes(1_000_000)) for n in "xyz")])
    news = Watch(a)
    conn = Connection(a.localapi)
    conn.putrequest("POST", f"{API}file-put/{peer_id(a, b)}")
    conn.putheader("Content-Length", str(len(body)))
    conn.putheader("Content-Type", "multipart/form-data; boundary=-edge-")
    conn.endheaders()
    conn.send(body[:1_500_000])
    wait_until(lambda: waiting(b) == {"x": 1_000_000}, "the first")
    conn.close()
    done = outgoing(news.until(
        lambda n: outgoing(n) and all(f["Finished"] for f in
                                      outgoing(n).values()), "the end"))
    assert [done[n]["Succeeded"] for n in "xyz"] == [True, False, False]
    news.close()
