/* SPDX-License-Identifier: BSD-3-Clause
 * test_stack_segment.c - receiving against a script: SACK, ACKs, attacks
 */
#include <errno.h>

#include "unit/netstack/script.h"

enum { RTT_US = 20 * 1000 };

static void open_up(struct script *s)
{
	script_open(s, "cubic", RTT_US, true);
}

/* The next segment out is a pure ACK of that much, with these blocks. */
static void acked(struct script *s, uint32_t up_to,
		  const struct script_block *blocks, size_t count)
{
	const struct script_segment *seg = next_out(s);

	assert_int_equal(seg->len, 0);
	assert_int_equal(seg->flags, F_ACK);
	assert_int_equal(seg->ack, up_to);
	assert_int_equal(seg->block_count, count);
	for (size_t i = 0; i < count; i++) {
		assert_int_equal(seg->blocks[i].left, blocks[i].left);
		assert_int_equal(seg->blocks[i].right, blocks[i].right);
	}
}

static void from_peer(struct script *s, uint32_t seq, uint32_t ack_to,
		      uint8_t flags)
{
	script_send(s, &(struct script_segment){.seq = seq, .ack = ack_to,
						.flags = flags,
						.window = s->window});
}

/* -- out of order --------------------------------------------------------- */
static void blocks_begin_with_the_latest(void **state)
{
	struct script s;

	(void)state;
	open_up(&s);
	data(&s, 1000, 500, 0);
	acked(&s, 0, SACK({1000, 1500}));
	data(&s, 3000, 500, 0);
	acked(&s, 0, SACK({3000, 3500}, {1000, 1500}));
	data(&s, 1500, 500, 0);
	acked(&s, 0, SACK({1000, 2000}, {3000, 3500}));
	data(&s, 5000, 100, 0);
	data(&s, 6000, 100, 0);
	data(&s, 7000, 100, 0);
	forget_sent(&s);
	data(&s, 8000, 100, 0); /* the oldest has no room */
	acked(&s, 0, SACK({8000, 8100}, {7000, 7100}, {6000, 6100},
			  {5000, 5100}));
	data(&s, 0, 1000, 0); /* a hole is filled: told at once */
	acked(&s, 2000, SACK({8000, 8100}, {7000, 7100}, {6000, 6100},
			     {5000, 5100}));
	assert_int_equal(s.read, 2000);
	data(&s, 2000, 1000, 0);
	data(&s, 3500, 1500, 0);
	data(&s, 5100, 900, 0);
	data(&s, 6100, 900, 0);
	forget_sent(&s);
	data(&s, 7100, 900, 0);
	assert_int_equal(s.read, 8100);
	acked(&s, 8100, NULL, 0);
	data(&s, 8100, 100, 0);
	nothing(&s); /* whole again: as any segment */
	script_close(&s);
}

static void overlaps_are_trimmed(void **state)
{
	struct script s;

	(void)state;
	open_up(&s);
	data(&s, 1000, 1000, 0);
	data(&s, 500, 1000, 0);	 /* before and into it */
	data(&s, 1500, 1000, 0); /* into and behind it */
	data(&s, 4000, 100, 0);
	data(&s, 3000, 1400, 0); /* around another */
	forget_sent(&s);
	data(&s, 2500, 500, 0); /* between the two */
	acked(&s, 0, SACK({500, 4400}));
	data(&s, 0, 600, 0);
	acked(&s, 4400, NULL, 0);
	assert_int_equal(s.read, 4400);
	script_close(&s);
}

static void duplicates_are_reported(void **state)
{
	struct script s;

	(void)state;
	open_up(&s);
	data(&s, 0, 1000, 0);
	wait_ms(&s, 25);
	acked(&s, 1000, NULL, 0);
	data(&s, 0, 1000, 0);
	acked(&s, 1000, SACK({0, 1000}));
	data(&s, 2000, 1000, 0);
	acked(&s, 1000, SACK({2000, 3000}));
	data(&s, 2000, 1000, 0);
	acked(&s, 1000, SACK({2000, 3000}, {2000, 3000}));
	data(&s, 4000, 100, 0); /* once only */
	acked(&s, 1000, SACK({4000, 4100}, {2000, 3000}));
	script_close(&s);
}

