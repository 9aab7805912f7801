# SPDX-License-Identifier: BSD-3-Clause
"""OpenSSH and what runs over it."""
from case import PAGE, Call, Case, Server

TITLE = "Shells and file transfer"
KEYS = """
ssh-keygen -q -t ed25519 -N '' -f host && ssh-keygen -q -t ed25519 -N '' -f user
cp user.pub authorized && chmod 600 authorized && chmod 755 . && %s""" % (
    "git init -q --bare www/repo.git")
SSHD_CONF = """
Port 7022
HostKey @dir@/host
AuthorizedKeysFile @dir@/authorized
StrictModes no
UsePAM no
PidFile none
LogLevel VERBOSE
AcceptEnv TAG
PermitUserEnvironment yes
Subsystem sftp internal-sftp
"""
SSH_CONF = """
Host *
Port 7022
User @user@
IdentityFile @dir@/user
StrictHostKeyChecking no
UserKnownHostsFile /dev/null
LogLevel ERROR
ConnectTimeout 20
SendEnv TAG
"""
FILES = {"sshd.conf": SSHD_CONF, "ssh.conf": SSH_CONF,
         "req": "GET / HTTP/1.0\r\n\r\n"}
SSHD = Server("exec /usr/sbin/sshd -D -e -f @dir@/sshd.conf", tcp=7022)
SSH = "ssh -F @dir@/ssh.conf"
WEB = Server("exec /usr/bin/python3 -m http.server 8080 --bind 127.0.0.1 "
             "--directory @www@", name="web", tcp=8080, joins=False)
# A master connection in the background, and its end.
MASTER = SSH + " -NM -S @dir@/m -o ExitOnForwardFailure=yes "
# Of the master only: nobody listens at port 1.
VIA = SSH + " -S @dir@/m -p 1 @host@ "
UP = (" & for i in $(seq 200); do [ -S @dir@/m ] && break; sleep 0.1; done; "
      "sleep 0.3; ")
DOWN = "; " + SSH + " -qS @dir@/m -O exit @host@; wait"
SAME = "cmp %s @www@/big && echo same"


def ssh(name, does, calls, **more):
    more.setdefault("programs", "sshd, ssh")
    more.setdefault("servers", [SSHD])
    return Case(name, does, calls=calls, files=FILES, prepare=KEYS, root=True,
                **more)


CASES = [
    ssh("ssh", "commands, 4 MiB through a session, exit status", [
        Call(SSH + " @host@ 'set -- $SSH_CONNECTION; echo $1 $3 $4'",
             out="@client@ @server@ 7022\n"),
        Call(SSH + " @host@ cat <@www@/big >copy && " + SAME % "copy",
             out="same\n"),
        Call(SSH + " @host@ exit 7", code=7),
        Call("script -qec '" + SSH + " -tt @host@ tty' /dev/null",
             has=("/dev/pts/",))]),
    ssh("scp", "scp and sftp, both ways", [
        Call("rm -f down && scp -q -F ssh.conf @host@:@www@/big down && "
             + SAME % "down", out="same\n"),
        Call("scp -q -F ssh.conf @www@/big @host@:@dir@/up && "
             + SAME % "up", out="same\n"),
        Call("echo 'get @www@/big got' | sftp -q -F ssh.conf -b - @host@ && "
             + SAME % "got", has=("same",))]),
    ssh("ssh-forwarding", "local, remote and dynamic port forwarding", [
        Call(MASTER + "-L 9001:127.0.0.1:8080 @host@" + UP + "curl -sS -m 20 "
             "http://127.0.0.1:9001/" + DOWN, out=PAGE),
        Call(MASTER + "-D 9002 @host@" + UP + "curl -sS -m 20 -x "
             "socks5h://127.0.0.1:9002 http://127.0.0.1:8080/" + DOWN,
             out=PAGE),
        # Back: the server reaches a web server beside the caller.
        Call(SSH + " -o ExitOnForwardFailure=yes -R 127.0.0.1:9003:"
             "127.0.0.1:8080 @host@ curl -sS -m 20 http://127.0.0.1:9003/",
             out=PAGE),
        Call(SSH + " -W 127.0.0.1:8080 @host@ <req", has=("<p>page</p>",))],
        servers=[WEB, SSHD], programs="sshd, ssh, curl"),
    ssh("ssh-controlmaster", "sessions over one connection", [
        Call(MASTER + "@host@" + UP + "for i in 1 2 3; do " + VIA
             + "'set -- $SSH_CONNECTION; echo $1 $2'; "
             "done >all" + DOWN + "; cut -d' ' -f1 all | uniq; "
             "sort -u all | wc -l", out="@client@\n1\n")]),
    ssh("ssh-background", "ssh -f: the connection goes on in a child", [
        Call(SSH + " -fNM -S @dir@/m @host@ && sleep 1 && " + VIA +
             "'set -- $SSH_CONNECTION; echo $1'" + DOWN, out="@client@\n")],
        limits={"in-process": "ssh -f goes on in a child, and the node and its "
                              "connections end with the parent that runs it"}),
    ssh("ssh-jump", "ProxyJump: a session through another node", [
        Call(SSH + " -o ProxyCommand='" + SSH + " -W %h:%p @host@' "
             "127.0.0.1 'set -- $SSH_CONNECTION; echo $1'",
             out="127.0.0.1\n")]),
    ssh("git-ssh", "clone and push", [
        Call("export GIT_SSH_COMMAND='" + SSH + "' && rm -rf a b && "
             "git clone -q ssh://@host@/@www@/repo.git a 2>/dev/null && cd a "
             "&& git config user.name a && git config user.email a@b && "
             "cp @www@/big . && echo x@host@ >f && git add . && "
             "git commit -qm one && git push -q origin HEAD && cd .. && "
             "git clone -q ssh://@host@/@www@/repo.git b && cmp a/big b/big && "
             "cmp a/f b/f && echo same", out="same\n")],
        programs="git, sshd, ssh"),
    ssh("rsync-ssh", "a tree, then its difference", [
        Call("rm -rf tree && rsync -a -e '" + SSH + "' @host@:@www@/ tree/ && "
             "echo x >>tree/index.html && rsync -ac --stats -e '" + SSH +
             "' @host@:@www@/ tree/ | grep 'files transferred' && "
             "diff -r tree @www@ && echo same",
             has=("transferred: 1$", "same"))],
        programs="rsync, sshd, ssh"),
    Case("rsync", "daemon: list, fetch, send", "rsync",
         [Server("exec rsync --daemon --no-detach --config=@dir@/rsyncd.conf "
                 "--port=7000 --log-file=@dir@/rsync.log", tcp=7000)],
         [Call("rsync --port=7000 @host@::", has=("^files",)),
          Call("rm -f copy && rsync --port=7000 @host@::files/big copy && "
               + SAME % "copy", out="same\n"),
          Call("rsync --port=7000 @www@/big @host@::files/sent && "
               + SAME % "@www@/sent", out="same\n")],
         files={"rsyncd.conf": """
use chroot = no
reverse lookup = no
[files]
path = @www@
read only = no
uid = @user@
gid = @user@
"""}, seen="rsync.log"),
]
