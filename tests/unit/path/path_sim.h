/* SPDX-License-Identifier: BSD-3-Clause
 * path_sim.h - routers, a network and DERP servers in one process
 *
 * Time is virtual. Whatever crosses the network is an event at a later time;
 * sim_run() takes events and router deadlines in order. A node may sit behind
 * a firewall that lets in only answers, pairs of nodes may be cut off from
 * each other, DERP servers may be down. The last node may be a peer relay.
 */
#ifndef TESTS_UNIT_PATH_PATH_SIM_H
#define TESTS_UNIT_PATH_PATH_SIM_H

#include "unit/test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/log.h"
#include "core/crypto/secret.h"
#include "core/path/derp_info_json.h"
#include "core/path/derp_wire.h"
#include "core/path/disco_wire.h"
#include "core/path/early_callers.h"
#include "core/path/netcheck.h"
#include "core/path/path_router.h"
#include "core/path/relay_client.h"
#include "core/path/stun.h"
#include "tests/relay_server.h"

enum {
	SIM_NODES = 3,
	SIM_RELAY = 2, /* the node that may be one */
	SIM_REGIONS = 3, /* ids 1.. */
	SIM_HOLES_MAX = 64,
	SIM_PKT_LEN = 100,
};

enum sim_kind {
	SIM_UDP,
	SIM_STUN,
	SIM_TO_RELAY,
	SIM_LATENCY,
	SIM_RESOLVED,
	SIM_TO_SERVER,
	SIM_TO_CLIENT,
	SIM_OPENED,
	SIM_CLOSED
};

struct sim_event {
	struct sim_event *next;
	uint64_t at_ms;
	enum sim_kind kind;
	int node, region; /* node: the client, or who gets the datagram */
	unsigned conn;
	struct ts_addr from, to;
	uint8_t *data;
	size_t len;
};

struct sim;

/* What one node has on the line to one region. */
struct sim_line {
	unsigned conn;
	bool is_open;
	size_t queued; /* what the node is told by derp_queued */
	size_t written_frames;
	/* the server's side */
	char http[2048];
	size_t http_len;
	bool is_upgraded, is_introduced, is_home, got_fast_start;
	struct ts_derp_stream stream;
	struct ts_public_key client;
	struct ts_box box;
};

struct sim_node {
	struct sim *sim;
	int index;
	struct ts_path *path;
	struct ts_private_key node_private, disco_private;
	struct ts_public_key node_key, disco_key;
	struct ts_addr addr; /* as others see it */
	bool has_firewall;
	struct ts_addr holes[SIM_HOLES_MAX];
	size_t hole_count;
	struct ts_path_peer *peers[SIM_NODES];
	bool adds_unknown; /* lazy peers: added when they call */
	struct sim_line lines[SIM_REGIONS + 1];
	/* seen by the tests */
	unsigned got_udp[SIM_NODES], got_derp[SIM_NODES], got_unattributed;
	unsigned sent_udp, sent_disco, sent_stun, sent_wg_udp, sent_wg_relay;
	unsigned asked_relay, resolve_calls;
	size_t mtu;
	struct ts_addr endpoints[64];
	int types[64];
	size_t endpoint_count, endpoint_calls;
	int home, home_calls, ready_calls;
	enum ts_tristate udp, varies;
	bool was_ready;
	char problem[64];
	unsigned unknown_disco_calls;
	int pong_err;
	unsigned pong_calls;
	struct ts_path_pong pong;
};

struct sim_server {
	int region;
	struct ts_private_key private_key;
	struct ts_public_key public_key;
	bool is_down, no_stun, fast_start;
	unsigned latency_ms;
	struct ts_derp_server_info info;
};

struct sim {
	uint64_t now_ms;
	struct sim_event *events; /* by time, then by order */
	struct sim_node nodes[SIM_NODES];
	struct sim_server servers[SIM_REGIONS + 1];
	bool cut[SIM_NODES][SIM_NODES]; /* UDP from, to */
	bool no_udp, https_works, no_dns;
	unsigned latency_ms;
	size_t link_mtu; /* 0: nobody is told of such datagrams */
	struct relay_server *relay; /* NULL: there is none */
	bool relay_is_down;
	bool has_fixed_port, has_hard_nat;
	struct ts_addr static_endpoint; /* port 0: none */
	size_t chunk; /* bytes a piece off a DERP server; 0: whole */
	struct ts_derp_map map;
	struct ts_derp_region regions[SIM_REGIONS];
	struct ts_derp_node derp_nodes[SIM_REGIONS];
	char texts[SIM_REGIONS][2][32];
};

/* -- events --------------------------------------------------------------- */

