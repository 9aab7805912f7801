/* SPDX-License-Identifier: BSD-3-Clause
 * test_stack_loss.c - bad networks: loss, silence, peers that never read
 *
 * The wire has a round trip of 40 ms, as to another country. TSNET_LOSS_REPORT
 * in the environment prints the goodput of each transfer.
 */
#include <stdio.h>

#include "unit/netstack/two_stacks.h"

enum {
	HALF_RTT_MS = 20,
	TRANSFER_BYTES = 5 * 1000 * 1000,
	STALL_MAX_MS = 5000, /* the same segment lost five times */
	MINUTE_MS = 60000,
};

/* -- loss ----------------------------------------------------------------- */

/* The longest time without a byte for the reader; 0 at the end of time. */
static uint64_t transfer(struct net *net, struct end *a, struct end *b)
{
	uint64_t start = net->now_ms, last = start, read = 0, stall = 0;

	a->to_write = TRANSFER_BYTES;
	end_write(a);
	while (b->read < TRANSFER_BYTES &&
	       net_step(net, start + 10 * MINUTE_MS)) {
		if (b->read != read || b->read == TRANSFER_BYTES) {
			if (net->now_ms - last > stall)
				stall = net->now_ms - last;
			last = net->now_ms;
			read = b->read;
		}
	}
	assert_int_equal(b->read, TRANSFER_BYTES);
	if (getenv("TSNET_LOSS_REPORT"))
		printf("loss %u/1000, reorder %u/1000: %.2f Mbit/s, "
		       "longest stall %llu ms\n",
		       net->loss_permille, net->reorder_permille,
		       (double)TRANSFER_BYTES * 8 / 1000.0 /
			       (double)(net->now_ms - start),
		       (unsigned long long)stall);
	return stall;
}

static void run_lossy(unsigned loss_permille, unsigned reorder_permille)
{
	for (uint32_t seed = 1; seed <= 8; seed++) {
		struct end a = {0}, b = {.is_greedy = true};
		struct net net;

		net_open(&net);
		net_connect(&net, &a, &b);
		net.random = seed * 7919;
		net.delay_ms = HALF_RTT_MS;
		net.loss_permille = loss_permille;
		net.reorder_permille = reorder_permille;
		assert_true(transfer(&net, &a, &b) <= STALL_MAX_MS);
		net_close(&net);
	}
}

static void one_percent_loss(void **state)
{
	(void)state;
	run_lossy(10, 0);
}

static void one_percent_loss_and_reordering(void **state)
{
	(void)state;
	run_lossy(10, 50);
}

static void five_percent_loss(void **state)
{
	(void)state;
	run_lossy(50, 0);
}

static void five_percent_loss_and_reordering(void **state)
{
	(void)state;
	run_lossy(50, 50);
}

/* -- a reader that pauses ------------------------------------------------- */

static void zero_window_for_ten_minutes(void **state)
{
	struct end a = {.to_write = TRANSFER_BYTES}, b = {0};
	struct net net;
	uint64_t reopened;

	(void)state;
	net_open(&net);
	net_connect(&net, &a, &b);
	end_write(&a);
	net_run(&net, 10 * MINUTE_MS);
	assert_false(a.over);
	assert_false(b.over);
	b.is_greedy = true;
	end_read(&b, SIZE_MAX);
	reopened = net.now_ms;
	while (b.read < TRANSFER_BYTES && net_step(&net, reopened + MINUTE_MS))
		;
	assert_int_equal(b.read, TRANSFER_BYTES);
	assert_true(net.now_ms - reopened < STALL_MAX_MS);
	net_close(&net);
}

/* Closed by its owner, and the peer acknowledges but never reads: what is
 * queued must not stay for ever. */
static void closed_with_a_peer_that_never_reads(void **state)
{
	struct end a = {.to_write = TRANSFER_BYTES}, b = {0};
	struct net net;

	(void)state;
	net_open(&net);
	net_connect(&net, &a, &b);
	end_write(&a);
	net_run(&net, 10000);
	assert_true(a.written > 0);
	stack_tcp_close(a.t);
	a.t = NULL;
	net_run(&net, 20000);
	assert_int_equal(net_active(&net, 0), 1); /* it may read yet */
	net_run(&net, 10 * MINUTE_MS);
	assert_int_equal(net_active(&net, 0), 0);
	assert_int_equal(b.err, -ECONNRESET);
	net_close(&net);
}

