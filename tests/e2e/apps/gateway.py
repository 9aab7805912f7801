"""A router's port mapping: NAT-PMP, PCP and UPnP, by a script.

    gateway.py LAN-IP WAN-IP PROTOCOL...

Runs in the router's network namespace, whose nftables have a map `mapped` in
the table `nat` that leads ports of the WAN side inwards. Prints one line of
JSON for each thing that happens. Reads commands, one a line:

    set NAME VALUE   silent 1, lifetime S, address IP, fault CODE, hang 1,
                     flood 1
    restart          all mappings are lost, the epoch begins anew
    announce         and everybody is told (NAT-PMP's and PCP's multicast)
    forge S N        so many forged answers a second, for S seconds, of each
                     kind, to whoever asked last
"""
import http.server
import json
import os
import re
import socket
import struct
import subprocess
import sys
import threading
import time

PXP, ANNOUNCE, SSDP, HTTP = 5351, ("224.0.0.1", 5350), 1900, 5000
GROUP = "239.255.255.250"
LAN, WAN = sys.argv[1:3]
SPEAKS = set(sys.argv[3:])
LOCK = threading.RLock()
SERVICE = "urn:schemas-upnp-org:service:WANIPConnection:" + (
    "2" if "upnp2" in SPEAKS else "1")
DEVICE = "urn:schemas-upnp-org:device:InternetGatewayDevice:1"
settings = {"silent": 0, "lifetime": 0, "address": WAN, "fault": 0, "hang": 0,
            "flood": 0}
mappings = {}  # external port -> (protocol, client, internal port)
started = time.monotonic() - 1000
asked_by = []  # the last address


def say(event, **what):
    line = json.dumps({"event": event, **what}) + "\n"
    os.write(1, line.encode())  # in one piece: there are several threads


def nft(verb, port, to=None):
    element = f"{port} : {to[0]} . {to[1]}" if to else str(port)
    subprocess.run(["nft", verb, "element", "ip", "nat", "mapped",
                    "{", element, "}"], check=True)


def add(protocol, client, internal, wanted, lifetime):
    with LOCK:
        for port, mapping in mappings.items():
            if mapping == (protocol, client, internal):
                say("renew", by=protocol, port=port, lifetime=lifetime)
                return port
        port = wanted if wanted >= 1024 else 40000
        while port in mappings:
            port += 1
        nft("add", port, (client, internal))
        mappings[port] = (protocol, client, internal)
        say("map", by=protocol, port=port, client=client, internal=internal,
            lifetime=lifetime)
        return port


def remove(port):
    with LOCK:
        protocol, client, internal = mappings.pop(port)
        nft("delete", port, (client, internal))
        say("unmap", by=protocol, port=port)


def remove_of(client, internal):
    for port, mapping in list(mappings.items()):
        if mapping[1:] == (client, internal):
            remove(port)


def epoch():
    return int(time.monotonic() - started)


def granted(lifetime):
    return min(lifetime, settings["lifetime"] or lifetime)


# -- NAT-PMP and PCP -----------------------------------------------------------

def pmp(request, client):
    op = request[1]
    head = struct.pack(">BBHI", 0, 128 + op, 0, epoch())
    if op == 0:
        return head + socket.inet_aton(settings["address"])
    internal, wanted, lifetime = struct.unpack(">HHI", request[4:12])
    if lifetime == 0:
        remove_of(client, internal)
        return head + struct.pack(">HHI", internal, 0, 0)
    lifetime = granted(lifetime)
    return head + struct.pack(
        ">HHI", internal, add("pmp", client, internal, wanted, lifetime),
        lifetime)


def mapped_v4(ip):
    return b"\0" * 10 + b"\xff\xff" + socket.inet_aton(ip)


