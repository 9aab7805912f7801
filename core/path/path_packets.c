/* SPDX-License-Identifier: BSD-3-Clause
 * path_packets.c - WireGuard packets out and in
 *
 * Out: the best UDP path; DERP as well, or alone, while that path is not
 * trusted; an initiation off DERP that we answer ends the trust. The receiver's
 * replay window absorbs the twins. In: whose packet it
 * is, as far as the source tells; WireGuard has the last word.
 */
#include <errno.h>
#include <string.h>

#include "core/base/log.h"
#include "core/path/path_internal.h"

static void count(struct ts_traffic *traffic, enum ts_way way, size_t len)
{
	traffic->packets[way]++;
	traffic->bytes[way] += len;
}

/* By UDP. */
static enum ts_way way_of(const struct ts_path_addr *addr)
{
	bool is_v4 = ts_ip_is_v4(&addr->addr.ip);

	if (addr->vni)
		return is_v4 ? TS_WAY_RELAY4 : TS_WAY_RELAY6;
	return is_v4 ? TS_WAY_DIRECT4 : TS_WAY_DIRECT6;
}

void ts_path_traffic(const struct ts_path *path, struct ts_path_traffic *out)
{
	*out = (struct ts_path_traffic){
		.in = path->in,
		.out = path->out,
		.dropped_unknown = path->dropped_unknown,
		.dropped_disco = path->dropped_disco,
	};
}

/* -- out ------------------------------------------------------------------ */

void ts_path_send_udp(struct ts_path *path, const struct ts_path_addr *to,
		      const struct ts_geneve *header, struct ts_packet *pkt)
{
	struct ts_packet whole = *pkt;

	if (to->vni != 0) {
		struct ts_writer w;

		whole.data -= DISCO_GENEVE_LEN;
		whole.len += DISCO_GENEVE_LEN;
		w = ts_writer_init(whole.data, DISCO_GENEVE_LEN);
		if (ts_geneve_write(&w, header) != 0)
			return;
	}
	path->ops->udp_send(path->ctx, &to->addr, whole.data, whole.len);
}

static void send_wireguard(struct ts_path *path, const struct ts_path_addr *to,
			   struct ts_packet *pkt)
{
	struct ts_geneve header = {
		.proto = GENEVE_PROTO_WIREGUARD,
		.vni = to->vni,
	};

	count(&path->out, way_of(to), pkt->len);
	ts_path_send_udp(path, to, &header, pkt);
}

int ts_path_send_derp(struct ts_path_peer *peer, struct ts_packet *pkt)
{
	struct ts_path *path = peer->path;

	return ts_derp_pool_send(&path->pool, peer->home_derp, &peer->route,
				 &peer->node_key, pkt, path->now_ms);
}

static int relay_wireguard(struct ts_path_peer *peer, struct ts_packet *pkt)
{
	size_t len = pkt->len;
	int err = ts_path_send_derp(peer, pkt);

	if (!err)
		count(&peer->path->out, TS_WAY_DERP, len);
	return err;
}

/* No disco there to find out what works: stay with an endpoint that answers,
 * move on from one that does not. */
