/* SPDX-License-Identifier: BSD-3-Clause
 * node_peers.c - what the node's tables hold of each peer
 *
 * A tailnet of 10,000 peers costs an index entry or two each; the data plane's
 * half of a peer (WireGuard, paths) is made when a packet goes to or comes
 * from it. A delta touches the tables for its own peers only: each peer notes
 * what was entered for it, so that a later version can take it out again.
 */
#include <stdlib.h>
#include <string.h>

#include "core/base/log.h"
#include "core/base/prefix_list.h"
#include "core/node/node_internal.h"

/* Leaving out whether we ourselves may speak at the moment. */
static bool is_trusted(const struct ts_peer *peer)
{
	return !peer->expired && !peer->is_locked_out &&
	       !ts_public_key_is_zero(&peer->key);
}

bool node_peer_is_usable(const struct ts_node *node,
			 const struct ts_peer *peer)
{
	return node->is_open && is_trusted(peer);
}

static struct node_peer *entry_of(struct ts_peer *peer)
{
	struct node_peer *np = peer->node_data;

	if (np)
		return np;
	np = calloc(1, sizeof(*np));
	if (np)
		np->peer = peer;
	peer->node_data = np;
	return np;
}

/* -- the data plane's half ------------------------------------------------ */
static struct ts_path_peer_config path_config(const struct ts_peer *peer)
{
	return (struct ts_path_peer_config){
		.node_key = peer->key,
		.disco_key = peer->disco_key,
		.home_derp = peer->home_derp,
		.endpoints = peer->endpoints,
		.endpoint_count = peer->endpoint_count,
		.is_wireguard_only = peer->is_wireguard_only,
		.may_relay = node_peer_may_relay(peer),
	};
}

struct node_peer *node_peer_get(struct ts_node *node, struct ts_peer *peer)
{
	struct ts_path_peer_config config = path_config(peer);
	struct node_peer *np;

	if (!node_peer_is_usable(node, peer))
		return NULL;
	np = entry_of(peer);
	if (!np || np->wg)
		return np;
	np->wg = ts_wg_peer_add(node->wg, &peer->key, np);
	np->path = np->wg ? ts_path_peer_add(node->path, &config, np) : NULL;
	if (np->path)
		return np;
	node_peer_close(node, peer);
	if (ts_log_allowed(&node->drop_log, node->now_ms))
		log_warn("node-%s: no memory or bad key for peer %s",
			 node->prefs.hostname, peer->name ? peer->name : "?");
	return NULL;
}

void node_peer_close(struct ts_node *node, struct ts_peer *peer)
{
	struct node_peer *np = peer->node_data;
	struct ts_path_peer *path;

	if (!np || !np->wg)
		return;
	path = np->path;
	ts_wg_peer_remove(node->wg, np->wg);
	np->wg = NULL;
	np->path = NULL;
	np->last_handshake_unix = 0;
	if (path) /* last: it may tell a waiting ping, which may look at us */
		ts_path_peer_remove(node->path, path);
}

void node_peers_close_unusable(struct ts_node *node)
{
	const struct ts_netmap *map = ts_node_netmap(node);
	struct ts_peer *peer;
	size_t pos = 0;

	while ((peer = ts_netmap_next_peer(map, &pos))) {
		if (!node_peer_is_usable(node, peer))
			node_peer_close(node, peer);
	}
}

static void update_data_plane(struct ts_node *node, struct ts_peer *peer)
{
	struct node_peer *np = peer->node_data;
	struct ts_path_peer_config config = path_config(peer);

	if (!np || !np->wg)
		return;
	/* A new node key is a new WireGuard peer; nothing of the old session
	 * may live on. An expired one is shut out. */
	if (!node_peer_is_usable(node, peer) ||
	    ts_wg_peer_find(node->wg, &peer->key) != np->wg)
		node_peer_close(node, peer);
	else
		ts_path_peer_update(node->path, np->path, &config,
				    node->now_ms);
}

/* -- routes --------------------------------------------------------------- */
/* An exit node's routes are not in the table: exit_node.c. */
static bool is_used_route(const struct ts_node *node,
			  const struct ts_peer *peer,
			  const struct ts_prefix *p)
{
	bool is_service = ts_prefix_is_host(p) && ts_ip_is_tailscale(&p->ip);

	return !ts_peer_has_address(peer, p) && !ts_prefix_is_default(p) &&
	       (is_service || node->prefs.route_all);
}

/* Writes them to out when that is not NULL. */
static size_t used_routes(const struct ts_node *node,
			  const struct ts_peer *peer, struct ts_prefix *out)
{
	size_t count = 0;

	for (size_t i = 0; i < peer->allowed_ip_count; i++) {
		if (!is_used_route(node, peer, &peer->allowed_ips[i]))
			continue;
		if (out)
			out[count] = peer->allowed_ips[i];
		count++;
	}
	return count;
}

static void drop_routes(struct ts_node *node, struct node_peer *np)
{
	for (size_t i = 0; i < np->route_count; i++)
		route_table_remove(&node->routes, &np->routes[i],
				   np->peer->id);
	free(np->routes);
	np->routes = NULL;
	np->route_count = 0;
}

