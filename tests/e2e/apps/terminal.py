"""Run a program on a terminal, have its shell calculate, print what it shows"""
import fcntl
import os
import pty
import select
import struct
import sys
import termios
import time

pid, fd = pty.fork()
if pid == 0:
    fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    os.environ["TERM"] = "xterm"
    os.execvp(sys.argv[1], sys.argv[1:])
shown, end, is_asked = b"", time.monotonic() + 30, False
while b"answer-42" not in shown and time.monotonic() < end:
    if select.select([fd], [], [], 0.5)[0]:
        try:
            shown += os.read(fd, 4096)
        except OSError:
            break
    if not is_asked and b"$" in shown or b"#" in shown and not is_asked:
        os.write(fd, b"echo answer-$((40+2))\n")
        is_asked = True
print(shown.decode(errors="replace"))
os.kill(pid, 9)
