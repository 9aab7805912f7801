"""The tailnet's own resolvers: split DNS, resolvers for all names, by every
transport, as programs see them."""
import base64
import json
import os
import subprocess
import sys
import textwrap

import pytest

from harness import CLEAN_ENV, SANITIZERS, needs, stop, wait_until
from name_server import NameServer
from test_names import mounting
from test_routes import INSIDE, net, node, routed  # noqa: F401 (fixtures)

HERE = os.path.dirname(os.path.abspath(__file__))
CORP, SYSTEM = "127.0.0.3", "127.0.0.2"
RECORDS = {
    "db.corp.example": "192.0.2.10",
    "six.corp.example": "2001:db8::6",
    "alias.corp.example": "@db.corp.example",
    "web.corp.example": "@web.lab.ts.net",
    "away.corp.example": "@example.com",
    "big.corp.example": "100",
    "fails.corp.example": "fail",
    "5.0.9.10.in-addr.arpa": ">db.corp.example",
    "example.com": "192.0.2.80",
    "host": "192.0.2.81",
    "printer.local": "192.0.2.82",
}
# The system's server has another opinion of all.
OTHER = {name: "198.51.100.1" for name in RECORDS}


@pytest.fixture
def server(tmp_path):
    """server(ip, records): a name server by UDP and TCP at port 53."""
    servers = []

    def make(ip, records, ways=("udp", "tcp")):
        log = str(tmp_path / f"asked-{ip}-{len(servers)}")
        servers.append(NameServer(log, records))
        for way in ways:
            servers[-1].start(way, f"{ip}:53")
        return servers[-1]
    yield make
    for s in servers:
        s.close()


@pytest.fixture
def corp(server):
    return server(CORP, RECORDS)


@pytest.fixture
def system(server):
    return server(SYSTEM, OTHER)


@pytest.fixture
def wrap(tmp_path):
    return mounting(tmp_path, resolv_conf=f"nameserver {SYSTEM}\n")


@pytest.fixture
def configure(lab):
    """configure(Routes=..., ...): the tailnet's DNSConfig from now on."""
    def go(**config):
        base = {"Proxied": True, "Domains": ["lab.ts.net"]}
        lab.command("dns " + json.dumps({**base, **config}))
    return go


@pytest.fixture
def split(configure):
    configure(Routes={"corp.example": [{"Addr": CORP}],
                      "9.10.in-addr.arpa": [{"Addr": CORP}],
                      "empty.example": None},
              Domains=["lab.ts.net", "corp.example"])


@pytest.fixture
def everything(configure):
    configure(Resolvers=[{"Addr": CORP}])


@pytest.fixture
def web(run):
    return run("web", "sleep", "600", key="key-bob").wait_running()


@pytest.fixture
def ask(call, web, system, wrap):
    """ask(*argv) runs a program in the tailnet; what it says."""
    asked = []

    def go(*argv, code=0, options=(), **kwargs):
        asked.append(argv)
        program = call(f"asker{len(asked)}", *argv, wrap=wrap,
                       options=("--wait", *options), **kwargs)
        assert program.code == code, (program.out, program.err, program.log)
        return program.out
    return go


def dig(name, *options):
    return ("dig", "+short", *options, name)


def script(text):
    return ("python3", "-c", textwrap.dedent(text))


# -- split DNS --------------------------------------------------------------

WAYS = {
    "getent": ("getent", "ahostsv4", "DB.corp.example"),
    "python": script("import socket;"
                     "print(socket.gethostbyname('db.corp.example'))"),
    "alias": ("getent", "ahostsv4", "alias.corp.example"),
    "search": ("getent", "ahostsv4", "db"),
    "udp": dig("db.corp.example", "@100.100.100.100"),
    "tcp": dig("db.corp.example", "@100.100.100.100", "+tcp"),
    "intercepted": dig("db.corp.example"),
    "intercepted_tcp": dig("db.corp.example", "+tcp"),
}


@needs("getent", "dig")
@pytest.mark.parametrize("way", WAYS)
def test_split_dns(split, corp, system, ask, way):
    assert "192.0.2.10" in ask(*WAYS[way])
    assert corp.asked and not system.asked


def test_split_dns_leaves_other_names_alone(split, corp, system, ask):
    out = ask(*script("""
        import socket
        print(socket.gethostbyname('example.com'))
        print(socket.gethostbyname('xcorp.example') if 0 else '')"""))
    assert out.split() == ["198.51.100.1"]
    assert not corp.asked
    assert {name for _, name in system.asked} == {"example.com"}


