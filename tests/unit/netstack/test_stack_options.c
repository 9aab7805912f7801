/* SPDX-License-Identifier: BSD-3-Clause
 * test_stack_options.c - keepalive, user timeout and what a connection tells
 */
#include <errno.h>

#include "unit/netstack/two_stacks.h"

#define SECOND_MS 1000ull

static void open_with(struct net *net, struct end *a, struct end *b,
		      const struct stack_tcp_options *o)
{
	net_open(net);
	net_connect(net, a, b);
	stack_tcp_set_options(a->t, o);
}

/* How long until a is told that it is over, after the wire was cut. */
static uint64_t ends_after_ms(struct net *net, struct end *a)
{
	uint64_t cut = net->now_ms;

	net->is_cut = true;
	while (!a->over && net_step(net, cut + 4 * 3600 * SECOND_MS))
		;
	assert_true(a->over);
	return net->now_ms - cut;
}

static void keepalive_counts_as_asked(void **state)
{
	const struct stack_tcp_options o = {.keepalive = true,
					    .keep_idle_ms = 5000,
					    .keep_interval_ms = 2000,
					    .keep_count = 3};
	struct end a = {0}, b = {0};
	struct net net;

	(void)state;
	open_with(&net, &a, &b, &o);
	net_run(&net, 600 * SECOND_MS);
	assert_false(a.over); /* answered all the time */
	assert_in_range(net.node[0].sent, 100, 140);
	assert_in_range(ends_after_ms(&net, &a), 6000, 11200);
	assert_int_equal(a.err, -ETIMEDOUT);
	net_close(&net);
}

static void who_accepted_may_keep_alive(void **state)
{
	const struct stack_tcp_options o = {.keepalive = true,
					    .keep_idle_ms = 1000,
					    .keep_interval_ms = 1000,
					    .keep_count = 2};
	struct end a = {.is_greedy = true}, b = {0};
	struct net net;

	(void)state;
	net_open(&net);
	net_connect(&net, &a, &b);
	b.to_write = 30;
	end_write(&b);
	stack_tcp_set_options(b.t, &o);
	net_run(&net, 30 * SECOND_MS);
	assert_false(b.over);
	assert_in_range(ends_after_ms(&net, &b), 1000, 4000);
	net_close(&net);
}

static void without_keepalive_silence_is_fine(void **state)
{
	const struct stack_tcp_options o = {.keep_idle_ms = 1000,
					    .keep_interval_ms = 1000,
					    .keep_count = 1};
	struct end a = {0}, b = {0};
	struct net net;

	(void)state;
	open_with(&net, &a, &b, &o);
	net.is_cut = true;
	net_run(&net, 3600 * SECOND_MS);
	assert_false(a.over);
	net_close(&net);
}

/* Only our side has ended: a peer that is gone is found all the same. */
static void keepalive_goes_on_when_half_closed(void **state)
{
	const struct stack_tcp_options o = {.keepalive = true,
					    .keep_idle_ms = 5000,
					    .keep_interval_ms = 1000,
					    .keep_count = 2};
	struct end a = {0}, b = {.is_greedy = true};
	struct net net;

	(void)state;
	open_with(&net, &a, &b, &o);
	stack_tcp_shutdown_write(a.t);
	net_run(&net, 60 * SECOND_MS);
	assert_false(a.over);
	assert_true(b.eof);
	assert_in_range(ends_after_ms(&net, &a), 2000, 8000);
	assert_int_equal(a.err, -ETIMEDOUT);
	net_close(&net);
}

static void no_probe_while_data_waits(void **state)
{
	const struct stack_tcp_options o = {.keepalive = true,
					    .keep_idle_ms = 1000,
					    .keep_interval_ms = 1000,
					    .keep_count = 1};
	struct end a = {0}, b = {0};
	struct net net;

	(void)state;
	open_with(&net, &a, &b, &o);
	net.is_cut = true;
	a.to_write = 100;
	end_write(&a);
	net_run(&net, 30 * SECOND_MS);
	assert_false(a.over); /* retransmissions, not probes */
	net_close(&net);
}

static void user_timeout_ends_what_is_not_acknowledged(void **state)
{
	const struct stack_tcp_options o = {.user_timeout_ms = 7000};
	struct end a = {0}, b = {0};
	struct net net;

	(void)state;
	open_with(&net, &a, &b, &o);
	net_run(&net, 3600 * SECOND_MS);
	assert_false(a.over); /* nothing to send: nothing to time */
	net.is_cut = true;
	a.to_write = 100;
	end_write(&a);
	assert_in_range(ends_after_ms(&net, &a), 7000, 7100);
	assert_int_equal(a.err, -ETIMEDOUT);
	net_close(&net);
}

/* The peer answers every probe of its window, and never opens it. */
static void user_timeout_ends_a_shut_window(void **state)
{
	const struct stack_tcp_options o = {.user_timeout_ms = 20000};
	struct end a = {.to_write = 20 << 20}, b = {0};
	struct net net;
	uint64_t start;

	(void)state;
	open_with(&net, &a, &b, &o);
	end_write(&a);
	net_run(&net, 5 * SECOND_MS);
	start = net.now_ms;
	while (!a.over && net_step(&net, start + 60 * SECOND_MS))
		;
	assert_true(a.over);
	assert_int_equal(a.err, -ETIMEDOUT);
	net_close(&net);
}

static void user_timeout_leaves_a_slow_transfer_alone(void **state)
{
	const struct stack_tcp_options o = {.user_timeout_ms = 3000};
	struct end a = {0}, b = {.is_greedy = true};
	struct net net;

	(void)state;
	open_with(&net, &a, &b, &o);
	net.delay_ms = 400;
	a.to_write = 3 << 20;
	end_write(&a);
	net_run(&net, 300 * SECOND_MS);
	assert_false(a.over);
	assert_int_equal(b.read, 3 << 20);
	net_close(&net);
}

