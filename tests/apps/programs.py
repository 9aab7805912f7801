# SPDX-License-Identifier: BSD-3-Clause
"""The programs of the matrix, and how each tells its version.

A program is there when the command prints a version."""
import functools
import os
import re
import subprocess

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
BIN = os.path.join(TOP, "build", "apps")

POSTGRES = "$(ls -d /usr/lib/postgresql/*/bin | tail -n 1)"
PY = "/usr/bin/python3"


def module(name, package=None):
    return (f"{PY} -c 'import importlib.metadata as m, {name}; "
            f"print(m.version(\"{package or name}\"))'")


def jar(name):
    return f"ls /usr/share/java/{name}-[0-9]*.jar"


def built(name, tool):
    """Our own program, in build/apps: the version is the tool's."""
    return f"test -e {BIN}/{name} && {tool}"


GO, CARGO = "go version | tr -d go", "rustc --version"
JAVA = "java --version"
COMMANDS = {
    "sshd": "ssh -V 2>&1", "ssh": "ssh -V 2>&1", "scp": "ssh -V 2>&1",
    "nc.openbsd": "dpkg-query -W -f '${Version}' netcat-openbsd",
    "dig": "dig -v 2>&1",
    "nslookup": "nslookup -version 2>&1",
    "socat": "socat -V | sed -n 2p",
    "nginx": "nginx -v 2>&1",
    "nginx-stream": "test -e /usr/lib/nginx/modules/ngx_stream_module.so && "
                    "nginx -v 2>&1",
    "apache2": "/usr/sbin/apache2 -v",
    "lighttpd": "lighttpd -v", "haproxy": "haproxy -v",
    "caddy": "caddy version",
    "memcached": "memcached -V",
    "postgres": f"{POSTGRES}/postgres --version",
    "psql": f"{POSTGRES}/psql --version",
    "pgbench": f"{POSTGRES}/pgbench --version",
    "mosquitto": "mosquitto -h",
    "mosquitto_pub": "mosquitto_pub --help",
    "rabbitmq-server": "dpkg-query -W -f '${Version}' rabbitmq-server",
    "amqp-publish": "dpkg-query -W -f '${Version}' amqp-tools",
    "erl": "erl -noshell -eval "
           "'io:format(\"~s.0\", [erlang:system_info(otp_release)]), halt().'",
    "python3": f"{PY} --version",
    "requests": module("requests"), "aiohttp": module("aiohttp"),
    "paramiko": module("paramiko"), "gunicorn": module("gunicorn"),
    "uvicorn": module("uvicorn"),
    "java": JAVA, "javac": "javac --version",
    "java programs": built("java/Nio.class", JAVA),
    "netty": built("java/NettyHello.class", jar("netty-all")),
    "bash": "bash --version",
    "tomcat": jar("tomcat10-catalina"),
    "go static": built("goweb-static", GO),
    "go cgo": built("goweb-cgo", GO),
    "grpc-go": built("gogrpc", f"cat {HERE}/src/grpc/go.mod | "
                     "sed -n 's/.*google.golang.org.grpc v//p'"),
    "rust std": built("rust/ruststd", CARGO),
    "tokio": built("rust/rusthttp", f"sed -n '/^name = \"tokio\"$/{{n;p}}' "
                   f"{HERE}/src/rust/Cargo.lock"),
    "php-fpm": "/usr/sbin/php-fpm* --version",
    "perl": "perl -e 'printf \"%vd\", $^V'",
    "ffmpeg": "ffmpeg -version", "tmux": "tmux -V", "screen": "screen -v",
    "openssl": "openssl version", "ping": "ping -V | "
            "sed 's/.* \\(....\\)\\(..\\)\\(..\\)$/\\1.\\2.\\3/'",
    "wrk": "wrk -v",
    "ab": "ab -V", "fping": "fping -v",
    "busybox": "ldd $(command -v busybox) 2>&1 | grep -q 'not a dynamic' && "
               "busybox | head -n 1",
    "chronyd": "chronyd --version", "ntpdate": "ntpdate --version 2>&1 | cat; "
               "dpkg-query -W -f '${Version}' ntpsec-ntpdate",
    "mosh": "mosh --version", "redis": "redis-server --version",
    "setpriv": "setpriv --version", "mariadb": "mariadbd --version",
}


def path():
    """Distribution first: its Python has the distribution's modules."""
    first = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin",
             "/sbin", "/bin"]
    rest = [p for p in os.environ.get("PATH", "").split(":")
            if p and p not in first]
    go = [p for p in ("/usr/local/go/bin",) if p not in rest]
    return ":".join(["/usr/sbin", "/usr/bin", "/sbin", "/bin",
                     "/usr/local/sbin", "/usr/local/bin", *go, *rest])


@functools.lru_cache(maxsize=None)
def version(program):
    """The program's version, or None when it is not there."""
    command = COMMANDS.get(program, f"{program} --version 2>&1")
    try:
        out = subprocess.run(["sh", "-c", command], capture_output=True,
                             timeout=60, check=False, stdin=subprocess.DEVNULL,
                             env=dict(os.environ, PATH=path())).stdout
    except subprocess.TimeoutExpired:
        return None
    found = re.search(r"\d+(?:\.\d+)+[a-z]?\d*", out.decode(errors="replace"))
    return found.group() if found else None


def missing(case):
    """The programs of a case that are not there."""
    return [p for p in case.programs.split(", ") if not version(p)]
