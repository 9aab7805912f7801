/* SPDX-License-Identifier: BSD-3-Clause
 * path_disco.c - disco messages out and in
 *
 * Nothing is believed before its box has opened with the key of a peer that
 * the netmap knows. Through DERP the server vouches for the sender's node key,
 * and the disco key must be that node's; by UDP the disco key leads to the
 * nodes, and a ping's node key must be one of theirs.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/log.h"
#include "core/crypto/secret.h"
#include "core/path/path_internal.h"

/* -- out ------------------------------------------------------------------ */

/* The buffer that a sealed message is made in has room for DERP's header. */
enum { DISCO_TX_CAP = TS_PACKET_HEADROOM + DISCO_WRITE_CAP };

int ts_path_disco_seal(const struct ts_path *path, const struct ts_box *box,
		       const struct ts_disco_message *msg, uint8_t *out,
		       size_t *len)
{
	uint8_t payload[DISCO_WRITE_PAYLOAD_CAP];
	struct ts_writer w = ts_writer_init(payload, sizeof(payload));
	struct ts_writer sealed = ts_writer_init(out, DISCO_WRITE_CAP);
	int err = ts_disco_write(&w, msg);

	if (!err)
		err = ts_disco_seal(&sealed, &path->disco_public, box, payload,
				    w.len);
	*len = sealed.len;
	return err;
}

void ts_path_disco_send(struct ts_path_peer *peer,
			const struct ts_path_addr *to,
			const struct ts_disco_message *msg)
{
	struct ts_path *path = peer->path;
	const struct ts_box *box = ts_path_peer_box(peer);
	struct ts_geneve header = {.proto = GENEVE_PROTO_DISCO};
	uint8_t buf[DISCO_TX_CAP];
	struct ts_packet pkt = {.data = buf + TS_PACKET_HEADROOM};
	int err = -EACCES;

	if (box)
		err = ts_path_disco_seal(path, box, msg, pkt.data, &pkt.len);
	if (!err && to) {
		header.vni = to->vni;
		ts_path_send_udp(path, to, &header, &pkt);
	} else if (!err) {
		err = ts_path_send_derp(peer, &pkt);
	}
	if (err)
		path->dropped_disco++;
}

/* In one piece or not at all, as the size is what it asks about. */
static void send_sized(struct ts_path_peer *peer, const struct ts_addr *to,
		       const struct ts_disco_message *msg)
{
	struct ts_path *path = peer->path;
	const struct ts_box *box = ts_path_peer_box(peer);
	uint8_t buf[DISCO_WRITE_CAP];
	size_t len;

	if (box && ts_path_disco_seal(path, box, msg, buf, &len) == 0)
		path->ops->udp_send_whole(path->ctx, to, buf, len);
	else
		path->dropped_disco++;
}

static void send_ping(void *ctx, const struct ts_path_addr *to,
		      const uint8_t tx_id[DISCO_TX_ID_LEN], size_t wire)
{
	struct ts_path_peer *peer = ctx;
	struct ts_disco_message msg = {.type = DISCO_PING};

	memcpy(msg.ping.tx_id, tx_id, DISCO_TX_ID_LEN);
	msg.ping.node_key = peer->path->node_public;
	if (wire != 0 && to)
		wire = ts_path_mtu_payload(wire, !ts_ip_is_v4(&to->addr.ip));
	if (wire > DISCO_PING_LEN)
		msg.ping.padding_len = wire - DISCO_PING_LEN;
	if (wire != 0 && to && to->vni == 0)
		send_sized(peer, &to->addr, &msg);
	else
		ts_path_disco_send(peer, to, &msg);
}

static void send_pong(struct ts_path_peer *peer, const struct ts_path_addr *to,
		      const uint8_t *tx_id, const struct ts_addr *seen)
{
	struct ts_disco_message msg = {.type = DISCO_PONG};

	memcpy(msg.pong.tx_id, tx_id, DISCO_TX_ID_LEN);
	msg.pong.src = *seen;
	ts_path_disco_send(peer, to, &msg);
}

/* -- CallMeMaybe ---------------------------------------------------------- */

_Static_assert((int)ENDPOINTS_MAX <= (int)DISCO_ENDPOINTS_MAX,
	       "all our endpoints fit in a CallMeMaybe");

