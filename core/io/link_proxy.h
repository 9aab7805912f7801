/* SPDX-License-Identifier: BSD-3-Clause
 * link_proxy.h - HTTP proxies: which one, and the CONNECT exchange
 */
#ifndef CORE_IO_LINK_PROXY_H
#define CORE_IO_LINK_PROXY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TS_PROXY_HOST_CAP = 256, TS_PROXY_AUTH_CAP = 512 };

struct ts_proxy {
	char host[TS_PROXY_HOST_CAP]; /* name or IP literal, no brackets */
	uint16_t port;
	char userinfo[TS_PROXY_AUTH_CAP]; /* "user:password", decoded, or "" */
};

/* Which proxy the environment (env, as environ) names for host:port.
 * 1: *out, 0: none, -EINVAL: its value cannot be used (reason in err). */
int ts_proxy_choose(char **env, const char *host, uint16_t port, bool is_tls,
		    struct ts_proxy *out, char err[static 128]);
/* "CONNECT host:port HTTP/1.1...": heap, the caller wipes and frees. */
char *ts_proxy_connect_request(const struct ts_proxy *proxy, const char *host,
			       uint16_t port);
/* Head of the proxy's answer: its length when it lets us through, -EAGAIN, or
 * -EPROTO with the reason in err. */
int ts_proxy_read_answer(const void *data, size_t len, char err[static 128]);

#endif
