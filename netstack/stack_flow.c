/* SPDX-License-Identifier: BSD-3-Clause
 * stack_flow.c - which connection a segment belongs to; TIME-WAIT
 * Source: RFC 9293 sections 3.5.2 (reset generation) and 3.6.1, RFC 6191
 *
 * A tuple stands for a connection, a SYN that waits for its owner, or a
 * connection in TIME-WAIT. The last is lwIP's pcb boiled down to two sequence
 * numbers: 120 bytes for 60 s, oldest out when there are too many, so that a
 * busy client neither runs out of ports nor of memory. A SYN above the old
 * numbers opens the tuple anew at once; so does our own dial.
 */
#include "netstack/stack_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "netstack/checksum.h"

enum { TCP_HEAD = 20, TCP_SUM_AT = 16, OPTION_SACK = 5 };

void stack_flow_key(uint8_t key[static STACK_FLOW_KEY_LEN],
		    const struct ts_addr *local, const struct ts_addr *remote)
{
	struct ts_writer w = ts_writer_init(key, STACK_FLOW_KEY_LEN);

	ts_write_bytes(&w, local->ip.bytes, TS_IP_LEN);
	ts_write_bytes(&w, remote->ip.bytes, TS_IP_LEN);
	ts_write_be16(&w, local->port);
	ts_write_be16(&w, remote->port);
}

struct flow *stack_flow_find(const struct stack *s, const struct ts_addr *local,
			     const struct ts_addr *remote)
{
	uint8_t key[STACK_FLOW_KEY_LEN];

	stack_flow_key(key, local, remote);
	return ts_key_map_get(&s->flows, key);
}

int stack_flow_put(struct stack *s, const struct ts_addr *local,
		   const struct ts_addr *remote, struct flow *flow)
{
	uint8_t key[STACK_FLOW_KEY_LEN];

	stack_flow_key(key, local, remote);
	return ts_key_map_put(&s->flows, key, flow);
}

/* Only if the tuple still stands for this flow. */
void stack_flow_take(struct stack *s, const struct ts_addr *local,
		     const struct ts_addr *remote, const struct flow *flow)
{
	uint8_t key[STACK_FLOW_KEY_LEN];

	stack_flow_key(key, local, remote);
	if (ts_key_map_get(&s->flows, key) == flow)
		ts_key_map_take(&s->flows, key);
}

void stack_tcp_control(struct stack *s, const struct ts_addr *local,
		       const struct ts_addr *remote, uint32_t seq, uint32_t ack,
		       uint8_t flags)
{
	uint8_t head[TCP_HEAD];
	struct ts_writer w = ts_writer_init(head, sizeof(head));

	ts_write_be16(&w, local->port);
	ts_write_be16(&w, remote->port);
	ts_write_be32(&w, seq);
	ts_write_be32(&w, ack);
	ts_write_u8(&w, TCP_HEAD / 4 << 4);
	ts_write_u8(&w, flags);
	ts_write_zeros(&w, 6); /* window, checksum, urgent pointer */
	stack_ip_send(s, &local->ip, &remote->ip, PROTO_TCP, head, w.len,
		      TCP_SUM_AT, NULL, 0);
}

/* -- TIME-WAIT ------------------------------------------------------------ */
void stack_tw_remove(struct stack *s, struct stack_tw *tw)
{
	stack_flow_take(s, &tw->local, &tw->remote, &tw->flow);
	if (tw->prev)
		tw->prev->next = tw->next;
	else
		s->tws_first = tw->next;
	if (tw->next)
		tw->next->prev = tw->prev;
	else
		s->tws_last = tw->prev;
	s->tw_count--;
	free(tw);
}

void stack_tw_add(struct stack *s, const struct stack_tcp *t, uint32_t snd_nxt,
		  uint32_t rcv_nxt)
{
	struct stack_tw *tw;

	if (s->tw_count >= STACK_TIME_WAIT_MAX)
		stack_tw_remove(s, s->tws_first);
	tw = calloc(1, sizeof(*tw));
	if (!tw)
		return;
	tw->flow.kind = FLOW_TIME_WAIT;
	tw->local = t->local;
	tw->remote = t->remote;
	tw->snd_nxt = snd_nxt;
	tw->rcv_nxt = rcv_nxt;
	tw->expires_ms = s->now_ms + STACK_TIME_WAIT_MS;
	if (stack_flow_put(s, &tw->local, &tw->remote, &tw->flow)) {
		free(tw);
		return;
	}
	tw->prev = s->tws_last;
	if (s->tws_last)
		s->tws_last->next = tw;
	else
		s->tws_first = tw;
	s->tws_last = tw;
	s->tw_count++;
}

static bool seq_after(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) > 0;
}

