/* SPDX-License-Identifier: BSD-3-Clause
 * wg_session.c - what each step of a peer's sessions means for its timers
 *
 * Sessions live 180 s. Their initiator renews them: with the first packet
 * sent after 120 s, or once with one received after 165 s. So a silent tunnel
 * costs nothing and a busy one never stops. Whoever received data and had
 * nothing to send for 10 s sends an empty packet; whoever sent data and heard
 * nothing for 15 s takes the session for dead and starts over. An initiation
 * is repeated every 5 s, 20 times, then what waits is dropped. 540 s after the
 * last session all keys are wiped.
 * Source: the WireGuard paper, section 6; wireguard-go device/timers.go
 */
#include "core/wireguard/wg_private.h"

#include <errno.h>

#include "core/base/log.h"
#include "core/crypto/secret.h"

uint32_t ts_wg_jitter_ms(void)
{
	return ts_random_below(WG_REKEY_JITTER_MS);
}

/* Not before: its tables are megabytes that an idle node does not touch. */
static void start_aead(struct ts_wg *wg)
{
	wg->aead_unit = ts_aead_unit_new();
	log_debug("wg: packets are sealed by %s",
		  wg->aead_unit ? "libipsec-mb" : "OpenSSL and libsodium");
}

int ts_wg_session_begin(struct ts_wg *wg, struct ts_wg_peer *peer,
			struct ts_wg_handshake *hs, bool is_initiator,
			uint64_t now_ms)
{
	struct ts_wg_session_keys keys;
	struct ts_wg_keypair *keypair;

	if (!wg->aead_unit)
		start_aead(wg);
	ts_wg_handshake_split(hs, is_initiator, &keys);
	keypair = ts_wg_keypair_new(wg->aead_unit, &keys, hs, is_initiator,
				    now_ms);
	ts_wipe(&keys, sizeof(keys));
	if (!keypair)
		return -ENOMEM;
	keypair->peer = peer;
	peer->jitter_ms = ts_wg_jitter_ms();
	ts_wg_timer_arm(&wg->timers, &peer->timers, WG_TIMER_ZERO_KEYS,
			now_ms + WG_ZERO_KEYS_MS);
	return ts_wg_keypairs_install(&peer->keypairs, &wg->keypairs, keypair);
}

void ts_wg_session_complete(struct ts_wg *wg, struct ts_wg_peer *peer,
			    uint64_t now_ms)
{
	char id[TS_KEY_SHORT_CAP];

	log_debug("wg-%s: session up: %s",
		  ts_public_key_short(&peer->remote.public, id),
		  peer->keypairs.current->is_initiator ? "we initiated"
						       : "peer initiated");
	/* Both sides started at once: one session is enough. */
	ts_wg_abandon_handshake(wg, peer);
	ts_wg_timer_disarm(&peer->timers, WG_TIMER_RETRANSMIT);
	peer->tries = 0;
	peer->rekeyed_on_receive = false;
	peer->stats.last_handshake_ms = now_ms;
	if (wg->ops.session_up)
		wg->ops.session_up(wg->ctx, peer->ctx);
}

void ts_wg_session_data_received(struct ts_wg *wg, struct ts_wg_peer *peer,
				 uint64_t now_ms)
{
	if (ts_wg_timer_is_armed(&peer->timers, WG_TIMER_KEEPALIVE))
		peer->needs_another_keepalive = true;
	else
		ts_wg_timer_arm(&wg->timers, &peer->timers, WG_TIMER_KEEPALIVE,
				now_ms + WG_KEEPALIVE_TIMEOUT_MS);
}

void ts_wg_session_data_sent(struct ts_wg *wg, struct ts_wg_peer *peer,
			     uint64_t now_ms)
{
	if (!ts_wg_timer_is_armed(&peer->timers, WG_TIMER_NEW_HANDSHAKE))
		ts_wg_timer_arm(&wg->timers, &peer->timers,
				WG_TIMER_NEW_HANDSHAKE,
				now_ms + WG_KEEPALIVE_TIMEOUT_MS +
					WG_REKEY_TIMEOUT_MS + peer->jitter_ms);
}

void ts_wg_session_forget(struct ts_wg *wg, struct ts_wg_peer *peer)
{
	ts_wg_keypairs_clear(&peer->keypairs, &wg->keypairs);
	ts_wg_abandon_handshake(wg, peer);
	ts_wg_staged_clear(peer);
	for (int i = 0; i < WG_TIMER_COUNT; i++)
		ts_wg_timer_disarm(&peer->timers, (enum ts_wg_timer)i);
	peer->tries = 0;
	peer->needs_another_keepalive = false;
}

static void give_up(struct ts_wg *wg, struct ts_wg_peer *peer, uint64_t now_ms)
{
	char id[TS_KEY_SHORT_CAP];

	log_info("wg-%s: no answer to %u initiations, %zu packets dropped",
		 ts_public_key_short(&peer->remote.public, id), peer->tries,
		 peer->staged_count);
	ts_wg_timer_disarm(&peer->timers, WG_TIMER_KEEPALIVE);
	ts_wg_staged_clear(peer);
	if (!ts_wg_timer_is_armed(&peer->timers, WG_TIMER_ZERO_KEYS))
		ts_wg_timer_arm(&wg->timers, &peer->timers, WG_TIMER_ZERO_KEYS,
				now_ms + WG_ZERO_KEYS_MS);
}

static void retransmit(struct ts_wg *wg, struct ts_wg_peer *peer,
		       uint64_t now_ms)
{
	if (peer->tries >= WG_HANDSHAKE_TRIES)
		give_up(wg, peer, now_ms);
	else
		ts_wg_initiate(wg, peer, WG_RETRY, now_ms);
}

static void keepalive(struct ts_wg *wg, struct ts_wg_peer *peer,
		      uint64_t now_ms)
{
	ts_wg_send_keepalive(wg, peer, now_ms);
	if (!peer->needs_another_keepalive)
		return;
	peer->needs_another_keepalive = false;
	ts_wg_timer_arm(&wg->timers, &peer->timers, WG_TIMER_KEEPALIVE,
			now_ms + WG_KEEPALIVE_TIMEOUT_MS);
}

static void zero_keys(struct ts_wg *wg, struct ts_wg_peer *peer)
{
	/* A handshake is under way: its end, either way, arms this again. */
	if (ts_wg_timer_is_armed(&peer->timers, WG_TIMER_RETRANSMIT)) {
		ts_wg_keypairs_clear(&peer->keypairs, &wg->keypairs);
		return;
	}
	ts_wg_session_forget(wg, peer);
	if (wg->ops.idle)
		wg->ops.idle(wg->ctx, peer->ctx);
}

void ts_wg_session_expire(struct ts_wg *wg, struct ts_wg_peer *peer,
			  enum ts_wg_timer which, uint64_t now_ms)
{
	switch (which) {
	case WG_TIMER_RETRANSMIT:
		retransmit(wg, peer, now_ms);
		break;
	case WG_TIMER_KEEPALIVE:
		keepalive(wg, peer, now_ms);
		break;
	case WG_TIMER_NEW_HANDSHAKE:
		ts_wg_initiate(wg, peer, WG_FIRST_TRY, now_ms);
		break;
	case WG_TIMER_ZERO_KEYS:
		zero_keys(wg, peer);
		break;
	case WG_TIMER_COUNT:
		break;
	}
}
