/* SPDX-License-Identifier: BSD-3-Clause
 * cc_bbr.c - BBR: sends at the rate at which the path delivers
 * Source: draft-cardwell-iccrg-bbr-congestion-control-00
 *
 * A model of the path: the greatest delivery rate of the last ten rounds, and
 * the least round trip of the last ten seconds. Packets are paced at that rate,
 * and five quarters of their product may be on its way, and what hosts hold up
 * (below). The draft has twice: with several flows that fills a queue of one
 * product for good, as the rates that they believe in add up to more than there
 * is; it then drops one in twelve, and who has least loses most.
 *
 * STARTUP doubles the rate each round until it no longer grows, DRAIN empties
 * the queue that this made, and PROBE_BW looks for more once in eight round
 * trips and gives back what that queued. PROBE_RTT (cc_bbr_rtt.c) looks at the
 * path without a queue. Losses do not lower the rate: that is what makes it
 * fast where packets are lost at random; for the first round of a recovery it
 * sends no more than what arrives.
 *
 * ACKs that come in heaps (a radio link, a busy host) would stall such a
 * window: so what has arrived beyond the rate at once is added to it, up to
 * what two round trips bring. On a short path hosts that read much at once make
 * the heaps themselves, the more the larger the window is.
 */
#include "netstack/cc_bbr.h"

#include <string.h>

enum {
	UNIT = 256,	     /* gains are fractions of this */
	GAIN_HIGH = 739,     /* 2 / ln 2 */
	GAIN_DRAIN = 88,     /* its inverse */
	GAIN_CWND = UNIT * 5 / 4,
	CYCLE_LEN = 8,
	FULL_BBR_BW_ROUNDS = 3,
	EXTRA_ROUNDS = 5,
	EXTRA_ROUND_TRIPS = 2,
	EXTRA_LEAST_US = 100,
	EXTRA_MAX_US = 100 * 1000,
	FIRST_RTT_US = 1000,
	BURST_US = 1000,
	BURST_MAX = 64 * 1024,
	SLACK_US = 3000,
	SLACK_MAX = 128 * 1024,
	SLACK_SEGMENTS = 6,
	MARGIN_PERCENT = 1, /* paced below the rate, to keep the queue empty */
};

static const uint16_t cycle_gain[CYCLE_LEN] = {
	UNIT * 5 / 4, UNIT * 3 / 4, UNIT, UNIT, UNIT, UNIT, UNIT, UNIT,
};

/* -- the model ------------------------------------------------------------ */
static uint64_t bandwidth(const struct tcp_cc *cc)
{
	return cc->bbr.bw.best[0].value;
}

static uint64_t product(const struct tcp_cc *cc, unsigned gain)
{
	if (!cc->bbr.has_rtt)
		return (uint64_t)CC_CWND_FIRST * cc->mss;
	return bandwidth(cc) * cc->bbr.min_rtt_us / 1000000 * gain / UNIT;
}

/* What leaves at once. */
static uint32_t burst(const struct tcp_cc *cc)
{
	uint64_t bytes = cc->pacing_rate * BURST_US / 1000000;

	if (bytes > BURST_MAX)
		return BURST_MAX;
	return bytes > 2 * cc->mss ? (uint32_t)bytes : 2 * cc->mss;
}

/* Beyond the model: hosts are late by some milliseconds, and the least round
 * trip does not know that. */
static uint64_t with_slack(const struct tcp_cc *cc, uint64_t cwnd)
{
	uint64_t slack = cc->pacing_rate * SLACK_US / 1000000;

	if (slack > SLACK_MAX)
		slack = SLACK_MAX;
	if (slack < SLACK_SEGMENTS * cc->mss)
		slack = SLACK_SEGMENTS * cc->mss;
	return cwnd + slack;
}

static unsigned pacing_gain(const struct cc_bbr *b)
{
	switch (b->mode) {
	case BBR_STARTUP:
		return GAIN_HIGH;
	case BBR_DRAIN:
		return GAIN_DRAIN;
	case BBR_PROBE_BW:
		return cycle_gain[b->cycle];
	default:
		return UNIT;
	}
}

