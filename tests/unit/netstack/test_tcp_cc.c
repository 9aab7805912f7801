/* SPDX-License-Identifier: BSD-3-Clause
 * test_tcp_cc.c - CUBIC and BBR by their formulas, without any stack
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "netstack/tcp_cc.h"

enum { MSS = 1000, MS = 1000 };

static struct tcp_cc cc_of(const struct cc_ops *ops, uint32_t segments)
{
	struct tcp_cc cc = {.ops = ops, .mss = MSS, .cwnd = segments * MSS,
			    .ssthresh = CC_CWND_MAX_BYTES};

	ops->init(&cc, 0, 1);
	return cc;
}

/* A path that delivers rate bytes/s after rtt_us; each round is a window, or
 * what pacing lets out of it, in ten ACKs. */
struct path {
	uint64_t rate, now_us, delivered;
	uint32_t rtt_us, una;
};

enum { ACKS = 10 };

static uint64_t round_bytes(const struct tcp_cc *cc, const struct path *p)
{
	uint64_t paced = cc->pacing_rate * p->rtt_us / 1000000;

	return cc->pacing_rate && paced < cc->cwnd ? paced : cc->cwnd;
}

static void round_trip(struct tcp_cc *cc, struct path *p, enum cc_state state)
{
	uint32_t bytes = (uint32_t)round_bytes(cc, p), cwnd = cc->cwnd;
	uint64_t took = p->rtt_us;

	if (bytes * 1000000ull / p->rate > took)
		took = bytes * 1000000ull / p->rate;
	for (int i = 0; i < ACKS; i++) {
		uint32_t part = bytes / ACKS;
		struct cc_ack ack = {
			.now_us = p->now_us += took / ACKS, .delivered = part,
			.flight_before = bytes, .flight = bytes - part,
			.una = p->una += part, .nxt = p->una + bytes,
			.rtt_us = (uint32_t)took, .srtt_us = (uint32_t)took,
			.total_delivered = p->delivered += part,
			.sample_bytes = bytes, .sample_us = took,
			.sample_prior = p->delivered - bytes,
			.is_cwnd_limited = bytes == cwnd,
		};

		if (ack.total_delivered < bytes)
			ack.sample_us = 0;
		cc->ops->ack(cc, &ack, state);
	}
}

/* -- cubic ---------------------------------------------------------------- */
static void cubic_doubles_in_slow_start(void **state)
{
	struct tcp_cc cc = cc_of(&stack_cc_cubic, 10);
	struct path p = {.rate = UINT64_MAX / 2000000, .rtt_us = 20 * MS,
			 .now_us = 1};

	(void)state;
	for (uint32_t want = 20; want <= 320; want *= 2) {
		round_trip(&cc, &p, CC_OPEN);
		assert_int_equal(cc.cwnd, want * MSS);
	}
}

/* RFC 9438: W(t) = C (t - K)^3 + W_max, K = cbrt(W_max (1 - beta) / C): back at
 * 1,000 segments after 9.09 s. */
static void cubic_comes_back_in_k_seconds(void **state)
{
	struct tcp_cc cc = cc_of(&stack_cc_cubic, 1000);
	struct path p = {.rate = UINT64_MAX / 2000000, .rtt_us = 100 * MS,
			 .now_us = 1};
	uint64_t from;

	(void)state;
	cc.ssthresh = cc.ops->reduced(&cc, 0);
	assert_int_equal(cc.ssthresh, 700 * MSS);
	cc.cwnd = cc.ssthresh;
	from = p.now_us;
	while (p.now_us - from < 4545 * MS)
		round_trip(&cc, &p, CC_OPEN);
	/* half of K: 0.4 * 4.545^3 = 37.6 below */
	assert_in_range(cc.cwnd, 955 * MSS, 975 * MSS);
	while (p.now_us - from < 9086 * MS)
		round_trip(&cc, &p, CC_OPEN);
	assert_in_range(cc.cwnd, 990 * MSS, 1010 * MSS);
	while (p.now_us - from < 13600 * MS)
		round_trip(&cc, &p, CC_OPEN);
	assert_in_range(cc.cwnd, 1020 * MSS, 1050 * MSS);
}

/* A second loss below the first maximum leaves room for others. */
static void cubic_converges_fast(void **state)
{
	struct tcp_cc cc = cc_of(&stack_cc_cubic, 100);

	(void)state;
	cc.cwnd = cc.ops->reduced(&cc, 0);
	assert_true(cc.cubic.w_max == 100);
	cc.ops->reduced(&cc, 0);
	assert_true(cc.cubic.w_max > 59.4 && cc.cubic.w_max < 59.6);
	cc.ops->undo(&cc);
	assert_true(cc.cubic.w_max == 100);
}

