"""Several nodes of one process: what each of them has for itself."""
import json
import os
import subprocess

import pytest

from gateways import APPS, Namespace, connect, sh
from harness import CLEAN_ENV, PATIENCE, TSRUN, needs, stop, wait_until
from test_localapi import API, Connection
# pylint: disable=unused-import
from test_routes import PUBLIC, Place, Site
from test_nodes import CONF, conf, outcome, tailnets, tree  # noqa: F401

pytestmark = needs("curl")

WHOAMI = os.path.join(APPS, "whoami.py")
# pylint: disable=redefined-outer-name


@pytest.fixture
def labs(make_lab, tmp_path):
    """Two tailnets, and a tsnet.conf with a node in each."""
    labs = [make_lab(), make_lab()]
    (tmp_path / "tsnet.conf").write_text(
        CONF.format(front=labs[0], back=labs[1], dir=tmp_path))
    return labs


@pytest.fixture
def sections(labs, tmp_path):
    """sections(frontend="...", backend="...") adds lines to them."""
    def write(**lines):
        text = CONF.format(front=labs[0], back=labs[1], dir=tmp_path)
        for name, more in lines.items():
            text = text.replace(f'[node "{name}"]\n',
                                f'[node "{name}"]\n{more}\n')
        path = tmp_path / "tsnet.conf"
        path.with_suffix(".new").write_text(text)
        path.with_suffix(".new").rename(path)
    return write


@pytest.fixture
def both(tmp_path):
    """both(argv...) starts it with both nodes; it is ended with the test."""
    started = []

    def go(*argv, **env):
        started.append(subprocess.Popen(
            [TSRUN, "--node", "frontend", "--node", "backend", "--wait",
             "--log-file", tmp_path / "log", "--", *argv],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            stderr=subprocess.PIPE, start_new_session=True,
            env=dict(CLEAN_ENV, TSNET_CONF=str(tmp_path / "tsnet.conf"),
                     **env)))
        return started[-1]
    yield go
    for process in started:
        stop(process)
        process.communicate()


def ask(directory, method, path, body=None):
    """The LocalAPI of the node whose state is there: (status, answer)."""
    conn = Connection(str(directory / "tailscaled.sock"))
    conn.request(method, API + path,
                 body if body is None or isinstance(body, bytes)
                 else json.dumps(body))
    reply = conn.getresponse()
    data = reply.read()
    conn.close()
    if (reply.headers.get("Content-Type") or "").startswith("application/json"):
        data = json.loads(data)
    return reply.status, data


def running(lab, tmp_path, name):
    """The node is up, and is asked by its own socket."""
    def is_up():
        try:
            return ask(tmp_path / name, "GET", "status")[1]["BackendState"] \
                == "Running"
        except OSError:
            return False
    wait_until(is_up, f"{name} to run")
    return lab.node(name)


# -- ways out and in -------------------------------------------------------------



@pytest.fixture
def exits(make_lab, run):
    """A tailnet each, with an exit node each that has an internet of its own."""
    places, labs = [], []
    for n, name in ((130, "exit-front"), (131, "exit-back")):
        site, place = Site(), Place(None, n)
        places += [place, site]
        place.join(site)
        labs.append(make_lab("--listen", f"203.0.{n}.1:0", "--derp-listen",
                             f"203.0.{n}.1:0", "--stun", f"203.0.{n}.1:3478"))
        run(name, "sleep", "600", lab=labs[-1], wrap=place.wrap,
            options=["--advertise-exit-node"]).wait_running()
        labs[-1].command(f"routes {name} 0.0.0.0/0 ::/0")
    yield labs
    for place in reversed(places):
        place.close()


