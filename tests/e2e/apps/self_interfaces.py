"""What a program learns of the tailnet's interface, as JSON."""
import array
import ctypes
import errno
import fcntl
import json
import socket
import struct
import sys

SIOCGIFNAME, SIOCGIFCONF, SIOCGIFFLAGS, SIOCGIFADDR = (0x8910, 0x8912, 0x8913,
                                                       0x8915)
SIOCGIFNETMASK, SIOCGIFMTU, SIOCGIFHWADDR, SIOCGIFINDEX = (0x891b, 0x8921,
                                                           0x8927, 0x8933)
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)


def ask(request, name, value=b""):
    ifreq = struct.pack("16s24s", name.encode(), value)
    return fcntl.ioctl(sock, request, ifreq)[16:]


def ifconf(room):
    buf = array.array("B", bytes(room))
    address = buf.buffer_info()[0] if room else 0
    request = struct.pack("iP", room, address)
    length = struct.unpack("iP", fcntl.ioctl(sock, SIOCGIFCONF, request))[0]
    data = buf.tobytes()[:length]
    return length, [(data[i:i + 16].rstrip(b"\0").decode(),
                     socket.inet_ntoa(data[i + 20:i + 24]))
                    for i in range(0, len(data), 40)]


class IfAddrs(ctypes.Structure):
    pass


IfAddrs._fields_ = [
    ("next", ctypes.POINTER(IfAddrs)), ("name", ctypes.c_char_p),
    ("flags", ctypes.c_uint), ("addr", ctypes.c_void_p),
    ("netmask", ctypes.c_void_p), ("dest", ctypes.c_void_p),
    ("data", ctypes.c_void_p)]


def address(at):
    if not at:
        return None
    family = struct.unpack("H", ctypes.string_at(at, 2))[0]
    if family == socket.AF_INET:
        return socket.inet_ntoa(ctypes.string_at(at + 4, 4))
    if family == socket.AF_INET6:
        return socket.inet_ntop(family, ctypes.string_at(at + 8, 16))
    return f"link {struct.unpack('iH', ctypes.string_at(at + 4, 6))}"


def getifaddrs():
    libc = ctypes.CDLL(None, use_errno=True)
    first = ctypes.POINTER(IfAddrs)()
    assert libc.getifaddrs(ctypes.byref(first)) == 0
    rows, at = [], first
    while at:
        e = at.contents
        rows.append([e.name.decode(), e.flags, address(e.addr),
                     address(e.netmask), address(e.dest), bool(e.data)])
        at = e.next
    libc.freeifaddrs(first)
    return rows


def error_of(function):
    try:
        function()
        return "OK"
    except OSError as e:
        return errno.errorcode[e.errno] if e.errno else "none"


name = sys.argv[1]
index = socket.if_nametoindex(name)
whole = ifconf(0)[0]
json.dump({
    "names": socket.if_nameindex(),
    "index": index,
    "name": socket.if_indextoname(index),
    "ioctl_index": struct.unpack("i", ask(SIOCGIFINDEX, name)[:4])[0],
    "ioctl_name": fcntl.ioctl(sock, SIOCGIFNAME, struct.pack(
        "16si20x", b"", index))[:16].rstrip(b"\0").decode(),
    "flags": struct.unpack("H", ask(SIOCGIFFLAGS, name)[:2])[0],
    "addr": socket.inet_ntoa(ask(SIOCGIFADDR, name)[4:8]),
    "mask": socket.inet_ntoa(ask(SIOCGIFNETMASK, name)[4:8]),
    "mtu": struct.unpack("i", ask(SIOCGIFMTU, name)[:4])[0],
    "hardware": struct.unpack("H", ask(SIOCGIFHWADDR, name)[:2])[0],
    "ifconf_whole": whole,
    "ifconf": ifconf(4096)[1],
    "ifconf_short": ifconf(whole - 1)[1],
    "getifaddrs": getifaddrs(),
    "unknown": [error_of(lambda: ask(SIOCGIFADDR, "tailscale77")),
                error_of(lambda: socket.if_nametoindex("tailscale77")),
                error_of(lambda: socket.if_nametoindex("x" * 40)),
                error_of(lambda: socket.if_indextoname(index + 1))],
}, sys.stdout)