static int send_plain(struct ts_path_peer *peer, const struct ts_packet *pkt)
{
	struct ts_path *path = peer->path;
	const struct ts_path_addr *to;
	uint64_t now_ms = path->now_ms;
	const struct ts_disco_peer *disco = &peer->disco;

	if (disco->candidates.count == 0)
		return -EHOSTUNREACH;
	if (peer->plain_since_ms == 0)
		peer->plain_since_ms = now_ms;
	if (now_ms >= peer->plain_since_ms + PATH_PLAIN_TRY_MS &&
	    now_ms >= peer->plain_heard_ms + PATH_PLAIN_HEARD_MS) {
		peer->plain_index++;
		peer->plain_since_ms = now_ms;
	}
	peer->plain_index %= disco->candidates.count;
	to = &disco->candidates.at[peer->plain_index].to;
	count(&path->out, way_of(to), pkt->len);
	path->ops->udp_send(path->ctx, &to->addr, pkt->data, pkt->len);
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
		return ts_path_is_direct_allowed(path) ? send_plain(peer, pkt)
						       : -EHOSTUNREACH;
	/* Who begins anew has another port; where it was, nobody listens. */
	if (peer == path->caller)
		ts_disco_peer_doubt(&peer->disco);
	ts_disco_peer_sent(&peer->disco, now_ms);
	if (ts_is_wg_initiation(pkt->data, pkt->len))
		ts_disco_peer_ask(&peer->disco, now_ms);
	ts_path_peer_rearm(peer);
	is_trusted = ts_disco_peer_is_trusted(&peer->disco, now_ms);
	has_udp = ts_path_addr_is_set(best);
	if (has_udp)
		send_wireguard(path, best, pkt);
	if (is_trusted)
		return 0;
	err = relay_wireguard(peer, pkt);
	return has_udp ? 0 : err;
}

bool ts_path_is_derp(const struct ts_path_addr *from)
{
	struct ts_addr derp = ts_path_derp_addr(0);

	return ts_ip_equal(&from->addr.ip, &derp.ip);
}

void ts_path_answer(struct ts_path *path, struct ts_path_peer *peer,
		    const struct ts_path_addr *to, struct ts_packet *pkt,
		    uint64_t now_ms)
{
	path->now_ms = now_ms;
	if (!ts_path_is_derp(to))
		send_wireguard(path, to, pkt);
	else if (peer)
		relay_wireguard(peer, pkt);
}

/* -- in ------------------------------------------------------------------- */

static void input_wireguard(struct ts_path *path,
			    const struct ts_path_addr *from,
			    struct ts_packet *pkt)
{
	struct ts_path_peer *peer = ts_path_find_source(path, from);

	count(&path->in, way_of(from), pkt->len);
	if (peer)
		peer->plain_heard_ms = path->now_ms;
	path->ops->wireguard(path->ctx, peer, from, pkt);
}

/* Through a peer relay. Whatever its header says, only a message that the
 * relay itself has sealed is a handshake. */
static void input_relayed(struct ts_path *path, const struct ts_addr *addr,
			  struct ts_packet *pkt)
{
	struct ts_reader r = ts_reader_init(pkt->data, pkt->len);
	struct ts_path_addr from = {.addr = *addr};
	struct ts_packet inner;
	struct ts_geneve header;

	if (ts_geneve_read(&r, &header) != 0)
		return;
	from.vni = header.vni;
	inner = (struct ts_packet){
		.data = pkt->data + DISCO_GENEVE_LEN,
		.len = pkt->len - DISCO_GENEVE_LEN,
		.stays = pkt->stays,
	};
	if (header.proto == GENEVE_PROTO_WIREGUARD)
		input_wireguard(path, &from, &inner);
	else if (header.control)
		ts_path_relay_input(path, &from, inner.data, inner.len);
	else
		ts_path_disco_input_udp(path, &from, inner.data, inner.len);
}

static void input_stun(struct ts_path *path, const struct ts_addr *from,
		       const struct ts_packet *pkt)
{
	char text[TS_ADDR_TEXT_CAP];
	uint64_t count;

	if (ts_netcheck_input(&path->netcheck, pkt->data, pkt->len,
			      path->now_ms))
		return;
	count = ts_flood_count(&path->stun_flood, PATH_FLOOD_PER_S,
			       path->now_ms);
	if (count)
		log_warn("path: flood of STUN answers that nobody asked for: "
			 "%llu, the last from %s", (unsigned long long)count,
			 ts_addr_format(from, text));
}

void ts_path_input_udp(struct ts_path *path, const struct ts_addr *from,
		       struct ts_packet *pkt, uint64_t now_ms)
{
	struct ts_path_addr direct = {.addr = *from};
	enum ts_datagram_kind kind = ts_datagram_kind(pkt->data, pkt->len);

