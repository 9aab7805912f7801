/* SPDX-License-Identifier: BSD-3-Clause
 * stack_path.c - try again at once, because the way to a peer is another one
 *
 * A connection whose segments vanished waits for its time-out, longer each
 * time. Its owner knows more: the peer is reached by another path now, or is
 * heard again. Then what waits is sent again without waiting; and what came
 * in is acknowledged once more, since our last ACK may have gone the old way,
 * and since it shows the peer where we are now.
 */
#include "netstack/stack_private.h"

enum {
	/* A connection that was silent for longer need not announce itself. */
	FRESH_MS = 10000,
	/* A SYN that was sent just now may still be answered. */
	SYN_PATIENCE_MS = 200,
};

/* As if its time-out had come; it costs none of the tries. */
static void try_syn(struct stack_tcp *t)
{
	struct tcp_pcb *pcb = t->pcb;

	if (pcb->rtime < SYN_PATIENCE_MS / STACK_TICK_MS)
		return;
	pcb->rtime = pcb->rto;
	if (pcb->nrtx > 0)
		pcb->nrtx--;
	if (t->timeouts > 0)
		t->timeouts--;
}

static bool is_fresh(const struct stack_tcp *t)
{
	return t->last_tick - t->pcb->tmr < FRESH_MS / STACK_TICK_MS;
}

static void try_one(struct stack_tcp *t)
{
	stack_tcp_enter(t);
	if (t->is_sending) {
		stack_sender_try_again(&t->sender, t->s->now_us);
		t->wants_ack |= is_fresh(t);
		stack_send(t);
	} else {
		try_syn(t);
	}
	stack_tcp_leave(t);
}

void stack_try_again(struct stack *s,
		     bool (*concerns)(void *ctx, const struct ts_ip *remote),
		     void *ctx, uint64_t now_ms)
{
	struct stack_tcp *t = s->conns, *next;

	stack_set_now(s, now_ms);
	for (; t; t = next) {
		next = t->next;
		if (t->pcb && concerns(ctx, &t->remote.ip))
			try_one(t);
	}
	stack_tell_owners(s);
}
