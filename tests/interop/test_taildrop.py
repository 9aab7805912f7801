"""Taildrop with a real tailscaled at the other end, by the stock CLI at ours:
both ways, with what was cut off in between."""
import hashlib
import os
import subprocess

import pytest

from conftest import (PEER_ENV, PEERS, LabControl, Tailscaled, start_ours,
                      tailscale)
from harness import Lab, wait_until


def sha(path):
    with open(path, "rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def some_file(path, size):
    path.write_bytes(os.urandom(size))
    return path


class Site:
    """A tailscaled and a node of ours, of one user."""

    def __init__(self, lab, keep, tmp_path):
        control = LabControl(lab)
        (tmp_path / "tsd").mkdir()
        self.theirs = keep(Tailscaled(control, tmp_path / "tsd", "theirs"))
        self.ours = keep(start_ours(control, tmp_path, "ours", "sleep", "600"))
        self.ours.wait_running()
        self.their_files = tmp_path / "their-files"
        self.our_files = tmp_path / "our-files"
        self.their_files.mkdir()
        self.our_files.mkdir()
        wait_until(lambda: "theirs" in self.cli("file cp --targets").stdout and
                   "ours" in self.their_cli("file cp --targets").stdout,
                   "both to be targets", 60)

    def cli(self, args, **kwargs):
        return self.run(self.ours.localapi, args, **kwargs)

    def their_cli(self, args, **kwargs):
        return self.run(self.theirs.socket, args, **kwargs)

    @staticmethod
    def run(sock, args, **kwargs):
        argv = args.split() if isinstance(args, str) else list(args)
        return subprocess.run([f"{PEERS}/tailscale", f"--socket={sock}",
                               *argv], capture_output=True, text=True,
                              env=PEER_ENV, timeout=90, **kwargs)


@pytest.fixture
def site(tmp_path, keep):
    directory = tmp_path / "lab"
    directory.mkdir()
    return Site(keep(Lab(directory)), keep, tmp_path)


def check(result):
    assert result.returncode == 0, result.stdout + result.stderr
    return result


def test_files_both_ways(site, tmp_path):
    """files of ours to tailscaled and back, by `tailscale file cp|get`"""
    name = "photos of März (1).tar.gz"
    path = some_file(tmp_path / name, 20_000_000)
    check(site.cli(["file", "cp", "--verbose", str(path), "theirs:"]))
    check(site.their_cli(f"file get --wait {site.their_files}"))
    assert sha(site.their_files / name) == sha(path)
    # Back, while we wait.
    back = some_file(tmp_path / "back.bin", 20_000_000)
    waits = subprocess.Popen(
        [f"{PEERS}/tailscale", f"--socket={site.ours.localapi}", "file", "get",
         "--wait", "--verbose", str(site.our_files)], env=PEER_ENV,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    check(site.their_cli(["file", "cp", str(back), str(path), "ours:"]))
    out = waits.communicate(timeout=60)[0]
    assert waits.returncode == 0 and "wrote back.bin" in out, out
    check(site.cli(f"file get {site.our_files}"))
    assert sha(site.our_files / "back.bin") == sha(back)
    assert sha(site.our_files / name) == sha(path)


def test_a_pipe_both_ways(site):
    """a pipe without a length, both ways"""
    text = "line\n" * 400_000
    check(site.cli("file cp --name=pipe.txt - theirs:", input=text))
    check(site.their_cli(f"file get {site.their_files}"))
    assert (site.their_files / "pipe.txt").read_text() == text
    check(site.their_cli("file cp --name=pipe.txt - ours:", input=text))
    check(site.cli(f"file get {site.our_files}"))
    assert (site.our_files / "pipe.txt").read_text() == text


def test_conflicts(site, tmp_path):
    """names that are taken: in the inbox, and `file get --conflict`"""
    for content in "one", "two", "two":
        (tmp_path / "a.txt").write_text(content)
        check(site.their_cli(["file", "cp", str(tmp_path / "a.txt"), "ours:"]))
    check(site.cli(f"file get {site.our_files}"))
    assert {p.name: p.read_text() for p in site.our_files.iterdir()} == {
        "a.txt": "one", "a (1).txt": "two"}
    (tmp_path / "a.txt").write_text("three")
    check(site.their_cli(["file", "cp", str(tmp_path / "a.txt"), "ours:"]))
    skipped = site.cli(f"file get {site.our_files}")
    assert skipped.returncode == 1 and "refusing to overwrite" in \
        skipped.stdout + skipped.stderr
    check(site.cli(f"file get --conflict=rename {site.our_files}"))
    assert (site.our_files / "a (2).txt").read_text() == "three"
    check(site.their_cli(["file", "cp", str(tmp_path / "a.txt"), "ours:"]))
    check(site.cli(f"file get --conflict=overwrite {site.our_files}"))
    assert (site.our_files / "a.txt").read_text() == "three"


def partials(directory):
    return [os.path.join(d, f) for d, _, files in os.walk(directory)
            for f in files if f.endswith(".partial")]


@pytest.mark.parametrize("way", ["to tailscaled", "from tailscaled"])
def test_a_transfer_goes_on(site, tmp_path, way):
    """a transfer that was cut off goes on where it stopped"""
    there = way == "to tailscaled"
    path = some_file(tmp_path / "large", 8_000_000)
    source, target = ((site.ours.localapi, "theirs:") if there else
                      (site.theirs.socket, "ours:"))
    inbox = os.path.join(tmp_path, "tsd", "files") if there else \
        os.path.join(site.ours.state, "files")
    # Slowed down by the CLI, which is ended in the middle.
    first = subprocess.Popen(
        [f"{PEERS}/tailscale", f"--socket={source}", "file", "cp",
         "--name=large", "-", target], env=PEER_ENV, stdin=subprocess.PIPE)
    with open(path, "rb") as f:
        head = f.read(5_000_000)
    first.stdin.write(head)
    first.stdin.flush()
    wait_until(lambda: partials(inbox) and
               os.path.getsize(partials(inbox)[0]) > 500_000, "some of it", 40)
    first.kill()
    first.wait()
    size = os.path.getsize(partials(inbox)[0])
    assert 0 < size <= len(head)
    wait_until(lambda: (site.run(source, ["file", "cp", str(path), target])
                        .returncode == 0), "the rest", 60)
    assert not partials(inbox)
    get = site.their_cli if there else site.cli
    out = site.their_files if there else site.our_files
    check(get(f"file get {out}"))
    assert sha(out / "large") == sha(path)
    if there:
        assert "taildrop: a file goes on at byte" in site.ours.log
    else:
        assert "resuming put at offset" in site.theirs.daemon.log


def test_status_and_refusals(site, tmp_path):
    """what the CLI says of targets that are none"""
    missing = site.cli(["file", "cp", str(tmp_path / "nothing"), "theirs:"])
    assert missing.returncode == 1 and "no such file" in missing.stderr
    (tmp_path / "x.partial").write_text("x")
    bad = site.cli(["file", "cp", str(tmp_path / "x.partial"), "theirs:"])
    assert bad.returncode == 1 and "invalid filename" in bad.stderr
    nobody = site.cli(["file", "cp", str(tmp_path / "x.partial"),
                       "100.64.9.9:"])
    assert nobody.returncode == 1
    assert tailscale(site.ours.localapi, "file", "get",
                     "/nowhere").returncode == 1
    check(site.cli("file get /dev/null"))


def test_a_loop(site, tmp_path):
    """`file get --loop`, while files come one after the other"""
    loop = subprocess.Popen(
        [f"{PEERS}/tailscale", f"--socket={site.ours.localapi}", "file", "get",
         "--loop", str(site.our_files)], env=PEER_ENV)
    try:
        for i in range(3):
            path = some_file(tmp_path / f"{i}.bin", 100_000 * i)
            check(site.their_cli(["file", "cp", str(path), "ours:"]))
            got = site.our_files / path.name
            wait_until(lambda got=got, path=path: got.exists() and
                       sha(got) == sha(path), f"file {i}")
        assert loop.poll() is None
    finally:
        loop.kill()
        loop.wait()
    # Who waited has gone, and the next one gets its turn.
    check(site.cli(f"file get {site.our_files}"))