@needs("getent", "dig")
def test_families_and_what_is_not_there(split, corp, system, ask):
    assert "2001:db8::6" in ask("getent", "ahostsv6", "six.corp.example")
    assert ask("getent", "ahostsv4", "six.corp.example", code=2) == ""
    assert ask("getent", "hosts", "nobody.corp.example", code=2) == ""
    out = ask("dig", "@100.100.100.100", "nobody.corp.example")
    assert "status: NXDOMAIN" in out and "SOA" in out
    out = ask("dig", "@100.100.100.100", "nobody.empty.example")
    assert "status: NXDOMAIN" in out
    assert "empty.example" not in {name for _, name in corp.asked}
    assert not system.asked


def test_aliases_that_lead_elsewhere(split, corp, system, ask, web):
    """Into the tailnet, and to a name of the system's servers."""
    out = ask(*script("""
        import socket
        print(socket.gethostbyname('web.corp.example'))
        print(socket.gethostbyname('away.corp.example'))"""))
    assert out.split() == [web.ip, "192.0.2.80"]


RES_QUERY = """
    import ctypes
    buf = ctypes.create_string_buffer(4096)
    n = ctypes.CDLL(None).res_query(b"db.corp.example", 1, 1, buf, 4096)
    print(".".join(str(b) for b in buf.raw[n - 4:n]))
"""


def test_res_query(split, corp, system, ask):
    assert ask(*script(RES_QUERY)).strip() == "192.0.2.10"
    assert not system.asked


@needs("getent")
def test_names_of_addresses_behind_a_router(lab, split, corp, system, ask,
                                            web):
    lab.command("routes web 10.9.0.0/24")
    out = ask("getent", "hosts", "10.9.0.5", options=("--accept-routes",))
    assert out.split() == ["10.9.0.5", "db.corp.example"]
    assert not system.asked


GO = """
    package main
    import ("context"; "fmt"; "net")
    func main() {
        for _, n := range []string{"db.corp.example", "example.com"} {
            fmt.Println(net.DefaultResolver.LookupHost(
                context.Background(), n))
        }
    }
"""


@needs("go")
@pytest.mark.skipif(bool(SANITIZERS),
                    reason="a stock program has no sanitizer runtime")
def test_go(split, corp, system, ask, tmp_path):
    source, program = tmp_path / "names.go", str(tmp_path / "names")
    source.write_text(textwrap.dedent(GO))
    subprocess.run(["go", "build", "-o", program, source], check=True,
                   env=dict(CLEAN_ENV, CGO_ENABLED="0", GO111MODULE="off",
                            GOCACHE="/tmp/go-build-e2e", GOFLAGS=""))
    assert ask(program).splitlines() == ["[192.0.2.10] <nil>",
                                         "[198.51.100.1] <nil>"]
    assert "db.corp.example" not in {name for _, name in system.asked}


# -- resolvers for all names ---------------------------------------------------

LOOK = """
    import socket, sys
    for name in sys.argv[1:]:
        try:
            print(socket.gethostbyname(name))
        except socket.gaierror as e:
            print(e.errno == socket.EAI_AGAIN and "again" or "none")
"""


LOOP = ("python3", "-uc", textwrap.dedent("""
    import socket, time
    while True:
        try:
            print(socket.gethostbyname('example.com'))
        except OSError:
            print('nothing')
        time.sleep(0.05)"""))


def patch(program, **prefs):
    prefs.update({key + "Set": True for key in prefs})
    subprocess.run(
        ["curl", "-s", "-f", "--unix-socket", program.localapi, "-X", "PATCH",
         "-d", json.dumps(prefs),
         "http://local-tailscaled.sock/localapi/v0/prefs"], check=True,
        capture_output=True)


def test_resolvers_for_all_names(everything, corp, system, ask, web):
    out = ask(*script(LOOK), "example.com", "db.corp.example", "web",
              "nobody.example", "host", "printer.local")
    assert out.split() == ["192.0.2.80", "192.0.2.10", web.ip, "none",
                           "198.51.100.1", "198.51.100.1"]
    assert {name for _, name in system.asked} == {"host", "printer.local"}


@pytest.mark.skipif(bool(SANITIZERS),
                    reason="a stock program has no sanitizer runtime")
