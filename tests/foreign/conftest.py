"""Roots of others: made once, kept below build/foreign."""
import os
import subprocess
import sys

import pytest

TOP = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
HERE = os.path.join(TOP, "tests/foreign")
WORK = os.path.join(TOP, "build/foreign")
ARCH = os.uname().machine
MUSL = os.path.join(TOP, "build/deps", f"{ARCH}-linux-musl")
CLEAN_ENV = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}


def output(*command, **kwargs):
    """Run a command; what it printed, or the test fails with both outputs."""
    done = subprocess.run(command, text=True, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          **kwargs)
    if done.returncode:
        pytest.fail(f"{command[0]}: status {done.returncode}\n{done.stdout}")
    return done.stdout


@pytest.fixture(scope="session")
def bundle():
    """The unpacked tarball, as somebody who fetched it has it."""
    tarballs = [f for f in os.listdir(os.path.join(TOP, "build/bundle"))
                if f.endswith(f"-{ARCH}.tar.xz")]
    assert len(tarballs) == 1, tarballs
    directory = os.path.join(WORK, "unpacked")
    os.makedirs(directory, exist_ok=True)
    output("tar", "-xf", os.path.join(TOP, "build/bundle", tarballs[0]),
           "-C", directory)
    return os.path.join(directory, tarballs[0][:-len(".tar.xz")])


@pytest.fixture(scope="session")
def test_files():
    """What the scenario needs beside the bundle; linked statically, or to
    musl."""
    directory = os.path.join(WORK, "test")
    os.makedirs(directory, exist_ok=True)
    compiler = os.path.join(MUSL, "bin", f"{ARCH}-linux-musl-gcc")
    for name, how in (("libc_probe", "-pie"), ("static_probe", "-static")):
        output(compiler, "-O1", "-D_GNU_SOURCE", how,
               os.path.join(HERE, "libc_probe.c"), "-o",
               os.path.join(directory, name))
    lab = os.path.join(TOP, "build", f"{ARCH}-linux-musl", "tsnet-lab")
    for file in (lab, os.path.join(HERE, "scenario.sh"),
                 os.path.join(HERE, "udp_probe.py")):
        output("install", "-m", "755", file, directory)
    return directory


@pytest.fixture(scope="session")
def docker_filter():
    path = os.path.join(WORK, "docker.bpf")
    python = "/usr/bin/python3"  # the one that Debian's module belongs to
    with open(path, "wb") as f:
        subprocess.run([python, os.path.join(HERE, "docker_filter.py")],
                       stdout=f, check=True)
    return path


def make_root(name, build):
    """build(directory) makes it; a half-made one is not taken for whole."""
    root = os.path.join(WORK, "roots", name)
    if not os.path.exists(root + ".done"):
        subprocess.run(["rm", "-rf", root], check=True)
        os.makedirs(root)
        build(root)
        for mount in ("proc", "dev", "tmp", "opt"):
            os.makedirs(os.path.join(root, mount), exist_ok=True)
        with open(root + ".done", "w", encoding="utf-8"):
            pass
    return root


def debian_root(release):
    """Another release than ours, with stock programs and none of our
    libraries but those of curl."""
    if os.getuid() != 0:
        pytest.skip("debootstrap needs root")
    mirror = output("sh", "-c", "apt-get indextargets --format "
                    "'$(REPO_URI) $(RELEASE)' | sed -n 's/ bookworm$//p' | "
                    "head -n 1").strip() or "http://deb.debian.org/debian"

    def build(root):
        print(f"debootstrap {release}", file=sys.stderr)
        output("debootstrap", "--variant=minbase",
               "--include=python3,curl,ca-certificates", release, root,
               mirror, env=CLEAN_ENV)
    return make_root(release, build)


@pytest.fixture(scope="session")
def musl_root():
    """musl's dynamic linker and busybox, and nothing else."""
    def build(root):
        os.makedirs(os.path.join(root, "lib"))
        os.makedirs(os.path.join(root, "bin"))
        output("install", "-m", "755", os.path.join(MUSL, "lib/libc.so"),
               os.path.join(root, f"lib/ld-musl-{ARCH}.so.1"))
        busybox = output("sh", "-c", "command -v busybox").strip()
        output("install", "-m", "755", busybox,
               os.path.join(root, "bin/busybox"))
        for applet in output(busybox, "--list").split():
            if applet != "busybox":
                os.symlink("busybox", os.path.join(root, "bin", applet))
    return make_root("musl", build)


@pytest.fixture
def enter(bundle, test_files, docker_filter):
    """enter(root, command...): in that root, as a container would be that has
    no capability, no root, no /dev/net/tun, Docker's system calls, and a
    network of its own with nothing but loopback."""
    def run(root, *command, opt=bundle):
        with open(docker_filter, "rb") as filter_file:
            fd = filter_file.fileno()
            return output(
                "bwrap", "--unshare-all", "--uid", "1000", "--gid", "1000",
                "--ro-bind", root, "/", "--proc", "/proc", "--dev", "/dev",
                "--tmpfs", "/tmp", "--tmpfs", "/opt",
                "--ro-bind", opt, "/opt/tsnet",
                "--ro-bind", test_files, "/opt/test",
                "--remount-ro", "/opt", "--remount-ro", "/",
                "--cap-drop", "ALL", "--die-with-parent", "--new-session",
                "--seccomp", str(fd), *command,
                pass_fds=[fd], env=CLEAN_ENV, timeout=90)
    return run
