/* SPDX-License-Identifier: BSD-3-Clause
 * tcp_sender.c - what may be sent: windows, pacing, probes, time-outs
 * Source: RFC 6298 (time-out), RFC 8985 section 7 (tail loss probe), RFC 9293
 *
 * In order of patience: what is late is lost (tcp_rack.c); when nothing has
 * come for two round trips and nothing is known to be missing, the last
 * segment is sent once more, so that its SACK shows what is; and when even that
 * is not answered all is taken for lost. What a retransmission costs the window
 * is tcp_recovery.c's business.
 *
 * Pacing spends time: each segment moves the moment of the next one on by its
 * length over the rate. A burst of BURST_NS may go ahead of that, since the
 * owner's timers are no finer; and one that was held back may catch up with a
 * timer that was late.
 */
#include "netstack/tcp_sender.h"

#include <string.h>

#include "netstack/tcp_recovery.h"

enum {
	PEER_DELAY_US = 60 * 1000, /* its ACK of a single segment may take */
	PROBE_MIN_US = 2 * 1000,
	PROBE_FIRST_US = 1000 * 1000,
	TIMEOUT_MAX_US = 120 * 1000 * 1000,
	PLATEAU_US = 1000 * 1000,
	PLATEAU_STEPS = 8,
	BURST_NS = 200 * 1000,
	CATCH_UP_NS = 4 * 1000 * 1000,
};

void stack_sender_init(struct tcp_sender *s, const struct cc_ops *ops,
		       uint32_t una, uint32_t mss, bool has_sack,
		       uint32_t turn, uint64_t now_us)
{
	struct tcp_rtt rtt = s->rtt; /* of the handshake */

	memset(s, 0, sizeof(*s));
	stack_sent_init(&s->sent);
	s->rtt = rtt;
	s->una = s->nxt = una;
	s->has_sack = has_sack;
	s->cc.mss = mss;
	s->cc.turn = turn;
	s->cc.cwnd = CC_CWND_FIRST * mss;
	s->cc.ssthresh = CC_CWND_MAX_BYTES;
	s->last_sent_us = now_us;
	stack_sender_set_cc(s, ops, now_us);
}

void stack_sender_deinit(struct tcp_sender *s)
{
	stack_sent_deinit(&s->sent);
}

void stack_sender_set_cc(struct tcp_sender *s, const struct cc_ops *ops,
			 uint64_t now_us)
{
	s->cc.ops = ops;
	s->cc.pacing_rate = 0;
	ops->init(&s->cc, s->rtt.srtt_us, now_us);
}

void stack_sender_set_mss(struct tcp_sender *s, uint32_t mss)
{
	s->cc.mss = mss;
}

/* -- deadlines ------------------------------------------------------------ */
/* Doubled each time; but it waits at a second for a while, as one segment a
 * second is no burden, and a path that is being changed comes back. */
uint64_t stack_sender_timeout_us(const struct tcp_sender *s)
{
	uint64_t wait = stack_rtt_timeout(&s->rtt);
	unsigned steps = s->backoff, waited = 0;

	while (steps > 0 && wait < TIMEOUT_MAX_US) {
		steps--;
		if (wait * 2 <= PLATEAU_US || waited++ >= PLATEAU_STEPS)
			wait *= 2;
		else if (wait < PLATEAU_US)
			wait = PLATEAU_US;
	}
	return wait < TIMEOUT_MAX_US ? wait : TIMEOUT_MAX_US;
}

static uint64_t timeout_at(const struct tcp_sender *s)
{
	return s->rto_from_us + stack_sender_timeout_us(s);
}

static bool may_probe(const struct tcp_sender *s)
{
	return s->has_sack && s->state == CC_OPEN && !s->has_probe &&
	       !stack_sent_is_empty(&s->sent) && s->sent.sacked_count == 0 &&
	       s->sent.lost_count == 0;
}

static void arm_probe(struct tcp_sender *s, uint64_t now_us)
{
	uint64_t wait = PROBE_FIRST_US, limit;

	s->probe_due_us = 0;
	if (!may_probe(s))
		return;
	if (s->rtt.srtt_us)
		wait = 2ull * s->rtt.srtt_us + PROBE_MIN_US;
	if (s->sent.end - s->sent.first == 1)
		wait += PEER_DELAY_US;
	limit = timeout_at(s);
	s->probe_due_us = now_us + wait < limit ? now_us + wait : limit;
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return b && b < a ? b : a;
}

uint64_t stack_sender_deadline_us(const struct tcp_sender *s)
{
	uint64_t due = UINT64_MAX;

	if (s->is_paced_out)
		due = s->pace_at_ns / 1000;
	if (stack_sent_is_empty(&s->sent))
		return due;
	due = earlier(due, timeout_at(s));
	due = earlier(due, s->probe_due_us);
	return earlier(due, s->rack.due_us);
}

/* -- what is due ---------------------------------------------------------- */
static void on_timeout(struct tcp_sender *s, uint64_t now_us)
{
	stack_recovery_timeout(s);
	s->rto_from_us = now_us;
	if (s->backoff < UINT8_MAX)
		s->backoff++;
	s->probe_due_us = 0;
	s->wants_probe = s->has_probe = false;
	s->rack.due_us = 0;
}

void stack_sender_try_again(struct tcp_sender *s, uint64_t now_us)
{
	if (stack_sent_is_empty(&s->sent) || s->backoff == 0)
		return;
	on_timeout(s, now_us);
	s->backoff = 0;
}

