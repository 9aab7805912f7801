/* SPDX-License-Identifier: BSD-3-Clause
 * node_debug.c - what `tailscale debug` does to a node
 *
 * A discovery key belongs to a run of a node: to peers, one with another has
 * started anew, and they end its sessions. So do we, before the new key is
 * used, and all begin again by the relay. Connections inside the tunnel do not
 * notice but for a pause.
 * Source: ipn/ipnlocal/local.go (DebugRotateDiscoKey, DisconnectControl),
 *   wgengine/magicsock/derp.go (DebugPickNewDERP, DebugForcePreferDERP)
 */
#include "core/base/log.h"
#include "core/node/node_internal.h"

int ts_node_pick_new_home(struct ts_node *node, uint64_t now_ms)
{
	node->now_ms = now_ms;
	return ts_path_pick_new_home(node->path, now_ms);
}

int ts_node_prefer_home(struct ts_node *node, int region, uint64_t now_ms)
{
	node->now_ms = now_ms;
	return ts_path_prefer_home(node->path, region, now_ms);
}

void ts_node_set_homeless(struct ts_node *node, bool homeless, uint64_t now_ms)
{
	node->now_ms = now_ms;
	ts_path_set_homeless(node->path, homeless, now_ms);
}

void ts_node_rotate_disco_key(struct ts_node *node, uint64_t now_ms)
{
	const struct ts_netmap *map = ts_node_netmap(node);
	struct ts_public_key public_key;
	struct ts_peer *peer;
	size_t pos = 0;

	node->now_ms = now_ms;
	while ((peer = ts_netmap_next_peer(map, &pos)))
		node_peer_close(node, peer);
	ts_private_key_generate(&node->disco_key);
	ts_path_set_disco_key(node->path, &node->disco_key);
	ts_public_key_from_private(&node->disco_key, &public_key);
	ts_control_set_disco_key(node->control, &public_key, now_ms);
	log_info("node-%s: has another discovery key", node->prefs.hostname);
}

size_t ts_node_relay_servers(const struct ts_node *node, struct ts_ip *out,
			     size_t cap)
{
	const struct ts_netmap *map = ts_node_netmap(node);
	const struct ts_peer *peer;
	size_t pos = 0, count = 0;

	while (count < cap && (peer = ts_netmap_next_peer(map, &pos))) {
		const struct node_peer *np = peer->node_data;

		if (np && np->is_relay && peer->address_count > 0)
			out[count++] = peer->addresses[0].ip;
	}
	return count;
}

void ts_node_disconnect_control(struct ts_node *node, uint64_t now_ms)
{
	node->now_ms = now_ms;
	log_info("node-%s: no control server until the next start or login",
		 node->prefs.hostname);
	node->is_disconnected = true;
	ts_control_disconnect(node->control, now_ms);
}

void ts_node_reconnect_control(struct ts_node *node, uint64_t now_ms)
{
	node->now_ms = now_ms;
	if (node->is_disconnected && node->prefs.want_running)
		ts_control_start(node->control, now_ms);
	node->is_disconnected = false;
}
