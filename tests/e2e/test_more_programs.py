"""More stock programs, as server and as client."""
import glob
import os
import pwd
import shutil
import subprocess

import pytest

from harness import CLEAN_ENV, needs, wait_until

APPS = os.path.join(os.path.dirname(__file__), "apps")
PAGE = "<p>page</p>\n"
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="changes users")


@pytest.fixture
def www(tmp_path):
    """A document root that every user may read, and a place to write."""
    tmp_path.chmod(0o755)
    directory = tmp_path / "www"
    directory.mkdir()
    (directory / "index.html").write_text(PAGE)
    (directory / "big").write_bytes(bytes(range(256)) * 4096)
    directory.chmod(0o777)
    return directory


def curl(call, hostname, url, *args):
    client = call(hostname, "curl", "-sS", "--max-time", "20", *args, url)
    assert client.code == 0, client.err
    return client.out


def write(path, text):
    path.write_text(text)
    return str(path)


# -- web servers and proxies ------------------------------------------------

APACHE = """
ServerRoot {dir}
ServerName web
PidFile {dir}/apache.pid
DefaultRuntimeDir {dir}
ErrorLog /dev/stderr
LoadModule mpm_{mpm}_module /usr/lib/apache2/modules/mod_mpm_{mpm}.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
LoadModule dir_module /usr/lib/apache2/modules/mod_dir.so
User www-data
Group www-data
Listen 8080
StartServers 2
DocumentRoot {www}
LogFormat "%a" peer
CustomLog {dir}/access.log peer
<Directory {www}>
Require all granted
</Directory>
"""


@needs("apache2", "curl")
@root_only
@pytest.mark.parametrize("mpm", ["prefork", "event"])
def test_apache(run, call, www, tmp_path, mpm):
    conf = write(tmp_path / "apache.conf",
                 APACHE.format(dir=tmp_path, mpm=mpm, www=www))
    server = run("web", "apache2", "-DFOREGROUND", "-f",
                 conf).wait_running().wait_listening(8080)
    for hostname in ("one", "two"):
        assert curl(call, hostname, "http://web:8080/") == PAGE
    ip = server.lab.node("one")["ips"][0]
    assert ip in (tmp_path / "access.log").read_text()


@needs("lighttpd", "curl")
def test_lighttpd(run, call, www, tmp_path):
    conf = write(tmp_path / "l.conf", f'server.document-root = "{www}"\n'
                 'server.port = 8080\nindex-file.names = ("index.html")\n')
    run("web", "lighttpd", "-D", "-f", conf).wait_running().wait_listening(8080)
    assert curl(call, "one", "http://web:8080/") == PAGE
    assert len(curl(call, "two", "http://web:8080/big")) > 500_000


@needs("haproxy", "curl")
def test_haproxy_both_ways(run, call, www, tmp_path):
    """Clients and servers of the proxy are in the tailnet."""
    back = run("back", "python3", "-m", "http.server", "8081", "--directory",
               str(www)).wait_running().wait_listening(8081)
    conf = write(tmp_path / "h.cfg", f"""
global
  maxconn 100
defaults
  mode http
  timeout connect 10s
  timeout client 20s
  timeout server 20s
frontend f
  bind *:8080
  http-response set-header X-Peer %[src]
  default_backend b
backend b
  server one {back.ip}:8081 check inter 200ms
""")
    proxy = run("proxy", "haproxy", "-db", "-f", conf
                ).wait_running().wait_listening(8080)
    wait_until(lambda: "200" in subprocess.run(
        ["curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}",
         "http://127.0.0.1:8080/"], capture_output=True, text=True,
        check=False).stdout, "the backend to be up")
    out = curl(call, "client", "http://proxy:8080/", "-D", "-")
    assert f"x-peer: {proxy.lab.node('client')['ips'][0]}" in out.lower()


@needs("php", "curl")
def test_php(run, call, www):
    (www / "peer.php").write_text("<?php echo $_SERVER['REMOTE_ADDR'];")
    run("web", "php", "-S", "0.0.0.0:8080", "-t", str(www)
        ).wait_running().wait_listening(8080)
    seen = curl(call, "client", "http://web:8080/peer.php")
    client = call("again", "php", "-r",
                  "echo file_get_contents('http://web:8080/');")
    assert client.out == PAGE, client.err
    assert seen == client.lab.node("client")["ips"][0]


