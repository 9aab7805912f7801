/* SPDX-License-Identifier: BSD-3-Clause
 * cc_cubic.c - CUBIC, with HyStart++ at the beginning
 * Source: RFC 9438, RFC 9406
 *
 * After a loss the window returns along a cubic curve to where it was and
 * lingers there before it goes beyond; on short paths, where that would be
 * slower than Reno, it grows as Reno does. Slow start ends before the first
 * loss when the round trip of a whole round has risen: growth then goes on at a
 * quarter of the pace for five rounds, in case that was a jitter.
 */
#include "netstack/tcp_cc.h"

#include <math.h>
#include <string.h>

#define CUBIC_C 0.4
#define CUBIC_BETA 0.7
#define RENO_ALPHA (3.0 * (1 - CUBIC_BETA) / (1 + CUBIC_BETA))

enum {
	HYSTART_MIN_US = 4000,
	HYSTART_MAX_US = 16000,
	HYSTART_DIVISOR = 8,
	HYSTART_SAMPLES = 8,
	CSS_GROWTH_DIVISOR = 4,
	CSS_ROUNDS = 5,
	RESTART_STEPS_MAX = 30,
};

static double in_segments(const struct tcp_cc *cc, uint32_t bytes)
{
	return (double)bytes / cc->mss;
}

static void cubic_init(struct tcp_cc *cc, uint32_t srtt_us, uint64_t now_us)
{
	(void)srtt_us;
	(void)now_us;
	memset(&cc->cubic, 0, sizeof(cc->cubic));
	cc->cubic.round_min_us = cc->cubic.last_min_us = UINT32_MAX;
}

/* -- HyStart++ ------------------------------------------------------------ */
static void begin_round(struct cc_cubic *c, const struct cc_ack *ack)
{
	if (c->has_round && (int32_t)(ack->una - c->round_end) < 0)
		return;
	c->has_round = true;
	c->round_end = ack->nxt;
	c->last_min_us = c->round_min_us;
	c->round_min_us = UINT32_MAX;
	c->samples = 0;
	c->css_rounds += c->is_css;
}

static void leave_slow_start(struct tcp_cc *cc)
{
	cc->ssthresh = cc->cwnd;
	cc->cubic.has_left_slow_start = true;
}

static uint32_t clamp(uint32_t value, uint32_t low, uint32_t high)
{
	return value < low ? low : value > high ? high : value;
}

static void hystart(struct tcp_cc *cc, const struct cc_ack *ack)
{
	struct cc_cubic *c = &cc->cubic;
	uint32_t rise_us;

	begin_round(c, ack);
	if (ack->rtt_us) {
		if (ack->rtt_us < c->round_min_us)
			c->round_min_us = ack->rtt_us;
		if (c->samples < HYSTART_SAMPLES)
			c->samples++;
	}
	if (c->is_css && c->css_rounds >= CSS_ROUNDS) {
		leave_slow_start(cc);
		return;
	}
	if (c->samples < HYSTART_SAMPLES || c->last_min_us == UINT32_MAX)
		return;
	rise_us = clamp(c->last_min_us / HYSTART_DIVISOR, HYSTART_MIN_US,
			HYSTART_MAX_US);
	if (c->is_css) {
		c->is_css = c->round_min_us >= c->css_base_us;
	} else if (c->round_min_us >= c->last_min_us + rise_us) {
		c->is_css = true;
		c->css_rounds = 0;
		c->css_base_us = c->round_min_us;
	}
}

/* -- growth --------------------------------------------------------------- */
/* Returns the bytes that are left for congestion avoidance. */
static uint32_t slow_start(struct tcp_cc *cc, uint32_t acked)
{
	uint32_t grow = acked, room = cc->ssthresh - cc->cwnd;

	if (cc->cubic.is_css && !cc->cubic.has_left_slow_start)
		grow /= CSS_GROWTH_DIVISOR;
	if (grow <= room) {
		cc->cwnd += grow;
		return 0;
	}
	cc->cwnd = cc->ssthresh;
	return grow - room;
}

static void begin_epoch(struct tcp_cc *cc, uint64_t now_us)
{
	struct cc_cubic *c = &cc->cubic;
	double cwnd = in_segments(cc, cc->cwnd);

	c->epoch_us = now_us;
	c->acked = 0;
	c->w_est = cwnd;
	c->origin = cwnd < c->w_max ? c->w_max : cwnd;
	c->k_s = cbrt((c->origin - cwnd) / CUBIC_C);
}

