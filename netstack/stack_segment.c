/* SPDX-License-Identifier: BSD-3-Clause
 * stack_segment.c - what a segment of a connection that is up does
 * Source: RFC 9293 section 3.10.7.4, RFC 5961
 *
 * Before lwIP: is it one that the peer can have sent now? A reset must name
 * exactly the next byte, a SYN is never believed, an acknowledgement must be of
 * something sent within the last window; what is not so is answered by a
 * challenge ACK, which a peer that lives will answer and a stranger cannot
 * see. These are limited per connection, so that no shared limit can be used to
 * find a connection out (CVE-2016-5696).
 *
 * Acknowledgements are stack_send.c's. lwIP gets bytes that are next in
 * sequence, and the acknowledgement of a FIN.
 */
#include "netstack/stack_private.h"

#include <string.h>

enum { CHALLENGE_MS = 500, HEADER_MAX = 60, FLAGS_AT = 13 };

uint32_t stack_segment_len(const struct stack_segment *seg)
{
	return (uint32_t)seg->data_len + ((seg->flags & TCP_SYN) ? 1 : 0) +
	       ((seg->flags & TCP_FIN) ? 1 : 0);
}

/* -- may it be? ----------------------------------------------------------- */
static void challenge(struct stack_tcp *t)
{
	if (t->challenge_due_ms > t->s->now_ms)
		return;
	t->challenge_due_ms = t->s->now_ms + CHALLENGE_MS;
	t->wants_ack = true;
}

static uint32_t right_edge(const struct tcp_pcb *pcb)
{
	return pcb->rcv_nxt + pcb->rcv_wnd;
}

static bool is_in_window(const struct tcp_pcb *pcb, uint32_t seq)
{
	return !tcp_after(pcb->rcv_nxt, seq) &&
	       !tcp_after(seq, right_edge(pcb));
}

static bool may_acknowledge(const struct tcp_pcb *pcb, uint32_t ack)
{
	uint32_t oldest = pcb->lastack - pcb->snd_wnd_max;

	return !tcp_after(ack, pcb->snd_nxt) && !tcp_after(oldest, ack);
}

/* True: go on with it. */
static bool check(struct stack_tcp *t, const struct stack_segment *seg)
{
	const struct tcp_pcb *pcb = t->pcb;

	if (seg->flags & TCP_RST) {
		if (seg->seq == pcb->rcv_nxt)
			return true;
		if (is_in_window(pcb, seg->seq))
			challenge(t);
		return false;
	}
	if (seg->flags & TCP_SYN) {
		challenge(t);
		return false;
	}
	if (!(seg->flags & TCP_ACK))
		return false;
	if (may_acknowledge(pcb, seg->ack))
		return true;
	challenge(t);
	return false;
}

/* -- to lwIP -------------------------------------------------------------- */
/* A FIN of ours may be acknowledged: the state moves in lwIP. It sees only the
 * header, as if it were next in sequence and the window were open. */
static void pass_header(struct stack_tcp *t, const struct stack_segment *seg,
			const struct stack_dgram *d)
{
	struct tcp_pcb *pcb = t->pcb;
	uint8_t header[HEADER_MAX];
	struct stack_dgram bare = *d;
	struct ts_writer w = ts_writer_init(header + 4, 4);
	tcpwnd_size_t window = pcb->rcv_wnd;

	if (!(pcb->flags & TF_FIN))
		return;
	memcpy(header, d->data, seg->header_len);
	ts_write_be32(&w, pcb->rcv_nxt);
	header[FLAGS_AT] = TCP_ACK;
	bare.data = header;
	bare.len = seg->header_len;
	if (window == 0)
		pcb->rcv_wnd = 1;
	stack_lwip_input(t->s, &bare);
	if (tcp_active_pcbs && window == 0)
		pcb->rcv_wnd = 0;
}

/* What waited for these bytes is next now. A hole that was filled is told at
 * once (RFC 5681, 4.2). */
static void pass_held(struct stack_tcp *t)
{
	struct pbuf *p;

	while (tcp_active_pcbs &&
	       (p = stack_reorder_next(t, t->pcb->rcv_nxt)) != NULL) {
		t->wants_ack = true;
		stack_lwip_input_pbuf(t->s, p, &t->remote.ip, &t->local.ip);
	}
}

static void input_text(struct stack_tcp *t, const struct stack_segment *seg,
		       const struct stack_dgram *d)
{
	const struct tcp_pcb *pcb = t->pcb;
	uint32_t end = seg->seq + stack_segment_len(seg);

	if (!tcp_after(end, pcb->rcv_nxt)) {
		stack_reorder_duplicate(t, seg->seq, end);
		t->wants_ack = true;
		pass_header(t, seg, d);
	} else if (t->got_eof || !tcp_after(right_edge(pcb), seg->seq)) {
		t->wants_ack = true;
		pass_header(t, seg, d);
	} else if (tcp_after(seg->seq, pcb->rcv_nxt)) {
		/* Beyond the window it would be cut, though SACKed. */
		if (!tcp_after(seg->seq + (uint32_t)seg->data_len,
			       right_edge(pcb)))
			stack_reorder_hold(t, seg, d);
		t->wants_ack = true;
		pass_header(t, seg, d);
	} else {
		stack_lwip_input(t->s, d);
		pass_held(t);
	}
}

/* -- the whole ------------------------------------------------------------ */
static void note_alive(struct tcp_pcb *pcb)
{
	if (!(pcb->flags & TF_RXCLOSED))
		pcb->tmr = tcp_ticks;
	pcb->keep_cnt_sent = 0;
	pcb->persist_probe = 0;
}

void stack_segment_input(struct stack_tcp *t, const struct stack_segment *seg,
			 const struct stack_dgram *d)
{
	struct tcp_pcb *pcb = t->pcb;

	if (!check(t, seg))
		return;
	if (seg->flags & TCP_RST) {
		stack_lwip_input(t->s, d);
		return;
	}
	note_alive(pcb);
	stack_send_ack(t, seg);
	if (stack_segment_len(seg)) {
		input_text(t, seg, d);
		return;
	}
	pass_header(t, seg, d);
	/* a keepalive's probe, or a peer that is out of step */
	if (tcp_active_pcbs && seg->seq + 1 == pcb->rcv_nxt)
		t->wants_ack = true;
	else if (tcp_active_pcbs && tcp_after(seg->seq, right_edge(pcb)))
		challenge(t);
}
