# SPDX-License-Identifier: BSD-3-Clause
"""What programs are made with: interpreters and their libraries."""
from case import PAGE, Call, Case, Server

TITLE = "Languages and their libraries"
PY = "/usr/bin/python3"
WEB = Server(f"exec {PY} -m http.server 8080 --directory @www@", tcp=8080)
# As WEB, with room for more than 5 callers at once.
WIDE = Server("cd @www@; exec " + PY + """ -c '
from http.server import *
ThreadingHTTPServer.request_queue_size = 128
ThreadingHTTPServer(("", 8080), SimpleHTTPRequestHandler).serve_forever()'""",
              tcp=8080)
CURL = "curl -sS -m 20 http://@host@:8080/"
# A hundred answers, ten at a time, each with the caller's address.
MANY = ("curl -sS -m 30 -Z --parallel-max 10 --no-progress-meter "
        "'http://@host@:8080/?[1-100]' | sort | uniq -c | sed 's/^ *//'")
SEEN = "seen @client@\n"
MANY_SEEN = "100 " + SEEN


def server(name, does, programs, run, script, calls=(), **more):
    """A server that answers "seen CALLER\\n" to every request."""
    calls = [Call(CURL, out=SEEN), Call(MANY, out=MANY_SEEN), *calls]
    file, text = script
    return Case(name, does, programs, [Server(run, tcp=8080)], calls,
                files={file: text}, **more)


def client(name, does, programs, run, script, out, **more):
    file, text = script
    return Case(name, does, programs, [more.pop("web", WEB)],
                [Call(run, out=out)], files={file: text}, **more)