static inline struct sim_event *sim_post(struct sim *sim, enum sim_kind kind,
					 uint64_t delay_ms, const void *data,
					 size_t len)
{
	struct sim_event *ev = calloc(1, sizeof(*ev));
	struct sim_event **at = &sim->events;

	assert_non_null(ev);
	ev->kind = kind;
	ev->at_ms = sim->now_ms + delay_ms;
	ev->data = malloc(len + 1);
	assert_non_null(ev->data);
	if (len > 0)
		memcpy(ev->data, data, len);
	ev->len = len;
	while (*at && (*at)->at_ms <= ev->at_ms)
		at = &(*at)->next;
	ev->next = *at;
	*at = ev;
	return ev;
}

static inline struct ts_addr sim_stun_addr(int region)
{
	const uint8_t ip[4] = {198, 51, 100, (uint8_t)region};

	return (struct ts_addr){.ip = ts_ip_from_v4(ip), .port = 3478};
}

/* -- a router's ops ------------------------------------------------------- */

static inline void sim_udp_send(void *ctx, const struct ts_addr *to,
				const uint8_t *pkt, size_t len)
{
	struct sim_node *node = ctx;
	struct sim *sim = node->sim;
	enum ts_datagram_kind kind = ts_datagram_kind(pkt, len);

	node->sent_udp++;
	node->sent_disco += kind == DATAGRAM_DISCO;
	node->sent_stun += kind == DATAGRAM_STUN;
	node->sent_wg_udp += kind == DATAGRAM_WIREGUARD;
	node->sent_wg_relay += kind == DATAGRAM_RELAYED_WIREGUARD;
	if (node->hole_count < SIM_HOLES_MAX)
		node->holes[node->hole_count++] = *to;
	if (sim->no_udp)
		return;
	for (int r = 1; r <= SIM_REGIONS; r++) {
		struct ts_addr stun = sim_stun_addr(r);
		struct sim_event *ev;

		if (!ts_addr_equal(&stun, to) || sim->servers[r].no_stun)
			continue;
		ev = sim_post(sim, SIM_STUN, sim->servers[r].latency_ms, pkt,
			      len);
		ev->node = node->index;
		ev->region = r;
	}
	if (sim->relay && ts_addr_equal(&sim->relay->addrs[0], to)) {
		struct sim_event *ev;

		ev = sim_post(sim, SIM_TO_RELAY, sim->latency_ms, pkt, len);
		ev->from = node->addr;
	}
	for (int i = 0; i < SIM_NODES; i++) {
		struct sim_event *ev;

		if (!ts_addr_equal(&sim->nodes[i].addr, to) ||
		    sim->cut[node->index][i])
			continue;
		ev = sim_post(sim, SIM_UDP, sim->latency_ms, pkt, len);
		ev->node = i;
		ev->from = node->addr;
	}
}

static inline void sim_udp_send_whole(void *ctx, const struct ts_addr *to,
				      const uint8_t *pkt, size_t len)
{
	struct sim_node *node = ctx;

	if (len + 28 <= node->sim->link_mtu)
		sim_udp_send(ctx, to, pkt, len);
}

static inline void sim_derp_write(void *ctx, int region, const uint8_t *data,
				  size_t len)
{
	struct sim_node *node = ctx;
	struct sim_event *ev;

	assert_true(node->lines[region].is_open);
	node->lines[region].written_frames++;
	ev = sim_post(node->sim, SIM_TO_SERVER,
		      node->sim->servers[region].latency_ms, data, len);
	ev->node = node->index;
	ev->region = region;
	ev->conn = node->lines[region].conn;
}

static inline void sim_derp_open(void *ctx, int region,
				 const struct ts_derp_node *derp_node)
{
	struct sim_node *node = ctx;
	struct sim_server *server = &node->sim->servers[region];
	struct sim_event *ev;

	assert_int_equal(derp_node->region_id, region);
	assert_false(node->lines[region].is_open);
	node->lines[region].conn++;
	ev = sim_post(node->sim, server->is_down ? SIM_CLOSED : SIM_OPENED,
		      server->latency_ms, "", 0);
	ev->node = node->index;
	ev->region = region;
	ev->conn = node->lines[region].conn;
}

static inline void sim_line_reset(struct sim_line *line)
{
	unsigned conn = line->conn + 1;
	size_t queued = line->queued;

	ts_derp_stream_deinit(&line->stream);
	memset(line, 0, sizeof(*line));
	ts_derp_stream_init(&line->stream);
	line->conn = conn;
	line->queued = queued;
}

static inline void sim_derp_close(void *ctx, int region)
{
	struct sim_node *node = ctx;

	sim_line_reset(&node->lines[region]);
}

