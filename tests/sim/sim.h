/* SPDX-License-Identifier: BSD-3-Clause
 * sim.h - two stacks at the ends of a simulated path, on a virtual clock
 *
 * Each direction is a link: packets wait in a queue of so many bytes (what does
 * not fit is dropped), leave at a rate, and arrive after a delay with jitter;
 * some are lost, some overtaken by their successors. The clock has
 * microseconds.
 * All chance comes from one seed, so that a run can be repeated exactly:
 * TSNET_SIM_SEED in the environment chooses it.
 */
#ifndef TESTS_SIM_H
#define TESTS_SIM_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "netstack/stack.h"

enum { SIM_SECOND_US = 1000 * 1000, SIM_START_US = 10 * SIM_SECOND_US };

struct sim_packet {
	struct sim_packet *next;
	uint64_t at_us;
	size_t len;
	uint8_t data[];
};

struct sim_path {
	uint64_t bytes_per_s; /* 0: no limit */
	size_t queue_bytes;   /* 0: no limit */
	uint32_t delay_us, jitter_us;
	unsigned loss_per_10k, reorder_per_10k;
	uint32_t reorder_us; /* how much later */
	/* all is lost in this time */
	uint64_t cut_from_us, cut_to_us;
};

struct sim_link {
	struct sim_path path;
	struct sim_packet *first, *last;
	uint64_t free_at_ns; /* the sender's end */
	uint64_t latest_us;  /* of those in order */
	uint64_t sent, lost, dropped;
};

struct sim;
struct sim_node {
	struct sim *sim;
	int index;
	struct stack *s;
	struct ts_ip v4;
};

/* One connection, bytes from node 0 to node 1. */
struct sim_flow {
	struct sim *sim;
	struct stack_tcp *tx, *rx;
	uint64_t to_write, written, read;
	uint64_t last_read_us, worst_stall_us;
	uint64_t read_from; /* where the measuring began */
	int err;
	bool is_up;
};

struct sim {
	uint64_t now_us;
	uint32_t seed, random;
	struct sim_node node[2];
	struct sim_link link[2]; /* from node i */
	struct sim_flow *flows;
	size_t flow_count;
};

static inline uint32_t sim_random(struct sim *sim)
{
	uint32_t x = sim->random += 0x9e3779b9u;

	x = (x ^ x >> 16) * 0x21f0aaadu;
	x = (x ^ x >> 15) * 0x735a2d97u;
	return x ^ x >> 15;
}

static inline bool sim_odds(struct sim *sim, unsigned per_10k)
{
	return per_10k && sim_random(sim) % 10000 < per_10k;
}

/* -- the path ------------------------------------------------------------- */
static inline void link_insert(struct sim_link *l, struct sim_packet *p)
{
	struct sim_packet **at = &l->first;

	p->next = NULL;
	if (l->last && l->last->at_us <= p->at_us) {
		l->last->next = p;
		l->last = p;
		return;
	}
	while (*at && (*at)->at_us <= p->at_us)
		at = &(*at)->next;
	p->next = *at;
	*at = p;
	if (!p->next)
		l->last = p;
}

/* When its last bit has left; 0: no room in the queue. */
static inline uint64_t link_leaves(struct sim *sim, struct sim_link *l,
				   size_t len)
{
	const struct sim_path *path = &l->path;
	uint64_t now_ns = sim->now_us * 1000;

	if (l->free_at_ns < now_ns)
		l->free_at_ns = now_ns;
	if (path->bytes_per_s == 0)
		return sim->now_us;
	if (path->queue_bytes &&
	    (l->free_at_ns - now_ns) / 1000 * path->bytes_per_s /
			    SIM_SECOND_US > path->queue_bytes)
		return 0;
	l->free_at_ns += len * 1000 * SIM_SECOND_US / path->bytes_per_s;
	return l->free_at_ns / 1000;
}

static inline bool link_loses(struct sim *sim, const struct sim_path *path)
{
	return sim_odds(sim, path->loss_per_10k) ||
	       (sim->now_us >= path->cut_from_us &&
		sim->now_us < path->cut_to_us);
}

