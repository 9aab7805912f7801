"""Requests over connections that are kept: HOST PORT CONNECTIONS REQUESTS"""
import asyncio
import http.client
import sys

host, port, count, requests = sys.argv[1], *map(int, sys.argv[2:5])


def ask(conn, number):
    conn.request("GET", f"/{number}")
    return conn.getresponse().read() == f"/{number}".encode()


async def main():
    """The blocking client in threads, as requests is used."""
    conns = [http.client.HTTPConnection(host, port, timeout=20)
             for _ in range(count)]
    good = 0
    for turn in range(requests):
        good += sum(await asyncio.gather(*(
            asyncio.to_thread(ask, conn, turn * count + i)
            for i, conn in enumerate(conns))))
    print(f"{good} answers over {len(conns)} connections")

asyncio.run(main())
