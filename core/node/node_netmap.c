/* SPDX-License-Identifier: BSD-3-Clause
 * node_netmap.c - what control says, into the cores
 *
 * Per peer: names, routes, and - when the peer has been spoken with - its
 * WireGuard and path halves. Per message: filter (always before anything
 * else is let in), own addresses, DERP map, names.
 *
 * Data-plane halves are lazy: a tailnet of 10,000 peers costs an index entry
 * each until a packet goes to or comes from one.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/err.h"
#include "core/base/log.h"
#include "core/crypto/secret.h"
#include "core/node/node_internal.h"

bool node_peer_is_usable(const struct ts_node *node,
			 const struct ts_peer *peer)
{
	if (peer->expired || ts_public_key_is_zero(&peer->key))
		return false;
	/* Tailnet Lock is on and we cannot verify signatures: trust nobody
	 * that needs one, rather than everybody the server names. */
	return !ts_node_netmap(node)->tka_enabled ||
	       peer->unsigned_peerapi_only;
}

static struct ts_path_peer_config path_config(const struct ts_peer *peer)
{
	return (struct ts_path_peer_config){
		.node_key = peer->key,
		.disco_key = peer->disco_key,
		.home_derp = peer->home_derp,
		.endpoints = peer->endpoints,
		.endpoint_count = peer->endpoint_count,
		.is_wireguard_only = peer->is_wireguard_only,
	};
}

struct node_peer *node_peer_get(struct ts_node *node, struct ts_peer *peer)
{
	struct node_peer *np = peer->node_data;
	struct ts_path_peer_config config = path_config(peer);

	if (!node_peer_is_usable(node, peer))
		return NULL;
	if (np)
		return np;
	np = calloc(1, sizeof(*np));
	if (!np)
		return NULL;
	np->peer = peer;
	np->wg = ts_wg_peer_add(node->wg, &peer->key, np);
	np->path = ts_path_peer_add(node->path, &config, np);
	peer->node_data = np;
	if (np->wg && np->path)
		return np;
	log_warn("node-%s: no memory or bad key for peer %s",
		 node->prefs.hostname, peer->name ? peer->name : "?");
	node_peer_drop(node, peer);
	return NULL;
}

void node_peer_drop(struct ts_node *node, struct ts_peer *peer)
{
	struct node_peer *np = peer->node_data;

	if (!np)
		return;
	if (np->wg)
		ts_wg_peer_remove(node->wg, np->wg);
	if (np->path)
		ts_path_peer_remove(node->path, np->path);
	free(np);
	peer->node_data = NULL;
}

static bool is_own_address(const struct ts_peer *peer,
			   const struct ts_prefix *prefix)
{
	for (size_t i = 0; i < peer->address_count; i++) {
		if (ts_prefix_equal(&peer->addresses[i], prefix))
			return true;
	}
	return false;
}

/* Routes are kept by node ID, so that no removal can leave a pointer. */
static void *route_owner(const struct ts_peer *peer)
{
	return (void *)(intptr_t)peer->id;
}

/* Exit routes are not used: nothing selects an exit node yet. */
static void add_routes(struct ts_node *node, const struct ts_peer *peer)
{
	for (size_t i = 0; i < peer->allowed_ip_count; i++) {
		const struct ts_prefix *p = &peer->allowed_ips[i];
		bool service = ts_prefix_is_host(p) &&
			       ts_ip_is_tailscale(&p->ip);

		if (is_own_address(peer, p) || ts_prefix_is_default(p))
			continue;
		if (service || node->prefs.route_all)
			route_table_add(&node->routes, p, route_owner(peer));
	}
}

static void rebuild_routes(struct ts_node *node)
{
	const struct ts_netmap *map = ts_node_netmap(node);
	uint64_t seed = node->routes.by_prefix.seed;
	const struct ts_peer *peer;
	size_t pos = 0;

	route_table_deinit(&node->routes);
	route_table_init(&node->routes, seed);
	while ((peer = ts_netmap_next_peer(map, &pos)))
		add_routes(node, peer);
}

static void remember_disco_key(struct ts_node *node,
			       const struct ts_peer *peer)
{
	if (!ts_public_key_is_zero(&peer->disco_key))
		ts_key_map_put(&node->disco_ids, peer->disco_key.bytes,
			       (void *)(intptr_t)peer->id);
}

static void on_peer_upserted(void *ctx, struct ts_peer *peer)
{
	struct ts_node *node = ctx;
	struct node_peer *np = peer->node_data;
	struct ts_path_peer_config config = path_config(peer);

	remember_disco_key(node, peer);
	ts_magic_dns_upsert(node->dns, peer);
	if (!np)
		return;
	/* A new node key is a new WireGuard peer; nothing of the old session
	 * may live on. An expired one is shut out. */
	if (!node_peer_is_usable(node, peer) ||
	    ts_wg_peer_find(node->wg, &peer->key) != np->wg)
		node_peer_drop(node, peer);
	else
		ts_path_peer_update(node->path, np->path, &config,
				    node->now_ms);
}

static void on_peer_removed(void *ctx, struct ts_peer *peer)
{
	struct ts_node *node = ctx;

	ts_magic_dns_remove(node->dns, peer);
	ts_key_map_take(&node->disco_ids, peer->disco_key.bytes);
	node_peer_drop(node, peer);
}

