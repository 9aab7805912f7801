/* SPDX-License-Identifier: BSD-3-Clause
 * dns_routes.h - who is asked for a name that the netmap does not have
 *
 * Source: ipn/ipnlocal/node_backend.go (dnsConfigForNetmap),
 * net/dns/resolver/forwarder.go (resolversWithDelays)
 */
#ifndef CORE_DNS_DNS_ROUTES_H
#define CORE_DNS_DNS_ROUTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/addr.h"
#include "core/dns/public_dns.h"
#include "core/model/netmap.h"

enum ts_dns_upstream_kind {
	TS_DNS_PLAIN,	  /* UDP, and TCP */
	TS_DNS_HTTPS,	  /* DoH */
	TS_DNS_PEER_HTTP, /* DoH without TLS: a peer's, inside the tunnel */
	TS_DNS_UNKNOWN,	  /* tls://, or something that is not invented yet */
};

enum { TS_DNS_UPSTREAMS_MAX = 12 };

struct ts_dns_upstream {
	enum ts_dns_upstream_kind kind;
	struct ts_addr addr; /* PLAIN, PEER_HTTP */
	unsigned scope;	     /* of a link-local address; else 0 */
	char *text; /* as the tailnet says it: an address or a URL */
	/* HTTPS: where the server is; none: its name has to be looked up */
	struct ts_ip ips[TS_DOH_IPS_MAX];
	size_t ip_count;
	uint32_t delay_ms; /* the others have this start */
};

/* Resolvers of the same names, in the order of their turns. Counted, as queries
 * outlive a configuration. */
struct ts_dns_resolvers {
	unsigned refs;
	bool in_turn; /* one after the other; else all race */
	size_t count;
	struct ts_dns_upstream list[TS_DNS_UPSTREAMS_MAX];
};
struct ts_dns_resolvers *ts_dns_resolvers_new(void); /* empty */
struct ts_dns_resolvers *ts_dns_resolvers_get(struct ts_dns_resolvers *r);
void ts_dns_resolvers_put(struct ts_dns_resolvers *r); /* NULL is fine */
/* By UDP and TCP; 0, -ENOSPC, -ENOMEM. */
int ts_dns_resolvers_add(struct ts_dns_resolvers *r,
			 const struct ts_addr *addr, unsigned scope);

struct ts_dns_routes_input {
	const struct ts_dns_config *config; /* NULL: none */
	bool accepts; /* CorpDNS: the tailnet's resolvers are wanted */
	/* An exit node is used; its DNS over HTTP, or NULL: it has none. */
	bool has_exit_node;
	const char *exit_node_doh;
	/* The resolvers of one that only speaks WireGuard: a list, or NULL. */
	const json_t *exit_node_resolvers;
};
struct ts_dns_routes;
/* NULL: out of memory. What makes no sense is left out. */
struct ts_dns_routes *ts_dns_routes_new(const struct ts_dns_routes_input *in);
void ts_dns_routes_free(struct ts_dns_routes *routes); /* NULL is fine */

/* A name is text without trailing dot, or (wire) the beginning of a question,
 * in any case. The set of the longest suffix; the default for the rest, but for
 * names of one label, which are the host's own; NULL: the system's servers. */
struct ts_dns_resolvers *ts_dns_routes_find(const struct ts_dns_routes *routes,
					    const uint8_t *wire, size_t len);
/* The same for a program that calls getaddrinfo(): the default is not for
 * names that no name server knows (.local). */
struct ts_dns_resolvers *
ts_dns_routes_find_text(const struct ts_dns_routes *routes, const char *name);
/* Found for any name, and not for its suffix? */
bool ts_dns_routes_are_for_all(const struct ts_dns_routes *routes,
			       const struct ts_dns_resolvers *found);
bool ts_dns_routes_are_empty(const struct ts_dns_routes *routes);

#endif
