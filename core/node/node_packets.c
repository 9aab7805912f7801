/* SPDX-License-Identifier: BSD-3-Clause
 * node_packets.c - the way of a packet
 *
 * Out: stack -> filter (remembers the flow) -> route -> WireGuard -> path.
 * In:  path -> WireGuard -> is the source address this peer's? -> filter ->
 *      TSMP here, everything else to the stack.
 * Packets are handed on in place; nobody keeps them.
 */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "core/base/err.h"
#include "core/base/log.h"
#include "core/filter/ip_proto.h"
#include "core/node/node_internal.h"

enum { UNSENT_PATIENCE_MS = 1000 };

/* -- routes --------------------------------------------------------------- */
bool node_is_self(const struct ts_node *node, const struct ts_ip *ip)
{
	const struct ts_netmap *map = ts_node_netmap(node);

	for (size_t i = 0; map->self && i < map->self->address_count; i++) {
		if (ts_ip_equal(&map->self->addresses[i].ip, ip))
			return true;
	}
	return false;
}

static bool is_service(const struct ts_ip *ip)
{
	return ts_ip_equal(ip, &TS_SERVICE_IP) ||
	       ts_ip_equal(ip, &TS_SERVICE_IP6);
}

enum ts_route ts_node_route(const struct ts_node *node, const struct ts_ip *ip,
			    const struct ts_peer **peer)
{
	struct ts_peer *found = NULL;
	enum ts_route route = TS_ROUTE_HOST;

	if (is_service(ip)) {
		route = TS_ROUTE_SERVICE;
	} else if (node_is_self(node, ip)) {
		route = TS_ROUTE_SELF;
	} else if ((found = node_peer_for(node, ip))) {
		route = node_peer_is_usable(node, found) ? TS_ROUTE_PEER
							 : TS_ROUTE_NONE;
	} else if (ts_ip_is_tailscale(ip) || node_exit_covers(node, ip)) {
		route = TS_ROUTE_NONE;
	}
	if (peer)
		*peer = found;
	return route;
}

size_t ts_node_unsent(const struct ts_node *node, uint64_t now_ms)
{
	return ts_wg_staged(node->wg, UNSENT_PATIENCE_MS, now_ms);
}

const struct ts_peer *ts_node_whois(const struct ts_node *node,
				    const struct ts_ip *ip)
{
	if (node_is_self(node, ip))
		return ts_node_netmap(node)->self;
	return node_owner_of(node, ip);
}

/* -- out ------------------------------------------------------------------ */
void node_send_ip(struct ts_node *node, struct ts_peer *peer,
		  struct ts_packet *pkt, const struct ts_packet_header *h)
{
	struct node_peer *np = node_peer_get(node, peer);

	if (!np)
		return;
	node_masq_out(node, peer, pkt, h);
	ts_wg_send(node->wg, np->wg, pkt, node->now_ms);
}

static void on_stack_output(void *ctx, struct ts_packet *pkt)
{
	struct ts_node *node = ctx;
	struct ts_packet_header h;
	struct ts_peer *peer;

	if (node->io.now_ms)
		node->now_ms = node->io.now_ms(node->io_ctx);
	if (ts_packet_header_read(pkt->data, pkt->len, &h))
		return;
	if (node->capture)
		node_capture_out(node, TS_CAPTURE_FROM_LOCAL,
				 node_peer_for(node, &h.dst), pkt->data,
				 pkt->len);
	if (ts_filter_out(node->filter, &h) == TS_DROP) {
		node_count_drop(node->dropped_out, &h);
		return;
	}
	if (is_service(&h.dst))
		return;
	peer = node_peer_for(node, &h.dst);
	if (peer)
		node_send_ip(node, peer, pkt, &h);
}

static uint8_t *on_stack_room(void *ctx, size_t len)
{
	const struct ts_node *node = ctx;

	return node->io.udp_room ? node->io.udp_room(node->io_ctx, len) : NULL;
}

static void on_wg_send(void *ctx, void *peer_ctx, struct ts_packet *pkt)
{
	struct ts_node *node = ctx;
	struct node_peer *np = peer_ctx;
	int err = ts_path_send(node->path, np->path, pkt, node->now_ms);

	if (!err)
		return;
	node->dropped_out[TS_DROPPED_ERROR]++;
	if (ts_log_allowed(&node->drop_log, node->now_ms))
		log_debug("peer-%s: packet of %zu bytes dropped: %s",
			  np->peer->name, pkt->len, ts_strerror(err));
}

/* -- in ------------------------------------------------------------------- */
static void translate_and_capture(struct ts_node *node,
				  const struct ts_peer *peer,
				  struct ts_packet *pkt,
				  struct ts_packet_header *h)
{
	struct ts_ip before = h->dst;

	node_masq_in(node, peer, pkt, h);
	node_capture_in(node, peer, pkt,
			ts_ip_equal(&before, &h->dst) ? NULL : &before);
}

