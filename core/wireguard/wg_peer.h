/* SPDX-License-Identifier: BSD-3-Clause
 * wg_peer.h - what the device knows of one peer, and its staged packets
 */
#ifndef CORE_WIREGUARD_WG_PEER_H
#define CORE_WIREGUARD_WG_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/packet.h"
#include "core/wireguard/wg_cookie.h"
#include "core/wireguard/wg_device.h"
#include "core/wireguard/wg_keypairs.h"
#include "core/wireguard/wg_noise.h"
#include "core/wireguard/wg_timers.h"

enum { WG_STAGED_MAX = 128 };

struct ts_wg_staged;

struct ts_wg_peer {
	struct ts_wg_timers timers; /* first: the heap's entries are peers */
	void *ctx;
	struct ts_wg_remote remote;
	struct ts_wg_cookie_jar jar;
	struct ts_wg_keypairs keypairs;

	struct ts_wg_handshake handshake; /* ours; local_index 0: none */
	uint64_t sent_handshake_ms;       /* initiation or response */
	uint64_t got_initiation_ms;
	uint8_t last_timestamp[WG_TIMESTAMP_LEN]; /* accepted from the peer */
	unsigned tries;     /* initiations sent without an answer */
	uint32_t jitter_ms; /* of this session's 15 s timer */
	bool rekeyed_on_receive;
	bool needs_another_keepalive;

	/* Packets that wait for a session; over WG_STAGED_MAX the oldest is
	 * dropped. */
	struct ts_wg_staged *staged_first, *staged_last;
	size_t staged_count;

	struct ts_wg_peer_stats stats; /* has_session: filled when asked */
};

/* NULL when out of memory or when the key is of low order. */
struct ts_wg_peer *ts_wg_peer_new(const struct ts_wg_identity *id,
				  const struct ts_public_key *key, void *ctx);
/* Keypairs, handshake and timers were taken off their tables before. */
void ts_wg_peer_free(struct ts_wg_peer *peer);

void ts_wg_stage(struct ts_wg_peer *peer, const struct ts_packet *pkt);
/* The oldest staged packet, with headroom and tailroom, NULL when none; it
 * is the caller's until ts_wg_staged_free(). */
struct ts_wg_staged *ts_wg_staged_take(struct ts_wg_peer *peer,
				       struct ts_packet *out);
void ts_wg_staged_free(struct ts_wg_staged *staged);
void ts_wg_staged_clear(struct ts_wg_peer *peer); /* counts them as dropped */

#endif
