/* SPDX-License-Identifier: BSD-3-Clause
 * netmap_json.c - netmap.NetworkMap with its peers
 *
 * The one place that walks and copies all peers of a tailnet, and only when it
 * is asked for: debug's current-netmap and the bus' initial NetMap. Everything
 * else that needs no more than ourselves reads the netmap where it is.
 * Source: types/netmap/netmap.go
 */
#include <stdlib.h>

#include "core/localapi/localapi_internal.h"

static int by_id(const void *a, const void *b)
{
	const struct ts_peer *x = *(const struct ts_peer *const *)a;
	const struct ts_peer *y = *(const struct ts_peer *const *)b;

	return x->id < y->id ? -1 : x->id > y->id;
}

static json_t *all_peers(const struct ts_netmap *map)
{
	size_t count = ts_netmap_peer_count(map), n = 0, pos = 0;
	const struct ts_peer **peers = calloc(count + 1, sizeof(*peers));
	const struct ts_peer *peer;
	json_t *list = json_array();

	while (peers && n < count && (peer = ts_netmap_next_peer(map, &pos)))
		peers[n++] = peer;
	if (n > 1)
		qsort(peers, n, sizeof(*peers), by_id);
	for (size_t i = 0; i < n; i++)
		json_array_append_new(list, localapi_peer_node(map, peers[i]));
	free(peers);
	return list;
}

static json_t *all_users(const struct ts_netmap *map)
{
	const struct ts_user_profile *user;
	json_t *users = json_object();
	size_t pos = 0;

	while ((user = ts_key_map_next(&map->users, &pos)))
		localapi_add_user(users, map, user->id);
	return users;
}

static json_t *or_null(json_t *value)
{
	return value ? json_incref(value) : json_null();
}

json_t *localapi_netmap(const struct ts_node *node)
{
	return localapi_netmap_of(node, ts_node_netmap(node));
}

json_t *localapi_netmap_of(const struct ts_node *node,
			   const struct ts_netmap *map)
{
	json_t *out = json_object();
	struct ts_public_key key;

	if (map->self) {
		json_object_set_new(out, "SelfNode",
				    localapi_peer_node(map, map->self));
		json_object_set_new(out, "AllCaps",
				    localapi_cap_names(map->self->cap_map));
		json_object_set_new(out, "MachineKey",
				    localapi_key(&map->self->machine,
						 TS_PREFIX_MACHINE));
	}
	ts_node_public_key(node, &key);
	json_object_set_new(out, "NodeKey", localapi_key(&key, TS_PREFIX_NODE));
	json_object_set_new(out, "Peers", all_peers(map));
	json_object_set_new(out, "DNS",
			    or_null(map->dns ? map->dns->raw : NULL));
	json_object_set_new(out, "PacketFilterRules",
			    localapi_filter_rules(map));
	json_object_set_new(out, "DERPMap",
			    or_null(map->derp_map ? map->derp_map->raw : NULL));
	json_object_set_new(out, "DisplayMessages",
			    or_null(map->display_messages));
	json_object_set_new(out, "TKAEnabled", json_boolean(map->tka_enabled));
	json_object_set_new(out, "TKAHead",
			    json_string(map->tka_head ? map->tka_head : ""));
	json_object_set_new(out, "Domain",
			    json_string(map->domain ? map->domain : ""));
	json_object_set_new(out, "UserProfiles", all_users(map));
	return out;
}