@pytest.mark.parametrize("settings,seen_as", [
    ({"frontend": "exit_node = exit-front"}, "10.130.0.1"),
    ({"backend": "exit_node = exit-back\ndestinations = 0.0.0.0/0, ::/0"},
     "10.131.0.1"),
    ({"frontend": "exit_node = exit-front",
      "backend": "exit_node = exit-back\ndestinations = 192.0.2.0/24"},
     "10.131.0.1"),
    ({"backend": "exit_node = exit-back"}, "10.131.0.1"),
])
def test_an_exit_node_of_one_of_them(exits, both, tmp_path, settings, seen_as):
    """The first one's, or that of one whose destinations are everything, or
    this address. Else that of another one is for those programs alone that
    name it: others go by the host's network, which knows no way."""
    text = CONF.format(front=exits[0], back=exits[1], dir=tmp_path)
    for name, more in settings.items():
        text = text.replace(f'[node "{name}"]\n', f'[node "{name}"]\n{more}\n')
    (tmp_path / "tsnet.conf").write_text(text)
    get = f"curl -sS --max-time 5 http://{PUBLIC}:8000/out"
    is_named = "destinations" not in "".join(settings.values()) and \
        "frontend" not in settings
    first = f"TSNET_NODE=backend {get}" if is_named else get
    code, out, err = outcome(both(
        "sh", "-c", f"for i in $(seq 30); do {first} && break; sleep 0.3; done; "
                    f"{get}"))
    answer = f"/out from {seen_as}\n"
    assert (code, out) == ((7, answer) if is_named else (0, 2 * answer)), err


@pytest.fixture
def sites():
    """Two networks of this host, with a server each that says whom it sees."""
    inside = Namespace()
    connect(None, "inside", "10.71.0.1", inside, "eth0", "10.71.0.2")
    sh("ip", "addr", "add", "10.72.0.1/24", "dev", "inside")
    inside("ip", "addr", "add", "10.72.0.2/24", "dev", "eth0")
    servers = [subprocess.Popen([*inside.wrap, "python3", WHOAMI, a, "8000"],
                                stdout=subprocess.PIPE, env=CLEAN_ENV)
               for a in ("10.71.0.2", "10.72.0.2")]
    for s in servers:
        s.stdout.readline()
    yield
    for s in servers:
        stop(s)
        s.stdout.close()
    inside.close()


def test_routes_of_each(sites, make_lab, both, run, tmp_path):
    """Two nodes of one process route a network each, into their own tailnets;
    what the other one routes is not reached through it."""
    away = Namespace()
    connect(None, "away", "203.0.140.1", away, "eth0", "203.0.140.2")
    labs = [make_lab("--listen", "203.0.140.1:0", "--derp-listen",
                     "203.0.140.1:0", "--stun", f"203.0.140.1:{port}")
            for port in (3478, 3479)]
    text = CONF.format(front=labs[0], back=labs[1], dir=tmp_path)
    nets = {"frontend": "10.71.0.0/24", "backend": "10.72.0.0/24"}
    for name, net in nets.items():
        text = text.replace(f'[node "{name}"]\n',
                            f'[node "{name}"]\nadvertise_routes = {net}\n')
    (tmp_path / "tsnet.conf").write_text(text)
    both("sleep", "600")
    try:
        for lab, (name, net), other in zip(labs, nets.items(),
                                           reversed(nets.values())):
            node = running(lab, tmp_path, name)
            assert node["hostinfo"]["RoutableIPs"] == [net]
            lab.command(f"routes {name} {net} {other}")  # an admin's mistake
            url = f"http://{net[:-4]}2:8000/{name}"
            client = run(f"of-{name}", "sh", "-c",
                         "for i in $(seq 30); do curl -sS --max-time 5 "
                         f"{url} && break; sleep 0.3; done; "
                         f"curl -sS --max-time 1 http://{other[:-4]}2:8000/no",
                         lab=lab, wrap=away.wrap,
                         options=["--accept-routes", "--wait"])
            client.wait(3 * PATIENCE)
            assert client.out == f"/{name} from {net[:-4]}1\n", client.err
    finally:
        away.close()


def test_the_same_port_of_both(labs, sections, both, tmp_path):
    """The first has it; the second another one, and says so."""
    sections(frontend="port = 41741", backend="port = 41741")
    both("sleep", "600")
    ports = []
    for lab, name in zip(labs, ("frontend", "backend")):
        running(lab, tmp_path, name)
        wait_until(lambda n=name, b=lab: b.node(n)["endpoints"], "endpoints")
        ports.append({e.rsplit(":", 1)[1] for e in
                      lab.node(name)["endpoints"]})
    assert "41741" in ports[0] and "41741" not in ports[1]
    assert "41741" in (tmp_path / "log").read_text()


# -- settings --------------------------------------------------------------------

