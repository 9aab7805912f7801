"""Several nodes in one tree of programs: [node "NAME"], TSNET_NODE."""
import subprocess

import pytest

from harness import CLEAN_ENV, PATIENCE, TSRUN, needs, stop, wait_until

CONF = """[node "frontend"]
control_url = {front.url}
auth_key = key-alice
state_dir = {dir}/frontend

[node "backend"]
control_url = {back.url}
auth_key = key-bob
state_dir = {dir}/backend
"""

pytestmark = needs("curl")


@pytest.fixture
def tailnets(make_lab, run, tmp_path):
    """Two, whose web servers have the same address and say where they are."""
    labs = make_lab(), make_lab()
    servers = []
    for name, lab in zip(("front", "back"), labs):
        directory = tmp_path / f"www-{name}"
        directory.mkdir()
        (directory / "where").write_text(f"in the {name}\n")
        servers.append(run(f"web-{name}", "python3", "-u", "-m", "http.server",
                           "8000", "--directory", directory, lab=lab,
                           options=["--wait", "--listen", "tailnet"]))
    for server in servers:
        wait_until(lambda s=server: s.alive() and "is served" in s.log,
                   "the web servers")
    assert servers[0].ip == servers[1].ip
    (tmp_path / "tsnet.conf").write_text(
        CONF.format(front=labs[0], back=labs[1], dir=tmp_path))
    return labs, servers[0].ip


@pytest.fixture
def tree(tmp_path):
    """tree(script, *options) runs a shell with both nodes."""
    def go(script, nodes=("frontend", "backend"), **env):
        options = [o for n in nodes for o in ("--node", n)]
        return subprocess.Popen(
            [TSRUN, *options, "--wait", "--", "sh", "-c", script],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            start_new_session=True,
            env=dict(CLEAN_ENV, TSNET_CONF=str(tmp_path / "tsnet.conf"),
                     **env))
    return go


def outcome(process):
    out, err = process.communicate(timeout=3 * PATIENCE)
    return process.returncode, out, err


def test_the_same_address_in_two_tailnets(tailnets, tree):
    (front, back), ip = tailnets
    get = f"curl -sS http://{ip}:8000/where"
    code, out, err = outcome(tree(
        f"{get}; TSNET_NODE=backend {get}; TSNET_NODE=frontend {get}; "
        # it is inherited, by those with an environment of their own, too
        f"TSNET_NODE=backend sh -c 'sh -c \"{get}\"; env -i PATH=$PATH {get}'; "
        "exit 7"))
    assert (code, out) == (7, "in the front\nin the back\nin the front\n"
                              "in the back\nin the back\n"), err
    assert front.node("frontend") and not front.node("backend")
    assert back.node("backend") and not back.node("frontend")


def test_the_environment_says_which_from_the_beginning(tailnets, tree):
    _, ip = tailnets
    code, out, err = outcome(tree(f"curl -sS http://{ip}:8000/where",
                                  TSNET_NODE="backend"))
    assert (code, out) == (0, "in the back\n"), err


def test_one_node_by_its_name(tailnets, tree):
    _, ip = tailnets
    code, out, err = outcome(tree(f"curl -sS http://{ip}:8000/where",
                                  nodes=["backend"]))
    assert (code, out) == (0, "in the back\n"), err


def test_a_node_that_is_not_there(tailnets, tree):
    """No other one takes its place, nor does the host's network."""
    _, ip = tailnets
    code, out, _ = outcome(tree(
        f"TSNET_NODE=front curl -sS http://{ip}:8000/where"))
    assert code == 7 and not out


def test_a_listener_of_one_of_them_and_one_of_all(tailnets, tree, run):
    (front, back), _ = tailnets
    servers = tree("TSNET_NODE=backend python3 -u -m http.server 9000 & "
                   "python3 -u -m http.server 9001 & wait",
                   TSNET_LISTEN="tailnet")
    wait_until(lambda: back.node("backend") and front.node("frontend"),
               "the nodes")
    try:
        for lab, node, count in ((back, "backend", 2),
                                 (front, "frontend", 1)):
            ip = lab.node(node)["ips"][0]
            client = run(f"client-{node}", "sh", "-c",
                         "curl -sS --retry 20 --retry-connrefused "
                         f"--retry-delay 1 http://{ip}:9001/; "
                         f"curl -sS http://{ip}:9000/", lab=lab)
            client.wait(3 * PATIENCE)
            assert client.out.count("<title>Directory") == count, client.err
            assert ("port 9000" in client.err) == (count == 1)
    finally:
        stop(servers)
        servers.communicate()


@needs("busybox")
def test_a_static_program(tailnets, tree):
    _, ip = tailnets
    get = f"busybox wget -q -O - http://{ip}:8000/where"
    code, out, err = outcome(tree(
        f"{get}; TSNET_NODE=backend {get}; TSNET_NODE=front {get}"))
    assert (code != 0, out) == (True, "in the front\nin the back\n"), err


def test_nodes_that_make_no_sense(tailnets, tree):
    code, _, err = outcome(tree("true", nodes=["a b"]))
    assert code == 64 and "not a name" in err
    code, _, err = outcome(tree("true", nodes=["b", "b"]))
    assert code == 125 and "b,b" in err
