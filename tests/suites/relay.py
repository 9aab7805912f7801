"""relay.py CONTROL HOST4 HOST6: a peer that carries connections back.

Under tsrun, as a node of its own. "ADDRESS PORT" on the control socket is a
connection to come: it is made to that address and port first, and what is
answered is this node's address and a port at which the other half is awaited;
one where nobody listens when the target refuses. So a connect through here
ends as one without us, and the server's end stands by then. Ends of data and
resets are passed on, each after what was sent before.
"""
import asyncio
import fcntl
import socket
import struct
import sys
import termios

CONTROL, HOST4, HOST6 = sys.argv[1:4]
DIAL_S = 1  # a full queue: then it is dialled when the other half is there
AWAIT_S = 30
BUFFER_BYTES = 16384
UNSENT_LOOKS, LOOK_S = 100, 0.01
CLOSE_BY_RESET = struct.pack("ii", 1, 0)


def has_unsent(sock):
    unsent = fcntl.ioctl(sock, termios.TIOCOUTQ, bytes(4))
    return struct.unpack("i", unsent)[0] > 0


async def reset(sock):
    try:
        for _ in range(UNSENT_LOOKS):  # a reset discards it
            if not has_unsent(sock):
                break
            await asyncio.sleep(LOOK_S)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, CLOSE_BY_RESET)
    finally:
        sock.close()


async def carry(source, target):
    loop = asyncio.get_running_loop()
    while data := await loop.sock_recv(source, 65536):
        await loop.sock_sendall(target, data)
    target.shutdown(socket.SHUT_WR)


async def carry_both(near, far):
    ways = [asyncio.create_task(carry(near, far)),
            asyncio.create_task(carry(far, near))]
    try:
        await asyncio.gather(*ways)
        near.close()
        far.close()
    except OSError:
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)
        await asyncio.gather(reset(near), reset(far), return_exceptions=True)


def stream(family):
    """A socket that keeps little: a sender is to feel a slow reader."""
    sock = socket.socket(family)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER_BYTES)
    return sock


async def dial(target):
    host, port = target
    sock = stream(socket.AF_INET6 if ":" in host else socket.AF_INET)
    sock.setblocking(False)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        await asyncio.get_running_loop().sock_connect(sock, (host, port))
    except BaseException:
        sock.close()
        raise
    return sock


def new_socket():
    sock = stream(socket.AF_INET6)
    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    sock.bind(("::", 0))
    return sock


async def serve_one(listener, target, far):
    accept = asyncio.get_running_loop().sock_accept(listener)
    try:
        with listener:
            near, _ = await asyncio.wait_for(accept, AWAIT_S)
    except TimeoutError:
        if far:
            await reset(far)
        return
    near.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        far = far or await dial(target)
    except OSError:
        await reset(near)
        return
    await carry_both(near, far)


TASKS = set()


async def port_for(target):
    """Where the connection to come is awaited, if target takes it."""
    far = None
    try:
        far = await asyncio.wait_for(dial(target), DIAL_S)
    except TimeoutError:
        pass
    except OSError:
        with new_socket() as nobody:
            return nobody.getsockname()[1]
    listener = new_socket()
    listener.listen(1)
    listener.setblocking(False)
    task = asyncio.create_task(serve_one(listener, target, far))
    TASKS.add(task)
    task.add_done_callback(TASKS.discard)
    return listener.getsockname()[1]


async def on_control(reader, writer):
    host, port = (await reader.readline()).split()
    own = HOST6 if b":" in host else HOST4
    answer = await port_for((host.decode(), int(port)))
    writer.write(f"{own} {answer}\n".encode())
    await writer.drain()
    writer.close()


async def main():
    async with await asyncio.start_unix_server(on_control, CONTROL):
        await asyncio.Event().wait()

asyncio.run(main())
