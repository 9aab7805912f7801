# SPDX-License-Identifier: BSD-3-Clause
"""Programs that use UDP and ICMP, and those that ask name servers."""
from case import Call, Case, Server
from cases.shells import KEYS, SSH, SSH_CONF, SSHD, SSHD_CONF

TITLE = "Datagrams, ping and names"
PY = "/usr/bin/python3"
ANY = Server("exec socat TCP-LISTEN:7000,fork,reuseaddr EXEC:cat", tcp=7000)
IPERFD = Server("exec iperf3 -s -p 7000 --forceflush", tcp=7000)
IPERF = ("for i in 1 2 3 4 5 6 7 8; do iperf3 -c @host@ -p 7000 -u %s && "
         "break; sleep 0.3; done")
FEW_LOST = r"/\d+ \(\d(\.\d+)?(e[-+]\d+)?%\)"
ECHO_PY = """
import asyncio
class Echo(asyncio.DatagramProtocol):
    def connection_made(self, transport):
        self.transport = transport
    def datagram_received(self, data, peer):
        self.transport.sendto(peer[0].encode() + b' ' + data, peer)
async def main():
    await asyncio.get_running_loop().create_datagram_endpoint(
        Echo, local_addr=('0.0.0.0', 7000))
    await asyncio.Event().wait()
asyncio.run(main())
"""
ECHO = Server(f"exec {PY} echo.py", udp=7000)


def iperf(name, does, flags):
    return Case(name, does, "iperf3", [IPERFD],
                [Call(IPERF % flags, has=("iperf Done", FEW_LOST))])


def echo(name, does, programs, run, files=None, out="@client@ hello\n"):
    """A caller of the echo server, which tells whom it saw."""
    return Case(name, does, programs, [ECHO], [Call(run, out=out)],
                files={"echo.py": ECHO_PY, **(files or {})})


DNS_PY = """
import socket, socketserver, struct, threading
def answer(query, peer):
    end = query.index(0, 12) + 5
    head = query[:2] + struct.pack('>HHHHH', 0x8580, 1, 1, 0, 0)
    return (head + query[12:end] + b'\\xc0\\x0c' +
            struct.pack('>HHIH', 1, 1, 60, 4) + socket.inet_aton(peer))
class Udp(socketserver.BaseRequestHandler):
    def handle(self):
        data, sock = self.request
        sock.sendto(answer(data, self.client_address[0]), self.client_address)
class Tcp(socketserver.StreamRequestHandler):
    def handle(self):
        size, = struct.unpack('>H', self.rfile.read(2))
        text = answer(self.rfile.read(size), self.client_address[0])
        self.wfile.write(struct.pack('>H', len(text)) + text)
class TcpServer(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
threading.Thread(target=TcpServer(('0.0.0.0', 7053), Tcp).serve_forever).start()
socketserver.UDPServer(('0.0.0.0', 7053), Udp).serve_forever()
"""
CERT = ("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes "
        "-keyout key.pem -out cert.pem -days 30 -subj /CN=server 2>/dev/null")
NTP = """
local stratum 5
allow all
port 123
cmdport 0
pidfile @dir@/chrony.pid
bindcmdaddress @dir@/ctl/sock
driftfile @dir@/drift
"""


def names(name, does, programs, *calls, **more):
    return Case(name, does, programs, [ANY],
                [Call(run, out=out, by=("name",)) for run, out in calls],
                seen="", loopback=False, **more)


