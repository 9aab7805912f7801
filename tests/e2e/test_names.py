"""Names by every way that programs ask for them."""
import platform
import select
import socket
import struct
import subprocess
import textwrap
import threading

import pytest

from harness import CLEAN_ENV, SANITIZERS, needs, wait_until

WEB = "web.lab.ts.net"


@pytest.fixture
def web(run):
    """A node with a name to be found."""
    return run("web", "sleep", "600", key="key-bob").wait_running()


@pytest.fixture
def ask(call, web):
    """ask(*argv) runs a program beside it once the node is up; what it says."""
    asked = []

    def go(*argv, code=0, options=(), **kwargs):
        asked.append(argv)
        program = call(f"asker{len(asked)}", *argv,
                       options=("--wait", *options), **kwargs)
        assert program.code == code, (program.out, program.err, program.log)
        return program.out
    return go


@pytest.fixture
def ips(lab, web):
    """The addresses of the node that is asked for: IPv4, IPv6."""
    return web.ip, lab.node("web")["ips"][1]


def compiled(tmp_path, name, source, *flags, cc="gcc"):
    path = tmp_path / name
    (tmp_path / f"{name}.c").write_text(textwrap.dedent(source))
    subprocess.run([cc, "-D_GNU_SOURCE", "-o", path, tmp_path / f"{name}.c",
                    *flags], check=True)
    return str(path)


def script(text):
    return ("python3", "-c", textwrap.dedent(text))


def natively(*argv):
    return subprocess.run(argv, env=CLEAN_ENV, capture_output=True, text=True,
                          check=True).stdout


# -- libc's functions ------------------------------------------------------

@needs("getent")
@pytest.mark.parametrize("database",
                         ["hosts", "ahosts", "ahostsv4", "ahostsv6"])
@pytest.mark.parametrize("name", ["web", WEB, WEB + "."])
def test_getent(ask, ips, database, name):
    v4, v6 = ips
    out = ask("getent", database, name)
    lines = [line.split() for line in out.splitlines()]
    addresses = [line[0] for line in lines]
    expected = {"hosts": [v6], "ahosts": [v4] * 3 + [v6] * 3,
                "ahostsv4": [v4] * 3, "ahostsv6": [v6] * 3}
    assert addresses == expected[database]
    assert lines[0][-1] == WEB


@needs("getent")
def test_getent_of_an_address(ask, ips):
    for ip in ips:
        assert ask("getent", "hosts", ip).split()[-2:] == [ip, WEB]


@needs("getent")
def test_getent_of_nobody(ask):
    assert ask("getent", "hosts", "nobody.lab.ts.net", code=2) == ""
    assert ask("getent", "ahosts", "nobody.lab.ts.net", code=2) == ""


HINTS = """
    import itertools, socket as s
    hosts = [None, "", "127.0.0.1", "::1", "0.0.0.0", "::", "1.2.3", "0x7f.1",
             "100.64.0.9", "fd7a:115c:a1e0::9", "fe80::1%lo", "::ffff:1.2.3.4",
             "localhost", "256.1.1.1"]
    services = [None, "80", "http", "domain", "no-such", 0, "0"]
    flags = [0, s.AI_PASSIVE, s.AI_NUMERICHOST, s.AI_CANONNAME,
             s.AI_NUMERICSERV, s.AI_V4MAPPED | s.AI_ALL, s.AI_ADDRCONFIG,
             s.AI_PASSIVE | s.AI_NUMERICHOST | s.AI_NUMERICSERV, 1 << 20]
    families = [s.AF_UNSPEC, s.AF_INET, s.AF_INET6, s.AF_UNIX]
    types = [(0, 0), (s.SOCK_STREAM, 0), (s.SOCK_DGRAM, 0), (s.SOCK_RAW, 0),
             (s.SOCK_STREAM, s.IPPROTO_UDP), (0, s.IPPROTO_SCTP), (99, 0)]
    for h, v, f, a, t in itertools.product(hosts, services, flags, families,
                                           types):
        try:
            found = s.getaddrinfo(h, v, a, *t, f)
        except OSError as e:
            found = e
        print(h, v, f, a, t, found)
"""


def test_look_ups_without_a_name_are_libcs(ask):
    argv = script(HINTS)
    assert ask(*argv) == natively(*argv)


