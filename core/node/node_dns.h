/* SPDX-License-Identifier: BSD-3-Clause
 * node_dns.h - whose name is it, and who asks for it
 *
 * The node knows its own names (node.h: ts_node_lookup and its kin) and who is
 * to be asked for the others. Whoever does the asking lives a floor above
 * (core/host) and tells the node, for those who stand beside it.
 */
#ifndef CORE_NODE_NODE_DNS_H
#define CORE_NODE_NODE_DNS_H

#include "core/dns/dns_routes.h"
#include "core/node/node.h"

/* Good until the netmap or the prefs change. */
const struct ts_dns_routes *ts_node_dns_routes(const struct ts_node *node);
/* Another number when the routes are others. */
unsigned ts_node_dns_round(const struct ts_node *node);
/* As ts_magic_dns_has_other_names(). */
bool ts_node_has_other_names(const struct ts_node *node);
/* The tailnet's search domains, one by one; NULL: no more. */
const char *ts_node_search_domain(const struct ts_node *node, size_t i);
/* May that peer answer names for others, and where? false: it does not. */
bool ts_node_peer_doh_url(const struct ts_node *node,
			  const struct ts_peer *peer,
			  char out[static TS_DOH_URL_CAP]);

/* -- who asks ------------------------------------------------------------- */

enum { TS_DNS_SYSTEM_SERVERS_MAX = 4, TS_DNS_SYSTEM_SEARCH_MAX = 6 };
/* What the system's resolv.conf says. */
struct ts_dns_system {
	struct ts_ip servers[TS_DNS_SYSTEM_SERVERS_MAX];
	size_t server_count;
	char search[TS_DNS_SYSTEM_SEARCH_MAX][TS_DNS_NAME_CAP];
	size_t search_count;
};
/* answer is good for the call only; NULL and 0: there is none to give. */
typedef void (*ts_node_dns_fn)(void *ctx, const uint8_t *answer, size_t len);
struct ts_node_dns_host {
	/* fn is called once, perhaps before this returns. */
	void (*ask)(void *ctx, const uint8_t *query, size_t len,
		    ts_node_dns_fn fn, void *fn_ctx);
	/* fn of all that fn_ctx asked will not be called any more. */
	void (*cancel)(void *ctx, const void *fn_ctx);
	void (*read_system)(void *ctx, struct ts_dns_system *out);
};
/* ops NULL: not any more. */
void ts_node_set_dns_host(struct ts_node *node,
			  const struct ts_node_dns_host *ops, void *ctx);
/* NULL: nobody asks (yet). */
const struct ts_node_dns_host *ts_node_dns_host(const struct ts_node *node,
						void **ctx);

#endif
