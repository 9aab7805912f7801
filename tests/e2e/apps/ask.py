"""Ask a line server N times, all at once: ask.py HOST PORT [N]

Every answer must begin with our own address, as our socket has it. Prints who
answered (the rest of each line) and how often.
"""
import collections
import socket
import sys

host, port = sys.argv[1], int(sys.argv[2])
count = int(sys.argv[3]) if len(sys.argv) > 3 else 1
calls = [socket.create_connection((host, port), timeout=20)
         for _ in range(count)]
answers = collections.Counter()
for number, s in enumerate(calls):
    s.sendall(f"{number}\n".encode())
for number, s in enumerate(calls):
    words = s.makefile().readline().split()
    own = s.getsockname()[0]
    assert words[:2] == [own.removeprefix("::ffff:"), str(number)], (own, words)
    answers[" ".join(words[2:])] += 1
    s.close()
print(*(f"{who or '-'}:{n}" for who, n in sorted(answers.items())))
