/* SPDX-License-Identifier: BSD-3-Clause
 * node_dns.c - whose name is it, and who asks for it
 * Source: ipn/ipnlocal/node_backend.go (dnsConfigForNetmap,
 * exitNodeCanProxyDNS), ipn/ipnlocal/peerapi.go
 *
 * Names and routes are made anew when what they come from has changed: the
 * DNS configuration, our own node, the prefs, the exit node.
 */
#include "core/node/node_dns.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/node/node_internal.h"

enum { PEER_DOH_MIN_CAP = 26 }; /* capability version */

/* -- names ---------------------------------------------------------------- */

enum ts_dns_answer ts_node_lookup(const struct ts_node *node, const char *name,
				  bool want_v4, bool want_v6,
				  struct ts_dns_result *out)
{
	return ts_magic_dns_lookup(node->dns, name, want_v4, want_v6, out);
}

const char *ts_node_reverse(const struct ts_node *node, const struct ts_ip *ip)
{
	return ts_magic_dns_reverse(node->dns, ip);
}

int ts_node_dns_answer(const struct ts_node *node, const uint8_t *query,
		       size_t len, bool udp, uint8_t *out, size_t out_cap)
{
	return ts_magic_dns_answer(node->dns, query, len, udp, out, out_cap);
}

bool ts_node_has_other_names(const struct ts_node *node)
{
	return ts_magic_dns_has_other_names(node->dns);
}

const char *ts_node_search_domain(const struct ts_node *node, size_t i)
{
	return ts_magic_dns_search_domain(node->dns, i);
}

/* -- routes --------------------------------------------------------------- */

const struct ts_dns_routes *ts_node_dns_routes(const struct ts_node *node)
{
	return node->dns_routes.list;
}

unsigned ts_node_dns_round(const struct ts_node *node)
{
	return node->dns_routes.round;
}

static bool is_same_text(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool is_same_json(const json_t *a, const json_t *b)
{
	return a == b || (a && b && json_equal(a, b));
}

/* What the routes were made of is remembered, as the netmap tells us of our own
 * node often and of another DNS configuration seldom. */
void node_dns_update_routes(struct ts_node *node)
{
	struct node_dns *dns = &node->dns_routes;
	const struct ts_netmap *map = ts_node_netmap(node);
	/* A resolver that nobody can reach any more must not take all names
	 * with it. */
	struct ts_dns_routes_input in = {
		.config = node->is_open ? map->dns : NULL,
		.accepts = node->is_open && node->prefs.corp_dns,
		.has_exit_node = dns->has_exit_node,
		.exit_node_doh = dns->exit_node_doh,
		.exit_node_resolvers = dns->exit_node_resolvers,
	};
	json_t *raw = in.config ? in.config->raw : NULL;
	struct ts_dns_routes *fresh;

	if (dns->list && dns->accepts == in.accepts &&
	    dns->had_exit_node == in.has_exit_node &&
	    is_same_text(dns->exit_node_doh, dns->made_with_doh) &&
	    is_same_json(dns->made_with_resolvers, dns->exit_node_resolvers) &&
	    is_same_json(dns->made_of, raw))
		return;
	fresh = ts_dns_routes_new(&in);
	if (!fresh) {
		log_error("node-%s: the tailnet's resolvers are not asked: out "
			  "of memory", node->prefs.hostname);
		return;
	}
	ts_dns_routes_free(dns->list);
	json_decref(dns->made_of);
	json_decref(dns->made_with_resolvers);
	free(dns->made_with_doh);
	dns->list = fresh;
	dns->made_of = json_incref(raw);
	dns->made_with_resolvers = json_incref(dns->exit_node_resolvers);
	dns->made_with_doh = dns->exit_node_doh ? strdup(dns->exit_node_doh)
						: NULL;
	dns->accepts = in.accepts;
	dns->had_exit_node = in.has_exit_node;
	dns->round++;
}

void node_dns_update(struct ts_node *node)
{
	ts_magic_dns_accept(node->dns, node->prefs.corp_dns);
	if (ts_magic_dns_set_config(node->dns, ts_node_netmap(node)))
		log_error("node-%s: names are incomplete: out of memory",
			  node->prefs.hostname);
	node_dns_update_routes(node);
}

void node_dns_deinit(struct ts_node *node)
{
	struct node_dns *dns = &node->dns_routes;

	ts_dns_routes_free(dns->list);
	json_decref(dns->made_of);
	json_decref(dns->made_with_resolvers);
	json_decref(dns->exit_node_resolvers);
	free(dns->made_with_doh);
	free(dns->exit_node_doh);
}

/* -- the exit node -------------------------------------------------------- */

bool ts_node_peer_doh_url(const struct ts_node *node,
			  const struct ts_peer *peer,
			  char out[static TS_DOH_URL_CAP])
{
	char text[TS_ADDR_TEXT_CAP];

	if (peer->cap < PEER_DOH_MIN_CAP && !peer->peerapi_dns_proxy)
		return false;
	for (int v6 = 0; v6 <= 1; v6++) {
		struct ts_ip own = ts_node_ip(node, v6);
		struct ts_addr at = {
			.ip = ts_peer_ip(peer, v6),
			.port = v6 ? peer->peerapi6_port : peer->peerapi4_port,
		};

		if (ts_ip_is_unspecified(&own) ||
		    ts_ip_is_unspecified(&at.ip) || at.port == 0)
			continue;
		snprintf(out, TS_DOH_URL_CAP, "http://%s/dns-query",
			 ts_addr_format(&at, text));
		return true;
	}
	return false;
}

void node_dns_use_exit_node(struct ts_node *node, bool is_wanted,
			    const struct ts_peer *peer)
{
	struct node_dns *dns = &node->dns_routes;
	char url[TS_DOH_URL_CAP];
	unsigned before = dns->round;

	free(dns->exit_node_doh);
	dns->exit_node_doh = NULL;
	json_decref(dns->exit_node_resolvers);
	dns->exit_node_resolvers = peer ? json_incref(peer->exit_dns) : NULL;
	dns->has_exit_node = is_wanted;
	if (peer && ts_node_peer_doh_url(node, peer, url))
		dns->exit_node_doh = strdup(url);
	node_dns_update_routes(node);
	if (dns->round != before)
		node->io.netmap_changed(node->io_ctx, TS_CHANGED_DNS);
}

/* -- who asks ------------------------------------------------------------- */

void ts_node_set_dns_host(struct ts_node *node,
			  const struct ts_node_dns_host *ops, void *ctx)
{
	node->dns_routes.host = ops;
	node->dns_routes.host_ctx = ctx;
}

const struct ts_node_dns_host *ts_node_dns_host(const struct ts_node *node,
						void **ctx)
{
	*ctx = node->dns_routes.host_ctx;
	return node->dns_routes.host;
}
