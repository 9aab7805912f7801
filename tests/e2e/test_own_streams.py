"""Two programs of one node, joined by their own address, where it matters that
there is something between them."""
import pytest

URGENT = """
import select, socket
listener = socket.create_server(('100.64.0.1', 7000))
client = socket.create_connection(('100.64.0.1', 7000))
server, _ = listener.accept()
seen = b''
for i in range(200):
    client.sendall(b'ab')
    client.send(b'!', socket.MSG_OOB)
    client.sendall(b'cd')
    poll = select.poll()
    poll.register(server, select.POLLPRI)
    assert poll.poll(10000), i
    assert server.recv(9, socket.MSG_OOB) == b'!', i
    while len(seen) < 4 * (i + 1):
        seen += server.recv(4)
assert seen == b'abcd' * 200, seen
server.send(b'xyz', socket.MSG_OOB)
assert client.recv(9) == b'xy'
assert select.select([], [], [client], 20)[2]  # it comes on its own
assert client.recv(9, socket.MSG_OOB) == b'z'
server.send(b'w')
assert client.recv(9) == b'w'
client.close()
assert server.recv(9) == b''
print('urgent')
"""

SMALL = """
import select, socket, sys
listener = socket.create_server(('100.64.0.1', 7000))
client = socket.socket()
small, large = ((listener, client), (client, listener))[sys.argv[1] == 'client']
small.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
large.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16384)
client.connect(('100.64.0.1', 7000))
server, _ = listener.accept()
reader, writer = ((server, client), (client, server))[sys.argv[1] == 'client']
writer.setblocking(False)
sent = 0
while select.select([], [writer], [], 0.3)[1]:
    sent += writer.send(b'x' * 4096)
writer.close()
got = 0
while data := reader.recv(65536):
    got += len(data)
print('small' if got == sent else 'lost', sent)
"""


def test_urgent_data(call):
    program = call("node", "python3", "-c", URGENT, timeout=30)
    assert program.out == "urgent\n", program.err


@pytest.mark.parametrize("end", ["listener", "client"])
def test_a_small_receive_buffer_holds_the_sender_back(call, end):
    program = call("node", "python3", "-c", SMALL, end, timeout=30)
    assert program.code == 0, program.err
    word, sent = program.out.split()
    assert word == "small" and int(sent) < 200_000