def test_the_configuration_read_again(labs, sections, both, tmp_path):
    """Each node is told by itself, and follows its own section alone."""
    front, back = labs
    both("sleep", "600")
    running(front, tmp_path, "frontend")
    running(back, tmp_path, "backend")
    backend, frontend = tmp_path / "backend", tmp_path / "frontend"
    sections(frontend="tags = tag:front\nhostname = other-front",
             backend="tags = tag:web\nhostname = other\nshields_up = yes")
    assert ask(backend, "POST", "reload-config") == (200, {"Reloaded": True})
    prefs = ask(backend, "GET", "prefs")[1]
    assert prefs["Hostname"] == "other" and prefs["ShieldsUp"]
    assert prefs["AdvertiseTags"] == ["tag:web"]
    wait_until(lambda: back.node("backend")["hostinfo"].get("RequestTags") ==
               ["tag:web"], "the second to say so")
    assert back.node("backend")["hostinfo"]["Hostname"] == "other"
    prefs = ask(frontend, "GET", "prefs")[1]
    assert prefs["Hostname"] == "frontend" and not prefs["AdvertiseTags"]
    assert ask(frontend, "POST", "reload-config") == (200, {"Reloaded": True})
    assert ask(frontend, "GET", "prefs")[1]["AdvertiseTags"] == ["tag:front"]
    # A credential of the other's section is none of its business.
    text = (tmp_path / "tsnet.conf").read_text()
    (tmp_path / "tsnet.conf").write_text(
        text.replace("shields_up = yes\n", "")
            .replace("key-alice", "file:/nowhere"))
    assert ask(backend, "POST", "reload-config") == (200, {"Reloaded": True})
    assert not ask(backend, "GET", "prefs")[1]["ShieldsUp"]
    # What makes no sense anywhere changes nothing.
    (tmp_path / "tsnet.conf").write_text(
        text.replace("tags = tag:front", "accept_routes = perhaps"))
    status, body = ask(backend, "POST", "reload-config")
    assert not body["Reloaded"] and "accept_routes" in body["Err"], body


def test_a_section_that_is_gone(labs, sections, both, tmp_path):
    """As at a start, all is at its default then; what takes a start is said,
    and the node stays where it is."""
    sections(backend="shields_up = yes")
    front, back = labs
    program = both("sleep", "600")
    running(front, tmp_path, "frontend")
    running(back, tmp_path, "backend")
    backend = tmp_path / "backend"
    assert ask(backend, "GET", "prefs")[1]["ShieldsUp"]
    text = (tmp_path / "tsnet.conf").read_text()
    (tmp_path / "tsnet.conf").write_text(text[:text.index('[node "backend"]')])
    assert ask(backend, "POST", "reload-config") == (200, {
        "Reloaded": True,
        "Err": "with the next start: control_url, state_dir"})
    prefs = ask(backend, "GET", "prefs")[1]
    assert not prefs["ShieldsUp"] and prefs["ControlURL"] == back.url
    assert ask(tmp_path / "frontend", "POST", "reload-config") == \
        (200, {"Reloaded": True})
    assert program.poll() is None
    running(back, tmp_path, "backend")


def test_a_node_that_is_not_named_any_more(labs, sections, tmp_path):
    """`nodes` of the program's section: it goes on as it is, and says so."""
    conf = tmp_path / "tsnet.conf"
    text = conf.read_text()
    conf.write_text(text + '[node "sleep"]\nnodes = frontend, backend\n')
    program = subprocess.Popen(
        [TSRUN, "--", "sleep", "600"], start_new_session=True,
        env=dict(CLEAN_ENV, TSNET_CONF=str(conf)))
    try:
        for lab, name in zip(labs, ("frontend", "backend")):
            running(lab, tmp_path, name)
        conf.write_text(text.replace("state_dir", "shields_up = yes\nstate_dir")
                        + '[node "sleep"]\nnodes = frontend\n')
        status, body = ask(tmp_path / "backend", "POST", "reload-config")
        assert status == 200 and not body["Reloaded"], body
        assert 'node "backend" is not among `nodes` any more' in body["Err"]
        assert not ask(tmp_path / "backend", "GET", "prefs")[1]["ShieldsUp"]
        assert ask(tmp_path / "frontend", "POST", "reload-config")[1] == \
            {"Reloaded": True}
        assert ask(tmp_path / "frontend", "GET", "prefs")[1]["ShieldsUp"]
    finally:
        stop(program)


