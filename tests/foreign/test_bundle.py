"""The bundle in root file systems that have nothing of ours."""
import os
import subprocess

from conftest import debian_root

FACTS = ["ok place", "ok hosted", "ok datagrams", "ok static programs",
         "ok static programs: datagrams", "ok in-process client",
         "ok in-process server", "done"]


def facts(printed):
    return [line for line in printed.splitlines()
            if line.startswith("ok ") or line == "done"]


def test_in_a_musl_root(enter, musl_root):
    printed = enter(musl_root, "/bin/sh", "/opt/test/scenario.sh", "probe")
    assert facts(printed) == FACTS[:-1] + ["ok no roots", "done"], printed


def test_in_a_later_release(enter):
    printed = enter(debian_root("trixie"), "/bin/sh",
                    "/opt/test/scenario.sh", "stock")
    assert facts(printed) == FACTS, printed


def test_in_an_earlier_release(enter):
    """Its glibc is older than what libtsnet.so was built with: the hosted way
    works all the same, and in-process says why it cannot."""
    printed = enter(debian_root("bullseye"), "/bin/sh",
                    "/opt/test/scenario.sh", "old")
    assert facts(printed) == FACTS[:5] + ["ok in-process refused",
                                          "done"], printed


def test_what_is_packed(bundle):
    files = {os.path.relpath(os.path.join(where, name), bundle)
             for where, _, names in os.walk(bundle) for name in names}
    for wanted in ("bin/tsrun", "lib/tsnet-shim/tsnet-host",
                   "lib/tsnet-shim/libtsnet_shim.so", "include/tsnet.h",
                   "lib/tsnet-shim/libtsnet.so",
                   "lib/tsnet-shim/libtsnet-musl.so", "share/man/man1/tsrun.1",
                   "share/doc/tsnet-shim/LICENSE",
                   "share/doc/tsnet-shim/licenses/openssl.txt",
                   "share/doc/tsnet-shim/licenses/lwip.txt",
                   "share/doc/tsnet-shim/licenses/SOURCES"):
        assert wanted in files
    assert ("share/doc/tsnet-shim/licenses/ipsec-mb.txt" in files) == \
        (os.uname().machine == "x86_64")
    for name in files:
        path = os.path.join(bundle, name)
        assert os.stat(path).st_mode & 0o022 == 0, name
        with open(path, "rb") as f:
            assert b"/build/deps/" not in f.read(), \
                f"{name} names the place where it was built"


def test_moved(bundle, tmp_path):
    """tsrun finds its files from wherever it was unpacked, and by a link."""
    subprocess.run(["cp", "-r", bundle, tmp_path / "somewhere else"],
                   check=True)
    link = tmp_path / "tsrun"
    link.symlink_to(tmp_path / "somewhere else" / "bin" / "tsrun")
    done = subprocess.run([link, "--version"], capture_output=True, text=True,
                          check=True)
    assert done.stdout.startswith("tsrun ")
