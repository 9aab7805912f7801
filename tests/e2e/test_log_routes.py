"""The node's log at the LocalAPI: read as it is written, and more of it."""
import json
import os
import socket
import threading

from harness import wait_until
from test_localapi import API, Connection, ask


class LogReader:
    def __init__(self, program):
        self.conn = Connection(program.localapi)
        self.conn.request("GET", API + "logtap")
        self.reply = self.conn.getresponse()
        assert self.reply.status == 200
        self.lines = []
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        try:
            for line in self.reply:
                self.lines.append(json.loads(line))
        except (OSError, ValueError):
            pass

    def has(self, text):
        return any(text in line["text"] for line in list(self.lines))

    def close(self):
        self.conn.sock.shutdown(socket.SHUT_RDWR)
        self.thread.join(10)


def quiet(run):
    """A node whose log has warnings alone."""
    return run("a", "sleep", "600",
               options=["--log-level", "warn"]).wait_running()


def test_the_log_is_read_as_it_is_written(run):
    program = quiet(run)
    reader = LogReader(program)
    wait_until(lambda: reader.has("[logtap connected]"), "the first line")
    ask(program, "POST", "debug-log", {"Prefix": "gui", "Lines": ["a", 'b"']})
    wait_until(lambda: reader.has("gui: b\""), "our own line")
    ask(program, "POST", "debug?action=break-tcp-conns")
    wait_until(lambda: reader.has("control: ") and
               any(line.get("v") == 1 for line in reader.lines), "debug lines")
    assert all("client_time" in line["logtail"] for line in reader.lines[1:])
    reader.close()
    # The file has what it always has.
    assert "gui:" not in program.log and " debug " not in program.log


def test_a_component_shows_more_for_a_while(run):
    program = quiet(run)

    def show(component, secs):
        return ask(program, "POST", "component-debug-logging?component="
                   f"{component}&secs={secs}")[2]["Error"]
    assert show("none", 10) == 'unknown component "none"'
    assert show("control", 600) == ""
    ask(program, "POST", "debug?action=break-tcp-conns")
    wait_until(lambda: " debug control: " in program.log, "control's lines")
    assert " info node-" not in program.log
    assert show("control", 0) == ""
    program.wait_running()
    wait_until(lambda: ask(program, "GET", "status")[2]["Self"]["Online"],
               "the link")
    size = os.path.getsize(program.log_path)
    ask(program, "POST", "debug?action=break-tcp-conns")
    wait_until(lambda: ask(program, "GET", "status")[2]["Self"]["Online"],
               "the link")
    with open(program.log_path, encoding="utf-8") as f:
        f.seek(size)
        assert " debug " not in f.read()
    assert show("control", 1) == ""
    ask(program, "POST", "debug?action=break-tcp-conns")
    wait_until(lambda: program.log.count(" debug control: ") > 3, "again")


def test_a_recording_lasts_as_long_as_its_request(run):
    program = quiet(run)
    conn = Connection(program.localapi)
    conn.putrequest("POST", API + "bugreport?record=true&note=x")
    conn.putheader("Transfer-Encoding", "chunked")
    conn.endheaders()
    ask(program, "POST", "debug?action=break-derp-conns")
    wait_until(lambda: " debug derp-" in program.log, "the recording")
    conn.send(b"0\r\n\r\n")
    reply = conn.getresponse()
    lines = reply.read().split(b"\n")  # one for its begin, one for its end
    assert reply.status == 200 and len(lines) == 2
    assert all(line.startswith(b"BUG-NO-LOGS") for line in lines)
    conn.close()
    # One that is given up ends as well.
    reader = LogReader(program)
    conn = Connection(program.localapi)
    conn.putrequest("POST", API + "bugreport?record=true")
    conn.putheader("Transfer-Encoding", "chunked")
    conn.endheaders()
    wait_until(lambda: reader.has("a recording begins"), "another")
    conn.close()
    wait_until(lambda: reader.has("a recording ends"), "its end")
    reader.close()


def test_lines_are_counted_and_bounded(run):
    program = quiet(run)
    lines = ["x" * 4000] * 100
    status, _, text = ask(program, "POST", "debug-log", {"Lines": lines})
    assert status == 429, text
    assert ask(program, "POST", "debug-log", {"Lines": 7})[0] == 204
    assert ask(program, "POST", "debug-log", "x")[0] == 400


def test_a_report_of_threads(run):
    program = quiet(run)
    status, _, text = ask(program, "GET", "goroutines")
    text = text.decode()
    assert status == 200 and "no goroutines" in text
    assert f"thread {text.split('process ')[1].split('.')[0]} " in text
    assert "state Running" in text
