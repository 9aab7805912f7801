/* SPDX-License-Identifier: BSD-3-Clause
 * wg_receive.c - taking apart what the network brought
 *
 * Every byte is a stranger's until a key says otherwise. The cheap checks come
 * first: type and length, mac1 (does the sender know our key?), under load
 * mac2 (does it get what we send to its address?), and only then X25519. A
 * message changes a peer's state after its last check, never before.
 *
 * An initiation is worked through on a state of its own on the stack, beside
 * our own initiation that may be under way, so two sides that start at the
 * same time both succeed instead of overwriting each other.
 */
#include "core/wireguard/wg_private.h"

#include <errno.h>
#include <string.h>

#include "core/crypto/secret.h"

enum {
	INITIATION_INTERVAL_MS = 20,
	/* Late enough that sending would have renewed it by now. */
	REKEY_ON_RECEIVE_MS = WG_REJECT_AFTER_MS - WG_KEEPALIVE_TIMEOUT_MS -
			      WG_REKEY_TIMEOUT_MS,
};

/* One received message on its way through the checks. */
struct arrival {
	const struct ts_addr *from;
	bool is_vouched; /* by a relay: from is the peer's own */
	struct ts_packet *pkt;
	uint64_t now_ms;
	struct ts_wg_peer *peer; /* once authenticated */
	uint8_t *reply;
	size_t reply_len;
};

static void send_cookie(struct ts_wg *wg, struct arrival *a)
{
	if (!ts_wg_load_may_reply(&wg->load, a->now_ms))
		return;
	ts_wg_cookie_make(&wg->checker, a->pkt->data, a->pkt->len, a->from,
			  a->now_ms, a->reply);
	a->reply_len = WG_COOKIE_REPLY_LEN;
}

/* The unauthenticated part: worth an X25519? 0, -EACCES or -EAGAIN. */
static int admit_handshake(struct ts_wg *wg, struct arrival *a)
{
	const uint8_t *msg = a->pkt->data;
	size_t len = a->pkt->len;

	if (!ts_wg_mac1_is_right(&wg->checker, msg, len))
		return -EACCES;
	if (!ts_wg_load_is_high(&wg->load, a->now_ms))
		return 0;
	if (!a->is_vouched && !ts_wg_mac2_is_right(&wg->checker, msg, len,
						   a->from, a->now_ms)) {
		send_cookie(wg, a);
		return -EAGAIN;
	}
	return ts_wg_load_allows(&wg->load, &a->from->ip, a->is_vouched,
				 a->now_ms)
		       ? 0
		       : -EAGAIN;
}

/* The claim is not proved yet: anyone can name a static key. A peer that was
 * added for a lie gets the timer that lets it be removed again. */
static struct ts_wg_peer *find_claimed(struct ts_wg *wg,
				       const struct ts_public_key *claimed,
				       uint64_t now_ms)
{
	struct ts_wg_peer *peer = ts_wg_peer_find(wg, claimed);

	if (peer)
		return peer;
	peer = wg->ops.unknown_peer(wg->ctx, claimed);
	if (peer)
		ts_wg_timer_arm(&wg->timers, &peer->timers, WG_TIMER_ZERO_KEYS,
				now_ms + WG_ZERO_KEYS_MS);
	return peer;
}

/* Replays and floods of initiations that are genuine otherwise. */
static int check_freshness(const struct ts_wg_peer *peer,
			   const uint8_t timestamp[static WG_TIMESTAMP_LEN],
			   uint64_t now_ms)
{
	if (memcmp(timestamp, peer->last_timestamp, WG_TIMESTAMP_LEN) <= 0)
		return -EPROTO;
	if (peer->got_initiation_ms != WG_NEVER &&
	    now_ms - peer->got_initiation_ms < INITIATION_INTERVAL_MS)
		return -EPROTO;
	return 0;
}

static int answer(struct ts_wg *wg, struct arrival *a,
		  const struct ts_wg_initiation *msg,
		  struct ts_wg_handshake *hs, struct ts_wg_peer *peer)
{
	uint8_t timestamp[WG_TIMESTAMP_LEN];
	int err = ts_wg_initiation_verify(&peer->remote, msg, hs, timestamp);

