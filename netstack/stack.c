/* SPDX-License-Identifier: BSD-3-Clause
 * stack.c - one stack: its life, its packets in, its clock
 *
 * Reading order: stack_private.h (how connections and lwIP are kept apart),
 * stack_ip.c and stack_frag.c (packets), stack_flow.c (whose segment is it),
 * stack_syn.c and stack_source.c (who may come in), stack_conn.c and
 * stack_timer.c (a connection and its deadlines), stack_segment.c,
 * stack_send.c, stack_reorder.c and stack_out.c (a connection that is up),
 * stack_tcp.c and stack_tcp_recv.c (what owners call), stack_netif.c (lwIP
 * itself). What to send when, without its
 * bytes: tcp_sender.c, tcp_recovery.c, tcp_rack.c, cc_cubic.c, cc_bbr.c.
 */
#include "netstack/stack_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/crypto/secret.h"

static void set_now(struct stack *s, uint64_t now_ms)
{
	uint64_t now_us = s->ops.now_us ? s->ops.now_us(s->ctx) : 0;

	s->now_ms = now_ms;
	if (now_us < now_ms * 1000)
		now_us = now_ms * 1000;
	if (now_us > s->now_us)
		s->now_us = now_us;
}

struct stack *stack_new(const struct stack_ops *ops, void *ctx, uint64_t now_ms)
{
	struct stack *s;
	uint64_t seed;

	if (ts_crypto_init())
		return NULL;
	s = calloc(1, sizeof(*s));
	if (!s)
		return NULL;
	s->ops = *ops;
	s->ctx = ctx;
	s->cc = &stack_cc_cubic;
	set_now(s, now_ms);
	s->ip_id = (uint16_t)ts_random_u32();
	seed = ts_random_u64();
	ts_key_map_init(&s->flows, STACK_FLOW_KEY_LEN, seed);
	ts_key_map_init(&s->udp_ports, sizeof(uint16_t), seed);
	ts_key_map_init(&s->echo_ids, sizeof(uint16_t), seed);
	ts_key_map_init(&s->sources, TS_IP_LEN, seed);
	s->echo_seed = ts_random_u32();
	if (stack_netif_add(s)) {
		free(s);
		return NULL;
	}
	return s;
}

void stack_free(struct stack *s)
{
	if (!s)
		return;
	s->is_silent = true;
	while (s->conns)
		stack_tcp_abort(s->conns);
	stack_syn_free_all(s);
	while (s->tws_first)
		stack_tw_remove(s, s->tws_first);
	while (s->udps)
		stack_udp_close(s->udps);
	stack_echo_free_all(s);
	stack_frag_free_all(s);
	stack_loop_free_all(s);
	stack_netif_remove(s);
	ts_key_map_deinit(&s->flows);
	ts_key_map_deinit(&s->udp_ports);
	ts_key_map_deinit(&s->sources);
	free(s->heap);
	free(s);
}

/* -- addresses ------------------------------------------------------------ */
static void end_connections(struct stack *s)
{
	for (struct stack_tcp *t = s->conns, *next; t; t = next) {
		next = t->next;
		if (!t->pcb || stack_is_local(s, &t->local.ip))
			continue;
		if (t->is_orphan) {
			stack_tcp_kill(t, false);
			stack_tcp_free(t);
		} else {
			stack_tcp_fail(t, -ENETUNREACH);
		}
	}
}

static void end_time_waits(struct stack *s)
{
	for (struct stack_tw *tw = s->tws_first, *next; tw; tw = next) {
		next = tw->next;
		if (!stack_is_local(s, &tw->local.ip))
			stack_tw_remove(s, tw);
	}
}

void stack_set_addrs(struct stack *s, const struct ts_ip *v4,
		     const struct ts_ip *v6)
{
	if (ts_ip_equal(v4, &s->v4) && ts_ip_equal(v6, &s->v6))
		return;
	s->v4 = *v4;
	s->v6 = *v6;
	end_connections(s);
	end_time_waits(s);
}

void stack_routes_changed(struct stack *s)
{
	end_connections(s);
	end_time_waits(s);
}

/* -- packets in ----------------------------------------------------------- */
static void dispatch(struct stack *s, const struct stack_dgram *d)
{
	switch (d->proto) {
	case PROTO_TCP:
		stack_tcp_packet(s, d);
		break;
	case PROTO_UDP:
		stack_udp_packet(s, d);
		break;
	case PROTO_ICMP:
	case PROTO_ICMPV6:
		stack_icmp_packet(s, d);
		break;
	default:
		s->count.dropped_bad++;
	}
}

void stack_packet(struct stack *s, const uint8_t *ip, size_t len, bool from_us)
{
	struct stack_dgram d;
	int err;

	s->count.packets_in++;
	err = stack_ip_parse(s, ip, len, from_us, &d);
	if (!err) {
		dispatch(s, &d);
		stack_frag_release(s);
	} else if (err == -EADDRNOTAVAIL) {
		s->count.dropped_not_ours++;
	} else if (err != -EAGAIN) {
		s->count.dropped_bad++;
	}
}

static void input(struct stack *s, const uint8_t *ip, size_t len,
		  uint8_t *staying, uint64_t now_ms)
{
	if (s->is_receiving || stack_lwip_is_busy()) {
		s->count.dropped_bad++;
		return;
	}
	s->is_receiving = true;
	set_now(s, now_ms);
	s->staying = staying;
	stack_packet(s, ip, len, false);
	s->staying = NULL;
	stack_loop_run(s);
	s->is_receiving = false;
	stack_tell_owners(s);
}

void stack_input(struct stack *s, const uint8_t *ip, size_t len,
		 uint64_t now_ms)
{
	input(s, ip, len, NULL, now_ms);
}

void stack_input_staying(struct stack *s, uint8_t *ip, size_t len,
			 uint64_t now_ms)
{
	input(s, ip, len, ip, now_ms);
}

/* -- time ----------------------------------------------------------------- */
static uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

void stack_set_now(struct stack *s, uint64_t now_ms)
{
	set_now(s, now_ms);
}

uint64_t stack_deadline_ms(const struct stack *s)
{
	uint64_t due = min_u64(stack_timer_deadline(s), stack_frag_deadline(s));

	if (s->events_first || s->loop_count)
		return s->now_ms;
	if (s->syns_first)
		due = min_u64(due, s->syns_first->expires_ms);
	if (s->tws_first)
		due = min_u64(due, s->tws_first->expires_ms);
	return due;
}

void stack_tick(struct stack *s, uint64_t now_ms)
{
	set_now(s, now_ms);
	s->is_receiving = true;
	stack_loop_run(s);
	s->is_receiving = false;
	stack_timer_run(s);
	stack_frag_tick(s);
	stack_syn_tick(s);
	while (s->tws_first && s->tws_first->expires_ms <= now_ms)
		stack_tw_remove(s, s->tws_first);
	stack_tell_owners(s);
}

int stack_set_congestion(struct stack *s, const char *name)
{
	const struct cc_ops *cc = stack_cc_find(name);

	if (!cc)
		return -ENOENT;
	s->cc = cc;
	return 0;
}

void stack_counters(const struct stack *s, struct stack_counters *out)
{
	*out = s->count;
}
