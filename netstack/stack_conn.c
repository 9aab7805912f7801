/* SPDX-License-Identifier: BSD-3-Clause
 * stack_conn.c - a connection on loan to lwIP, and what its owner is told
 *
 * stack_tcp_enter() puts the one pcb on lwIP's list; stack_tcp_leave() takes
 * back what lwIP made of it: still there, in TIME-WAIT (kept as a stack_tw) or
 * freed. Callbacks from lwIP only note events; stack_tell_owners() delivers
 * them later, one at a time, so an owner may close any connection from any
 * callback. The end of a connection is told last: a clean one only after the
 * owner has read everything and seen EOF, a failure at once.
 */
#include "netstack/stack_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
	RTO_FIRST_TICKS = LWIP_TCP_RTO_TIME / STACK_TICK_MS,
	RTO_MAX_TICKS = 120000 / STACK_TICK_MS,
	ORPHAN_TIMEOUTS = 15, /* a bit more than a minute */
	ORPHAN_PROBES = 8,
	PEER_MSS_MIN = 216, /* a peer's smaller MSS is not obeyed */
	ANSWER_MS = 1, /* owners' answers come within it, or not soon */
	UNACKED_MAX = 48,   /* segments, at most, for one ACK: a bundle */
};

/* -- life ----------------------------------------------------------------- */
struct stack_tcp *stack_tcp_new(struct stack *s, const struct ts_addr *local,
				const struct ts_addr *remote,
				const struct stack_tcp_ops *ops, void *user)
{
	struct stack_tcp *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->flow.kind = FLOW_TCP;
	t->s = s;
	t->ops = ops;
	t->user = user;
	t->local = *local;
	t->remote = *remote;
	t->rx_limit = STACK_RX_FIRST_WINDOW;
	stack_mtu_find(s, &remote->ip, &t->mtu);
	if (stack_flow_put(s, local, remote, &t->flow)) {
		free(t);
		return NULL;
	}
	t->next = s->conns;
	if (s->conns)
		s->conns->prev = t;
	s->conns = t;
	return t;
}

void stack_tcp_free(struct stack_tcp *t)
{
	struct stack *s = t->s;

	stack_tcp_unqueue(t);
	stack_timer_cancel(t);
	stack_source_give_back(t->source);
	stack_rx_free(t);
	stack_send_end(t);
	stack_reorder_free(t);
	stack_flow_take(s, &t->local, &t->remote, &t->flow);
	if (t->prev)
		t->prev->next = t->next;
	else
		s->conns = t->next;
	if (t->next)
		t->next->prev = t->prev;
	free(t);
}

/* -- events --------------------------------------------------------------- */
void stack_tcp_unqueue(struct stack_tcp *t)
{
	struct stack *s = t->s;

	t->events = 0;
	if (!t->is_queued)
		return;
	if (t->ev_prev)
		t->ev_prev->ev_next = t->ev_next;
	else
		s->events_first = t->ev_next;
	if (t->ev_next)
		t->ev_next->ev_prev = t->ev_prev;
	else
		s->events_last = t->ev_prev;
	t->ev_prev = t->ev_next = NULL;
	t->is_queued = false;
}

void stack_tcp_event(struct stack_tcp *t, unsigned event)
{
	struct stack *s = t->s;

	if (t->is_orphan)
		return;
	t->events |= event;
	if (t->is_queued)
		return;
	t->is_queued = true;
	t->ev_prev = s->events_last;
	if (s->events_last)
		s->events_last->ev_next = t;
	else
		s->events_first = t;
	s->events_last = t;
}

void stack_tcp_over(struct stack_tcp *t, int err)
{
	if (t->gone_err == 0)
		t->gone_err = err;
	if (t->gone_err || t->saw_eof || !t->got_eof)
		stack_tcp_event(t, EVENT_GONE);
	else
		stack_tcp_event(t, EVENT_READABLE);
}

static void tell_gone(struct stack_tcp *t)
{
	const struct stack_tcp_ops *ops = t->ops;
	void *user = t->user;
	int err = t->gone_err;

	stack_tcp_free(t);
	if (ops->gone)
		ops->gone(user, err);
}