static inline size_t sim_derp_queued(void *ctx, int region)
{
	struct sim_node *node = ctx;

	return node->lines[region].queued;
}

static inline int sim_index_of(struct sim *sim, const struct ts_path_peer *peer)
{
	struct sim_node *of = ts_path_peer_ctx(peer);

	assert_true(of >= sim->nodes && of < sim->nodes + SIM_NODES);
	return of->index;
}

static inline void sim_wireguard(void *ctx, struct ts_path_peer *peer,
				 const struct ts_path_addr *from,
				 struct ts_packet *pkt)
{
	struct sim_node *node = ctx;
	const uint8_t derp_ip[4] = {127, 3, 3, 40};
	struct ts_ip derp = ts_ip_from_v4(derp_ip);

	assert_int_equal(pkt->len, pkt->data[0] == WG_INITIATION_TYPE
					   ? WG_INITIATION_BYTES
					   : SIM_PKT_LEN);
	if (!peer) {
		node->got_unattributed++;
		return;
	}
	if (ts_ip_equal(&from->addr.ip, &derp))
		node->got_derp[sim_index_of(node->sim, peer)]++;
	else
		node->got_udp[sim_index_of(node->sim, peer)]++;
	if (pkt->data[0] == WG_INITIATION_TYPE) {
		pkt->data[0] = 2; /* a response */
		pkt->len = SIM_PKT_LEN;
		ts_path_send(node->path, peer, pkt, node->sim->now_ms);
	}
}

static inline struct ts_path_peer *
sim_add_peer(struct sim_node *node, int of, int home_derp, bool with_endpoint)
{
	struct sim_node *other = &node->sim->nodes[of];
	struct ts_path_peer_config config = {
		.node_key = other->node_key,
		.disco_key = other->disco_key,
		.home_derp = home_derp,
		.endpoints = &other->addr,
		.endpoint_count = with_endpoint,
		.may_relay = true,
	};

	node->peers[of] = ts_path_peer_add(node->path, &config, other);
	assert_non_null(node->peers[of]);
	return node->peers[of];
}

static inline struct ts_path_peer *
sim_unknown_sender(void *ctx, const struct ts_public_key *key)
{
	struct sim_node *node = ctx;

	for (int i = 0; i < SIM_NODES && node->adds_unknown; i++)
		if (ts_public_key_equal(&node->sim->nodes[i].node_key, key))
			return sim_add_peer(node, i, 0, false);
	return NULL;
}

static inline struct ts_path_peer *
sim_unknown_disco(void *ctx, const struct ts_public_key *key)
{
	struct sim_node *node = ctx;

	node->unknown_disco_calls++;
	for (int i = 0; i < SIM_NODES && node->adds_unknown; i++)
		if (ts_public_key_equal(&node->sim->nodes[i].disco_key, key))
			return sim_add_peer(node, i, 0, false);
	return NULL;
}

static inline void sim_endpoints_changed(void *ctx,
					 const struct ts_addr *endpoints,
					 const int *types, size_t count)
{
	struct sim_node *node = ctx;

	assert_true(count <= 64);
	memcpy(node->endpoints, endpoints, count * sizeof(*endpoints));
	memcpy(node->types, types, count * sizeof(*types));
	node->endpoint_count = count;
	node->endpoint_calls++;
}

static inline void
sim_net_info_changed(void *ctx, int home,
		     const struct ts_netcheck_report *report)
{
	struct sim_node *node = ctx;

	node->home = home;
	node->varies = report->mapping_varies;
	node->udp = report->working_udp;
	node->home_calls++;
}

static inline void sim_peer_mtu_changed(void *ctx, struct ts_path_peer *peer,
					size_t mtu)
{
	struct sim_node *node = ctx;

	assert_int_equal(ts_path_peer_mtu(peer), mtu);
	node->mtu = mtu;
}

static inline void sim_derp_ready(void *ctx, int region, bool connected)
{
	struct sim_node *node = ctx;

	assert_int_equal(region, ts_path_home_region(node->path));
	node->ready_calls++;
	node->was_ready = connected;
}

static inline void sim_derp_health(void *ctx, int region, const char *problem)
{
	struct sim_node *node = ctx;

	(void)region;
	snprintf(node->problem, sizeof(node->problem), "%s",
		 problem ? problem : "");
}

static inline void sim_derp_latency(void *ctx, int region,
				    const struct ts_derp_node *derp_node)
{
	struct sim_node *node = ctx;
	struct sim_event *ev;

	(void)derp_node;
	if (!node->sim->https_works) {
		ts_path_derp_latency(node->path, region, 0, node->sim->now_ms);
		return;
	}
	ev = sim_post(node->sim, SIM_LATENCY,
		      4 * node->sim->servers[region].latency_ms, "", 0);
	ev->node = node->index;
	ev->region = region;
}