static void beyond_the_window_nothing_is_kept(void **state)
{
	struct script s;
	uint32_t edge;

	(void)state;
	open_up(&s);
	data(&s, 0, 1, 0);
	wait_ms(&s, 25);
	edge = 1 + next_out(&s)->window * 256;
	data(&s, edge + 300, 100, 0);
	acked(&s, 1, NULL, 0);
	data(&s, edge - 50, 1000, 0); /* across the edge */
	acked(&s, 1, NULL, 0);
	script_close(&s);
}

/* One byte in two: memory and ranges stay bounded, and all arrives yet. */
static void a_comb_of_single_bytes(void **state)
{
	enum { BYTES = 3000 };
	struct script s;

	(void)state;
	open_up(&s);
	for (uint32_t i = 1; i < BYTES; i += 2) {
		data(&s, i, 1, 0);
		s.out_count = s.out_seen = 0;
	}
	for (uint32_t i = 0; s.read < BYTES; i++) {
		assert_true(i < 2 * BYTES);
		data(&s, (uint32_t)s.read, 1, 0);
		s.out_count = s.out_seen = 0;
	}
	script_close(&s);
}

/* -- ACKs ----------------------------------------------------------------- */
static void a_single_segment_waits_20_ms(void **state)
{
	struct script s;
	uint64_t from;

	(void)state;
	open_up(&s);
	from = s.now_us;
	data(&s, 0, 100, 0);
	nothing(&s);
	wait_ms(&s, 100);
	acked(&s, 100, NULL, 0);
	assert_in_range(s.out[s.out_count - 1].at_us - from, 0, 25000);
	script_close(&s);
}

static void an_answer_takes_the_ack_along(void **state)
{
	struct script s;

	(void)state;
	open_up(&s);
	data(&s, 0, 100, 0);
	script_write(&s, 200);
	assert_int_equal(s.out[s.out_seen].ack, 100);
	sent(&s, 0, 200);
	wait_ms(&s, 30);
	nothing(&s);
	script_close(&s);
}

/* Whoever dials mostly speaks at once. */
static void first_bytes_take_the_handshakes_ack_along(void **state)
{
	struct script s;

	(void)state;
	open_up(&s);
	assert_int_equal(s.out_count, 1); /* the SYN */
	script_write(&s, 200);
	assert_int_equal(s.out[s.out_seen].ack, 0);
	sent(&s, 0, 200);
	wait_ms(&s, 30);
	nothing(&s);
	script_close(&s);
}

static void a_handshake_is_finished_without_bytes(void **state)
{
	struct script s;

	(void)state;
	open_up(&s);
	nothing(&s);
	wait_ms(&s, 1);
	acked(&s, 0, NULL, 0);
	wait_ms(&s, 30);
	nothing(&s);
	script_close(&s);
}

static void a_fin_in_answer_takes_the_ack_along(void **state)
{
	struct script s;

	(void)state;
	open_up(&s);
	script_write(&s, 100);
	forget_sent(&s);
	from_peer(&s, 0, 100, F_FIN | F_ACK);
	assert_true(s.got_eof);
	nothing(&s);
	stack_tcp_shutdown_write(s.t);
	assert_int_equal(s.out[s.out_seen].ack, 1);
	assert_true(s.out[s.out_seen].flags & F_FIN);
	sent(&s, 100, 0);
	wait_ms(&s, 30);
	nothing(&s);
	script_close(&s);
}