static inline void sim_output(void *ctx, struct ts_packet *pkt)
{
	struct sim_node *node = ctx;
	struct sim *sim = node->sim;
	struct sim_link *l = &sim->link[node->index];
	uint64_t at = link_leaves(sim, l, pkt->len);
	struct sim_packet *p;

	l->sent++;
	if (at == 0 || link_loses(sim, &l->path)) {
		*(at ? &l->lost : &l->dropped) += 1;
		return;
	}
	at += l->path.delay_us;
	if (l->path.jitter_us)
		at += sim_random(sim) % l->path.jitter_us;
	if (at < l->latest_us)
		at = l->latest_us; /* jitter alone does not reorder */
	l->latest_us = at;
	if (sim_odds(sim, l->path.reorder_per_10k))
		at += l->path.reorder_us;
	p = malloc(sizeof(*p) + pkt->len);
	assert_non_null(p);
	p->at_us = at;
	p->len = pkt->len;
	memcpy(p->data, pkt->data, pkt->len);
	link_insert(l, p);
}

/* -- owners --------------------------------------------------------------- */
/* What flows carry: the same bytes again and again, with a period that no
 * number of segments has. */
enum { PATTERN_LEN = 65521, PATTERN_CHUNK = 16384 };

static inline const uint8_t *pattern_at(uint64_t offset)
{
	static uint8_t bytes[PATTERN_LEN + PATTERN_CHUNK];
	static bool is_made;

	for (size_t i = 0; !is_made && i < sizeof(bytes); i++) {
		size_t k = i % PATTERN_LEN;

		bytes[i] = (uint8_t)(k * 31 + (k >> 8) * 17);
	}
	is_made = true;
	return bytes + offset % PATTERN_LEN;
}

static inline void flow_write(struct sim_flow *f)
{
	while (f->written < f->to_write) {
		size_t n = PATTERN_CHUNK, done;

		if (n > f->to_write - f->written)
			n = (size_t)(f->to_write - f->written);
		done = stack_tcp_write(f->tx, pattern_at(f->written), n);
		f->written += done;
		if (done < n)
			break;
	}
	stack_tcp_flush(f->tx);
}

static inline void flow_connected(void *user)
{
	struct sim_flow *f = user;

	f->is_up = true;
	f->last_read_us = f->sim->now_us;
	flow_write(f);
}

static inline void flow_writable(void *user)
{
	flow_write(user);
}

static inline void flow_check(const struct sim_flow *f, const uint8_t *at,
			      size_t len)
{
	if (len > PATTERN_CHUNK || memcmp(at, pattern_at(f->read), len))
		fail_msg("seed %u: bytes at %llu differ", f->sim->seed,
			 (unsigned long long)f->read);
}

static inline void flow_readable(void *user)
{
	struct sim_flow *f = user;
	struct iovec iov[8];
	uint64_t stall = f->sim->now_us - f->last_read_us;
	int n;

	while ((n = stack_tcp_read_view(f->rx, iov, 8)) > 0) {
		size_t len = 0;

		for (int i = 0; i < n; i++) {
			flow_check(f, iov[i].iov_base, iov[i].iov_len);
			f->read += iov[i].iov_len;
			len += iov[i].iov_len;
		}
		stack_tcp_consume(f->rx, len);
	}
	if (stall > f->worst_stall_us)
		f->worst_stall_us = stall;
	f->last_read_us = f->sim->now_us;
}

static inline void flow_gone(void *user, int err)
{
	struct sim_flow *f = user;

	f->err = err;
	f->tx = NULL;
}

static inline void flow_peer_gone(void *user, int err)
{
	struct sim_flow *f = user;

	(void)err;
	f->rx = NULL;
}

static inline void sim_syn(void *ctx, struct stack_syn *syn,
			   const struct ts_addr *local,
			   const struct ts_addr *remote)
{
	static const struct stack_tcp_ops ops = {
		.readable = flow_readable, .gone = flow_peer_gone,
	};
	struct sim *sim = ((struct sim_node *)ctx)->sim;
	struct sim_flow *f = &sim->flows[local->port - 1000];

	(void)remote;
	assert_true((size_t)(local->port - 1000) < sim->flow_count);
	f->rx = stack_syn_accept(syn, &ops, f, sim->now_us / 1000);
	assert_non_null(f->rx);
}

