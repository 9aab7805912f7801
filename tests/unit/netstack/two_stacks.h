/* SPDX-License-Identifier: BSD-3-Clause
 * two_stacks.h - two stacks joined by a simulated wire on a virtual clock
 *
 * The wire delays, loses, doubles and reorders by fixed odds from a fixed seed.
 * A `struct end` is one side of one connection with an owner that writes a
 * pattern, checks what it reads against the same pattern, and notes what it was
 * told.
 */
#ifndef TESTS_TWO_STACKS_H
#define TESTS_TWO_STACKS_H

#include "unit/addresses.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "netstack/stack.h"

struct wire_packet {
	struct wire_packet *next;
	uint64_t at_ms;
	int to;
	size_t len;
	uint8_t data[];
};

struct net;
struct node {
	struct net *net;
	int index;
	struct stack *s;
	struct ts_ip v4, v6;
	struct stack_syn *syn; /* the last inbound SYN */
	int syns, syns_gone;
	uint64_t sent;
	int policy; /* of inbound SYNs: enum policy */
	struct end *accept_end;
	struct end *accept_ends; /* an array: one for each */
	size_t accept_next;
	struct ts_addr syn_local, syn_remote;
};
enum policy { HOLD, ACCEPT, REFUSE, DROP };

struct net {
	uint64_t now_ms;
	uint64_t delay_ms;
	unsigned loss_permille, double_permille, reorder_permille;
	bool is_cut;
	/* As the owners say, and as it is: larger packets get lost. 0: the
	 * owners say nothing, everything passes. */
	struct stack_mtu mtu;
	size_t carries, largest; /* largest: that was sent */
	uint32_t random;
	struct wire_packet *first, *last_put;
	/* Packets stay where they are until so many have come; 0: none does. */
	unsigned stay_for, staying_count;
	struct wire_packet *staying;
	struct node node[2];
	uint64_t delivered;
	/* the last packet that went out, and a look at each */
	uint8_t last[2048];
	size_t last_len;
	bool (*may_pass)(struct net *net, const uint8_t *ip, size_t len);
};

struct end {
	struct node *node;
	struct stack_tcp *t;
	bool up, eof, over, is_greedy; /* greedy: reads all at once */
	bool echo, close_on_eof, close_when_written;
	int err, ups;
	uint64_t to_write, written, read;
	uint32_t write_sum, read_sum; /* order-dependent */
	bool shut_when_written, did_shut;
	unsigned writables;
};

static inline uint32_t net_random(struct net *net)
{
	uint32_t x = net->random += 0x9e3779b9u;

	/* mixed well: packets that are alone must not share their fate */
	x = (x ^ x >> 16) * 0x21f0aaadu;
	x = (x ^ x >> 15) * 0x735a2d97u;
	return (x ^ x >> 15) >> 8;
}

static inline bool net_odds(struct net *net, unsigned permille)
{
	return permille && net_random(net) % 1000 < permille;
}

static inline void wire_put(struct net *net, int to, const uint8_t *data,
			    size_t len, uint64_t at_ms)
{
	struct wire_packet *p = malloc(sizeof(*p) + len), **at = &net->first;

	assert_non_null(p);
	/* mostly it comes after the one before */
	if (net->last_put && net->last_put->at_ms <= at_ms)
		at = &net->last_put->next;
	p->at_ms = at_ms;
	p->to = to;
	p->len = len;
	memcpy(p->data, data, len);
	while (*at && (*at)->at_ms <= at_ms)
		at = &(*at)->next;
	p->next = *at;
	*at = p;
	net->last_put = p;
}

static inline void node_output(void *ctx, struct ts_packet *pkt)
{
	struct node *node = ctx;
	struct net *net = node->net;
	uint64_t at = net->now_ms + net->delay_ms;

	/* room around it, as promised: sanitizers watch these writes */
	memset(pkt->data - TS_PACKET_HEADROOM, 0xaa, TS_PACKET_HEADROOM);
	memset(pkt->data + pkt->len, 0xbb, TS_PACKET_TAILROOM);
	node->sent++;
	if (pkt->len <= sizeof(net->last)) {
		memcpy(net->last, pkt->data, pkt->len);
		net->last_len = pkt->len;
	}
	if (pkt->len > net->largest)
		net->largest = pkt->len;
	if (net->carries && pkt->len > net->carries)
		return;
	if (net->is_cut || net_odds(net, net->loss_permille))
		return;
	if (net->may_pass && !net->may_pass(net, pkt->data, pkt->len))
		return;
	if (net_odds(net, net->reorder_permille))
		at += 1 + net_random(net) % 5;
	wire_put(net, !node->index, pkt->data, pkt->len, at);
	if (net_odds(net, net->double_permille))
		wire_put(net, !node->index, pkt->data, pkt->len, at + 1);
}

