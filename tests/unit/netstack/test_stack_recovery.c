/* SPDX-License-Identifier: BSD-3-Clause
 * test_stack_recovery.c - losses, reordering and time-outs, against a script
 *
 * Round trip 20 ms, ten segments at first (RFC 6928).
 */
#include <errno.h>

#include "unit/netstack/script.h"

enum { RTT_MS = 20, RTT_US = RTT_MS * 1000, FIRST = 10 };

static void open_cubic(struct script *s)
{
	script_open(s, "cubic", RTT_US, true);
}

/* Ten segments are on their way. */
static void send_ten(struct script *s, uint64_t more)
{
	script_write(s, FIRST * MSS + more);
	for (uint32_t i = 0; i < FIRST; i++)
		sent(s, i * MSS, MSS);
	nothing(s);
}

static uint64_t last_sent_us(const struct script *s)
{
	return s->out[s->out_count - 1].at_us;
}

/* -- losses --------------------------------------------------------------- */
static void several_holes_without_a_timeout(void **state)
{
	struct script s;

	(void)state;
	open_cubic(&s);
	send_ten(&s, 0);
	wait_ms(&s, RTT_MS); /* 1, 3 and 5 are lost */
	ack(&s, MSS);
	ack_sack(&s, MSS, SACK({2 * MSS, 3 * MSS}));
	ack_sack(&s, MSS, SACK({4 * MSS, 5 * MSS}, {2 * MSS, 3 * MSS}));
	nothing(&s);
	ack_sack(&s, MSS, SACK({6 * MSS, 7 * MSS}, {4 * MSS, 5 * MSS},
			       {2 * MSS, 3 * MSS}));
	sent(&s, 1 * MSS, MSS);
	assert_true(script_info(&s).is_recovering);
	ack_sack(&s, MSS, SACK({6 * MSS, 8 * MSS}, {4 * MSS, 5 * MSS},
			       {2 * MSS, 3 * MSS}));
	ack_sack(&s, MSS, SACK({6 * MSS, 10 * MSS}, {4 * MSS, 5 * MSS},
			       {2 * MSS, 3 * MSS}));
	sent(&s, 3 * MSS, MSS);
	sent(&s, 5 * MSS, MSS);
	nothing(&s);
	wait_ms(&s, RTT_MS);
	ack_sack(&s, 3 * MSS, SACK({6 * MSS, 10 * MSS}, {4 * MSS, 5 * MSS}));
	ack_sack(&s, 5 * MSS, SACK({6 * MSS, 10 * MSS}));
	ack(&s, 10 * MSS);
	assert_false(script_info(&s).is_recovering);
	assert_int_equal(script_info(&s).total_retransmits, 3);
	assert_int_equal(script_info(&s).cwnd, 7); /* 0.7 of ten */
	wait_ms(&s, 1000);
	nothing(&s);
	script_close(&s);
}

/* The retransmission is lost, too: what was sent later arrives. */
static void a_lost_retransmission_is_noticed(void **state)
{
	struct script s;

	(void)state;
	open_cubic(&s);
	send_ten(&s, 10 * MSS);
	wait_ms(&s, RTT_MS);
	ack_sack(&s, 0, SACK({1 * MSS, 4 * MSS}));
	sent(&s, 0, MSS);
	wait_ms(&s, 1);
	ack_sack(&s, 0, SACK({1 * MSS, 10 * MSS}));
	sent(&s, 10 * MSS, MSS); /* after the retransmission */
	forget_sent(&s);
	wait_ms(&s, RTT_MS);
	ack_sack(&s, 0, SACK({1 * MSS, 11 * MSS}));
	sent(&s, 0, MSS);
	assert_int_equal(script_info(&s).backoff, 0);
	script_close(&s);
}

static void without_sack_three_duplicates(void **state)
{
	struct script s;

	(void)state;
	script_open(&s, "cubic", RTT_US, false);
	send_ten(&s, 0);
	wait_ms(&s, RTT_MS); /* 1 and 4 are lost */
	ack(&s, MSS);
	ack(&s, MSS);
	ack(&s, MSS);
	nothing(&s);
	ack(&s, MSS);
	sent(&s, 1 * MSS, MSS);
	wait_ms(&s, RTT_MS);
	ack(&s, 4 * MSS); /* a partial one */
	sent(&s, 4 * MSS, MSS);
	wait_ms(&s, RTT_MS);
	ack(&s, 10 * MSS);
	assert_false(script_info(&s).is_recovering);
	assert_int_equal(script_info(&s).total_retransmits, 2);
	script_close(&s);
}

