/* SPDX-License-Identifier: BSD-3-Clause
 * peer.c - one node of the tailnet
 */
#include <stdlib.h>

#include "core/base/prefix_list.h"
#include "core/model/json_fields.h"
#include "core/model/netmap.h"
#include "core/model/netmap_edit.h"

struct ts_peer *ts_peer_new(void)
{
	return calloc(1, sizeof(struct ts_peer));
}

static void peer_deinit(struct ts_peer *peer)
{
	free(peer->stable_id);
	free(peer->name);
	free(peer->key_signature);
	free(peer->addresses);
	free(peer->allowed_ips);
	free(peer->primary_routes);
	free(peer->endpoints);
	ts_text_list_free(peer->tags, peer->tag_count);
	free(peer->hostname);
	free(peer->os);
	json_decref(peer->location);
	json_decref(peer->exit_dns);
	json_decref(peer->cap_map);
}

void ts_peer_free(struct ts_peer *peer)
{
	if (!peer)
		return;
	peer_deinit(peer);
	free(peer);
}

void ts_peer_replace(struct ts_peer *peer, struct ts_peer *next)
{
	void *node_data = peer->node_data;
	bool is_locked_out = peer->is_locked_out;

	peer_deinit(peer);
	*peer = *next;
	peer->node_data = node_data;
	peer->is_locked_out = is_locked_out; /* until it is judged */
	free(next);
}

struct ts_ip ts_peer_ip(const struct ts_peer *peer, bool v6)
{
	for (size_t i = 0; i < peer->address_count; i++)
		if (ts_prefix_is_host(&peer->addresses[i]) &&
		    ts_ip_is_v4(&peer->addresses[i].ip) == !v6)
			return peer->addresses[i].ip;
	return TS_IP_ZERO;
}

bool ts_peer_has_address(const struct ts_peer *peer,
			 const struct ts_prefix *prefix)
{
	return ts_prefix_list_has(peer->addresses, peer->address_count,
				  prefix);
}

bool ts_peer_has_cap(const struct ts_peer *peer, const char *cap)
{
	return json_object_get(peer->cap_map, cap) != NULL;
}