static inline void sim_resolve(void *ctx, const char *host)
{
	struct sim_node *node = ctx;
	struct sim_event *ev = sim_post(node->sim, SIM_RESOLVED, 30, host,
					strlen(host) + 1);

	ev->node = node->index;
	node->resolve_calls++;
}

static inline void sim_derp_latency_cancel(void *ctx)
{
	(void)ctx;
}

static const struct ts_path_ops sim_ops = {
	.udp_send = sim_udp_send,
	.udp_send_whole = sim_udp_send_whole,
	.derp_write = sim_derp_write,
	.derp_open = sim_derp_open,
	.derp_close = sim_derp_close,
	.wireguard = sim_wireguard,
	.unknown_sender = sim_unknown_sender,
	.unknown_disco = sim_unknown_disco,
	.derp_queued = sim_derp_queued,
	.derp_latency = sim_derp_latency,
	.derp_latency_cancel = sim_derp_latency_cancel,
	.resolve = sim_resolve,
	.derp_health = sim_derp_health,
	.endpoints_changed = sim_endpoints_changed,
	.net_info_changed = sim_net_info_changed,
	.derp_ready = sim_derp_ready,
	.peer_mtu_changed = sim_peer_mtu_changed,
};

/* -- DERP servers --------------------------------------------------------- */

static inline void sim_serve(struct sim_node *node, int region,
			     const uint8_t *data, size_t len)
{
	size_t chunk = node->sim->chunk ? node->sim->chunk : len;

	for (size_t at = 0; at < len; at += chunk) {
		struct sim_event *ev;
		size_t n = len - at < chunk ? len - at : chunk;

		ev = sim_post(node->sim, SIM_TO_CLIENT,
			      node->sim->servers[region].latency_ms, data + at,
			      n);
		ev->node = node->index;
		ev->region = region;
		ev->conn = node->lines[region].conn;
	}
}

static inline struct sim_node *sim_client_of(struct sim *sim, int region,
					     const struct ts_public_key *key)
{
	for (int i = 0; i < SIM_NODES; i++)
		if (sim->nodes[i].lines[region].is_introduced &&
		    ts_public_key_equal(&sim->nodes[i].lines[region].client,
					key))
			return &sim->nodes[i];
	return NULL;
}

static inline void sim_server_introduced(struct sim_node *node, int region,
					 const struct ts_derp_frame *frame)
{
	struct sim_line *line = &node->lines[region];
	struct sim_server *server = &node->sim->servers[region];
	char json[DERP_INFO_JSON_MAX_LEN + 1];
	struct ts_derp_client_info info;
	uint8_t out[512];
	struct ts_writer w = ts_writer_init(out, sizeof(out));
	size_t len;
	int n;

	assert_int_equal(ts_derp_read_client_info_key(frame, &line->client), 0);
	assert_int_equal(
		ts_box_init(&line->box, &server->private_key, &line->client),
		0);
	assert_int_equal(ts_derp_open_info(frame, &line->box, json, &len), 0);
	assert_int_equal(ts_derp_client_info_from_json(json, len, &info), 0);
	assert_int_equal(info.version, DERP_PROTOCOL_VERSION);
	assert_true(info.can_ack_pings);
	line->is_introduced = true;
	server->info.version = DERP_PROTOCOL_VERSION;
	n = ts_derp_server_info_to_json(&server->info, json, sizeof(json));
	assert_true(n > 0);
	assert_int_equal(
		ts_derp_write_server_info(&w, &line->box, json, (size_t)n), 0);
	sim_serve(node, region, out, w.len);
}