/* -- the tail ------------------------------------------------------------- */
static void the_last_segment_is_probed(void **state)
{
	struct script s;
	uint64_t from;

	(void)state;
	open_cubic(&s);
	script_write(&s, 3 * MSS);
	forget_sent(&s);
	wait_ms(&s, RTT_MS);
	ack(&s, 2 * MSS);
	from = s.now_us;
	wait_ms(&s, 130); /* below a time-out's 220 ms */
	sent(&s, 2 * MSS, MSS);
	assert_in_range(last_sent_us(&s) - from, RTT_US, 110000);
	wait_ms(&s, RTT_MS);
	ack(&s, 3 * MSS);
	assert_int_equal(script_info(&s).backoff, 0);
	wait_ms(&s, 2000);
	nothing(&s);
	script_close(&s);
}

/* The probe's SACK shows what is missing before it. */
static void a_lost_flight_comes_back_by_the_probe(void **state)
{
	struct script s;
	uint64_t from;

	(void)state;
	open_cubic(&s);
	script_write(&s, 3 * MSS);
	forget_sent(&s);
	from = s.now_us;
	wait_ms(&s, 60);
	sent(&s, 2 * MSS, MSS);
	wait_ms(&s, RTT_MS);
	ack_sack(&s, 0, SACK({2 * MSS, 3 * MSS}));
	sent(&s, 0, MSS);
	ack_sack(&s, MSS, SACK({2 * MSS, 3 * MSS}));
	sent(&s, MSS, MSS);
	assert_true(s.now_us - from < 200000);
	ack(&s, 3 * MSS);
	assert_int_equal(script_info(&s).backoff, 0);
	script_close(&s);
}

/* New data are a probe, too, beyond the congestion window. */
static void the_probe_is_new_data_if_there_are(void **state)
{
	struct script s;

	(void)state;
	open_cubic(&s);
	send_ten(&s, MSS);
	wait_ms(&s, 60);
	sent(&s, 10 * MSS, MSS);
	nothing(&s);
	script_close(&s);
}

/* -- reordering ----------------------------------------------------------- */
static void reordering_brings_no_retransmission(void **state)
{
	struct script s;

	(void)state;
	open_cubic(&s);
	send_ten(&s, 0);
	wait_ms(&s, RTT_MS);
	ack_sack(&s, 0, SACK({1 * MSS, 2 * MSS}));
	wait_ms(&s, 2);
	ack(&s, 2 * MSS);
	nothing(&s);
	/* Now it is known to happen: more than three may overtake. */
	ack_sack(&s, 2 * MSS, SACK({3 * MSS, 8 * MSS}));
	wait_ms(&s, 2);
	ack(&s, 8 * MSS);
	ack(&s, 10 * MSS);
	wait_ms(&s, 500);
	nothing(&s);
	assert_int_equal(script_info(&s).total_retransmits, 0);
	script_close(&s);
}

/* It was no loss: the duplicate is reported, and the window is as before. */
static void a_dsack_undoes_the_reduction(void **state)
{
	struct script s;
	uint32_t before;

	(void)state;
	open_cubic(&s);
	send_ten(&s, 0);
	before = script_info(&s).cwnd;
	wait_ms(&s, RTT_MS);
	ack_sack(&s, 0, SACK({1 * MSS, 4 * MSS}));
	sent(&s, 0, MSS);
	wait_ms(&s, 8);
	ack(&s, 4 * MSS);
	ack(&s, 10 * MSS);
	assert_true(script_info(&s).cwnd < before);
	wait_ms(&s, 12);
	ack_sack(&s, 10 * MSS, SACK({0, MSS}));
	assert_true(script_info(&s).cwnd >= before);
	assert_int_equal(script_info(&s).ssthresh, INT32_MAX);
	script_close(&s);
}

/* -- time-outs ------------------------------------------------------------ */
static void to_the_timeout(struct script *s)
{
	wait_ms(s, 320);
	forget_sent(s);
	assert_int_equal(script_info(s).backoff, 1);
	assert_int_equal(script_info(s).cwnd, 1);
}

