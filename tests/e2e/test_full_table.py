"""A program that has no descriptor left needs none for the tailnet."""
import os
import sys

from harness import wait_until

APPS = os.path.join(os.path.dirname(__file__), "apps")
SERVER = """
import socket, socketserver, threading
class Lines(socketserver.StreamRequestHandler):
    def handle(self):
        self.wfile.write(self.rfile.readline())
class Datagrams(socketserver.BaseRequestHandler):
    def handle(self):
        data, s = self.request
        s.sendto(data, self.client_address)
threading.Thread(target=socketserver.UDPServer(
    ("0.0.0.0", 7000), Datagrams).serve_forever).start()
socketserver.TCPServer(("0.0.0.0", 7000), Lines).serve_forever()
"""


def test_full_table_of_descriptors(run, call):
    server = run("server", sys.executable, "-c", SERVER)
    server.wait_running().wait_listening(7000)
    full = run("full", sys.executable, os.path.join(APPS, "full_table.py"),
               server.ip, "7000", "7070")
    wait_until(lambda: "serving" in full.out or full.alive() is None,
               "the full program to serve")
    caller = call("caller", "sh", "-c", f"echo hi | nc -N -w 20 {full.ip} 7070")
    assert caller.code == 0, caller.err
    assert full.wait() == 0, full.err
    assert full.out.splitlines() == [
        "full: 24",
        f"tcp: b'hello\\n' ('{server.ip}', 7000)",
        f"udp: b'word' ('{server.ip}', 7000)",
        "threads: 1", "serving",
        f"served: b'hi\\n' {caller.ip}"]