static unsigned cwnd_gain(const struct cc_bbr *b)
{
	switch (b->mode) {
	case BBR_STARTUP:
	case BBR_DRAIN:
		return GAIN_HIGH;
	case BBR_PROBE_BW:
		return GAIN_CWND;
	default:
		return UNIT;
	}
}

/* -- life ----------------------------------------------------------------- */
static void first_pacing(struct tcp_cc *cc, uint32_t srtt_us)
{
	uint64_t trip_us = srtt_us ? srtt_us : FIRST_RTT_US;

	cc->pacing_rate = (uint64_t)cc->cwnd * 1000000 / trip_us * GAIN_HIGH /
			  UNIT;
}

static void bbr_init(struct tcp_cc *cc, uint32_t srtt_us, uint64_t now_us)
{
	struct cc_bbr *b = &cc->bbr;

	memset(b, 0, sizeof(*b));
	b->mode = BBR_STARTUP;
	b->min_rtt_us = srtt_us;
	b->has_rtt = srtt_us != 0;
	b->min_rtt_at_us = now_us;
	b->extra_from_us = now_us;
	b->cycle_random = (uint32_t)now_us + cc->turn * 2654435761u;
	first_pacing(cc, srtt_us);
}

/* -- bandwidth, rounds ---------------------------------------------------- */
static void update_bandwidth(struct tcp_cc *cc, const struct cc_ack *ack)
{
	struct cc_bbr *b = &cc->bbr;
	uint64_t bw;

	b->is_round_start = false;
	if (ack->sample_us == 0)
		return;
	if (ack->sample_prior >= b->next_round_delivered) {
		b->next_round_delivered = ack->total_delivered;
		b->rounds++;
		b->is_round_start = true;
		b->is_conserving = false;
	}
	bw = ack->sample_bytes * 1000000ull / ack->sample_us;
	if (!ack->is_app_limited || bw >= bandwidth(cc))
		stack_best_max(&b->bw, BBR_BW_ROUNDS, b->rounds, bw);
}

/* -- what arrives beyond the rate ----------------------------------------- */
static void begin_extra(struct cc_bbr *b, const struct cc_ack *ack)
{
	b->extra_from_us = ack->now_us;
	b->extra_acked = 0;
}

static void update_extra(struct tcp_cc *cc, const struct cc_ack *ack)
{
	struct cc_bbr *b = &cc->bbr;
	uint64_t expected, extra;

	if (ack->sample_us == 0)
		return;
	if (b->is_round_start && ++b->extra_rounds >= EXTRA_ROUNDS) {
		b->extra_rounds = 0;
		b->extra_index = !b->extra_index;
		b->extra[b->extra_index] = 0;
	}
	expected = bandwidth(cc) * (ack->now_us - b->extra_from_us) / 1000000;
	if (b->extra_acked <= expected) {
		begin_extra(b, ack);
		expected = 0;
	}
	b->extra_acked += ack->delivered;
	extra = b->extra_acked - expected;
	if (extra > cc->cwnd)
		extra = cc->cwnd;
	if (extra > b->extra[b->extra_index])
		b->extra[b->extra_index] = (uint32_t)extra;
}

static uint64_t extra_window(const struct tcp_cc *cc)
{
	const struct cc_bbr *b = &cc->bbr;
	uint64_t extra = b->extra[0] > b->extra[1] ? b->extra[0] : b->extra[1];
	uint64_t us = EXTRA_ROUND_TRIPS * b->min_rtt_us + EXTRA_LEAST_US;
	uint64_t max;

	if (us > EXTRA_MAX_US)
		us = EXTRA_MAX_US;
	max = bandwidth(cc) * us / 1000000;
	if (!b->has_full_bw)
		return 0;
	return extra < max ? extra : max;
}

