"""Who may come in: rules, capabilities and shields, and how it is told."""
import json

import pytest

from harness import wait_until
from test_lock import SERVER, asks, greeting, localapi


@pytest.fixture
def web(run):
    return run("web", *SERVER).wait_running().wait_listening(8000)


def set_filter(lab, program, *rules):
    """Rules, and until the node has them: a record comes along behind."""
    lab.command("filter " + json.dumps(list(rules)))
    set_filter.count += 1
    name = f"mark{set_filter.count}.example"
    lab.command(f"add-record {name} A 100.100.1.1")
    wait_until(lambda: name in json.dumps(program.status()["ExtraRecords"]),
               "the rules")


set_filter.count = 0


def ports(*sources, port=8000):
    return {"SrcIPs": list(sources),
            "DstPorts": [{"IP": "*", "Ports": {"First": port, "Last": port}}]}


def test_a_refusal_comes_at_once_and_says_why(lab, web, call):
    set_filter(lab, web, ports("*", port=1))
    a = call("a", *asks(web.ip))
    assert a.out.strip() == "ECONNREFUSED"
    assert "refused a connection to port 8000: its rules do not" in a.log


def test_shields_let_nobody_in(lab, run, call):
    web = run("web", *SERVER, env={"TSNET_SHIELDS_UP": "yes"}).wait_running()
    web.wait_listening(8000)
    a = call("a", *asks(web.ip))
    assert a.out.strip() == "ECONNREFUSED"
    assert "its shields are up" in a.log


def test_shields_let_us_out(lab, web, call):
    a = call("a", *asks(web.ip), env={"TSNET_SHIELDS_UP": "yes"})
    assert a.out.strip() == greeting(lab, "a")


def test_a_capability_is_a_source(lab, web, run, call):
    set_filter(lab, web, ports("cap:example.com/role"))
    a = run("a", "sleep", "60").wait_running()
    a.stop()
    assert call("a", *asks(web.ip)).out.strip() == "ECONNREFUSED"
    lab.command("cap a example.com/role")
    wait_until(lambda: "example.com/role" in json.dumps(
        web.status()["Peer"]), "the capability")
    assert call("a", *asks(web.ip)).out.split("\n")[1] == greeting(lab, "a")
    lab.command("cap a example.com/role off")
    wait_until(lambda: "example.com/role" not in json.dumps(
        web.status()["Peer"]), "it to be revoked")
    assert call("a", *asks(web.ip)).out.split("\n")[2] == "ECONNREFUSED"


def test_grants_are_told_by_whois(lab, web, run):
    a, b = (run(n, "sleep", "60").wait_running() for n in "ab")

    def grant(source, **caps):
        return {"SrcIPs": [source], "CapGrant": [
            {"Dsts": [f"{web.ip}/32"],
             "CapMap": {f"example.com/{k}": v for k, v in caps.items()}}]}
    set_filter(lab, web, ports("*"),
               grant(a.ip, role=[{"name": "admin"}], plain=[]),
               grant("*", role=["guest"]),
               {"SrcIPs": [a.ip], "CapGrant": [
                   {"Dsts": [f"{b.ip}/32"],
                    "CapMap": {"example.com/elsewhere": [1]}}]})
    status, who = localapi(web, f"whois?addr={a.ip}:1234")
    assert status == 200
    assert who["CapMap"] == {"example.com/role": [{"name": "admin"}, "guest"],
                             "example.com/plain": []}
    status, who = localapi(web, f"whois?addr={b.ip}")
    assert who["CapMap"] == {"example.com/role": ["guest"]}


def test_grants_alone_open_no_port(lab, web, call):
    set_filter(lab, web, {"SrcIPs": ["*"], "CapGrant": [
        {"Dsts": ["0.0.0.0/0"], "CapMap": {"example.com/all": [True]}}]})
    assert call("a", *asks(web.ip)).out.strip() == "ECONNREFUSED"


def test_attributes_of_the_node_come_and_go(lab, run):
    web = run("web", "sleep", "60").wait_running()
    lab.command('cap web example.com/attribute [{"x":1}]')

    def own():
        return web.status()["Self"]["CapMap"].get("example.com/attribute")
    wait_until(lambda: own() == [{"x": 1}], "it")
    lab.command("cap web example.com/attribute off")
    wait_until(lambda: own() is None, "its end")
