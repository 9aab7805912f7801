/* SPDX-License-Identifier: BSD-3-Clause
 * cc_bbr_rtt.c - BBR's least round trip: found, renewed and doubted
 *
 * The least trip of the last ten seconds counts. When ten seconds have brought
 * no shorter one, PROBE_RTT sends next to nothing for 200 ms to see the path
 * without a queue.
 *
 * A path that became longer would be seen by that as well, but late: a window
 * for 0.3 ms lets through next to nothing where a trip takes 150, and what it
 * lets through becomes the rate that is believed in, so that a connection which
 * began by a near relay and went on by a far direct path stood still for ten
 * seconds. The internet's routes seldom change like that, a node's paths do. So
 * when three rounds had no trip shorter than three times the least one,
 * PROBE_RTT comes at once; and if it finds a longer path, all begins anew with
 * the rate that arrived when the doubt came up. A doubt that was none silences
 * others for ten seconds.
 */
#include "netstack/cc_bbr.h"

#include <string.h>

enum {
	MIN_RTT_US = 10 * 1000 * 1000,
	PROBE_RTT_US = 200 * 1000,
	LONGER_TIMES = 3, /* other flows may fill a queue of two trips */
	LONGER_US = 5 * 1000,
	LONGER_ROUNDS = 3,
};

/* The path was in doubt, and is longer indeed: what was known of its rate is
 * another path's. Else there will be no doubt for as long as a trip counts. */
static void judge_doubt(struct tcp_cc *cc, uint64_t now_us)
{
	struct cc_bbr *b = &cc->bbr;

	if (b->rtt_in_doubt_us == 0)
		return;
	if (b->min_rtt_us > b->rtt_in_doubt_us / 4 * 5) {
		memset(&b->bw, 0, sizeof(b->bw));
		stack_best_max(&b->bw, BBR_BW_ROUNDS, b->rounds,
			       b->rate_in_doubt);
		cc->pacing_rate = b->rate_in_doubt;
		b->has_full_bw = false;
		b->full_bw = 0;
		b->full_bw_rounds = 0;
	} else {
		b->doubt_from_us = now_us + MIN_RTT_US;
	}
	b->rtt_in_doubt_us = 0;
}

void stack_bbr_end_probe_rtt(struct tcp_cc *cc, uint64_t now_us)
{
	struct cc_bbr *b = &cc->bbr;

	if (b->probe_rtt_done_us == 0 || now_us <= b->probe_rtt_done_us)
		return;
	b->min_rtt_at_us = now_us;
	judge_doubt(cc, now_us);
	if (cc->cwnd < b->prior_cwnd)
		cc->cwnd = b->prior_cwnd;
	if (b->has_full_bw)
		stack_bbr_begin_probe_bw(cc, now_us);
	else
		b->mode = BBR_STARTUP;
}

static void probe_rtt(struct tcp_cc *cc, const struct cc_ack *ack)
{
	struct cc_bbr *b = &cc->bbr;

	if (b->probe_rtt_done_us == 0) {
		if (ack->flight > BBR_CWND_LEAST * cc->mss)
			return;
		b->probe_rtt_done_us = ack->now_us + PROBE_RTT_US;
		b->probe_rtt_round_done = false;
		b->next_round_delivered = ack->total_delivered;
		return;
	}
	if (b->is_round_start)
		b->probe_rtt_round_done = true;
	if (b->probe_rtt_round_done)
		stack_bbr_end_probe_rtt(cc, ack->now_us);
}

/* Was no trip of the last round as short as the least one by far? */
static bool looks_longer(struct cc_bbr *b, const struct cc_ack *ack,
			 uint32_t least)
{
	/* In other modes it makes a queue of its own, or is at it already. */
	if (b->mode != BBR_PROBE_BW || b->is_idle_restart ||
	    least <= LONGER_TIMES * (uint64_t)b->min_rtt_us + LONGER_US)
		b->long_rounds = 0;
	else if (b->long_rounds < LONGER_ROUNDS)
		b->long_rounds++;
	return b->long_rounds == LONGER_ROUNDS &&
	       ack->now_us >= b->doubt_from_us && ack->sample_us;
}

/* True: what is believed to be the least trip is in doubt. */
static bool follow_round(struct cc_bbr *b, const struct cc_ack *ack)
{
	uint32_t least = b->round_rtt_us;

	if (ack->rtt_us && (least == 0 || ack->rtt_us < least))
		b->round_rtt_us = ack->rtt_us;
	if (!b->is_round_start)
		return false;
	b->round_rtt_us = ack->rtt_us;
	if (!looks_longer(b, ack, least))
		return false;
	b->long_rounds = 0;
	b->rtt_in_doubt_us = b->min_rtt_us;
	/* Half of it, or what comes next would not be seen as growth. */
	b->rate_in_doubt = ack->sample_bytes * 500000ull / ack->sample_us + 1;
	b->min_rtt_us = least;
	return true;
}

void stack_bbr_update_min_rtt(struct tcp_cc *cc, const struct cc_ack *ack)
{
	struct cc_bbr *b = &cc->bbr;
	bool is_old = ack->now_us > b->min_rtt_at_us + MIN_RTT_US;

	is_old |= follow_round(b, ack);
	if (ack->rtt_us &&
	    (!b->has_rtt || ack->rtt_us <= b->min_rtt_us || is_old)) {
		b->has_rtt = true;
		b->min_rtt_us = ack->rtt_us;
		b->min_rtt_at_us = ack->now_us;
	}
	if (is_old && !b->is_idle_restart && b->mode != BBR_PROBE_RTT) {
		stack_bbr_save_cwnd(cc);
		b->mode = BBR_PROBE_RTT;
		b->probe_rtt_done_us = 0;
	}
	if (b->mode == BBR_PROBE_RTT)
		probe_rtt(cc, ack);
	if (ack->delivered)
		b->is_idle_restart = false;
}
