"""Which congestion control connections to the tailnet have, when one is chosen
at different times and in different ways: JSON."""
import errno
import json
import os
import select
import socket
import subprocess
import sys

T, CC = socket.IPPROTO_TCP, socket.TCP_CONGESTION
CHILD = "import socket, sys; s = socket.socket(fileno=int(sys.argv[1]))\n"
CONNECT = "s.connect((sys.argv[2], int(sys.argv[3])))\n"
TELL = "print(s.getsockopt(6, 13, 16).rstrip(bytes(1)).decode())"


def chosen(choice, family=socket.AF_INET):
    s = socket.socket(family)
    s.setsockopt(T, CC, choice)
    return s


def name(s):
    return s.getsockopt(T, CC, 16).rstrip(b"\0").decode()


def connected(s, to):
    """The name, and that it is the tailnet that carries it."""
    s.connect(to)
    with s.makefile("rb") as f:
        assert f.readline().startswith(b"('100."), to
    return name(s)


def after_exec(s, code, host, port):
    return subprocess.run(
        [sys.executable, "-c", CHILD + code, str(s.fileno()), host, port],
        pass_fds=[s.fileno()], check=True, capture_output=True,
        text=True).stdout.strip()


def main(host, port, choice):
    choice, to, out = choice.encode(), (host, int(port)), {}
    s = chosen(choice)
    out["before"] = name(s)
    out["chosen"] = connected(s, to)
    out["seen after exec"] = after_exec(s, TELL, host, port)
    s.setsockopt(T, socket.TCP_USER_TIMEOUT, 9000)
    out["after another option"] = name(s)
    out["not chosen"] = connected(socket.socket(), to)
    out["mapped"] = connected(chosen(choice, socket.AF_INET6),
                              ("::ffff:" + host, int(port)))
    s = chosen(choice)
    copy = s.dup()
    s.close()
    out["duplicate"] = connected(copy, to)
    out["connected after exec"] = after_exec(chosen(choice), CONNECT + TELL,
                                             host, port)
    s = socket.socket()
    s.setblocking(False)
    assert s.connect_ex(to) == errno.EINPROGRESS
    s.setsockopt(T, CC, choice)
    select.select([], [s], [])
    assert s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
    out["chosen while it connects"] = name(s)
    out["not the tunnel's"] = connected(chosen(b"reno"), to)
    s = chosen(choice)
    try:
        s.setsockopt(T, CC, b"nonesuch")
    except OSError as e:
        out["no such"] = errno.errorcode[e.errno]
    out["no such after one"] = connected(s, to)
    pid = os.fork()
    if pid == 0:
        os._exit(connected(chosen(choice), to) != choice.decode())
    out["child"] = os.waitpid(pid, 0)[1]
    with socket.create_server(("127.0.0.1", 0)) as listener:
        s = chosen(b"reno")
        s.connect(listener.getsockname())
        out["native"] = name(s)
    json.dump(out, sys.stdout)


main(*sys.argv[1:])
