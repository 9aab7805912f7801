/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef BENCH_SOCKS_H
#define BENCH_SOCKS_H
/* The client's half of SOCKS5 (RFC 1928), without authentication and for IPv4
 * addresses: what tailscaled in userspace mode offers programs.
 */
#include <netinet/in.h>
#include <stdint.h>

enum { SOCKS_DATAGRAM_HEADER_LEN = 10 };

/* Asks the proxy at the other end of fd for a connection. 0, or -1. */
int socks_connect(int fd, const char *host, const char *port);

/* Asks for a relay of datagrams, which lives as long as fd, and where to send
 * them to. Each begins with header. 0, or -1.
 */
int socks_associate(int fd, const char *host, const char *port,
		    struct sockaddr_in *relay,
		    uint8_t header[static SOCKS_DATAGRAM_HEADER_LEN]);

#endif