def test_a_node_inside_the_program(everything, corp, system, ask, web):
    """Its first name of the tailnet starts the node; until then the system's
    servers know the others."""
    out = ask(*script(LOOK), "db.corp.example", "web", "example.com",
              "nobody.example", "host", options=("--in-process",))
    assert out.split() == ["198.51.100.1", web.ip, "192.0.2.80", "none",
                           "198.51.100.1"]


REVERSE = """
    import socket, sys
    for ip in sys.argv[1:]:
        try:
            print(socket.gethostbyaddr(ip)[0], end=' ')
        except socket.herror:
            print('none', end=' ')
        try:
            print(socket.getnameinfo((ip, 80), socket.NI_NAMEREQD |
                                     socket.NI_NUMERICSERV)[0])
        except socket.gaierror as e:
            print('again' if e.errno == socket.EAI_AGAIN else 'none')
"""
REVERSED = {"80.2.0.192.in-addr.arpa": ">www.example.com",
            "7.2.0.192.in-addr.arpa": ">wrong.example.com",
            "66.2.0.192.in-addr.arpa": "fail",
            "1.0.0.127.in-addr.arpa": ">wrong.example.com",
            "8." + "0." * 23 + "8.b.d.0.1.0.0.2.ip6.arpa": ">six.example.com"}


def test_names_of_all_addresses(everything, server, system, call, web,
                                tmp_path):
    """By the tailnet's resolvers, but for those of this machine and those in
    the hosts file."""
    corp = server(CORP, REVERSED)
    wrap = mounting(tmp_path, hosts="127.0.0.1 localhost\n"
                    "192.0.2.7\tdb.corp.example\n# 192.0.2.80 no.example\n",
                    resolv_conf=f"nameserver {SYSTEM}\n")
    program = call("asker", *script(REVERSE), "192.0.2.80", "2001:db8::8",
                   "192.0.2.7", "127.0.0.1", "192.0.2.66", "192.0.2.99",
                   web.ip, wrap=wrap, options=("--wait",))
    assert program.out.splitlines() == [
        "www.example.com www.example.com", "six.example.com six.example.com",
        "db.corp.example db.corp.example", "localhost localhost",
        "none again", "none none", "web.lab.ts.net web.lab.ts.net"]
    assert not system.asked
    assert ("udp", "80.2.0.192.in-addr.arpa") in corp.asked
    assert ("udp", "7.2.0.192.in-addr.arpa") not in corp.asked


@needs("dig")
def test_resolvers_for_all_queries(everything, corp, system, ask):
    assert ask(*dig("example.com")).strip() == "192.0.2.80"
    assert ask(*dig("example.com", "@100.100.100.100")).strip() == \
        "192.0.2.80"
    assert ask(*dig("host")).strip() == "198.51.100.1"
    assert system.asked == [("udp", "host")]


@needs("dig")
def test_the_host_keeps_its_names(everything, corp, system, ask):
    out = ask(*script(LOOK), "example.com", options=("--dns", "host"))
    assert out.strip() == "198.51.100.1"
    assert ask(*dig("example.com", "@100.100.100.100"),
               options=("--dns", "host")).strip() == "192.0.2.80"
    assert ask(*script(LOOK), "example.com",
               options=("--no-accept-dns",)).strip() == "198.51.100.1"
    assert ask(*dig("example.com", "@100.100.100.100"),
               options=("--no-accept-dns",)).strip() == "198.51.100.1"


def test_no_accept_dns_still_finds_nodes(split, corp, system, ask, web):
    out = ask(*script(LOOK), "web", "web.lab.ts.net", "db.corp.example",
              options=("--no-accept-dns",))
    assert out.split() == [web.ip, web.ip, "198.51.100.1"]
    assert not corp.asked


def test_the_hosts_file_comes_first(everything, corp, call, web, tmp_path):
    wrap = mounting(tmp_path, hosts="127.0.0.1 localhost\n"
                    "192.0.2.7 db.corp.example\n")
    program = call("asker", *script(LOOK), "db.corp.example", "localhost",
                   wrap=wrap, options=("--wait",))
    assert program.out.split() == ["192.0.2.7", "127.0.0.1"]
    assert not corp.asked