/* Where that is slow Reno's growth is the least: half a segment a round. */
static void cubic_is_no_slower_than_reno(void **state)
{
	struct tcp_cc cc = cc_of(&stack_cc_cubic, 20);
	struct path p = {.rate = UINT64_MAX / 2000000, .rtt_us = 5 * MS,
			 .now_us = 1};

	(void)state;
	cc.ssthresh = cc.cwnd = cc.ops->reduced(&cc, 0);
	assert_int_equal(cc.cwnd, 14 * MSS);
	for (int i = 0; i < 10; i++)
		round_trip(&cc, &p, CC_OPEN);
	assert_in_range(cc.cwnd, 19 * MSS, 20 * MSS);
}

static void cubic_grows_only_when_it_is_the_limit(void **state)
{
	struct tcp_cc cc = cc_of(&stack_cc_cubic, 10);
	struct cc_ack ack = {.now_us = 1000, .delivered = MSS, .una = MSS,
			     .nxt = 2 * MSS};

	(void)state;
	cc.ops->ack(&cc, &ack, CC_OPEN);
	assert_int_equal(cc.cwnd, 10 * MSS);
}

/* RFC 9406: trips that rise by an eighth end slow start before a loss does. */
static void hystart_leaves_slow_start_in_time(void **state)
{
	struct tcp_cc cc = cc_of(&stack_cc_cubic, 10);
	uint32_t una = 0, rtt = 40 * MS;
	int rounds;

	(void)state;
	for (rounds = 0; rounds < 30 && cc.ssthresh == CC_CWND_MAX_BYTES;
	     rounds++) {
		uint32_t end = una + cc.cwnd;

		if (rounds >= 4)
			rtt += 10 * MS;
		while (una < end) {
			struct cc_ack ack = {
				.now_us = 1 + (uint64_t)rounds * 40 * MS,
				.delivered = MSS, .una = una + MSS,
				.nxt = una + MSS + cc.cwnd,
				.rtt_us = rtt, .srtt_us = rtt,
				.is_cwnd_limited = true,
			};

			una += MSS;
			cc.ops->ack(&cc, &ack, CC_OPEN);
		}
	}
	/* four rounds of doubling, then five at a quarter of that */
	assert_in_range(rounds, 8, 12);
	assert_in_range(cc.cwnd, 160 * MSS, 1000 * MSS);
	assert_true(cc.ssthresh <= cc.cwnd);
}

static void hystart_forgives_jitter(void **state)
{
	struct tcp_cc cc = cc_of(&stack_cc_cubic, 10);
	struct path p = {.rate = UINT64_MAX / 2000000, .rtt_us = 40 * MS,
			 .now_us = 1};

	(void)state;
	for (int i = 0; i < 8; i++) {
		p.rtt_us = (uint32_t)(40 + i % 3) * MS;
		round_trip(&cc, &p, CC_OPEN);
	}
	assert_int_equal(cc.ssthresh, CC_CWND_MAX_BYTES);
}

/* -- bbr ------------------------------------------------------------------ */
/* 10 MB/s and 40 ms: 400 segments. */
static void to_steady(struct tcp_cc *cc, struct path *p)
{
	for (int i = 0; i < 40; i++)
		round_trip(cc, p, CC_OPEN);
}

static void bbr_finds_rate_and_trip(void **state)
{
	struct tcp_cc cc = cc_of(&stack_cc_bbr, 10);
	struct path p = {.rate = 10 * 1000 * 1000, .rtt_us = 40 * MS,
			 .now_us = 1};

	(void)state;
	to_steady(&cc, &p);
	assert_in_range(cc.bbr.bw.best[0].value, 9900000, 10001000);
	assert_in_range(cc.bbr.min_rtt_us, 40 * MS, 40 * MS + 100);
	assert_true(cc.bbr.has_full_bw);
	/* five quarters of the product, and bursts */
	assert_in_range(cc.cwnd, 500 * MSS, 800 * MSS);
	assert_in_range(cc.pacing_rate, 7 * 1000 * 1000, 12500 * 1000);
}

static void bbr_does_not_mind_losses(void **state)
{
	struct tcp_cc cc = cc_of(&stack_cc_bbr, 10);
	struct path p = {.rate = 10 * 1000 * 1000, .rtt_us = 40 * MS,
			 .now_us = 1};
	uint32_t before;

	(void)state;
	to_steady(&cc, &p);
	before = cc.cwnd;
	for (int i = 0; i < 5; i++) {
		cc.ops->reduced(&cc, cc.cwnd);
		cc.ops->set_state(&cc, CC_RECOVERY, cc.cwnd);
		round_trip(&cc, &p, CC_RECOVERY);
		cc.ops->set_state(&cc, CC_OPEN, cc.cwnd);
		round_trip(&cc, &p, CC_OPEN);
	}
	assert_true(cc.cwnd >= before * 9 / 10);
	assert_in_range(cc.bbr.bw.best[0].value, 9900000, 10001000);
}