CASES = [
    Case("nc-udp", "one datagram to a listening nc", "nc.openbsd",
         [Server("while :; do nc.openbsd -nvul -W 1 7000; done", udp=7000)],
         [Call("rm -f got; for i in $(seq 20); do echo hello@host@ | "
               "nc.openbsd -uw 1 @host@ 7000; grep -q hello@host@ server.out "
               "&& break; done; grep hello@host@ server.out | sort -u",
               has=("^hello",))]),
    echo("nc-udp-client", "a question and its answer", "nc.openbsd",
         "(echo hello; sleep 1) | nc.openbsd -uw 1 @host@ 7000"),
    Case("ncat-udp", "a command for each caller", "ncat",
         [Server("exec ncat -u -l 7000 -k -c 'echo $NCAT_REMOTE_ADDR; "
                 "head -n 1'", udp=7000)],
         [Call("(echo hello; sleep 1) | ncat -u -i 2 @host@ 7000; true",
               has=("@client@", "hello"))]),
    Case("socat-udp", "a child for each datagram; answers of 60,000 bytes",
         "socat",
         [Server("exec socat UDP4-RECVFROM:7000,fork,reuseaddr "
                 "'SYSTEM:echo $SOCAT_PEERADDR; cat'", udp=7000),
          Server("exec socat -b 65536 UDP4-RECVFROM:7001,fork,reuseaddr "
                 "'SYSTEM:cat'", name="large", udp=7001)],
         [Call("echo hello | socat -t 2 - UDP4:@host@:7000",
               has=("^@client@", "^hello")),
          Call("head -c 60000 @www@/big >part; socat -b 65536 -t 2 - "
               "UDP4:@host@:7001 <part | cmp - part && echo same",
               out="same\n", to="large")]),
    iperf("iperf3-udp", "20 Mbit/s, few are lost", "-b 20M -t 2"),
    iperf("iperf3-udp-reverse", "the server sends", "-b 20M -t 2 -R"),
    iperf("iperf3-udp-parallel", "3 streams", "-b 5M -t 2 -P 3"),
    echo("python-udp", "unconnected and connected sockets; asyncio server",
         "python3", PY + " c.py @host@", {"c.py": """
import socket, sys
def ask(sock, send, receive):
    sock.settimeout(1)
    for _ in range(20):
        send(b'hello')
        try:
            return receive()
        except TimeoutError:
            pass
host = sys.argv[1]
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
text, peer = ask(s, lambda d: s.sendto(d, (host, 7000)),
                 lambda: s.recvfrom(2000))
c = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
c.connect((host, 7000))
again = ask(c, c.send, lambda: c.recv(2000))
print(text.decode(), peer[0], peer[1], again == text, c.getpeername()[0])
"""}, out="@client@ hello @server@ 7000 True @server@\n"),
    echo("node-dgram", "a question and its answer", "node", "node c.js @host@",
         {"c.js": """
const s = require('dgram').createSocket('udp4');
const timer = setInterval(() => s.send('hello', 7000, process.argv[2]), 200);
s.on('message', (m, from) => {
  console.log(m.toString(), from.address, from.port);
  clearInterval(timer); s.close(); });
"""}, out="@client@ hello @server@ 7000\n"),
    Case("logger", "syslog by UDP", "logger, socat",
         [Server("exec socat -u UDP4-RECVFROM:7514,fork "
                 "'SYSTEM:cat; echo \" $SOCAT_PEERADDR\"'", udp=7514)],
         [Call("for i in $(seq 20); do logger -n @host@ -P 7514 -d -t tag "
               "greeting; grep -q greeting server.out && break; sleep 0.3; "
               "done; grep -c greeting server.out", has=("^[1-9]",))]),
    Case("openssl-dtls", "TLS over datagrams", "openssl",
         [Server("sleep 100 | openssl s_server -dtls1_2 -quiet -mtu 1200 "
                 "-accept 8443 -key key.pem -cert cert.pem", udp=8443)],
         [Call("(sleep 1; echo hello; sleep 1) | openssl s_client -dtls1_2 "
               "-mtu 1200 -connect @host@:8443 -CAfile cert.pem "
               "-verify_return_error; grep -h hello server.out",
               has=("^hello$",), by=("name",))], prepare=CERT, seen=""),
    Case("ping", "3 echoes, also large ones", "ping",
         [ANY], [Call("cp $(command -v ping) . ; ./ping -n -c 3 -i 0.2 -W 5 "
                      "@host@", has=("bytes from @server@", " 0% packet loss")),
                 Call("./ping -n -c 2 -i 0.2 -W 5 -s 4000 @host@",
                      has=("4008 bytes from @server@", " 0% packet loss"))],
         seen="", root=True),
    Case("fping", "the server and an address that nobody has", "fping",
         [ANY], [Call("cp $(command -v fping) . ; ./fping -c 2 -t 3000 @host@",
                      has=("2/2/0%",))], seen="", root=True),
    Case("ntpdate", "asks chronyd for the time", "ntpdate, chronyd",
         [Server("exec chronyd -x -d -u root -f @dir@/chrony.conf", udp=123)],
         [Call("ntpdate -q -t 3 @host@", has=("@server@ s5 no-leap",)),
          Call("chronyc -h @dir@/ctl/sock -n clients", 
               has=("^@client@ ",), native=True, by=("name",))],
         files={"chrony.conf": NTP}, prepare="mkdir -m 700 ctl",
         root=True),
    Case("chrony", "chronyd as client and as server", "chronyd",
         [Server("exec chronyd -x -d -u root -f @dir@/chrony.conf", udp=123)],
         [Call("chronyd -x -Q -u root -t 20 -f @dir@/client.conf "
               "'server @host@ iburst'",
               has=("System clock wrong by -?0.0",)),
          Call("chronyc -h @dir@/ctl/sock -n clients", has=("^@client@ ",),
               native=True, by=("name",))],
         files={"chrony.conf": NTP,
                "client.conf": "pidfile @dir@/client.pid\ncmdport 0\n"
                               "bindcmdaddress /\n"},
         prepare="mkdir -m 700 ctl", seen="", root=True),
    Case("mosh", "a session by UDP, started through ssh", "mosh, sshd, ssh",
         [SSHD],
         [Call("script -qec './m.sh @host@' /dev/null", has=("hel1lo",))],
         files={"sshd.conf": SSHD_CONF, "ssh.conf": SSH_CONF, "m.sh": """#!/bin/sh
export TERM=xterm
stty rows 24 cols 80
exec mosh --ssh='ssh -F @dir@/ssh.conf' "$1" -- \
    sh -c 'echo hel$((1))lo; sleep 1'
"""}, prepare=KEYS, root=True),
    Case("dns-server", "dig and nslookup ask a name server in the tailnet",
         "dig, nslookup, python3",
         [Server(f"exec {PY} dns.py", udp=7053, tcp=7053)],
         [Call("dig +short +tries=5 +time=2 -p 7053 any.example @@host@",
               out="@client@\n"),
          Call("dig +short +tcp -p 7053 any.example @@host@", out="@client@\n"),
          Call("nslookup -port=7053 -type=A any.example @host@",
               has=("Address: @client@",))],
         files={"dns.py": DNS_PY}),
    names("dig", "A, PTR and a name that does not exist; UDP and TCP",
          "dig",
          ("dig +short A server.lab.ts.net @100.100.100.100",
           "@ip:server@\n"),
          ("dig +short +tcp A server.lab.ts.net @100.100.100.100",
           "@ip:server@\n"),
          ("dig +short -x @ip:server@ @100.100.100.100",
           "server.lab.ts.net.\n"),
          ("dig nobody.lab.ts.net @100.100.100.100 | grep -o NXDOMAIN",
           "NXDOMAIN\n"),
          # The name server that the host has: tsrun stands before it.
          ("dig +short A server.lab.ts.net", "@ip:server@\n")),
    names("nslookup", "by the system's name server, and by 100.100.100.100",
          "nslookup",
          ("nslookup -type=A server.lab.ts.net | grep -c '@ip:server@'", "1\n"),
          ("nslookup -type=A server.lab.ts.net 100.100.100.100 | "
           "grep -c '@ip:server@'", "1\n")),
    names("getent", "hosts, ahosts, ahostsv4, ahostsv6", "getent",
          ("getent ahostsv4 server | awk 'NR==1 {print $1}'", "@ip:server@\n"),
          ("getent ahostsv6 server | awk 'NR==1 {print $1}'",
           "@ip6:server@\n"),
          ("getent hosts nobody.lab.ts.net || echo none", "none\n")),
    names("getent-reverse", "the name of an address", "getent",
          ("getent hosts @ip:server@ | awk '{print $2}'",
           "server.lab.ts.net\n")),
    names("node-resolve", "dns.resolve4 by c-ares", "node",
          ("node -e \"require('dns').resolve4('server.lab.ts.net', (e, a) => "
           "console.log(e || a.join()))\"", "@ip:server@\n"),
          limits={"in-process": "a question to the host's name server starts "
                                "no node, which alone could answer it"}),
    names("java-names", "InetAddress", "java programs",
          ("java -cp @bin@/java Look server.lab.ts.net", "@ip:server@\n")),
    names("go-resolver", "Go's own resolver, statically linked", "go static",
          ("@bin@/goweb-static look server.lab.ts.net",
           "@ip:server@\n"),
          limits={"in-process": "nothing can be preloaded into a static "
                                "program: tsrun only"}),
]