def test_a_change_is_followed(configure, corp, system, run, web, wrap):
    """The tailnet gets resolvers, and loses them, while a program runs."""
    program = run("asker", *LOOP, wrap=wrap, options=("--wait",))
    last = lambda: program.alive() and program.out.split()[-1:]
    wait_until(lambda: last() == ["198.51.100.1"], "the system's answer")
    configure(Resolvers=[{"Addr": CORP}])
    wait_until(lambda: last() == ["192.0.2.80"], "the tailnet's answer")
    configure()
    wait_until(lambda: last() == ["198.51.100.1"], "the system's again")


@needs("curl")
def test_a_node_that_is_down_leaves_names_to_the_system(
        everything, corp, system, run, web, wrap):
    program = run("asker", *LOOP, wrap=wrap, options=("--wait",))
    last = lambda: program.alive() and program.out.split()[-1:]
    wait_until(lambda: last() == ["192.0.2.80"], "the tailnet's answer")
    patch(program, WantRunning=False)
    wait_until(lambda: last() == ["198.51.100.1"], "the system's answer")
    patch(program, WantRunning=True)
    wait_until(lambda: last() == ["192.0.2.80"], "the tailnet's again")


# -- how resolvers are asked ----------------------------------------------------

@needs("dig")
def test_answers_are_remembered(split, corp, system, ask):
    out = ask("sh", "-c", "for i in 1 2 3; do dig +noall +answer "
              "@100.100.100.100 db.corp.example; done; "
              "dig +short @100.100.100.100 DB.corp.example; "
              "dig +short @100.100.100.100 none.corp.example; "
              "dig +short @100.100.100.100 none.corp.example")
    assert out.count("192.0.2.10") == 4
    assert corp.asked.count(("udp", "db.corp.example")) == 1
    assert corp.asked.count(("udp", "none.corp.example")) == 1


@needs("dig")
def test_long_answers_come_by_tcp(split, corp, system, ask):
    out = ask("dig", "@100.100.100.100", "+tcp", "big.corp.example")
    assert out.count("IN\tA\t192.0.2.") == 100
    assert ("tcp", "big.corp.example") in corp.asked
    # by UDP it is cut off, and dig asks again
    out = ask("dig", "@100.100.100.100", "big.corp.example")
    assert out.count("IN\tA\t192.0.2.") == 100 and "(TCP)" in out
    out = ask("dig", "@100.100.100.100", "+ignore", "+noedns",
              "big.corp.example")
    assert " tc " in out and "ANSWER: 0" in out
    assert len(ask("getent", "ahostsv4", "big.corp.example").split("\n")) > 8


@needs("dig")
@pytest.mark.parametrize("other", ["silent", "fail", "refuse", "nobody"])
def test_the_first_good_answer_counts(configure, server, corp, system, ask,
                                      other):
    if other != "nobody":
        server("127.0.0.4", {"db.corp.example": other})
    configure(Routes={"corp.example": [{"Addr": "127.0.0.4"},
                                       {"Addr": "tls://nobody.example"},
                                       {"Addr": CORP}]})
    assert ask(*dig("db.corp.example")).strip() == "192.0.2.10"
    assert ask(*script(LOOK), "db.corp.example").strip() == "192.0.2.10"


@needs("dig")
def test_a_failure_is_told_and_stays_here(split, corp, system, ask):
    assert "status: SERVFAIL" in ask("dig", "+tries=1",
                                     "fails.corp.example")
    out = ask(*script(LOOK), "fails.corp.example")
    assert out.strip() == "again"
    assert not system.asked


def serve(run, tmp_path, *ways, listen="tailnet"):
    """A name server on a node of the tailnet, and its log."""
    log = str(tmp_path / "ns.log")
    program = run("ns", sys.executable, os.path.join(HERE, "name_server.py"),
                  "--log", log, *ways,
                  *[f"{k}={v}" for k, v in RECORDS.items()], key="key-bob",
                  options=("--wait", "--listen", listen))
    program.wait_running()
    wait_until(lambda: program.alive() and os.path.exists(log),
               "the name server")
    return program, NameServer(log, {})


@needs("dig")
@pytest.mark.parametrize("family", [4, 6])
def test_a_resolver_on_the_tailnet(configure, run, lab, system, ask,
                                   tmp_path, family):
    at = "0.0.0.0:53" if family == 4 else "[::]:53"
    _, log = serve(run, tmp_path, "--udp", at, "--tcp", at)
    which = 0 if family == 4 else 1
    configure(Routes={"corp.example": [
        {"Addr": lab.node("ns")["ips"][which]}]})
    out = ask("sh", "-c", "dig +short db.corp.example; "
              "getent ahostsv4 alias.corp.example; "
              "dig +tcp big.corp.example")
    assert out.startswith("192.0.2.10\n192.0.2.10 ")
    assert out.count("IN\tA\t192.0.2.") == 100
    asker = lab.node("asker1")["ips"][which]
    assert {line.split()[3] for line in log.lines} == {asker}
    assert ("tcp", "big.corp.example") in log.asked
    assert not system.asked