/* Takes routes. */
static void set_routes(struct ts_node *node, struct node_peer *np,
		       struct ts_prefix *routes, size_t count)
{
	int err = 0;

	drop_routes(node, np);
	np->routes = routes;
	np->route_count = count;
	for (size_t i = 0; i < count; i++)
		err |= route_table_add(&node->routes, &routes[i],
				       np->peer->id);
	if (err)
		log_error("node-%s: routes of %s are incomplete: out of "
			  "memory", node->prefs.hostname, np->peer->name);
}

static void update_routes(struct ts_node *node, struct node_peer *np)
{
	const struct ts_peer *peer = np->peer;
	size_t count = is_trusted(peer) ? used_routes(node, peer, NULL) : 0;
	struct ts_prefix *routes;

	if (count == 0) { /* most peers: their own addresses, nothing else */
		drop_routes(node, np);
		return;
	}
	routes = calloc(count, sizeof(*routes));
	if (!routes) {
		log_error("node-%s: no routes through %s: out of memory",
			  node->prefs.hostname, peer->name);
		drop_routes(node, np);
		return;
	}
	used_routes(node, peer, routes);
	if (ts_prefix_list_equal(np->routes, np->route_count, routes, count))
		free(routes);
	else
		set_routes(node, np, routes, count);
}

void node_peers_update_routes(struct ts_node *node)
{
	const struct ts_netmap *map = ts_node_netmap(node);
	struct ts_peer *peer;
	size_t pos = 0;

	while ((peer = ts_netmap_next_peer(map, &pos))) {
		if (peer->node_data)
			update_routes(node, peer->node_data);
	}
}

struct ts_peer *node_owner_of(const struct ts_node *node,
			      const struct ts_ip *ip)
{
	const struct ts_netmap *map = ts_node_netmap(node);
	struct ts_peer *peer = ts_netmap_peer_by_ip(map, ip);
	int64_t id = peer ? 0 : route_table_find(&node->routes, ip);

	return id ? ts_netmap_peer_by_id(map, id) : peer;
}

struct ts_peer *node_peer_for(const struct ts_node *node,
			      const struct ts_ip *ip)
{
	struct ts_peer *peer = node_owner_of(node, ip);
	int64_t id = peer ? 0 : node_exit_for(node, ip);

	return id ? ts_netmap_peer_by_id(ts_node_netmap(node), id) : peer;
}

/* As a packet to that address would find its way to the peer: no router can
 * speak for a node of the tailnet, nor for a network with a closer router; the
 * exit node speaks for all others. */
bool node_peer_may_send_from(const struct ts_node *node,
			     const struct ts_peer *peer,
			     const struct ts_ip *src)
{
	const struct ts_peer *owner;

	if (node_is_self(node, src))
		return false;
	owner = ts_netmap_peer_by_ip(ts_node_netmap(node), src);
	if (owner)
		return owner == peer;
	if (route_table_find(&node->routes, src) == 0)
		return node_exit_for(node, src) == peer->id;
	return route_table_is_owner(&node->routes, src, peer->id);
}

/* -- changes -------------------------------------------------------------- */
static void drop_disco_key(struct ts_node *node, struct node_peer *np)
{
	if (ts_key_map_get(&node->disco_ids, np->disco_key.bytes) == np)
		ts_key_map_take(&node->disco_ids, np->disco_key.bytes);
}

/* True when the peer began anew: it makes that key at its start. */
static bool update_disco_key(struct ts_node *node, struct node_peer *np)
{
	const struct ts_public_key *key = &np->peer->disco_key;
	bool had_one = !ts_public_key_is_zero(&np->disco_key);

	if (ts_public_key_equal(&np->disco_key, key))
		return false;
	drop_disco_key(node, np);
	np->disco_key = *key;
	if (ts_public_key_is_zero(key))
		return false;
	ts_key_map_put(&node->disco_ids, key->bytes, np);
	return had_one;
}

void node_peer_update(struct ts_node *node, struct ts_peer *peer)
{
	struct node_peer *np = entry_of(peer);
	bool has_restarted;

	if (!np) {
		log_error("node-%s: peer %s left out: out of memory",
			  node->prefs.hostname, peer->name);
		node->filter_is_stale = true; /* it may be an unsigned one */
		return;
	}
	if (np->is_unsigned || peer->unsigned_peerapi_only)
		node->filter_is_stale = true;
	np->is_unsigned = peer->unsigned_peerapi_only;
	node_relay_update(node, np);
	has_restarted = update_disco_key(node, np);
	update_routes(node, np);
	update_data_plane(node, peer);
	if (has_restarted && np->wg)
		ts_wg_peer_restarted(node->wg, np->wg, node->now_ms);
}

void node_peer_forget(struct ts_node *node, struct ts_peer *peer)
{
	struct node_peer *np = peer->node_data;

	if (!np)
		return;
	node->filter_is_stale |= np->is_unsigned;
	node_relay_forget(node, np);
	drop_disco_key(node, np);
	drop_routes(node, np);
	node_peer_close(node, peer);
	free(np);
	peer->node_data = NULL;
}