	if (!err)
		err = check_freshness(peer, timestamp, a->now_ms);
	if (err)
		return err;
	memcpy(peer->last_timestamp, timestamp, sizeof(timestamp));
	peer->got_initiation_ms = a->now_ms;
	peer->stats.rx_bytes += a->pkt->len;
	ts_wg_timer_disarm(&peer->timers, WG_TIMER_NEW_HANDSHAKE);
	a->peer = peer;
	return ts_wg_respond(wg, peer, hs, a->now_ms);
}

static int receive_initiation(struct ts_wg *wg, struct arrival *a)
{
	struct ts_wg_initiation msg;
	struct ts_wg_handshake hs;
	struct ts_public_key claimed;
	struct ts_wg_peer *peer;
	int err = ts_wg_read_initiation(a->pkt->data, a->pkt->len, &msg);

	if (!err)
		err = admit_handshake(wg, a);
	if (!err)
		err = ts_wg_initiation_open(&wg->id, &msg, &hs, &claimed);
	if (err)
		return err;
	peer = find_claimed(wg, &claimed, a->now_ms);
	err = peer ? answer(wg, a, &msg, &hs, peer) : -EACCES;
	ts_wipe(&hs, sizeof(hs));
	return err;
}

static int receive_response(struct ts_wg *wg, struct arrival *a)
{
	struct ts_wg_response msg;
	struct ts_wg_handshake hs;
	struct ts_wg_peer *peer;
	int err = ts_wg_read_response(a->pkt->data, a->pkt->len, &msg);

	if (!err)
		err = admit_handshake(wg, a);
	if (err)
		return err;
	peer = ts_key_map_get(&wg->handshakes, &msg.receiver);
	if (!peer)
		return -EPROTO;
	err = ts_wg_response_consume(&wg->id, &msg, &peer->handshake);
	if (err)
		return err;
	/* The index moves from the handshake to the keypair. */
	hs = peer->handshake;
	ts_wg_abandon_handshake(wg, peer);
	a->peer = peer;
	peer->stats.rx_bytes += a->pkt->len;
	ts_wg_timer_disarm(&peer->timers, WG_TIMER_NEW_HANDSHAKE);
	err = ts_wg_session_begin(wg, peer, &hs, true, a->now_ms);
	ts_wipe(&hs, sizeof(hs));
	if (err)
		return err;
	ts_wg_session_complete(wg, peer, a->now_ms);
	/* Whatever goes first under the new keys confirms them. */
	ts_wg_send_keepalive(wg, peer, a->now_ms);
	return 0;
}

/* The index is the one in our rejected message: an initiation's, or that of
 * the keypair which our response made. */
static struct ts_wg_peer *find_sender(const struct ts_wg *wg, uint32_t index)
{
	const struct ts_wg_keypair *keypair;
	struct ts_wg_peer *peer = ts_key_map_get(&wg->handshakes, &index);

	if (peer)
		return peer;
	keypair = ts_key_map_get(&wg->keypairs, &index);
	return keypair ? keypair->peer : NULL;
}

static int receive_cookie(struct ts_wg *wg, struct arrival *a)
{
	struct ts_wg_cookie_reply msg;
	struct ts_wg_peer *peer;
	int err = ts_wg_read_cookie_reply(a->pkt->data, a->pkt->len, &msg);

	if (err)
		return err;
	peer = find_sender(wg, msg.receiver);
	if (!peer)
		return -EPROTO;
	/* Whoever saw our message can make a cookie: it proves nothing about
	 * the peer, so nobody is named. */
	return ts_wg_cookie_take(&peer->jar, &msg, a->now_ms);
}

/* Checks and opens in place; *pkt becomes the padded plain text. */
static int open_transport(struct ts_wg *wg, struct arrival *a,
			  struct ts_wg_keypair **out)
{
	struct ts_wg_keypair *keypair;
	struct ts_wg_transport header;
	uint8_t nonce[TS_AEAD_NONCE_LEN];
	uint8_t *sealed = a->pkt->data + WG_TRANSPORT_HEADER_LEN;
	size_t sealed_len = a->pkt->len - WG_TRANSPORT_HEADER_LEN;