/* The PeerAPI is at our own addresses, not at those that we route. */
static uint16_t peerapi_port_at(const struct ts_node *node,
				const struct ts_packet_header *h)
{
	return h->proto == IPPROTO_TCP &&
			       (h->tcp_flags & (TCP_FLAG_SYN | TCP_FLAG_ACK)) ==
				       TCP_FLAG_SYN &&
			       node_is_self(node, &h->dst)
		       ? ts_node_peerapi_port(node, !ts_ip_is_v4(&h->dst))
		       : 0;
}

static void on_wg_deliver(void *ctx, void *peer_ctx, struct ts_packet *pkt)
{
	struct ts_node *node = ctx;
	struct node_peer *np = peer_ctx;
	struct ts_packet_header h;

	if (ts_packet_header_read(pkt->data, pkt->len, &h)) {
		node->dropped_in[TS_DROPPED_TOO_SHORT]++;
		return;
	}
	if (!node_peer_may_send_from(node, np->peer, &h.src)) {
		node->dropped_source++;
		if (ts_log_allowed(&node->drop_log, node->now_ms))
			log_debug("peer-%s: dropped a packet with a source "
				  "that is not its own", np->peer->name);
		return;
	}
	if (node->capture)
		translate_and_capture(node, np->peer, pkt, &h);
	else
		node_masq_in(node, np->peer, pkt, &h);
	switch (ts_filter_in(node->filter, &h, np->peer,
			     peerapi_port_at(node, &h))) {
	case TS_ACCEPT:
		if (pkt->stays)
			stack_input_staying(node->stack, pkt->data, pkt->len,
					    node->now_ms);
		else
			stack_input(node->stack, pkt->data, pkt->len,
				    node->now_ms);
		break;
	case TS_TSMP:
		node_tsmp_input(node, np, &h, pkt);
		break;
	case TS_REJECT_ACL:
		node_count_drop(node->dropped_in, &h);
		node_tsmp_reject(node, np, &h);
		break;
	case TS_DROP:
		node_count_drop(node->dropped_in, &h);
		break;
	}
}

/* Through DERP the server says which peer it is, and each has its own share of
 * our patience under load. */
static bool is_vouched_for(const struct ts_path_peer *peer,
			   const struct ts_path_addr *from,
			   struct ts_addr *source)
{
	const struct node_peer *np = peer ? ts_path_peer_ctx(peer) : NULL;

	if (!np || !ts_path_is_derp(from) || np->peer->address_count == 0)
		return false;
	source->ip = np->peer->addresses[0].ip;
	return true;
}

static void tell_refused(struct ts_node *node, const struct ts_path_addr *from,
			 int err)
{
	bool is_load = err == -EAGAIN;
	uint64_t count =
		is_load ? ts_flood_count(&node->handshake_flood,
					 NODE_HANDSHAKE_FLOOD_PER_S,
					 node->now_ms)
			: ts_flood_count(&node->stray_flood,
					 NODE_STRAY_FLOOD_PER_S, node->now_ms);
	char text[TS_PATH_ADDR_TEXT_CAP];

	if (count)
		log_warn("wireguard: flood of %s: %llu, the last from %s%s",
			 is_load ? "handshake messages"
				 : "packets of no session",
			 (unsigned long long)count,
			 ts_path_addr_format(from, text),
			 is_load ? "; each sender has to prove its address"
				 : "");
}

void node_path_input(void *ctx, struct ts_path_peer *peer,
		     const struct ts_path_addr *from, struct ts_packet *pkt)
{
	struct ts_node *node = ctx;
	uint8_t buf[TS_PACKET_HEADROOM + 64 + TS_PACKET_TAILROOM];
	struct ts_packet reply = {.data = buf + TS_PACKET_HEADROOM};
	void *who = NULL;
	struct ts_addr source = from->addr;
	bool is_vouched = is_vouched_for(peer, from, &source);
	int err;

	node->heard_from = from;
	err = ts_wg_input(node->wg, &source, is_vouched, pkt, node->now_ms,
			  &who, reply.data, &reply.len);
	node->heard_from = NULL;
	if (who) {
		struct node_peer *np = who;

		ts_path_heard(np->path, from, node->now_ms);
		if (np->path != peer)
			ts_path_learn(node->path, np->path, from, node->now_ms);
		return;
	}
	if (reply.len > 0)
		ts_path_answer(node->path, peer, from, &reply, node->now_ms);
	if (err && err != -EALREADY)
		tell_refused(node, from, err);
}

static struct ts_wg_peer *on_unknown_peer(void *ctx,
					  const struct ts_public_key *key)
{
	struct ts_node *node = ctx;
	struct ts_peer *peer =
		ts_netmap_peer_by_key(ts_node_netmap(node), key);
	struct node_peer *np = peer ? node_peer_get(node, peer) : NULL;

	return np ? np->wg : NULL;
}

static void on_session_up(void *ctx, void *peer_ctx)
{
	struct ts_node *node = ctx;
	struct node_peer *np = peer_ctx;

	np->last_handshake_unix = node_wall_s(node);
}

