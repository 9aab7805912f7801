/* SPDX-License-Identifier: BSD-3-Clause
 * socks.c - requests to a SOCKS5 proxy
 */
#include "socks.h"
#include "net.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

enum { VERSION = 5, CONNECT = 1, ASSOCIATE = 3, IPV4 = 1, REQUEST_LEN = 10 };

/* An address as it is in requests, answers and before datagrams. */
static int put_address(uint8_t at[static 7], const char *host,
		       const char *port)
{
	uint16_t number = htons((uint16_t)atoi(port));

	at[0] = IPV4;
	memcpy(at + 5, &number, 2);
	return inet_pton(AF_INET, host, at + 1) == 1 ? 0 : -1;
}

static int ask(int fd, uint8_t command, const char *host, const char *port,
	       uint8_t answer[static REQUEST_LEN])
{
	static const uint8_t greeting[] = {VERSION, 1, 0};
	uint8_t request[REQUEST_LEN] = {VERSION, command, 0};
	uint8_t method[2];

	if (put_address(request + 3, host, port) < 0 ||
	    write_all(fd, greeting, sizeof(greeting)) < 0 ||
	    read_all(fd, method, 2) < 0 || method[1] != 0 ||
	    write_all(fd, request, sizeof(request)) < 0 ||
	    read_all(fd, answer, REQUEST_LEN) < 0)
		return -1;
	return answer[1] == 0 && answer[3] == IPV4 ? 0 : -1;
}

int socks_connect(int fd, const char *host, const char *port)
{
	uint8_t answer[REQUEST_LEN];

	return ask(fd, CONNECT, host, port, answer);
}

int socks_associate(int fd, const char *host, const char *port,
		    struct sockaddr_in *relay,
		    uint8_t header[static SOCKS_DATAGRAM_HEADER_LEN])
{
	uint8_t answer[REQUEST_LEN];

	memset(header, 0, SOCKS_DATAGRAM_HEADER_LEN);
	if (ask(fd, ASSOCIATE, "0.0.0.0", "0", answer) < 0)
		return -1;
	relay->sin_family = AF_INET;
	memcpy(&relay->sin_addr, answer + 4, 4);
	memcpy(&relay->sin_port, answer + 8, 2);
	return put_address(header + 3, host, port);
}
