/* SPDX-License-Identifier: BSD-3-Clause
 * relay_handshake.c - one handshake with a peer relay, and the first ping
 */
#include "core/path/relay_handshake.h"

#include <errno.h>
#include <string.h>

#include "core/crypto/secret.h"

enum { NS_PER_MS = 1000000 };

static struct ts_disco_message bind_message(const struct ts_relay_handshake *h,
					    enum ts_disco_type type)
{
	return (struct ts_disco_message){
		.type = type,
		.bind_relay = {
			.vni = h->endpoint.vni,
			.generation = h->generation,
			.remote_key = h->pair.peer_disco,
		},
	};
}

static uint64_t lifetime_ms(const struct ts_disco_relay_endpoint *endpoint)
{
	uint64_t ms = endpoint->bind_lifetime_ns / NS_PER_MS;

	return ms < RELAY_HANDSHAKE_MAX_MS ? ms : RELAY_HANDSHAKE_MAX_MS;
}

int ts_relay_handshake_start(struct ts_relay_handshake *h, uint64_t now_ms)
{
	struct ts_disco_message msg = bind_message(h, DISCO_BIND_RELAY);
	const struct ts_disco_endpoints *addrs = &h->endpoint.addrs;
	size_t sent = 0;

	if (h->ops->init_box(h->ctx, &h->endpoint.server_disco, &h->box))
		return -EACCES;
	for (size_t i = 0; i < addrs->count && sent < RELAY_BIND_ADDRS_MAX;
	     i++) {
		struct ts_path_addr to = {
			.addr = addrs->addrs[i],
			.vni = h->endpoint.vni,
		};

		if (!ts_path_is_pingable(&to.addr))
			continue;
		h->ops->send_bind(h->ctx, &h->box, &to, &msg);
		sent++;
	}
	h->end_ms = now_ms + lifetime_ms(&h->endpoint);
	return sent > 0 ? 0 : -EADDRNOTAVAIL;
}

/* Pings of the peer make pings of ours, hence the limit. */
static void send_ping(struct ts_relay_handshake *h, uint64_t now_ms)
{
	struct ts_relay_ping *ping;

	if (h->ping_count == RELAY_PINGS_MAX)
		return;
	ping = &h->pings[h->ping_count++];
	ts_random_bytes(ping->tx_id, sizeof(ping->tx_id));
	ping->sent_ms = now_ms;
	h->ops->send_ping(h->ctx, h->pair.peer, &h->via, ping->tx_id);
}

void ts_relay_handshake_challenge(struct ts_relay_handshake *h,
				  const struct ts_path_addr *from,
				  const struct ts_disco_bind_relay *challenge,
				  uint64_t now_ms)
{
	struct ts_disco_message msg = bind_message(h, DISCO_BIND_RELAY_ANSWER);

	if (ts_path_addr_is_set(&h->via) ||
	    challenge->vni != h->endpoint.vni ||
	    !ts_public_key_equal(&challenge->remote_key, &h->pair.peer_disco))
		return;
	h->via = *from;
	memcpy(msg.bind_relay.challenge, challenge->challenge,
	       DISCO_CHALLENGE_LEN);
	h->ops->send_bind(h->ctx, &h->box, from, &msg);
	send_ping(h, now_ms);
}

void ts_relay_handshake_ping(struct ts_relay_handshake *h, uint64_t now_ms)
{
	if (ts_path_addr_is_set(&h->via))
		send_ping(h, now_ms);
}

bool ts_relay_handshake_pong(const struct ts_relay_handshake *h,
			     const uint8_t tx_id[static DISCO_TX_ID_LEN],
			     uint64_t now_ms, uint64_t *latency_us)
{
	for (size_t i = 0; i < h->ping_count; i++) {
		const struct ts_relay_ping *ping = &h->pings[i];

		if (memcmp(ping->tx_id, tx_id, DISCO_TX_ID_LEN) != 0)
			continue;
		*latency_us = (now_ms - ping->sent_ms) * 1000;
		return true;
	}
	return false;
}
