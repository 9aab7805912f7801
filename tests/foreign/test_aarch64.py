"""The aarch64 build under qemu-user: programs of both C libraries talk over the
embedded tailnet, all of them (lab, host, programs) emulated. In a user namespace
of its own, in which the kernel knows qemu, so that programs may start each other.

LD_PRELOAD reaches the emulator too, whose own linker says on stderr that the shim
is of another machine, so tests of an empty stderr are left out."""
import os
import shutil
import subprocess
import tempfile

import pytest

from conftest import ARCH, CLEAN_ENV, HERE, TOP, WORK, output

MUSL = os.path.join(TOP, "build/deps/aarch64-linux-musl")
BUILD = os.path.join(TOP, "build/aarch64-linux-musl")
SYSROOT = "/usr/aarch64-linux-gnu"

pytestmark = pytest.mark.skipif(ARCH == "aarch64" or not shutil.which(
    "qemu-aarch64"), reason="qemu-aarch64 is for other machines")


@pytest.fixture(scope="session")
def stage():
    """A build directory as the end-to-end tests want it."""
    directory = os.path.join(WORK, "aarch64")
    os.makedirs(directory, exist_ok=True)
    output(os.path.join(TOP, "scripts/build-static"), "aarch64", "tsnet-host",
           "tsnet-lab", "tsrun", cwd=TOP)
    output("make", "--no-print-directory", "CC=aarch64-linux-gnu-gcc",
           "BUILD=build/aarch64-linux-gnu",
           "build/aarch64-linux-gnu/libtsnet_shim.so", cwd=TOP)
    output(os.path.join(TOP, "scripts/check-exports"),
           os.path.join(TOP, "build/aarch64-linux-gnu"), "shim", cwd=TOP)
    for name in ("tsnet-host", "tsnet-lab", "tsrun"):
        output("install", "-m", "755", os.path.join(BUILD, name), directory)
    output("install", os.path.join(TOP, "build/aarch64-linux-gnu",
                                   "libtsnet_shim.so"), directory)
    return directory


@pytest.fixture(scope="session")
def libcs():
    """A prefix in which qemu finds the linkers and C libraries."""
    prefix = os.path.join(WORK, "aarch64-libcs")
    lib = os.path.join(prefix, "lib")
    os.makedirs(lib, exist_ok=True)
    for name in os.listdir(os.path.join(SYSROOT, "lib")):
        if ".so" in name:
            shutil.copy(os.path.join(SYSROOT, "lib", name), lib)
    shutil.copy(os.path.join(MUSL, "lib/libc.so"),
                os.path.join(lib, "ld-musl-aarch64.so.1"))
    return prefix


def emulated(*command, **env):
    done = subprocess.run(
        ["unshare", "-Urmn", os.path.join(HERE, "with_binfmt.sh"), *command],
        env=dict(CLEAN_ENV, **env), cwd=TOP, text=True, timeout=400,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT)
    if done.returncode == 77:
        pytest.skip(done.stdout.strip())
    return done


def end_to_end(stage, libcs, which):
    short = tempfile.mkdtemp(prefix="a64-")  # sockets lie in there
    done = emulated(os.path.join(TOP, "scripts/run-e2e"), "--inside",
                    "--basetemp", os.path.join(short, "t"),
                    "tests/e2e/test_musl.py", "-k", which,
                    BUILD=stage, QEMU_LD_PREFIX=libcs,
                    PATH=os.path.join(MUSL, "bin") + ":" + CLEAN_ENV["PATH"],
                    GLIBC_GCC="aarch64-linux-gnu-gcc",
                    MUSL_GCC="aarch64-linux-musl-gcc")
    shutil.rmtree(short)
    assert done.returncode == 0 and "4 passed" in done.stdout, done.stdout


def test_programs_talk(stage, libcs):
    end_to_end(stage, libcs, "libcs_talk")


def test_datagrams_talk(stage, libcs):
    end_to_end(stage, libcs, "datagrams_talk")
