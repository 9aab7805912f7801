/* SPDX-License-Identifier: BSD-3-Clause
 * exit_node.c - the node through which everything goes that is nobody's
 *
 * The user names it by address, name or stable ID, or lets us choose. While it
 * is wanted and not there (the netmap does not have it, it offers no default
 * route, nobody has been chosen yet) what would have gone through it is
 * stopped: on the network of this machine it would show what the user wants to
 * hide. It is never in the route table, for it loses against every route there,
 * and nothing of the tailnet's own ranges goes through it, but to the resolvers
 * of one that only speaks WireGuard: its provider has them there.
 * Source: ipn/ipnlocal/local.go (resolveExitNode*)
 */
#include "core/node/exit_node.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/log.h"
#include "core/crypto/secret.h"
#include "core/model/json_fields.h"
#include "core/node/node_internal.h"

static struct ts_peer *find_by_stable_id(const struct ts_node *node,
					 const char *id)
{
	const struct ts_netmap *map = ts_node_netmap(node);
	struct ts_peer *peer =
		ts_netmap_peer_by_id(map, node->exit.peer_id);
	size_t pos = 0;

	if (peer && peer->stable_id && strcmp(peer->stable_id, id) == 0)
		return peer;
	while ((peer = ts_netmap_next_peer(map, &pos)))
		if (peer->stable_id && strcmp(peer->stable_id, id) == 0)
			return peer;
	return NULL;
}

static struct ts_peer *find_by_name(const struct ts_node *node,
				    const char *name)
{
	const struct ts_netmap *map = ts_node_netmap(node);
	struct ts_dns_result found;

	if (ts_magic_dns_lookup(node->dns, name, true, true, &found) ==
		    TS_DNS_FOUND &&
	    found.count > 0)
		return ts_netmap_peer_by_ip(map, &found.addrs[0]);
	return find_by_stable_id(node, name);
}

/* What was asked for is from now on this peer, whatever becomes of its name and
 * its address. */
static struct ts_peer *settle(struct ts_node *node, struct ts_peer *peer)
{
	struct ts_route_prefs *prefs = &node->prefs.routes;
	char *id = peer && peer->stable_id ? strdup(peer->stable_id) : NULL;

	if (!id)
		return NULL;
	free(prefs->exit_node_id);
	free(prefs->exit_node_name);
	prefs->exit_node_id = id;
	prefs->exit_node_name = NULL;
	prefs->exit_node_ip = TS_IP_ZERO;
	return peer;
}

static uint32_t random_below(uint32_t limit)
{
	return ts_random_below(limit);
}

struct node_exit_view node_exit_view(const struct ts_node *node)
{
	return (struct node_exit_view){
		.map = ts_node_netmap(node),
		.net = &node->net_info,
		.before = node->exit.suggested,
		.random_below = random_below,
	};
}

static struct ts_peer *choose(struct ts_node *node)
{
	const struct node_exit_view view = node_exit_view(node);
	const struct ts_peer *peer = NULL;
	char *id;

	if (node_exit_suggest(&view, &peer) || !peer || !peer->stable_id)
		return NULL;
	id = strdup(peer->stable_id);
	if (!id)
		return NULL;
	free(node->exit.suggested);
	node->exit.suggested = id;
	return ts_netmap_peer_by_id(view.map, peer->id);
}

static struct ts_peer *resolve(struct ts_node *node)
{
	const struct ts_route_prefs *prefs = &node->prefs.routes;
	struct ts_peer *peer;

	if (prefs->auto_exit_node) {
		peer = settle(node, choose(node));
		if (peer || !prefs->exit_node_id)
			return peer;
	}
	if (!ts_ip_is_zero(&prefs->exit_node_ip))
		return settle(node,
			      ts_netmap_peer_by_ip(ts_node_netmap(node),
						   &prefs->exit_node_ip));
	if (prefs->exit_node_name)
		return settle(node, find_by_name(node, prefs->exit_node_name));
	return prefs->exit_node_id ?
		       find_by_stable_id(node, prefs->exit_node_id) :
		       NULL;
}