/* The rate of ten rounds ago is forgotten. */
static void bbr_follows_a_path_that_slows_down(void **state)
{
	struct tcp_cc cc = cc_of(&stack_cc_bbr, 10);
	struct path p = {.rate = 10 * 1000 * 1000, .rtt_us = 40 * MS,
			 .now_us = 1};

	(void)state;
	to_steady(&cc, &p);
	p.rate = 1000 * 1000;
	for (int i = 0; i < 24; i++)
		round_trip(&cc, &p, CC_OPEN);
	assert_in_range(cc.bbr.bw.best[0].value, 900000, 1000001);
	p.rate = 20 * 1000 * 1000;
	for (int i = 0; i < 60; i++)
		round_trip(&cc, &p, CC_OPEN);
	assert_true(cc.bbr.bw.best[0].value > 3 * 1000 * 1000);
}

/* What the program did not fill says nothing about the path. */
static void bbr_ignores_samples_of_an_idle_program(void **state)
{
	struct tcp_cc cc = cc_of(&stack_cc_bbr, 10);
	struct path p = {.rate = 10 * 1000 * 1000, .rtt_us = 40 * MS,
			 .now_us = 1};

	(void)state;
	to_steady(&cc, &p);
	for (int i = 0; i < 40; i++) {
		struct cc_ack ack = {
			.now_us = p.now_us += 40 * MS, .delivered = MSS,
			.flight = 0, .flight_before = MSS,
			.rtt_us = 40 * MS, .srtt_us = 40 * MS,
			.total_delivered = p.delivered + MSS,
			.sample_bytes = MSS, .sample_us = 40 * MS,
			.sample_prior = p.delivered, .is_app_limited = true,
		};

		p.delivered += MSS;
		cc.ops->ack(&cc, &ack, CC_OPEN);
	}
	assert_in_range(cc.bbr.bw.best[0].value, 9900000, 10001000);
}

/* Ten seconds without a shorter trip: 200 ms of next to nothing. */
static void bbr_looks_for_the_trip_without_a_queue(void **state)
{
	struct tcp_cc cc = cc_of(&stack_cc_bbr, 10);
	struct path p = {.rate = 10 * 1000 * 1000, .rtt_us = 40 * MS,
			 .now_us = 1};
	uint64_t low_us = 0;
	uint32_t before = 0;

	(void)state;
	to_steady(&cc, &p);
	p.rtt_us = 41 * MS; /* never as short again */
	while (p.now_us < 14 * 1000 * 1000) {
		uint64_t from = p.now_us;

		round_trip(&cc, &p, CC_OPEN);
		if (cc.cwnd == 4 * MSS)
			low_us += p.now_us - from;
		else
			before = cc.cwnd;
	}
	assert_in_range(low_us, 200 * MS, 450 * MS);
	assert_in_range(before, 500 * MSS, 850 * MSS);
	assert_in_range(cc.bbr.min_rtt_us, 40500, 42 * MS);
}

/* -- the window of the best ----------------------------------------------- */
static void the_best_of_a_window(void **state)
{
	struct cc_best b = {0};
	uint64_t values[300], x = 1;

	(void)state;
	for (uint64_t i = 0; i < 300; i++) {
		uint64_t best = 0;

		x = x * 6364136223846793005u + 1442695040888963407u;
		values[i] = x >> 54;
		stack_best_max(&b, 10, i, values[i]);
		for (uint64_t k = i > 10 ? i - 10 : 0; k <= i; k++)
			if (values[k] > best)
				best = values[k];
		/* never above the truth, and a true value of the window */
		assert_true(b.best[0].value <= best);
		assert_true(i - b.best[0].at <= 10);
		assert_int_equal(b.best[0].value, values[b.best[0].at]);
		assert_true(b.best[0].value >= best / 2);
	}
}

static void names(void **state)
{
	(void)state;
	assert_ptr_equal(stack_cc_find("bbr"), &stack_cc_bbr);
	assert_ptr_equal(stack_cc_find("cubic"), &stack_cc_cubic);
	assert_null(stack_cc_find("reno"));
	assert_null(stack_cc_find(""));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(cubic_doubles_in_slow_start),
		cmocka_unit_test(cubic_comes_back_in_k_seconds),
		cmocka_unit_test(cubic_converges_fast),
		cmocka_unit_test(cubic_is_no_slower_than_reno),
		cmocka_unit_test(cubic_grows_only_when_it_is_the_limit),
		cmocka_unit_test(hystart_leaves_slow_start_in_time),
		cmocka_unit_test(hystart_forgives_jitter),
		cmocka_unit_test(bbr_finds_rate_and_trip),
		cmocka_unit_test(bbr_does_not_mind_losses),
		cmocka_unit_test(bbr_follows_a_path_that_slows_down),
		cmocka_unit_test(bbr_ignores_samples_of_an_idle_program),
		cmocka_unit_test(bbr_looks_for_the_trip_without_a_queue),
		cmocka_unit_test(the_best_of_a_window),
		cmocka_unit_test(names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