static void a_fin_without_answer_is_acknowledged_soon(void **state)
{
	struct script s;

	(void)state;
	open_up(&s);
	wait_ms(&s, 1);
	forget_sent(&s);
	from_peer(&s, 0, 0, F_FIN | F_ACK);
	assert_true(s.got_eof);
	wait_ms(&s, 1);
	acked(&s, 1, NULL, 0);
	wait_ms(&s, 30);
	nothing(&s);
	script_close(&s);
}

/* Many that come at one time are acknowledged as one, but not too many. */
static void one_ack_for_a_batch(void **state)
{
	struct script s;

	(void)state;
	open_up(&s);
	for (uint32_t i = 0; i < 10; i++)
		data(&s, i * 1000, 1000, 0);
	nothing(&s);
	wait_us(&s, 0);
	acked(&s, 10000, NULL, 0);
	nothing(&s);
	for (uint32_t i = 10; i < 110; i++)
		data(&s, i * 1000, 1000, 0);
	acked(&s, 58000, NULL, 0);
	acked(&s, 106000, NULL, 0);
	wait_us(&s, 0);
	acked(&s, 110000, NULL, 0);
	nothing(&s);
	script_close(&s);
}

/* -- attacks (RFC 5961) --------------------------------------------------- */
static void a_reset_must_be_exact(void **state)
{
	struct script s;

	(void)state;
	open_up(&s);
	from_peer(&s, 1, 0, F_RST);
	acked(&s, 0, NULL, 0);
	assert_false(s.is_over);
	from_peer(&s, 10 * 1024 * 1024, 0, F_RST);
	nothing(&s);
	from_peer(&s, 0, 0, F_RST);
	assert_true(s.is_over);
	assert_int_equal(s.err, -ECONNRESET);
	nothing(&s);
	script_close(&s);
}

static void a_syn_is_not_believed(void **state)
{
	struct script s;

	(void)state;
	open_up(&s);
	from_peer(&s, 0, 0, F_SYN);
	acked(&s, 0, NULL, 0);
	wait_ms(&s, 600);
	from_peer(&s, 77777, 0, F_SYN | F_ACK);
	acked(&s, 0, NULL, 0);
	assert_false(s.is_over);
	script_close(&s);
}

/* Bytes with an acknowledgement of what was never sent, or long ago. */
static void data_must_acknowledge_what_can_be(void **state)
{
	struct script s;

	(void)state;
	open_up(&s);
	script_write(&s, 5 * MSS);
	forget_sent(&s);
	data(&s, 0, 100, 5 * MSS + 1);
	s.peer_next = 0;
	acked(&s, 0, NULL, 0);
	wait_ms(&s, 600);
	forget_sent(&s);
	data(&s, 0, 100, 0u - 5 * 1024 * 1024);
	s.peer_next = 0;
	acked(&s, 0, NULL, 0);
	assert_int_equal(s.read, 0);
	data(&s, 0, 100, 0u - 1000); /* old, but of this window */
	assert_int_equal(s.read, 100);
	script_close(&s);
}

static void challenges_are_limited(void **state)
{
	struct script s;

	(void)state;
	open_up(&s);
	for (uint32_t i = 1; i < 1000; i++) {
		from_peer(&s, i, 0, F_RST);
		from_peer(&s, i, 0, F_SYN);
		from_peer(&s, i, 1000, F_ACK);
	}
	acked(&s, 0, NULL, 0);
	nothing(&s);
	wait_ms(&s, 500);
	from_peer(&s, 5, 0, F_RST);
	acked(&s, 0, NULL, 0);
	script_close(&s);
}