static void send_call_me_maybe_now(struct ts_path_peer *peer)
{
	const struct ts_endpoints *e = &peer->path->endpoints;
	struct ts_disco_message msg = {.type = DISCO_CALL_ME_MAYBE};

	memcpy(msg.call_me_maybe.addrs, e->addrs,
	       e->count * sizeof(e->addrs[0]));
	msg.call_me_maybe.count = e->count;
	ts_path_disco_send(peer, NULL, &msg);
}

/* With stale endpoints it would open the wrong doors: check first. */
static void send_call_me_maybe(void *ctx)
{
	struct ts_path_peer *peer = ctx;
	struct ts_path *path = peer->path;

	if (path->now_ms < path->endpoints.fresh_until_ms) {
		send_call_me_maybe_now(peer);
		return;
	}
	if (!peer->is_waiting) {
		peer->is_waiting = true;
		peer->next_waiting = path->waiting;
		path->waiting = peer;
	}
	ts_path_check_network(path, false);
}

void ts_path_send_waiting(struct ts_path *path)
{
	while (path->waiting) {
		struct ts_path_peer *peer = path->waiting;

		path->waiting = peer->next_waiting;
		peer->is_waiting = false;
		send_call_me_maybe_now(peer);
	}
}

void ts_path_stop_waiting(struct ts_path_peer *peer)
{
	struct ts_path_peer **link = &peer->path->waiting;

	if (!peer->is_waiting)
		return;
	while (*link != peer)
		link = &(*link)->next_waiting;
	*link = peer->next_waiting;
	peer->is_waiting = false;
}

/* -- news from disco_peer ------------------------------------------------- */

static void best_changed(void *ctx, const struct ts_path_addr *best)
{
	struct ts_path_peer *peer = ctx;
	char name[TS_KEY_SHORT_CAP], text[TS_PATH_ADDR_TEXT_CAP];

	ts_path_remember(peer, best ? TS_PATH_NEW_BEST : TS_PATH_LOST,
			 &peer->last_best, best);
	peer->last_best = best ? *best : (struct ts_path_addr){0};
	ts_public_key_short(&peer->node_key, name);
	if (best)
		log_info("path-%s: now using %s", name,
			 ts_path_addr_format(best, text));
	else
		log_info("path-%s: path lost, DERP only", name);
}

static void candidate_added(void *ctx, const struct ts_path_addr *to)
{
	ts_path_remember(ctx, TS_PATH_NEW_CANDIDATE, NULL, to);
}

static void mtu_changed(void *ctx)
{
	struct ts_path_peer *peer = ctx;
	struct ts_path *path = peer->path;
	size_t mtu = ts_disco_peer_mtu(&peer->disco);
	char name[TS_KEY_SHORT_CAP];

	log_info("path-%s: carries packets of %zu bytes",
		 ts_public_key_short(&peer->node_key, name), mtu);
	if (path->ops->peer_mtu_changed)
		path->ops->peer_mtu_changed(path->ctx, peer, mtu);
}

/* Whether our own addresses are still the same is found out before they are
 * told; and what the relay is good for is better known now than when its
 * connection times out. */
static void trust_ended(void *ctx)
{
	const struct ts_path_peer *peer = ctx;
	char name[TS_KEY_SHORT_CAP], text[TS_PATH_ADDR_TEXT_CAP];

	log_debug("path-%s: nothing comes by %s, DERP as well",
		  ts_public_key_short(&peer->node_key, name),
		  ts_path_addr_format(&peer->disco.best.to, text));
	ts_path_doubt_network(peer->path);
}

static void moved(void *ctx)
{
	struct ts_path_peer *peer = ctx;
	struct ts_path *path = peer->path;

	if (path->ops->peer_moved)
		path->ops->peer_moved(path->ctx, peer);
}

static void relay_is_quiet(void *ctx)
{
	struct ts_path_peer *peer = ctx;

	ts_derp_pool_doubt(&peer->path->pool, peer->path->now_ms);
}

static bool discover_relays(void *ctx)
{
	return ts_path_discover_relays(ctx);
}

static void probe_done(void *ctx, struct ts_disco_probe *probe)
{
	struct ts_path_peer *peer = ctx;

	probe->next = peer->path->finished;
	peer->path->finished = probe;
}