@needs("nsenter")
def test_a_resolver_behind_a_router(net, routed, tmp_path):
    """In a network that only an accepted subnet route leads to."""
    r, log = routed(), str(tmp_path / "site.log")
    server = subprocess.Popen(
        [*r.site.host.wrap, sys.executable,
         os.path.join(HERE, "name_server.py"), "--log", log, "--udp",
         f"{INSIDE}:53", "--tcp", f"{INSIDE}:53",
         *[f"{k}={v}" for k, v in RECORDS.items()]], env=CLEAN_ENV)
    try:
        wait_until(lambda: os.path.exists(log), "the name server")
        net.lab.command("dns " + json.dumps({
            "Proxied": True, "Domains": ["lab.ts.net"],
            "Routes": {"corp.example": [{"Addr": INSIDE}]}}))

        def query(name):
            result = r.client.cli("dns", "query", name, check=False)
            return result.stdout if INSIDE in result.stdout and \
                "NOERROR" in result.stdout else None
        assert "192.0.2.10" in wait_until(lambda: query("db.corp.example"),
                                          "an answer")
        assert query("big.corp.example").count("192.0.2.") == 100
    finally:
        stop(server)
    lines = NameServer(log, {}).lines
    assert {line.split()[3] for line in lines} == {r.seen_as}
    assert "tcp" in {line.split()[0] for line in lines}


@needs("dig")
def test_a_resolver_behind_a_peers_http(configure, run, lab, system, ask,
                                        tmp_path):
    """As exit nodes answer names."""
    program, log = serve(run, tmp_path, "--http", "0.0.0.0:8053")
    configure(Resolvers=[{"Addr": f"http://{program.ip}:8053/dns-query"}])
    out = ask("sh", "-c", "dig +short example.com; "
              "getent ahostsv4 db.corp.example; dig +tcp big.corp.example")
    assert out.startswith("192.0.2.80\n192.0.2.10 ")
    assert out.count("IN\tA\t192.0.2.") == 100
    asker = lab.node("asker1")["ips"][0]
    assert {line.split()[3] for line in log.lines} == {asker}
    assert {way for way, _ in log.asked} == {"http"}
    assert not system.asked


@needs("curl")
@pytest.mark.parametrize("listen", ["both", "tailnet"])
def test_a_resolver_of_our_own(configure, run, tmp_path, system, listen):
    """The node that serves names is asked like any other."""
    program, log = serve(run, tmp_path, "--udp", "0.0.0.0:5300", "--tcp",
                         "0.0.0.0:5300", listen=listen)
    configure(Routes={"corp.example": [{"Addr": f"{program.ip}:5300"}]})
    def ask_itself():
        return json.loads(get(program, "dns-query?name=db.corp.example")[1])
    wait_until(lambda: program.ip in str(ask_itself()["Resolvers"]),
               "the new configuration")
    assert base64.b64decode(ask_itself()["Bytes"])[-4:] == \
        bytes((192, 0, 2, 10))
    assert ("udp", "db.corp.example") in log.asked


@needs("dig")
def test_an_exit_node_answers_all_names(configure, server, system, run, lab,
                                        tmp_path, wrap):
    """By its PeerAPI, as its own system's server has it; but for resolvers
    that the tailnet wants asked nevertheless."""
    outside = server("127.0.0.5", RECORDS)
    kept = server("127.0.0.6", {"db.corp.example": "203.0.113.6"})
    configure(Routes={"corp.example": [
        {"Addr": "127.0.0.6", "UseWithExitNode": True}],
        "9.10.in-addr.arpa": [{"Addr": "127.0.0.7"}]},
        Resolvers=[{"Addr": "127.0.0.7"}])
    (tmp_path / "exit").mkdir()
    router = run("router", "sleep", "600", wrap=mounting(
        tmp_path / "exit", resolv_conf="nameserver 127.0.0.5\n"),
        options=("--wait", "--advertise-exit-node", "--no-accept-dns"))
    router.wait_running()
    lab.command("routes router 0.0.0.0/0 ::/0")
    client = run("client", *LOOP, wrap=wrap,
                 options=("--exit-node", "router"))
    wait_until(lambda: client.alive() and client.out.split()[-1:] ==
               ["192.0.2.80"], "the exit node's answer")
    out = client.cli("dns", "query", "db.corp.example").stdout
    assert "127.0.0.6" in out and "203.0.113.6" in out
    out = client.cli("dns", "query", "5.0.9.10.in-addr.arpa", "PTR").stdout
    assert f"http://{router.ip}:" in out and "db.corp.example" in out
    assert "example.com" in {name for _, name in outside.asked}
    assert {name for _, name in kept.asked} == {"db.corp.example"}


