# SPDX-License-Identifier: BSD-3-Clause
"""What a case of the matrix is.

A case is data: files, the servers to start, the calls to make, and what must
be seen. scene.py plays it. Commands are for sh(1), in a directory of the
case's own. In commands, files and expectations these words stand for others:

    @dir@ @www@ @src@ @bin@     the case's directory, its document root,
                                tests/apps/src, build/apps
    @host@                      whom a call asks: the server, once by its
                                MagicDNS name and once by its address
    @name:N@ @ip:N@ @ip6:N@     the node N, which has been started before
    @server@ @client@           in expectations: any address of that node
"""
from dataclasses import dataclass, field

PAGE = "<p>page</p>\n"


@dataclass
class Server:
    """A program that stays; it is ready when all that is named is there."""
    run: str
    name: str = "server"
    tcp: int = 0            # it listens at this port of its own
    udp: int = 0
    ready: str = ""         # a pattern of its output
    file: str = ""          # a file that it makes
    user: str = ""          # another user than root
    joins: bool = True      # it is a node, also in-process
    probe: str = ""         # a command outside the tailnet that succeeds


@dataclass
class Call:
    """A command that ends, with status 0 unless `code` says another."""
    run: str
    out: str = None         # all of its standard output
    has: tuple = ()         # patterns of its standard output and error
    name: str = "client"    # the node that it is
    by: tuple = ("name", "address")
    to: str = "server"      # the node that @host@ is
    code: int = 0
    seconds: int = 40
    native: bool = False    # runs on the host, not in the tailnet


@dataclass
class Case:
    name: str
    does: str               # the row of the table, in a few words
    programs: str           # the first is the row's subject
    servers: list
    calls: list
    files: dict = field(default_factory=dict)
    prepare: str = ""       # before the servers, outside the tailnet
    # Where the caller's tailnet address must turn up: "NODE" for what that
    # node printed, else a file; not needed when an expectation has @client@.
    seen: str = "server"
    root: bool = False      # needs root: changes users
    limits: dict = field(default_factory=dict)  # mode -> why it cannot
    loopback: bool = True   # the same case works without any tailnet
    seconds: int = 90       # of the whole case


def prints_peer(call):
    """The call itself shows whom the server saw."""
    return "@client@" in "".join((call.out or "", *call.has))
