/* SPDX-License-Identifier: BSD-3-Clause
 * peer_delta.c - what a map response changes about the peers
 *
 * Order (PROTOCOL 4.4): a non-empty Peers list replaces all and silences the
 * rest; else Removed, Changed, SeenChange, OnlineChange, Patch.
 *
 * PeersChanged holds complete nodes, yet some servers leave out what they do
 * not know at the moment. Upstream compares such a node with the known one and
 * turns it into a patch when only patchable fields differ; then absent Online
 * and LastSeen, region 0 and null Endpoints keep their old values. Here the
 * same is done the other way round: the old values are carried over into the
 * new node.
 * Source: control/controlclient/map.go (peerChangeDiff,
 * updatePeersStateFromResponse)
 */
#include "core/control/peer_delta.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/prefix_list.h"
#include "core/model/netmap_edit.h"

void ts_peer_delta_init(struct ts_peer_delta *d, struct ts_netmap *map,
			int64_t now_unix)
{
	*d = (struct ts_peer_delta){.map = map, .now_unix = now_unix};
	ts_key_map_init(&d->touched, sizeof(int64_t), map->peers_by_id.seed);
}

void ts_peer_delta_deinit(struct ts_peer_delta *d)
{
	for (size_t i = 0; i < d->removed_count; i++)
		ts_peer_free(d->removed[i]);
	free(d->removed);
	ts_key_map_deinit(&d->touched);
}

static int touch(struct ts_peer_delta *d, struct ts_peer *peer)
{
	return ts_key_map_put(&d->touched, &peer->id, peer);
}

static int remove_peer(struct ts_peer_delta *d, struct ts_peer *peer)
{
	if (d->removed_count == d->removed_cap) {
		size_t cap = d->removed_cap ? d->removed_cap * 2 : 8;
		struct ts_peer **grown = reallocarray(
			d->removed, cap, sizeof(struct ts_peer *));

		if (!grown)
			return -ENOMEM;
		d->removed = grown;
		d->removed_cap = cap;
	}
	ts_netmap_take_peer(d->map, peer);
	ts_key_map_take(&d->touched, &peer->id);
	d->removed[d->removed_count++] = peer;
	return 0;
}

static int64_t control_now(const struct ts_peer_delta *d)
{
	return d->now_unix + d->map->control_time_delta_s;
}

static bool key_expired(const struct ts_peer_delta *d,
			const struct ts_peer *peer)
{
	return peer->key_expiry_unix != 0 &&
	       peer->key_expiry_unix <= control_now(d);
}

/* From now on it may expire. */
static void note_expiry(struct ts_peer_delta *d, const struct ts_peer *peer)
{
	if (!peer->expired && peer->key_expiry_unix != 0 &&
	    peer->key_expiry_unix < d->map->next_expiry_unix)
		d->map->next_expiry_unix = peer->key_expiry_unix;
}

/* Takes node->peer. */
static int upsert(struct ts_peer_delta *d, struct ts_map_node *node)
{
	struct ts_peer *next = node->peer;
	struct ts_peer *old = ts_netmap_known_peer_by_id(d->map, next->id);
	int err;

	node->peer = NULL;
	note_expiry(d, next);
	if (old) {
		err = ts_netmap_update_peer(d->map, old, next);
		return err ? err : touch(d, old);
	}
	err = ts_netmap_add_peer(d->map, next);
	if (err)
		ts_peer_free(next);
	return err ? err : touch(d, next);
}

/* -- PeersChanged --------------------------------------------------------- */

