/* SPDX-License-Identifier: BSD-3-Clause
 * proxy_internal.h - what the proxy's files ask of each other
 *
 *   proxy_server   clients: from their first byte to the relay
 *   proxy_resolve  the name that a client wants, as addresses
 *   proxy_call     a connection to such an address, or to the LocalAPI
 *   proxy_datagram datagrams of one client
 */
#ifndef CORE_HOST_PROXY_INTERNAL_H
#define CORE_HOST_PROXY_INTERNAL_H

#include "core/host/host_internal.h"
#include "core/host/proxy.h"
#include "core/host/proxy_request.h"

enum { PROXY_LOCALAPI_PATH_CAP = 108 };

struct proxy_datagrams; /* proxy_datagram.c */

struct ts_proxy {
	struct ts_host *host;
	struct ts_member *member; /* whose it is */
	int fd;
	struct ts_watch *watch;
	struct ts_link clients;
	size_t client_count, association_count;
	struct ts_proxy_access access;
	char localapi[PROXY_LOCALAPI_PATH_CAP];
};

/* A name, or an address as text, on its way to an address. */
struct proxy_lookup {
	struct ts_host *host;
	const char *name;
	/* ip is known (err 0), or there is none. Once, perhaps at once. */
	void (*done)(void *ctx, int err, const struct ts_ip *ip);
	void *ctx;
	bool asked_v6, is_asking;
	struct ts_timer *retry; /* until the netmap is there */
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
	struct proxy_lookup lookup;
	int call_fd;
	struct ts_watch *call_watch;
	struct proxy_datagrams *datagrams; /* in place of a call */
};

/* name, done and ctx stay as they are until the end of it. */
void ts_proxy_resolve(struct proxy_lookup *lookup);
/* May be repeated; also of one that was never asked. */
void ts_proxy_resolve_cancel(struct proxy_lookup *lookup);

/* Datagrams of a client, who sends from from (an address of it, or zeros; its
 * port, or 0). They end with it. 0, or -errno. */
int ts_proxy_datagrams_open(struct proxy_client *client,
			    const struct ts_addr *from, struct ts_addr *at);
void ts_proxy_datagrams_close(struct proxy_datagrams *d); /* NULL is fine */

/* A non-blocking socket that is being connected, or -errno. */
int ts_proxy_call(struct ts_member *member, const struct ts_addr *to);
/* One that the caller is to connect at once: to *via. */
int ts_proxy_prepare_call(struct ts_member *member, const struct ts_addr *to,
			  struct ts_addr *via);
int ts_proxy_call_localapi(const struct ts_proxy *proxy);
/* It is writable: 0 or -errno. */
int ts_proxy_call_result(const struct ts_host *host, int fd);

#endif