@needs("java", "javac", "curl")
def test_java_server(run, call, tmp_path):
    source = tmp_path / "Serve.java"
    source.write_text("""
import com.sun.net.httpserver.*; import java.net.*;
public class Serve { public static void main(String[] a) throws Exception {
  HttpServer s = HttpServer.create(new InetSocketAddress(8080), 0);
  s.createContext("/", x -> {
    byte[] b = x.getRemoteAddress().getAddress().getHostAddress().getBytes();
    x.sendResponseHeaders(200, b.length);
    x.getResponseBody().write(b); x.close(); });
  s.start(); }}""")
    subprocess.run(["javac", "-d", str(tmp_path), str(source)], check=True)
    server = run("web", "java", "-cp", str(tmp_path), "Serve").wait_running()
    server.wait_listening(8080)
    seen = curl(call, "client", "http://web:8080/")
    assert seen == server.lab.node("client")["ips"][0]


NGINX = """
daemon off; worker_processes 2; {user}
pid {dir}/nginx.pid; error_log stderr;
events {{ worker_connections 512; }}
http {{
  access_log off;
  client_body_temp_path {dir}; proxy_temp_path {dir};
  fastcgi_temp_path {dir}; uwsgi_temp_path {dir}; scgi_temp_path {dir};
  server {{ listen 8080; root {www}; }}
}}
"""


@needs("nginx")
@root_only
def test_nginx_reload_under_load(run, call, www, tmp_path):
    """Workers are another user; new ones take over while requests run."""
    conf = write(tmp_path / "nginx.conf", NGINX.format(
        dir=tmp_path, www=www, user="user www-data;"))
    run("web", "nginx", "-c", conf).wait_running().wait_listening(8080)
    client = run("client", "python3", os.path.join(APPS, "steady_load.py"),
                 "http://web:8080/", PAGE, "200")
    wait_until(lambda: "begun" in client.out, "the load")
    for _ in range(3):
        subprocess.run(["nginx", "-s", "reload", "-c", conf], check=True,
                       env=CLEAN_ENV, capture_output=True)
    assert client.wait() == 0, client.err
    assert client.out == "begun\n200 ok\n", client.err


# -- stores -----------------------------------------------------------------

@needs("memcached")
def test_memcached(run, call):
    command = ["memcached", "-p", "7000", "-l", "0.0.0.0", "-U", "0"]
    if os.geteuid() == 0:
        command += ["-u", "nobody"]
    run("store", *command).wait_running().wait_listening(7000)
    client = call("client", "python3", "-c", """
import socket
f = socket.create_connection(('store', 7000), 20).makefile('rw', newline='')
f.write('set k 0 0 5\\r\\nvalue\\r\\nget k\\r\\nquit\\r\\n'); f.flush()
print(f.read().replace('\\r\\n', ' '))""")
    assert client.out == "STORED VALUE k 0 5 value END \n", client.err


def postgres_bin(name):
    found = sorted(glob.glob(f"/usr/lib/postgresql/*/bin/{name}"))
    return found[-1] if found else shutil.which(name)


@pytest.mark.skipif(not postgres_bin("initdb") or not postgres_bin("pgbench"),
                    reason="postgresql not installed")
@root_only
def test_postgres(run, call, www, tmp_path):
    data = str(www / "pg")
    user = pwd.getpwnam("postgres")
    as_postgres = {"user": user.pw_uid, "group": user.pw_gid, "check": True,
                   "env": CLEAN_ENV, "capture_output": True, "cwd": "/"}
    subprocess.run([postgres_bin("initdb"), "-A", "trust", "-N", "-D", data],
                   **as_postgres)
    with open(data + "/pg_hba.conf", "a", encoding="ascii") as f:
        f.write("host all all 100.64.0.0/10 trust\n")
    run("db", "setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}",
        "--clear-groups", postgres_bin("postgres"), "-D", data, "-k", data,
        "-h", "*", "-p", "7000", "-F").wait_running().wait_listening(7000)
    client = call("client", postgres_bin("psql"), "-h", "db", "-p", "7000",
                  "-U", "postgres", "-Atc", "select inet_client_addr()")
    assert client.out.strip() == client.lab.node("client")["ips"][0], client.err
    bench = call("bench", "sh", "-c",
                 f"{postgres_bin('pgbench')} -h db -p 7000 -U postgres -i -q "
                 f"postgres && {postgres_bin('pgbench')} -h db -p 7000 -U "
                 "postgres -c 4 -j 2 -t 20 -C postgres")
    assert "processed: 80/80" in bench.out, bench.err


