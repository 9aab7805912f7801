"""Which pairs of binds go together, as JSON: reads "OWN4 OWN6" from stdin."""
import errno
import itertools
import json
import socket
import sys

FIRST_PORT = 12000
OPTIONS = {None: None, "addr": socket.SO_REUSEADDR, "port": socket.SO_REUSEPORT}
WHERE = {"wild4": (socket.AF_INET, "0.0.0.0"), "wild6": (socket.AF_INET6, "::"),
         "v6only": (socket.AF_INET6, "::")}
PAIRS = [pair for pair in itertools.permutations(
    ("own4", "own6", "wild4", "wild6", "v6only"), 2)
    if pair[0].startswith("own") != pair[1].startswith("own")]
PAIRS += [("own4", "own4"), ("own6", "own6"), ("own4", "own6")]


def outcome(what, *args):
    try:
        what(*args)
        return "ok"
    except OSError as e:
        return errno.errorcode[e.errno]


def bind(kind, who, option, port):
    """The socket, and what became of bind, or of listen after it."""
    family, address = WHERE[who]
    s = socket.socket(family, kind)
    if OPTIONS[option]:
        s.setsockopt(socket.SOL_SOCKET, OPTIONS[option], 1)
    if who == "v6only":
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    result = outcome(s.bind, (address, port))
    if result == "ok" and kind == socket.SOCK_STREAM:
        result = outcome(s.listen)
    return s, result


own4, own6 = sys.stdin.readline().split()
WHERE.update(own4=(socket.AF_INET, own4), own6=(socket.AF_INET6, own6))
results = {}
cases = itertools.product((socket.SOCK_DGRAM, socket.SOCK_STREAM), PAIRS,
                          itertools.product(OPTIONS, repeat=2))
for port, (kind, pair, options) in enumerate(cases, FIRST_PORT):
    made = [bind(kind, *one, port) for one in zip(pair, options)]
    results[f"{kind.name} {pair} {options}"] = [r for _, r in made]
    for sock, _ in made:
        sock.close()
print(json.dumps(results))
