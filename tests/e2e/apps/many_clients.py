"""N connections at once to an echo server: many_clients.py HOST PORT N"""
import asyncio
import sys


async def client(host, port, number, together):
    reader, writer = await asyncio.open_connection(host, port)
    await together.wait()
    message = f"hello from {number}\n".encode() * 20
    writer.write(message)
    writer.write_eof()
    answer = await reader.read()
    writer.close()
    return answer == message


async def main():
    host, port, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    together = asyncio.Event()
    tasks = [asyncio.create_task(client(host, port, i, together))
             for i in range(count)]
    await asyncio.sleep(0)
    together.set()
    results = await asyncio.gather(*tasks)
    print(sum(results), "of", count)

asyncio.run(main())