void ts_path_flush_probes(struct ts_path *path)
{
	while (path->finished) {
		struct ts_disco_probe *probe = path->finished;

		path->finished = probe->next;
		probe->fn(probe->fn_ctx, probe->err, probe->latency_us,
			  &probe->to, probe->is_derp);
		free(probe);
	}
}

const struct ts_disco_ops TS_PATH_DISCO_OPS = {
	.send_ping = send_ping,
	.send_call_me_maybe = send_call_me_maybe,
	.discover_relays = discover_relays,
	.trust_ended = trust_ended,
	.moved = moved,
	.relay_is_quiet = relay_is_quiet,
	.mtu_changed = mtu_changed,
	.best_changed = best_changed,
	.candidate_added = candidate_added,
	.probe_done = probe_done,
};

/* -- in ------------------------------------------------------------------- */

int ts_path_disco_open(struct ts_path *path, struct ts_path_peer *peer,
		       const struct ts_path_addr *from, const uint8_t *pkt,
		       size_t len, const struct ts_box *box,
		       struct ts_disco_message *msg)
{
	uint8_t payload[DISCO_PAYLOAD_MAX_LEN];
	size_t payload_len;
	int err;

	err = ts_disco_unseal(pkt, len, box, payload, &payload_len);
	if (!err && from && path->ops->disco_seen)
		path->ops->disco_seen(path->ctx, peer, from, payload,
				      payload_len);
	return err ? err : ts_disco_read(payload, payload_len, msg);
}

void ts_path_disco_drop(struct ts_path *path, const struct ts_path_addr *from)
{
	uint64_t count = ts_flood_count(&path->disco_flood, PATH_FLOOD_PER_S,
					path->now_ms);
	char text[TS_PATH_ADDR_TEXT_CAP];

	path->dropped_disco++;
	if (count)
		log_warn("path: flood of discovery messages that no peer has "
			 "sealed: %llu dropped, the last from %s",
			 (unsigned long long)count,
			 ts_path_addr_format(from, text));
}

static bool is_from_node(const struct ts_disco_ping *ping,
			 const struct ts_path_peer *peer)
{
	return ts_public_key_is_zero(&ping->node_key) ||
	       ts_public_key_equal(&ping->node_key, &peer->node_key);
}

static void drop_ping(struct ts_path_peer *peer)
{
	uint64_t count = ts_flood_count(&peer->ping_flood, PATH_FLOOD_PER_S,
					peer->path->now_ms);
	char name[TS_KEY_SHORT_CAP];

	if (count)
		log_warn("path-%s: flood of discovery pings: %llu not answered",
			 ts_public_key_short(&peer->node_key, name),
			 (unsigned long long)count);
}

/* from NULL: through DERP. */
static void got_ping(struct ts_path_peer *peer, const struct ts_path_addr *from,
		     const struct ts_addr *seen,
		     const struct ts_disco_ping *ping)
{
	uint64_t dropped = peer->disco.dropped_pongs;

	if (ts_disco_peer_got_ping(&peer->disco, from, ping->tx_id,
				   peer->path->now_ms))
		send_pong(peer, from, ping->tx_id, seen);
	else if (peer->disco.dropped_pongs != dropped)
		drop_ping(peer);
}

void ts_path_disco_input_derp(struct ts_path_peer *peer, int region,
			      const uint8_t *pkt, size_t len)
{
	struct ts_path *path = peer->path;
	const struct ts_box *box = ts_path_peer_box(peer);
	struct ts_path_addr from = {.addr = ts_path_derp_addr(region)};
	struct ts_disco_message msg;
	struct ts_public_key sender;

	ts_disco_read_sender(pkt, &sender);
	if (!box || !ts_public_key_equal(&sender, &peer->disco_key) ||
	    ts_path_disco_open(path, peer, &from, pkt, len, box, &msg) != 0) {
		path->dropped_disco++;
		return;
	}
	if (msg.type == DISCO_PING && is_from_node(&msg.ping, peer))
		got_ping(peer, NULL, &from.addr, &msg.ping);
	else if (msg.type == DISCO_PONG)
		ts_disco_peer_got_pong(&peer->disco, true, msg.pong.tx_id,
				       path->now_ms);
	else if (msg.type == DISCO_CALL_ME_MAYBE)
		ts_disco_peer_got_call_me_maybe(
			&peer->disco, &msg.call_me_maybe, path->now_ms);
	else if (!ts_path_relay_message(peer, &msg))
		path->dropped_disco++;
	ts_path_peer_rearm(peer);
}

