"""What scripts/check-exports refuses: a shim that some program could not load."""
import os
import subprocess

import pytest

from harness import CLEAN_ENV

TOP = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
# What is expected is what a plain name means here.
LIBC, _, LIBC_VERSION = os.confstr("CS_GNU_LIBC_VERSION").partition(" ")
pytestmark = pytest.mark.skipif(
    os.uname().machine != "x86_64" or LIBC != "glibc" or
    tuple(map(int, LIBC_VERSION.split("."))) < (2, 36),
    reason="the names here are those of glibc 2.36 on x86-64")
HOOK = "\n int connect(int fd) { return use(fd); }\n"
HIDDEN = "__attribute__((visibility(\"hidden\"))) "


def check(directory, source, *options):
    """The verdict on a shim whose hook calls use()."""
    subprocess.run(["gcc", "-x", "c", "-", "-w", "-fPIC", "-shared", *options,
                    "-o", str(directory / "libtsnet_shim.so")],
                   input=HIDDEN + source + HOOK, text=True, check=True,
                   timeout=60)
    return subprocess.run(
        [os.path.join(TOP, "scripts/check-exports"), str(directory), "shim"],
        env=CLEAN_ENV, capture_output=True, text=True, timeout=60)


def test_what_every_libc_has(tmp_path):
    done = check(tmp_path, "int use(int fd) { return shutdown(fd, 2); }")
    assert (done.returncode, done.stderr) == (0, "")


# A plain name binds the newest version of the libc that it is linked with.
@pytest.mark.parametrize("call, symbol", [
    ("stat(\"/\", 0)", "stat@GLIBC_2.33"),
    ("pthread_create(0, 0, 0, 0)", "pthread_create@GLIBC_2.34"),
    ("_dl_allocate_tls(0)", "_dl_allocate_tls@GLIBC_PRIVATE")])
def test_what_old_glibcs_lack(tmp_path, call, symbol):
    done = check(tmp_path, f"int use(int fd) {{ return {call}; }}",
                 "-Wl,/lib64/ld-linux-x86-64.so.2")
    assert done.returncode == 1 and symbol in done.stderr, done.stderr


def test_what_the_linker_wants_of_glibc(tmp_path):
    done = check(tmp_path, "int use(int fd) { return close(fd); } static int i;"
                 "__attribute__((used)) static int *table[] = {&i, &i};",
                 "-Wl,-z,pack-relative-relocs")
    assert done.returncode == 1 and "GLIBC_ABI_DT_RELR" in done.stderr, \
        done.stderr


def test_what_musl_lacks(tmp_path):
    done = check(tmp_path, "int use(int fd) { return __poll_chk(0, 0, 0, 0); }")
    assert done.returncode == 1 and "__poll_chk" in done.stderr, done.stderr


def test_what_nobody_has(tmp_path):
    done = check(tmp_path, "int use(int fd) { return close(fd) + whose(); }")
    assert done.returncode == 1 and "whose" in done.stderr, done.stderr


def test_in_a_place_called_san(tmp_path):
    """Only the build directory's own name speaks of sanitizers."""
    place = tmp_path / "san" / "build"
    place.mkdir(parents=True)
    done = check(place, "int use(int fd) { return whose(); }")
    assert done.returncode == 1, done.stderr
