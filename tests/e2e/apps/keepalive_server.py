"""Answers each GET with its path, over connections that stay: PORT"""
import asyncio
import sys


async def serve(reader, writer):
    try:
        while request := await reader.readuntil(b"\r\n\r\n"):
            path = request.split()[1]
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s"
                         % (len(path), path))
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def main():
    server = await asyncio.start_server(serve, "0.0.0.0", int(sys.argv[1]),
                                        backlog=1024)
    await server.serve_forever()

asyncio.run(main())
