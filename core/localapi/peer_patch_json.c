/* SPDX-License-Identifier: BSD-3-Clause
 * peer_patch_json.c - news of a peer in few words (tailcfg.PeerChange)
 *
 * A watcher that asked for patches is told of a peer's presence, home relay
 * and endpoints by them, and of anything else by the whole node. To tell one
 * from the other, a digest of the rest is kept for each peer: 16 bytes a peer
 * and watcher, and only where there is such a watcher.
 * Source: ipn/backend.go (NotifyPeerPatches), tailcfg/tailcfg.go (PeerChange)
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/err.h"
#include "core/localapi/localapi_internal.h"
#include "core/localapi/notify_json.h"

/* What a patch can say, and what it is called there. */
static const struct {
	const char *node, *patch;
} patchable[] = {
	{"Online", "Online"},
	{"LastSeen", "LastSeen"},
	{"HomeDERP", "DERPRegion"},
	{"Endpoints", "Endpoints"},
};

/* FNV-1a; a collision makes a patch of what should be a node, once. */
static uintptr_t digest_of(const json_t *peer)
{
	json_t *rest = json_copy((json_t *)(uintptr_t)peer);
	uint64_t hash = 0xcbf29ce484222325u;
	char *text;

	for (size_t i = 0; i < ARRAY_LEN(patchable); i++)
		json_object_del(rest, patchable[i].node);
	text = json_dumps(rest, JSON_COMPACT | JSON_SORT_KEYS);
	for (const char *c = text; c && *c; c++)
		hash = (hash ^ (uint8_t)*c) * 0x100000001b3u;
	free(text);
	json_decref(rest);
	return (uintptr_t)hash | 1; /* never NULL */
}

static int learn(struct notify_peers *known, int64_t id, uintptr_t digest)
{
	return ts_key_map_put(&known->digests, &id, (void *)digest);
}

int notify_peers_init(struct notify_peers *known, const struct ts_node *node)
{
	const struct ts_netmap *map = ts_node_netmap(node);
	const struct ts_peer *peer;
	size_t pos = 0;
	int err = 0;

	ts_key_map_init(&known->digests, sizeof(int64_t),
			map->peers_by_id.seed);
	while (!err && (peer = ts_netmap_next_peer(map, &pos))) {
		json_t *json = localapi_peer_node(map, peer);

		err = learn(known, peer->id, digest_of(json));
		json_decref(json);
	}
	return err;
}

void notify_peers_deinit(struct notify_peers *known)
{
	if (known->digests.key_len)
		ts_key_map_deinit(&known->digests);
}

static json_t *make_patch(const json_t *peer)
{
	json_t *patch = json_object();

	json_object_set(patch, "NodeID", json_object_get(peer, "ID"));
	for (size_t i = 0; i < ARRAY_LEN(patchable); i++) {
		json_t *value = json_object_get(peer, patchable[i].node);

		if (value)
			json_object_set(patch, patchable[i].patch, value);
	}
	return patch;
}

static void forget_removed(struct notify_peers *known, const json_t *news)
{
	const json_t *id;
	size_t i;

	json_array_foreach (json_object_get(news, "PeersRemoved"), i, id) {
		int64_t key = json_integer_value(id);

		ts_key_map_take(&known->digests, &key);
	}
}

void notify_make_patches(struct notify_peers *known, json_t *news)
{
	const json_t *changed = json_object_get(news, "PeersChanged");
	json_t *nodes, *patches;
	json_t *peer;
	size_t i;

	forget_removed(known, news);
	if (!changed)
		return;
	nodes = json_array();
	patches = json_array();
	json_array_foreach (changed, i, peer) {
		int64_t id = json_integer_value(json_object_get(peer, "ID"));
		uintptr_t digest = digest_of(peer);
		bool is_same = (uintptr_t)ts_key_map_get(&known->digests,
							 &id) == digest;

		if (is_same)
			json_array_append_new(patches, make_patch(peer));
		else
			json_array_append(nodes, peer);
		/* Out of memory: the whole node again next time. */
		if (!is_same && learn(known, id, digest))
			ts_key_map_take(&known->digests, &id);
	}
	if (json_array_size(patches) > 0)
		json_object_set(news, "PeerChangedPatch", patches);
	if (json_array_size(nodes) > 0) {
		json_object_set(news, "PeersChanged", nodes);
	} else {
		json_object_del(news, "PeersChanged");
		json_object_del(news, "UserProfiles");
	}
	json_decref(nodes);
	json_decref(patches);
}