/* -- modes ---------------------------------------------------------------- */
void stack_bbr_begin_probe_bw(struct tcp_cc *cc, uint64_t now_us)
{
	struct cc_bbr *b = &cc->bbr;

	/* Flows that began together shall not probe together; not with the
	 * phase that drains, as nothing is queued. */
	b->cycle_random = b->cycle_random * 1103515245u + 12345u;
	b->mode = BBR_PROBE_BW;
	b->cycle = (uint8_t)((b->cycle_random >> 16) % (CYCLE_LEN - 1));
	b->cycle = b->cycle == 0 ? 0 : b->cycle + 1;
	b->cycle_at_us = now_us;
}

static bool phase_is_over(const struct tcp_cc *cc, const struct cc_ack *ack)
{
	const struct cc_bbr *b = &cc->bbr;
	bool is_long = ack->now_us - b->cycle_at_us > b->min_rtt_us;
	unsigned gain = cycle_gain[b->cycle];

	if (gain == UNIT)
		return is_long;
	if (gain > UNIT)
		return is_long &&
		       (ack->lost || ack->flight_before >=
					     product(cc, gain) + burst(cc));
	return is_long ||
	       ack->flight_before <= product(cc, UNIT);
}

static void update_cycle(struct tcp_cc *cc, const struct cc_ack *ack)
{
	struct cc_bbr *b = &cc->bbr;

	if (b->mode != BBR_PROBE_BW || !phase_is_over(cc, ack))
		return;
	b->cycle = (uint8_t)((b->cycle + 1) % CYCLE_LEN);
	b->cycle_at_us = ack->now_us;
}

static void look_for_full_bw(struct tcp_cc *cc, const struct cc_ack *ack)
{
	struct cc_bbr *b = &cc->bbr;

	if (b->has_full_bw || !b->is_round_start || ack->is_app_limited)
		return;
	if (bandwidth(cc) >= b->full_bw * 5 / 4) {
		b->full_bw = bandwidth(cc);
		b->full_bw_rounds = 0;
		return;
	}
	b->has_full_bw = ++b->full_bw_rounds >= FULL_BBR_BW_ROUNDS;
}

static void look_for_drained(struct tcp_cc *cc, const struct cc_ack *ack)
{
	struct cc_bbr *b = &cc->bbr;

	if (b->mode == BBR_STARTUP && b->has_full_bw)
		b->mode = BBR_DRAIN;
	if (b->mode == BBR_DRAIN &&
	    ack->flight <= with_slack(cc, product(cc, UNIT)))
		stack_bbr_begin_probe_bw(cc, ack->now_us);
}

/* -- what follows from it ------------------------------------------------- */
static void set_pacing(struct tcp_cc *cc, const struct cc_ack *ack)
{
	uint64_t rate;

	if (bandwidth(cc) == 0) {
		if (ack->srtt_us)
			first_pacing(cc, ack->srtt_us);
		return;
	}
	rate = bandwidth(cc) * pacing_gain(&cc->bbr) / UNIT *
	       (100 - MARGIN_PERCENT) / 100;
	if (rate == 0)
		rate = 1;
	if (cc->bbr.has_full_bw || rate > cc->pacing_rate)
		cc->pacing_rate = rate;
}

void stack_bbr_save_cwnd(struct tcp_cc *cc)
{
	struct cc_bbr *b = &cc->bbr;

	if (b->state == CC_OPEN && b->mode != BBR_PROBE_RTT)
		b->prior_cwnd = cc->cwnd;
	else if (cc->cwnd > b->prior_cwnd)
		b->prior_cwnd = cc->cwnd;
}

/* The first round of a recovery sends what arrives. True: that was all. */
static bool follow_recovery(struct tcp_cc *cc, const struct cc_ack *ack,
			    enum cc_state state)
{
	struct cc_bbr *b = &cc->bbr;
	uint8_t before = b->state;
	uint64_t arrived = (uint64_t)ack->flight + ack->delivered;