/* A packet for the relay's node, through DERP: a request for a session. */
static inline void sim_relay_asked(struct sim_node *from, int region,
				   const uint8_t *pkt, size_t len)
{
	struct sim *sim = from->sim;
	struct sim_node *relay = &sim->nodes[SIM_RELAY];
	uint8_t payload[DISCO_PAYLOAD_MAX_LEN];
	uint8_t out[DERP_PACKET_HEADER_LEN + DISCO_WRITE_CAP];
	struct ts_writer p = ts_writer_init(payload, DISCO_WRITE_PAYLOAD_CAP);
	struct ts_writer w = ts_writer_init(out + DERP_PACKET_HEADER_LEN,
					    DISCO_WRITE_CAP);
	struct ts_disco_message msg;
	struct ts_box box;
	size_t n;

	if (sim->relay_is_down)
		return;
	assert_int_equal(ts_box_init(&box, &relay->disco_private,
				     &from->disco_key),
			 0);
	if (!ts_disco_is_packet(pkt, len) ||
	    ts_disco_unseal(pkt, len, &box, payload, &n) ||
	    ts_disco_read(payload, n, &msg) ||
	    msg.type != DISCO_ALLOCATE_RELAY_REQUEST)
		return;
	from->asked_relay++;
	assert_true(relay_server_allocate(sim->relay, &msg.allocate_relay,
					  &msg.allocated_relay));
	msg.type = DISCO_ALLOCATE_RELAY_RESPONSE;
	assert_int_equal(ts_disco_write(&p, &msg), 0);
	assert_int_equal(ts_disco_seal(&w, &relay->disco_key, &box, payload,
				       p.len),
			 0);
	ts_derp_write_packet_header(out, DERP_RECV_PACKET, &relay->node_key,
				    w.len);
	sim_serve(from, region, out, DERP_PACKET_HEADER_LEN + w.len);
}

static inline void sim_server_forward(struct sim_node *node, int region,
				      const struct ts_derp_frame *frame)
{
	uint8_t out[DERP_PACKET_HEADER_LEN + 4096];
	struct ts_writer w = ts_writer_init(out, sizeof(out));
	struct ts_public_key dst;
	struct sim_node *to;
	const uint8_t *pkt;
	size_t len;

	assert_int_equal(ts_derp_read_packet(frame, &dst, &pkt, &len), 0);
	if (node->sim->relay &&
	    ts_public_key_equal(&dst, &node->sim->nodes[SIM_RELAY].node_key)) {
		sim_relay_asked(node, region, pkt, len);
		return;
	}
	to = sim_client_of(node->sim, region, &dst);
	if (!to) {
		ts_derp_write_peer_gone(&w, &dst, DERP_GONE_NOT_HERE);
		sim_serve(node, region, out, w.len);
		return;
	}
	assert_true(len <= 4096);
	ts_derp_write_packet_header(out, DERP_RECV_PACKET,
				    &node->lines[region].client, len);
	memcpy(out + DERP_PACKET_HEADER_LEN, pkt, len);
	sim_serve(to, region, out, DERP_PACKET_HEADER_LEN + len);
}

struct sim_served {
	struct sim_node *node;
	int region;
};

static inline int sim_server_frame(void *ctx, const struct ts_derp_frame *frame)
{
	struct sim_served *s = ctx;
	struct sim_line *line = &s->node->lines[s->region];

	if (frame->type == DERP_CLIENT_INFO)
		sim_server_introduced(s->node, s->region, frame);
	else if (frame->type == DERP_NOTE_PREFERRED)
		ts_derp_read_note_preferred(frame, &line->is_home);
	else if (frame->type == DERP_SEND_PACKET)
		sim_server_forward(s->node, s->region, frame);
	else if (frame->type == DERP_PING)
		sim_serve(
			s->node, s->region,
			(const uint8_t[]){DERP_PONG, 0, 0, 0, 8,
					  frame->payload[0], frame->payload[1],
					  frame->payload[2], frame->payload[3],
					  frame->payload[4], frame->payload[5],
					  frame->payload[6], frame->payload[7]},
			13);
	return 0;
}

static inline void sim_server_input(struct sim_node *node, int region,
				    const uint8_t *data, size_t len)
{
	static const char answer[] = "HTTP/1.1 101 Switching Protocols\r\n"
				     "Upgrade: DERP\r\n"
				     "Connection: Upgrade\r\n\r\n";
	struct sim_line *line = &node->lines[region];
	struct sim_served served = {.node = node, .region = region};
	uint8_t key[64];
	struct ts_writer w = ts_writer_init(key, sizeof(key));

	if (line->is_upgraded) {
		assert_int_equal(ts_derp_stream_input(&line->stream, data, len,
						      sim_server_frame,
						      &served),
				 0);
		return;
	}
	assert_true(line->http_len + len < sizeof(line->http));
	memcpy(line->http + line->http_len, data, len);
	line->http_len += len;
	if (!strstr(line->http, "\r\n\r\n"))
		return;
	assert_ptr_equal(strstr(line->http, "GET /derp HTTP/1.1\r\n"),
			 line->http);
	assert_non_null(strstr(line->http, "\r\nUpgrade: DERP\r\n"));
	line->is_upgraded = true;
	line->got_fast_start = strstr(line->http, "Derp-Fast-Start: 1\r\n");
	if (!line->got_fast_start)
		sim_serve(node, region, (const uint8_t *)answer,
			  sizeof(answer) - 1);
	ts_derp_write_server_key(&w, &node->sim->servers[region].public_key);
	sim_serve(node, region, key, w.len);
}