	if (ts_wg_read_transport(a->pkt->data, a->pkt->len, &header))
		return -EBADMSG;
	keypair = ts_key_map_get(&wg->keypairs, &header.receiver);
	if (!keypair || !ts_wg_keypair_can_open(keypair, a->now_ms))
		return -EPROTO;
	/* Upstream sends twice by two paths in doubt: don't decipher both. */
	if (header.counter >= WG_REJECT_AFTER_MESSAGES ||
	    !ts_wg_replay_is_fresh(&keypair->replay, header.counter)) {
		keypair->peer->stats.dropped_replay++;
		return -EALREADY;
	}
	ts_nonce_le(header.counter, nonce);
	if (ts_aead_unseal(keypair->receive, nonce, NULL, 0, sealed, sealed_len,
			   sealed)) {
		keypair->peer->stats.dropped_bad++;
		return -EACCES;
	}
	ts_wg_replay_accept(&keypair->replay, header.counter);
	keypair->peer->stats.rx_bytes += a->pkt->len;
	a->pkt->data = sealed;
	a->pkt->len = sealed_len - TS_AEAD_TAG_LEN;
	*out = keypair;
	return 0;
}

/* Once a session, so that a peer which only sends does not lose it. */
static void rekey_on_receive(struct ts_wg *wg, struct ts_wg_peer *peer,
			     uint64_t now_ms)
{
	const struct ts_wg_keypair *current = peer->keypairs.current;

	if (peer->rekeyed_on_receive || !current || !current->is_initiator ||
	    now_ms - current->created_ms <= REKEY_ON_RECEIVE_MS)
		return;
	peer->rekeyed_on_receive = true;
	ts_wg_initiate(wg, peer, WG_FIRST_TRY, now_ms);
}

static void deliver(struct ts_wg *wg, struct arrival *a)
{
	size_t inner = ts_wg_inner_len(a->pkt->data, a->pkt->len);

	if (inner == 0) {
		a->peer->stats.dropped_bad++;
		return;
	}
	a->pkt->len = inner;
	wg->ops.deliver(wg->ctx, a->peer->ctx, a->pkt);
}

static int receive_transport(struct ts_wg *wg, struct arrival *a)
{
	struct ts_wg_keypair *keypair;
	struct ts_wg_peer *peer;
	int err = open_transport(wg, a, &keypair);

	if (err)
		return err;
	a->peer = peer = keypair->peer;
	if (ts_wg_keypairs_confirm(&peer->keypairs, &wg->keypairs, keypair)) {
		ts_wg_session_complete(wg, peer, a->now_ms);
		ts_wg_send_staged(wg, peer, a->now_ms);
	}
	rekey_on_receive(wg, peer, a->now_ms);
	ts_wg_timer_disarm(&peer->timers, WG_TIMER_NEW_HANDSHAKE);
	if (a->pkt->len > 0)
		ts_wg_session_data_received(wg, peer, a->now_ms);
	return 0;
}

static int receive(struct ts_wg *wg, struct arrival *a)
{
	switch (ts_wg_read_type(a->pkt->data, a->pkt->len)) {
	case WG_INITIATION:
		return receive_initiation(wg, a);
	case WG_RESPONSE:
		return receive_response(wg, a);
	case WG_COOKIE_REPLY:
		return receive_cookie(wg, a);
	case WG_TRANSPORT:
		return receive_transport(wg, a);
	default:
		return -EBADMSG;
	}
}

int ts_wg_input(struct ts_wg *wg, const struct ts_addr *from, bool is_vouched,
		struct ts_packet *pkt, uint64_t now_ms, void **who,
		uint8_t reply[static 64], size_t *reply_len)
{
	struct arrival a = {
		.from = from, .is_vouched = is_vouched, .pkt = pkt,
		.now_ms = now_ms, .reply = reply};
	bool is_transport =
		ts_wg_read_type(pkt->data, pkt->len) == WG_TRANSPORT;
	int err = receive(wg, &a);

	*who = !err && a.peer ? a.peer->ctx : NULL;
	*reply_len = a.reply_len;
	/* Last: it may send to this peer, or even remove it. */
	if (!err && is_transport && pkt->len > 0)
		deliver(wg, &a);
	return err;
}