/* One event a call: the callback may have freed t. */
static void tell_one(struct stack_tcp *t)
{
	unsigned events = t->events;
	unsigned event = events & (~events + 1); /* lowest first */

	if (event == EVENT_GONE) {
		tell_gone(t);
		return;
	}
	t->events &= ~event;
	if (t->events == 0)
		stack_tcp_unqueue(t);
	if (event == EVENT_CONNECTED && t->ops->connected)
		t->ops->connected(t->user);
	else if (event == EVENT_READABLE && t->ops->readable)
		t->ops->readable(t->user);
	else if (event == EVENT_WRITABLE && t->ops->writable)
		t->ops->writable(t->user);
}

void stack_tell_owners(struct stack *s)
{
	if (s->is_telling)
		return;
	s->is_telling = true;
	while (s->events_first)
		tell_one(s->events_first);
	s->is_telling = false;
}

/* -- what lwIP tells us --------------------------------------------------- */
static void on_error(void *arg, err_t err)
{
	struct stack_tcp *t = arg;

	if (!t)
		return;
	if (err == ERR_CLSD)
		t->gone_err = 0;
	else if (err == ERR_RST)
		t->gone_err = t->is_up ? -ECONNRESET : -ECONNREFUSED;
	else
		t->gone_err = -ETIMEDOUT;
}

static void delay_ack(struct stack_tcp *t, uint64_t ms)
{
	tcp_set_flags(t->pcb, TF_ACK_DELAY);
	t->ack_due_ms = t->s->now_ms + ms;
}

/* An ACK that lwIP would send now is ours to send, with what else there is. The
 * second segment's, which RFC 5681 asks for, may wait until the owner has no
 * more packets at hand: then it is for all of them. A FIN's waits for ours,
 * which mostly follows. Not the last one of all: lwIP has no use for the
 * connection any more. */
static void take_over_ack(struct stack_tcp *t, struct tcp_pcb *pcb)
{
	if (!t->is_sending || pcb->state == TIME_WAIT)
		return;
	t->unacked_segments++;
	if (!(pcb->flags & TF_ACK_NOW))
		return;
	tcp_clear_flags(pcb, TF_ACK_NOW);
	if (t->unacked_segments >= UNACKED_MAX)
		t->wants_ack = true;
	else if (!t->got_eof)
		delay_ack(t, 0);
	else if (pcb->state == CLOSE_WAIT)
		delay_ack(t, ANSWER_MS);
	else
		t->wants_ack = true;
}

static err_t on_received(void *arg, struct tcp_pcb *pcb, struct pbuf *p,
			 err_t err)
{
	struct stack_tcp *t = arg;

	(void)err;
	if (p)
		stack_rx_append(t, p);
	else
		t->got_eof = true;
	take_over_ack(t, pcb);
	stack_tcp_event(t, EVENT_READABLE);
	return ERR_OK;
}

static void is_up_now(struct stack_tcp *t)
{
	t->is_up = true;
	stack_source_give_back(t->source);
	t->source = NULL;
	stack_rx_first_window(t);
	stack_tcp_event(t, EVENT_CONNECTED |
				   (t->wants_room ? EVENT_WRITABLE : 0u));
}

err_t stack_tcp_on_accept(void *arg, struct tcp_pcb *pcb, err_t err)
{
	struct stack_tcp *t = arg;

	(void)err;
	/* The SYN-ACK could only offer 64 KB, whatever lwIP thought of. */
	pcb->rcv_ann_right_edge = pcb->rcv_nxt + 0xffff;
	is_up_now(t);
	return ERR_OK;
}

/* The handshake's ACK, which lwIP sends next, is better sent with the owner's
 * first bytes: half of the packets of a short connection carry nothing else. */
err_t stack_tcp_on_connected(void *arg, struct tcp_pcb *pcb, err_t err)
{
	struct stack_tcp *t = arg;

	(void)pcb;
	(void)err;
	t->s->withholds_ack = true;
	is_up_now(t);
	return ERR_OK;
}

