/* SPDX-License-Identifier: BSD-3-Clause
 * path_peers.c - the router's peers, found by node key, disco key or address
 *
 * Several nodes may share a disco key (one machine, several profiles), so that
 * map leads to a list. A source address belongs to whom it was last proven to
 * belong to; a peer remembers its addresses to clean up behind itself.
 */
#include <stdlib.h>
#include <string.h>

#include "core/crypto/secret.h"
#include "core/path/path_internal.h"

/* -- source addresses as keys --------------------------------------------- */

struct source_key {
	uint8_t ip[TS_IP_LEN];
	uint16_t port, vni_high;
	uint8_t vni_low, pad[3];
};
_Static_assert(sizeof(struct source_key) == PATH_SOURCE_KEY_LEN,
	       "map keys have no padding");

static struct source_key key_of(const struct ts_path_addr *from)
{
	struct source_key key = {
		.port = from->addr.port,
		.vni_high = (uint16_t)(from->vni >> 8),
		.vni_low = (uint8_t)from->vni,
	};

	memcpy(key.ip, from->addr.ip.bytes, sizeof(key.ip));
	return key;
}

/* -- finding -------------------------------------------------------------- */

struct ts_path_peer *ts_path_find_node(const struct ts_path *path,
				       const struct ts_public_key *node_key)
{
	return ts_key_map_get(&path->by_node_key, node_key);
}

struct ts_path_peer *ts_path_find_disco(const struct ts_path *path,
					const struct ts_public_key *disco_key)
{
	return ts_key_map_get(&path->by_disco_key, disco_key);
}

struct ts_path_peer *ts_path_find_source(const struct ts_path *path,
					 const struct ts_path_addr *from)
{
	struct source_key key = key_of(from);

	return ts_key_map_get(&path->by_source, &key);
}

/* -- sources -------------------------------------------------------------- */

static void forget_source(struct ts_path_peer *peer, size_t i)
{
	struct ts_key_map *map = &peer->path->by_source;
	struct source_key key = key_of(&peer->sources[i]);

	/* Another peer may have proven it its own since. */
	if (ts_key_map_get(map, &key) == peer)
		ts_key_map_take(map, &key);
}

static void forget_sources(struct ts_path_peer *peer)
{
	for (size_t i = 0; i < peer->source_count; i++)
		forget_source(peer, i);
	free(peer->sources);
	peer->sources = NULL;
	peer->source_count = peer->source_next = 0;
}

static bool has_source(const struct ts_path_peer *peer,
		       const struct ts_path_addr *from)
{
	for (size_t i = 0; i < peer->source_count; i++)
		if (ts_path_addr_equal(&peer->sources[i], from))
			return true;
	return false;
}

static bool remember_source(struct ts_path_peer *peer,
			    const struct ts_path_addr *from)
{
	if (has_source(peer, from))
		return true;
	if (!peer->sources)
		peer->sources =
			calloc(PATH_SOURCES_MAX, sizeof(*peer->sources));
	if (!peer->sources)
		return false;
	if (peer->source_count == PATH_SOURCES_MAX)
		forget_source(peer, peer->source_next);
	else
		peer->source_count++;
	peer->sources[peer->source_next] = *from;
	peer->source_next = (peer->source_next + 1) % PATH_SOURCES_MAX;
	return true;
}

void ts_path_add_source(struct ts_path_peer *peer,
			const struct ts_path_addr *from)
{
	struct source_key key = key_of(from);

	if (ts_path_find_source(peer->path, from) == peer)
		return;
	/* Out of memory: its packets stay unattributed, which is allowed. */
	if (remember_source(peer, from))
		ts_key_map_put(&peer->path->by_source, &key, peer);
}

/* -- disco key ------------------------------------------------------------ */

static bool has_disco_key(const struct ts_path_peer *peer)
{
	return !ts_public_key_is_zero(&peer->disco_key);
}

static int link_disco(struct ts_path_peer *peer)
{
	struct ts_key_map *map = &peer->path->by_disco_key;

	if (!has_disco_key(peer))
		return 0;
	peer->next_same_disco = ts_key_map_get(map, &peer->disco_key);
	return ts_key_map_put(map, &peer->disco_key, peer);
}

static void unlink_disco(struct ts_path_peer *peer)
{
	struct ts_key_map *map = &peer->path->by_disco_key;
	struct ts_path_peer *at = ts_key_map_get(map, &peer->disco_key);

	if (!at)
		return;
	if (at == peer && peer->next_same_disco)
		ts_key_map_put(map, &peer->disco_key, peer->next_same_disco);
	else if (at == peer)
		ts_key_map_take(map, &peer->disco_key);
	while (at && at->next_same_disco != peer)
		at = at->next_same_disco;
	if (at)
		at->next_same_disco = peer->next_same_disco;
	peer->next_same_disco = NULL;
}

const struct ts_box *ts_path_peer_box(struct ts_path_peer *peer)
{
	if (!peer->has_box && has_disco_key(peer))
		peer->has_box =
			ts_box_init(&peer->box, &peer->path->config.disco_key,
				    &peer->disco_key) == 0;
	return peer->has_box ? &peer->box : NULL;
}

/* -- add, update, remove -------------------------------------------------- */

void ts_path_peer_rearm(struct ts_path_peer *peer)
{
	uint64_t at_ms = ts_disco_peer_deadline_ms(&peer->disco);

	if (peer->timer.slot != 0 && peer->timer.at_ms == at_ms)
		return;
	/* Out of memory: the next packet tries again. */
	ts_timer_heap_set(&peer->path->timers, &peer->timer, at_ms);
}