/* The same, but the peer reads before patience runs out. */
static void closed_with_a_slow_reader(void **state)
{
	struct end a = {.to_write = 300000, .close_when_written = true};
	struct end b = {0};
	struct net net;

	(void)state;
	net_open(&net);
	net_connect(&net, &a, &b);
	end_write(&a);
	for (int i = 0; i < 100; i++) {
		net_run(&net, 20000);
		end_read(&b, 4000);
	}
	b.is_greedy = true;
	end_read(&b, SIZE_MAX);
	net_run(&net, MINUTE_MS);
	assert_true(b.eof);
	assert_int_equal(b.read, 300000);
	net_close(&net);
}

/* -- a peer that is gone -------------------------------------------------- */

static void peer_vanishes_in_a_transfer(void **state)
{
	struct end a = {0}, b = {.is_greedy = true};
	struct net net;
	uint64_t cut;

	(void)state;
	net_open(&net);
	net_connect(&net, &a, &b);
	net.delay_ms = HALF_RTT_MS;
	a.to_write = TRANSFER_BYTES;
	end_write(&a);
	net_run(&net, 100);
	assert_true(b.read > 0 && b.read < TRANSFER_BYTES);
	net.is_cut = true;
	cut = net.now_ms;
	while (!a.over && net_step(&net, cut + 60 * MINUTE_MS))
		;
	assert_true(a.over);
	assert_int_equal(a.err, -ETIMEDOUT);
	assert_in_range(net.now_ms - cut, MINUTE_MS, 20 * MINUTE_MS);
	if (getenv("TSNET_LOSS_REPORT"))
		printf("vanished peer: ETIMEDOUT after %llu s\n",
		       (unsigned long long)(net.now_ms - cut) / 1000);
	net_close(&net);
}

static void keepalive_finds_a_gone_peer(void **state)
{
	struct end a = {0}, b = {0};
	struct net net;
	uint64_t cut;

	(void)state;
	net_open(&net);
	net_connect(&net, &a, &b);
	stack_tcp_set_options(
		a.t, &(struct stack_tcp_options){.keepalive = true});
	net_run(&net, 24 * 60 * MINUTE_MS); /* a day, answered */
	assert_false(a.over);
	assert_true(net.node[0].sent < 100);
	net.is_cut = true;
	cut = net.now_ms;
	while (!a.over && net_step(&net, cut + 24 * 60 * MINUTE_MS))
		;
	assert_int_equal(a.err, -ETIMEDOUT);
	assert_true(net.now_ms - cut <= (7200 + 11 * 75) * 1000ull);
	net_close(&net);
}

/* -- time ----------------------------------------------------------------- */

/* Ticked at its own deadlines a stack gets on: never twice at one time more
 * often than there is something to do. */
static void deadlines_move_on(void **state)
{
	struct end a = {.to_write = TRANSFER_BYTES}, b = {0};
	struct stack *s;
	struct net net;
	uint64_t now;
	unsigned same = 0;

	(void)state;
	net_open(&net);
	net_connect(&net, &a, &b);
	stack_tcp_set_options(
		a.t, &(struct stack_tcp_options){.keepalive = true});
	end_write(&a);
	net_run(&net, 5000);
	net.is_cut = true;
	s = net.node[0].s;
	now = net.now_ms;
	for (int i = 0; i < 100000; i++) {
		uint64_t due = stack_deadline_ms(s);

		if (due == UINT64_MAX)
			break;
		same = due > now ? 0 : same + 1;
		assert_true(same < 4);
		if (due > now)
			now = due;
		stack_tick(s, now);
	}
	assert_true(a.over);
	assert_int_equal(stack_deadline_ms(s), UINT64_MAX);
	net_close(&net);
}

/* A laptop slept for eight hours: all timers are late at once. */
static void clock_jumps_by_hours(void **state)
{
	struct end a = {0}, b = {.is_greedy = true};
	struct net net;

	(void)state;
	net_open(&net);
	net_connect(&net, &a, &b);
	net.delay_ms = HALF_RTT_MS;
	a.to_write = TRANSFER_BYTES;
	end_write(&a);
	net_run(&net, 100);
	net.now_ms += 8ull * 60 * MINUTE_MS;
	net_run(&net, 10 * MINUTE_MS);
	assert_int_equal(b.read, TRANSFER_BYTES);
	net_close(&net);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_percent_loss),
		cmocka_unit_test(one_percent_loss_and_reordering),
		cmocka_unit_test(five_percent_loss),
		cmocka_unit_test(five_percent_loss_and_reordering),
		cmocka_unit_test(zero_window_for_ten_minutes),
		cmocka_unit_test(closed_with_a_peer_that_never_reads),
		cmocka_unit_test(closed_with_a_slow_reader),
		cmocka_unit_test(peer_vanishes_in_a_transfer),
		cmocka_unit_test(keepalive_finds_a_gone_peer),
		cmocka_unit_test(deadlines_move_on),
		cmocka_unit_test(clock_jumps_by_hours),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
