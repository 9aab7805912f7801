# SPDX-License-Identifier: BSD-3-Clause
"""Programs of tests/apps/src and others that are compiled: static, Go, Rust."""
from case import PAGE, Call, Case, Server

TITLE = "Static programs, Go and Rust"
NO_LOADER = {"in-process": "nothing can be preloaded into a static program: "
                           "tsrun only"}
OWN_CALLS = {"in-process": "Go makes system calls of its own, which only "
                           "tsrun can see"}
MANY = ("curl -sS -m 30 -Z --parallel-max 10 --no-progress-meter "
        "'http://@host@:8080/?[1-100]' | sort | uniq -c | sed 's/^ *//'")


def go(kind, why):
    web = f"@bin@/goweb-{kind}"
    return [
        Case(f"go-{kind}-http", "net/http server and client, 50 at once",
             f"go {kind}, curl", [Server(f"exec {web} serve :8080", tcp=8080)],
             [Call(f"{web} get http://@host@:8080/ 50", out="50 seen @client@\n"),
              Call(MANY, out="100 seen @client@\n"),
              Call("curl -sS -m 20 -T @www@/big -H Expect: "
                   "http://@host@:8080/sum", out="4194304 <nil>\n")],
             limits=why),
        Case(f"go-{kind}-udp", "net.ListenPacket, net.Dial", f"go {kind}",
             [Server(f"exec {web} echo :7000", udp=7000, ready="ready")],
             [Call(f"{web} send @host@:7000", out="@client@ hello\n")],
             limits=why)]


CASES = [
    *go("static", NO_LOADER), *go("cgo", OWN_CALLS),
    Case("grpc-go", "100 calls and a stream", "grpc-go",
         [Server("exec @bin@/gogrpc serve :7000", tcp=7000)],
         [Call("@bin@/gogrpc call @host@:7000", out="100 calls, SERVING\n")],
         limits=NO_LOADER),
    Case("rust-std", "std::net, 50 threads", "rust std",
         [Server("exec @bin@/rust/ruststd serve 7000", tcp=7000)],
         [Call("@bin@/rust/ruststd call @host@ 7000", out="50 @client@\n")]),
    Case("rust-tokio", "hyper server, reqwest client, 50 at once",
         "tokio, curl",
         [Server("exec @bin@/rust/rusthttp serve 8080", tcp=8080)],
         [Call("@bin@/rust/rusthttp call http://@host@:8080/",
               out="50 seen @client@\n"),
          Call(MANY, out="100 seen @client@\n")]),
    Case("busybox-static", "httpd and wget, statically linked", "busybox",
         [Server("exec busybox httpd -f -v -p 8080 -h @www@", tcp=8080)],
         [Call("busybox wget -q -O - http://@host@:8080/index.html",
               out=PAGE),
          Call("busybox wget -q -O big http://@host@:8080/big && "
               "cmp big @www@/big && echo same", out="same\n")],
         limits=NO_LOADER),
]
