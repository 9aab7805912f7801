"""What a watcher of the bus is told beside states, preferences and peers."""
import json

from test_localapi import ask, watch  # noqa: F401

EXIT_NODE, VERSION = 1 << 10, 1 << 11


def send(lab, message):
    lab.command("send-json a " + json.dumps(message))


def test_the_exit_node_that_is_suggested(lab, run, watch):
    program = run("a", "sleep", "600").wait_running()
    first = watch(program, EXIT_NODE)
    assert first.until(lambda n: "SuggestedExitNode" in n,
                       "none yet")["SuggestedExitNode"] == ""
    bus = watch(program, 0)
    run("exit", "sleep", "600",
        options=["--advertise-exit-node"]).wait_running()
    lab.command("routes exit 0.0.0.0/0 ::/0")
    lab.command('cap exit suggest-exit-node []')
    told = bus.until(lambda n: n.get("SuggestedExitNode"), "the exit node")
    peers = program.status()["Peer"].values()
    assert told["SuggestedExitNode"] in [p["ID"] for p in peers]
    again = watch(program, EXIT_NODE)
    again.until(lambda n: n.get("SuggestedExitNode") ==
                told["SuggestedExitNode"], "it at once")


def test_another_version(lab, run, watch):
    program = run("a", "sleep", "600").wait_running()
    bus = watch(program, 0)
    send(lab, {"ClientVersion": {"LatestVersion": "9.9.9", "Notify": True}})
    told = bus.until(lambda n: n.get("ClientVersion"), "the version")
    assert told["ClientVersion"]["LatestVersion"] == "9.9.9"
    assert ask(program, "GET", "update/check")[2]["LatestVersion"] == "9.9.9"
    watch(program, VERSION).until(lambda n: n.get("ClientVersion"), "at once")
    prefs = {"AutoUpdate": {"Check": False},
             "AutoUpdateSet": {"CheckSet": True}}
    assert ask(program, "PATCH", "prefs", prefs)[0] == 200
    quiet = watch(program, VERSION | 2)
    assert "ClientVersion" not in quiet.until(lambda n: "State" in n, "first")


def test_a_page_that_the_server_wants_visited(lab, run, watch):
    program = run("a", "sleep", "600").wait_running()
    bus = watch(program, 0)
    send(lab, {"PopBrowserURL": "https://lab.test/page"})
    bus.until(lambda n: n.get("BrowseToURL") == "https://lab.test/page",
              "the page")