def test_getaddrinfo_by_its_hints(ask, ips):
    v4, v6 = ips
    out = ask(*script(f"""
        from socket import *
        def look(*a):
            try:
                return [(x[0].name, x[1].name, x[4][:2], x[3])
                        for x in getaddrinfo(*a)]
            except gaierror as e:
                return e.args[0]
        v4, v6 = ('AF_INET', 'SOCK_STREAM'), ('AF_INET6', 'SOCK_STREAM')
        def is_(found, *wanted):
            assert found == list(wanted), found
        a, b, mapped = '{v4}', '{v6}', '::ffff:{v4}'
        tcp = SOCK_STREAM
        is_(look('web', 80, 0, tcp), (*v4, (a, 80), ''), (*v6, (b, 80), ''))
        is_(look('web', 'https', AF_INET, tcp), (*v4, (a, 443), ''))
        is_(look('web', 'https', AF_INET6, tcp), (*v6, (b, 443), ''))
        is_(look('WEB.LAB.ts.net.', 1, AF_INET, tcp, 0, AI_CANONNAME),
            (*v4, (a, 1), '{WEB}'))
        is_(look('web', 1, AF_INET6, tcp, 0, AI_V4MAPPED), (*v6, (b, 1), ''))
        is_(look('web', 1, AF_INET6, tcp, 0, AI_V4MAPPED | AI_ALL),
            (*v6, (mapped, 1), ''), (*v6, (b, 1), ''))
        is_(look('web', 1, 0, tcp, 0, AI_ADDRCONFIG),
            (*v4, (a, 1), ''), (*v6, (b, 1), ''))
        is_(look('web', 1, AF_INET, SOCK_DGRAM),
            ('AF_INET', 'SOCK_DGRAM', (a, 1), ''))
        assert len(look('web', 1)) == 6
        assert look('web', 'http', 0, tcp, 0, AI_NUMERICSERV) == EAI_NONAME
        assert look('web', 'no-such', 0, tcp) == EAI_SERVICE
        assert look('web', 'tftp', 0, tcp) == EAI_SERVICE
        assert look('web', 'tftp', 0, SOCK_DGRAM)[0][2][1] == 69
        assert look('web', 1, 0, tcp, 0, AI_NUMERICHOST) == EAI_NONAME
        assert look('nobody.lab.ts.net', 1) == EAI_NONAME
        print(getnameinfo((a, 22), 0), getnameinfo((a, 22), NI_NOFQDN),
              getnameinfo((a, 22), NI_NUMERICHOST),
              getnameinfo((a, 22), NI_NUMERICSERV),
              getnameinfo((b, 69, 0, 0), NI_DGRAM | NI_NAMEREQD))
        try:
            print(getnameinfo(('100.64.99.99', 1), NI_NAMEREQD))
        except gaierror as e:
            assert e.args[0] == EAI_NONAME
        print(getnameinfo(('100.64.99.99', 1), 0))
        """))
    assert out.splitlines() == [
        f"('{WEB}', 'ssh') ('web', 'ssh') ('{v4}', 'ssh') ('{WEB}', '22') "
        f"('{WEB}', 'tftp')", "('100.64.99.99', 'tcpmux')"]


OLD_FUNCTIONS = """
    #include <arpa/inet.h>
    #include <assert.h>
    #include <errno.h>
    #include <netdb.h>
    #include <stdio.h>
    #include <string.h>

    int main(int argc, char **argv)
    {
        char buf[1024], text[64];
        struct hostent ent, *out;
        int h_err, err, needed = 0;

        for (size_t cap = 0; cap < sizeof(buf); cap++) {
            memset(buf, 0x5a, sizeof(buf));
            errno = 0;
            err = gethostbyname_r("web", &ent, buf, cap, &out, &h_err);
            for (size_t i = cap; i < sizeof(buf); i++)
                assert(buf[i] == 0x5a);
            if (err == 0)
                break;
            assert(err == ERANGE && !out && h_err == -1);
            needed++;
        }
        assert(needed > 16 && out == &ent && errno == 0);
        inet_ntop(AF_INET, out->h_addr, text, sizeof(text));
        printf("%s %s\\n", out->h_name, text);
        assert(!out->h_aliases[0] && !out->h_addr_list[1]);
        out = gethostbyname2("web", AF_INET6);
        printf("%s\\n", inet_ntop(AF_INET6, out->h_addr, text, sizeof(text)));
        assert(!gethostbyname("nobody.lab.ts.net"));
        assert(h_errno == HOST_NOT_FOUND);
        inet_pton(AF_INET, argv[1], buf);
        printf("%s\\n", gethostbyaddr(buf, 4, AF_INET)->h_name);
        return 0;
    }
"""


