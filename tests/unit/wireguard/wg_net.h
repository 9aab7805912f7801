/* SPDX-License-Identifier: BSD-3-Clause
 * wg_net.h - two devices on a virtual clock and a network that misbehaves
 *
 * Packets wait in one list with the time at which they arrive; loss, delay
 * and doubling come from a seeded generator, so a failure repeats.
 */
#ifndef TESTS_UNIT_WIREGUARD_WG_NET_H
#define TESTS_UNIT_WIREGUARD_WG_NET_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <errno.h>

#include <cmocka.h>

#include "core/crypto/secret.h"
#include "core/wireguard/wg_device.h"
#include "core/wireguard/wg_private.h"

enum { NET_MSG_CAP = 2048, NET_GOT_MAX = 4096 };

struct net_msg {
	struct net_msg *next;
	int to;
	uint64_t due_ms;
	size_t len;
	uint8_t bytes[NET_MSG_CAP];
};

struct net;

/* One side. */
struct end {
	struct net *net;
	int id;
	struct ts_wg *wg;
	struct ts_wg_peer *peer; /* the other side */
	struct ts_private_key key;
	struct ts_public_key public;
	bool takes_strangers, replies, removes_on_delivery;
	bool is_vouched; /* what it sends comes through a relay */
	unsigned ups, delivered, idles, strangers;
	uint32_t got[NET_GOT_MAX]; /* numbers of the packets, in order */
	unsigned sent_types[5];    /* by message type */
	size_t last_len;
	int last_err;
	uint8_t last_sent[NET_MSG_CAP]; /* as it left, for replays */
	size_t last_sent_len;
	struct ts_addr from; /* where its packets seem to come from */
};

struct net {
	struct end ends[2];
	struct net_msg *queue;
	uint64_t now_ms, wall_ns;
	uint32_t rng;
	unsigned loss_percent, twice_percent, delay_max_ms;
	bool is_cut;          /* everything is lost */
	bool is_held;         /* everything stays in the queue */
	unsigned filter_type; /* messages of that type are lost */
};

static inline uint32_t net_random(struct net *net, uint32_t bound)
{
	net->rng ^= net->rng << 13;
	net->rng ^= net->rng >> 17;
	net->rng ^= net->rng << 5;
	return net->rng % bound;
}

static inline void net_post(struct net *net, int to, const uint8_t *bytes,
			    size_t len)
{
	struct net_msg *m = calloc(1, sizeof(*m));

	assert_true(len <= NET_MSG_CAP);
	m->to = to;
	m->due_ms =
		net->now_ms +
		(net->delay_max_ms ? net_random(net, net->delay_max_ms) : 0);
	m->len = len;
	memcpy(m->bytes, bytes, len);
	/* Behind the others of the same time. */
	struct net_msg **at = &net->queue;
	while (*at && (*at)->due_ms <= m->due_ms)
		at = &(*at)->next;
	m->next = *at;
	*at = m;
}

static inline void end_send(void *ctx, void *peer_ctx, struct ts_packet *pkt)
{
	struct end *end = ctx;
	struct net *net = end->net;
	unsigned type = pkt->data[0];

	assert_ptr_equal(peer_ctx, &net->ends[!end->id]);
	assert_in_range(type, 1, 4);
	end->sent_types[type]++;
	memcpy(end->last_sent, pkt->data, pkt->len);
	end->last_sent_len = pkt->len;
	/* The contract: 37 bytes of headroom and the packet are ours. */
	memset(pkt->data - 37, 0xee, 37);
	if (!net->is_cut && type != net->filter_type &&
	    net_random(net, 100) >= net->loss_percent) {
		net_post(net, !end->id, pkt->data, pkt->len);
		if (net_random(net, 100) < net->twice_percent)
			net_post(net, !end->id, pkt->data, pkt->len);
	}
	memset(pkt->data, 0xee, pkt->len);
}

/* An IPv4 packet of that many bytes that carries a number. */
static inline void net_say(struct net *net, int from, uint32_t number,
			   size_t len)
{
	uint8_t buf[TS_PACKET_HEADROOM + 1500 + TS_PACKET_TAILROOM];
	struct ts_packet pkt = {.data = buf + TS_PACKET_HEADROOM, .len = len};
	struct end *end = &net->ends[from];

	memset(buf, 0xaa, sizeof(buf));
	pkt.data[0] = 0x45;
	pkt.data[2] = (uint8_t)(len >> 8);
	pkt.data[3] = (uint8_t)len;
	memcpy(pkt.data + 20, &number, 4);
	ts_wg_send(end->wg, end->peer, &pkt, net->now_ms);
}

static inline void end_deliver(void *ctx, void *peer_ctx, struct ts_packet *pkt)
{
	struct end *end = ctx;
	uint32_t number;

	assert_ptr_equal(peer_ctx, &end->net->ends[!end->id]);
	assert_true(pkt->len >= 24);
	memcpy(&number, pkt->data + 20, 4);
	assert_true(end->delivered < NET_GOT_MAX);
	end->got[end->delivered++] = number;
	end->last_len = pkt->len;
	memset(pkt->data, 0xdd, pkt->len);
	if (end->replies)
		net_say(end->net, end->id, number, 100);
	if (end->removes_on_delivery) {
		ts_wg_peer_remove(end->wg, end->peer);
		end->peer = NULL;
	}
}

