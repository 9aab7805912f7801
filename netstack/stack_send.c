/* SPDX-License-Identifier: BSD-3-Clause
 * stack_send.c - tcp_output() without its walk over everything in flight
 *
 * Whenever it may send, lwIP looks for the end of the list of unacknowledged
 * segments, from its start. With 4 MB in flight that is 3,400 cache misses per
 * ACK: five sixths of all time at full speed. So for a connection with much in
 * flight its list is cut down to the last element, which we remember, while
 * lwIP appends to it.
 *
 * The call at the end of tcp_input() is lwIP's own. It is kept from sending by
 * taking the unsent segments away during the input, and made up for after it.
 * That is only done where the input cannot miss them: the connection is up, has
 * no FIN queued and recovers from no time-out, and the segment leaves something
 * unacknowledged.
 */
#include "netstack/stack_private.h"

enum { MANY_PBUFS = 64 };

static bool has_much_in_flight(const struct tcp_pcb *pcb)
{
	return pcb->snd_queuelen > MANY_PBUFS && pcb->unacked && pcb->unsent;
}

static uint32_t seq_of(const struct tcp_seg *seg)
{
	return lwip_ntohl(seg->tcphdr->seqno);
}

static struct tcp_seg *last_of(struct tcp_seg *seg)
{
	while (seg->next)
		seg = seg->next;
	return seg;
}

/* What was remembered may have been freed or moved by lwIP on its own. */
void stack_send_forget(struct stack_tcp *t)
{
	t->last_unacked = NULL;
}

void stack_send(struct stack_tcp *t)
{
	struct tcp_pcb *pcb = t->pcb;
	struct tcp_seg *first = pcb->unacked;

	/* a retransmission has its place further in front */
	if (!has_much_in_flight(pcb) ||
	    TCP_SEQ_LT(seq_of(pcb->unsent), pcb->snd_nxt)) {
		stack_send_forget(t);
		tcp_output(pcb);
		return;
	}
	if (!t->last_unacked)
		t->last_unacked = last_of(first);
	pcb->unacked = t->last_unacked;
	tcp_output(pcb);
	t->last_unacked = last_of(t->last_unacked);
	pcb->unacked = first;
}

bool stack_send_hold(struct stack_tcp *t, uint32_t ack, uint8_t flags,
		     struct stack_held *held)
{
	struct tcp_pcb *pcb = t->pcb;

	if (!has_much_in_flight(pcb) || pcb->state < ESTABLISHED ||
	    (pcb->flags & (TF_RTO | TF_FIN)) ||
	    (flags & (TCP_SYN | TCP_RST | TCP_ACK)) != TCP_ACK ||
	    TCP_SEQ_GEQ(ack, seq_of(pcb->unsent)))
		return false;
	held->unsent = pcb->unsent;
	held->oversize = pcb->unsent_oversize;
	pcb->unsent = NULL;
	pcb->unsent_oversize = 0;
	return true;
}

/* The input may have left a retransmission unsent: that goes first. */
static void put_back(struct tcp_pcb *pcb, const struct stack_held *held)
{
	if (pcb->unsent)
		last_of(pcb->unsent)->next = held->unsent;
	else
		pcb->unsent = held->unsent;
	pcb->unsent_oversize = held->oversize;
}

void stack_send_release(struct stack_tcp *t, struct stack_held *held)
{
	if (!tcp_active_pcbs) {
		tcp_segs_free(held->unsent);
		return;
	}
	put_back(t->pcb, held);
	/* With one left it is the last; what was remembered may be gone. */
	if (!t->pcb->unacked || !t->pcb->unacked->next)
		t->last_unacked = t->pcb->unacked;
	stack_send(t);
}
