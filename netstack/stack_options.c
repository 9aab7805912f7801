/* SPDX-License-Identifier: BSD-3-Clause
 * stack_options.c - what the owner wants of a connection, and can learn of it
 *
 * Keepalive has Linux's rules, which are not lwIP's: no probe while bytes wait
 * for an acknowledgement (the retransmissions are probes enough), probes also
 * when only our side has ended, and a user timeout in place of the count of
 * probes. That timeout: a connection that has something to send, and whose peer
 * acknowledges nothing new for that long - because it is gone, or because it
 * keeps its window shut - ends with -ETIMEDOUT.
 */
#include "netstack/stack_private.h"

#include <errno.h>

enum {
	KEEP_IDLE_DEFAULT_MS = 7200 * 1000,
	KEEP_INTERVAL_DEFAULT_MS = 75 * 1000,
	KEEP_COUNT_DEFAULT = 9,
	KEEP_MAX_MS = 32767 * 1000, /* Linux's limit */
	KEEP_COUNT_MAX = 127,
	MSS_MIN = 88, /* Linux's TCP_MIN_MSS */
	DSCP_MASK = 0xfc,
	TTL_DEFAULT = 64,
};

/* -- options -------------------------------------------------------------- */
static uint32_t within(uint32_t value, uint32_t low, uint32_t high,
		       uint32_t otherwise)
{
	return value >= low && value <= high ? value : otherwise;
}

/* Probes until the peer is given up. */
static uint32_t probe_count(const struct stack_tcp_options *o,
			    const struct tcp_pcb *pcb)
{
	uint32_t count;

	if (o->user_timeout_ms == 0)
		return within(o->keep_count, 1, KEEP_COUNT_MAX,
			      KEEP_COUNT_DEFAULT);
	if (o->user_timeout_ms <= pcb->keep_idle)
		return 1;
	count = (o->user_timeout_ms - pcb->keep_idle + pcb->keep_intvl - 1) /
		pcb->keep_intvl;
	return within(count, 1, KEEP_COUNT_MAX, KEEP_COUNT_MAX);
}

static void set_keepalive(struct stack_tcp *t,
			  const struct stack_tcp_options *o)
{
	struct tcp_pcb *pcb = t->pcb;

	t->keeps_alive = o->keepalive;
	pcb->keep_idle = within(o->keep_idle_ms, 1, KEEP_MAX_MS,
				KEEP_IDLE_DEFAULT_MS);
	pcb->keep_intvl = within(o->keep_interval_ms, 1, KEEP_MAX_MS,
				 KEEP_INTERVAL_DEFAULT_MS);
	pcb->keep_cnt = probe_count(o, pcb);
}

void stack_tcp_set_options(struct stack_tcp *t,
			   const struct stack_tcp_options *o)
{
	struct tcp_pcb *pcb = t->pcb;

	if (!pcb)
		return;
	set_keepalive(t, o);
	pcb->tos = o->traffic_class & DSCP_MASK;
	pcb->ttl = o->ttl ? o->ttl : TTL_DEFAULT;
	t->mss_limit = o->mss && o->mss < MSS_MIN ? MSS_MIN : o->mss;
	t->user_timeout_ms = o->user_timeout_ms;
	/* Timers are worked out anew. */
	stack_tcp_enter(t);
	stack_tcp_leave(t);
}

static const struct cc_ops *cc_of(const struct stack_tcp *t)
{
	return t->cc ? t->cc : t->s->cc;
}

int stack_tcp_set_congestion(struct stack_tcp *t, const char *name)
{
	const struct cc_ops *cc = stack_cc_find(name);

	if (!cc)
		return -ENOENT;
	if (t->is_sending && cc != t->sender.cc.ops)
		stack_sender_set_cc(&t->sender, cc, t->s->now_us);
	t->cc = cc;
	return 0;
}

const char *stack_tcp_congestion(const struct stack_tcp *t)
{
	return t->is_sending ? t->sender.cc.ops->name : cc_of(t)->name;
}

static bool may_probe(enum tcp_state state)
{
	return state == ESTABLISHED || state == CLOSE_WAIT ||
	       state == FIN_WAIT_2;
}

uint64_t stack_tcp_probe_idle(const struct stack_tcp *t)
{
	const struct tcp_pcb *pcb = t->pcb;

	if (!t->keeps_alive || !may_probe(pcb->state) ||
	    pcb->snd_lbb != pcb->lastack)
		return STACK_NEVER;
	return pcb->keep_idle + (uint64_t)pcb->keep_cnt_sent * pcb->keep_intvl;
}

bool stack_tcp_probe(struct stack_tcp *t)
{
	struct tcp_pcb *pcb = t->pcb;

	if (pcb->keep_cnt_sent < pcb->keep_cnt) {
		if (tcp_keepalive(pcb) == ERR_OK)
			pcb->keep_cnt_sent++;
		return true;
	}
	stack_tcp_kill(t, true);
	if (t->is_orphan)
		stack_tcp_free(t);
	else
		stack_tcp_over(t, -ETIMEDOUT);
	return false;
}

uint64_t stack_tcp_stall_deadline(const struct stack_tcp *t)
{
	return t->user_timeout_ms && t->stalled_from_ms
		       ? t->stalled_from_ms + t->user_timeout_ms
		       : STACK_NEVER;
}