def pcp(request, client):
    op, lifetime = request[1], struct.unpack(">I", request[4:8])[0]
    if request[8:24] != mapped_v4(client):
        return struct.pack(">BBBBII12x", 2, 0x80 | op, 0, 12, 30, epoch())
    if op == 0:
        return struct.pack(">BBBBII12x", 2, 0x80, 0, 0, 0, epoch())
    internal, wanted = struct.unpack(">HH", request[40:44])
    port = 0
    if lifetime == 0:
        remove_of(client, internal)
    else:
        lifetime = granted(lifetime)
        port = add("pcp", client, internal, wanted, lifetime)
    return (struct.pack(">BBBBII12x", 2, 0x81, 0, 0, lifetime, epoch()) +
            request[24:40] + struct.pack(">HH", internal, port) +
            mapped_v4(settings["address"]))


def serve_pxp(sock):
    while True:
        request, source = sock.recvfrom(1100)
        asked_by[:] = source
        if settings["silent"] or len(request) < 2:
            continue
        if request[0] == 0 and "pmp" in SPEAKS:
            sock.sendto(pmp(request, source[0]), source)
        elif request[0] == 2 and "pcp" in SPEAKS:
            sock.sendto(pcp(request, source[0]), source)
        elif request[0] == 2 and "pmp" in SPEAKS:
            sock.sendto(struct.pack(">BBHI", 0, 128 + request[1], 1, epoch()),
                        source)


def announce(sock):
    if "pmp" in SPEAKS:
        sock.sendto(struct.pack(">BBHI", 0, 128, 0, epoch()) +
                    socket.inet_aton(settings["address"]), ANNOUNCE)
    if "pcp" in SPEAKS:
        sock.sendto(struct.pack(">BBBBII12x", 2, 0x80, 0, 0, 0, epoch()),
                    ANNOUNCE)


# -- lies ----------------------------------------------------------------------

def forged(n):
    """Addresses, ports, epochs and devices, each time others."""
    lie = socket.inet_aton(f"203.0.113.{n % 250 + 1}")
    yield struct.pack(">BBHI", 0, 128, 0, 2**32 - 1 - n) + lie
    yield struct.pack(">BBHIHHI", 0, 129, 0, 2**32 - 1 - n, n & 0xffff,
                      n & 0xffff, 4)
    yield struct.pack(">BBBBII12x", 2, 0x80, 0, 0, 0, 2**32 - 1 - n)
    yield struct.pack(">BBBBII12x4IHH16x", 2, 0x81, 0, 0, 7200, 2**32 - 1 - n,
                      n, n, n, 17 << 24, n & 0xffff, n & 0xffff)


def forge(sock, seconds, per_s):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ssdp:
        ssdp.bind((LAN, 0))
        began, n = time.monotonic(), 0
        while (passed := time.monotonic() - began) < seconds:
            for n in range(n, int(passed * per_s)):
                for answer in forged(n):
                    sock.sendto(answer, tuple(asked_by))
                ssdp.sendto((
                    f"HTTP/1.1 200 OK\r\nUSN: uuid:{n}::{DEVICE}\r\n"
                    f"LOCATION: http://{LAN}:{n % 60000 + 1}/{n}.xml\r\n\r\n"
                ).encode(), tuple(asked_by))
            time.sleep(0.002)
    say("forged", count=n)


# -- UPnP ----------------------------------------------------------------------

def serve_ssdp():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("", SSDP))
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP,
                        socket.inet_aton(GROUP) + socket.inet_aton(LAN))
        while True:
            request, source = sock.recvfrom(2000)
            if settings["silent"] or not request.startswith(b"M-SEARCH"):
                continue
            sock.sendto((
                "HTTP/1.1 200 OK\r\nCACHE-CONTROL: max-age=120\r\n"
                f"ST: {DEVICE}\r\nUSN: uuid:scripted::{DEVICE}\r\nEXT:\r\n"
                "SERVER: scripted/1 UPnP/1.1 gateway/1\r\n"
                f"LOCATION: http://{LAN}:{HTTP}/root.xml\r\n\r\n").encode(),
                source)