@needs("redis-server", "redis-cli")
def test_redis_replication(run, call, tmp_path):
    """A server that is a client: 10 MB and what comes after it."""
    main = run("main", "redis-server", "--port", "7379", "--bind", "0.0.0.0",
               "--protected-mode", "no", "--save", "", "--repl-diskless-sync",
               "yes", "--repl-diskless-sync-delay", "0"
               ).wait_running().wait_listening(7379)
    local = ["redis-cli", "-p"]

    def cli(port, *words):
        return subprocess.run([*local, str(port), *words], check=True,
                              text=True, capture_output=True,
                              env=CLEAN_ENV).stdout.strip()
    cli(7379, "set", "big", "x" * 100_000)
    cli(7379, "eval", "for i=1,100 do redis.call('set', 'k'..i, "
        "redis.call('get', 'big')) end", "0")
    run("copy", "redis-server", "--port", "7380", "--bind", "127.0.0.1",
        "--save", "", "--replicaof", "main", "7379"
        ).wait_running().wait_listening(7380)
    wait_until(lambda: "master_link_status:up" in cli(7380, "info",
                                                      "replication"), "sync")
    assert cli(7380, "strlen", "k100") == "100000"
    cli(7379, "set", "after", "sync")
    wait_until(lambda: cli(7380, "get", "after") == "sync", "the stream")
    slaves = cli(7379, "info", "replication")
    assert f"ip={main.lab.node('copy')['ips'][0]}" in slaves


# -- shells and files -------------------------------------------------------

@pytest.fixture
def sshd(run, tmp_path):
    if not (shutil.which("ssh") and os.path.exists("/usr/sbin/sshd")):
        pytest.skip("openssh not installed")
    if os.geteuid() != 0:
        pytest.skip("changes users")
    os.makedirs("/run/sshd", exist_ok=True)
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f",
                        str(tmp_path / name)], check=True)
    shutil.copy(tmp_path / "user.pub", tmp_path / "authorized")
    (tmp_path / "authorized").chmod(0o600)
    conf = write(tmp_path / "sshd.conf", f"""
Port 7022
HostKey {tmp_path}/host
AuthorizedKeysFile {tmp_path}/authorized
StrictModes no
UsePAM no
PidFile none
Subsystem sftp internal-sftp
""")
    run("shell", "/usr/sbin/sshd", "-D", "-e", "-f", conf
        ).wait_running().wait_listening(7022)
    return ["-F", "none", "-i", str(tmp_path / "user"), "-o",
            "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
            "-o", "LogLevel=ERROR", "-o", "ConnectTimeout=20"]


def test_ssh(sshd, call):
    client = call("client", "ssh", *sshd, "-p", "7022", "root@shell",
                  "echo $SSH_CONNECTION; cat")
    assert client.code == 0, client.err
    peer, _, own, port = client.out.split()
    nodes = client.lab
    assert peer == nodes.node("client")["ips"][0]
    assert (own, port) == (nodes.node("shell")["ips"][0], "7022")


def test_scp(sshd, call, www):
    client = call("client", "scp", *sshd, "-P", "7022",
                  f"root@shell:{www}/big", str(www / "copy"))
    assert client.code == 0, client.err
    assert (www / "copy").read_bytes() == (www / "big").read_bytes()


@needs("git")
def test_git_over_ssh(sshd, call, www):
    repo = make_repo(www)
    client = call("client", "git", "clone", "-q",
                  f"ssh://root@shell:7022{repo}", str(www / "clone"),
                  env={"GIT_SSH_COMMAND": " ".join(["ssh", *sshd])})
    assert client.code == 0, client.err
    assert (www / "clone" / "file").read_text() == "content\n"


def make_repo(www):
    repo = www / "repo"
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-C", str(repo)]
    subprocess.run(["git", "init", "-q", str(repo)], check=True)
    (repo / "file").write_text("content\n")
    for args in (["add", "file"], ["commit", "-q", "-m", "one"],
                 ["update-server-info"]):
        subprocess.run([*git, *args], check=True, env=CLEAN_ENV)
    return repo