static bool same_text(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool same_tags(const struct ts_peer *a, const struct ts_peer *b)
{
	if (a->tag_count != b->tag_count)
		return false;
	for (size_t i = 0; i < a->tag_count; i++)
		if (strcmp(a->tags[i], b->tags[i]) != 0)
			return false;
	return true;
}

static bool same_routing(const struct ts_peer *a, const struct ts_peer *b)
{
	return ts_prefix_list_equal(a->addresses, a->address_count,
				    b->addresses, b->address_count) &&
	       ts_prefix_list_equal(a->allowed_ips, a->allowed_ip_count,
				    b->allowed_ips, b->allowed_ip_count) &&
	       ts_prefix_list_equal(a->primary_routes, a->primary_route_count,
				    b->primary_routes,
				    b->primary_route_count) &&
	       ts_ip_equal(&a->masq_v4, &b->masq_v4) &&
	       ts_ip_equal(&a->masq_v6, &b->masq_v6);
}

static bool same_json(const json_t *a, const json_t *b)
{
	return a ? json_equal(a, b) : !b;
}

static bool same_hostinfo(const struct ts_peer *a, const struct ts_peer *b)
{
	return same_text(a->hostname, b->hostname) &&
	       same_text(a->os, b->os) &&
	       a->peerapi4_port == b->peerapi4_port &&
	       a->peerapi6_port == b->peerapi6_port &&
	       a->peerapi_dns_proxy == b->peerapi_dns_proxy &&
	       same_json(a->location, b->location);
}

/* Equal in all that a PeerChange could not express. */
static bool differs_by_patch(const struct ts_peer *a, const struct ts_peer *b)
{
	return same_text(a->stable_id, b->stable_id) &&
	       same_text(a->name, b->name) && a->user == b->user &&
	       a->sharer == b->sharer &&
	       ts_public_key_equal(&a->machine, &b->machine) &&
	       a->created_unix == b->created_unix && same_tags(a, b) &&
	       a->machine_authorized == b->machine_authorized &&
	       a->unsigned_peerapi_only == b->unsigned_peerapi_only &&
	       a->is_wireguard_only == b->is_wireguard_only &&
	       a->is_jailed == b->is_jailed && a->expired == b->expired &&
	       same_json(a->exit_dns, b->exit_dns) && same_hostinfo(a, b) &&
	       same_routing(a, b);
}

static void move_endpoints(struct ts_peer *from, struct ts_peer *to)
{
	free(to->endpoints);
	to->endpoints = from->endpoints;
	to->endpoint_count = from->endpoint_count;
	from->endpoints = NULL;
	from->endpoint_count = 0;
}

static void carry_over(struct ts_peer *old, struct ts_map_node *node)
{
	struct ts_peer *next = node->peer;

	if (next->online == TS_UNKNOWN)
		next->online = old->online;
	if (next->last_seen_unix == 0)
		next->last_seen_unix = old->last_seen_unix;
	if (next->home_derp == 0)
		next->home_derp = old->home_derp;
	if (next->cap == 0)
		next->cap = old->cap;
	if (!node->has_endpoints)
		move_endpoints(old, next);
	if (!next->key_signature) {
		next->key_signature = old->key_signature;
		old->key_signature = NULL;
	}
}

static int apply_changed(struct ts_peer_delta *d, struct ts_map_node *node)
{
	struct ts_peer *old =
		ts_netmap_known_peer_by_id(d->map, node->peer->id);

	/* The mark is ours to compute: compare and carry it alike. */
	node->peer->expired |= key_expired(d, node->peer);
	if (old && differs_by_patch(old, node->peer))
		carry_over(old, node);
	return upsert(d, node);
}

/* -- PeersChangedPatch ---------------------------------------------------- */

/* A server that only relays an old disco key must not undo a newer one. */
static bool is_stale_disco(const struct ts_peer *peer,
			   const struct ts_peer_patch *patch)
{
	return patch->has_disco_key && patch->online == TS_NO &&
	       patch->has_last_seen && peer->last_seen_unix != 0 &&
	       patch->last_seen_unix <= peer->last_seen_unix;
}

static void patch_fields(struct ts_peer *peer, struct ts_peer_patch *patch)
{
	if (patch->home_derp)
		peer->home_derp = patch->home_derp;
	if (patch->cap)
		peer->cap = patch->cap;
	if (patch->has_endpoints) {
		free(peer->endpoints);
		peer->endpoints = patch->endpoints;
		peer->endpoint_count = patch->endpoint_count;
		patch->endpoints = NULL;
	}
	if (patch->has_disco_key)
		peer->disco_key = patch->disco_key;
	if (patch->online != TS_UNKNOWN)
		peer->online = patch->online;
	if (patch->has_last_seen)
		peer->last_seen_unix = patch->last_seen_unix;
	if (patch->key_signature) {
		free(peer->key_signature);
		peer->key_signature = patch->key_signature;
		patch->key_signature = NULL;
	}
	if (patch->cap_map) {
		json_t *old = peer->cap_map;

		peer->cap_map = patch->cap_map;
		patch->cap_map = old; /* goes with the patch */
	}
}

static int apply_patch(struct ts_peer_delta *d, struct ts_peer_patch *patch)
{
	struct ts_peer *peer = ts_netmap_known_peer_by_id(d->map, patch->id);
	int err = 0;

	if (!peer || is_stale_disco(peer, patch))
		return 0;
	patch_fields(peer, patch);
	if (patch->has_key_expiry) {
		peer->key_expiry_unix = patch->key_expiry_unix;
		peer->expired = key_expired(d, peer);
		note_expiry(d, peer);
	}
	if (patch->has_key)
		err = ts_netmap_set_peer_key(d->map, peer, &patch->key);
	return err ? err : touch(d, peer);
}

/* -- the whole message ---------------------------------------------------- */

/* Remove whom this message has not touched. */
static int remove_untouched(struct ts_peer_delta *d)
{
	size_t count = ts_netmap_peer_count(d->map), n = 0, pos = 0;
	struct ts_peer **gone, *peer;
	int err = 0;

	if (count == d->touched.len)
		return 0;
	/* The index must not change under a walk. */
	gone = calloc(count, sizeof(struct ts_peer *));
	if (!gone)
		return -ENOMEM;
	while ((peer = ts_netmap_next_known_peer(d->map, &pos)))
		if (!ts_key_map_get(&d->touched, &peer->id))
			gone[n++] = peer;
	for (size_t i = 0; !err && i < n; i++)
		err = remove_peer(d, gone[i]);
	free(gone);
	return err;
}

static int apply_full_list(struct ts_peer_delta *d, struct ts_map_nodes *peers)
{
	int err = 0;

	for (size_t i = 0; !err && i < peers->count; i++)
		err = upsert(d, &peers->list[i]);
	return err ? err : remove_untouched(d);
}

static int apply_removed(struct ts_peer_delta *d,
			 const struct ts_map_response *msg)
{
	int err = 0;

	for (size_t i = 0; !err && i < msg->removed_count; i++) {
		struct ts_peer *peer =
			ts_netmap_known_peer_by_id(d->map, msg->removed[i]);

		if (peer)
			err = remove_peer(d, peer);
	}
	return err;
}

static int apply_flags(struct ts_peer_delta *d,
		       const struct ts_map_response *msg)
{
	struct ts_peer *peer;
	int err = 0;

	for (size_t i = 0; !err && i < msg->seen_count; i++) {
		peer = ts_netmap_known_peer_by_id(d->map, msg->seen[i].id);
		if (!peer)
			continue;
		peer->last_seen_unix = msg->seen[i].value ? d->now_unix : 0;
		err = touch(d, peer);
	}
	for (size_t i = 0; !err && i < msg->online_count; i++) {
		peer = ts_netmap_known_peer_by_id(d->map, msg->online[i].id);
		if (!peer)
			continue;
		peer->online = msg->online[i].value ? TS_YES : TS_NO;
		err = touch(d, peer);
	}
	return err;
}

static int apply_deltas(struct ts_peer_delta *d, struct ts_map_response *msg)
{
	int err = apply_removed(d, msg);

	for (size_t i = 0; !err && i < msg->changed.count; i++)
		err = apply_changed(d, &msg->changed.list[i]);
	if (!err)
		err = apply_flags(d, msg);
	for (size_t i = 0; !err && i < msg->patch_count; i++)
		err = apply_patch(d, &msg->patches[i]);
	return err;
}

int ts_peer_delta_apply(struct ts_peer_delta *d, struct ts_map_response *msg,
			bool is_first)
{
	int err;

	if (msg->peers.count > 0) {
		err = apply_full_list(d, &msg->peers);
	} else {
		err = apply_deltas(d, msg);
		/* A poll starts from nothing: who was not named is gone. */
		if (!err && is_first)
			err = remove_untouched(d);
	}
	return err ? err : ts_peer_delta_expire(d);
}

/* Peers are looked through only when one of them is due: not for every message
 * about one of 10,000. */
int ts_peer_delta_expire(struct ts_peer_delta *d)
{
	int64_t next_unix = INT64_MAX;
	struct ts_peer *peer;
	size_t pos = 0;
	int err = 0;

	if (d->map->next_expiry_unix > control_now(d))
		return 0;
	while (!err && (peer = ts_netmap_next_known_peer(d->map, &pos))) {
		if (!peer->expired && key_expired(d, peer)) {
			peer->expired = true;
			err = touch(d, peer);
		} else if (!peer->expired && peer->key_expiry_unix != 0 &&
			   peer->key_expiry_unix < next_unix) {
			next_unix = peer->key_expiry_unix;
		}
	}
	if (!err)
		d->map->next_expiry_unix = next_unix;
	return err;
}