void stack_tcp_stalled(struct stack_tcp *t)
{
	if (!t->is_orphan) {
		stack_tcp_fail(t, -ETIMEDOUT);
		return;
	}
	stack_tcp_kill(t, false);
	stack_tcp_free(t);
}

/* -- measuring ------------------------------------------------------------ */
static void follow_bytes(struct stack_tcp *t)
{
	const struct tcp_pcb *pcb = t->pcb;

	if (t->is_up && t->was_up) {
		t->bytes_acked += pcb->lastack - t->seen_acked;
		t->bytes_received += pcb->rcv_nxt - t->seen_received;
	}
	t->was_up = t->is_up;
	t->seen_acked = pcb->lastack;
	t->seen_received = pcb->rcv_nxt;
	if (!t->is_sending && pcb->nrtx > t->seen_retransmits)
		t->syn_retransmits += pcb->nrtx - t->seen_retransmits;
	t->seen_retransmits = pcb->nrtx;
}

/* Of all connections together: what stack_tcp_send_room() goes by. */
static void follow_queue(struct stack_tcp *t)
{
	size_t queued = stack_tcp_pending(t);

	t->s->tx_bytes += queued - t->seen_queued;
	t->seen_queued = queued;
	if (t->s->tx_bytes == 0)
		stack_pool_idle();
}

static void follow_stall(struct stack_tcp *t)
{
	const struct tcp_pcb *pcb = t->pcb;

	if (!t->is_up || pcb->snd_lbb == pcb->lastack)
		t->stalled_from_ms = 0;
	else if (t->stalled_from_ms == 0 || pcb->lastack != t->seen_acked)
		t->stalled_from_ms = t->s->now_ms;
}

void stack_tcp_measure(struct stack_tcp *t)
{
	follow_stall(t);
	follow_queue(t);
	follow_bytes(t);
}

/* -- telling -------------------------------------------------------------- */
static uint8_t linux_state(enum tcp_state state)
{
	switch (state) {
	case ESTABLISHED:
		return STACK_ESTABLISHED;
	case SYN_SENT:
		return STACK_SYN_SENT;
	case SYN_RCVD:
		return STACK_SYN_RECEIVED;
	case FIN_WAIT_1:
		return STACK_FIN_WAIT_1;
	case FIN_WAIT_2:
		return STACK_FIN_WAIT_2;
	case CLOSE_WAIT:
		return STACK_CLOSE_WAIT;
	case LAST_ACK:
		return STACK_LAST_ACK;
	case CLOSING:
		return STACK_CLOSING;
	case TIME_WAIT:
		return STACK_TIME_WAIT;
	default:
		return STACK_CLOSED;
	}
}

static uint32_t in_segments(uint32_t bytes, uint32_t mss)
{
	return mss ? (bytes + mss - 1) / mss : 0;
}

static uint32_t ssthresh_of(const struct stack_tcp *t)
{
	const struct tcp_cc *cc = &t->sender.cc;

	return cc->ssthresh < CC_CWND_MAX_BYTES
		       ? in_segments(cc->ssthresh, cc->mss)
		       : INT32_MAX; /* none yet: as Linux says it */
}

static void tell_sending(const struct stack_tcp *t,
			 struct stack_tcp_info *out)
{
	const struct tcp_pcb *pcb = t->pcb;
	const struct tcp_sender *s = &t->sender;
	uint32_t in_flight = pcb->snd_nxt - pcb->lastack;

	out->send_mss = pcb->mss;
	out->cwnd = in_segments(s->cc.cwnd, pcb->mss);
	out->ssthresh = ssthresh_of(t);
	out->unacked = in_segments(in_flight, pcb->mss);
	out->unsent_bytes = pcb->snd_lbb - pcb->snd_nxt;
	out->send_window = pcb->snd_wnd;
	out->retransmits = pcb->nrtx;
	out->total_retransmits = t->syn_retransmits + s->resent_segments;
	out->backoff = t->is_sending ? s->backoff : (uint8_t)t->timeouts;
	out->is_recovering = s->state != CC_OPEN;
	out->probes = t->persist_backoff ? pcb->persist_probe
					 : pcb->keep_cnt_sent;
	out->lost = s->sent.lost_count;
	out->sacked = s->sent.sacked_count;
	out->pacing_rate = s->cc.pacing_rate;
	out->delivery_rate = s->rate;
	out->rtt_us = s->rtt.srtt_us;
	out->rtt_var_us = s->rtt.var_us;
	out->min_rtt_us = stack_rtt_min(&s->rtt);
	out->rto_us = t->is_sending
			      ? (uint32_t)stack_sender_timeout_us(s)
			      : (uint32_t)pcb->rto * STACK_TICK_MS * 1000;
}

int stack_tcp_info(const struct stack_tcp *t, struct stack_tcp_info *out)
{
	const struct tcp_pcb *pcb = t->pcb;

	if (!pcb)
		return -ENOTCONN;
	*out = (struct stack_tcp_info){
		.state = linux_state(pcb->state),
		.has_sack = pcb->flags & TF_SACK,
		.has_scale = pcb->flags & TF_WND_SCALE,
		.send_scale = pcb->snd_scale,
		.receive_scale = pcb->rcv_scale,
		.mtu = (uint16_t)t->mtu.now,
		.advertised_mss = stack_mtu_offer(t),
		.receive_window = pcb->rcv_wnd,
		.bytes_acked = t->bytes_acked,
		.bytes_received = t->bytes_received,
	};
	tell_sending(t, out);
	return 0;
}