@needs("dig")
def test_a_peer_that_is_gone(configure, system, ask):
    configure(Routes={"corp.example": [{"Addr": "100.64.77.77"},
                                       {"Addr": "100.100.100.100"}]})
    out = ask("dig", "+tries=1", "db.corp.example")
    assert "status: SERVFAIL" in out
    assert not system.asked


@pytest.fixture
def certificate(tmp_path):
    """certificate(name): a key and its certificate, in one file."""
    def make(name):
        path = str(tmp_path / f"{name}.pem")
        kind = "IP" if name.replace(".", "").isdigit() else "DNS"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
             "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj",
             f"/CN={name}", "-addext", f"subjectAltName={kind}:{name}",
             "-keyout", path + ".key", "-out", path], check=True,
            capture_output=True)
        with open(path, "a", encoding="utf-8") as f, \
                open(path + ".key", encoding="utf-8") as key:
            f.write(key.read())
        return path
    return make


@needs("dig", "ip", "openssl")
@pytest.mark.parametrize("resolver", [
    {"Addr": "1.1.1.1"}, {"Addr": "https://cloudflare-dns.com/dns-query"},
    {"Addr": "https://own.example/dns-query",
     "BootstrapResolution": ["1.1.1.1"]}])
def test_dns_over_https(configure, system, ask, certificate, tmp_path,
                        resolver):
    subprocess.run(["ip", "addr", "add", "1.1.1.1/32", "dev", "lo"],
                   check=True)
    own = "own.example" in resolver["Addr"]
    cert = certificate("own.example" if own else "cloudflare-dns.com")
    log = NameServer(str(tmp_path / "doh.log"), RECORDS)
    log.start("https", "1.1.1.1:443", cert)
    configure(Resolvers=[resolver])
    try:
        out = ask("sh", "-c", "dig +short example.com; "
                  "getent ahostsv4 db.corp.example; dig +tcp big.corp.example",
                  env={"SSL_CERT_FILE": cert})
    finally:
        log.close()
    assert out.startswith("192.0.2.80\n192.0.2.10 ")
    assert out.count("IN\tA\t192.0.2.") == 100
    assert {way for way, _ in log.asked} == {"https"}
    assert not system.asked


@needs("dig", "openssl")
@pytest.mark.parametrize("where", ["name", "address", "bootstrap"])
def test_dns_over_https_inside_the_tailnet(configure, run, lab, system, call,
                                           wrap, certificate, tmp_path, where):
    """A server that is a node: it sees who asks, and by which address."""
    ip = call("ns", "true", key="key-bob", options=("--wait",)).ip
    name = {"name": "ns.lab.ts.net", "address": ip,
            "bootstrap": "own.example"}[where]
    cert = certificate(name)
    program, log = serve(run, tmp_path, "--cert", cert, "--https",
                         "0.0.0.0:443")
    assert program.ip == ip
    configure(Resolvers=[{"Addr": f"https://{name}/dns-query",
                          "BootstrapResolution": [program.ip] if where ==
                          "bootstrap" else []}])
    asker = call("asker", "sh", "-c", "dig +short example.com; "
                 "getent ahostsv4 db.corp.example; dig +tcp big.corp.example",
                 wrap=wrap, options=("--wait",),
                 # No proxy leads into the tailnet.
                 env={"SSL_CERT_FILE": cert,
                      "HTTPS_PROXY": "http://127.0.0.1:1"})
    assert asker.code == 0, (asker.err, asker.log)
    assert asker.out.startswith("192.0.2.80\n192.0.2.10 ")
    assert asker.out.count("IN\tA\t192.0.2.") == 100
    assert {line.split()[0] for line in log.lines} == {"https"}
    assert {line.split()[3] for line in log.lines} == \
        {lab.node("asker")["ips"][0]}
    assert not system.asked


