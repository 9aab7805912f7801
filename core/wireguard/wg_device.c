/* SPDX-License-Identifier: BSD-3-Clause
 * wg_device.c - the tables of a WireGuard device
 *
 * Theory of operation. A packet of the netstack comes in by ts_wg_send(). With
 * a session it is sealed where it lies and goes out; without one it is staged
 * and an initiation goes out instead. What the network brings comes in by
 * ts_wg_input(): handshake messages move the peer's state, transport messages
 * are opened where they lie and delivered. A message names its recipient by a
 * 32-bit index that the recipient chose, so finding the session needs neither
 * the source address nor a search. Everything that happens by itself (try
 * again, keep alive, forget) happens in ts_wg_tick().
 *
 * Nothing here knows endpoints. A peer is found by its key, and the path
 * layer decides per packet how to reach it.
 */
#include "core/wireguard/wg_device.h"

#include <stdlib.h>
#include <string.h>

#include "core/crypto/secret.h"
#include "core/wireguard/wg_private.h"

/* An initiation that was sent just now may still be answered. */
enum { MOVED_PATIENCE_MS = 200 };

struct ts_wg *ts_wg_new(const struct ts_private_key *node_key,
			const struct ts_wg_ops *ops, void *ctx)
{
	struct ts_wg *wg = calloc(1, sizeof(*wg));

	if (!wg)
		return NULL;
	wg->ops = *ops;
	wg->ctx = ctx;
	ts_wg_identity_init(&wg->id, node_key);
	ts_wg_cookie_checker_init(&wg->checker, &wg->id.public);
	ts_wg_load_init(&wg->load);
	ts_key_map_init(&wg->peers, TS_KEY_LEN, ts_random_u64());
	ts_key_map_init(&wg->handshakes, sizeof(uint32_t), ts_random_u64());
	ts_key_map_init(&wg->keypairs, sizeof(uint32_t), ts_random_u64());
	return wg;
}

uint32_t ts_wg_new_index(const struct ts_wg *wg)
{
	uint32_t index;

	do {
		index = ts_random_u32();
	} while (index == 0 || ts_key_map_get(&wg->handshakes, &index) ||
		 ts_key_map_get(&wg->keypairs, &index));
	return index;
}

void ts_wg_abandon_handshake(struct ts_wg *wg, struct ts_wg_peer *peer)
{
	if (peer->handshake.local_index != 0)
		ts_key_map_take(&wg->handshakes, &peer->handshake.local_index);
	ts_wipe(&peer->handshake, sizeof(peer->handshake));
}

static void free_peer(struct ts_wg *wg, struct ts_wg_peer *peer)
{
	ts_wg_keypairs_clear(&peer->keypairs, &wg->keypairs);
	ts_wg_abandon_handshake(wg, peer);
	ts_wg_timers_remove(&wg->timers, &peer->timers);
	ts_wg_peer_free(peer);
}

void ts_wg_free(struct ts_wg *wg)
{
	struct ts_wg_peer *peer;
	size_t pos = 0;

	if (!wg)
		return;
	while ((peer = ts_key_map_next(&wg->peers, &pos)))
		free_peer(wg, peer);
	ts_key_map_deinit(&wg->peers);
	ts_key_map_deinit(&wg->handshakes);
	ts_key_map_deinit(&wg->keypairs);
	ts_wg_timer_heap_deinit(&wg->timers);
	ts_wg_load_deinit(&wg->load);
	ts_aead_unit_free(wg->aead_unit);
	ts_wipe(wg, sizeof(*wg));
	free(wg);
}

void ts_wg_set_key(struct ts_wg *wg, const struct ts_private_key *node_key)
{
	struct ts_wg_peer *peer;
	size_t pos = 0;

	ts_wg_identity_init(&wg->id, node_key);
	ts_wg_cookie_checker_init(&wg->checker, &wg->id.public);
	while ((peer = ts_key_map_next(&wg->peers, &pos))) {
		struct ts_public_key key = peer->remote.public;

		ts_wg_session_forget(wg, peer);
		/* The key was good when the peer was added, and whether it is
		 * does not depend on ours. */
		ts_wg_remote_init(&peer->remote, &wg->id, &key);
		peer->sent_handshake_ms = WG_NEVER;
	}
}

size_t ts_wg_staged(const struct ts_wg *wg, uint64_t patience_ms,
		    uint64_t now_ms)
{
	const struct ts_wg_peer *peer;
	size_t pos = 0, total = 0;

	while ((peer = ts_key_map_next(&wg->peers, &pos)))
		if (peer->tries <= 1 && peer->sent_handshake_ms != WG_NEVER &&
		    now_ms - peer->sent_handshake_ms < patience_ms)
			total += peer->staged_count;
	return total;
}

struct ts_wg_peer *ts_wg_peer_add(struct ts_wg *wg,
				  const struct ts_public_key *key,
				  void *peer_ctx)
{
	struct ts_wg_peer *peer = ts_wg_peer_find(wg, key);

	if (peer) {
		peer->ctx = peer_ctx;
		return peer;
	}
	if (ts_public_key_equal(key, &wg->id.public) ||
	    ts_wg_timer_heap_reserve(&wg->timers, wg->peers.len + 1))
		return NULL;
	peer = ts_wg_peer_new(&wg->id, key, peer_ctx);
	if (peer && ts_key_map_put(&wg->peers, key, peer)) {
		ts_wg_peer_free(peer);
		peer = NULL;
	}
	return peer;
}

void ts_wg_peer_remove(struct ts_wg *wg, struct ts_wg_peer *peer)
{
	ts_key_map_take(&wg->peers, &peer->remote.public);
	free_peer(wg, peer);
}

void ts_wg_peer_restarted(struct ts_wg *wg, struct ts_wg_peer *peer,
			  uint64_t now_ms)
{
	if (peer->keypairs.current)
		peer->keypairs.current->send_counter =
			WG_REJECT_AFTER_MESSAGES;
	/* Our last initiation was another's: it does not hold up this one. */
	peer->sent_handshake_ms = WG_NEVER;
	if (peer->staged_count > 0)
		ts_wg_initiate(wg, peer, WG_FIRST_TRY, now_ms);
}

void ts_wg_peer_moved(struct ts_wg *wg, struct ts_wg_peer *peer,
		      uint64_t now_ms)
{
	if (!ts_wg_timer_is_armed(&peer->timers, WG_TIMER_RETRANSMIT) ||
	    now_ms < peer->sent_handshake_ms + MOVED_PATIENCE_MS)
		return;
	peer->sent_handshake_ms = WG_NEVER;
	ts_wg_initiate(wg, peer, WG_FIRST_TRY, now_ms);
}

struct ts_wg_peer *ts_wg_peer_find(const struct ts_wg *wg,
				   const struct ts_public_key *key)
{
	return ts_key_map_get(&wg->peers, key);
}

uint64_t ts_wg_deadline_ms(const struct ts_wg *wg)
{
	return ts_wg_timer_heap_deadline_ms(&wg->timers);
}

void ts_wg_tick(struct ts_wg *wg, uint64_t now_ms)
{
	struct ts_wg_timers *timers;
	enum ts_wg_timer which;

	while ((timers = ts_wg_timer_heap_expire(&wg->timers, now_ms, &which)))
		ts_wg_session_expire(wg, (struct ts_wg_peer *)timers, which,
				     now_ms);
}

void ts_wg_peer_stats(const struct ts_wg_peer *peer,
		      struct ts_wg_peer_stats *out)
{
	*out = peer->stats;
	out->has_session = peer->keypairs.current != NULL;
}