void stack_tcp_attach(struct stack_tcp *t, struct tcp_pcb *pcb)
{
	t->pcb = pcb;
	t->last_tick = stack_tick_now(t->s);
	pcb->netif_idx = netif_get_index(&t->s->netif);
	pcb->flags |= TF_NODELAY;
	pcb->keep_idle = 7200u * 1000;
	tcp_arg(pcb, t);
	tcp_err(pcb, on_error);
	tcp_recv(pcb, on_received);
	t->s->count.tcp_active++;
}

/* -- on loan -------------------------------------------------------------- */
void stack_tcp_enter(struct stack_tcp *t)
{
	stack_lwip_use(t->s);
	stack_timer_catch_up(t);
	stack_mtu_lend(t);
	t->pcb->next = NULL;
	tcp_active_pcbs = t->pcb;
}

/* A SYN's time-out, without a back-off in lwIP: bring it in line (RFC 6298). */
static void tune_rto(struct stack_tcp *t)
{
	struct tcp_pcb *pcb = t->pcb;
	int base = RTO_FIRST_TICKS;

	if (pcb->nrtx == 0)
		t->timeouts = 0;
	base = base > RTO_MAX_TICKS >> t->timeouts ? RTO_MAX_TICKS
						   : base << t->timeouts;
	pcb->rto = (s16_t)base;
}

static void tune(struct stack_tcp *t)
{
	struct tcp_pcb *pcb = t->pcb;

	if (t->is_up && !t->peer_mss)
		t->peer_mss = pcb->mss < PEER_MSS_MIN ? PEER_MSS_MIN : pcb->mss;
	stack_mtu_follow(t);
	if (t->is_sending) {
		stack_send_quiet(t);
		return;
	}
	tune_rto(t);
	if (!t->is_up)
		return;
	stack_send_begin(t);
	if (t->is_dialled)
		delay_ack(t, ANSWER_MS);
	if (t->write_is_shut) { /* asked for before it was up */
		tcp_shutdown(pcb, 0, 1);
		stack_send(t);
	}
}

/* lwIP has nothing of it any more. */
static void detach(struct stack_tcp *t)
{
	t->pcb = NULL;
	t->s->tx_bytes -= t->seen_queued;
	t->seen_queued = 0;
	stack_send_end(t);
	stack_reorder_free(t);
	t->s->count.tcp_active--;
	stack_timer_cancel(t);
	stack_flow_take(t->s, &t->local, &t->remote, &t->flow);
}

void stack_tcp_kill(struct stack_tcp *t, bool send_rst)
{
	struct tcp_pcb *pcb = t->pcb;

	if (!pcb)
		return;
	stack_lwip_use(t->s);
	detach(t);
	tcp_arg(pcb, NULL);
	tcp_err(pcb, NULL);
	tcp_clear_flags(pcb, TF_ACK_DELAY); /* else removal sends an ACK */
	tcp_abandon(pcb, send_rst);
}

static void ended(struct stack_tcp *t)
{
	detach(t);
	if (t->is_orphan)
		stack_tcp_free(t);
	else
		stack_tcp_over(t, t->gone_err);
}

static void to_time_wait(struct stack_tcp *t, struct tcp_pcb *pcb)
{
	stack_tw_add(t->s, t, pcb->snd_nxt, pcb->rcv_nxt);
	tcp_arg(pcb, NULL);
	tcp_err(pcb, NULL);
	tcp_abort(pcb); /* in this state it only frees */
}

/* Nobody waits for its end: a peer that is gone, or that answers but never
 * reads, must not keep what is queued in memory. */
static bool has_given_up(const struct stack_tcp *t)
{
	return t->is_orphan && (t->pcb->nrtx > ORPHAN_TIMEOUTS ||
				t->orphan_probes > ORPHAN_PROBES);
}

void stack_tcp_leave(struct stack_tcp *t)
{
	struct tcp_pcb *still = tcp_active_pcbs, *waiting = tcp_tw_pcbs;

	tcp_active_pcbs = NULL;
	if (still && has_given_up(t)) {
		stack_tcp_kill(t, true);
		stack_tcp_free(t);
		return;
	}
	if (still) {
		tune(t);
		stack_tcp_measure(t);
		stack_timer_schedule(t);
		return;
	}
	if (waiting)
		to_time_wait(t, waiting);
	ended(t);
}