HTTP2 = """
    const http2 = require('http2'), fs = require('fs');
    const pem = fs.readFileSync(process.argv[1]);
    const server = http2.createSecureServer({key: pem, cert: pem});
    let sessions = 0;
    server.on('session', () => console.log('session', ++sessions));
    server.on('stream', (stream, headers) => {
        const parts = [];
        stream.on('data', d => parts.push(d));
        stream.on('end', () => {
            const query = Buffer.concat(parts), end = query.indexOf(0, 12) + 5;
            const answer = Buffer.concat([query.subarray(0, end), Buffer.from(
                [0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 2])]);
            answer.writeUInt16BE(0x8180, 2);
            answer.writeUInt16BE(1, 6);
            answer.writeUInt16BE(0, 10);
            console.log(headers[':method'], headers[':path'],
                        headers['content-type'], headers[':authority']);
            stream.respond({':status': 200,
                            'content-type': 'application/dns-message'});
            stream.end(answer);
        });
    });
    server.listen(443, '8.8.8.8', () => console.log('ready'));
"""


@needs("dig", "ip", "openssl", "node")
def test_https_by_http2(configure, system, ask, certificate, tmp_path):
    """One connection for all queries."""
    subprocess.run(["ip", "addr", "add", "8.8.8.8/32", "dev", "lo"],
                   check=True)
    cert, out = certificate("dns.google"), tmp_path / "http2.out"
    with open(out, "w", encoding="utf-8") as f:
        server = subprocess.Popen(
            ["node", "-e", textwrap.dedent(HTTP2), cert], stdout=f, stderr=f,
            env=CLEAN_ENV)
    try:
        wait_until(lambda: "ready" in out.read_text(), "the server")
        configure(Resolvers=[{"Addr": "8.8.8.8"}])
        said = ask("sh", "-c", "for i in 1 2 3 4; do "
                   "dig +short $i.example.com; done",
                   env={"SSL_CERT_FILE": cert})
    finally:
        stop(server)
    assert said == "192.0.2.2\n" * 4
    lines = out.read_text().splitlines()
    assert [line for line in lines if line.startswith("session")] == \
        ["session 1"]
    assert lines.count("POST /dns-query application/dns-message "
                       "dns.google") == 4
    assert not system.asked


@needs("dig", "ip", "openssl")
def test_a_provider_without_https(configure, server, system, ask, certificate,
                                  tmp_path):
    """Somebody else's certificate: then by UDP, half a second later."""
    subprocess.run(["ip", "addr", "add", "1.1.1.1/32", "dev", "lo"],
                   check=True)
    cert = certificate("stranger.example")
    log = NameServer(str(tmp_path / "doh.log"), OTHER)
    log.start("https", "1.1.1.1:443", cert)
    plain = server("1.1.1.1", RECORDS)
    configure(Resolvers=[{"Addr": "1.1.1.1"}])
    try:
        assert ask(*dig("example.com"),
                   env={"SSL_CERT_FILE": cert}).strip() == "192.0.2.80"
    finally:
        log.close()
    assert not log.asked and plain.asked == [("udp", "example.com")]


# -- names that the netmap alone answers -----------------------------------------

@needs("getent", "dig")
def test_4via6_names(ask, web):
    wanted = "fd7a:115c:a1e0:b1a:0:7:a01:101"
    for name in ("10-1-1-1-via-7", "10-1-1-1-via-7.lab.ts.net",
                 "10-1-1-1-via-0x7.lab.ts.net"):
        assert ask("getent", "ahostsv6", name).split()[0] == wanted
        assert ask(*dig(name, "AAAA", "@100.100.100.100")).strip() == wanted
    out = ask("dig", "A", "10-1-1-1-via-7.lab.ts.net", "@100.100.100.100")
    assert "status: NOERROR" in out and "ANSWER: 0" in out


@needs("getent", "dig")
def test_records_of_the_tailnet(configure, corp, system, ask):
    configure(ExtraRecords=[
        {"Name": "git.records.example", "Value": "192.0.2.30"},
        {"Name": "git.records.example", "Type": "AAAA",
         "Value": "2001:db8::30"},
        {"Name": "txt.records.example", "Type": "TXT", "Value": "x"}])
    assert "192.0.2.30" in ask("getent", "ahostsv4", "git.records.example")
    assert "2001:db8::30" in ask("getent", "ahostsv6", "git.records.example")
    assert ask(*dig("git.records.example")).strip() == "192.0.2.30"
    out = ask(*dig("x.git.records.example", "@100.100.100.100"))
    assert out == ""
    assert not [n for _, n in system.asked if "git.records" in n]