	b->state = (uint8_t)state;
	if (ack->lost)
		cc->cwnd = cc->cwnd > ack->lost + cc->mss ? cc->cwnd - ack->lost
							  : cc->mss;
	if (state == CC_RECOVERY && before != CC_RECOVERY) {
		b->is_conserving = true;
		b->next_round_delivered = ack->total_delivered;
		cc->cwnd = stack_cc_bound(cc, arrived);
	} else if (state == CC_OPEN && before != CC_OPEN) {
		b->is_conserving = false;
		if (cc->cwnd < b->prior_cwnd)
			cc->cwnd = b->prior_cwnd;
	}
	if (b->is_conserving && cc->cwnd < arrived)
		cc->cwnd = stack_cc_bound(cc, arrived);
	return b->is_conserving;
}

static void set_cwnd(struct tcp_cc *cc, const struct cc_ack *ack,
		     enum cc_state state)
{
	struct cc_bbr *b = &cc->bbr;
	uint64_t cwnd, target;
	bool is_conserving;

	if (ack->delivered == 0)
		return;
	is_conserving = follow_recovery(cc, ack, state);
	cwnd = cc->cwnd;
	if (!is_conserving) {
		target = with_slack(cc, product(cc, cwnd_gain(b)) +
						 extra_window(cc));
		if (b->has_full_bw)
			cwnd = cwnd + ack->delivered < target
				       ? cwnd + ack->delivered
				       : target;
		else if (cwnd < target ||
			 ack->total_delivered <
				 (uint64_t)CC_CWND_FIRST * cc->mss)
			cwnd += ack->delivered;
		if (cwnd < BBR_CWND_LEAST * cc->mss)
			cwnd = BBR_CWND_LEAST * cc->mss;
	}
	if (b->mode == BBR_PROBE_RTT && cwnd > BBR_CWND_LEAST * cc->mss)
		cwnd = BBR_CWND_LEAST * cc->mss;
	cc->cwnd = stack_cc_bound(cc, cwnd);
}

static void bbr_ack(struct tcp_cc *cc, const struct cc_ack *ack,
		    enum cc_state state)
{
	update_bandwidth(cc, ack);
	update_extra(cc, ack);
	update_cycle(cc, ack);
	look_for_full_bw(cc, ack);
	look_for_drained(cc, ack);
	stack_bbr_update_min_rtt(cc, ack);
	set_pacing(cc, ack);
	set_cwnd(cc, ack, state);
}

/* -- events --------------------------------------------------------------- */
static uint32_t bbr_reduced(struct tcp_cc *cc, uint32_t flight)
{
	(void)flight;
	stack_bbr_save_cwnd(cc);
	return cc->ssthresh;
}

/* After a time-out growth is looked for again; the rate is still believed. */
static void bbr_set_state(struct tcp_cc *cc, enum cc_state state,
			  uint32_t flight)
{
	struct cc_bbr *b = &cc->bbr;

	(void)flight;
	if (state != CC_LOSS)
		return;
	b->state = CC_LOSS;
	b->full_bw = 0;
	b->is_round_start = true;
	b->is_conserving = false;
}

static void bbr_undo(struct tcp_cc *cc)
{
	cc->bbr.full_bw = 0;
	cc->bbr.full_bw_rounds = 0;
}

static void bbr_restart(struct tcp_cc *cc, uint64_t idle_us, uint64_t now_us)
{
	struct cc_bbr *b = &cc->bbr;

	(void)idle_us;
	b->is_idle_restart = true;
	b->extra_from_us = now_us;
	b->extra_acked = 0;
	if (b->mode == BBR_PROBE_BW && bandwidth(cc))
		cc->pacing_rate = bandwidth(cc);
	else if (b->mode == BBR_PROBE_RTT)
		stack_bbr_end_probe_rtt(cc, now_us);
}

const struct cc_ops stack_cc_bbr = {
	.name = "bbr",
	.is_own_recovery = true,
	.init = bbr_init,
	.reduced = bbr_reduced,
	.ack = bbr_ack,
	.set_state = bbr_set_state,
	.undo = bbr_undo,
	.restart = bbr_restart,
};