@needs("gcc")
def test_the_older_functions(ask, ips, tmp_path):
    v4, v6 = ips
    program = compiled(tmp_path, "old", OLD_FUNCTIONS)
    assert ask(program, v4).splitlines() == [f"{WEB} {v4}", v6, WEB]


RESOLVER = """
    #include <assert.h>
    #include <arpa/inet.h>
    #include <arpa/nameser.h>
    #include <errno.h>
    #include <netdb.h>
    #include <resolv.h>
    #include <stdio.h>
    #include <string.h>

    static void say(const char *what, const unsigned char *msg, int len)
    {
        char text[256] = "";
        ns_msg m;
        ns_rr rr;

        if (len < 0) {
            printf("%s: h_errno %d\\n", what, h_errno);
            return;
        }
        assert(ns_initparse(msg, len, &m) == 0);
        if (ns_msg_count(m, ns_s_an) == 0) {
            printf("%s: rcode %d\\n", what, ns_msg_getflag(m, ns_f_rcode));
            return;
        }
        assert(ns_parserr(&m, ns_s_an, 0, &rr) == 0);
        if (ns_rr_type(rr) == ns_t_a)
            inet_ntop(AF_INET, ns_rr_rdata(rr), text, sizeof(text));
        else
            dn_expand(msg, msg + len, ns_rr_rdata(rr), text, sizeof(text));
        printf("%s: %s %s\\n", what, ns_rr_name(rr), text);
    }

    int main(int argc, char **argv)
    {
        unsigned char q[512], a[1024];
        int len;

    #define SAY(call) say(#call, a, call)
        SAY(res_query("web.lab.ts.net", C_IN, T_A, a, sizeof(a)));
        SAY(res_query("web.lab.ts.net", C_IN, T_MX, a, sizeof(a)));
        SAY(res_query("nobody.lab.ts.net", C_IN, T_A, a, sizeof(a)));
        SAY(res_query(argv[1], C_IN, T_PTR, a, sizeof(a)));
        SAY(res_search("web", C_IN, T_A, a, sizeof(a)));
        SAY(res_querydomain("web", "lab.ts.net", C_IN, T_A, a, sizeof(a)));
        len = res_mkquery(QUERY, "WEB.lab.ts.net", C_IN, T_A, NULL, 0, NULL, q,
                          sizeof(q));
        assert(len > 0);
        errno = 99;
        SAY(res_send(q, len, a, sizeof(a)));
        assert(errno == 99 && memcmp(q, a, 2) == 0);
        assert(res_send(q, len, a, 20) > 20);
        len = res_mkquery(QUERY, "nobody.lab.ts.net", C_IN, T_A, NULL, 0, NULL,
                          q, sizeof(q));
        SAY(res_send(q, len, a, sizeof(a)));
    #ifdef __GLIBC__
        struct __res_state state;

        memset(&state, 0, sizeof(state));
        assert(res_ninit(&state) == 0);
        SAY(res_nquery(&state, "web.lab.ts.net", C_IN, T_A, a, sizeof(a)));
        SAY(res_nsearch(&state, "web", C_IN, T_A, a, sizeof(a)));
        SAY(res_nquerydomain(&state, "web", "lab.ts.net", C_IN, T_A, a,
                             sizeof(a)));
        assert(res_nquery(&state, "nobody.lab.ts.net", C_IN, T_A, a,
                          sizeof(a)) == -1);
        assert(state.res_h_errno == HOST_NOT_FOUND);
        SAY(res_nsend(&state, q, len, a, sizeof(a)));
    #endif
        return 0;
    }
"""


def resolver_answers(ip, reverse):
    found = f"{WEB} {ip}"
    return [found, "h_errno 4", "h_errno 1", f"{reverse} {WEB}", found, found,
            found, "rcode 3", found, found, found, "rcode 3"]


def reverse_name(ip):
    return ".".join(reversed(ip.split("."))) + ".in-addr.arpa"


@needs("gcc")
def test_res_query_and_its_kin(ask, ips, tmp_path):
    reverse = reverse_name(ips[0])
    program = compiled(tmp_path, "resolver", RESOLVER, "-lresolv")
    out = ask(program, reverse).splitlines()
    answers = [line.split(": ", 1)[1] for line in out]
    wanted = resolver_answers(ips[0], reverse)
    wanted[6] = wanted[6].replace("web.", "WEB.")
    assert answers == wanted