static void a_spurious_timeout_is_undone(void **state)
{
	struct script s;
	uint32_t before;

	(void)state;
	open_cubic(&s);
	send_ten(&s, 20 * MSS);
	before = script_info(&s).cwnd;
	to_the_timeout(&s);
	ack(&s, 2 * MSS); /* the second was sent once only */
	assert_true(script_info(&s).cwnd >= before);
	assert_false(script_info(&s).is_recovering);
	ack(&s, 10 * MSS);
	for (size_t i = s.out_seen; i < s.out_count; i++)
		assert_true(s.out[i].seq >= 10 * MSS);
	script_close(&s);
}

/* The first ACK is for what was sent again: new data follow, and then it turns
 * out. */
static void a_spurious_timeout_with_single_acks(void **state)
{
	struct script s;
	uint32_t before;

	(void)state;
	open_cubic(&s);
	send_ten(&s, 20 * MSS);
	before = script_info(&s).cwnd;
	to_the_timeout(&s);
	ack(&s, MSS);
	sent(&s, 11 * MSS, MSS); /* the tenth was the probe */
	forget_sent(&s);
	ack(&s, 2 * MSS);
	assert_true(script_info(&s).cwnd >= before);
	script_close(&s);
}

static void a_true_timeout_sends_all_again(void **state)
{
	struct script s;

	(void)state;
	open_cubic(&s);
	script_write(&s, 5 * MSS);
	forget_sent(&s);
	to_the_timeout(&s);
	ack(&s, MSS);
	sent(&s, 1 * MSS, MSS);
	sent(&s, 2 * MSS, MSS);
	nothing(&s);
	wait_ms(&s, RTT_MS);
	ack(&s, 3 * MSS);
	sent(&s, 3 * MSS, MSS);
	sent(&s, 4 * MSS, MSS);
	ack(&s, 5 * MSS);
	assert_false(script_info(&s).is_recovering);
	script_close(&s);
}

/* What was SACKed may be gone (RFC 2018 section 8). */
static void a_peer_that_takes_sacks_back(void **state)
{
	struct script s;

	(void)state;
	open_cubic(&s);
	script_write(&s, 3 * MSS);
	forget_sent(&s);
	wait_ms(&s, RTT_MS);
	ack_sack(&s, 0, SACK({1 * MSS, 3 * MSS}));
	wait_ms(&s, RTT_MS);
	sent(&s, 0, MSS);
	ack(&s, MSS); /* and no more */
	wait_ms(&s, 400);
	sent(&s, 1 * MSS, MSS);
	script_close(&s);
}

static void timeouts_double_and_end(void **state)
{
	struct script s;
	uint64_t last, gap, before = 0;
	size_t count = 0;

	(void)state;
	open_cubic(&s);
	script_write(&s, MSS);
	wait_ms(&s, 150); /* the probe */
	forget_sent(&s);
	last = last_sent_us(&s);
	while (!s.is_over) {
		wait_ms(&s, 1);
		assert_true(s.now_us < 3600ull * 1000 * 1000);
		if (s.out_seen == s.out_count)
			continue;
		sent(&s, 0, MSS);
		gap = last_sent_us(&s) - last;
		last = last_sent_us(&s);
		if (before && before < 500000)
			assert_in_range(gap, 2 * before - 2000,
					2 * before + 2000);
		assert_true(gap + 2000 >= before); /* never sooner again */
		assert_true(gap <= 121 * 1000 * 1000);
		before = gap;
		count++;
	}
	assert_int_equal(s.err, -ETIMEDOUT);
	assert_in_range(count, 12, 24);
	assert_in_range(s.now_us, 120ull * 1000000, 1200ull * 1000000);
	script_close(&s);
}

/* -- windows -------------------------------------------------------------- */
static void a_shut_window_is_asked_after(void **state)
{
	struct script s;

	(void)state;
	open_cubic(&s);
	wait_ms(&s, 1);
	sent(&s, 0, 0); /* the handshake's ACK */
	s.window = 0;
	ack(&s, 0);
	script_write(&s, 3 * MSS);
	nothing(&s);
	wait_ms(&s, 700);
	sent(&s, 0, 1);
	s.window = 0;
	ack(&s, 0);
	wait_ms(&s, 1300);
	sent(&s, 0, 1);
	ack(&s, 0);
	nothing(&s);
	s.window = 2560; /* two, and less than three */
	ack(&s, 0);
	sent(&s, 0, MSS);
	sent(&s, MSS, MSS);
	nothing(&s);
	s.window = 512; /* smaller than a segment */
	ack(&s, 2 * MSS);
	nothing(&s);
	wait_ms(&s, 700);
	sent(&s, 2 * MSS, 512);
	script_close(&s);
}

