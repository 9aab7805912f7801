"""cpython_main.py MODULE RESULTS [--host NAME --host4 A --host6 A] [--relay S]

One module of CPython's own test suite, with the addresses that its servers
and clients use (test.support.socket_helper's HOST, HOSTv4, HOSTv6) replaced.
Each outcome is appended to RESULTS as "OUTCOME ID", so that a test that hangs
is known by what stands there last; ids that are there already are not run
again, nor are those that --match does not match. With --relay, what connects
to these addresses goes to a peer instead, which carries it back (relay.py).
"""
import argparse
import ast
import faulthandler
import fnmatch
import importlib
import importlib.abc
import importlib.machinery
import os
import socket
import sys
import unittest

from test import support
from test.support import socket_helper

HANG_S = 60
MEANS_US_BY_LOCALHOST = ("test_ssl", "test_httplib")


class Outcomes(unittest.TextTestResult):
    """Writes each outcome down as soon as it is known."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.worst = None

    def startTest(self, test):
        super().startTest(test)
        self.worst = "ok"
        note("running", test)
        faulthandler.dump_traceback_later(HANG_S, exit=True)

    def stopTest(self, test):
        faulthandler.cancel_dump_traceback_later()
        super().stopTest(test)
        note(self.worst, test)

    def addError(self, test, err):
        super().addError(test, err)
        self.fail_test(test)

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self.fail_test(test)

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err is not None:
            self.fail_test(test)

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        if self.worst == "ok":
            self.worst = "skip"

    def addUnexpectedSuccess(self, test):
        super().addUnexpectedSuccess(test)
        self.fail_test(test)

    def fail_test(self, test):
        # setUpClass and setUpModule have no test of their own
        if not isinstance(test, unittest.TestCase):
            note("fail", test)
        self.worst = "fail"


class Addresses(ast.NodeTransformer):
    """Where a module has the address written out: everywhere, messages
    included, or only where it is given a name (others are certificates' and
    parsers' examples)."""

    def __init__(self, hosts, everywhere):
        self.hosts, self.everywhere = hosts, everywhere

    def visit_Assign(self, node):
        if isinstance(node.value, ast.Constant):
            node.value = self.replaced(node.value)
        return self.generic_visit(node)

    def visit_Constant(self, node):
        return self.replaced(node) if self.everywhere else node

    def replaced(self, node):
        if not isinstance(node.value, str):
            return node
        text = self.hosts.get(node.value, node.value)
        if self.everywhere:
            text = text.replace("127.0.0.1", self.hosts["127.0.0.1"])
        return ast.copy_location(ast.Constant(text), node)


class Loader(importlib.machinery.SourceFileLoader):
    hosts = {}

    def source_to_code(self, data, path, *, _optimize=-1):
        tree = Addresses(self.hosts, "asyncio" in path).visit(
            ast.parse(data, path))
        return compile(ast.fix_missing_locations(tree), path, "exec",
                       dont_inherit=True, optimize=_optimize)

    def get_code(self, fullname):
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path), path)


class Finder(importlib.abc.MetaPathFinder):
    """Modules of the suite that spell the loopback address out."""

    def find_spec(self, fullname, path, target=None):
        if not fullname.startswith(("test.test_asyncio", "test.test_ssl")):
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path)
        if spec and spec.origin and spec.origin.endswith(".py"):
            spec.loader = Loader(fullname, spec.origin)
        return spec


def note(outcome, test):
    with open(OPTIONS.results, "a", encoding="utf-8") as f:
        name = test.id() if hasattr(test, "id") else str(test)
        f.write(f"{outcome} {name}\n")


def use_hosts(host, host4, host6):
    defaults = socket_helper.bind_port.__defaults__
    socket_helper.bind_port.__defaults__ = tuple(
        host if value == socket_helper.HOST else value for value in defaults)
    socket_helper.HOST = host
    socket_helper.HOSTv4 = host4
    socket_helper.HOSTv6 = host6
    Loader.hosts = {"127.0.0.1": host4, "::1": host6}
    sys.meta_path.insert(0, Finder())


def redirect_sockets():
    """What binds or connects to localhost, for which the suite has
    certificates, gets our address; and with a relay, what connects there goes
    to the peer's port for it."""
    real_bind = socket.socket.bind
    real_connect = socket.socket.connect
    real_connect_ex = socket.socket.connect_ex
    # FTP's data connections go to the address that the control connection
    # has: the peer's, but with our port.
    hosts = (OPTIONS.host, OPTIONS.host4, OPTIONS.host6, *OPTIONS.relay_hosts)
    means_us = OPTIONS.module in MEANS_US_BY_LOCALHOST

    def to_us(sock, address):
        if (means_us and isinstance(address, tuple) and
                sock.family == socket.AF_INET and
                address[0] in ("localhost", "127.0.0.1")):
            return (OPTIONS.host4,) + tuple(address[1:])
        return address

    def redirect(sock, address):
        address = to_us(sock, address)
        if (not OPTIONS.relay or not isinstance(address, tuple) or
                sock.family == socket.AF_UNIX or address[0] not in hosts or
                sock.type != socket.SOCK_STREAM):
            return address
        is_v6 = sock.family == socket.AF_INET6
        own = OPTIONS.host6 if is_v6 else OPTIONS.host4
        with socket.socket(socket.AF_UNIX) as control:
            real_connect(control, OPTIONS.relay)
            control.sendall(f"{own} {address[1]}\n".encode())
            host, port = control.makefile().readline().split()
        return (host, int(port)) + tuple(address[2:])

    socket.socket.bind = lambda s, a: real_bind(s, to_us(s, a))
    socket.socket.connect = lambda s, a: real_connect(s, redirect(s, a))
    socket.socket.connect_ex = lambda s, a: real_connect_ex(s, redirect(s, a))


def done_before():
    if not os.path.exists(OPTIONS.results):
        return set()
    with open(OPTIONS.results, encoding="utf-8") as f:
        return {line.split(" ", 1)[1].rstrip("\n") for line in f}


def flat(suite):
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            yield from flat(test)
        else:
            yield test


def main():
    if OPTIONS.host:
        use_hosts(OPTIONS.host, OPTIONS.host4, OPTIONS.host6)
        redirect_sockets()
    support.verbose = 0
    support.use_resources = {"subprocess": None, "cpu": None}
    if OPTIONS.module == "test_socketserver":
        support.use_resources["network"] = None  # it means loopback
    module = importlib.import_module(f"test.{OPTIONS.module}")
    known = done_before()
    suite = unittest.TestSuite(
        test for test in flat(unittest.defaultTestLoader.loadTestsFromModule(
            module)) if test.id() not in known and
        fnmatch.fnmatchcase(test.id(), OPTIONS.match))
    unittest.TextTestRunner(resultclass=Outcomes, verbosity=0,
                            warnings="ignore").run(suite)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("module")
    parser.add_argument("results")
    parser.add_argument("--match", default="*")
    parser.add_argument("--host")
    parser.add_argument("--host4")
    parser.add_argument("--host6")
    parser.add_argument("--relay")
    parser.add_argument("--relay-hosts", nargs="*", default=[])
    OPTIONS = parser.parse_args()
    main()
