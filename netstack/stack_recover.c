/* SPDX-License-Identifier: BSD-3-Clause
 * stack_recover.c - several losses in one window (NewReno)
 * Source: RFC 6582
 *
 * lwIP ends its fast recovery with the first ACK that moves on. When a second
 * segment of the same window was lost that ACK is a partial one: then lwIP
 * waits for three more duplicates or, as the window is small by now, for the
 * time-out. So the end of what was in flight is noted when a recovery starts;
 * until that is acknowledged each partial ACK has the next segment sent again,
 * and the recovery goes on.
 */
#include "netstack/stack_private.h"

static void go_on(struct stack_tcp *t)
{
	if (tcp_rexmit(t->pcb))
		return;
	tcp_set_flags(t->pcb, TF_INFR);
	stack_send(t);
}

void stack_recover(struct stack_tcp *t, uint32_t acked_before, bool was_fast)
{
	struct tcp_pcb *pcb = t->pcb;
	bool is_fast = pcb->flags & TF_INFR;

	if (!t->is_recovering) {
		t->is_recovering = is_fast && !was_fast;
		t->recover_seq = pcb->snd_nxt;
		return;
	}
	if (pcb->lastack == acked_before)
		return;
	if (TCP_SEQ_GEQ(pcb->lastack, t->recover_seq) || !pcb->unacked)
		t->is_recovering = false;
	else
		go_on(t);
}
