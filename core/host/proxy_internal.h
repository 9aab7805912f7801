/* SPDX-License-Identifier: BSD-3-Clause
 * proxy_internal.h - what the proxy's files ask of each other
 *
 *   proxy_server   clients: from their first byte to the relay
 *   proxy_resolve  the name that a client wants, as addresses
 *   proxy_call     a connection to such an address
 */
#ifndef CORE_HOST_PROXY_INTERNAL_H
#define CORE_HOST_PROXY_INTERNAL_H

#include "core/host/host_internal.h"
#include "core/host/proxy_request.h"

struct ts_proxy {
	struct ts_host *host;
	int fd;
	struct ts_watch *watch;
	struct ts_link clients;
	size_t client_count;
	char password[2 * 16 + 1];
};

struct proxy_client {
	struct ts_link link;
	struct ts_proxy *proxy;
	struct ts_timer *timer; /* its time limit */
	struct ts_watch *watch;
	int fd;
	struct ts_proxy_parser parser;
	uint8_t in[PROXY_INPUT_MAX];
	size_t in_len;
	/* the call */
	bool asked_v6, is_asking;
	struct ts_timer *retry; /* until the netmap is there */
	int call_fd;
	struct ts_watch *call_watch;
};

/* ip is known (err 0), or there is none. Once. */
void ts_proxy_resolved(struct proxy_client *client, int err,
		       const struct ts_ip *ip);
void ts_proxy_resolve(struct proxy_client *client);
void ts_proxy_resolve_cancel(struct proxy_client *client);

/* A non-blocking socket that is being connected, or -errno. */
int ts_proxy_call(struct ts_host *host, const struct ts_addr *to);
/* It is writable: 0 or -errno. */
int ts_proxy_call_result(const struct ts_host *host, int fd);

#endif