static void half_a_second_of_silence_restarts_slowly(void **state)
{
	struct script s;

	(void)state;
	open_cubic(&s);
	for (uint32_t i = 0; i < 6; i++) {
		script_write(&s, 40 * MSS);
		for (int k = 0; k < 4; k++) {
			wait_ms(&s, RTT_MS);
			ack(&s, s.out[s.out_count - 1].seq + MSS);
		}
	}
	assert_true(script_info(&s).cwnd >= 40);
	wait_ms(&s, 5000);
	forget_sent(&s);
	script_write(&s, 40 * MSS);
	assert_int_equal(s.out_count - s.out_seen, FIRST);
	script_close(&s);
}

static void small_segments_wait_for_one_another(void **state)
{
	struct script s;

	(void)state;
	open_cubic(&s);
	stack_tcp_set_nodelay(s.t, false);
	script_write(&s, 100);
	sent(&s, 0, 100);
	script_write(&s, 100);
	nothing(&s);
	script_write(&s, MSS);
	sent(&s, 100, MSS); /* a full one needs not */
	nothing(&s);
	wait_ms(&s, RTT_MS);
	ack(&s, 100 + MSS);
	sent(&s, 100 + MSS, 100);
	script_close(&s);
}

/* -- pacing --------------------------------------------------------------- */
static void bbr_spreads_what_it_sends(void **state)
{
	struct script s;

	(void)state;
	script_open(&s, "bbr", 40 * 1000, true);
	script_write(&s, FIRST * MSS);
	assert_true(s.out_count - s.out_seen < FIRST);
	wait_ms(&s, 30);
	assert_int_equal(s.out_count - s.out_seen, FIRST);
	assert_true(s.out[s.out_count - 1].at_us - s.out[s.out_seen].at_us >=
		    8000);
	assert_true(script_info(&s).pacing_rate > 0);
	script_close(&s);
}

static void cubic_becomes_bbr(void **state)
{
	struct script s;

	(void)state;
	open_cubic(&s);
	send_ten(&s, 0);
	assert_string_equal(stack_tcp_congestion(s.t), "cubic");
	assert_int_equal(stack_tcp_set_congestion(s.t, "reno"), -ENOENT);
	assert_int_equal(stack_tcp_set_congestion(s.t, "bbr"), 0);
	assert_string_equal(stack_tcp_congestion(s.t), "bbr");
	wait_ms(&s, RTT_MS);
	ack(&s, 10 * MSS);
	assert_true(script_info(&s).pacing_rate > 0);
	script_close(&s);
}

/* Nothing told the stack the time for a while before its owner dialled. */
static void silence_before_a_dial_is_no_round_trip(void **state)
{
	struct script s;

	(void)state;
	script_new(&s, "cubic");
	s.now_us += 7 * 1000 * 1000;
	script_dial(&s, RTT_US, true);
	assert_int_equal(script_info(&s).rtt_us, RTT_US);
	send_ten(&s, 0);
	wait_ms(&s, 3 * RTT_MS); /* no ACK comes: the tail is probed */
	sent(&s, 9 * MSS, MSS);
	script_close(&s);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(several_holes_without_a_timeout),
		cmocka_unit_test(a_lost_retransmission_is_noticed),
		cmocka_unit_test(without_sack_three_duplicates),
		cmocka_unit_test(the_last_segment_is_probed),
		cmocka_unit_test(a_lost_flight_comes_back_by_the_probe),
		cmocka_unit_test(the_probe_is_new_data_if_there_are),
		cmocka_unit_test(reordering_brings_no_retransmission),
		cmocka_unit_test(a_dsack_undoes_the_reduction),
		cmocka_unit_test(a_spurious_timeout_is_undone),
		cmocka_unit_test(a_spurious_timeout_with_single_acks),
		cmocka_unit_test(a_true_timeout_sends_all_again),
		cmocka_unit_test(a_peer_that_takes_sacks_back),
		cmocka_unit_test(timeouts_double_and_end),
		cmocka_unit_test(a_shut_window_is_asked_after),
		cmocka_unit_test(half_a_second_of_silence_restarts_slowly),
		cmocka_unit_test(small_segments_wait_for_one_another),
		cmocka_unit_test(bbr_spreads_what_it_sends),
		cmocka_unit_test(cubic_becomes_bbr),
		cmocka_unit_test(silence_before_a_dial_is_no_round_trip),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
