"""relay.py CONTROL HOST4 HOST6: a peer that carries connections back.

Under tsrun, as a node of its own. "ADDRESS PORT" on the control socket opens a
listener on this node's addresses and names it; what is accepted there is
carried to that address and port, and closed as that one closes.
"""
import asyncio
import socket
import sys

CONTROL, HOST4, HOST6 = sys.argv[1:4]
PORTS = {}


async def carry(reader, writer):
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
    except OSError:
        writer.transport.abort()


async def carry_both(target, reader, writer):
    try:
        far_reader, far_writer = await asyncio.open_connection(*target)
    except OSError:
        writer.transport.abort()
        return
    await asyncio.gather(carry(reader, far_writer), carry(far_reader, writer))
    for end in (writer, far_writer):
        end.close()


async def port_for(target):
    if target not in PORTS:
        server = await asyncio.start_server(
            lambda r, w: carry_both(target, r, w),
            sock=socket.create_server(("::", 0), family=socket.AF_INET6,
                                      dualstack_ipv6=True, backlog=200))
        PORTS[target] = server.sockets[0].getsockname()[1]
    return PORTS[target]


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
