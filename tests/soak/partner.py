"""partner.py: the far end of actions.py: echo, sink, and calls back."""
import asyncio

ECHO, SINK, CALL_BACK = 7000, 7001, 7002


async def echo(reader, writer):
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    writer.close()


async def sink(reader, writer):
    try:
        while await reader.read(65536):
            pass
    except OSError:
        pass
    writer.close()


async def call_back(reader, writer):
    """A line with a port: connect there, at the address that asks."""
    try:
        port = int(await reader.readline())
        host = writer.get_extra_info("peername")[0]
        _, back = await asyncio.open_connection(host, port)
        back.write(b"you asked\n")
        await back.drain()
        back.close()
    except (OSError, ValueError):
        pass
    writer.close()


class EchoDatagrams(asyncio.DatagramProtocol):
    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, addr):
        self.transport.sendto(data, addr)


async def main():
    await asyncio.get_running_loop().create_datagram_endpoint(
        EchoDatagrams, local_addr=("0.0.0.0", ECHO))
    for port, serve in ((ECHO, echo), (SINK, sink), (CALL_BACK, call_back)):
        await asyncio.start_server(serve, "0.0.0.0", port, backlog=1000)
    await asyncio.Event().wait()

asyncio.run(main())