/* Nine minutes without a word: nothing of the session is left to keep. */
static void on_wg_idle(void *ctx, void *peer_ctx)
{
	struct node_peer *np = peer_ctx;

	node_peer_close(ctx, np->peer);
}

static uint64_t on_wall_clock_ns(void *ctx)
{
	struct ts_node *node = ctx;

	return node->io.wall_clock_ns(node->io_ctx);
}

const struct ts_wg_ops node_wg_ops = {
	.send = on_wg_send,
	.deliver = on_wg_deliver,
	.unknown_peer = on_unknown_peer,
	.session_up = on_session_up,
	.idle = on_wg_idle,
	.wall_clock_ns = on_wall_clock_ns,
};

/* -- stack ops ------------------------------------------------------------ */
static void on_inbound_syn(void *ctx, struct stack_syn *syn,
			   const struct ts_addr *local,
			   const struct ts_addr *remote)
{
	struct ts_node *node = ctx;

	node->io.inbound_syn(node->io_ctx, syn, local, remote);
}

static void on_syn_gone(void *ctx, struct stack_syn *syn)
{
	struct ts_node *node = ctx;

	node->io.syn_gone(node->io_ctx, syn);
}

static uint64_t on_stack_clock(void *ctx)
{
	struct ts_node *node = ctx;

	return node->io.monotonic_us ? node->io.monotonic_us(node->io_ctx)
				     : node->now_ms * 1000;
}

/* What a router sends on comes from networks that know of no large packets, and
 * a peer without disco answers no pings that measure its path. */
static void on_stack_mtu(void *ctx, const struct ts_ip *to,
			 struct stack_mtu *out)
{
	const struct ts_node *node = ctx;
	const struct ts_peer *peer =
		ts_netmap_peer_by_ip(ts_node_netmap(node), to);
	const struct node_peer *np = peer ? peer->node_data : NULL;

	if (!peer || peer->is_wireguard_only || !node->measures_mtu)
		return;
	out->most = TS_INNER_MTU_MAX;
	if (np && np->path) /* it has none before the first packet */
		out->now = ts_path_peer_mtu(np->path);
}

/* The peer's first address, whichever of its networks it sends from. */
static void on_stack_owner(void *ctx, const struct ts_ip *ip, struct ts_ip *out)
{
	const struct ts_peer *peer = node_peer_for(ctx, ip);

	if (peer && peer->address_count > 0)
		*out = peer->addresses[0].ip;
}

bool ts_node_forwards(const struct ts_node *node, const struct ts_ip *dst)
{
	return (ts_node_is_router(node) || node->serve.vip_count > 0) &&
	       ts_filter_is_local(node->filter, dst);
}

static bool on_stack_forwards(void *ctx, const struct ts_ip *dst)
{
	return ts_node_forwards(ctx, dst);
}

static void on_forward_udp(void *ctx, const struct ts_addr *from,
			   const struct ts_addr *to, const uint8_t *data,
			   size_t len)
{
	struct ts_node *node = ctx;

	if (node->io.forward_udp)
		node->io.forward_udp(node->io_ctx, from, to, data, len);
}

static void on_forward_echo(void *ctx, const struct ts_ip *from,
			    const struct ts_ip *to, uint16_t id, uint16_t seq,
			    const uint8_t *data, size_t len)
{
	struct ts_node *node = ctx;

	if (node->io.forward_echo)
		node->io.forward_echo(node->io_ctx, from, to, id, seq, data,
				      len);
}

const struct stack_ops node_stack_ops = {
	.output = on_stack_output,
	.room = on_stack_room,
	.inbound_syn = on_inbound_syn,
	.syn_gone = on_syn_gone,
	.now_us = on_stack_clock,
	.mtu = on_stack_mtu,
	.owner = on_stack_owner,
	.forwards = on_stack_forwards,
	.forward_udp = on_forward_udp,
	.forward_echo = on_forward_echo,
};

size_t ts_node_peer_changes(const struct ts_node *node,
			    const struct ts_peer *peer,
			    struct ts_path_change out[TS_PATH_CHANGES_MAX])
{
	const struct node_peer *np = peer->node_data;

	(void)node;
	return np && np->path ? ts_path_peer_changes(np->path, out) : 0;
}

void ts_node_peer_status(const struct ts_node *node,
			 const struct ts_peer *peer, uint64_t now_ms,
			 struct ts_node_peer_status *out)
{
	const struct node_peer *np = peer->node_data;
	struct ts_wg_peer_stats stats;

	memset(out, 0, sizeof(*out));
	out->path.derp_region = peer->home_derp;
	if (!np || !np->wg)
		return;
	ts_path_peer_status(node->path, np->path, now_ms, &out->path);
	ts_wg_peer_stats(np->wg, &stats);
	out->rx_bytes = stats.rx_bytes;
	out->tx_bytes = stats.tx_bytes;
	out->last_handshake_unix = np->last_handshake_unix;
	out->in_wireguard = true;
}
