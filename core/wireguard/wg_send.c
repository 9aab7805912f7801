/* SPDX-License-Identifier: BSD-3-Clause
 * wg_send.c - making messages for a peer
 *
 * A data packet is sealed where it lies: header in front, padding and tag
 * behind, no copy and no allocation. Timers are moved before the packet is
 * handed on, so that whatever the path layer does finds them right.
 */
#include "core/wireguard/wg_private.h"

#include <errno.h>
#include <string.h>

#include "core/base/err.h"
#include "core/base/log.h"
#include "core/crypto/secret.h"

enum { INNER_MAX = 65535 };

static const uint64_t TIMESTAMP_STEP_NS = 1 << 24;

static void send_packet(struct ts_wg *wg, struct ts_wg_peer *peer,
			struct ts_packet *pkt)
{
	ts_wg_timer_disarm(&peer->timers, WG_TIMER_KEEPALIVE);
	peer->stats.tx_bytes += pkt->len;
	wg->ops.send(wg->ctx, peer->ctx, pkt);
}

/* A handshake message: short, so on the stack with the room around it. */
static void send_handshake(struct ts_wg *wg, struct ts_wg_peer *peer,
			   const uint8_t *msg, size_t len, uint64_t now_ms)
{
	uint8_t buf[TS_PACKET_HEADROOM + WG_INITIATION_LEN +
		    TS_PACKET_TAILROOM];
	struct ts_packet pkt = {.data = buf + TS_PACKET_HEADROOM, .len = len};

	memcpy(pkt.data, msg, len);
	ts_wg_macs_add(&peer->jar, pkt.data, len, now_ms);
	peer->sent_handshake_ms = now_ms;
	send_packet(wg, peer, &pkt);
}

/* Strictly later than the last one, even if the wall clock was set back:
 * peers refuse what is not. */
static void take_timestamp(struct ts_wg *wg,
			   uint8_t out[static WG_TIMESTAMP_LEN])
{
	uint64_t ns = wg->ops.wall_clock_ns(wg->ctx);

	if (ns < wg->last_wall_ns + TIMESTAMP_STEP_NS)
		ns = wg->last_wall_ns + TIMESTAMP_STEP_NS;
	wg->last_wall_ns = ns;
	ts_wg_timestamp(ns, out);
}

static int create_initiation(struct ts_wg *wg, struct ts_wg_peer *peer,
			     uint8_t out[static WG_INITIATION_LEN])
{
	uint8_t timestamp[WG_TIMESTAMP_LEN];
	struct ts_wg_initiation msg;
	uint32_t index = ts_wg_new_index(wg);
	int err;

	ts_wg_abandon_handshake(wg, peer);
	if (ts_key_map_put(&wg->handshakes, &index, peer))
		return -ENOMEM;
	take_timestamp(wg, timestamp);
	err = ts_wg_initiation_create(&wg->id, &peer->remote, index, timestamp,
				      &peer->handshake, &msg);
	if (err) {
		ts_key_map_take(&wg->handshakes, &index);
		return err;
	}
	ts_wg_write_initiation(&msg, out);
	return 0;
}

void ts_wg_initiate(struct ts_wg *wg, struct ts_wg_peer *peer,
		    enum ts_wg_why why, uint64_t now_ms)
{
	uint8_t msg[WG_INITIATION_LEN];
	uint64_t sent_ms = peer->sent_handshake_ms;
	int err;

	if (why == WG_FIRST_TRY)
		peer->tries = 0;
	if (sent_ms != WG_NEVER && now_ms - sent_ms < WG_REKEY_TIMEOUT_MS) {
		/* Too early. If nothing else will try again, we do. */
		if (!ts_wg_timer_is_armed(&peer->timers, WG_TIMER_RETRANSMIT))
			ts_wg_timer_arm(&wg->timers, &peer->timers,
					WG_TIMER_RETRANSMIT,
					sent_ms + WG_REKEY_TIMEOUT_MS +
						ts_wg_jitter_ms());
		return;
	}
	peer->tries++;
	ts_wg_timer_arm(&wg->timers, &peer->timers, WG_TIMER_RETRANSMIT,
			now_ms + WG_REKEY_TIMEOUT_MS + ts_wg_jitter_ms());
	err = create_initiation(wg, peer, msg);
	if (err)
		log_warn("wg: no initiation made: %s", ts_strerror(err));
	else
		send_handshake(wg, peer, msg, sizeof(msg), now_ms);
}

