"""A long-lived program that connects whenever it is told to: a line on a host
socket is sent to the tailnet server and its answer comes back."""
import os
import socket

from harness import wait_until

PROGRAM = os.path.join(os.path.dirname(__file__), "apps", "on_demand.py")


class Talker:
    def __init__(self, run, hostname, *argv, **kwargs):
        self.program = run(hostname, "python3", "-u", PROGRAM, *argv, **kwargs)
        port = wait_until(lambda: self.program.out.split(), "the port")[0]
        self.control = socket.create_connection(("127.0.0.1", int(port)))
        self.control.settimeout(60)
        self.lines = self.control.makefile("rw")

    def ask(self, line):
        self.lines.write(line + "\n")
        self.lines.flush()
        return self.lines.readline().strip()

    def new(self):
        """Connect anew and echo; "OK" or the error."""
        return self.ask("new")

    def keep(self):
        """Echo over the connection that was opened first."""
        return self.ask("keep")

    def close(self):
        self.control.close()