/* True when the segment opens the tuple anew (tw is gone then). */
static bool time_wait_input(struct stack *s, struct stack_tw *tw,
			    const struct stack_segment *seg)
{
	if (seg->flags & TCP_RST) {
		if (seg->seq == tw->rcv_nxt)
			stack_tw_remove(s, tw);
		return false;
	}
	if ((seg->flags & (TCP_SYN | TCP_ACK)) == TCP_SYN &&
	    seq_after(seg->seq, tw->rcv_nxt)) {
		stack_tw_remove(s, tw);
		return true;
	}
	if ((seg->flags & (TCP_SYN | TCP_FIN)) || seg->data_len)
		stack_tcp_control(s, &tw->local, &tw->remote, tw->snd_nxt,
				  tw->rcv_nxt, TCP_ACK);
	return false;
}

/* -- segments ------------------------------------------------------------- */
static void read_sacks(struct ts_reader *r, struct stack_segment *seg)
{
	while (r->left >= 8 && seg->sack_count < TCP_SACKS_MAX) {
		struct tcp_range *sack = &seg->sacks[seg->sack_count++];

		sack->left = ts_read_be32(r);
		sack->right = ts_read_be32(r);
	}
}

/* lwIP reads an option that its length cuts short past the header's end. */
static bool read_options(struct ts_reader r, struct stack_segment *seg)
{
	while (r.left > 0) {
		uint8_t kind = ts_read_u8(&r), len;
		struct ts_reader body;

		if (kind == LWIP_TCP_OPT_EOL)
			return true;
		if (kind == LWIP_TCP_OPT_NOP)
			continue;
		len = ts_read_u8(&r);
		if (len < 2)
			return false;
		body = ts_read_block(&r, len - 2u);
		if (kind == OPTION_SACK)
			read_sacks(&body, seg);
	}
	return !r.bad;
}

static int parse(const struct stack_dgram *d, struct stack_segment *seg)
{
	struct ts_reader r = ts_reader_init(d->data, d->len);

	seg->remote = (struct ts_addr){d->src, ts_read_be16(&r)};
	seg->local = (struct ts_addr){d->dst, ts_read_be16(&r)};
	seg->seq = ts_read_be32(&r);
	seg->ack = ts_read_be32(&r);
	seg->header_len = (size_t)(ts_read_u8(&r) >> 4) * 4;
	seg->flags = ts_read_u8(&r) & 0x3f;
	seg->window = ts_read_be16(&r);
	seg->sack_count = 0;
	if (r.bad || seg->header_len < TCP_HEAD || seg->header_len > d->len ||
	    seg->remote.port == 0 || seg->local.port == 0)
		return -EBADMSG;
	seg->data_len = d->len - seg->header_len;
	r = ts_reader_init(d->data + TCP_HEAD, seg->header_len - TCP_HEAD);
	if (!read_options(r, seg))
		return -EBADMSG;
	if (stack_sum_finish(stack_sum_pseudo(&d->src, &d->dst, PROTO_TCP,
					      d->len) +
			     stack_sum(d->data, d->len)) != 0)
		return -EBADMSG;
	return 0;
}

static void reset(struct stack *s, const struct stack_segment *seg)
{
	if (seg->flags & TCP_RST)
		return;
	if (seg->flags & TCP_ACK)
		stack_tcp_control(s, &seg->local, &seg->remote, seg->ack, 0,
				  TCP_RST);
	else
		stack_tcp_control(s, &seg->local, &seg->remote, 0,
				  seg->seq + stack_segment_len(seg),
				  TCP_RST | TCP_ACK);
}

static void connection_input(struct stack *s, struct stack_tcp *t,
			     const struct stack_segment *seg,
			     const struct stack_dgram *d)
{
	if (seg->data_len && stack_rx_is_full(s, t)) {
		s->count.dropped_bad++;
		return;
	}
	if (!t->is_sending) /* lwIP may keep what comes too early */
		s->staying = NULL;
	stack_tcp_enter(t);
	if (t->is_sending)
		stack_segment_input(t, seg, d);
	else
		stack_lwip_input(s, d);
	if (tcp_active_pcbs)
		stack_send(t);
	stack_tcp_leave(t);
}

static void unknown_input(struct stack *s, const struct stack_segment *seg,
			  const struct stack_dgram *d)
{
	if ((seg->flags & (TCP_SYN | TCP_ACK | TCP_RST | TCP_FIN)) == TCP_SYN)
		stack_syn_input(s, d, &seg->local, &seg->remote);
	else
		reset(s, seg);
}

void stack_tcp_packet(struct stack *s, const struct stack_dgram *d)
{
	struct stack_segment seg;
	struct flow *flow;

	if (parse(d, &seg)) {
		s->count.dropped_bad++;
		return;
	}
	flow = stack_flow_find(s, &seg.local, &seg.remote);
	if (flow && flow->kind == FLOW_TCP) {
		connection_input(s, (struct stack_tcp *)flow, &seg, d);
		return;
	}
	if (flow && flow->kind == FLOW_SYN) {
		stack_syn_again((struct stack_syn *)flow, d);
		return;
	}
	if (flow && !time_wait_input(s, (struct stack_tw *)flow, &seg))
		return;
	unknown_input(s, &seg, d);
}
