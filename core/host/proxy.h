/* SPDX-License-Identifier: BSD-3-Clause
 * proxy.h - a proxy on loopback, for programs that nothing else can carry
 *
 * SOCKS5 and HTTP (CONNECT, and absolute targets) on one port of 127.0.0.1,
 * with a password that only the environment of the command tells. Names are
 * the node's; what is not the tailnet's goes to the host's network.
 */
#ifndef CORE_HOST_PROXY_H
#define CORE_HOST_PROXY_H

#include <stddef.h>

struct ts_host;

/* 0, or -errno. where: "user:password@127.0.0.1:port". */
int ts_proxy_open(struct ts_host *host, char *where, size_t cap);
void ts_proxy_close(struct ts_host *host);

#endif