static void drop_unusable_peers(struct ts_node *node)
{
	const struct ts_netmap *map = ts_node_netmap(node);
	struct ts_peer *peer;
	size_t pos = 0;

	if (!map->tka_enabled) {
		node->lock_warned = false;
		return;
	}
	if (!node->lock_warned)
		log_error("node-%s: this tailnet uses Tailnet Lock, which this "
			  "version cannot verify: no peer is trusted",
			  node->prefs.hostname);
	node->lock_warned = true;
	while ((peer = ts_netmap_next_peer(map, &pos))) {
		if (!node_peer_is_usable(node, peer))
			node_peer_drop(node, peer);
	}
}

static void set_addresses(struct ts_node *node)
{
	struct ts_ip v4 = ts_node_ip(node, false);
	struct ts_ip v6 = ts_node_ip(node, true);

	stack_set_addrs(node->stack, &v4, &v6);
}

static void on_netmap_changed(void *ctx, unsigned changes)
{
	struct ts_node *node = ctx;
	const struct ts_netmap *map = ts_node_netmap(node);
	unsigned filter_inputs = TS_CHANGED_FILTER | TS_CHANGED_SELF |
				 TS_CHANGED_PEERS | TS_CHANGED_FIRST;

	if (changes & TS_CHANGED_TKA || changes & TS_CHANGED_FIRST)
		drop_unusable_peers(node);
	if (changes & filter_inputs && ts_filter_set(node->filter, map))
		log_error("node-%s: out of memory for the packet filter; it "
			  "drops everything until the next one",
			  node->prefs.hostname);
	if (changes & (TS_CHANGED_PEERS | TS_CHANGED_FIRST))
		rebuild_routes(node);
	if (changes & TS_CHANGED_SELF)
		set_addresses(node);
	if (changes & (TS_CHANGED_DNS | TS_CHANGED_SELF | TS_CHANGED_FIRST))
		ts_magic_dns_set_config(node->dns, map);
	if (changes & TS_CHANGED_DERP_MAP)
		ts_path_set_derp_map(node->path, map->derp_map, node->now_ms);
	node_update_state(node);
	node->io.netmap_changed(node->io_ctx, changes);
}

static void replace_text(char **to, const char *from)
{
	char *copy = from ? strdup(from) : NULL;

	free(*to);
	*to = copy;
}

static void on_state_changed(void *ctx, enum ts_control_state state,
			     const char *error)
{
	struct ts_node *node = ctx;
	bool was = node->error != NULL;

	node->control_state = state;
	ts_path_set_control_up(node->path, state == TS_CONTROL_RUNNING);
	if (error || state == TS_CONTROL_RUNNING)
		replace_text(&node->error, error);
	if (error && node->state == TS_NEEDS_LOGIN && !was)
		node->io.state_changed(node->io_ctx, node->state, error);
	node_update_state(node);
}

static void on_auth_url(void *ctx, const char *url)
{
	struct ts_node *node = ctx;

	replace_text(&node->auth_url, url);
	node->io.auth_url(node->io_ctx, url);
}

/* A register succeeded: the keys are the server's now, keep them. */
static void on_persist_changed(void *ctx)
{
	struct ts_node *node = ctx;
	struct ts_persist *persist = &node->prefs.persist;
	struct ts_control_identity id;
	bool rotated;

	ts_control_identity(node->control, &id);
	rotated = !ts_secret_equal(id.node_key.bytes, persist->node_key.bytes,
				   TS_KEY_LEN);
	persist->node_key = id.node_key;
	persist->old_node_key = id.old_node_key;
	persist->nl_key = id.nl_key;
	persist->user_id = id.user_id;
	replace_text(&persist->node_id, id.stable_id);
	replace_text(&persist->login_name, id.login_name);
	replace_text(&persist->display_name, id.display_name);
	replace_text(&persist->profile_pic_url, id.profile_pic_url);
	ts_wipe(&id, sizeof(id));
	if (rotated) {
		ts_public_key_from_private(&persist->node_key,
					   &node->node_public);
		ts_wg_set_key(node->wg, &persist->node_key);
		ts_path_set_node_key(node->path, &persist->node_key,
				     node->now_ms);
	}
	node->prefs.want_running = true;
	node->prefs.logged_out = false;
	node->io.persist(node->io_ctx);
}

static void on_fetch_key(void *ctx, const char *url)
{
	struct ts_node *node = ctx;

	node->io.control_fetch_key(node->io_ctx, url);
}

static void on_dial(void *ctx, const struct ts_control_target *targets,
		    size_t count)
{
	struct ts_node *node = ctx;

	node->io.control_dial(node->io_ctx, targets, count);
}

static void on_write(void *ctx, const uint8_t *data, size_t len)
{
	struct ts_node *node = ctx;

	node->io.control_write(node->io_ctx, data, len);
}

static void on_hangup(void *ctx)
{
	struct ts_node *node = ctx;

	node->io.control_hangup(node->io_ctx);
}

static int64_t on_wall_clock(void *ctx)
{
	struct ts_node *node = ctx;

	return (int64_t)(node->io.wall_clock_ns(node->io_ctx) / 1000000000u);
}

const struct ts_control_ops node_control_ops = {
	.fetch_key = on_fetch_key,
	.dial = on_dial,
	.write = on_write,
	.hangup = on_hangup,
	.state_changed = on_state_changed,
	.auth_url = on_auth_url,
	.persist_changed = on_persist_changed,
	.peer_upserted = on_peer_upserted,
	.peer_removed = on_peer_removed,
	.netmap_changed = on_netmap_changed,
	.wall_clock = on_wall_clock,
};
