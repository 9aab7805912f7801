"""Names by every way that programs ask for them."""
import os
import socket
import struct
import subprocess
import textwrap

import pytest

from harness import needs, wait_until

WEB = "web.lab.ts.net"


@pytest.fixture
def web(run):
    """A node with a name to be found."""
    return run("web", "sleep", "600", key="key-bob").wait_running()


@pytest.fixture
def ask(call, web):
    """ask(*argv) runs a program beside it once the node is up; what it says."""
    def go(*argv, code=0, **kwargs):
        kwargs.setdefault("options", ("--wait",))
        program = call("asker", *argv, **kwargs)
        assert program.code == code, (program.out, program.err, program.log)
        return program.out
    return go


@needs("dig")
def test_dig_by_tcp(ask, web):
    out = ask("dig", "+tcp", "+noall", "+answer", "+comments",
              "@100.100.100.100", WEB)
    assert "status: NOERROR" in out
    assert f"IN\tA\t{web.ip}" in out


@needs("dig")
def test_dig_by_tcp_says_what_is_not_there(ask):
    out = ask("dig", "+tcp", "@100.100.100.100", "nobody.lab.ts.net")
    assert "status: NXDOMAIN" in out and "IN\tSOA" in out
