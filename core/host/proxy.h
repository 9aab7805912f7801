/* SPDX-License-Identifier: BSD-3-Clause
 * proxy.h - a proxy on loopback, for programs that nothing else can carry
 *
 * SOCKS5 (connections and datagrams) and HTTP (CONNECT, and absolute targets)
 * on one port of 127.0.0.1, with a password that only those know whom the owner
 * tells. Names are the node's; what is not the tailnet's goes to the host's
 * network. On request the LocalAPI is served on the same port, to holders of
 * another password.
 */
#ifndef CORE_HOST_PROXY_H
#define CORE_HOST_PROXY_H

#include "core/base/addr.h"

struct ts_member;

enum { TS_PROXY_SECRET_CAP = 2 * 16 + 1 };

struct ts_proxy_access {
	struct ts_addr at;
	char user[8], password[TS_PROXY_SECRET_CAP];
	/* Of the LocalAPI; "": it is not served. */
	char local_password[TS_PROXY_SECRET_CAP];
};

/* Opens it if it is not open, at where or (NULL) at any port of 127.0.0.1.
 * localapi: the path of the LocalAPI's socket, to
 * serve that as well (from now on), or NULL. 0, or -errno. */
int ts_proxy_open(struct ts_member *member, const struct ts_addr *where,
		  const char *localapi, struct ts_proxy_access *out);
void ts_proxy_close(struct ts_member *member);

#endif