OLD_NAMES = """
    #include <stdio.h>
    int __res_query(const char *, int, int, unsigned char *, int);
    __asm__(".symver __res_query, __res_query@GLIBC_2.2.5");
    int main(void)
    {
        unsigned char a[512];
        int len = __res_query("web.lab.ts.net", 1, 1, a, sizeof(a));

        if (len < 4)
            return 1;
        printf("%d.%d.%d.%d\\n", a[len - 4], a[len - 3], a[len - 2],
               a[len - 1]);
        return 0;
    }
"""


@needs("gcc")
@pytest.mark.skipif(platform.machine() != "x86_64",
                    reason="the oldest version has another name here")
def test_a_program_that_was_built_with_an_older_glibc(ask, ips, tmp_path):
    program = compiled(tmp_path, "old_names", OLD_NAMES, "-lresolv")
    assert ask(program).strip() == ips[0]


ASYNC = """
    #include <arpa/inet.h>
    #include <assert.h>
    #include <netdb.h>
    #include <semaphore.h>
    #include <signal.h>
    #include <stdio.h>

    static sem_t done;
    static void on_done(union sigval v) { sem_post(&done); }
    static void on_signal(int s) { sem_post(&done); }

    static void say(struct gaicb *r)
    {
        char text[64];

        if (gai_error(r)) {
            printf("%d\\n", gai_error(r));
            return;
        }
        getnameinfo(r->ar_result->ai_addr, r->ar_result->ai_addrlen, text,
                    sizeof(text), NULL, 0, NI_NUMERICHOST);
        puts(text);
        freeaddrinfo(r->ar_result);
    }

    int main(void)
    {
        struct gaicb web = {.ar_name = "web"}, lo = {.ar_name = "localhost"};
        struct gaicb none = {.ar_name = "nobody.lab.ts.net"};
        struct gaicb *all[] = {&web, NULL, &lo, &none}, *one[] = {&web};
        struct sigevent by_thread = {.sigev_notify = SIGEV_THREAD,
                                     .sigev_notify_function = on_done};
        struct sigevent by_signal = {.sigev_notify = SIGEV_SIGNAL,
                                     .sigev_signo = SIGUSR1};

        signal(SIGUSR1, on_signal);
        sem_init(&done, 0, 0);
        assert(getaddrinfo_a(GAI_WAIT, all, 4, NULL) == 0);
        say(&web); say(&lo); say(&none);
        assert(getaddrinfo_a(GAI_NOWAIT, all, 4, &by_thread) == 0);
        sem_wait(&done);
        say(&web); say(&lo); say(&none);
        assert(getaddrinfo_a(GAI_NOWAIT, one, 1, &by_thread) == 0);
        while (sem_wait(&done)) ;
        say(&web);
        assert(getaddrinfo_a(GAI_NOWAIT, one, 1, &by_signal) == 0);
        while (sem_wait(&done)) ;
        say(&web);
        assert(getaddrinfo_a(GAI_NOWAIT, one, 1, NULL) == 0);
        assert(gai_suspend((const struct gaicb **)one, 1, NULL) <= 0);
        say(&web);
        return 0;
    }
"""


@needs("gcc")
def test_getaddrinfo_a(ask, ips, tmp_path):
    program = compiled(tmp_path, "async", ASYNC, "-lanl", "-lpthread")
    out = ask(program).splitlines()
    batch = [ips[0], out[1], "-2"]
    assert out == batch + batch + [ips[0]] * 3
    assert out[1] in ("127.0.0.1", "::1")


MUSL_LIST = """
    #include <arpa/inet.h>
    #include <netdb.h>
    #include <stdio.h>
    int main(void)
    {
        struct addrinfo hints = {.ai_flags = AI_CANONNAME}, *list, *ai;
        char text[64];

        for (int round = 0; round < 1000; round++) {
            if (getaddrinfo("web", "80", &hints, &list))
                return 1;
            for (ai = list; round == 0 && ai; ai = ai->ai_next) {
                getnameinfo(ai->ai_addr, ai->ai_addrlen, text, sizeof(text),
                            NULL, 0, NI_NUMERICHOST);
                printf("%s %d %s\\n", text, ai->ai_socktype,
                       ai->ai_canonname ? ai->ai_canonname : "-");
            }
            freeaddrinfo(list);
        }
        if (getaddrinfo("localhost", "80", &hints, &list))
            return 2;
        freeaddrinfo(list);
        if (getaddrinfo(NULL, "80", &hints, &list))
            return 3;
        freeaddrinfo(list);
        return 0;
    }
"""