int ts_wg_respond(struct ts_wg *wg, struct ts_wg_peer *peer,
		  struct ts_wg_handshake *hs, uint64_t now_ms)
{
	uint8_t bytes[WG_RESPONSE_LEN];
	struct ts_wg_response msg;
	int err = ts_wg_response_create(&peer->remote, ts_wg_new_index(wg), hs,
					&msg);

	if (!err)
		err = ts_wg_session_begin(wg, peer, hs, false, now_ms);
	if (err)
		return err;
	ts_wg_write_response(&msg, bytes);
	send_handshake(wg, peer, bytes, sizeof(bytes), now_ms);
	return 0;
}

/* Only who initiated renews by age, so that not both do. */
static bool is_due_for_rekey(const struct ts_wg_keypair *keypair,
			     uint64_t now_ms)
{
	return keypair->send_counter > WG_REKEY_AFTER_MESSAGES ||
	       (keypair->is_initiator &&
		now_ms - keypair->created_ms > WG_REKEY_AFTER_MS);
}

static size_t pad(struct ts_packet *pkt)
{
	size_t padded = (pkt->len + WG_PADDING - 1) / WG_PADDING * WG_PADDING;

	memset(pkt->data + pkt->len, 0, padded - pkt->len);
	return padded;
}

static void seal_and_send(struct ts_wg *wg, struct ts_wg_peer *peer,
			  struct ts_packet *pkt, uint64_t now_ms)
{
	struct ts_wg_keypair *keypair = peer->keypairs.current;
	struct ts_wg_transport header = {keypair->remote_index,
					 keypair->send_counter++};
	struct ts_packet sealed = {.data = pkt->data - WG_TRANSPORT_HEADER_LEN};
	uint8_t nonce[TS_AEAD_NONCE_LEN];
	size_t padded = pad(pkt);

	ts_nonce_le(header.counter, nonce);
	ts_aead_seal(keypair->send, nonce, NULL, 0, pkt->data, padded,
		     pkt->data);
	ts_wg_write_transport(&header, sealed.data);
	sealed.len = WG_TRANSPORT_HEADER_LEN + padded + TS_AEAD_TAG_LEN;
	if (pkt->len > 0)
		ts_wg_session_data_sent(wg, peer, now_ms);
	send_packet(wg, peer, &sealed);
	if (is_due_for_rekey(keypair, now_ms))
		ts_wg_initiate(wg, peer, WG_FIRST_TRY, now_ms);
}

void ts_wg_send_staged(struct ts_wg *wg, struct ts_wg_peer *peer,
		       uint64_t now_ms)
{
	struct ts_wg_staged *staged;
	struct ts_packet pkt;

	while (ts_wg_keypair_can_seal(peer->keypairs.current, now_ms) &&
	       (staged = ts_wg_staged_take(peer, &pkt))) {
		seal_and_send(wg, peer, &pkt, now_ms);
		ts_wg_staged_free(staged);
	}
}

void ts_wg_send_keepalive(struct ts_wg *wg, struct ts_wg_peer *peer,
			  uint64_t now_ms)
{
	uint8_t buf[TS_PACKET_HEADROOM + TS_PACKET_TAILROOM];
	struct ts_packet empty = {.data = buf + TS_PACKET_HEADROOM};

	if (!ts_wg_keypair_can_seal(peer->keypairs.current, now_ms))
		ts_wg_initiate(wg, peer, WG_FIRST_TRY, now_ms);
	else if (peer->staged_count > 0)
		ts_wg_send_staged(wg, peer, now_ms);
	else
		seal_and_send(wg, peer, &empty, now_ms);
}

void ts_wg_send(struct ts_wg *wg, struct ts_wg_peer *peer,
		struct ts_packet *pkt, uint64_t now_ms)
{
	if (pkt->len == 0 || pkt->len > INNER_MAX)
		return;
	if (ts_wg_keypair_can_seal(peer->keypairs.current, now_ms)) {
		seal_and_send(wg, peer, pkt, now_ms);
		return;
	}
	ts_wg_stage(peer, pkt);
	ts_wg_initiate(wg, peer, WG_FIRST_TRY, now_ms);
}