	path->now_ms = now_ms;
	if (path->settings.tcp_only)
		path->dropped_unknown++;
	else if (kind == DATAGRAM_STUN)
		input_stun(path, from, pkt);
	else if (!ts_path_is_direct_allowed(path))
		path->dropped_unknown++;
	else if (kind == DATAGRAM_DISCO)
		ts_path_disco_input_udp(path, &direct, pkt->data, pkt->len);
	else if (kind == DATAGRAM_WIREGUARD)
		input_wireguard(path, &direct, pkt);
	else
		input_relayed(path, from, pkt);
	ts_path_flush_probes(path);
}

void ts_path_heard(struct ts_path_peer *peer, const struct ts_path_addr *from,
		   uint64_t now_ms)
{
	ts_disco_peer_heard(&peer->disco, from, now_ms);
	ts_path_peer_rearm(peer);
}

void ts_path_learn(struct ts_path *path, struct ts_path_peer *peer,
		   const struct ts_path_addr *from, uint64_t now_ms)
{
	path->now_ms = now_ms;
	peer->plain_heard_ms = now_ms;
	if (!ts_path_is_derp(from))
		ts_path_add_source(peer, from);
}

static struct ts_path_peer *find_sender(struct ts_path *path,
					const struct ts_public_key *src)
{
	struct ts_path_peer *peer = ts_path_find_node(path, src);

	return peer ? peer : path->ops->unknown_sender(path->ctx, src);
}

static void derp_wireguard(struct ts_path *path, struct ts_path_peer *peer,
			   int region, const uint8_t *data, size_t len)
{
	struct ts_path_addr from = {.addr = ts_path_derp_addr(region)};
	/* It will be opened in place: a copy with room around it. */
	struct ts_packet pkt = {
		.data = path->rx_buf + TS_PACKET_HEADROOM,
		.len = len,
	};

	count(&path->in, TS_WAY_DERP, len);
	memcpy(pkt.data, data, len);
	path->caller = ts_is_wg_initiation(data, len) ? peer : NULL;
	path->ops->wireguard(path->ctx, peer, &from, &pkt);
	path->caller = NULL;
}

void ts_path_map_changed(struct ts_path *path, uint64_t now_ms)
{
	path->now_ms = now_ms;
	for (size_t i = 0; i < EARLY_CALLERS_MAX; i++) {
		struct ts_early_caller *caller =
			ts_early_callers_at(&path->early, i, now_ms);
		struct ts_path_peer *peer =
			caller ? find_sender(path, &caller->node_key) : NULL;

		if (!peer)
			continue;
		caller->is_waiting = false;
		peer->route = ts_derp_pool_route(&path->pool, caller->region);
		derp_wireguard(path, peer, caller->region, caller->initiation,
			       sizeof(caller->initiation));
	}
}

static void drop_stranger(struct ts_path *path, int region,
			  const struct ts_public_key *src)
{
	uint64_t count = ts_flood_count(&path->derp_flood, PATH_FLOOD_PER_S,
					path->now_ms);
	char name[TS_KEY_SHORT_CAP];

	path->dropped_unknown++;
	if (count)
		log_warn("derp-%d: flood of packets of nodes that are no peers "
			 "of ours: %llu dropped, the last of %s", region,
			 (unsigned long long)count,
			 ts_public_key_short(src, name));
}

void ts_path_derp_packet(void *ctx, int region, const struct ts_public_key *src,
			 const uint8_t *data, size_t len, uint64_t now_ms)
{
	struct ts_path *path = ctx;
	struct ts_path_peer *peer;

	path->now_ms = now_ms;
	peer = find_sender(path, src);
	if (!peer) {
		if (!ts_early_callers_keep(&path->early, region, src, data,
					   len, now_ms))
			drop_stranger(path, region, src);
		return;
	}
	peer->route = ts_derp_pool_route(&path->pool, region);
	if (ts_disco_is_packet(data, len))
		ts_path_disco_input_derp(peer, region, data, len);
	else
		derp_wireguard(path, peer, region, data, len);
}
