# SPDX-License-Identifier: BSD-3-Clause
"""Web servers and proxies."""
from case import PAGE, Call, Case, Server

TITLE = "Web servers and proxies"
GET = "curl -sS -m 20 http://@host@:8080/"
BIG = ("curl -sS -m 30 http://@host@:8080/big | sha256sum | cmp - big.sum && "
       "echo same")
SUM = "sha256sum <www/big >big.sum"
# A hundred requests, ten connections at a time, by one process.
MANY = ("curl -sS -m 30 -Z --parallel-max 10 --no-progress-meter "
        "'http://@host@:8080/?[1-100]' | sort | uniq -c | sed 's/^ *//'")
PAGES = f"100 {PAGE}"

NGINX = """
%s
daemon off; worker_processes 2; pid @dir@/nginx.pid; error_log stderr;
user %s;
events { worker_connections 512; }
"""
NGINX_HTTP = """
http {
  access_log @dir@/access.log;
  client_body_temp_path @dir@/t1; proxy_temp_path @dir@/t2;
  fastcgi_temp_path @dir@/t3; uwsgi_temp_path @dir@/t4; scgi_temp_path @dir@/t5;
  %s
}
"""


def nginx(*parts, head="", user="www-data"):
    return NGINX % (head, user) + "".join(parts)


def http(text):
    return NGINX_HTTP % text


RUN_NGINX = "exec nginx -e stderr -c @dir@/nginx.conf"
BACK = Server("exec /usr/bin/python3 -m http.server 8081 --directory @www@",
              name="back", tcp=8081)

APACHE = """
ServerRoot @dir@
ServerName web
PidFile @dir@/apache.pid
DefaultRuntimeDir @dir@
ErrorLog /dev/stderr
LoadModule mpm_%s_module /usr/lib/apache2/modules/mod_mpm_%s.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
LoadModule dir_module /usr/lib/apache2/modules/mod_dir.so
LoadModule proxy_module /usr/lib/apache2/modules/mod_proxy.so
LoadModule proxy_http_module /usr/lib/apache2/modules/mod_proxy_http.so
User www-data
Group www-data
Listen 8080
StartServers 3
DocumentRoot @www@
LogFormat "%%a" peer
CustomLog @dir@/access.log peer
<Directory @www@>
Require all granted
</Directory>
ProxyPass /back/ http://@name:back@:8081/
"""


def apache(mpm):
    return Case(
        f"apache-{mpm}", "pages, 100 callers, a back end in the tailnet",
        "apache2, curl",
        [BACK, Server("exec apache2 -DFOREGROUND -f @dir@/apache.conf",
                      tcp=8080)],
        [Call(GET, out=PAGE), Call(BIG, out="same\n"), Call(MANY, out=PAGES),
         Call(GET + "back/", out=PAGE)],
        files={"apache.conf": APACHE % (mpm, mpm)}, prepare=SUM,
        seen="access.log", root=True)


CADDY = """
{
  admin off
  auto_https off
}
:8080 {
  handle_path /back/* {
    reverse_proxy @name:back@:8081
  }
  handle /peer {
    respond "{remote_host}"
  }
  handle {
    root * @www@
    file_server
  }
}
"""