/* The server drops a node's connection. */
static inline void sim_hang_up(struct sim *sim, int node, int region)
{
	sim_line_reset(&sim->nodes[node].lines[region]);
	ts_path_derp_closed(sim->nodes[node].path, region, "reset",
			    sim->now_ms);
}

static inline void sim_server_down(struct sim *sim, int region)
{
	sim->servers[region].is_down = true;
	for (int i = 0; i < SIM_NODES; i++)
		if (sim->nodes[i].path && sim->nodes[i].lines[region].is_open)
			sim_hang_up(sim, i, region);
}

/* -- running -------------------------------------------------------------- */

static inline bool sim_firewall_passes(const struct sim_node *node,
				       const struct ts_addr *from)
{
	if (!node->has_firewall)
		return true;
	for (size_t i = 0; i < node->hole_count; i++)
		if (ts_addr_equal(&node->holes[i], from))
			return true;
	return false;
}

/* As the I/O layer does it: room around the packet. */
static inline void sim_input_udp(struct sim_node *node,
				 const struct ts_addr *from,
				 const uint8_t *data, size_t len)
{
	uint8_t *buf = malloc(TS_PACKET_HEADROOM + len + TS_PACKET_TAILROOM);
	struct ts_packet pkt = {.data = buf + TS_PACKET_HEADROOM, .len = len};

	assert_non_null(buf);
	if (len > 0)
		memcpy(pkt.data, data, len);
	ts_path_input_udp(node->path, from, &pkt, node->sim->now_ms);
	free(buf);
}

static inline void sim_deliver(struct sim *sim, struct sim_event *ev)
{
	struct sim_node *node = &sim->nodes[ev->node];
	struct sim_server *server = &sim->servers[ev->region];
	struct sim_line *line = &node->lines[ev->region];
	uint8_t tx_id[STUN_TX_ID_LEN], answer[STUN_RESPONSE_MAX_LEN];
	struct ts_addr stun = sim_stun_addr(ev->region);
	struct sim_event *back;
	struct ts_addr seen = node->addr;
	size_t len;

	if (ev->kind == SIM_TO_RELAY && !sim->relay_is_down)
		relay_server_input(sim->relay, &ev->from, ev->data, ev->len);
	if (ev->kind == SIM_TO_RELAY || !node->path)
		return;
	switch (ev->kind) {
	case SIM_UDP:
		if (sim_firewall_passes(node, &ev->from))
			sim_input_udp(node, &ev->from, ev->data, ev->len);
		return;
	case SIM_RESOLVED: {
		int region = ev->data[4] - '0'; /* derpN.test */
		struct ts_addr at = sim_stun_addr(region);

		ts_path_resolved(node->path, (const char *)ev->data, &at.ip,
				 !sim->no_dns, sim->now_ms);
		return;
	}
	case SIM_LATENCY:
		ts_path_derp_latency(node->path, ev->region,
				     2000 * server->latency_ms, sim->now_ms);
		return;
	case SIM_STUN:
		assert_int_equal(ts_stun_read_request(ev->data, ev->len, tx_id),
				 0);
		if (sim->has_hard_nat)
			seen.port = (uint16_t)(seen.port + ev->region);
		len = ts_stun_write_response(tx_id, &seen, answer);
		back = sim_post(sim, SIM_UDP, server->latency_ms, answer, len);
		back->node = ev->node;
		back->from = stun;
		return;
	default:
		break;
	}
	if (ev->conn != line->conn)
		return; /* that connection is history */
	switch (ev->kind) {
	case SIM_OPENED:
		line->is_open = true;
		ts_path_derp_opened(node->path, ev->region,
				    server->fast_start ? &server->public_key
						       : NULL,
				    sim->now_ms);
		break;
	case SIM_CLOSED:
		ts_path_derp_closed(node->path, ev->region, "refused",
				    sim->now_ms);
		break;
	case SIM_TO_SERVER:
		sim_server_input(node, ev->region, ev->data, ev->len);
		break;
	default:
		ts_path_derp_input(node->path, ev->region, ev->data, ev->len,
				   sim->now_ms);
		break;
	}
}

static inline void sim_deliver_due(struct sim *sim)
{
	while (sim->events && sim->events->at_ms <= sim->now_ms) {
		struct sim_event *ev = sim->events;

		sim->events = ev->next;
		sim_deliver(sim, ev);
		free(ev->data);
		free(ev);
	}
}