# -- for people -------------------------------------------------------------------

def get(program, path):
    result = subprocess.run(
        ["curl", "-s", "--unix-socket", program.localapi, "-w",
         "\n%{http_code}", "http://local-tailscaled.sock/localapi/v0/" + path],
        check=True, capture_output=True, text=True)
    body, status = result.stdout.rsplit("\n", 1)
    return int(status), body


@needs("curl")
def test_localapi(split, corp, system, web, run, wrap, lab):
    node = run("asker", "sleep", "600", wrap=wrap,
               options=("--wait",)).wait_running()
    status, body = get(node, "dns-query?name=db.corp.example&type=A")
    answer = json.loads(body)
    assert status == 200
    assert answer["Resolvers"] == [{"Addr": CORP}]
    assert base64.b64decode(answer["Bytes"])[-4:] == \
        bytes((192, 0, 2, 10))
    status, body = get(node, "dns-query?name=web.lab.ts.net.")
    answer = json.loads(body)
    assert status == 200 and answer["Resolvers"] == []
    status, body = get(node, "dns-query?name=example.com&type=aaaa")
    assert json.loads(body)["Resolvers"] == [{"Addr": SYSTEM}]
    assert get(node, "dns-query?name=x&type=JUNK")[0] == 400
    assert get(node, "dns-query?name=a..b")[0] == 400
    assert get(node, "dns-query")[0] == 400
    status, body = get(node, "dns-config")
    assert status == 200
    assert json.loads(body)["Routes"]["corp.example"] == [{"Addr": CORP}]
    status, body = get(node, "dns-osconfig")
    assert json.loads(body) == {"Nameservers": [SYSTEM], "SearchDomains": [],
                                "MatchDomains": []}


@needs("getent")
def test_dns_status_and_query(configure, corp, system, web, run, wrap):
    configure(Routes={"corp.example": [{"Addr": CORP}], "empty.example": []},
              Resolvers=[{"Addr": "127.0.0.9"}],
              ExtraRecords=[{"Name": "git.example", "Value": "192.0.2.30"}])
    node = run("asker", "sleep", "600", wrap=wrap,
               options=("--wait",)).wait_running()
    lines = node.cli("dns", "status").stdout.splitlines()
    assert lines[0] == "The tailnet's DNS is used."
    assert "MagicDNS: on, suffix lab.ts.net" in lines
    assert lines[lines.index("Resolvers for all names:") + 1] == "  127.0.0.9"
    assert lines[lines.index("  corp.example") + 1] == f"    {CORP}"
    assert any(line.split() == ["git.example", "192.0.2.30"]
               for line in lines)
    assert lines[lines.index("The system's name servers:") + 1] == \
        f"  {SYSTEM}"
    status = json.loads(node.cli("--json", "dns", "status").stdout)
    assert status["TailscaleDNS"] is True
    assert status["System"]["Nameservers"] == [SYSTEM]
    out = node.cli("dns", "query", "alias.corp.example").stdout.splitlines()
    assert out == ["Asked:", f"  {CORP}", "NOERROR",
                   "alias.corp.example\t60\tCNAME\tdb.corp.example",
                   "db.corp.example\t60\tA\t192.0.2.10"]
    out = node.cli("dns", "query", "web.lab.ts.net", "A").stdout
    assert "nobody" in out and web.ip in out
    result = node.cli("dns", "query", "none.corp.example", check=False)
    assert result.returncode == 1 and "NXDOMAIN" in result.stdout
    assert node.cli("dns", "query", check=False).returncode != 0
    assert node.cli("dns", "junk", check=False).returncode == 64


@needs("curl")
def test_accept_dns_is_changed_while_it_runs(everything, corp, system, web,
                                             run, wrap):
    program = run("asker", *LOOP, wrap=wrap, options=("--wait",))
    last = lambda: program.alive() and program.out.split()[-1:]
    wait_until(lambda: last() == ["192.0.2.80"], "the tailnet's answer")
    patch(program, CorpDNS=False)
    wait_until(lambda: last() == ["198.51.100.1"], "the system's answer")
    patch(program, CorpDNS=True)
    wait_until(lambda: last() == ["192.0.2.80"], "the tailnet's again")
