/* SPDX-License-Identifier: BSD-3-Clause
 * stack_timer.c - lwIP's TCP timers, run only when one is due
 *
 * lwIP wants its slow timer called every 20 ms and walks every connection to
 * count up retransmission times. Here each connection's next deadline is
 * worked out from the pcb after every call that could move it, and kept in a
 * heap; the slow timer then runs for that one connection, after its counters
 * have caught up with the ticks that nobody counted. A connection that waits
 * for nothing has no deadline, and a stack without deadlines no timer.
 *
 * The heap entry is only ever moved forward in time here: when a deadline was
 * put off meanwhile (each ACK puts off the retransmission), it is found out
 * when the old one comes, which saves a heap operation per segment.
 */
#include "netstack/stack_private.h"

#include <errno.h>
#include <stdlib.h>

enum {
	TIMEOUTS_MAX = 20,   /* in a row: about ten minutes */
	DELAYED_ACK_MS = 20, /* below any peer's shortest retransmission */
	FIN_WAIT_MS = 20000,	/* lwIP's TCP_FIN_WAIT_TIMEOUT */
	SYN_RCVD_MS = 20000,	/* lwIP's TCP_SYN_RCVD_TIMEOUT */
};

/* -- heap of connections by due_ms ---------------------------------------- */
static void heap_set(struct stack *s, size_t pos, struct stack_tcp *t)
{
	s->heap[pos - 1] = t;
	t->heap_pos = pos;
}

static void sift_up(struct stack *s, struct stack_tcp *t)
{
	size_t pos = t->heap_pos;

	while (pos > 1 && s->heap[pos / 2 - 1]->due_ms > t->due_ms) {
		heap_set(s, pos, s->heap[pos / 2 - 1]);
		pos /= 2;
	}
	heap_set(s, pos, t);
}

static void sift_down(struct stack *s, struct stack_tcp *t)
{
	size_t pos = t->heap_pos;

	for (;;) {
		size_t child = pos * 2;

		if (child > s->heap_len)
			break;
		if (child < s->heap_len &&
		    s->heap[child]->due_ms < s->heap[child - 1]->due_ms)
			child++;
		if (s->heap[child - 1]->due_ms >= t->due_ms)
			break;
		heap_set(s, pos, s->heap[child - 1]);
		pos = child;
	}
	heap_set(s, pos, t);
}

static bool heap_add(struct stack *s, struct stack_tcp *t)
{
	if (s->heap_len == s->heap_cap) {
		size_t cap = s->heap_cap ? s->heap_cap * 2 : 64;
		struct stack_tcp **heap =
			realloc(s->heap, cap * sizeof(struct stack_tcp *));

		if (!heap)
			return false;
		s->heap = heap;
		s->heap_cap = cap;
	}
	s->heap_len++;
	heap_set(s, s->heap_len, t);
	sift_up(s, t);
	return true;
}

void stack_timer_cancel(struct stack_tcp *t)
{
	struct stack *s = t->s;
	size_t pos = t->heap_pos;
	struct stack_tcp *last;

	if (pos == 0)
		return;
	t->heap_pos = 0;
	last = s->heap[--s->heap_len];
	if (last == t)
		return;
	heap_set(s, pos, last);
	sift_up(s, last);
	sift_down(s, last);
}

/* -- deadlines ------------------------------------------------------------ */
void stack_timer_catch_up(struct stack_tcp *t)
{
	struct tcp_pcb *pcb = t->pcb;
	uint32_t tick = stack_tick_now(t->s), passed = tick - t->last_tick;

	t->last_tick = tick;
	if (pcb->rtime < 0)
		return;
	if (passed > (uint32_t)(INT16_MAX - pcb->rtime))
		pcb->rtime = INT16_MAX;
	else
		pcb->rtime = (s16_t)(pcb->rtime + (s16_t)passed);
}

static uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* ticks from now in milliseconds of the loop's clock, on a tick's edge */
static uint64_t after_ticks(const struct stack_tcp *t, int64_t ticks)
{
	uint64_t now = t->s->now_ms / STACK_TICK_MS;

	return (now + (uint64_t)(ticks > 0 ? ticks : 0)) * STACK_TICK_MS;
}

/* wait after pcb->tmr, the time of the last segment that counts */
static uint64_t after_tmr(const struct stack_tcp *t, uint64_t wait_ms)
{
	int64_t idle = (int32_t)(t->last_tick - t->pcb->tmr);

	return after_ticks(t, (int64_t)(wait_ms / STACK_TICK_MS) + 1 - idle);
}

/* When lwIP sends a SYN again. */
static uint64_t syn_deadline(const struct stack_tcp *t)
{
	const struct tcp_pcb *pcb = t->pcb;

	if (pcb->nrtx >= (pcb->state == SYN_SENT ? TCP_SYNMAXRTX : TCP_MAXRTX))
		return after_ticks(t, 0);
	return pcb->rtime >= 0 ? after_ticks(t, pcb->rto - pcb->rtime)
			       : STACK_NEVER;
}

/* Rounded up; what is past already was tried just now. */
static uint64_t sender_deadline(const struct stack_tcp *t)
{
	uint64_t due_us = stack_sender_deadline_us(&t->sender), due_ms;

	if (due_us == UINT64_MAX)
		return STACK_NEVER;
	due_ms = (due_us + 999) / 1000;
	return due_ms > t->s->now_ms ? due_ms : t->s->now_ms + 1;
}

static uint64_t send_deadline(const struct stack_tcp *t)
{
	return min_u64(sender_deadline(t), stack_send_persist_deadline(t));
}

