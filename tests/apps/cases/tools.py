# SPDX-License-Identifier: BSD-3-Clause
"""Plumbing and measuring over TCP."""
from case import Call, Case, Server

TITLE = "Network tools, TCP"
SUM = "sha256sum <www/big | cut -d' ' -f1 >big.sum"
# The server of iperf3 refuses the next test for a moment after each.
IPERF = ("for i in 1 2 3 4 5 6 7 8; do iperf3 -c @host@ -p 7000 %s && break; "
         "sleep 0.3; done")
IPERFD = Server("exec iperf3 -s -p 7000 --forceflush", tcp=7000)


def iperf(name, does, flags, has):
    return Case(name, does, "iperf3", [IPERFD],
                [Call(IPERF % flags, has=("iperf Done", *has))])


CASES = [
    Case("nc", "half close: the server ends after the last of 4 MiB",
         "nc.openbsd",
         [Server("while :; do nc.openbsd -nv -l 7000 | sha256sum | "
                 "cut -d' ' -f1 >>sums; done", tcp=7000)],
         [Call(": >sums; nc.openbsd -N -w 20 @host@ 7000 <@www@/big; for i "
               "in $(seq 100); do [ -s sums ] && break; sleep 0.1; done; "
               "cmp sums big.sum && echo same", out="same\n")], prepare=SUM),
    Case("nc-scan", "open and closed ports", "nc.openbsd",
         [Server("exec nc.openbsd -v -k -l 7000", tcp=7000)],
         [Call("nc.openbsd -zvw 10 @host@ 7000", has=("succeeded",)),
          Call("nc.openbsd -zvw 10 @host@ 7001", code=1,
               has=("(?i)refused",))],
         seen=""),
    Case("ncat", "many callers, TLS", "ncat",
         [Server("exec ncat -v -k -l 7000 -c 'echo $NCAT_REMOTE_ADDR; cat'",
                 tcp=7000),
          Server("exec ncat -v -k -l 7001 --ssl -c 'echo tls; cat'",
                 name="tls", tcp=7001)],
         [Call("(echo hello; sleep 0.5) | ncat -w 20 @host@ 7000",
               out="@client@\nhello\n"),
          Call("(sleep 0.5; echo hello; sleep 0.5) | ncat --ssl -w 20 @host@ "
               "7001", out="tls\nhello\n", to="tls")]),
    Case("socat", "relay between two tailnet connections, 4 MiB there and back",
         "socat",
         [Server("exec socat -d -d TCP-LISTEN:7000,fork,reuseaddr "
                 "EXEC:cat", tcp=7000),
          Server("exec socat TCP-LISTEN:7001,fork,reuseaddr "
                 "TCP:@name:server@:7000", name="relay", tcp=7001)],
         [Call("socat -t 20 - TCP:@host@:7000 <@www@/big | cmp - @www@/big && "
               "echo same", out="same\n"),
          Call("socat -t 20 - TCP:@host@:7001 <@www@/big | cmp - @www@/big && "
               "echo same", out="same\n", to="relay")], seen=""),
    Case("socat-peer", "the caller's address and port; a chosen source port",
         "socat",
         [Server("exec socat TCP-LISTEN:7000,fork,reuseaddr "
                 "'SYSTEM:echo $SOCAT_PEERADDR $SOCAT_SOCKADDR; cat'",
                 tcp=7000)],
         [Call("echo hello | socat -t 10 - TCP4:@host@:7000",
               out="@client@ @server@\nhello\n"),
          Call("echo hello | socat -t 10 - TCP4:@host@:7000,"
               "sourceport=7123,reuseaddr", by=("name",),
               out="@client@ @server@\nhello\n")]),
    iperf("iperf3", "one stream", "-n 50M", ()),
    iperf("iperf3-reverse", "the server sends", "-n 50M -R", ("Reverse mode",)),
    iperf("iperf3-parallel", "4 streams", "-n 40M -P 4", ("SUM",)),
    iperf("iperf3-bidir", "both directions at once", "-n 20M --bidir",
          ("RX-C",)),
    Case("bash-tcp", "a conversation by bash's /dev/tcp", "bash",
         [Server("exec /usr/bin/python3 @dir@/echo.py", tcp=7000)],
         [Call("bash -c 'exec 3<>/dev/tcp/@host@/7000; echo hello >&3; "
               "head -n 2 <&3'", out="@client@\nhello\n")],
         files={"echo.py": """
import socketserver
class Echo(socketserver.StreamRequestHandler):
    def handle(self):
        self.wfile.write(self.client_address[0].encode() + b'\\n')
        for line in self.rfile:
            self.wfile.write(line)
class Server(socketserver.ForkingTCPServer):
    allow_reuse_address = True
Server(('', 7000), Echo).serve_forever()
"""}),
    Case("ftp", "passive FTP: data connections to the server's own address",
         "python3, curl",
         [Server("exec /usr/bin/python3 @dir@/ftp.py", tcp=7021)],
         [Call("curl -sS -m 20 --disable-epsv ftp://@host@:7021/file && "
               "curl -sS -m 20 ftp://@host@:7021/file", out="data\ndata\n")],
         files={"ftp.py": """
import socket, socketserver
class Session(socketserver.StreamRequestHandler):
    def say(self, text):
        self.wfile.write(text.encode() + b'\\r\\n')
    def listen(self):
        # At the address that the caller came to: the server's in the tailnet.
        own = self.request.getsockname()[0]
        print('caller', self.client_address[0], 'own', own, flush=True)
        return socket.create_server((own, 0)), own
    def handle(self):
        data = None
        self.say('220 hello')
        for line in self.rfile:
            verb, _, rest = line.decode().strip().partition(' ')
            if verb == 'USER': self.say('230 in')
            elif verb == 'PWD': self.say('257 "/"')
            elif verb == 'PASV':
                data, own = self.listen()
                port = data.getsockname()[1]
                self.say('227 Entering (%s,%d,%d)' % (
                    own.replace('.', ','), port >> 8, port & 255))
            elif verb == 'EPSV':
                data, _ = self.listen()
                self.say('229 Entering (|||%d|)' % data.getsockname()[1])
            elif verb == 'RETR':
                self.say('150 here')
                s, peer = data.accept()
                assert peer[0] == self.client_address[0], peer
                s.sendall(b'data\\n'); s.close(); data.close()
                self.say('226 done')
            elif verb == 'QUIT':
                self.say('221 bye')
                return
            elif verb in ('TYPE', 'CWD'): self.say('200 ok')
            else: self.say('502 no')
class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
Server(('0.0.0.0', 7021), Session).serve_forever()
"""}),
]
