"""An asyncio echo server: echo_server.py PORT"""
import asyncio
import sys


async def echo(reader, writer):
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()


async def main():
    server = await asyncio.start_server(echo, None, int(sys.argv[1]),
                                        backlog=1024)
    print("listening", flush=True)
    await server.serve_forever()

asyncio.run(main())
