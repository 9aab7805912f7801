"""Listeners whose queue is smaller than the crowd."""


def test_a_burst_at_a_small_backlog(run, call):
    """The kernel answers a full queue's SYNs with cookies, and forgets those
    whose ACK finds no room: such a connection is made again."""
    run("server", "python3", "-m", "http.server", "8080"
        ).wait_running().wait_listening(8080)
    client = call("client", "python3", "-c", """
import selectors, socket
waiting = selectors.DefaultSelector()
for _ in range(50):
    s = socket.socket()
    s.setblocking(False)
    s.connect_ex(('100.64.0.1', 8080))
    waiting.register(s, selectors.EVENT_WRITE, b'')
good = 0
while waiting.get_map():
    for key, event in waiting.select():
        if event & selectors.EVENT_WRITE:
            key.fileobj.send(b'GET /lab HTTP/1.0\\r\\n\\r\\n')
            waiting.modify(key.fileobj, selectors.EVENT_READ, b'')
            continue
        data = key.fileobj.recv(65536)
        waiting.modify(key.fileobj, selectors.EVENT_READ, key.data + data)
        if not data:
            good += b'404 File not found' in key.data
            waiting.unregister(key.fileobj)
print(good)
""", timeout=60)
    assert client.out == "50\n", client.err