void ts_path_peer_configure(struct ts_path_peer *peer)
{
	const struct ts_path *path = peer->path;
	bool was_derp_only = peer->disco.derp_only;

	peer->disco.derp_only =
		!ts_path_is_direct_allowed(path) || peer->has_no_path;
	peer->disco.is_silent = path->settings.silent_disco;
	peer->disco.probes_mtu = path->config.measure_mtu;
	if (peer->disco.derp_only && !was_derp_only)
		ts_disco_peer_reset(&peer->disco);
}

void ts_path_remember(struct ts_path_peer *peer, enum ts_path_change_kind kind,
		      const struct ts_path_addr *from,
		      const struct ts_path_addr *to)
{
	struct ts_path_change change = {.kind = kind,
					.at_ms = peer->path->now_ms};

	if (from)
		change.from = *from;
	if (to)
		change.to = *to;
	ts_path_history_add(&peer->history, &change);
}

size_t ts_path_peer_changes(const struct ts_path_peer *peer,
			    struct ts_path_change out[TS_PATH_CHANGES_MAX])
{
	return ts_path_history_read(peer->history, out);
}

static void apply_config(struct ts_path_peer *peer,
			 const struct ts_path_peer_config *config,
			 uint64_t now_ms)
{
	bool use_disco = has_disco_key(peer) && !config->is_wireguard_only;
	struct ts_path_addr home = {
		.addr = ts_path_derp_addr(config->home_derp)};

	if (peer->home_derp != config->home_derp)
		ts_path_remember(peer, TS_PATH_NEW_HOME, NULL, &home);
	peer->home_derp = config->home_derp;
	peer->is_wireguard_only = config->is_wireguard_only;
	peer->disco.may_relay = use_disco && config->may_relay;
	peer->has_no_path = !use_disco && !config->is_wireguard_only;
	ts_path_peer_configure(peer);
	ts_disco_peer_set_endpoints(&peer->disco, config->endpoints,
				    config->endpoint_count, now_ms);
}

struct ts_path_peer *ts_path_peer_add(struct ts_path *path,
				      const struct ts_path_peer_config *config,
				      void *peer_ctx)
{
	struct ts_path_peer *peer = calloc(1, sizeof(*peer));

	if (!peer)
		return NULL;
	peer->path = path;
	peer->ctx = peer_ctx;
	peer->node_key = config->node_key;
	peer->disco_key = config->disco_key;
	ts_disco_peer_init(&peer->disco, &TS_PATH_DISCO_OPS, peer, false);
	if (ts_key_map_put(&path->by_node_key, &peer->node_key, peer) != 0) {
		free(peer);
		return NULL;
	}
	if (link_disco(peer) != 0) {
		ts_key_map_take(&path->by_node_key, &peer->node_key);
		free(peer);
		return NULL;
	}
	apply_config(peer, config, path->now_ms);
	return peer;
}

static void set_disco_key(struct ts_path_peer *peer,
			  const struct ts_public_key *disco_key)
{
	unlink_disco(peer);
	peer->disco_key = *disco_key;
	ts_wipe(&peer->box, sizeof(peer->box));
	peer->has_box = false;
	ts_disco_peer_reset(&peer->disco);
	ts_relay_client_cancel(&peer->path->relays, peer);
	/* Out of memory: the peer stays reachable through DERP. */
	link_disco(peer);
}

void ts_path_peer_update(struct ts_path *path, struct ts_path_peer *peer,
			 const struct ts_path_peer_config *config,
			 uint64_t now_ms)
{
	path->now_ms = now_ms;
	if (!ts_public_key_equal(&peer->disco_key, &config->disco_key)) {
		ts_path_remember(peer, TS_PATH_RESTARTED, NULL, NULL);
		set_disco_key(peer, &config->disco_key);
	}
	if (!ts_public_key_equal(&peer->node_key, &config->node_key) &&
	    ts_key_map_put(&path->by_node_key, &config->node_key, peer) == 0) {
		if (ts_path_find_node(path, &peer->node_key) == peer)
			ts_key_map_take(&path->by_node_key, &peer->node_key);
		peer->node_key = config->node_key;
		peer->route = (struct ts_derp_route){0};
	}
	apply_config(peer, config, now_ms);
	ts_path_peer_rearm(peer);
	ts_path_flush_probes(path);
}

/* Without the maps that all peers share: the router's end uses this too. */
void ts_path_peer_free(struct ts_path_peer *peer)
{
	ts_disco_peer_deinit(&peer->disco);
	ts_wipe(&peer->box, sizeof(peer->box));
	free(peer->sources);
	free(peer->history);
	free(peer);
}

void ts_path_peer_remove(struct ts_path *path, struct ts_path_peer *peer)
{
	ts_timer_heap_clear(&path->timers, &peer->timer);
	ts_path_stop_waiting(peer);
	ts_relay_client_cancel(&path->relays, peer);
	forget_sources(peer);
	unlink_disco(peer);
	if (ts_path_find_node(path, &peer->node_key) == peer)
		ts_key_map_take(&path->by_node_key, &peer->node_key);
	ts_path_peer_free(peer);
	ts_path_flush_probes(path);
}

void *ts_path_peer_ctx(const struct ts_path_peer *peer)
{
	return peer->ctx;
}