static double reno_window(struct tcp_cc *cc, double acked, double cwnd)
{
	struct cc_cubic *c = &cc->cubic;
	double alpha = c->w_est * cc->mss < c->cwnd_prior ? RENO_ALPHA : 1;

	c->w_est += alpha * acked / cwnd;
	return c->w_est;
}

static double cubic_window(const struct cc_cubic *c, double t_s)
{
	double off = t_s - c->k_s;

	return c->origin + CUBIC_C * off * off * off;
}

static void avoid_congestion(struct tcp_cc *cc, const struct cc_ack *ack,
			     uint32_t acked_bytes)
{
	struct cc_cubic *c = &cc->cubic;
	double cwnd = in_segments(cc, cc->cwnd), target, reno;
	double acked = in_segments(cc, acked_bytes), t_s;

	if (c->epoch_us == 0)
		begin_epoch(cc, ack->now_us);
	t_s = (double)(ack->now_us - c->epoch_us + ack->srtt_us) / 1e6;
	target = cubic_window(c, t_s);
	if (target > 1.5 * cwnd)
		target = 1.5 * cwnd;
	reno = reno_window(cc, acked, cwnd);
	if (target > cwnd)
		c->acked += acked * (target - cwnd) / cwnd;
	if (cwnd + c->acked < reno)
		c->acked = reno - cwnd;
	if (c->acked >= 1) {
		double whole = floor(c->acked);

		c->acked -= whole;
		cc->cwnd = stack_cc_bound(
			cc, cc->cwnd + (uint64_t)whole * cc->mss);
	}
}

static void cubic_ack(struct tcp_cc *cc, const struct cc_ack *ack,
		      enum cc_state state)
{
	uint32_t acked = ack->delivered;

	if (cc->cwnd < cc->ssthresh && state == CC_OPEN &&
	    !cc->cubic.has_left_slow_start)
		hystart(cc, ack);
	if (!ack->is_cwnd_limited && state == CC_OPEN)
		return;
	if (cc->cwnd < cc->ssthresh)
		acked = slow_start(cc, acked);
	if (acked && cc->cwnd >= cc->ssthresh)
		avoid_congestion(cc, ack, acked);
}

/* -- losses --------------------------------------------------------------- */
static uint32_t cubic_reduced(struct tcp_cc *cc, uint32_t flight)
{
	struct cc_cubic *c = &cc->cubic;
	double cwnd = in_segments(cc, cc->cwnd);

	(void)flight;
	c->undo_w_max = c->w_max;
	/* Less than last time: another flow wants room. */
	c->w_max = cwnd < c->w_max ? cwnd * (1 + CUBIC_BETA) / 2 : cwnd;
	c->cwnd_prior = cc->cwnd;
	c->epoch_us = 0;
	c->has_left_slow_start = true;
	return stack_cc_bound(cc, (uint64_t)(cc->cwnd * CUBIC_BETA));
}

static void cubic_set_state(struct tcp_cc *cc, enum cc_state state,
			    uint32_t flight)
{
	(void)flight;
	if (state == CC_LOSS)
		cc->cubic.epoch_us = 0;
}

static void cubic_undo(struct tcp_cc *cc)
{
	cc->cubic.w_max = cc->cubic.undo_w_max;
	cc->cubic.epoch_us = 0;
}

/* What was known about the path is worth less with each time-out's length of
 * silence (RFC 2861). The curve's clock must not run on meanwhile. */
static void cubic_restart(struct tcp_cc *cc, uint64_t idle_us, uint64_t now_us)
{
	uint32_t least = CC_CWND_FIRST * cc->mss, cwnd = cc->cwnd;
	uint64_t step_us = 200000;

	(void)now_us;
	cc->cubic.epoch_us = 0;
	if (cwnd <= least)
		return;
	if (cc->ssthresh < CC_CWND_MAX_BYTES && cc->ssthresh < cwnd / 4 * 3)
		cc->ssthresh = cwnd / 4 * 3;
	for (int i = 0; i < RESTART_STEPS_MAX && idle_us > step_us; i++) {
		cwnd /= 2;
		idle_us -= step_us;
	}
	cc->cwnd = cwnd > least ? cwnd : least;
}

const struct cc_ops stack_cc_cubic = {
	.name = "cubic",
	.init = cubic_init,
	.reduced = cubic_reduced,
	.ack = cubic_ack,
	.set_state = cubic_set_state,
	.undo = cubic_undo,
	.restart = cubic_restart,
};
