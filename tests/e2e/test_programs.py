"""Stock servers and clients that other people wrote."""
import hashlib
import os
import subprocess

import pytest

from harness import needs, wait_until

APPS = os.path.join(os.path.dirname(__file__), "apps")
PAGE = "<p>page</p>\n"


@pytest.fixture
def page(tmp_path):
    directory = tmp_path / "page"
    directory.mkdir()
    directory.chmod(0o755)
    tmp_path.chmod(0o755)
    (directory / "index.html").write_text(PAGE)
    return directory


@pytest.fixture
def web(run, page):
    return run("web", "python3", "-m", "http.server", "8080", "--directory",
               str(page)).wait_running().wait_listening(8080)


def nginx_conf(directory, server):
    conf = directory / "nginx.conf"
    conf.write_text(f"""
daemon off; worker_processes 2; user root;
pid {directory}/nginx.pid; error_log stderr;
events {{ worker_connections 512; }}
http {{
  access_log {directory}/access.log;
  client_body_temp_path {directory}; proxy_temp_path {directory};
  fastcgi_temp_path {directory}; uwsgi_temp_path {directory};
  scgi_temp_path {directory};
  server {{ {server} }}
}}
""")
    return str(conf)


@needs("nginx", "curl")
def test_nginx_serves(run, call, page, tmp_path):
    conf = nginx_conf(tmp_path, f"listen 8080; root {page};")
    server = run("web", "nginx", "-c", conf).wait_running().wait_listening(8080)
    for hostname in ("one", "two"):
        client = call(hostname, "curl", "-sS", "--max-time", "20",
                      "http://web:8080/")
        assert client.out == PAGE, client.err + server.err
    log = (tmp_path / "access.log").read_text()
    assert server.lab.node("one")["ips"][0] in log


@needs("nginx", "curl")
def test_nginx_proxies_to_the_tailnet(web, run, tmp_path):
    """The upstream's socket is in epoll before its connect."""
    conf = nginx_conf(tmp_path, f"listen 127.0.0.1:8090; location / "
                      f"{{ proxy_pass http://{web.ip}:8080; }}")
    run("proxy", "nginx", "-c", conf).wait_running().wait_listening(8090)
    for _ in range(5):
        result = subprocess.run(["curl", "-sS", "--max-time", "20",
                                 "http://127.0.0.1:8090/"],
                                capture_output=True, text=True, check=False)
        assert result.stdout == PAGE, result.stderr


@needs("redis-server", "redis-cli")
def test_redis(run, call):
    run("store", "redis-server", "--port", "7379", "--bind", "0.0.0.0",
        "--protected-mode", "no", "--save", "").wait_running(
        ).wait_listening(7379)
    assert call("c1", "redis-cli", "-h", "store", "-p", "7379", "set", "key",
                "value").out == "OK\n"
    assert call("c2", "redis-cli", "-h", "store", "-p", "7379", "get", "key"
                ).out == "value\n"
    refused = call("c3", "redis-cli", "-h", "store", "-p", "7380", "ping")
    assert "Connection refused" in refused.out + refused.err


@needs("redis-benchmark", "redis-server")
def test_redis_benchmark(run, call):
    run("store", "redis-server", "--port", "7379", "--bind", "0.0.0.0",
        "--protected-mode", "no", "--save", "").wait_running(
        ).wait_listening(7379)
    bench = call("bench", "redis-benchmark", "-h", "store", "-p", "7379", "-n",
                 "2000", "-c", "50", "-P", "4", "-t", "set,get", "-q",
                 timeout=120)
    assert bench.code == 0 and "GET" in bench.out, bench.err


@needs("node")
def test_node_client(web, call):
    client = call("client", "node", "-e", """
require('http').get('http://web:8080/', r => {
  let all = ''; r.on('data', d => all += d);
  r.on('end', () => { console.log(all.trim(), r.socket.remoteAddress); });
});""", timeout=60)
    assert client.out == f"{PAGE.strip()} {web.ip}\n", client.err


