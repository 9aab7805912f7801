"""tsnet.h: what the node does in front of a program's listener."""
import json
import subprocess
from base64 import b64decode

import pytest

from c_programs import build  # noqa: F401, pylint: disable=unused-import
from harness import CLEAN_ENV, PATIENCE, needs, stop, wait_until

pytestmark = needs("gcc", "curl")
VIP = "100.100.7.7"


# pylint: disable=redefined-outer-name
@pytest.fixture
def program(build, lab, tmp_path):
    """program(WHAT, KEY) runs it; its lines are read from stdout."""
    processes = []

    def start(what, key="key-alice"):
        with open(tmp_path / "stderr", "ab") as err:
            processes.append(subprocess.Popen(
                [build("tests/e2e/apps/api_published.c"), lab.url, key, what],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=err,
                text=True, cwd=tmp_path, env=CLEAN_ENV))
        return processes[-1]
    yield start
    for process in processes:
        stop(process)
        process.stdin.close()
        process.stdout.close()


def next_line(process, tmp_path):
    line = process.stdout.readline()
    assert line, (tmp_path / "stderr").read_text()
    return line.strip()


def go_on(process, tmp_path):
    process.stdin.write("\n")
    process.stdin.flush()
    assert next_line(process, tmp_path) == "done"


def test_a_service_of_the_programs(program, lab, run, tmp_path):
    lab.command("authkey key-host,tag:host")
    process = program("service", "key-host")
    assert next_line(process, tmp_path) == "ready"
    lab.command(f'cap alpha service-host [{{"svc:shop":["{VIP}"]}}]')
    lab.command(f"routes alpha {VIP}/32")
    wait_until(lambda: "ServicesHash" in lab.node("alpha")["hostinfo"],
               "the server to hear of it")
    client = run("client", "sh", "-c",
                 f"for i in $(seq 100); do curl -sS --max-time 5 http://{VIP}/ "
                 f"&& break; sleep 0.1; done; busybox nc -w 10 {VIP} 90")
    client.wait()
    assert client.out == "shopby the program\n", client.err
    assert next_line(process, tmp_path) == \
        "Tailscale-User-Login: alice@example.com"
    assert next_line(process, tmp_path).startswith(
        f"PROXY TCP4 {client.ip} ")
    go_on(process, tmp_path)
    go_on(process, tmp_path)
    # nothing is left of it
    wait_until(lambda: "ServicesHash" not in lab.node("alpha")["hostinfo"],
               "the server to hear of it")
    process.stdin.write("\n")
    process.stdin.flush()
    assert process.wait(PATIENCE) == 0


def test_tags_and_the_port(program, lab, tmp_path):
    process = program("tags")
    assert next_line(process, tmp_path) == "ready"
    node = lab.node("alpha")
    assert node["hostinfo"]["RequestTags"] == ["tag:one", "tag:two"]
    with open("/proc/net/udp", encoding="ascii") as f:
        assert f":{41999:04X} " in f.read()
    go_on(process, tmp_path)
    wait_until(lambda: lab.node("alpha")["hostinfo"].get("RequestTags") ==
               ["tag:three"], "the server to hear of it")


def test_services_that_cannot_be(program, tmp_path):
    process = program("wrong")
    assert next_line(process, tmp_path) == "ok"
    assert process.wait(PATIENCE) == 0


def test_what_a_former_run_published_is_gone(program, lab, tmp_path):
    """Its listeners are: as tsnet has it, with the first Up."""
    lab.command("authkey key-host,tag:host")
    process = program("service", "key-host")
    assert next_line(process, tmp_path) == "ready"
    stop(process)  # without a word
    state = (tmp_path / "alpha/tailscaled.state").read_text()
    assert '"_serve/' in state
    assert program("up", "key-host").wait(2 * PATIENCE) == 0
    after = (tmp_path / "alpha/tailscaled.state").read_text()
    assert after != state and serve_configs(after) == ["{}"]


def serve_configs(text):
    return [b64decode(value).decode() for key, value in
            json.loads(text).items() if key.startswith("_serve/")]
