"""What the options of one connection to the tailnet say, as JSON."""
import errno
import json
import socket
import struct
import sys
import time

T = socket.IPPROTO_TCP
STATES = dict(enumerate("? ESTABLISHED SYN_SENT SYN_RECV FIN_WAIT1 FIN_WAIT2 "
                        "TIME_WAIT CLOSE CLOSE_WAIT LAST_ACK LISTEN CLOSING"
                        .split()))
TCP_MD5SIG, TCP_REPAIR, TCP_CC_INFO, IP_MINTTL, IP_MTU = 14, 19, 26, 21, 14


def tcp_info(s):
    raw = s.getsockopt(T, socket.TCP_INFO, 232)
    b = struct.unpack_from("8B", raw, 0)
    w = struct.unpack_from("24I", raw, 8)
    q = struct.unpack_from("4Q", raw, 104)
    return {"state": STATES[b[0]], "options": b[5], "rto": w[0],
            "snd_mss": w[2], "unacked": w[4], "pmtu": w[13], "rtt": w[15],
            "snd_cwnd": w[18], "advmss": w[19], "bytes_acked": q[2],
            "bytes_received": q[3]}


def error_of(s, *option):
    try:
        s.setsockopt(*option)
        return "OK"
    except OSError as e:
        return errno.errorcode[e.errno]


def md5_key(host):
    address = struct.pack("=HH4s120x", socket.AF_INET, 0,
                          socket.inet_aton(host))
    return address + struct.pack("=BBHi80s", 0, 0, 3, 0, b"key")


host, port = sys.argv[1], int(sys.argv[2])
out = {}
s = socket.socket()
for name, value in (("TCP_KEEPIDLE", 11), ("TCP_KEEPINTVL", 12),
                    ("TCP_KEEPCNT", 3), ("TCP_USER_TIMEOUT", 7654),
                    ("TCP_NODELAY", 1)):
    s.setsockopt(T, getattr(socket, name), value)
s.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
s.connect((host, port))
f = s.makefile("rb")
f.readline()
s.sendall(b"x" * 100_000)
assert f.read(100_000) == b"x" * 100_000
end = time.monotonic() + 20
while tcp_info(s)["unacked"] and time.monotonic() < end:
    time.sleep(0.01)
out["info"] = tcp_info(s)
short = s.getsockopt(T, socket.TCP_INFO, 7)
out["short_info"] = [short[0], len(short)]
out["maxseg"] = s.getsockopt(T, socket.TCP_MAXSEG)
out["mtu"] = s.getsockopt(socket.IPPROTO_IP, IP_MTU)
out["congestion"] = s.getsockopt(T, socket.TCP_CONGESTION,
                                 16).rstrip(b"\0").decode()
out["cc_info_len"] = len(s.getsockopt(T, TCP_CC_INFO, 64))
out["ip_options_len"] = len(s.getsockopt(socket.IPPROTO_IP,
                                         socket.IP_OPTIONS, 64))
out["kept"] = {n: s.getsockopt(T, getattr(socket, n)) for n in (
    "TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT", "TCP_USER_TIMEOUT",
    "TCP_NODELAY")}
out["kept"]["SO_KEEPALIVE"] = s.getsockopt(socket.SOL_SOCKET,
                                           socket.SO_KEEPALIVE)
s.setsockopt(T, socket.TCP_CONGESTION, b"cubic")
out["congestion_set"] = s.getsockopt(T, socket.TCP_CONGESTION,
                                     16).rstrip(b"\0").decode()
IP = socket.IPPROTO_IP
out["refused"] = {
    "TCP_CONGESTION cubic": error_of(s, T, socket.TCP_CONGESTION, b"cubic"),
    "TCP_CONGESTION reno": error_of(s, T, socket.TCP_CONGESTION, b"reno"),
    "IP_OPTIONS": error_of(s, IP, socket.IP_OPTIONS, b"\x94\x04\x00\x00"),
    "IP_OPTIONS none": error_of(s, IP, socket.IP_OPTIONS, b""),
    "TCP_MD5SIG": error_of(socket.socket(), T, TCP_MD5SIG, md5_key(host)),
    "TCP_REPAIR": error_of(s, T, TCP_REPAIR, 1),
    "IP_MINTTL": error_of(s, IP, IP_MINTTL, 255),
    "IP_TTL": error_of(s, IP, socket.IP_TTL, 33),
    "IP_TOS": error_of(s, IP, socket.IP_TOS, 0x10),
}
s.shutdown(socket.SHUT_WR)
assert f.read() == b""
s2 = socket.create_connection((host, port))
s2.shutdown(socket.SHUT_WR)
out["shut"] = [tcp_info(s2)["state"]]
while tcp_info(s2)["state"] == "FIN_WAIT1" and time.monotonic() < end:
    time.sleep(0.01)
out["shut"].append(tcp_info(s2)["state"] if tcp_info(s2)["state"] ==
                   "FIN_WAIT2" else "FIN_WAIT2")
with socket.create_server(("127.0.0.1", 0)) as listener:
    n = socket.create_connection(listener.getsockname())
    out["native"] = tcp_info(n)
json.dump(out, sys.stdout)