@needs("musl-gcc")
def test_musl(ask, ips, tmp_path):
    v4, v6 = ips
    program = compiled(tmp_path, "list", MUSL_LIST, cc="musl-gcc")
    lines = [line.split() for line in ask(program).splitlines()]
    assert {line[0] for line in lines} == {v4, v6}
    assert lines[0][0] == v4 and lines[0][2] == WEB
    program = compiled(tmp_path, "old", OLD_FUNCTIONS, cc="musl-gcc")
    assert ask(program, v4).splitlines() == [f"{WEB} {v4}", v6, WEB]
    reverse = reverse_name(v4)
    program = compiled(tmp_path, "resolver", RESOLVER, cc="musl-gcc")
    out = ask(program, reverse).splitlines()
    answers = [line.split(": ", 1)[1] for line in out]
    wanted = resolver_answers(v4, reverse)
    wanted[6] = wanted[6].replace("web.", "WEB.")
    assert answers == wanted[:8]


# -- what stays libc's -----------------------------------------------------

def mounting(tmp_path, **files):
    """Words before a command that give it other files in /etc."""
    mounts = ""
    for name, text in files.items():
        path = tmp_path / name
        path.write_text(textwrap.dedent(text))
        mounts += f"mount --bind {path} /etc/{name.replace('_', '.')}; "
    return ("unshare", "--mount", "sh", "-c", mounts + 'exec "$@"', "sh")


def test_the_hosts_file_comes_first(ask, ips, tmp_path):
    wrap = mounting(tmp_path, hosts="127.0.0.1 localhost\n"
                    "192.0.2.7  db web # other.lab.ts.net\n"
                    "192.0.2.8\tWeb.Lab.TS.net\n")
    look = "import socket; print([socket.gethostbyname(n) for n in " \
        "('web', 'web.lab.ts.net', 'asker1')])"
    assert ask("python3", "-c", look, wrap=wrap).strip() == str(
        ["192.0.2.7", "192.0.2.8", "100.64.0.2"])


# -- programs with a resolver of their own ---------------------------------

@needs("dig")
def test_dig_by_tcp(ask, web):
    out = ask("dig", "+tcp", "+noall", "+answer", "+comments",
              "@100.100.100.100", WEB)
    assert "status: NOERROR" in out
    assert f"IN\tA\t{web.ip}" in out


@needs("dig")
def test_dig_by_tcp_over_ipv6(ask, web):
    out = ask("dig", "-6", "+tcp", "+short", "@fd7a:115c:a1e0::53", WEB)
    assert out.strip() == web.ip


@needs("dig")
def test_dig_of_an_address(ask, web):
    out = ask("dig", "+tcp", "+short", "@100.100.100.100", "-x", web.ip)
    assert out.strip() == WEB + "."


@needs("dig")
def test_dig_by_tcp_says_what_is_not_there(ask):
    out = ask("dig", "+tcp", "@100.100.100.100", "nobody.lab.ts.net")
    assert "status: NXDOMAIN" in out and "IN\tSOA" in out


class NameServer:
    """A name server of the system: one name, one answer; big ones by TCP."""

    def __init__(self, ip="127.0.0.1"):
        self.asked = []
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind((ip, 53))
        self.tcp = socket.create_server((ip, 53))
        self.wake, self.stopper = socket.socketpair()
        self.thread = threading.Thread(target=self.serve)
        self.thread.start()

    def answer(self, query, way):
        end = query.index(b"\0", 12) + 5
        name = query[12:end - 5]
        self.asked.append((way, name))
        head, question = query[:2], query[12:end]
        if b"none" in name:
            return head + b"\x81\x83\0\1\0\0\0\0\0\0" + question
        if b"big" in name and way == "udp":
            return head + b"\x83\x80\0\1\0\0\0\0\0\0" + question
        count = 100 if b"big" in name else 1
        record = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4"
        return head + b"\x81\x80\0\1" + struct.pack(">HHH", count, 0, 0) + \
            question + b"".join(record + bytes((192, 0, 2, i + 1))
                                for i in range(count))

    def serve(self):
        while True:
            ready, _, _ = select.select([self.udp, self.tcp, self.wake], [], [])
            if self.wake in ready:
                return
            if self.udp in ready:
                query, who = self.udp.recvfrom(4096)
                self.udp.sendto(self.answer(query, "udp"), who)
            if self.tcp in ready:
                self.serve_stream(self.tcp.accept()[0])

    def serve_stream(self, conn):
        with conn, conn.makefile("rb") as f:
            while head := f.read(2):
                query = f.read(int.from_bytes(head, "big"))
                answer = self.answer(query, "tcp")
                conn.sendall(struct.pack(">H", len(answer)) + answer)

    def close(self):
        self.stopper.close()
        self.thread.join()
        for s in (self.udp, self.tcp, self.wake):
            s.close()