static inline uint8_t pattern(uint64_t i)
{
	return (uint8_t)(i * 31 + (i >> 8) * 17 + (i >> 16));
}

static inline void end_write(struct end *e)
{
	uint8_t buf[16384];

	while (e->t && e->written < e->to_write) {
		size_t n = sizeof(buf), done;

		if (n > e->to_write - e->written)
			n = (size_t)(e->to_write - e->written);
		for (size_t i = 0; i < n; i++)
			buf[i] = pattern(e->written + i);
		done = stack_tcp_write(e->t, buf, n);
		e->written += done;
		if (done < n)
			break;
	}
	if (!e->t)
		return;
	if (e->node)
		stack_set_now(e->node->s, e->node->net->now_ms);
	stack_tcp_flush(e->t);
	if (e->written == e->to_write && e->shut_when_written && !e->did_shut) {
		e->did_shut = true;
		stack_tcp_shutdown_write(e->t);
	}
	if (e->written == e->to_write && e->close_when_written) {
		stack_tcp_close(e->t);
		e->t = NULL;
	}
}

static inline void end_connected(void *user)
{
	struct end *e = user;

	e->up = true;
	e->ups++;
	end_write(e);
}

static inline void end_read(struct end *e, size_t max)
{
	struct iovec iov[8];

	while (max > 0) {
		int n = stack_tcp_read_view(e->t, iov, 8);
		size_t len = 0;

		if (n == -EPIPE) {
			e->eof = true;
			return;
		}
		if (n == 0)
			return;
		for (int k = 0; k < n && len < max; k++) {
			const uint8_t *at = iov[k].iov_base;

			for (size_t i = 0; i < iov[k].iov_len && len < max;
			     i++, len++)
				if (at[i] != pattern(e->read + len))
					fail_msg("byte %llu differs",
						 (unsigned long long)(e->read +
								      len));
		}
		if (e->echo)
			stack_tcp_write(e->t, iov[0].iov_base, iov[0].iov_len);
		e->read += len;
		max -= len;
		stack_tcp_consume(e->t, len);
	}
}

static inline void end_readable(void *user)
{
	struct end *e = user;

	if (e->is_greedy)
		end_read(e, SIZE_MAX);
	if (e->echo)
		stack_tcp_flush(e->t);
	if (e->eof && e->close_on_eof) {
		stack_tcp_close(e->t);
		e->t = NULL;
	}
}

static inline void end_writable(void *user)
{
	struct end *e = user;

	e->writables++;
	end_write(e);
}

static inline void end_gone(void *user, int err)
{
	struct end *e = user;

	assert_false(e->over);
	e->over = true;
	e->err = err;
	e->t = NULL;
}

static const struct stack_tcp_ops END_OPS = {
	.connected = end_connected,
	.readable = end_readable,
	.writable = end_writable,
	.gone = end_gone,
};

static inline void end_accept(struct node *node, struct end *e,
			      struct stack_syn *syn)
{
	e->node = node;
	e->t = stack_syn_accept(syn, &END_OPS, e, node->net->now_ms);
	assert_non_null(e->t);
	node->syn = NULL;
}

static inline void node_syn(void *ctx, struct stack_syn *syn,
			    const struct ts_addr *local,
			    const struct ts_addr *remote)
{
	struct node *node = ctx;

	node->syns++;
	node->syn = syn;
	node->syn_local = *local;
	node->syn_remote = *remote;
	if (node->policy == REFUSE)
		stack_syn_refuse(syn);
	else if (node->policy == DROP)
		stack_syn_drop(syn);
	else if (node->policy == ACCEPT)
		end_accept(node, node->accept_ends
				 ? &node->accept_ends[node->accept_next++]
				 : node->accept_end, syn);
}

static inline void node_syn_gone(void *ctx, struct stack_syn *syn)
{
	struct node *node = ctx;

	if (node->syn == syn)
		node->syn = NULL;
	node->syns_gone++;
}

static inline void node_mtu(void *ctx, const struct ts_ip *to,
			    struct stack_mtu *out)
{
	const struct node *node = ctx;

	(void)to;
	if (node->net->mtu.now)
		*out = node->net->mtu;
}

