/* SPDX-License-Identifier: BSD-3-Clause
 * path_packets.c - WireGuard packets out and in
 *
 * Out: the best UDP path; DERP as well, or alone, while that path is not
 * trusted. The receiver's replay window absorbs the twins. In: whose packet it
 * is, as far as the source tells; WireGuard has the last word.
 */
#include <errno.h>
#include <string.h>

#include "core/path/path_internal.h"

/* -- out ----------------------------------------------------------------- */

int ts_path_send_derp(struct ts_path_peer *peer, struct ts_packet *pkt)
{
	struct ts_path *path = peer->path;

	return ts_derp_pool_send(&path->pool, peer->home_derp, &peer->route,
				 &peer->node_key, pkt, path->now_ms);
}

/* No disco there to find out what works: stay with an endpoint that answers,
 * move on from one that does not. */
static int send_plain(struct ts_path_peer *peer, const struct ts_packet *pkt)
{
	struct ts_path *path = peer->path;
	uint64_t now_ms = path->now_ms;
	const struct ts_disco_peer *disco = &peer->disco;

	if (disco->candidate_count == 0)
		return -EHOSTUNREACH;
	if (peer->plain_since_ms == 0)
		peer->plain_since_ms = now_ms;
	if (now_ms >= peer->plain_since_ms + PATH_PLAIN_TRY_MS &&
	    now_ms >= peer->plain_heard_ms + PATH_PLAIN_HEARD_MS) {
		peer->plain_index++;
		peer->plain_since_ms = now_ms;
	}
	peer->plain_index %= disco->candidate_count;
	path->ops->udp_send(path->ctx,
			    &disco->candidates[peer->plain_index].to.addr,
			    pkt->data, pkt->len);
	return 0;
}

int ts_path_send(struct ts_path *path, struct ts_path_peer *peer,
		 struct ts_packet *pkt, uint64_t now_ms)
{
	const struct ts_path_addr *best = &peer->disco.best.to;
	bool is_trusted, has_udp;
	int err;

	path->now_ms = now_ms;
	peer->last_send_ms = now_ms;
	ts_path_note_activity(path);
	if (peer->is_wireguard_only)
		return path->config.disable_direct ? -EHOSTUNREACH
						   : send_plain(peer, pkt);
	ts_disco_peer_sent(&peer->disco, now_ms);
	ts_path_peer_rearm(peer);
	is_trusted = ts_disco_peer_is_trusted(&peer->disco, now_ms);
	has_udp = ts_path_addr_is_set(best);
	if (has_udp)
		path->ops->udp_send(path->ctx, &best->addr, pkt->data,
				    pkt->len);
	if (is_trusted)
		return 0;
	err = ts_path_send_derp(peer, pkt);
	return has_udp ? 0 : err;
}

/* -- in ------------------------------------------------------------------ */

static void input_wireguard(struct ts_path *path, const struct ts_addr *from,
			    struct ts_packet *pkt)
{
	struct ts_path_peer *peer = ts_path_find_source(path, from);

	if (peer)
		peer->plain_heard_ms = path->now_ms;
	path->ops->wireguard(path->ctx, peer, from, pkt);
}

void ts_path_input_udp(struct ts_path *path, const struct ts_addr *from,
		       struct ts_packet *pkt, uint64_t now_ms)
{
	enum ts_datagram_kind kind = ts_datagram_kind(pkt->data, pkt->len);

	path->now_ms = now_ms;
	if (kind == DATAGRAM_STUN)
		ts_netcheck_input(&path->netcheck, pkt->data, pkt->len, now_ms);
	else if (path->config.disable_direct)
		path->dropped_unknown++;
	else if (kind == DATAGRAM_DISCO)
		ts_path_disco_input_udp(path, from, pkt->data, pkt->len);
	else if (kind == DATAGRAM_WIREGUARD)
		input_wireguard(path, from, pkt);
	else
		path->dropped_unknown++; /* a peer relay's: we asked none */
	ts_path_flush_probes(path);
}

void ts_path_learn(struct ts_path *path, struct ts_path_peer *peer,
		   const struct ts_addr *from, uint64_t now_ms)
{
	struct ts_addr derp = ts_path_derp_addr(0);

	path->now_ms = now_ms;
	peer->plain_heard_ms = now_ms;
	if (!ts_ip_equal(&from->ip, &derp.ip))
		ts_path_add_source(peer, from);
}

void ts_path_derp_packet(void *ctx, int region, const struct ts_public_key *src,
			 const uint8_t *data, size_t len, uint64_t now_ms)
{
	struct ts_path *path = ctx;
	struct ts_path_peer *peer = ts_path_find_node(path, src);
	struct ts_addr from = ts_path_derp_addr(region);
	struct ts_packet pkt;

	path->now_ms = now_ms;
	if (!peer)
		peer = path->ops->unknown_sender(path->ctx, src);
	if (!peer) {
		path->dropped_unknown++;
		return;
	}
	peer->route = ts_derp_pool_route(&path->pool, region);
	if (ts_disco_is_packet(data, len)) {
		ts_path_disco_input_derp(peer, region, data, len);
		return;
	}
	/* It will be opened in place: a copy with room around it. */
	pkt = (struct ts_packet){
		.data = path->rx_buf + TS_PACKET_HEADROOM,
		.len = len,
	};
	memcpy(pkt.data, data, len);
	path->ops->wireguard(path->ctx, peer, &from, &pkt);
}