@needs("node", "curl")
def test_node_server(run, call):
    run("web", "node", "-e", """
require('http').createServer((q, r) =>
  r.end('seen ' + q.socket.remoteAddress + '\\n')).listen(8080);
""").wait_running().wait_listening(8080)
    client = call("client", "curl", "-sS", "--max-time", "20",
                  "http://web:8080/")
    ip = client.lab.node("client")["ips"][0]
    assert client.out in (f"seen {ip}\n", f"seen ::ffff:{ip}\n"), client.err


@needs("java", "javac")
def test_java_nio(web, call, tmp_path):
    source = tmp_path / "Get.java"
    source.write_text("""
import java.net.*; import java.nio.*; import java.nio.channels.*;
public class Get { public static void main(String[] a) throws Exception {
  Selector selector = Selector.open();
  SocketChannel c = SocketChannel.open();
  c.configureBlocking(false);
  c.register(selector, SelectionKey.OP_CONNECT);
  selector.selectNow();
  c.connect(new InetSocketAddress("web", 8080));
  while (!c.finishConnect()) selector.select(1000);
  c.keyFor(selector).cancel(); selector.selectNow();
  c.configureBlocking(true);
  c.write(ByteBuffer.wrap("GET / HTTP/1.0\\r\\n\\r\\n".getBytes()));
  ByteBuffer in = ByteBuffer.allocate(65536);
  while (c.read(in) >= 0) { }
  System.out.print(new String(in.array(), 0, in.position()));
  System.out.println("from " + c.getRemoteAddress());
}}""")
    subprocess.run(["javac", "-d", str(tmp_path), str(source)], check=True)
    client = call("client", "java", "-cp", str(tmp_path), "Get", timeout=60)
    assert PAGE in client.out and f"from web/{web.ip}:8080" in client.out, \
        client.err


@needs("nc")
def test_netcat_half_close(run, call):
    """The server answers only after it has seen the end of the request."""
    run("server", "sh", "-c",
        "while :; do nc -l 7000 | sha256sum >> digest; done").wait_running()
    client = call("client", "sh", "-c",
                  "sleep 1; head -c 1000000 /dev/zero | nc -N -w 20 server 7000")
    assert client.code == 0, client.err
    server_dir = os.path.join(os.path.dirname(client.dir), "server")
    expected = hashlib.sha256(bytes(1_000_000)).hexdigest()

    def digest():
        with open(os.path.join(server_dir, "digest"), encoding="utf-8") as f:
            return expected in f.read()
    wait_until(digest, "the digest of all that was sent")


def test_python_requests_style(web, call):
    client = call("client", "python3", "-c", """
import urllib.request
for i in range(20):
    assert urllib.request.urlopen('http://web:8080/', timeout=20).read() == b'<p>page</p>\\n'
print('ok')""")
    assert client.out == "ok\n", client.err


def test_asyncio_both_ways(run, call):
    run("echo", "python3", os.path.join(APPS, "echo_server.py"), "7000"
        ).wait_running().wait_listening(7000)
    client = call("client", "python3", os.path.join(APPS, "many_clients.py"),
                  "echo", "7000", "20")
    assert client.out == "20 of 20\n", client.err


def test_names(web, call):
    """What is no name of the tailnet is libc's business."""
    client = call("client", "python3", "-c", """
import socket
print(socket.gethostbyname('web'), socket.gethostbyname('localhost'),
      socket.getnameinfo((socket.gethostbyname('web'), 80), socket.NI_NUMERICSERV)[0])
try:
    socket.getaddrinfo('nobody.lab.ts.net', 80)
except socket.gaierror as e:
    print(e.errno == socket.EAI_NONAME)
""")
    assert client.out == f"{web.ip} 127.0.0.1 web.lab.ts.net\nTrue\n", client.err
