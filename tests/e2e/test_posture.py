"""What the control server may know of the machine, if the user permits it."""
import json
import os

from test_localapi import patch
from test_seeing import c2n


def identity(lab, query=""):
    status, body = c2n(lab, "a", "GET", "/posture/identity" + query)
    assert status == 200
    return json.loads(body)


def hardware_addresses():
    found = set()
    for name in os.listdir("/sys/class/net"):
        with open(f"/sys/class/net/{name}/address", encoding="ascii") as f:
            found.add(f.read().strip())
    return sorted(found - {"", "00:00:00:00:00:00"})


def test_only_where_the_user_permits_it(lab, run):
    program = run("a", "sleep", "600").wait_running()
    assert identity(lab) == {"PostureDisabled": True}
    assert identity(lab, "?hwaddrs=true") == {"PostureDisabled": True}
    patch(program, PostureChecking=True)
    told = identity(lab)
    assert "PostureDisabled" not in told and "IfaceHardwareAddrs" not in told
    if os.path.exists("/sys/class/dmi/id/product_serial"):
        assert all(told.get("SerialNumbers", ["x"]))
    told = identity(lab, "?hwaddrs=true")
    assert told.get("IfaceHardwareAddrs", []) == hardware_addresses()
    patch(program, PostureChecking=False)
    assert identity(lab) == {"PostureDisabled": True}


def test_the_server_turns_a_components_lines_on(lab, run):
    program = run("a", "sleep", "600",
                  options=["--log-level", "warn"]).wait_running()
    path = "/debug/component-logging?component="
    assert c2n(lab, "a", "GET", path + "nothing&secs=9")[1] == \
        '{"Error":"unknown component \\"nothing\\""}\n'
    assert c2n(lab, "a", "GET", path + "control&secs=600")[1] == \
        '{"Error":""}\n'
    assert c2n(lab, "a", "GET", "/echo")[0] == 200
    assert " debug control: " in program.log