CASES = [
    Case("nginx", "pages from 2 workers of another user, 100 callers",
         "nginx, curl", [Server(RUN_NGINX, tcp=8080)],
         [Call(GET, out=PAGE), Call(BIG, out="same\n"),
          Call(MANY, out=PAGES)],
         files={"nginx.conf": nginx(http(
             "server { listen 8080; listen [::]:8080; root @www@; "
             "sendfile on; tcp_nopush on; }"))},
         prepare=SUM, seen="access.log", root=True),
    Case("nginx-reuseport", "a listener for each worker",
         "nginx, curl", [Server(RUN_NGINX, tcp=8080)],
         [Call(GET, out=PAGE), Call(MANY, out=PAGES)],
         files={"nginx.conf": nginx(http(
             "server { listen 8080 reuseport backlog=64; root @www@; }"))},
         seen="access.log", root=True),
    Case("nginx-upstream", "reverse proxy; front and back in the tailnet",
         "nginx, curl", [BACK, Server(RUN_NGINX, tcp=8080)],
         [Call(GET + "n/", out=PAGE), Call(GET + "a/", out=PAGE),
          Call(MANY.replace("/?", "/n/?"), out=PAGES),
          Call(GET + "n/big | sha256sum | cmp - big.sum && echo same",
               out="same\n")],
         files={"nginx.conf": nginx(http("""
  upstream pool { server @ip:back@:8081; keepalive 4; }
  server { listen 8080;
    location /n/ { proxy_pass http://@name:back@:8081/; }
    location /a/ { proxy_pass http://pool/; proxy_http_version 1.1;
                   proxy_set_header Connection ""; } }"""))},
         prepare=SUM, seen="access.log", root=True),
    Case("nginx-stream", "TCP proxy",
         "nginx-stream, curl", [BACK, Server(RUN_NGINX, tcp=8080)],
         [Call(GET, out=PAGE), Call(MANY, out=PAGES)],
         files={"nginx.conf": nginx("""
stream {
  log_format peer "$remote_addr";
  access_log @dir@/access.log peer;
  server { listen 8080; proxy_pass @name:back@:8081; }
}
""", head="load_module /usr/lib/nginx/modules/ngx_stream_module.so;")},
         seen="access.log", root=True),
    Case("nginx-reload", "3 reloads while 300 requests run",
         "nginx, python3", [Server(RUN_NGINX, tcp=8080)],
         [Call("/usr/bin/python3 @dir@/load.py @host@", out="300 ok\n",
               seconds=60)],
         files={"nginx.conf": nginx(http(
             "server { listen 8080; root @www@; }")),
                "load.py": """
import os, signal, sys, time, urllib.request
good = 0
for i in range(300):
    with urllib.request.urlopen(f'http://{sys.argv[1]}:8080/', timeout=20) as r:
        good += r.read() == b'<p>page</p>\\n'
    if i in (50, 120, 200):
        os.kill(int(open('@dir@/nginx.pid').read()), signal.SIGHUP)
print(good, 'ok')
"""}, seen="access.log", root=True),
    apache("prefork"),
    apache("event"),
    Case("apache-graceful", "graceful restarts while 200 requests run",
         "apache2, python3",
         [BACK, Server("exec apache2 -DFOREGROUND -f @dir@/apache.conf",
                       tcp=8080)],
         [Call("/usr/bin/python3 @dir@/load.py @host@", out="200 ok\n",
               seconds=60)],
         files={"apache.conf": APACHE % ("prefork", "prefork"),
                "load.py": """
import os, signal, sys, urllib.request
good = 0
for i in range(200):
    with urllib.request.urlopen(f'http://{sys.argv[1]}:8080/', timeout=20) as r:
        good += r.read() == b'<p>page</p>\\n'
    if i in (50, 120):
        os.kill(int(open('@dir@/apache.pid').read()), signal.SIGUSR1)
print(good, 'ok')
"""}, seen="access.log", root=True),
    Case("ab", "2000 requests, 20 at a time, with and without keep-alive",
         "ab, nginx", [Server(RUN_NGINX, tcp=8080)],
         [Call("ab -q -n 2000 -c 20 http://@host@:8080/",
               has=(r"Complete requests: +2000\b", r"Failed requests: +0\b",
                    r"HTML transferred: +24000 bytes")),
          Call("ab -q -k -n 2000 -c 20 http://@host@:8080/",
               has=(r"Complete requests: +2000\b", r"Failed requests: +0\b",
                    r"Keep-Alive requests: +[1-9]"))],
         files={"nginx.conf": nginx(http(
             "server { listen 8080; root @www@; }"))},
         seen="access.log", root=True),
    Case("wrk", "2 threads, 40 connections, 1 s", "wrk, nginx",
         [Server(RUN_NGINX, tcp=8080)],
         [Call("wrk -t 2 -c 40 -d 1 http://@host@:8080/ >wrk.out; cat wrk.out; "
               "! grep -E 'Non-2xx|Socket errors' wrk.out",
               has=(r"[1-9][0-9]* requests in",))],
         files={"nginx.conf": nginx(http(
             "keepalive_requests 100000; "
             "server { listen 8080; root @www@; }"))},
         seen="access.log", root=True),
    Case("lighttpd", "pages, 100 callers", "lighttpd, curl",
         [Server("exec lighttpd -D -f @dir@/l.conf", tcp=8080)],
         [Call(GET, out=PAGE), Call(BIG, out="same\n"),
          Call(MANY, out=PAGES)],
         files={"l.conf": """
server.modules = ("mod_accesslog")
server.document-root = "@www@"
server.port = 8080
index-file.names = ("index.html")
accesslog.filename = "@dir@/access.log"
accesslog.format = "%h %r"
"""}, prepare=SUM, seen="access.log"),
    Case("haproxy", "HTTP and TCP proxy with health checks; both ends in the "
         "tailnet", "haproxy, curl",
         [BACK, Server("exec haproxy -db -f @dir@/h.cfg", tcp=8080,
                       probe="curl -fsS -m 5 http://127.0.0.1:8080/ && "
                             "curl -fsS -m 5 http://127.0.0.1:8082/")],
         [Call(GET + " -D -", has=("x-peer: @client@", "<p>page</p>")),
          Call(GET.replace("8080", "8082"), out=PAGE),
          Call(MANY, out=PAGES)],
         files={"h.cfg": """
global
  maxconn 200
  log stdout format raw local0
defaults
  log global
  timeout connect 10s
  timeout client 20s
  timeout server 20s
frontend f
  mode http
  option httplog
  bind *:8080
  http-response set-header X-Peer %[src]
  default_backend b
backend b
  mode http
  option httpchk GET /
  server one @ip:back@:8081 check inter 200ms
  server two @name:back@:8081 check inter 200ms
listen t
  mode tcp
  option tcplog
  bind *:8082
  server one @name:back@:8081 check inter 200ms
"""}),
    Case("caddy", "Go web server: pages, reverse proxy", "caddy, curl",
         [BACK, Server("exec caddy run --adapter caddyfile --config "
                       "@dir@/Caddyfile", tcp=8080)],
         [Call(GET, out=PAGE), Call(GET + "peer", out="@client@"),
          Call(BIG, out="same\n"), Call(GET + "back/", out=PAGE),
          Call(MANY, out=PAGES)],
         files={"Caddyfile": CADDY}, prepare=SUM,
         limits={"in-process": "Go makes system calls of its own, which only "
                               "tsrun can see"}),
    Case("php-fpm", "nginx, FastCGI over the tailnet, a script that fetches",
         "php-fpm, nginx, curl",
         [BACK,
          Server("exec $(ls /usr/sbin/php-fpm* | head -n 1) -F -R -y "
                 "@dir@/fpm.conf", name="fpm", tcp=9000),
          Server(RUN_NGINX, tcp=8080)],
         [Call(GET + "peer.php", out="@client@"),
          Call(GET + "fetch.php", out=PAGE),
          Call("curl -sS -m 20 -Z 'http://@host@:8080/fetch.php?[1-10]'",
               out=10 * PAGE)],
         files={"nginx.conf": nginx(http("""
  server { listen 8080; root @www@;
    location ~ php$ { fastcgi_pass @name:fpm@:9000;
      fastcgi_param SCRIPT_FILENAME $document_root$fastcgi_script_name;
      fastcgi_param REQUEST_METHOD $request_method;
      fastcgi_param REMOTE_ADDR $remote_addr; } }""")),
                "fpm.conf": """
[global]
error_log = /dev/stderr
[www]
user = www-data
group = www-data
listen = 0.0.0.0:9000
pm = static
pm.max_children = 3
""",
                "www/peer.php": "<?php echo $_SERVER['REMOTE_ADDR'];",
                "www/fetch.php": "<?php echo file_get_contents("
                                 "'http://@name:back@:8081/');"},
         root=True),
    Case("openssl", "TLS server and client", "openssl",
         [Server("exec openssl s_server -quiet -accept 8443 -key key.pem "
                 "-cert cert.pem -WWW", tcp=8443)],
         [Call("(printf 'GET /www/index.html HTTP/1.0\\r\\n\\r\\n'; sleep 1) | "
               "openssl s_client -quiet -connect @host@:8443 -CAfile cert.pem "
               "-verify_return_error -verify_hostname server 2>/dev/null",
               has=("<p>page</p>",)),
          Call("openssl s_client -connect @host@:8443 </dev/null",
               has=("CN = server", "Cipher is TLS"))],
         prepare="openssl req -x509 -newkey ec -pkeyopt "
                 "ec_paramgen_curve:P-256 -nodes -keyout key.pem -out cert.pem "
                 "-days 30 -subj /CN=server 2>/dev/null", seen=""),
]