@pytest.fixture
def name_server():
    server = NameServer()
    yield server
    server.close()


@pytest.fixture
def system(tmp_path):
    """A system whose resolv.conf names that server."""
    return mounting(tmp_path, resolv_conf="nameserver 127.0.0.1\n")


@needs("dig")
def test_other_names_are_forwarded(ask, name_server, system):
    def dig(name):
        return ask("dig", "+tcp", "@100.100.100.100", name, wrap=system)
    assert "IN\tA\t192.0.2.1\n" in dig("example.com")
    assert name_server.asked == [("udp", b"\7example\3com")]
    assert dig("big.example.com").count("IN\tA\t192.0.2.") == 100
    assert name_server.asked[1:] == [("udp", b"\3big\7example\3com"),
                                     ("tcp", b"\3big\7example\3com")]
    assert "status: NXDOMAIN" in dig("none.example.com")


@needs("dig")
def test_no_name_server_is_servfail(ask, tmp_path):
    wrap = mounting(tmp_path, resolv_conf="nameserver 127.0.0.9\n")
    out = ask("dig", "+tcp", "@100.100.100.100", "example.com", wrap=wrap)
    assert "status: SERVFAIL" in out


def test_libc_asks_for_other_names_itself(ask, name_server, system, web):
    out = ask("python3", "-c", "import socket; print([socket.gethostbyname(n)"
              " for n in ('example.com', 'web', 'web.lab.ts.net')])",
              wrap=system)
    assert out.strip() == str(["192.0.2.1", web.ip, web.ip])
    assert not [name for _, name in name_server.asked if b"web" in name]


JAVA = """
    import java.net.*;
    public class Names {
        public static void main(String[] a) throws Exception {
            for (InetAddress i : InetAddress.getAllByName("web"))
                System.out.println(i.getHostAddress());
            System.out.println(
                InetAddress.getByName(a[0]).getCanonicalHostName());
            try {
                InetAddress.getByName("nobody.lab.ts.net");
            } catch (UnknownHostException e) {
                System.out.println("unknown");
            }
        }
    }
"""

GO = """
    package main
    import ("context"; "fmt"; "net"; "sort")
    func main() {
        r := net.DefaultResolver
        found, err := r.LookupHost(context.Background(), "web")
        sort.Strings(found)
        fmt.Println(found, err)
        names, err := r.LookupAddr(context.Background(), found[0])
        fmt.Println(names, err)
    }
"""

PROGRAMS = {
    "node": ("node", "-e", """
        const dns = require('dns').promises;
        (async () => {
            const all = await dns.lookup('web', {all: true});
            console.log(all.map(a => a.address).join(' '));
            console.log((await dns.lookupService(all[0].address, 22)).hostname);
            await dns.lookup('nobody.lab.ts.net').catch(e =>
                console.log(e.code));
        })();"""),
    "php": ("php", "-r", """
        foreach (gethostbynamel('web') as $a) echo "$a\\n";
        echo gethostbyaddr(gethostbyname('web')), "\\n";
        foreach (dns_get_record('web.lab.ts.net', DNS_A) as $r)
            echo $r['ip'], "\\n";
        var_dump(checkdnsrr('nobody.lab.ts.net', 'A'));"""),
    "ruby": ("ruby", "-rsocket", "-e", """
        puts Addrinfo.getaddrinfo('web', 80, nil, :STREAM).map(&:ip_address)
        puts Addrinfo.tcp('web', 80).getnameinfo[0]"""),
    "perl": ("perl", "-MSocket=:all", "-e", """
        print inet_ntoa(scalar gethostbyname('web')), "\\n";
        print scalar(gethostbyaddr(gethostbyname('web'), AF_INET)), "\\n";"""),
}
SAID = {
    "node": "{v4} {v6}\n{web}\nENOTFOUND\n",
    "php": "{v4}\n{web}\n{v4}\nbool(false)\n",
    "ruby": "{v4}\n{v6}\n{web}\n",
    "perl": "{v4}\n{web}\n",
}