static void user_timeout_ends_keepalive(void **state)
{
	const struct stack_tcp_options o = {.keepalive = true,
					    .keep_idle_ms = 2000,
					    .keep_interval_ms = 1000,
					    .keep_count = 100,
					    .user_timeout_ms = 6000};
	struct end a = {0}, b = {0};
	struct net net;

	(void)state;
	open_with(&net, &a, &b, &o);
	assert_in_range(ends_after_ms(&net, &a), 5000, 7100);
	net_close(&net);
}

static void info_tells_the_round_trip(void **state)
{
	struct end a = {0}, b = {.is_greedy = true};
	struct stack_tcp_info i;
	struct net net;

	(void)state;
	net_open(&net);
	net.delay_ms = 35;
	net_connect(&net, &a, &b);
	assert_int_equal(stack_tcp_info(a.t, &i), 0);
	assert_in_range(i.rtt_us, 70000, 71000);
	a.to_write = 200000;
	end_write(&a);
	net_run(&net, 5000);
	assert_int_equal(stack_tcp_info(a.t, &i), 0);
	assert_int_equal(i.state, STACK_ESTABLISHED);
	assert_in_range(i.rtt_us, 70000, 95000);
	assert_in_range(i.min_rtt_us, 70000, 71000);
	assert_int_equal(i.mtu, 1280);
	assert_int_equal(i.send_mss, 1240);
	assert_int_equal(i.advertised_mss, 1240);
	assert_int_equal(i.bytes_acked, 200000);
	assert_int_equal(i.unacked, 0);
	assert_true(i.cwnd >= 10 && i.has_sack && i.has_scale);
	assert_int_equal(stack_tcp_info(b.t, &i), 0);
	assert_int_equal(i.bytes_received, 200000);
	net_close(&net);
}

static void info_tells_of_losses_and_states(void **state)
{
	struct end a = {0}, b = {.is_greedy = true};
	struct stack_tcp_info i;
	struct net net;

	(void)state;
	net_open(&net);
	net_connect(&net, &a, &b);
	net.is_cut = true;
	a.to_write = 5000;
	end_write(&a);
	net_run(&net, 3000);
	assert_int_equal(stack_tcp_info(a.t, &i), 0);
	assert_in_range(i.unacked, 1, 5);
	assert_true(i.retransmits > 0 && i.backoff > 0 && i.lost > 0);
	net.is_cut = false;
	net_run(&net, 10000);
	assert_int_equal(stack_tcp_info(a.t, &i), 0);
	assert_int_equal(i.backoff, 0);
	assert_true(i.total_retransmits > 0);
	stack_tcp_shutdown_write(a.t);
	net_run(&net, 1000);
	assert_int_equal(stack_tcp_info(a.t, &i), 0);
	assert_int_equal(i.state, STACK_FIN_WAIT_2);
	assert_int_equal(stack_tcp_info(b.t, &i), 0);
	assert_int_equal(i.state, STACK_CLOSE_WAIT);
	net_close(&net);
}

static void segments_are_as_small_as_asked(void **state)
{
	const struct stack_tcp_options o = {.mss = 600, .ttl = 33,
					    .traffic_class = 0xbb};
	struct end a = {0}, b = {.is_greedy = true};
	struct stack_tcp_info i;
	struct net net;

	(void)state;
	open_with(&net, &a, &b, &o);
	net.delay_ms = 50; /* the last packet out is a's */
	a.to_write = 30000;
	end_write(&a);
	assert_int_equal(net.last_len, 40 + 600);
	assert_int_equal(net.last[1], 0xb8); /* its ECN bits are TCP's */
	assert_int_equal(net.last[8], 33);
	net_run(&net, 2000);
	assert_int_equal(b.read, 30000);
	assert_int_equal(stack_tcp_info(a.t, &i), 0);
	assert_int_equal(i.send_mss, 600);
	net_close(&net);
}

static void nonsense_is_the_default(void **state)
{
	const struct stack_tcp_options o = {.keepalive = true,
					    .keep_idle_ms = UINT32_MAX,
					    .keep_interval_ms = UINT32_MAX,
					    .keep_count = UINT32_MAX,
					    .mss = 1};
	struct end a = {.to_write = 1000}, b = {.is_greedy = true};
	struct net net;

	(void)state;
	open_with(&net, &a, &b, &o);
	end_write(&a);
	net_run(&net, 1000);
	assert_int_equal(b.read, 1000);
	assert_in_range(ends_after_ms(&net, &a), 7200 * SECOND_MS,
			7900 * SECOND_MS);
	net_close(&net);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keepalive_counts_as_asked),
		cmocka_unit_test(who_accepted_may_keep_alive),
		cmocka_unit_test(without_keepalive_silence_is_fine),
		cmocka_unit_test(keepalive_goes_on_when_half_closed),
		cmocka_unit_test(no_probe_while_data_waits),
		cmocka_unit_test(user_timeout_ends_what_is_not_acknowledged),
		cmocka_unit_test(user_timeout_ends_a_shut_window),
		cmocka_unit_test(user_timeout_leaves_a_slow_transfer_alone),
		cmocka_unit_test(user_timeout_ends_keepalive),
		cmocka_unit_test(info_tells_the_round_trip),
		cmocka_unit_test(info_tells_of_losses_and_states),
		cmocka_unit_test(segments_are_as_small_as_asked),
		cmocka_unit_test(nonsense_is_the_default),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