static inline uint64_t sim_now_us(void *ctx)
{
	return ((struct sim_node *)ctx)->sim->now_us;
}

/* -- life ----------------------------------------------------------------- */
static inline uint32_t sim_seed(void)
{
	const char *text = getenv("TSNET_SIM_SEED");

	return text ? (uint32_t)strtoul(text, NULL, 10) : 20260;
}

static inline void sim_open(struct sim *sim, const char *congestion,
			    const struct sim_path *out,
			    const struct sim_path *back)
{
	static const struct stack_ops ops = {
		.output = sim_output, .inbound_syn = sim_syn,
		.now_us = sim_now_us,
	};
	struct ts_ip none = {0};

	*sim = (struct sim){.now_us = SIM_START_US, .seed = sim_seed()};
	sim->random = sim->seed;
	sim->link[0].path = *out;
	sim->link[1].path = *back;
	for (int i = 0; i < 2; i++) {
		struct sim_node *node = &sim->node[i];

		node->sim = sim;
		node->index = i;
		assert_int_equal(ts_ip_parse(i ? "100.64.0.2" : "100.64.0.1",
					     &node->v4), 0);
		node->s = stack_new(&ops, node, sim->now_us / 1000);
		assert_non_null(node->s);
		assert_int_equal(stack_set_congestion(node->s, congestion), 0);
		stack_set_addrs(node->s, &node->v4, &none);
	}
}

static inline void sim_close(struct sim *sim)
{
	for (int i = 0; i < 2; i++) {
		stack_free(sim->node[i].s);
		while (sim->link[i].first) {
			struct sim_packet *p = sim->link[i].first;

			sim->link[i].first = p->next;
			free(p);
		}
	}
	free(sim->flows);
}

static inline void sim_dial(struct sim *sim, size_t count, uint64_t bytes)
{
	static const struct stack_tcp_ops ops = {
		.connected = flow_connected, .writable = flow_writable,
		.gone = flow_gone,
	};

	sim->flows = calloc(count, sizeof(*sim->flows));
	assert_non_null(sim->flows);
	sim->flow_count = count;
	for (size_t i = 0; i < count; i++) {
		struct sim_flow *f = &sim->flows[i];
		struct ts_addr to = {sim->node[1].v4, (uint16_t)(1000 + i)};
		int err;

		f->sim = sim;
		f->to_write = bytes;
		f->last_read_us = sim->now_us;
		f->tx = stack_tcp_dial(sim->node[0].s, &to, 0, &ops, f,
				       sim->now_us / 1000, &err);
		assert_non_null(f->tx);
	}
}

/* -- time ----------------------------------------------------------------- */
static inline uint64_t sim_next_us(const struct sim *sim)
{
	uint64_t next = UINT64_MAX;

	for (int i = 0; i < 2; i++) {
		uint64_t due = stack_deadline_ms(sim->node[i].s);

		if (due < UINT64_MAX / 1000 && due * 1000 < next)
			next = due * 1000;
		if (sim->link[i].first && sim->link[i].first->at_us < next)
			next = sim->link[i].first->at_us;
	}
	return next;
}

static inline void sim_deliver(struct sim *sim, int from)
{
	struct sim_link *l = &sim->link[from];

	while (l->first && l->first->at_us <= sim->now_us) {
		struct sim_packet *p = l->first;

		l->first = p->next;
		if (!l->first)
			l->last = NULL;
		stack_input(sim->node[!from].s, p->data, p->len,
			    sim->now_us / 1000);
		free(p);
	}
}

/* False: nothing happens before limit_us. */
static inline bool sim_step(struct sim *sim, uint64_t limit_us)
{
	uint64_t next = sim_next_us(sim);

	if (next > limit_us)
		return false;
	if (next > sim->now_us)
		sim->now_us = next;
	for (int i = 0; i < 2; i++)
		sim_deliver(sim, i);
	for (int i = 0; i < 2; i++)
		if (stack_deadline_ms(sim->node[i].s) <= sim->now_us / 1000)
			stack_tick(sim->node[i].s, sim->now_us / 1000);
	return true;
}

static inline void sim_run(struct sim *sim, uint64_t for_us)
{
	uint64_t limit = sim->now_us + for_us;

	while (sim_step(sim, limit))
		;
	sim->now_us = limit;
}

#endif
