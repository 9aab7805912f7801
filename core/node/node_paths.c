/* SPDX-License-Identifier: BSD-3-Clause
 * node_paths.c - what the netmap says about paths, and who waits for one
 *
 * A peer relays for us when the packet filter grants it "relay-target" towards
 * us. That is looked up when the peer changes, or for all peers when the
 * filter did and has such a grant at all; each peer notes the answer.
 * Source: wgengine/magicsock/magicsock.go (updateRelayServersSet)
 */
#include "core/node/node_internal.h"
#include "core/path/relay_client.h"

#define CAP_RELAY_TARGET "tailscale.com/cap/relay-target"

/* The first version that knows peer relays. */
enum { RELAY_CAP_VERSION = 121 };

bool node_peer_may_relay(const struct ts_peer *peer)
{
	return peer->cap >= RELAY_CAP_VERSION;
}

static bool is_granted(const struct ts_node *node, const struct ts_peer *peer)
{
	for (size_t i = 0; i < peer->address_count; i++) {
		const struct ts_prefix *p = &peer->addresses[i];
		struct ts_ip own = ts_node_ip(node, !ts_ip_is_v4(&p->ip));

		if (ts_prefix_is_host(p) && !ts_ip_is_zero(&own))
			return ts_filter_grants(node->filter, &p->ip, &own,
						CAP_RELAY_TARGET);
	}
	return false;
}

/* Unsigned peers have no capabilities (PROTOCOL 10.1). */
static bool is_relay(const struct ts_node *node, const struct ts_peer *peer)
{
	return node_peer_may_relay(peer) && !peer->unsigned_peerapi_only &&
	       !ts_public_key_is_zero(&peer->disco_key) &&
	       is_granted(node, peer);
}

void node_relay_update(struct ts_node *node, struct node_peer *np)
{
	bool was_relay = np->is_relay;

	np->is_relay = is_relay(node, np->peer);
	node->relays_are_stale |= was_relay || np->is_relay;
}

void node_relay_forget(struct ts_node *node, struct node_peer *np)
{
	node->relays_are_stale |= np->is_relay;
	np->is_relay = false;
}

static bool has_relay(const struct ts_node *node)
{
	const struct ts_peer *peer;
	size_t pos = 0;

	while ((peer = ts_netmap_next_peer(ts_node_netmap(node), &pos))) {
		const struct node_peer *np = peer->node_data;

		if (np && np->is_relay)
			return true;
	}
	return false;
}

void node_relays_judge(struct ts_node *node)
{
	struct ts_peer *peer;
	size_t pos = 0;

	if (!ts_filter_knows_cap(node->filter, CAP_RELAY_TARGET) &&
	    !has_relay(node))
		return;
	while ((peer = ts_netmap_next_peer(ts_node_netmap(node), &pos)))
		if (peer->node_data)
			node_relay_update(node, peer->node_data);
}

void node_relays_tell(struct ts_node *node)
{
	struct ts_relay_server relays[RELAY_SERVERS_MAX];
	const struct ts_peer *peer;
	size_t pos = 0, count = 0;

	if (!node->relays_are_stale)
		return;
	node->relays_are_stale = false;
	while (count < RELAY_SERVERS_MAX &&
	       (peer = ts_netmap_next_peer(ts_node_netmap(node), &pos))) {
		const struct node_peer *np = peer->node_data;

		if (np && np->is_relay && node_peer_is_usable(node, peer))
			relays[count++] = (struct ts_relay_server){
				.node_key = peer->key,
				.disco_key = peer->disco_key,
				.home_derp = peer->home_derp,
			};
	}
	ts_path_set_relays(node->path, relays, count);
}

/* A handshake may begin at once. What waits in the stack goes later, as it may
 * be what is sending this moment. */
void node_peer_moved(struct ts_node *node, struct node_peer *np)
{
	np->moved_round = node->moved_round;
	node->has_moved = true;
	if (np->wg)
		ts_wg_peer_moved(node->wg, np->wg, node->now_ms);
}

static bool has_moved(void *ctx, const struct ts_ip *remote)
{
	const struct ts_node *node = ctx;
	const struct ts_peer *peer = node_peer_for(node, remote);
	const struct node_peer *np = peer ? peer->node_data : NULL;

	return np && np->moved_round == node->moved_round;
}

void node_moved_tick(struct ts_node *node)
{
	if (!node->has_moved)
		return;
	stack_try_again(node->stack, has_moved, node, node->now_ms);
	node->moved_round++;
	node->has_moved = false;
}

void node_paths_configure(struct ts_node *node)
{
	const struct ts_peer *self = ts_node_netmap(node)->self;
	struct ts_path_settings settings = {0};

	if (self) {
		settings.silent_disco = ts_peer_has_cap(self, "silent-disco");
		settings.tcp_only = ts_peer_has_cap(self, "only-tcp-443");
		settings.always_stun =
			ts_peer_has_cap(self, "debug-always-stun");
		settings.no_relays =
			settings.tcp_only ||
			ts_peer_has_cap(self, "disable-relay-client");
	}
	ts_path_configure(node->path, &settings, node->now_ms);
}
