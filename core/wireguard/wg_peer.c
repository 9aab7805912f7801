/* SPDX-License-Identifier: BSD-3-Clause
 * wg_peer.c - what the device knows of one peer, and its staged packets
 *
 * Only packets that find no session are staged, so this is the one place of
 * the data path that allocates.
 */
#include "core/wireguard/wg_peer.h"

#include <stdlib.h>
#include <string.h>

#include "core/crypto/secret.h"

struct ts_wg_staged {
	struct ts_wg_staged *next;
	size_t len;
	uint8_t buf[]; /* headroom, len bytes, tailroom */
};

struct ts_wg_peer *ts_wg_peer_new(const struct ts_wg_identity *id,
				  const struct ts_public_key *key, void *ctx)
{
	struct ts_wg_peer *peer = calloc(1, sizeof(*peer));

	if (!peer)
		return NULL;
	if (ts_wg_remote_init(&peer->remote, id, key)) {
		free(peer);
		return NULL;
	}
	peer->ctx = ctx;
	peer->sent_handshake_ms = peer->got_initiation_ms = WG_NEVER;
	ts_wg_timers_init(&peer->timers);
	ts_wg_cookie_jar_init(&peer->jar, key);
	return peer;
}

void ts_wg_peer_free(struct ts_wg_peer *peer)
{
	ts_wg_staged_clear(peer);
	ts_wipe(peer, sizeof(*peer));
	free(peer);
}

static void drop_oldest(struct ts_wg_peer *peer)
{
	struct ts_packet pkt;

	ts_wg_staged_free(ts_wg_staged_take(peer, &pkt));
	peer->stats.dropped_staged++;
}

void ts_wg_stage(struct ts_wg_peer *peer, const struct ts_packet *pkt)
{
	struct ts_wg_staged *s;

	if (peer->staged_count == WG_STAGED_MAX)
		drop_oldest(peer);
	s = malloc(sizeof(*s) + TS_PACKET_HEADROOM + pkt->len +
		   TS_PACKET_TAILROOM);
	if (!s) {
		peer->stats.dropped_staged++;
		return;
	}
	s->next = NULL;
	s->len = pkt->len;
	memcpy(s->buf + TS_PACKET_HEADROOM, pkt->data, pkt->len);
	if (peer->staged_last)
		peer->staged_last->next = s;
	else
		peer->staged_first = s;
	peer->staged_last = s;
	peer->staged_count++;
}

struct ts_wg_staged *ts_wg_staged_take(struct ts_wg_peer *peer,
				       struct ts_packet *out)
{
	struct ts_wg_staged *s = peer->staged_first;

	if (!s)
		return NULL;
	peer->staged_first = s->next;
	if (!peer->staged_first)
		peer->staged_last = NULL;
	peer->staged_count--;
	*out = (struct ts_packet){.data = s->buf + TS_PACKET_HEADROOM,
				  .len = s->len};
	return s;
}

/* It holds a program's plain text. */
void ts_wg_staged_free(struct ts_wg_staged *staged)
{
	ts_wipe(staged->buf, TS_PACKET_HEADROOM + staged->len);
	free(staged);
}

void ts_wg_staged_clear(struct ts_wg_peer *peer)
{
	while (peer->staged_first)
		drop_oldest(peer);
}