/* A disco key that no peer of the router has. Making its box costs as much as
 * a handshake, so only so many a second; and only a key that can seal is
 * looked up, so that nobody can wake peers with keys that he overheard. */
static struct ts_path_peer *wake_stranger(struct ts_path *path,
					  const struct ts_public_key *sender,
					  const uint8_t *pkt, size_t len)
{
	struct ts_disco_message msg;
	struct ts_path_peer *peer = NULL;
	struct ts_box box;

	if (!path->has_strangers)
		ts_token_bucket_init(&path->strangers, PATH_STRANGERS_PER_S,
				     PATH_STRANGERS_BURST, path->now_ms);
	path->has_strangers = true;
	if (!path->ops->unknown_disco ||
	    !ts_token_bucket_take(&path->strangers, 1, path->now_ms))
		return NULL;
	if (ts_box_init(&box, &path->config.disco_key, sender) == 0 &&
	    ts_path_disco_open(path, NULL, NULL, pkt, len, &box, &msg) == 0)
		peer = path->ops->unknown_disco(path->ctx, sender);
	ts_wipe(&box, sizeof(box));
	if (peer && !ts_public_key_equal(&peer->disco_key, sender))
		return NULL;
	return peer;
}

/* By UDP the ping tells which of the disco key's nodes it is. */
static struct ts_path_peer *node_of_ping(struct ts_path_peer *first,
					 const struct ts_disco_ping *ping)
{
	while (first && !is_from_node(ping, first))
		first = first->next_same_disco;
	return first;
}

/* Of a path in use, of a candidate, or of a handshake with a relay. */
static bool take_pong(struct ts_path_peer *peer,
		      const struct ts_path_addr *from,
		      const struct ts_disco_pong *pong)
{
	struct ts_path *path = peer->path;

	if (ts_disco_peer_got_pong(&peer->disco, false, pong->tx_id,
				   path->now_ms))
		return true;
	return from->vni != 0 &&
	       ts_relay_client_pong(&path->relays, peer, from, pong->tx_id,
				    path->now_ms);
}

static void got_pong_udp(struct ts_path_peer *peer,
			 const struct ts_path_addr *from,
			 const struct ts_disco_pong *pong)
{
	for (; peer; peer = peer->next_same_disco)
		if (take_pong(peer, from, pong)) {
			ts_path_add_source(peer, from);
			ts_path_peer_rearm(peer);
			return;
		}
}

static void got_ping_udp(struct ts_path_peer *peer,
			 const struct ts_path_addr *from,
			 const struct ts_disco_ping *ping)
{
	struct ts_path *path = peer->path;

	got_ping(peer, from, &from->addr, ping);
	if (from->vni != 0)
		ts_relay_client_ping(&path->relays, peer, from, path->now_ms);
	ts_path_add_source(peer, from);
	ts_path_peer_rearm(peer);
}

void ts_path_disco_input_udp(struct ts_path *path,
			     const struct ts_path_addr *from,
			     const uint8_t *pkt, size_t len)
{
	struct ts_disco_message msg;
	struct ts_public_key sender;
	const struct ts_box *box;
	struct ts_path_peer *peer;

	ts_disco_read_sender(pkt, &sender);
	peer = ts_path_find_disco(path, &sender);
	/* Who comes through a relay has told us so through DERP. */
	if (!peer && from->vni == 0)
		peer = wake_stranger(path, &sender, pkt, len);
	box = peer ? ts_path_peer_box(peer) : NULL;
	if (!box ||
	    ts_path_disco_open(path, peer, from, pkt, len, box, &msg) != 0) {
		ts_path_disco_drop(path, from);
		return;
	}
	if (msg.type == DISCO_PONG) {
		got_pong_udp(peer, from, &msg.pong);
		return;
	}
	if (msg.type == DISCO_PING)
		peer = node_of_ping(peer, &msg.ping);
	if (msg.type == DISCO_PING && peer)
		got_ping_udp(peer, from, &msg.ping);
	else
		ts_path_disco_drop(path, from); /* others come by DERP only */
}