DESCRIPTION = f"""<?xml version="1.0"?>
<root xmlns="urn:schemas-upnp-org:device-1-0"><device>
<deviceType>{DEVICE}</deviceType><friendlyName>a &amp; b</friendlyName>
<deviceList><device><serviceList><service>
<serviceType>{SERVICE}</serviceType>
<serviceId>urn:upnp-org:serviceId:WANIPConn1</serviceId>
<controlURL>ctl</controlURL><SCPDURL>/x.xml</SCPDURL>
</service></serviceList></device></deviceList></device></root>"""


class Fault(Exception):
    pass


class Upnp(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def reply(self, status, text):
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/xml")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def waste_time(self):
        say("hang" if settings["hang"] else "flood")
        while settings["hang"]:
            time.sleep(1)
        self.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n<a>")
        while True:
            self.wfile.write(b"<!-- more -->" * 1000)

    def do_GET(self):
        if settings["hang"] or settings["flood"]:
            try:
                self.waste_time()
            except OSError:
                return
        if self.path == "/root.xml":
            self.reply(200, DESCRIPTION)
        else:
            self.reply(404, "")

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        service, action = self.headers["SOAPAction"].strip('"').split("#")
        args = dict(re.findall(r"<(New\w+)>([^<]*)</", body))
        try:
            if self.path != "/ctl" or service != SERVICE:
                raise Fault(401)
            inner = "".join(f"<{k}>{v}</{k}>"
                            for k, v in self.act(action, args).items())
            self.reply(200, self.envelope(f'<u:{action}Response xmlns:u="'
                                          f'{service}">{inner}'
                                          f"</u:{action}Response>"))
        except Fault as fault:
            say("fault", action=action, code=fault.args[0])
            self.reply(500, self.envelope(
                "<s:Fault><faultcode>s:Client</faultcode><detail><UPnPError>"
                f"<errorCode>{fault.args[0]}</errorCode></UPnPError></detail>"
                "</s:Fault>"))

    @staticmethod
    def envelope(inner):
        return ('<?xml version="1.0"?><s:Envelope xmlns:s="http://schemas.'
                f'xmlsoap.org/soap/envelope/"><s:Body>{inner}</s:Body>'
                "</s:Envelope>")

    def act(self, action, args):
        client = self.client_address[0]
        if action == "GetExternalIPAddress":
            return {"NewExternalIPAddress": settings["address"]}
        if action == "DeletePortMapping":
            port = int(args["NewExternalPort"])
            if mappings.get(port, ("", ""))[1] != client:
                raise Fault(714)
            remove(port)
            return {}
        if args["NewInternalClient"] != client or args["NewProtocol"] != "UDP":
            raise Fault(606)
        lease, port = int(args["NewLeaseDuration"]), args["NewExternalPort"]
        if settings["fault"] == 725 and lease:
            raise Fault(725)
        if action == "AddPortMapping" and mappings.get(
                int(port), ("", client))[1] != client:
            raise Fault(718)
        port = add("upnp", client, int(args["NewInternalPort"]), int(port),
                   lease)
        return ({"NewReservedPort": port} if action == "AddAnyPortMapping"
                else {})


# -- the script ----------------------------------------------------------------

def start(function, *args):
    threading.Thread(target=function, args=args, daemon=True).start()


def main():
    global started
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind((LAN, PXP))
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF,
                    socket.inet_aton(LAN))
    start(serve_pxp, sock)
    if SPEAKS & {"upnp", "upnp2"}:
        server = http.server.ThreadingHTTPServer((LAN, HTTP), Upnp)
        start(server.serve_forever)
        start(serve_ssdp)
    say("ready")
    for line in sys.stdin:
        verb, *args = line.split()
        if verb == "set":
            settings[args[0]] = (args[1] if args[0] == "address"
                                 else int(args[1]))
        elif verb == "restart":
            for port in list(mappings):
                remove(port)
            started = time.monotonic()
        elif verb == "announce":
            announce(sock)
        elif verb == "forge":
            forge(sock, float(args[0]), int(args[1]))
        say("done", verb=verb)


main()
