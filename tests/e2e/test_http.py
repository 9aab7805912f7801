"""A stock web server and stock clients, by MagicDNS name and by address."""
import pytest

from harness import needs

PAGE = "<p>served by a program that knows nothing of Tailscale</p>\n"


@pytest.fixture
def page(tmp_path):
    site = tmp_path / "site"
    site.mkdir()
    (site / "index.html").write_text(PAGE)
    return site


@pytest.fixture
def web(run, page):
    server = run("web", "python3", "-u", "-m", "http.server", "8080",
                 "--directory", str(page))
    return server.wait_running().wait_listening(8080)


@needs("curl")
def test_curl_gets_the_page_by_name(web, call):
    client = call("laptop", "curl", "-sS", "--max-time", "15",
                  "http://web:8080/", key="key-bob")
    assert (client.code, client.out) == (0, PAGE), client.err
    # the server saw the caller's tailnet address, and it is bob's
    caller = web.lab.node("laptop")["ips"][0]
    assert caller in web.out + web.err
    assert "bob@example.com" in web.cli("whois", caller).stdout


@needs("curl")
def test_curl_gets_the_page_by_address(web, call):
    client = call("laptop", "curl", "-sS", "--max-time", "15",
                  f"http://{web.ip}:8080/")
    assert (client.code, client.out) == (0, PAGE), client.err


@needs("curl")
@pytest.mark.parametrize("family", [0, 1], ids=["ipv4", "ipv6"])
def test_a_dual_stack_server_is_reached_by_both(run, call, page, family):
    server = run("web", "python3", "-u", "-m", "http.server", "8080", "--bind",
                 "::", "--directory", str(page)).wait_running()
    server.wait_listening(8080)
    ip = server.lab.node("web")["ips"][family]
    host = f"[{ip}]" if ":" in ip else ip
    client = call("laptop", "curl", "-sS", "--max-time", "15",
                  f"http://{host}:8080/")
    assert (client.code, client.out) == (0, PAGE), client.err
    assert client.lab.node("laptop")["ips"][family] in server.out + server.err


@needs("wget")
def test_wget_gets_the_page(web, call):
    client = call("laptop", "wget", "-q", "-O", "-", "-T", "15",
                  "http://web.lab.ts.net:8080/")
    assert (client.code, client.out) == (0, PAGE), client.err
