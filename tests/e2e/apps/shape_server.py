"""Answers each line with the caller's address before it: shape_server.py PORT"""
import asyncio
import sys


async def answer(reader, writer):
    peer = writer.get_extra_info("peername")[0]
    try:
        while line := await reader.readline():
            writer.write(peer.encode() + b" " + line)
            await writer.drain()
    except ConnectionError:
        pass
    writer.close()


async def main():
    server = await asyncio.start_server(answer, "0.0.0.0", int(sys.argv[1]),
                                        backlog=4096)
    await server.serve_forever()

asyncio.run(main())