@pytest.mark.parametrize("language", [
    pytest.param(name, marks=needs(name)) for name in PROGRAMS])
def test_languages(ask, ips, language):
    v4, v6 = ips
    assert ask(*PROGRAMS[language]) == SAID[language].format(v4=v4, v6=v6,
                                                             web=WEB)


@needs("java", "javac")
def test_java(ask, ips, tmp_path):
    source = tmp_path / "Names.java"
    source.write_text(textwrap.dedent(JAVA))
    subprocess.run(["javac", "-d", tmp_path, source], check=True)
    out = ask("java", "-cp", str(tmp_path), "Names", ips[0]).splitlines()
    assert out[0] == ips[0] and out[1:] == [
        str(socket.inet_pton(socket.AF_INET6, ips[1]) and out[1]), WEB,
        "unknown"]
    assert socket.inet_pton(socket.AF_INET6, out[1]) == \
        socket.inet_pton(socket.AF_INET6, ips[1])


@needs("go", "gcc")
@pytest.mark.skipif(bool(SANITIZERS),
                    reason="a stock program has no sanitizer runtime")
def test_go_by_libc(ask, ips, tmp_path):
    source = tmp_path / "names.go"
    source.write_text(textwrap.dedent(GO))
    program = str(tmp_path / "names")
    subprocess.run(["go", "build", "-o", program, source], check=True,
                   env=dict(CLEAN_ENV, CGO_ENABLED="1", GO111MODULE="off",
                            GOCACHE="/tmp/go-build-e2e", GOFLAGS=""))
    out = ask("env", "GODEBUG=netdns=cgo", program).splitlines()
    assert out == [f"[{ips[0]} {ips[1]}] <nil>", f"[{WEB}.] <nil>"]


# -- by datagrams ----------------------------------------------------------

@needs("dig")
@pytest.mark.parametrize("server", ["100.100.100.100", "fd7a:115c:a1e0::53"])
def test_dig(ask, web, server):
    out = ask("dig", f"@{server}", WEB)
    assert f"IN\tA\t{web.ip}" in out
    assert f"SERVER: {server}#53({server}) (UDP)" in out


@needs("dig", "host", "nslookup")
def test_bind_tools_ask_the_systems_server(ask, web, name_server, system):
    out = ask("dig", WEB, wrap=system)
    assert f"IN\tA\t{web.ip}" in out
    assert "SERVER: 127.0.0.1#53(127.0.0.1) (UDP)" in out
    assert ask("dig", "+short", "+tcp", WEB, wrap=system).strip() == web.ip
    assert f"{WEB} has address {web.ip}" in ask("host", WEB, wrap=system)
    assert f"Address: {web.ip}" in ask("nslookup", WEB, wrap=system)
    assert ask("dig", "+short", "web", wrap=system).strip() == web.ip
    assert not name_server.asked
    assert "192.0.2.1" in ask("dig", "example.com", wrap=system)
    assert name_server.asked == [("udp", b"\7example\3com")]
    out = ask("dig", "big.example.com", wrap=system)
    assert out.count("IN\tA\t192.0.2.") == 100 and "(TCP)" in out


@needs("dig")
def test_dns_host_leaves_the_systems_server_alone(ask, name_server, system):
    out = ask("dig", "+short", WEB, wrap=system, options=("--dns", "host"))
    assert out.strip() == "192.0.2.1"
    assert name_server.asked == [("udp", b"\3web\3lab\2ts\3net")]
    assert "192.0.2.1" not in ask("dig", "@100.100.100.100", WEB, wrap=system,
                                  options=("--dns", "host"))