static inline uint64_t sim_next_ms(struct sim *sim)
{
	uint64_t at_ms = sim->events ? sim->events->at_ms : UINT64_MAX;

	for (int i = 0; i < SIM_NODES; i++) {
		uint64_t d = sim->nodes[i].path
				     ? ts_path_deadline_ms(sim->nodes[i].path)
				     : UINT64_MAX;

		if (d < at_ms)
			at_ms = d;
	}
	return at_ms < sim->now_ms ? sim->now_ms : at_ms;
}

static inline void sim_tick(struct sim *sim)
{
	for (int i = 0; i < SIM_NODES; i++) {
		struct ts_path *path = sim->nodes[i].path;

		if (path && ts_path_deadline_ms(path) <= sim->now_ms)
			ts_path_tick(path, sim->now_ms);
	}
}

static inline void sim_run(struct sim *sim, uint64_t ms)
{
	uint64_t end_ms = sim->now_ms + ms;
	unsigned steps = 0;

	while (sim_next_ms(sim) <= end_ms) {
		uint64_t next_ms = sim_next_ms(sim);

		/* A deadline that its tick does not move would spin a CPU. */
		steps = next_ms == sim->now_ms ? steps + 1 : 0;
		assert_true(steps < 1000);
		sim->now_ms = next_ms;
		sim_deliver_due(sim);
		sim_tick(sim);
	}
	sim->now_ms = end_ms;
}

static inline int sim_send_message(struct sim *sim, int from, int to,
				   uint8_t type, size_t len)
{
	uint8_t buf[TS_PACKET_HEADROOM + 256 + TS_PACKET_TAILROOM] = {0};
	struct ts_packet pkt = {.data = buf + TS_PACKET_HEADROOM, .len = len};
	struct sim_node *node = &sim->nodes[from];

	pkt.data[0] = type;
	return ts_path_send(node->path, node->peers[to], &pkt, sim->now_ms);
}

static inline int sim_send(struct sim *sim, int from, int to)
{
	return sim_send_message(sim, from, to, 4 /* transport data */,
				SIM_PKT_LEN);
}

/* The other side answers it. */
static inline int sim_initiate(struct sim *sim, int from, int to)
{
	return sim_send_message(sim, from, to, WG_INITIATION_TYPE,
				WG_INITIATION_BYTES);
}

/* One packet each way every 500 ms. */
static inline void sim_chat(struct sim *sim, int a, int b, uint64_t ms)
{
	for (uint64_t t = 0; t < ms; t += 500) {
		sim_send(sim, a, b);
		sim_send(sim, b, a);
		sim_run(sim, 500);
	}
}

static inline bool sim_is_direct(struct sim *sim, int from, int to)
{
	struct ts_path_peer_status status;

	ts_path_peer_status(sim->nodes[from].path, sim->nodes[from].peers[to],
			    sim->now_ms, &status);
	return status.is_direct;
}

/* -- set-up --------------------------------------------------------------- */

static inline void sim_make_keys(struct sim_node *node)
{
	ts_private_key_generate(&node->node_private);
	ts_private_key_generate(&node->disco_private);
	ts_public_key_from_private(&node->node_private, &node->node_key);
	ts_public_key_from_private(&node->disco_private, &node->disco_key);
}

static inline void sim_node_start(struct sim *sim, int index,
				  bool disable_direct)
{
	struct sim_node *node = &sim->nodes[index];
	const uint8_t ip[4] = {192, 0, 2, (uint8_t)(index + 1)};
	struct ts_path_config config = {
		.disable_direct = disable_direct,
		.measure_mtu = true,
		.port_is_fixed = sim->has_fixed_port,
		.endpoints = &sim->static_endpoint,
		.endpoint_count = sim->static_endpoint.port != 0,
	};

	node->sim = sim;
	node->index = index;
	node->addr = (struct ts_addr){
		.ip = ts_ip_from_v4(ip),
		.port = (uint16_t)(41641 + index),
	};
	sim_make_keys(node);
	for (int r = 0; r <= SIM_REGIONS; r++)
		ts_derp_stream_init(&node->lines[r].stream);
	config.node_key = node->node_private;
	config.disco_key = node->disco_private;
	node->path = ts_path_new(&config, &sim_ops, node);
	assert_non_null(node->path);
	ts_path_set_local_endpoints(node->path, &node->addr, 1, sim->now_ms);
}

