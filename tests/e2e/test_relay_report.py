"""debug-derp-region: what is wrong with a relay, told to people."""
from test_localapi import ask


def report(program, region):
    status, _, answer = ask(program, "POST",
                            f"debug-derp-region?region={region}")
    assert status == 200
    return {k: answer[k] or [] for k in ("Info", "Warnings", "Errors")}


def test_a_relay_that_works(run):
    node = run("a", "sleep", "600").wait_running()
    said = report(node, "900")
    assert said["Info"][0].startswith('Region 900 == "')
    assert any("Successfully established a DERP connection" in x
               for x in said["Info"]), said
    assert any("returned IPv4 STUN response: 127.0.0.1:" in x
               for x in said["Info"]), said
    assert any("single DERP region" in x for x in said["Warnings"])
    assert not any("IPv4" in x or "load balancer" in x
                   for x in said["Errors"]), said
    code = report(node, "900")["Info"][0].split('"')[1]
    assert report(node, code)["Info"][0] == f'Region 900 == "{code}"'
    for unknown in "901", "nowhere", "-1", "99999999999":
        assert report(node, unknown)["Errors"] == [
            f'no such region "{unknown}" in DERP map']
    assert ask(node, "GET", "debug-derp-region?region=900")[0] == 405


def test_a_relay_that_does_not(lab, run):
    node = run("a", "sleep", "600").wait_running()
    lab.command("stun off")
    lab.command("derp refuse on")
    said = report(node, "900")
    assert any("did not return a IPv4 STUN response" in x
               for x in said["Warnings"]), said
    assert any("over IPv4" in x for x in said["Errors"]), said
    assert not any("Successfully" in x for x in said["Info"]), said