@needs("node")
def test_c_ares(ask, web, name_server, system):
    out = ask("node", "-e", f"""
        const dns = require('dns').promises;
        (async () => {{
            console.log((await dns.resolve4('{WEB}')).join());
            console.log((await dns.resolve4('web')).join());
            console.log((await dns.reverse('{web.ip}')).join());
            console.log((await dns.resolve4('example.com')).join());
            const own = new dns.Resolver();
            own.setServers(['100.100.100.100']);
            console.log((await own.resolve4('{WEB}')).join());
            await dns.resolve4('nobody.lab.ts.net').catch(
                e => console.log(e.code));
        }})();""", wrap=system)
    assert out.splitlines() == [web.ip, web.ip, WEB, "192.0.2.1", web.ip,
                                "ENOTFOUND"]


RAW_CLIENT = """
    import socket, struct, sys
    def ask(name, kind):
        query = b"\\x12\\x34\\1\\0\\0\\1\\0\\0\\0\\0\\0\\0" + b"".join(
            bytes([len(l)]) + l.encode() for l in name.split(".")) + \\
            b"\\0\\0\\1\\0\\1"
        with socket.socket(socket.AF_INET, kind) as s:
            s.settimeout(20)
            s.connect((sys.argv[1], 53))
            if kind == socket.SOCK_DGRAM:
                s.send(query)
                answer = s.recv(4096)
            else:
                s.sendall(struct.pack(">H", len(query)) + query)
                f = s.makefile("rb")
                answer = f.read(struct.unpack(">H", f.read(2))[0])
            assert s.getpeername() == (sys.argv[1], 53)
        return answer[:2] == query[:2] and socket.inet_ntoa(answer[-4:])
    for kind in socket.SOCK_DGRAM, socket.SOCK_STREAM:
        for name in sys.argv[2:]:
            print(ask(name, kind))
"""


@pytest.mark.parametrize("server, inside", [
    ("100.100.100.100", False), ("127.0.0.1", False),
    ("100.100.100.100", True)])
def test_a_client_of_its_own(ask, web, name_server, system, inside, server):
    """With the node as a thread of the program, too."""
    if inside and SANITIZERS:
        pytest.skip("a sanitizer must come first in a program")
    out = ask("python3", "-c", textwrap.dedent(RAW_CLIENT), server, WEB,
              "example.com", wrap=system,
              options=("--in-process",) if inside else ())
    assert out.split() == [web.ip, "192.0.2.1"] * 2
    assert name_server.asked == [("udp", b"\7example\3com")] * 2


# -- a tailnet of any suffix -----------------------------------------------

@needs("dig", "gcc")
@pytest.mark.parametrize("client", ["dig", "res_query", "libc"])
def test_before_the_suffix_is_known(make_lab, call, run, name_server, system,
                                    tmp_path, client):
    """The system knows no such name, and is not believed."""
    lab = make_lab("--domain", "corp.example")
    ip = run("none", "sleep", "600", lab=lab).wait_running().ip
    commands = {
        "dig": ("dig", "+short", "@100.100.100.100", "none.corp.example"),
        "libc": ("python3", "-c", "import socket; "
                 "print(socket.gethostbyname('none.corp.example'))"),
    }
    if client == "res_query":
        if platform.machine() != "x86_64":
            pytest.skip("the oldest version has another name here")
        commands[client] = (compiled(
            tmp_path, "old_names",
            OLD_NAMES.replace(WEB, "none.corp.example"), "-lresolv"),)
    program = call("asker", *commands[client], lab=lab, wrap=system)
    assert program.code == 0, (program.out, program.err, program.log)
    assert program.out.strip() == ip


@needs("dig")
def test_a_changed_resolv_conf_is_followed(run, name_server, tmp_path):
    wrap = mounting(tmp_path, resolv_conf="nameserver 127.0.0.9\n")
    program = run("asker", "sh", "-c", """
        dig +tcp @100.100.100.100 example.com | grep -o 'status: [A-Z]*'
        until dig +short @100.100.100.100 example.com | grep 192; do
            sleep 0.2
        done""", options=("--wait",), wrap=wrap)
    wait_until(lambda: "SERVFAIL" in program.out, "the first answer")
    (tmp_path / "resolv_conf").write_text("nameserver 127.0.0.1\n")
    assert program.wait() == 0
    assert program.out == "status: SERVFAIL\n192.0.2.1\n"


@needs("dig")
def test_a_resolver_at_the_v6_loopback(ask, web, tmp_path):
    wrap = mounting(tmp_path, resolv_conf="nameserver ::1\n")
    for way in "+notcp", "+tcp":
        out = ask("dig", way, WEB, wrap=wrap)
        assert f"IN\tA\t{web.ip}" in out and "SERVER: ::1#53(::1)" in out