static inline void sim_make_map(struct sim *sim)
{
	for (int i = 0; i < SIM_REGIONS; i++) {
		snprintf(sim->texts[i][0], sizeof(sim->texts[i][0]),
			 "derp%d.test", i + 1);
		snprintf(sim->texts[i][1], sizeof(sim->texts[i][1]),
			 "198.51.100.%d", i + 1);
		sim->derp_nodes[i] = (struct ts_derp_node){
			.name = sim->texts[i][0],
			.host_name = sim->texts[i][0],
			.ipv4 = sim->texts[i][1],
			.region_id = i + 1,
			.stun_port = 3478,
			.derp_port = 443,
		};
		sim->regions[i] = (struct ts_derp_region){
			.id = i + 1,
			.nodes = &sim->derp_nodes[i],
			.node_count = 1,
		};
		sim->servers[i + 1].region = i + 1;
		sim->servers[i + 1].latency_ms = 10 * (unsigned)(i + 1);
		ts_private_key_generate(&sim->servers[i + 1].private_key);
		ts_public_key_from_private(&sim->servers[i + 1].private_key,
					   &sim->servers[i + 1].public_key);
	}
	sim->map.regions = sim->regions;
	sim->map.region_count = SIM_REGIONS;
}

static inline struct sim *sim_new(void)
{
	struct sim *sim = calloc(1, sizeof(*sim));

	assert_non_null(sim);
	assert_int_equal(ts_crypto_init(), 0);
	ts_log_set_level(TS_LOG_OFF);
	sim->now_ms = 1000000;
	sim->latency_ms = 20;
	sim_make_map(sim);
	return sim;
}

static inline void sim_set_maps(struct sim *sim)
{
	for (int i = 0; i < SIM_NODES; i++)
		if (sim->nodes[i].path)
			ts_path_set_derp_map(sim->nodes[i].path, &sim->map,
					     sim->now_ms);
}

/* Two nodes that know each other, connected to their home. */
static inline struct sim *sim_two(bool with_endpoints)
{
	struct sim *sim = sim_new();

	sim_node_start(sim, 0, false);
	sim_node_start(sim, 1, false);
	sim_set_maps(sim);
	sim_run(sim, 2000);
	sim_add_peer(&sim->nodes[0], 1, 1, with_endpoints);
	sim_add_peer(&sim->nodes[1], 0, 1, with_endpoints);
	return sim;
}

static inline void sim_relay_send(void *ctx, const struct ts_addr *to,
				  const uint8_t *data, size_t len)
{
	struct sim *sim = ctx;

	for (int i = 0; i < SIM_NODES; i++) {
		struct sim_event *ev;

		if (!ts_addr_equal(&sim->nodes[i].addr, to))
			continue;
		ev = sim_post(sim, SIM_UDP, sim->latency_ms, data, len);
		ev->node = i;
		ev->from = sim->relay->addrs[0];
	}
}

/* A relay that the first two nodes may use; those in users know it. */
static inline void sim_add_relay(struct sim *sim, bool first, bool second)
{
	struct sim_node *node = &sim->nodes[SIM_RELAY];
	const uint8_t ip[4] = {203, 0, 113, 9};
	struct ts_relay_server entry;

	sim_make_keys(node);
	node->sim = sim;
	node->index = SIM_RELAY;
	sim->relay = malloc(sizeof(*sim->relay));
	assert_non_null(sim->relay);
	relay_server_init(sim->relay);
	sim->relay->addrs[0] = (struct ts_addr){
		.ip = ts_ip_from_v4(ip),
		.port = 3479,
	};
	sim->relay->addr_count = 1;
	sim->relay->send = sim_relay_send;
	sim->relay->ctx = sim;
	entry = (struct ts_relay_server){
		.node_key = node->node_key,
		.disco_key = node->disco_key,
		.home_derp = 1,
	};
	for (int i = 0; i < 2; i++) {
		sim->nodes[i].adds_unknown = true;
		if (i == 0 ? first : second)
			ts_path_set_relays(sim->nodes[i].path, &entry, 1);
	}
}

static inline bool sim_is_relayed(struct sim *sim, int from, int to)
{
	struct ts_path_peer_status status;

	ts_path_peer_status(sim->nodes[from].path, sim->nodes[from].peers[to],
			    sim->now_ms, &status);
	return status.is_relayed;
}

static inline void sim_node_stop(struct sim_node *node)
{
	ts_path_free(node->path);
	node->path = NULL;
	for (int r = 0; r <= SIM_REGIONS; r++)
		ts_derp_stream_deinit(&node->lines[r].stream);
}

static inline void sim_free(struct sim *sim)
{
	for (int i = 0; i < SIM_NODES; i++)
		if (sim->nodes[i].path)
			sim_node_stop(&sim->nodes[i]);
	while (sim->events) {
		struct sim_event *ev = sim->events;

		sim->events = ev->next;
		free(ev->data);
		free(ev);
	}
	free(sim->relay);
	free(sim);
}

#endif