static inline struct ts_wg_peer *end_unknown(void *ctx,
					     const struct ts_public_key *key)
{
	struct end *end = ctx;
	struct end *other = &end->net->ends[!end->id];

	end->strangers++;
	if (!end->takes_strangers || !ts_public_key_equal(key, &other->public))
		return NULL;
	end->peer = ts_wg_peer_add(end->wg, key, other);
	return end->peer;
}

static inline void end_up(void *ctx, void *peer_ctx)
{
	struct end *end = ctx;

	assert_ptr_equal(peer_ctx, &end->net->ends[!end->id]);
	end->ups++;
}

static inline void end_idle(void *ctx, void *peer_ctx)
{
	struct end *end = ctx;

	(void)peer_ctx;
	end->idles++;
	ts_wg_peer_remove(end->wg, end->peer);
	end->peer = NULL;
}

static inline uint64_t end_wall(void *ctx)
{
	struct end *end = ctx;

	return end->net->wall_ns + end->net->now_ms * 1000000;
}

static const struct ts_wg_ops end_ops = {.send = end_send,
					 .deliver = end_deliver,
					 .unknown_peer = end_unknown,
					 .session_up = end_up,
					 .wall_clock_ns = end_wall,
					 .idle = end_idle};

static inline void net_init(struct net *net, uint32_t seed)
{
	memset(net, 0, sizeof(*net));
	net->rng = seed;
	net->now_ms = 1000;
	net->wall_ns = 1790000000ULL * 1000000000;
	for (int i = 0; i < 2; i++) {
		struct end *end = &net->ends[i];

		end->net = net;
		end->id = i;
		ts_private_key_generate(&end->key);
		ts_public_key_from_private(&end->key, &end->public);
		end->wg = ts_wg_new(&end->key, &end_ops, end);
		assert_non_null(end->wg);
		end->from.port = (uint16_t)(1000 + i);
		end->from.ip = ts_ip_from_v4_host(0x0a000001u + (uint32_t)i);
	}
	for (int i = 0; i < 2; i++) {
		struct end *end = &net->ends[i];

		end->peer = ts_wg_peer_add(end->wg, &net->ends[!i].public,
					   &net->ends[!i]);
		assert_non_null(end->peer);
	}
}

static inline void net_drop_all(struct net *net)
{
	while (net->queue) {
		struct net_msg *m = net->queue;

		net->queue = m->next;
		free(m);
	}
}

static inline void net_deinit(struct net *net)
{
	net_drop_all(net);
	for (int i = 0; i < 2; i++)
		ts_wg_free(net->ends[i].wg);
}

/* Hand bytes to one side as if the network had brought them. */
static inline int net_input(struct net *net, int to, const uint8_t *bytes,
			    size_t len)
{
	struct end *end = &net->ends[to];
	uint8_t *copy = malloc(len + 1); /* exact, for the sanitizer */
	uint8_t reply[64];
	struct ts_packet pkt = {.data = copy, .len = len};
	size_t reply_len = 99;
	void *who = net;

	if (len > 0)
		memcpy(copy, bytes, len);
	end->last_err = ts_wg_input(
		end->wg, &net->ends[!to].from, net->ends[!to].is_vouched, &pkt,
		net->now_ms, &who, reply, &reply_len);
	if (end->last_err)
		assert_null(who);
	assert_int_equal(reply_len, end->last_err == -EAGAIN ? 64 : 0);
	if (reply_len > 0 && !net->is_cut)
		net_post(net, !to, reply, reply_len);
	free(copy);
	return end->last_err;
}

static inline void net_arrive(struct net *net)
{
	while (!net->is_held && net->queue &&
	       net->queue->due_ms <= net->now_ms) {
		struct net_msg *m = net->queue;

		net->queue = m->next;
		net_input(net, m->to, m->bytes, m->len);
		free(m);
	}
}

static inline uint64_t net_next_ms(const struct net *net)
{
	uint64_t next =
		net->queue && !net->is_held ? net->queue->due_ms : UINT64_MAX;

	for (int i = 0; i < 2; i++) {
		uint64_t due = ts_wg_deadline_ms(net->ends[i].wg);

		if (due < next)
			next = due;
	}
	return next;
}

/* Let all that is due until then happen, in order. */
static inline void net_run_until(struct net *net, uint64_t until_ms)
{
	for (;;) {
		uint64_t next;

		net_arrive(net);
		for (int i = 0; i < 2; i++)
			ts_wg_tick(net->ends[i].wg, net->now_ms);
		next = net_next_ms(net);
		if (next <= net->now_ms)
			continue;
		if (next > until_ms)
			break;
		net->now_ms = next;
	}
	net->now_ms = until_ms;
}

static inline void net_run(struct net *net, uint64_t ms)
{
	net_run_until(net, net->now_ms + ms);
}

#endif