static uint64_t state_deadline(const struct stack_tcp *t)
{
	const struct tcp_pcb *pcb = t->pcb;

	switch (pcb->state) {
	case SYN_RCVD:
		return after_tmr(t, SYN_RCVD_MS);
	case FIN_WAIT_2:
		return pcb->flags & TF_RXCLOSED ? after_tmr(t, FIN_WAIT_MS)
						: STACK_NEVER;
	case LAST_ACK:
		return after_tmr(t, 2 * TCP_MSL);
	default:
		return STACK_NEVER;
	}
}

static uint64_t ack_deadline(struct stack_tcp *t)
{
	if (!(t->pcb->flags & (TF_ACK_DELAY | TF_CLOSEPEND)))
		t->ack_due_ms = 0;
	else if (t->ack_due_ms == 0)
		t->ack_due_ms = t->s->now_ms + DELAYED_ACK_MS;
	return t->ack_due_ms ? t->ack_due_ms : STACK_NEVER;
}

/* What lwIP's slow timer is for. */
static uint64_t slow_deadline(const struct stack_tcp *t)
{
	return min_u64(t->is_sending ? STACK_NEVER : syn_deadline(t),
		       state_deadline(t));
}

static uint64_t probe_due(const struct stack_tcp *t)
{
	uint64_t idle_ms = stack_tcp_probe_idle(t);

	return idle_ms == STACK_NEVER ? STACK_NEVER : after_tmr(t, idle_ms);
}

void stack_timer_schedule(struct stack_tcp *t)
{
	struct stack *s = t->s;
	uint64_t due = min_u64(slow_deadline(t), ack_deadline(t));

	if (t->is_sending)
		due = min_u64(due, send_deadline(t));
	due = min_u64(due, stack_tcp_stall_deadline(t));
	due = min_u64(due, probe_due(t));
	if (t->heap_pos) {
		if (due >= t->due_ms)
			return;
		t->due_ms = due;
		sift_up(s, t);
		return;
	}
	t->due_ms = due;
	if (due != STACK_NEVER && !heap_add(s, t))
		log_error("stack-%u: no memory for a timer", s->netif.num);
}

uint64_t stack_timer_deadline(const struct stack *s)
{
	return s->heap_len ? s->heap[0]->due_ms : STACK_NEVER;
}

/* -- running them --------------------------------------------------------- */
/* lwIP skips a connection whose last_timer equals its 8-bit count of runs,
 * which after runs for others happens by accident: then once more. */
static void run_lwip_timer(struct stack_tcp *t, void (*timer)(void),
			   uint32_t ticks)
{
	struct tcp_pcb *pcb = t->pcb;
	uint8_t before = pcb->last_timer;

	tcp_ticks = ticks;
	timer();
	if (tcp_active_pcbs == pcb && pcb->last_timer == before) {
		tcp_ticks = ticks;
		timer();
	}
}

/* Counters to just below now, so that the one step of the slow timer makes
 * them true. */
static void run_slow_timer(struct stack_tcp *t)
{
	struct tcp_pcb *pcb = t->pcb;
	uint8_t retransmissions = pcb->nrtx;

	if (pcb->rtime > 0)
		pcb->rtime--;
	run_lwip_timer(t, tcp_slowtmr, stack_tick_now(t->s) - 1);
	if (tcp_active_pcbs && pcb->nrtx > retransmissions)
		t->timeouts++;
}

static void run_ack_timer(struct stack_tcp *t)
{
	t->ack_due_ms = 0;
	if (t->is_sending && (t->pcb->flags & TF_ACK_DELAY)) {
		tcp_clear_flags(t->pcb, TF_ACK_DELAY);
		t->wants_ack = true;
	}
	run_lwip_timer(t, tcp_fasttmr, stack_tick_now(t->s));
}

static void give_up(struct stack_tcp *t)
{
	stack_tcp_kill(t, false);
	if (t->is_orphan)
		stack_tcp_free(t);
	else
		stack_tcp_over(t, -ETIMEDOUT);
}

/* False: the peer has not answered for too long. */
static bool run_sender(struct stack_tcp *t)
{
	if (stack_send_persist_deadline(t) <= t->s->now_ms) {
		if (t->pcb->persist_probe >= TCP_MAXRTX)
			return false;
		stack_send_persist(t);
	}
	if (stack_sender_tick(&t->sender, t->s->now_us) &&
	    t->sender.backoff > TIMEOUTS_MAX)
		return false;
	stack_send(t);
	return true;
}

/* Still there, and still on loan? */
static bool run_timers(struct stack_tcp *t)
{
	uint64_t now_ms = t->s->now_ms;

	if (probe_due(t) <= now_ms && !stack_tcp_probe(t))
		return false;
	if (t->ack_due_ms && t->ack_due_ms <= now_ms)
		run_ack_timer(t);
	if (tcp_active_pcbs && slow_deadline(t) <= now_ms)
		run_slow_timer(t);
	if (tcp_active_pcbs && t->is_sending && !run_sender(t)) {
		give_up(t);
		return false;
	}
	return true;
}

static void run_one(struct stack_tcp *t)
{
	stack_timer_cancel(t);
	if (stack_tcp_stall_deadline(t) <= t->s->now_ms) {
		stack_tcp_stalled(t);
		return;
	}
	stack_tcp_enter(t);
	if (run_timers(t))
		stack_tcp_leave(t);
}

void stack_timer_run(struct stack *s)
{
	while (s->heap_len && s->heap[0]->due_ms <= s->now_ms)
		run_one(s->heap[0]);
}