CASES = [
    client("python-urllib", "20 requests", "python3", PY + " c.py @host@",
           ("c.py", """
import sys, urllib.request
pages = [urllib.request.urlopen(f'http://{sys.argv[1]}:8080/', timeout=20).read()
         for _ in range(20)]
print(len(pages), set(pages))
"""), "20 {b'<p>page</p>\\n'}\n"),
    client("python-requests", "a session with keep-alive", "requests",
           PY + " c.py @host@", ("c.py", """
import sys, requests
with requests.Session() as s:
    pages = [s.get(f'http://{sys.argv[1]}:8080/', timeout=20).text
             for _ in range(20)]
    big = s.get(f'http://{sys.argv[1]}:8080/big', timeout=20).content
print(len(pages), set(pages), len(big))
"""), "20 {'<p>page</p>\\n'} 4194304\n"),
    server("python-aiohttp", "server and client, 50 requests at once",
           "aiohttp, curl", f"exec {PY} s.py", ("s.py", """
from aiohttp import web
async def seen(request):
    return web.Response(text=f'seen {request.remote}\\n')
app = web.Application()
app.router.add_get('/', seen)
web.run_app(app, port=8080, print=None)
"""), [Call(PY + """ -c "
import aiohttp, asyncio
async def one(s):
    async with s.get('http://@host@:8080/') as r:
        return (await r.text()).strip()
async def main():
    async with aiohttp.ClientSession() as s:
        all = await asyncio.gather(*(one(s) for _ in range(50)))
        print(len(all), *sorted(set(all)))
asyncio.run(main())" """, has=("^50 seen @client@( seen @client@)?$",))]),
    Case("python-asyncio", "streams, 200 connections at once", "python3",
         [Server(f"exec {PY} s.py", tcp=7000)],
         [Call(PY + " c.py @host@", out="200 @client@\n")],
         files={"s.py": """
import asyncio
async def serve(r, w):
    line = await r.readline()
    w.write(w.get_extra_info('peername')[0].encode() + b' ' + line)
    await w.drain(); w.close()
async def main():
    async with await asyncio.start_server(serve, None, 7000) as s:
        await s.serve_forever()
asyncio.run(main())
""", "c.py": """
import asyncio, sys
async def one(i):
    r, w = await asyncio.open_connection(sys.argv[1], 7000)
    w.write(b'%d\\n' % i)
    peer, number = (await r.read()).split()
    assert int(number) == i
    w.close()
    return peer.decode()
async def main():
    peers = await asyncio.gather(*map(one, range(200)))
    print(len(peers), *{p for p in peers})
asyncio.run(main())
"""}),
    server("python-threads", "socketserver with threads and with forks",
           "python3, curl", f"exec {PY} s.py", ("s.py", """
import http.server, os, socketserver, sys, threading
class Seen(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        text = f'seen {self.client_address[0]}\\n'.encode()
        self.send_response(200)
        self.send_header('Content-Length', str(len(text)))
        self.end_headers()
        self.wfile.write(text)
class Forking(socketserver.ForkingMixIn, http.server.HTTPServer):
    allow_reuse_address = True
threading.Thread(target=http.server.ThreadingHTTPServer(
    ('', 8080), Seen).serve_forever).start()
Forking(('', 8081), Seen).serve_forever()
"""), [Call(MANY.replace("8080", "8081"), out=MANY_SEEN)]),
    server("gunicorn", "4 prefork workers; one is replaced", "gunicorn, curl",
           f"exec {PY} -m gunicorn -w 4 -b 0.0.0.0:8080 --pid @dir@/pid s:app",
           ("s.py", """
def app(environ, start):
    start('200 OK', [('Content-Type', 'text/plain')])
    return [f"seen {environ['REMOTE_ADDR']}\\n".encode()]
"""), [Call("kill -HUP $(cat pid); sleep 0.5; " + MANY, out=MANY_SEEN)]),
    server("uvicorn", "ASGI, 2 workers", "uvicorn, curl",
           f"exec {PY} -m uvicorn --workers 2 --host 0.0.0.0 --port 8080 "
           "s:app", ("s.py", """
async def app(scope, receive, send):
    if scope['type'] != 'http':
        return
    await send({'type': 'http.response.start', 'status': 200, 'headers': []})
    await send({'type': 'http.response.body',
                'body': f"seen {scope['client'][0]}\\n".encode()})
""")),
    Case("paramiko", "SSH client in Python to sshd: command and SFTP",
         "paramiko, sshd",
         [Server("exec /usr/sbin/sshd -D -e -f @dir@/sshd.conf", tcp=7022)],
         [Call(PY + " c.py @host@", out="@client@\n4194304\n")],
         files={"sshd.conf": """
Port 7022
HostKey @dir@/host
AuthorizedKeysFile @dir@/authorized
StrictModes no
UsePAM no
PidFile none
LogLevel VERBOSE
Subsystem sftp internal-sftp
""", "c.py": """
import sys, paramiko
c = paramiko.SSHClient()
c.set_missing_host_key_policy(paramiko.AutoAddPolicy())
c.connect(sys.argv[1], 7022, '@user@', key_filename='user', timeout=20)
print(c.exec_command('set -- $SSH_CONNECTION; echo $1')[1].read().decode(), end='')
print(c.open_sftp().stat('@www@/big').st_size)
c.close()
"""}, prepare="ssh-keygen -q -t rsa -N '' -f host && ssh-keygen -q -t rsa -N "
             "'' -m PEM -f user && cp user.pub authorized && "
             "chmod 600 authorized", root=True),
    Case("python-subprocess", "a command with an environment of its own",
         "python3", [WEB],
         # The first joins the tailnet: keys are never handed on.
         [Call("curl -sS -m 20 -o first http://@host@:8080/ && " + PY +
               " c.py @host@", out=PAGE)],
         files={"c.py": """
import subprocess, sys
subprocess.run(['curl', '-sS', '-m', '20', f'http://{sys.argv[1]}:8080/'],
               env={'PATH': '/usr/bin:/bin'}, close_fds=True, check=True)
"""}),
    server("node-http", "server and client", "node, curl", "exec node s.js",
           ("s.js", """
require('http').createServer((q, r) => {
  r.end('seen ' + q.socket.remoteAddress.replace('::ffff:', '') + '\\n');
}).listen(8080);
"""), [Call("""node -e "
const http = require('http'), agent = new http.Agent({keepAlive: true, maxSockets: 10});
let left = 100; const all = new Set();
for (let i = 0; i < 100; i++)
  http.get({host: '@host@', port: 8080, agent}, r => {
    let text = ''; r.on('data', d => text += d);
    r.on('end', () => { all.add(text.trim());
      if (!--left) { console.log(...all); agent.destroy(); } }); });" """,
                  out=SEEN)]),
    server("node-cluster", "3 workers share a listener", "node, curl",
           "exec node s.js", ("s.js", """
const cluster = require('cluster');
if (cluster.isPrimary) { for (let i = 0; i < 3; i++) cluster.fork(); }
else require('http').createServer((q, r) =>
  r.end('seen ' + q.socket.remoteAddress.replace('::ffff:', '') + '\\n')
).listen(8080);
""")),
    Case("node-net", "sockets: addresses, half close, 4 MiB there and back",
         "node", [Server("exec node s.js", tcp=7000)],
         [Call("node c.js @host@",
               out="@client@ @server@:7000 4194304 same\n")],
         files={"s.js": """
require('net').createServer({allowHalfOpen: true}, s => {
  s.write(s.remoteAddress.replace('::ffff:', '') + '\\n'); s.pipe(s);
}).listen(7000);
""", "c.js": """
const net = require('net'), fs = require('fs');
const big = fs.readFileSync('@www@/big'), parts = [];
const s = net.connect(7000, process.argv[2], () => s.end(big));
const ends = () => s.remoteAddress + ':' + s.remotePort;
let far; s.on('connect', () => far = ends());
s.on('data', d => parts.push(d));
s.on('end', () => {
  const all = Buffer.concat(parts), line = all.indexOf(10);
  const back = all.subarray(line + 1);
  console.log(all.subarray(0, line).toString(), far, back.length,
              back.equals(big) ? 'same' : 'other'); });
"""}),
    client("node-fetch", "fetch (undici), 50 at once", "node",
           "node c.js @host@", ("c.js", """
Promise.all(Array.from({length: 50}, () =>
  fetch(`http://${process.argv[2]}:8080/`).then(r => r.text())))
  .then(all => console.log(all.length, ...new Set(all.map(t => t.trim()))));
"""), "50 <p>page</p>\n", web=WIDE),
    client("java-nio", "selector, non-blocking connect", "java programs",
           "java -cp @bin@/java Nio @host@", ("unused", ""),
           "<p>page</p> @server@:8080\n"),
    client("java-httpclient", "java.net.http, 50 at once", "java programs",
           "java -cp @bin@/java Client @host@", ("unused", ""),
           "50 [<p>page</p>]\n"),
    server("java-httpserver", "com.sun.net.httpserver", "java programs, curl",
           "exec java -cp @bin@/java Serve", ("unused", "")),
    server("netty", "epoll transport, server", "netty, java programs, curl",
           "exec java -cp '@bin@/java:/usr/share/java/*' NettyHello",
           ("unused", "")),
    Case("tomcat", "servlet container, NIO connector", "tomcat, java, curl",
         [Server("export CATALINA_BASE=@dir@/base CATALINA_HOME="
                 "/usr/share/tomcat10; exec /usr/share/tomcat10/bin/catalina.sh "
                 "run", tcp=8080, probe="test -e base/logs/access.log")],
         [Call(CURL, out=PAGE), Call(MANY, out=f"100 {PAGE}")],
         files={"base/conf/server.xml": """
<Server port="-1"><Service name="Catalina">
<Connector port="8080" protocol="HTTP/1.1"/>
<Engine name="Catalina" defaultHost="localhost">
<Host name="localhost" appBase="webapps">
<Valve className="org.apache.catalina.valves.AccessLogValve" directory="logs"
 prefix="access" suffix=".log" rotatable="false" buffered="false" pattern="%a"/>
</Host></Engine></Service></Server>
"""}, prepare="mkdir -p base/logs base/temp base/work base/webapps/ROOT && "
             "cp www/index.html base/webapps/ROOT/ && "
             "cp /etc/tomcat10/web.xml base/conf/",
         seen="base/logs/access.log"),
    server("php", "built-in server and stream client", "php, curl",
           "exec php -S 0.0.0.0:8080 s.php", ("s.php",
            "<?php echo 'seen ', $_SERVER['REMOTE_ADDR'], \"\\n\";"),
           [Call("php -r 'echo file_get_contents(\"http://@host@:8080/\");'",
                 out=SEEN)]),
    server("ruby", "TCPServer, Net::HTTP", "ruby, curl", "exec ruby s.rb",
           ("s.rb", """
require 'socket'
server = TCPServer.new 8080
loop do
  Thread.new(server.accept) do |s|
    while (line = s.gets) && line != "\\r\\n"; end
    text = "seen #{s.peeraddr(false)[3].sub('::ffff:', '')}\\n"
    s.write "HTTP/1.0 200 OK\\r\\nContent-Length: #{text.size}\\r\\n\\r\\n#{text}"
    s.close
  end
end
"""), [Call("ruby -rnet/http -e 'print Net::HTTP.get(\"@host@\", \"/\", 8080)'",
            out=SEEN)]),
    server("perl", "IO::Socket::IP, a fork for each caller; HTTP::Tiny",
           "perl, curl", "exec perl s.pl", ("s.pl", """
use IO::Socket::IP;
$SIG{CHLD} = 'IGNORE';
my $l = IO::Socket::IP->new(LocalPort => 8080, Listen => 64, ReuseAddr => 1)
    or die $!;
while (my $s = $l->accept) {
    next if fork;
    while (<$s>) { last if /^\\r$/ }
    my $peer = $s->peerhost; $peer =~ s/^::ffff://;
    my $text = "seen $peer\\n";
    print $s "HTTP/1.0 200 OK\\r\\nContent-Length: ", length $text,
        "\\r\\n\\r\\n$text";
    close $s; exit;
}
"""), [Call("perl -MHTTP::Tiny -e 'print HTTP::Tiny->new->get("
            "\"http://@host@:8080/\")->{content}'", out=SEEN)]),
    Case("erlang", "gen_tcp server and client", "erl",
         [Server("exec erl -noshell +S 2:2 -eval \"$(cat "
                 "s.erl)\"", tcp=7000)],
         [Call("erl -noshell +S 2:2 -eval \"$(cat c.erl)\" -extra @host@",
               out="@client@\n", seconds=60)],
         files={"s.erl": """
{ok, L} = gen_tcp:listen(7000, [list, {active, false}, {reuseaddr, true}]),
F = fun(F) -> {ok, S} = gen_tcp:accept(L), {ok, {A, _}} = inet:peername(S),
 gen_tcp:send(S, inet:ntoa(A)), gen_tcp:close(S), F(F) end, F(F).
""", "c.erl": """
[H] = init:get_plain_arguments(),
{ok, S} = gen_tcp:connect(H, 7000, [list, {active, false}], 20000),
{ok, T} = gen_tcp:recv(S, 0, 20000), io:format(\"~s~n\", [T]), halt().
"""}),
]
