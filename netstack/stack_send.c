/* SPDX-License-Identifier: BSD-3-Clause
 * stack_send.c - the sending side of a connection that is up
 *
 * lwIP cuts written bytes into segments and frees them; in between they are
 * ours. tcp_sender.c says which goes out when; its records and lwIP's list of
 * unacknowledged segments are the same segments in the same order. lwIP is kept
 * from sending or timing any itself by a congestion window of 0 and a timer
 * that never runs. It sends at most a FIN that is alone, which is adopted.
 *
 * A window that is shut is asked after by probes (RFC 9293, 3.8.6.1), and one
 * that is too small for the next segment is filled when a probe is due.
 */
#include "netstack/stack_private.h"

#include <errno.h>

enum { PERSIST_UNIT_MS = 200, ROOM_MIN = 16 * 1024 };

/* Back-off of window probes, in PERSIST_UNIT_MS: 0.6 s to 24 s */
static const uint8_t persist_units[] = {3, 6, 12, 24, 48, 96, 120};

static uint32_t seq_of(const struct tcp_seg *seg)
{
	return lwip_ntohl(seg->tcphdr->seqno);
}

static uint32_t sequence_len(const struct tcp_seg *seg)
{
	return TCP_TCPLEN(seg);
}

/* -- life ----------------------------------------------------------------- */
void stack_send_begin(struct stack_tcp *t)
{
	struct tcp_pcb *pcb = t->pcb;

	if (t->handshake_from_us && pcb->nrtx == 0) {
		uint64_t trip_us = t->s->now_us - t->handshake_from_us;

		stack_rtt_add(&t->sender.rtt, trip_us, trip_us, t->s->now_us);
	}
	stack_sender_init(&t->sender, t->cc ? t->cc : t->s->cc, pcb->lastack,
			  pcb->mss, pcb->flags & TF_SACK,
			  (uint32_t)(t->s->count.tcp_dialled +
				     t->s->count.tcp_accepted),
			  t->s->now_us);
	t->small_end = pcb->lastack;
	t->is_sending = true;
	stack_send_quiet(t);
}

void stack_send_quiet(struct stack_tcp *t)
{
	struct tcp_pcb *pcb = t->pcb;

	pcb->cwnd = 0;
	pcb->rtime = -1;
	pcb->rttest = 0;
	pcb->dupacks = 0;
	pcb->persist_backoff = 0;
	pcb->nrtx = t->sender.backoff;
	if (t->sender.cc.mss != pcb->mss)
		stack_sender_set_mss(&t->sender, pcb->mss);
}

void stack_send_end(struct stack_tcp *t)
{
	stack_sender_deinit(&t->sender);
	t->is_sending = false;
	t->unsent_last = NULL;
	t->persist_backoff = 0;
}

struct tcp_seg *stack_send_last_unsent(struct stack_tcp *t)
{
	if (!t->unsent_last)
		t->unsent_last = t->pcb->unsent;
	while (t->unsent_last && t->unsent_last->next)
		t->unsent_last = t->unsent_last->next;
	return t->unsent_last;
}

/* -- what may go ---------------------------------------------------------- */
static bool fits_window(const struct tcp_pcb *pcb, const struct tcp_seg *seg)
{
	return seq_of(seg) - pcb->lastack + seg->len <= pcb->snd_wnd;
}

/* Nagle's algorithm as Minshall amended it: one small segment at a time. */
static bool may_be_small(const struct stack_tcp *t, const struct tcp_seg *seg)
{
	const struct tcp_pcb *pcb = t->pcb;

	return (pcb->flags & (TF_NODELAY | TF_FIN)) || seg->next ||
	       seg->len >= pcb->mss || !tcp_after(t->small_end, pcb->lastack);
}

/* Of the next new segment; 0: none may go, whatever the congestion window. */
static uint32_t new_len(const struct stack_tcp *t)
{
	const struct tcp_seg *seg = t->pcb->unsent;

	if (!seg || !fits_window(t->pcb, seg) || !may_be_small(t, seg))
		return 0;
	return sequence_len(seg);
}

/* -- sending -------------------------------------------------------------- */
static struct tcp_seg *last_unacked(const struct stack_tcp *t)
{
	const struct sent_list *l = &t->sender.sent;

	return stack_sent_is_empty(l) ? NULL
				      : stack_sent_at(l, l->end - 1)->segment;
}

static void note_sent(struct stack_tcp *t, struct tcp_seg *seg)
{
	struct tcp_pcb *pcb = t->pcb;
	uint32_t seq = seq_of(seg), len = sequence_len(seg);

	if (TCP_SEQ_LT(pcb->snd_nxt, seq + len))
		pcb->snd_nxt = seq + len;
	if (seg->len < pcb->mss)
		t->small_end = seq + len;
	stack_sender_sent(&t->sender, seq, len, seg, t->s->now_us);
}

static bool send_new(struct stack_tcp *t)
{
	struct tcp_pcb *pcb = t->pcb;
	struct tcp_seg *seg = pcb->unsent, *last = last_unacked(t);

	if (stack_sender_reserve(&t->sender))
		return false;
	pcb->unsent = seg->next;
	if (!pcb->unsent)
		pcb->unsent_oversize = 0;
	if (t->unsent_last == seg) /* there may be newer ones behind it */
		t->unsent_last = NULL;
	seg->next = NULL;
	if (last)
		last->next = seg;
	else
		pcb->unacked = seg;
	note_sent(t, seg);
	stack_out_segment(t, seg);
	return true;
}

static void send_again(struct stack_tcp *t, uint64_t id)
{
	struct tcp_seg *seg = stack_sent_at(&t->sender.sent, id)->segment;

	stack_sender_resent(&t->sender, id, t->s->now_us);
	stack_out_segment(t, seg);
}

