"""Fixtures of the end-to-end tests.

Every test gets a tailnet of its own in a network namespace that has nothing
but loopback. A test that only "connects" proves nothing: check content, peer
identity and path.
"""
import ctypes
import signal
import stat

import pytest

from harness import Lab, Program, set_loopback_up
from passed import pytest_runtest_logreport  # noqa: F401 - a hook

CLONE_NEWNET = 0x40000000
LIBC = ctypes.CDLL(None, use_errno=True)


@pytest.fixture(scope="session", autouse=True)
def reachable(tmp_path_factory):
    """Programs that change their user still find their files."""
    base = tmp_path_factory.getbasetemp()
    for directory in (base, base.parent):
        mode = directory.stat().st_mode
        if not mode & (stat.S_ISVTX | 0o001):  # not /tmp itself
            directory.chmod(mode | 0o055)


@pytest.fixture(scope="session", autouse=True)
def interrupts():
    """A shell's job in the background ignores them, and so would all that it
    starts."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def network():
    """A port in TIME_WAIT, or whatever else one test leaves, is not in the
    next one's way."""
    if LIBC.unshare(CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "cannot make a network namespace")
    set_loopback_up()


@pytest.fixture
def make_lab(tmp_path):
    """Start labs with options; all are stopped at the end."""
    labs = []

    def make(*args):
        directory = tmp_path / f"lab{len(labs)}"
        directory.mkdir()
        labs.append(Lab(directory, *args))
        return labs[-1]
    yield make
    for lab in labs:
        lab.close()


@pytest.fixture
def lab(make_lab):
    return make_lab()


@pytest.fixture
def run(lab, tmp_path):
    """run(hostname, *argv, ...) starts a program under tsrun."""
    programs = []

    def start(hostname, *argv, **kwargs):
        programs.append(Program(kwargs.pop("lab", lab), tmp_path, hostname,
                                *argv, **kwargs))
        return programs[-1]
    yield start
    for program in programs:
        if program.process.poll() is None:
            program.stop()


@pytest.fixture
def call(run):
    """call(hostname, *argv) runs a program under tsrun to its end; its Program
    with .status_code set."""
    def go(hostname, *argv, timeout=None, **kwargs):
        program = run(hostname, *argv, **kwargs)
        program.code = program.wait(timeout)
        return program
    return go
