/* SPDX-License-Identifier: BSD-3-Clause
 * stack_syn.c - inbound SYNs wait here for a decision, before lwIP knows
 *
 * The SYN's header is kept, the owner connects to the program that listens, and
 * only then lwIP gets to see the SYN (as if it had just come) and answers it. A
 * SYN that was retransmitted meanwhile is absorbed: the first one still counts.
 * What nobody answers in 30 s is dropped, and so is what a peer begins beyond
 * its share (stack_source.c); their senders come again.
 */
#include "netstack/stack_private.h"

#include <stdlib.h>
#include <string.h>

static void syn_unlink(struct stack_syn *syn)
{
	struct stack *s = syn->s;

	stack_flow_take(s, &syn->local, &syn->remote, &syn->flow);
	if (syn->prev)
		syn->prev->next = syn->next;
	else
		s->syns_first = syn->next;
	if (syn->next)
		syn->next->prev = syn->prev;
	else
		s->syns_last = syn->prev;
}

static void syn_free(struct stack_syn *syn)
{
	syn_unlink(syn);
	stack_source_give_back(syn->source);
	free(syn);
}

/* Its owner still holds it: tell. */
static void syn_gone(struct stack_syn *syn)
{
	struct stack *s = syn->s;

	syn_unlink(syn);
	if (s->ops.syn_gone)
		s->ops.syn_gone(s->ctx, syn);
	stack_source_give_back(syn->source);
	free(syn);
}

static uint32_t seq_of(const uint8_t *segment)
{
	struct ts_reader r = ts_reader_init(segment + 4, 4);

	return ts_read_be32(&r);
}

/* The datagram was checked by its caller: a whole header is there. */
static void keep_segment(struct stack_syn *syn, const struct stack_dgram *d)
{
	size_t header_len = (size_t)(d->data[12] >> 4) * 4;

	memcpy(syn->segment, d->data, header_len);
	syn->segment_len = header_len;
	syn->rst_ack = seq_of(d->data) + 1 + (uint32_t)(d->len - header_len);
}

static void append(struct stack *s, struct stack_syn *syn)
{
	syn->prev = s->syns_last;
	if (s->syns_last)
		s->syns_last->next = syn;
	else
		s->syns_first = syn;
	s->syns_last = syn;
}

void stack_syn_input(struct stack *s, const struct stack_dgram *d,
		     const struct ts_addr *local, const struct ts_addr *remote)
{
	struct stack_source *source;
	struct stack_syn *syn;

	source = s->ops.inbound_syn ? stack_source_take(s, &remote->ip) : NULL;
	if (!source)
		return;
	syn = calloc(1, sizeof(*syn));
	if (!syn) {
		stack_source_give_back(source);
		return;
	}
	syn->flow.kind = FLOW_SYN;
	syn->s = s;
	syn->source = source;
	syn->local = *local;
	syn->remote = *remote;
	syn->expires_ms = s->now_ms + STACK_SYN_WAIT_MS;
	keep_segment(syn, d);
	if (stack_flow_put(s, local, remote, &syn->flow)) {
		stack_source_give_back(source);
		free(syn);
		return;
	}
	append(s, syn);
	s->ops.inbound_syn(s->ctx, syn, local, remote);
}

void stack_syn_again(struct stack_syn *syn, const struct stack_dgram *d)
{
	uint8_t flags = d->data[13];
	uint32_t seq = seq_of(d->data), first = seq_of(syn->segment);

	if (flags & TCP_RST) {
		if (seq == first || seq == first + 1)
			syn_gone(syn);
	} else if ((flags & (TCP_SYN | TCP_ACK)) == TCP_SYN && seq != first) {
		/* the peer started over with another number */
		keep_segment(syn, d);
	}
}

/* Lends lwIP a listener for the one port and gives it the SYN. */
static struct tcp_pcb *answer(struct stack_syn *syn, struct stack_tcp *t)
{
	struct stack *s = syn->s;
	struct stack_dgram d = {
		.src = syn->remote.ip, .dst = syn->local.ip,
		.proto = PROTO_TCP,
		.data = syn->segment, .len = syn->segment_len,
	};
	struct tcp_pcb_listen *l = &s->listener;
	struct tcp_pcb *pcb;

	memset(l, 0, sizeof(*l));
	l->state = LISTEN;
	l->prio = TCP_PRIO_NORMAL;
	l->local_port = syn->local.port;
	l->netif_idx = netif_get_index(&s->netif);
	l->callback_arg = t;
	l->accept = stack_tcp_on_accept;
	IP_SET_TYPE_VAL(l->local_ip, IPADDR_TYPE_ANY);
	stack_lwip_use(s);
	stack_mtu_lend(t);
	tcp_active_pcbs = NULL;
	tcp_listen_pcbs.listen_pcbs = l;
	stack_lwip_input(s, &d);
	tcp_listen_pcbs.listen_pcbs = NULL;
	pcb = tcp_active_pcbs;
	return pcb;
}

struct stack_tcp *stack_syn_accept(struct stack_syn *syn,
				   const struct stack_tcp_ops *ops, void *user,
				   uint64_t now_ms)
{
	struct stack *s = syn->s;
	struct stack_tcp *t;
	struct tcp_pcb *pcb;

	stack_set_now(s, now_ms);
	t = stack_tcp_new(s, &syn->local, &syn->remote, ops, user);
	if (t) {
		t->source = syn->source;
		syn->source = NULL;
	}
	pcb = t ? answer(syn, t) : NULL;
	syn_free(syn);
	if (!pcb) {
		if (t)
			stack_tcp_free(t);
		return NULL;
	}
	stack_tcp_attach(t, pcb);
	t->handshake_from_us = s->now_us;
	stack_tcp_leave(t);
	s->count.tcp_accepted++;
	return t;
}

void stack_syn_refuse(struct stack_syn *syn)
{
	stack_tcp_control(syn->s, &syn->local, &syn->remote, 0, syn->rst_ack,
			  TCP_RST | TCP_ACK);
	syn->s->count.tcp_refused++;
	syn_free(syn);
}

void stack_syn_unreachable(struct stack_syn *syn, int err)
{
	uint8_t quote[STACK_QUOTE_MAX];
	struct stack_dgram d = {.src = syn->remote.ip, .dst = syn->local.ip,
				.proto = PROTO_TCP, .packet = quote};
	size_t head = stack_ip_quote(&d.src, &d.dst, PROTO_TCP,
				     syn->segment_len, quote, sizeof(quote));
	struct ts_writer w = ts_writer_init(quote + head, sizeof(quote) - head);

	ts_write_bytes(&w, syn->segment, syn->segment_len);
	d.packet_len = head + w.len;
	if (head > 0 && !w.bad)
		stack_icmp_unreachable(syn->s, &d, err);
	syn->s->count.tcp_refused++;
	syn_free(syn);
}

void stack_syn_drop(struct stack_syn *syn)
{
	syn_free(syn);
}

void stack_syn_tick(struct stack *s)
{
	while (s->syns_first && s->syns_first->expires_ms <= s->now_ms)
		syn_gone(s->syns_first);
}

void stack_syn_free_all(struct stack *s)
{
	while (s->syns_first)
		syn_free(s->syns_first);
}