static bool offers(const struct ts_peer *peer, bool v6)
{
	for (size_t i = 0; i < peer->allowed_ip_count; i++)
		if (ts_prefix_is_default(&peer->allowed_ips[i]) &&
		    ts_ip_is_v4(&peer->allowed_ips[i].ip) == !v6)
			return true;
	return false;
}

static void read_resolvers(const struct ts_peer *peer, struct node_exit *out)
{
	const json_t *entry;
	size_t i;

	json_array_foreach (peer->exit_dns, i, entry) {
		const char *text = ts_json_text(entry, "Addr");
		struct ts_addr at = {.port = 0};

		if (out->dns_count < NODE_EXIT_DNS_MAX && text &&
		    (ts_ip_parse(text, &at.ip) == 0 ||
		     ts_addr_parse(text, &at) == 0))
			out->dns[out->dns_count++] = at.ip;
	}
}

static bool is_resolver(const struct node_exit *e, const struct ts_ip *ip)
{
	for (size_t i = 0; i < e->dns_count; i++)
		if (ts_ip_equal(&e->dns[i], ip))
			return true;
	return false;
}

static void tell(const struct ts_node *node, const struct ts_peer *peer)
{
	const char *self = node->prefs.hostname;

	if (node->exit.peer_id)
		log_info("node-%s: everything goes through %s", self,
			 peer->name);
	else if (peer)
		log_warn("node-%s: %s is no exit node (or nobody has approved "
			 "it): nothing goes to the internet", self,
			 peer->name);
	else if (node->exit.is_wanted)
		log_warn("node-%s: there is no such exit node (yet): nothing "
			 "goes to the internet", self);
	else
		log_info("node-%s: no exit node any more", self);
}

static bool is_same(const struct node_exit *a, const struct node_exit *b)
{
	return a->is_wanted == b->is_wanted && a->peer_id == b->peer_id &&
	       a->has_v4 == b->has_v4 && a->has_v6 == b->has_v6 &&
	       a->dns_count == b->dns_count &&
	       memcmp(a->dns, b->dns, sizeof(a->dns)) == 0;
}

bool node_exit_update(struct ts_node *node)
{
	struct node_exit next = {
		.is_wanted = ts_route_prefs_want_exit(&node->prefs.routes)};
	const struct ts_peer *peer = NULL;

	if (next.is_wanted && ts_node_netmap(node)->self)
		peer = resolve(node);
	if (peer && node_peer_is_usable(node, peer)) {
		next.has_v4 = offers(peer, false);
		next.has_v6 = offers(peer, true);
	}
	if (next.has_v4 || next.has_v6) {
		next.peer_id = peer->id;
		read_resolvers(peer, &next);
	}
	next.suggested = node->exit.suggested;
	node_dns_use_exit_node(node, next.is_wanted,
			       next.peer_id ? peer : NULL);
	if (is_same(&next, &node->exit))
		return false;
	node->exit = next;
	/* Before the first netmap nobody can be there. */
	if (ts_node_netmap(node)->self)
		tell(node, peer);
	return true;
}

void node_exit_deinit(struct ts_node *node)
{
	free(node->exit.suggested);
	memset(&node->exit, 0, sizeof(node->exit));
}

bool node_exit_covers(const struct ts_node *node, const struct ts_ip *ip)
{
	return node->exit.is_wanted &&
	       (!ts_ip_is_tailscale(ip) || is_resolver(&node->exit, ip)) &&
	       !ts_ip_is_unspecified(ip) && !ts_ip_is_loopback(ip) &&
	       !ts_ip_is_multicast(ip) && !ts_ip_is_link_local(ip);
}

int64_t node_exit_for(const struct ts_node *node, const struct ts_ip *ip)
{
	const struct node_exit *e = &node->exit;

	if (!node_exit_covers(node, ip))
		return 0;
	return (ts_ip_is_v4(ip) ? e->has_v4 : e->has_v6) ? e->peer_id : 0;
}