bool stack_sender_tick(struct tcp_sender *s, uint64_t now_us)
{
	if (stack_sent_is_empty(&s->sent))
		return false;
	if (s->rack.due_us && s->rack.due_us <= now_us) {
		stack_rack_find_lost(s, now_us);
		stack_recovery_found_lost(s);
	}
	if (s->probe_due_us && s->probe_due_us <= now_us) {
		s->probe_due_us = 0;
		if (may_probe(s)) {
			s->wants_probe = true;
			s->rto_from_us = now_us;
		}
	}
	if (timeout_at(s) > now_us)
		return false;
	on_timeout(s, now_us);
	return true;
}

/* -- an ACK --------------------------------------------------------------- */
void stack_sender_ack(struct tcp_sender *s, const struct tcp_ack *ack,
		      uint64_t now_us)
{
	uint32_t una = s->una;
	uint64_t delivered = s->delivered;

	stack_recovery_ack(s, ack, now_us);
	if (s->una != una) {
		s->rto_from_us = now_us;
		s->backoff = 0;
	}
	if (s->una != una || s->delivered != delivered)
		arm_probe(s, now_us);
}

/* -- what may go out ------------------------------------------------------ */
static bool fits_cwnd(struct tcp_sender *s, uint32_t len)
{
	if (s->sent.flight_bytes == 0 ||
	    s->sent.flight_bytes + len <= s->cc.cwnd)
		return true;
	s->has_full_cwnd = true;
	s->full_cwnd_until = s->nxt;
	return false;
}

static bool fits_pace(struct tcp_sender *s, uint64_t now_us)
{
	uint64_t now_ns = now_us * 1000;
	uint64_t slack_ns = s->is_paced_out ? CATCH_UP_NS : 0;

	if (s->cc.pacing_rate == 0)
		return true;
	if (s->pace_at_ns + slack_ns < now_ns)
		s->pace_at_ns = now_ns - slack_ns;
	if (s->pace_at_ns <= now_ns + BURST_NS)
		return true;
	s->is_paced_out = true;
	return false;
}

static enum tcp_next probe(struct tcp_sender *s, uint32_t new_len,
			   uint64_t *id)
{
	if (new_len)
		return NEXT_NEW;
	*id = s->sent.end - 1;
	return NEXT_AGAIN;
}

enum tcp_next stack_sender_next(struct tcp_sender *s, uint32_t new_len,
				uint64_t now_us, uint64_t *id)
{
	if (s->wants_probe && may_probe(s))
		return probe(s, new_len, id);
	s->wants_probe = false;
	*id = SENT_NONE;
	if (!s->frto_sends_new || new_len == 0)
		*id = stack_sent_next_lost(&s->sent);
	if (*id != SENT_NONE)
		new_len = stack_sent_at(&s->sent, *id)->len;
	if (new_len == 0 || !fits_cwnd(s, new_len)) {
		s->is_paced_out = false;
		return NEXT_NOTHING;
	}
	if (!fits_pace(s, now_us))
		return NEXT_NOTHING;
	return *id != SENT_NONE ? NEXT_AGAIN : NEXT_NEW;
}

/* -- what went out -------------------------------------------------------- */
static void spend_pace(struct tcp_sender *s, uint32_t len)
{
	if (s->cc.pacing_rate)
		s->pace_at_ns += len * 1000000000ull / s->cc.pacing_rate;
}

static void note_rate(struct tcp_sender *s, struct stack_sent *sent)
{
	sent->delivered = s->delivered;
	sent->delivered_us = s->delivered_us;
	sent->first_sent_us = s->first_sent_us;
	sent->is_app_limited = s->app_limited_until != 0;
}

static void end_probe(struct tcp_sender *s, bool was_resent)
{
	if (!s->wants_probe)
		return;
	s->wants_probe = false;
	s->has_probe = true;
	s->probe_was_resent = was_resent;
	s->probe_end = s->nxt;
}

static void account(struct tcp_sender *s, uint32_t len, uint64_t now_us)
{
	spend_pace(s, len);
	if (s->state == CC_RECOVERY)
		s->prr_out += len;
	s->last_sent_us = now_us;
}

static void begin_again(struct tcp_sender *s, uint64_t now_us)
{
	uint64_t idle_us = now_us - s->last_sent_us;

	s->rto_from_us = now_us;
	if (s->delivered && idle_us > stack_rtt_timeout(&s->rtt))
		s->cc.ops->restart(&s->cc, idle_us, now_us);
}

int stack_sender_reserve(struct tcp_sender *s)
{
	return stack_sent_reserve(&s->sent);
}

void stack_sender_sent(struct tcp_sender *s, uint32_t seq, uint32_t len,
		       void *segment, uint64_t now_us)
{
	if (stack_sent_is_empty(&s->sent))
		begin_again(s, now_us);
	if (s->sent.flight_bytes == 0)
		s->first_sent_us = s->delivered_us = now_us;
	note_rate(s, stack_sent_push(&s->sent, seq, len, segment, now_us));
	if (tcp_after(seq + len, s->nxt))
		s->nxt = seq + len;
	account(s, len, now_us);
	end_probe(s, false);
	arm_probe(s, now_us);
}

void stack_sender_resent(struct tcp_sender *s, uint64_t id, uint64_t now_us)
{
	struct stack_sent *sent = stack_sent_at(&s->sent, id);

	if (s->sent.flight_bytes == 0)
		s->first_sent_us = s->delivered_us = now_us;
	stack_sent_set_resent(&s->sent, id, now_us);
	note_rate(s, sent);
	s->resent_segments++;
	s->undo_bytes += sent->len;
	s->has_resent = true;
	account(s, sent->len, now_us);
	end_probe(s, true);
}

void stack_sender_ran_dry(struct tcp_sender *s)
{
	if (s->sent.lost_count || s->sent.flight_bytes >= s->cc.cwnd)
		return;
	s->app_limited_until = s->delivered + s->sent.flight_bytes;
	if (s->app_limited_until == 0)
		s->app_limited_until = 1;
}
