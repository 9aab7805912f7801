# SPDX-License-Identifier: BSD-3-Clause
"""Browsers, media, terminals and trees of processes."""
from case import PAGE, Call, Case, Server
from cases.languages import WIDE

TITLE = "Desktops, media and sessions"
CHROMIUM = ("chromium --headless --no-sandbox --disable-gpu --disable-quic "
            "--no-first-run --disable-background-networking "
            "--disable-component-update --disable-sync "
            "--user-data-dir=@dir@/profile ")
FFMPEG = "ffmpeg -hide_banner -nostdin -y "
SOURCE = "-re -f lavfi -i testsrc=size=160x120:rate=10 -t %d "

CASES = [
    Case("chromium", "headless: a page and its script, image and fetch",
         "chromium, python3", [WIDE],
         [Call(CHROMIUM + "--virtual-time-budget=8000 --timeout=20000 "
               "--dump-dom http://@host@:8080/page.html 2>/dev/null",
               has=("fetched: page, image: 1x1",), seconds=60)],
         files={"www/page.html": """<p id=p>not yet</p><script>
const image = new Image();
image.onload = () => fetch('/index.html').then(r => r.text()).then(t =>
  document.getElementById('p').textContent = 'fetched: ' +
    t.replace(/<[^>]*>/g, '').trim() + ', image: ' + image.width + 'x' +
    image.height);
image.src = '/dot.svg';
</script>
""", "www/dot.svg": "<svg xmlns='http://www.w3.org/2000/svg' width='1' "
                    "height='1'/>\n"}, seconds=150),
    Case("ffmpeg-http", "a stream by HTTP", "ffmpeg",
         [Server("while :; do " + FFMPEG + SOURCE % 60 + "-f mpegts -listen 1 "
                 "http://0.0.0.0:8080; done", tcp=8080)],
         [Call("for i in $(seq 20); do " + FFMPEG + "-i http://@host@:8080 -t 1 "
               "-f framecrc out.crc && break; sleep 0.3; done; "
               "grep -c '^0,' out.crc", has=("^[1-9]",))], seen=""),
    Case("ffmpeg-udp", "a stream by UDP, from the caller to the server",
         "ffmpeg",
         [Server(FFMPEG + "-i 'udp://0.0.0.0:7000?timeout=40000000' -t 1 "
                 "-f framecrc got.crc; echo ended; sleep 60", udp=7000)],
         [Call(FFMPEG + SOURCE % 6 + "-f mpegts "
               "'udp://@host@:7000?pkt_size=1128'; for i in $(seq 50); do "
               "grep -q '^0,' got.crc && break; sleep 0.1; done; "
               "grep -c '^0,' got.crc", has=("^[1-9]",), by=("name",))],
         seen=""),
    Case("tmux", "a session whose server is a daemon", "tmux, curl", [WIDE],
         [Call("rm -f t.out; tmux -S @dir@/tmux.sock -f /dev/null new-session -d "
               "'curl -sS -m 20 http://@host@:8080/ >t.out 2>&1; "
               "echo done >>t.out'; for i in $(seq 200); do grep -q done t.out "
               "&& break; sleep 0.1; done; cat t.out", out=PAGE + "done\n")]),
    Case("screen", "a detached session (without the set-group-ID bit)",
         "screen, curl", [WIDE],
         [Call("rm -f t.out; cp $(command -v screen) @dir@/screen; mkdir -p -m "
               "700 @dir@/s; SCREENDIR=@dir@/s @dir@/screen -c /dev/null -dm "
               "sh -c 'curl -sS -m 20 http://@host@:8080/ >t.out 2>&1; "
               "echo done >>t.out'; for i in $(seq 200); do grep -q done t.out "
               "&& break; sleep 0.1; done; cat t.out", out=PAGE + "done\n")]),
    Case("shell-tree", "10 sub-shells, 200 short-lived curls",
         "curl, python3", [WIDE],
         [Call("for i in $(seq 10); do (for j in $(seq 20); do curl -sS -m 30 "
               "http://@host@:8080/; done) & done | sort | uniq -c | "
               "sed 's/^ *//'; wait", out=f"200 {PAGE}", seconds=60)]),
    Case("shell-row", "50 curls, one after the other", "curl, python3", [WIDE],
         [Call("for i in $(seq 50); do curl -sS -m 30 http://@host@:8080/; done "
               "| uniq -c | sed 's/^ *//'", out=f"50 {PAGE}", seconds=80)],
         seconds=150),
]
