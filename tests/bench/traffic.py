"""What is measured over the pairs of a world: side -> Pair, one after the other
in each round, so that whatever else the machine does meets all of them."""
import os
import re
import time

from ends import FAILURES, PORTS
import processes

BULK_S = 1.5
IMPAIRED_S = 3          # at least; longer where a window takes time to open
PING_S, PINGS = 0.25, 3     # connections per side and round
THREADS = 4             # that connect at the same time
WEB_CONNECTIONS, WEB_S = 32, 2     # wrk takes whole seconds
DATAGRAM_BYTES, DATAGRAM_S = 1200, 1


class Traffic:
    def __init__(self, figures):
        self.figures = figures

    def ask(self, pair, tool, service, words, limit, first=""):
        """One measurement; None, with a note, when it failed."""
        what = f"{pair.side}: {first and 'beside bulk, '}{tool} {words}"
        try:
            pair.revive()
            answer = pair.do(tool, service, words, limit, first)
        except FAILURES as e:
            answer = {"error": str(e)}
        self.figures.raw.append({"what": what, **answer})
        self.remark(what, answer)
        return None if answer.get("error") else answer

    def remark(self, what, answer):
        note = self.figures.note
        if answer.get("error"):
            note(f"{what}: {answer['error']}")
        if answer.get("errors"):
            note(f"{what}: {answer['errors']} errors "
                 f"{answer.get('last_error', '')}")
        if answer.get("stalls"):
            note(f"{what}: {answer['stalls']} connections took more than 1 s "
                 f"(max {answer['max_us'] / 1e6:.1f} s)")

    # -- bytes ---------------------------------------------------------------

    def bulk(self, pairs, flows, suffix="", relay_pid=None):
        """Up: the client sends; down: the server does."""
        for way, verb in (("up", "send"), ("down", "take")):
            figure = f"bulk {flows} flow{'s' * (flows > 1)} {way}{suffix}"
            for side, pair in pairs.items():
                self.one_bulk(figure, side, pair, f"bulk {verb}", flows,
                              relay_pid)

    def one_bulk(self, figure, side, pair, tool, flows, relay_pid):
        relay = relay_pid and processes.cpu_seconds(relay_pid)
        said = self.ask(pair, tool, "bulk", f"{flows} {BULK_S}", BULK_S + 20)
        if not said or not said["bytes"]:
            return
        gigabytes = said["bytes"] / 1e9
        add = self.figures.add
        add(figure, "Mbit/s", side, said["mbit_s"])
        add(figure + " CPU", "s/GB", side, said["cpu_seconds"] / gigabytes)
        client, server = (said[end + "_cpu_seconds"] / gigabytes
                          for end in ("client", "server"))
        sender, receiver = (client, server) if tool == "bulk send" else \
            (server, client)
        add(figure + " CPU sender", "s/GB", side, sender)
        add(figure + " CPU receiver", "s/GB", side, receiver)
        if relay_pid:
            add(figure + " CPU relay", "s/GB", side,
                (processes.cpu_seconds(relay_pid) - relay) / gigabytes)

    def impaired(self, pairs, lanes, flows, weather):
        """pairs: side -> (pair, control); a side's own control is ''."""
        rtt, loss = weather["delay_ms"] * 2, weather["loss"]
        figure = (f"{rtt:g} ms {loss:g} % {flows} flow{'s' * (flows > 1)}"
                  f"{' reorder' if weather.get('reorder') else ''}")
        seconds = IMPAIRED_S + rtt / 20
        for side, (pair, control) in pairs.items():
            impair = lanes[side].impair
            impair.set(**weather)
            said = self.ask(pair, "bulk send", "bulk",
                            f"{flows} {seconds:g} {control}", seconds + 25)
            seen = impair.set()
            self.figures.raw.append({"what": f"{side}: {figure}", **seen})
            if abs(seen["lost"] - seen["carried"] * loss / 100) > \
                    5 * (seen["carried"] * loss / 100 + 1) ** 0.5:
                self.figures.note(f"{side}: {figure}: {seen['lost']} of "
                                  f"{seen['carried']} frames were lost")
            if seen["unwanted"]:
                self.figures.note(f"{side}: {figure}: {seen['unwanted']} of "
                                  f"{seen['carried']} frames were lost for "
                                  "want of room")
            if said and said["bytes"]:
                self.figures.add(figure, "Mbit/s", side, said["mbit_s"])

    # -- messages ------------------------------------------------------------

    def pingpong(self, pairs, size, name):
        # Several short ones: where the scheduler puts the processes decides.
        for side, pair in [*pairs.items()] * PINGS:
            said = self.ask(pair, "pingpong ping", "pingpong",
                            f"{size} {PING_S}", 15)
            if said and said["round_trips"]:
                for p in ("p50", "p99"):
                    self.figures.add(f"ping-pong {name} {p}", "us", side,
                                     said[p + "_us"])
                self.figures.add(f"ping-pong {name} CPU", "us", side,
                                 said["cpu_seconds"] * 1e6 /
                                 said["round_trips"])

    def pingpong_beside_bulk(self, pairs, mbit_s=0):
        """How much one bulk flow delays another flow's messages: p99 beside
        it by p99 alone, one right after the other. Where programs run. With
        mbit_s cores are left for all: what is seen then is no lack of them."""
        other = f"{mbit_s:,} Mbit/s" if mbit_s else "bulk"
        for side, pair in pairs.items():
            if not pair.client.runs_programs:
                continue
            words = f"1 {PING_S * 4}"
            alone = self.ask(pair, "pingpong ping", "pingpong", words, 15)
            bulk = pair.line("bulk send", "bulk",
                             f"1 {PING_S * 6} '' {mbit_s}")
            beside = self.ask(pair, "pingpong ping", "pingpong", words, 20,
                              f"{bulk} >/dev/null & sleep 0.2; ")
            time.sleep(PING_S * 2)
            if alone and beside and alone["p99_us"]:
                self.figures.add(f"ping-pong 1 B p50, beside {other}", "us",
                                 side, beside["p50_us"])
                self.figures.add(f"ping-pong 1 B p99, beside {other}", "us",
                                 side, beside["p99_us"])
                self.figures.add(f"p99 beside {other} by p99 alone", "x", side,
                                 beside["p99_us"] / alone["p99_us"])

    def connections(self, pairs, closer):
        figure = f"connections, {closer} closes"
        for side, pair in pairs.items():
            said = self.ask(pair, "connrate run", f"connrate {closer}",
                            f"{closer} {THREADS} 1", 25)
            if said:
                self.figures.add(figure, "1/s", side, said["per_second"])
                self.figures.add(figure + " p99", "us", side, said["p99_us"])
                self.figures.add(figure + " stalls", ">1 s", side,
                                 said["stalls"])

    def web(self, pairs):
        for side, pair in pairs.items():
            if pair.client.wrk:
                said = self.wrk(pair)
            else:
                said = self.ask(pair, "httpload run", "http",
                                f"{WEB_CONNECTIONS} {WEB_S}", 20)
            if said and said["requests"]:
                self.figures.add("HTTP requests", "1/s", side,
                                 said["per_second"])
                self.figures.add("HTTP p99", "us", side, said["p99_us"])
                self.figures.add("HTTP CPU", "us/req", side,
                                 said["cpu_seconds"] * 1e6 / said["requests"])

    def wrk(self, pair):
        out = os.path.join(pair.directory, "wrk.out")
        try:
            pair.revive()
            answer = pair.measured(
                f"wrk -t 1 -c {WEB_CONNECTIONS} -d {WEB_S}s --latency "
                f"http://{pair.server.ip}:{PORTS['http']}/ >{out} 2>&1; "
                "echo '{}'", 20)
            with open(out, encoding="utf-8") as f:
                answer.update(read_wrk(f.read()))
        except FAILURES as e:
            answer = {"error": str(e)}
        what = f"{pair.side}: wrk"
        self.figures.raw.append({"what": what, **answer})
        self.remark(what, answer)
        return None if answer.get("error") else answer

    def datagrams(self, pairs, per_second=0):
        """Unpaced without per_second."""
        figure = f"UDP {per_second or 'unpaced'}" + "/s" * bool(per_second)
        for side, pair in pairs.items():
            said = self.ask(pair, "datagrams send", "datagrams",
                            f"{DATAGRAM_BYTES} {per_second} {DATAGRAM_S}", 15)
            if said:
                self.figures.add(figure + " received", "1/s", side,
                                 said["received_per_second"])
                self.figures.add(figure + " loss", "%", side,
                                 said["loss_percent"])


def read_wrk(text):
    """What wrk --latency prints, as our own tools say it."""
    def number(pattern):
        found = re.search(pattern, text)
        return found and found.groups()
    requests = number(r"(\d+) requests in")
    rate = number(r"Requests/sec:\s+([\d.]+)")
    p99 = number(r"99%\s+([\d.]+)(us|ms|s)")
    if not (requests and rate and p99):
        return {"error": f"wrk said {text[-200:]!r}"}
    bad = number(r"Socket errors: (.*)") or number(r"(Non-2xx.*)")
    return {"requests": int(requests[0]), "per_second": float(rate[0]),
            "p99_us": float(p99[0]) * {"us": 1, "ms": 1e3, "s": 1e6}[p99[1]],
            "errors": int(bool(bad)), "last_error": bad[0] if bad else ""}
