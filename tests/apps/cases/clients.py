# SPDX-License-Identifier: BSD-3-Clause
"""Programs that fetch files, and git."""
from case import PAGE, Call, Case, Server

TITLE = "Clients"
HTTP = "exec /usr/bin/python3 -m http.server 8080 --directory @www@"
WEB = Server(HTTP, tcp=8080)
BIG = "[ \"$(sha256sum <%s)\" = \"$(sha256sum <@www@/big)\" ]"

GIT_CONF = """
server.modules = ("mod_setenv", "mod_alias", "mod_cgi", "mod_accesslog")
server.document-root = "@www@"
server.port = 8080
server.upload-dirs = ("@dir@")
accesslog.filename = "@dir@/access.log"
accesslog.format = "%h %r %s"
server.errorlog = "@dir@/error.err"
server.breakagelog = "@dir@/cgi.err"
setenv.add-environment = ("GIT_PROJECT_ROOT" => "@www@",
                          "GIT_HTTP_EXPORT_ALL" => "1",
                          "HOME" => "@dir@", "REMOTE_USER" => "somebody")
alias.url = ("/git/" => "/usr/lib/git-core/git-http-backend/")
cgi.assign = ("git-http-backend" => "")
"""
MAKE_REPO = """
git config --global user.name a && git config --global user.email a@b.c
git config --global init.defaultBranch main
git config --global --add safe.directory '*'
git init -q work && cd work && cp ../www/big . && echo one >file &&
git add . && git commit -qm one && git clone -q --bare . ../www/repo.git &&
git -C ../www/repo.git config http.receivepack true &&
git -C ../www/repo.git update-server-info"""
PULL_AND_PUSH = """
export GIT_CONFIG_GLOBAL=@dir@/.gitconfig
rm -rf clone again && git clone -q %s clone && cd clone &&
""" + BIG % "big" + """ && echo more >>file && git commit -qam more &&
git push -q origin main && cd .. && git clone -q %s again &&
cmp clone/file again/file && tail -n 1 again/file"""

CASES = [
    Case("curl", "GET, range, upload, several requests on one connection",
         "curl, python3", [Server("exec /usr/bin/python3 @dir@/put.py",
                                  tcp=8080)],
         [Call("curl -sS -m 20 http://@host@:8080/", out=PAGE),
          Call("curl -sS -m 20 -r 3-6 http://@host@:8080/", out="page"),
          Call("curl -sS -m 20 -T @www@/big -H Expect: "
               "http://@host@:8080/up && " + BIG % "@www@/up"),
          Call("curl -sS -m 20 -o big http://@host@:8080/big && "
               + BIG % "big"),
          Call("curl -sS -m 20 http://@host@:8080/ http://@host@:8080/ "
               "-w '%{num_connects} %{remote_ip}\\n'",
               out=f"{PAGE}1 @server@\n{PAGE}0 @server@\n")],
         files={"put.py": """
import http.server, os
os.chdir("@www@")
class Handler(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_PUT(self):
        with open("." + self.path, "wb") as f:
            f.write(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(201)
        self.send_header("Content-Length", "0")
        self.end_headers()
    def do_GET(self):
        if "Range" not in self.headers:
            return super().do_GET()
        a, b = map(int, self.headers["Range"][6:].split("-"))
        with open("index.html", "rb") as f:
            part = f.read()[a:b + 1]
        self.send_response(206)
        self.send_header("Content-Length", str(len(part)))
        self.end_headers()
        self.wfile.write(part)
http.server.ThreadingHTTPServer(("", 8080), Handler).serve_forever()
"""}),
    Case("curl-ipv6", "by the server's IPv6 address", "curl, python3",
         [Server("exec /usr/bin/python3 -m http.server 8080 --bind :: "
                 "--directory @www@", tcp=8080)],
         [Call("curl -gsS -m 20 'http://[@host@]:8080/'", out=PAGE,
               by=("address6",)),
          Call("curl -6sS -m 20 http://@name:server@:8080/", out=PAGE,
               by=("name",))], loopback=False),
    Case("wget", "a page, a large file, a tree", "wget, python3", [WEB],
         [Call("wget -q -T 20 -t 1 -O - http://@host@:8080/", out=PAGE),
          Call("wget -q -T 20 -t 1 -O big http://@host@:8080/big && "
               + BIG % "big"),
          Call("rm -rf tree && wget -nv -T 20 -t 5 -r -nH -P tree "
               "http://@host@:8080/sub/ && cat tree/sub/a tree/sub/b",
               out="a\nb\n")],
         prepare="mkdir www/sub; echo a >www/sub/a; echo b >www/sub/b"),
    Case("git-http", "clone and push by smart HTTP", "git, lighttpd",
         [Server("exec lighttpd -D -f @dir@/git.conf", tcp=8080)],
         [Call(PULL_AND_PUSH % (("http://@host@:8080/git/repo.git",) * 2),
               out="more\n")],
         files={"git.conf": GIT_CONF}, prepare=MAKE_REPO, seen="access.log"),
    Case("git-daemon", "clone and push by git's own protocol", "git",
         [Server("export GIT_CONFIG_GLOBAL=@dir@/.gitconfig; exec git daemon "
                 "--verbose --export-all --reuseaddr --enable=receive-pack "
                 "--base-path=@www@ --port=7000", tcp=7000)],
         [Call(PULL_AND_PUSH % (("git://@host@:7000/repo.git",) * 2),
               out="more\n")], prepare=MAKE_REPO),
]
