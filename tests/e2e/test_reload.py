"""tsnet.conf, read again while the node runs."""
import os

from harness import wait_until
from test_localapi import ask, state


def write(path, *lines):
    with open(path + ".new", "w", encoding="utf-8") as f:
        f.write("\n".join(lines) + "\n")
    os.rename(path + ".new", path)


def reload(program):
    status, _, body = ask(program, "POST", "reload-config")
    assert status == 200
    return body


def test_what_can_change_does_and_the_rest_is_named(lab, run, tmp_path):
    conf = str(tmp_path / "tsnet.conf")
    write(conf, "accept_routes = no")
    program = run("a", "sleep", "600", env={"TSNET_CONF": conf})
    program.wait_running()
    assert reload(program) == {"Reloaded": True}
    ask(program, "PATCH", "prefs", {"ShieldsUp": True, "ShieldsUpSet": True})
    write(conf, "accept_routes = yes", "tags = tag:web", "timeout = 7",
          "advertise_routes = 10.9.0.0/16")
    body = reload(program)
    assert body["Reloaded"] and body["Err"] == "with the next start: timeout"
    prefs = ask(program, "GET", "prefs")[2]
    assert prefs["RouteAll"] and prefs["AdvertiseTags"] == ["tag:web"]
    assert prefs["AdvertiseRoutes"] == ["10.9.0.0/16"]
    assert prefs["ShieldsUp"]  # is not in the file, and stays
    wait_until(lambda: lab.node("a")["hostinfo"].get("RequestTags") ==
               ["tag:web"], "the tags")
    wait_until(lambda: lab.node("a")["hostinfo"].get("RoutableIPs") ==
               ["10.9.0.0/16"], "the routes")
    assert reload(program)["Err"] == "with the next start: timeout"
    write(conf, "accept_routes = no", "tags = tag:web")
    assert reload(program) == {"Reloaded": True}
    prefs = ask(program, "GET", "prefs")[2]
    assert not prefs["RouteAll"] and not prefs["AdvertiseRoutes"]
    wait_until(lambda: state(program) == "Running", "the node")


def test_another_port(run, lab, tmp_path):
    conf = str(tmp_path / "tsnet.conf")
    write(conf, "")
    program = run("a", "sleep", "600", env={"TSNET_CONF": conf})
    program.wait_running()
    write(conf, "port = 41777")
    assert reload(program) == {"Reloaded": True}
    wait_until(lambda: any(e.endswith(":41777") for e in
                           lab.node("a")["endpoints"]), "the endpoint")


def test_a_file_that_makes_no_sense_changes_nothing(run, tmp_path):
    conf = str(tmp_path / "tsnet.conf")
    write(conf, "")
    program = run("a", "sleep", "600", env={"TSNET_CONF": conf})
    program.wait_running()
    before = ask(program, "GET", "prefs")[2]
    for line in ("accept_routes = perhaps", "no_such_option = 1", "x"):
        write(conf, "shields_up = yes", line)
        body = reload(program)
        assert not body["Reloaded"] and "tsnet.conf:2" in body["Err"], body
    assert ask(program, "GET", "prefs")[2] == before
    os.unlink(conf)
    assert "cannot read" in reload(program)["Err"]


def test_a_locked_configuration_is_the_only_source(run, tmp_path, lab):
    conf = str(tmp_path / "tsnet.conf")
    write(conf, "locked = yes")
    program = run("a", "sleep", "600", env={"TSNET_CONF": conf})
    program.wait_running()
    before = ask(program, "GET", "prefs")[2]
    status, _, body = ask(program, "PATCH", "prefs",
                          {"ShieldsUp": True, "ShieldsUpSet": True})
    assert status == 400 and "locked" in body["Error"]
    assert "locked" in ask(program, "POST", "check-prefs", before)[2]["Error"]
    other = dict(before, ControlURL="http://127.0.0.1:1")
    assert ask(program, "POST", "start", {"UpdatePrefs": other})[0] == 500
    assert ask(program, "POST",
               "set-use-exit-node-enabled?enabled=false")[0] == 500
    assert ask(program, "GET", "prefs")[2] == before
    write(conf, "locked = yes", "shields_up = yes")
    assert reload(program) == {"Reloaded": True}
    assert ask(program, "GET", "prefs")[2]["ShieldsUp"]
    assert state(program) == "Running"