static inline void net_open(struct net *net)
{
	static const struct stack_ops ops = {
		.output = node_output, .inbound_syn = node_syn,
		.syn_gone = node_syn_gone, .mtu = node_mtu,
	};
	static const char *const v4[] = {"100.64.0.1", "100.64.0.2"};
	static const char *const v6[] = {"fd7a:115c:a1e0::1",
					 "fd7a:115c:a1e0::2"};

	*net = (struct net){.now_ms = 1000000, .delay_ms = 1, .random = 1};
	for (int i = 0; i < 2; i++) {
		struct node *node = &net->node[i];

		node->net = net;
		node->index = i;
		node->v4 = ip_of(v4[i]);
		node->v6 = ip_of(v6[i]);
		node->policy = HOLD;
		node->s = stack_new(&ops, node, net->now_ms);
		assert_non_null(node->s);
		stack_set_addrs(node->s, &node->v4, &node->v6);
	}
}

static inline void net_forget_staying(struct net *net)
{
	while (net->staying) {
		struct wire_packet *p = net->staying;

		net->staying = p->next;
		free(p);
	}
	net->staying_count = 0;
}

static inline void net_close(struct net *net)
{
	for (int i = 0; i < 2; i++)
		stack_free(net->node[i].s);
	net_forget_staying(net);
	while (net->first) {
		struct wire_packet *p = net->first;

		net->first = p->next;
		free(p);
	}
}

static inline uint64_t net_next_ms(const struct net *net)
{
	uint64_t next = net->first ? net->first->at_ms : UINT64_MAX;

	for (int i = 0; i < 2; i++) {
		uint64_t due = stack_deadline_ms(net->node[i].s);

		if (due < next)
			next = due;
	}
	return next;
}

static inline void net_deliver(struct net *net, struct wire_packet *p)
{
	struct stack *s = net->node[p->to].s;

	if (net->stay_for == 0) {
		stack_input(s, p->data, p->len, net->now_ms);
		free(p);
		return;
	}
	p->next = net->staying;
	net->staying = p;
	stack_input_staying(s, p->data, p->len, net->now_ms);
	if (++net->staying_count < net->stay_for)
		return;
	for (int i = 0; i < 2; i++)
		stack_release(net->node[i].s);
	net_forget_staying(net);
}

/* One step of time; false when nothing is left to happen before limit_ms. */
static inline bool net_step(struct net *net, uint64_t limit_ms)
{
	uint64_t next = net_next_ms(net);

	if (next > limit_ms)
		return false;
	if (next > net->now_ms)
		net->now_ms = next;
	while (net->first && net->first->at_ms <= net->now_ms) {
		struct wire_packet *p = net->first;

		net->first = p->next;
		if (net->last_put == p)
			net->last_put = NULL;
		net->delivered++;
		net_deliver(net, p);
	}
	for (int i = 0; i < 2; i++)
		if (stack_deadline_ms(net->node[i].s) <= net->now_ms)
			stack_tick(net->node[i].s, net->now_ms);
	return true;
}

static inline void net_run(struct net *net, uint64_t for_ms)
{
	uint64_t limit = net->now_ms + for_ms;

	while (net_step(net, limit))
		;
	net->now_ms = limit;
}

static inline struct ts_addr net_addr(const struct net *net, int i, bool v6,
				      uint16_t port)
{
	return (struct ts_addr){v6 ? net->node[i].v6 : net->node[i].v4, port};
}

static inline void end_dial(struct net *net, struct end *e, bool v6,
			    uint16_t port)
{
	struct ts_addr to = net_addr(net, 1, v6, port);
	int err;

	e->node = &net->node[0];
	e->t = stack_tcp_dial(net->node[0].s, &to, 0, &END_OPS, e, net->now_ms,
			      &err);
	assert_int_equal(err, 0);
	assert_non_null(e->t);
}

static inline void net_connect(struct net *net, struct end *a, struct end *b)
{
	net->node[1].policy = ACCEPT;
	net->node[1].accept_end = b;
	end_dial(net, a, false, 80);
	net_run(net, 300);
	assert_true(a->up);
	assert_true(b->up);
}

static inline uint64_t net_active(const struct net *net, int i)
{
	struct stack_counters c;

	stack_counters(net->node[i].s, &c);
	return c.tcp_active;
}

static inline void assert_no_connections(const struct net *net)
{
	assert_int_equal(net_active(net, 0), 0);
	assert_int_equal(net_active(net, 1), 0);
}

#endif