@needs("git")
def test_git_over_http(run, call, www):
    make_repo(www)
    run("web", "python3", "-m", "http.server", "8080", "--directory", str(www)
        ).wait_running().wait_listening(8080)
    client = call("client", "git", "clone", "-q", "http://web:8080/repo/.git",
                  str(www / "clone"))
    assert client.code == 0, client.err
    assert (www / "clone" / "file").read_text() == "content\n"


@needs("git")
def test_git_daemon(run, call, www):
    make_repo(www)
    run("git", "git", "daemon", "--export-all", "--reuseaddr",
        f"--base-path={www}", "--port=7000").wait_running().wait_listening(7000)
    client = call("client", "git", "clone", "-q", "git://git:7000/repo",
                  str(www / "clone"))
    assert client.code == 0, client.err
    assert (www / "clone" / "file").read_text() == "content\n"


@needs("rsync")
def test_rsync_daemon(run, call, www, tmp_path):
    conf = write(tmp_path / "rsyncd.conf",
                 f"use chroot = no\n[files]\npath = {www}\n"
                 + ("uid = root\ngid = root\n" if os.geteuid() == 0 else ""))
    run("files", "rsync", "--daemon", "--no-detach", f"--config={conf}",
        "--port=7000").wait_running().wait_listening(7000)
    client = call("client", "rsync", "--port=7000", "files::files/big",
                  str(www / "copy"))
    assert client.code == 0, client.err
    assert (www / "copy").read_bytes() == (www / "big").read_bytes()


# -- plumbing ---------------------------------------------------------------

@needs("iperf3")
@pytest.mark.parametrize("args", [[], ["-R"], ["-P", "4"], ["-P", "4", "-R"],
                                  ["--bidir"]], ids=" ".join)
def test_iperf3(run, call, args):
    run("server", "iperf3", "-s", "-p", "7000", "-1").wait_running()
    client = call("client", "sh", "-c", "for i in 1 2 3 4 5; do iperf3 -c "
                  f"server -p 7000 -n 20M {' '.join(args)} && exit 0; "
                  "sleep 0.3; done; exit 1", timeout=60)
    assert client.code == 0, client.out + client.err
    assert "iperf Done" in client.out


@needs("socat")
def test_socat(run, call):
    run("server", "socat", "TCP-LISTEN:7000,fork,reuseaddr",
        "SYSTEM:echo $SOCAT_PEERADDR; cat").wait_running().wait_listening(7000)
    for family in ("tcp", "tcp4"):
        client = call(family, "sh", "-c",
                      f"echo hello | socat -t 10 - {family}:server:7000")
        ip = client.lab.node(family)["ips"][0]
        assert client.out == f"{ip}\nhello\n", client.err


@needs("ncat")
def test_ncat(run, call):
    server = run("server", "sh", "-c", "sleep 60 | ncat -l -p 7000 -v"
                 ).wait_running()
    wait_until(lambda: "Listening" in server.err, "the server")
    client = call("client", "sh", "-c",
                  "echo hello | ncat --send-only -w 20 server 7000")
    assert client.code == 0, client.err
    wait_until(lambda: server.out == "hello\n", "the message")
    assert f"from {client.lab.node('client')['ips'][0]}" in server.err


def test_200_keepalive_connections(run, call):
    run("server", "python3", os.path.join(APPS, "keepalive_server.py"), "8080"
        ).wait_running().wait_listening(8080)
    client = call("client", "python3", os.path.join(APPS, "keepalive.py"),
                  "server", "8080", "200", "5")
    assert client.out == "1000 answers over 200 connections\n", client.err


@needs("node")
def test_node_keepalive_agent(run, call):
    run("server", "python3", os.path.join(APPS, "keepalive_server.py"), "8080"
        ).wait_running().wait_listening(8080)
    client = call("client", "node", "-e", """
const http = require('http'), agent = new http.Agent({keepAlive: true,
                                                      maxSockets: 20});
const ports = new Set(); let left = 200, bad = 0;
for (let i = 0; i < 200; i++)
  http.get({host: 'server', port: 8080, path: '/' + i, agent}, r => {
    let all = ''; ports.add(r.socket.localPort);
    r.on('data', d => all += d);
    r.on('end', () => { if (all !== '/' + i) bad++;
      if (!--left) { console.log(bad, ports.size); agent.destroy(); } });
  });""")
    assert client.out == "0 20\n", client.out + client.err