/* SACK blocks that cannot be: nothing of it may count as arrived. */
static void impossible_blocks_are_ignored(void **state)
{
	struct script s;

	(void)state;
	open_up(&s);
	script_write(&s, 5 * MSS);
	forget_sent(&s);
	ack_sack(&s, 0, SACK({2 * MSS, 2 * MSS}, {3 * MSS, 2 * MSS},
			     {4 * MSS, 6 * MSS}, {0u - MSS, 5 * MSS}));
	assert_int_equal(script_info(&s).sacked, 0);
	nothing(&s);
	ack_sack(&s, 0, SACK({1 * MSS + 1, 3 * MSS - 1})); /* no whole one */
	assert_int_equal(script_info(&s).sacked, 0);
	ack_sack(&s, 0, SACK({1 * MSS + 1, 4 * MSS - 1}));
	assert_int_equal(script_info(&s).sacked, 1);
	ack_sack(&s, 0, SACK({1 * MSS, 4 * MSS}));
	assert_int_equal(script_info(&s).sacked, 3);
	script_close(&s);
}

/* -- the end -------------------------------------------------------------- */
static void a_fin_is_answered_at_once(void **state)
{
	struct script s;

	(void)state;
	open_up(&s);
	data(&s, 0, 100, 0);
	from_peer(&s, 200, 0, F_FIN | F_ACK); /* too early */
	acked(&s, 100, SACK({200, 201}));
	assert_false(s.got_eof);
	data(&s, 100, 100, 0);
	acked(&s, 201, NULL, 0);
	assert_true(s.got_eof);
	assert_int_equal(s.read, 200);
	script_close(&s);
}

/* The FIN alone is sent again like any segment. */
static void our_fin_is_sent_again(void **state)
{
	struct script s;

	(void)state;
	open_up(&s);
	stack_tcp_shutdown_write(s.t);
	assert_int_equal(s.out[s.out_seen].flags & F_FIN, F_FIN);
	sent(&s, 0, 0);
	wait_ms(&s, 300);
	assert_int_equal(s.out[s.out_seen].flags & F_FIN, F_FIN);
	sent(&s, 0, 0);
	ack(&s, 1);
	forget_sent(&s);
	wait_ms(&s, 2000);
	nothing(&s);
	from_peer(&s, 0, 1, F_FIN | F_ACK);
	acked(&s, 1, NULL, 0);
	assert_true(s.got_eof);
	script_close(&s);
}

static void an_acknowledged_fin_with_data_that_overtook(void **state)
{
	struct script s;

	(void)state;
	open_up(&s);
	script_write(&s, 100);
	stack_tcp_shutdown_write(s.t);
	forget_sent(&s);
	data(&s, 500, 100, 101); /* acknowledges it, too early */
	assert_int_equal(script_info(&s).state, STACK_FIN_WAIT_2);
	data(&s, 0, 500, 101);
	from_peer(&s, 600, 101, F_FIN | F_ACK);
	assert_true(s.got_eof);
	assert_int_equal(s.read, 600);
	script_close(&s);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(blocks_begin_with_the_latest),
		cmocka_unit_test(overlaps_are_trimmed),
		cmocka_unit_test(duplicates_are_reported),
		cmocka_unit_test(beyond_the_window_nothing_is_kept),
		cmocka_unit_test(a_comb_of_single_bytes),
		cmocka_unit_test(a_single_segment_waits_20_ms),
		cmocka_unit_test(an_answer_takes_the_ack_along),
		cmocka_unit_test(first_bytes_take_the_handshakes_ack_along),
		cmocka_unit_test(a_handshake_is_finished_without_bytes),
		cmocka_unit_test(a_fin_in_answer_takes_the_ack_along),
		cmocka_unit_test(a_fin_without_answer_is_acknowledged_soon),
		cmocka_unit_test(one_ack_for_a_batch),
		cmocka_unit_test(a_reset_must_be_exact),
		cmocka_unit_test(a_syn_is_not_believed),
		cmocka_unit_test(data_must_acknowledge_what_can_be),
		cmocka_unit_test(challenges_are_limited),
		cmocka_unit_test(impossible_blocks_are_ignored),
		cmocka_unit_test(a_fin_is_answered_at_once),
		cmocka_unit_test(our_fin_is_sent_again),
		cmocka_unit_test(an_acknowledged_fin_with_data_that_overtook),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