static bool send_one(struct stack_tcp *t)
{
	uint64_t id;

	switch (stack_sender_next(&t->sender, new_len(t), t->s->now_us, &id)) {
	case NEXT_NEW:
		return send_new(t);
	case NEXT_AGAIN:
		send_again(t, id);
		return true;
	default:
		return false;
	}
}

/* What lwIP sent by itself. */
static void adopt(struct stack_tcp *t)
{
	const struct tcp_seg *last = last_unacked(t);
	struct tcp_seg *seg = last ? last->next : t->pcb->unacked;

	for (; seg && !stack_sender_reserve(&t->sender); seg = seg->next)
		note_sent(t, seg);
}

static void follow_shut_window(struct stack_tcp *t)
{
	const struct tcp_pcb *pcb = t->pcb;
	bool is_stuck = pcb->unsent && !fits_window(pcb, pcb->unsent) &&
			stack_sent_is_empty(&t->sender.sent);

	if (!is_stuck) {
		t->persist_backoff = 0;
		t->orphan_probes = 0;
	} else if (t->persist_backoff == 0) {
		t->persist_backoff = 1;
		t->persist_from_ms = t->s->now_ms;
	}
}

/* Also while nothing is acknowledged: a hole must not run the sender dry. */
static void tell_room(struct stack_tcp *t)
{
	if (t->wants_room && stack_tcp_send_room(t) >= ROOM_MIN)
		stack_tcp_event(t, EVENT_WRITABLE);
}

void stack_send(struct stack_tcp *t)
{
	if (!t->is_sending) {
		if (t->wants_ack)
			tcp_ack_now(t->pcb);
		t->wants_ack = false;
		tcp_output(t->pcb);
		return;
	}
	adopt(t);
	while (send_one(t))
		;
	/* not when the owner waits for room, and will write in a moment */
	if (new_len(t) == 0 && (t->pcb->unsent || !t->wants_room))
		stack_sender_ran_dry(&t->sender);
	follow_shut_window(t);
	tell_room(t);
	if (t->wants_ack)
		stack_out_ack(t);
}

/* -- probes of a shut window ---------------------------------------------- */
uint64_t stack_send_persist_deadline(const struct stack_tcp *t)
{
	if (t->persist_backoff == 0)
		return STACK_NEVER;
	return t->persist_from_ms +
	       (uint64_t)persist_units[t->persist_backoff - 1] *
		       PERSIST_UNIT_MS;
}

void stack_send_persist(struct stack_tcp *t)
{
	struct tcp_pcb *pcb = t->pcb;

	t->persist_from_ms = t->s->now_ms;
	t->orphan_probes += t->is_orphan;
	if (t->persist_backoff < sizeof(persist_units))
		t->persist_backoff++;
	if (pcb->snd_wnd == 0)
		tcp_zero_window_probe(pcb);
	else if (tcp_split_unsent_seg(pcb, (uint16_t)pcb->snd_wnd) == ERR_OK)
		stack_send(t);
}

/* -- an ACK --------------------------------------------------------------- */
/* Of two that could have overtaken each other the larger window counts; but one
 * that is shut is believed. */
static bool is_news(const struct tcp_pcb *pcb, const struct stack_segment *seg,
		    uint32_t offered)
{
	if (pcb->snd_wl1 != seg->seq)
		return TCP_SEQ_LT(pcb->snd_wl1, seg->seq);
	if (pcb->snd_wl2 != seg->ack)
		return TCP_SEQ_LT(pcb->snd_wl2, seg->ack);
	return offered > pcb->snd_wnd || offered == 0;
}

static bool update_window(struct tcp_pcb *pcb, const struct stack_segment *seg)
{
	uint32_t before = pcb->snd_wnd;
	uint32_t offered = SND_WND_SCALE(pcb, (uint32_t)seg->window);

	if (is_news(pcb, seg, offered)) {
		pcb->snd_wnd = offered;
		if (pcb->snd_wnd_max < offered)
			pcb->snd_wnd_max = offered;
		pcb->snd_wl1 = seg->seq;
		pcb->snd_wl2 = seg->ack;
	}
	return pcb->snd_wnd != before;
}

static void free_acked(struct tcp_pcb *pcb, uint32_t ack)
{
	while (pcb->unacked && !tcp_after(seq_of(pcb->unacked) +
						  sequence_len(pcb->unacked),
					  ack)) {
		struct tcp_seg *seg = pcb->unacked;

		pcb->unacked = seg->next;
		pcb->snd_queuelen = (uint16_t)(pcb->snd_queuelen -
					       pbuf_clen(seg->p));
		pcb->snd_buf += seg->len;
		tcp_seg_free(seg);
	}
}

void stack_send_ack(struct stack_tcp *t, const struct stack_segment *seg)
{
	struct tcp_pcb *pcb = t->pcb;
	bool has_moved = update_window(pcb, seg);
	struct tcp_ack ack = {
		.ack = seg->ack,
		.sack_count = seg->sack_count,
		.is_duplicate = seg->ack == pcb->lastack && !has_moved &&
				seg->data_len == 0,
	};

	if (stack_sent_is_empty(&t->sender.sent) && seg->sack_count == 0 &&
	    seg->ack == pcb->lastack)
		return;
	for (unsigned i = 0; i < seg->sack_count; i++)
		ack.sacks[i] = seg->sacks[i];
	stack_sender_ack(&t->sender, &ack, t->s->now_us);
	if (!tcp_after(seg->ack, pcb->lastack))
		return;
	pcb->lastack = seg->ack;
	free_acked(pcb, seg->ack);
}
