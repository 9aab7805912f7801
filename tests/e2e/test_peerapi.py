"""The PeerAPI's connections, whatever is asked."""
import pytest

from test_taildrop import Raw


@pytest.fixture
def pair(run):
    return tuple(run(n, "sleep", "600").wait_running() for n in ("from", "to"))


def read_answer(raw):
    status, length = raw.status(), 0
    while (line := raw.file.readline()) not in (b"\r\n", b""):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    return status, raw.file.read(length)


def test_requests_one_behind_the_other(lab, pair):
    """As large as they may be, and none waits for what is there already."""
    a, b = pair
    head = "GET / HTTP/1.1\r\nHost: peer\r\nContent-Length: %d\r\n\r\n"
    sizes = 60000, 65535, 0, 41000, 1, 65535, 39000, 65000
    raw = Raw(lab, a, b)
    raw.sock.settimeout(5)
    raw.send(b"".join((head % n).encode() + b"x" * n for n in sizes))
    answers = [read_answer(raw) for _ in sizes]
    assert {status for status, _ in answers} == {200}
    assert len({body for _, body in answers}) == 1
    raw.close()


def test_nothing_is_answered_behind_the_last(lab, pair):
    a, b = pair
    get = "GET / HTTP/1.1\nHost: peer\n%s\n"
    for text in (get % "Connection: close\n" + get % "",
                 "GET / HTTP/1.0\nHost: peer\n\n" + get % "",
                 "GET / HTTP/1.1\nHost : peer\n\n" + get % ""):
        raw = Raw(lab, a, b).send(text)
        assert raw.file.read().count(b"HTTP/1.1 ") == 1, text
        raw.close()