def test_what_is_longer_than_a_line_is_said(labs, sections, both):
    """A line of tsnet.conf has 198 bytes; a longer list comes by the
    environment."""
    many = ", ".join(f"10.{i}.0.0/16" for i in range(40))
    sections(backend=f"destinations = {many}")
    code, _, err = outcome(both("true"))
    assert code == 125 and "198 bytes" in err and "tsnet.conf:" in err, err


# -- what the second has -----------------------------------------------------------

def test_files_for_the_second(labs, sections, both, run, tmp_path):
    _, back = labs
    inbox = tmp_path / "inbox"
    sections(backend=f"taildrop_dir = {inbox}")
    both("sleep", "600")
    for lab, name in zip(labs, ("frontend", "backend")):
        running(lab, tmp_path, name)
    sender = run("sender", "sleep", "600", lab=back,
                 key="key-bob").wait_running()

    def target():
        return next((p["ID"] for p in sender.status()["Peer"].values()
                     if p["HostName"] == "backend" and
                     p["TaildropTarget"] == 1), None)
    peer = wait_until(target, "the target")
    conn = Connection(sender.localapi)
    conn.request("PUT", f"{API}file-put/{peer}/report.txt", b"for the back")
    reply = conn.getresponse()
    assert (reply.status, reply.read()) == (200, b"{}\n")
    conn.close()
    assert (inbox / "report.txt").read_text() == "for the back"
    assert ask(tmp_path / "frontend", "GET", "files/")[1] == []


def test_the_second_serves(labs, both, run, tmp_path):
    """Its serve config is its own: the first one's peers see nothing of it."""
    front, back = labs
    both("sleep", "600")
    ips = [running(lab, tmp_path, name)["ips"][0] for lab, name in
           zip(labs, ("frontend", "backend"))]
    config = {"TCP": {"80": {"HTTP": True}}, "Web": {"backend:80": {
        "Handlers": {"/": {"Text": "served by the back"}}}}}
    fqdn = back.node("backend")["fqdn"].rstrip(".")
    config["Web"] = {f"{fqdn}:80": config["Web"]["backend:80"]}
    status, text = ask(tmp_path / "backend", "POST", "serve-config", config)
    assert status == 200, text
    assert not ask(tmp_path / "frontend", "GET", "serve-config")[1]
    for lab, ip, answer in ((back, ips[1], "served by the back"),
                            (front, ips[0], "")):
        client = run(f"client{len(answer)}", "curl", "-sS", "--max-time", "10",
                     "-H", f"Host: {fqdn}", f"http://{ip}/", lab=lab,
                     options=["--wait"])
        code = client.wait(3 * PATIENCE)
        assert client.out == answer, client.err
        assert code == (0 if answer else 7), client.err


# -- questions to each, from elsewhere ------------------------------------------------

def verb(tmp_path, *argv):
    return subprocess.run(
        [TSRUN, *argv], capture_output=True, text=True, timeout=PATIENCE,
        env=dict(CLEAN_ENV, TSNET_CONF=str(tmp_path / "tsnet.conf"),
                 XDG_RUNTIME_DIR=str(tmp_path / "run")))


def test_verbs_find_nodes_whose_state_is_in_memory(labs, both, tmp_path):
    text = CONF.format(front=labs[0], back=labs[1], dir=tmp_path)
    text = text.replace(f"state_dir = {tmp_path}/frontend", "ephemeral = yes")
    text = text.replace(f"state_dir = {tmp_path}/backend", "ephemeral = yes")
    (tmp_path / "tsnet.conf").write_text(text)
    (tmp_path / "run").mkdir(mode=0o700)
    both("sleep", "600", XDG_RUNTIME_DIR=str(tmp_path / "run"))
    ips = [wait_until(lambda b=lab, n=name: b.node(n), name)["ips"]
           for lab, name in zip(labs, ("frontend", "backend"))]
    for name, own in zip(("frontend", "backend"), ips):
        done = verb(tmp_path, "--node", name, "ip")
        assert done.stdout.split() == own, done.stderr
    done = verb(tmp_path, "--node", "nobody", "ip")
    assert done.returncode == 1 and "nobody" in done.stderr
