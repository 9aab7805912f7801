/* SPDX-License-Identifier: BSD-3-Clause
 * test_stack_tcp.c - connections between two stacks, from open to gone
 */
#include <errno.h>

#include "unit/netstack/two_stacks.h"

#define MEGABYTE (1024 * 1024ull)

static void handshake_and_close(void **state)
{
	struct net net;
	struct end a = {.is_greedy = true, .close_on_eof = true}, b = a;

	(void)state;
	net_open(&net);
	net_connect(&net, &a, &b);
	assert_int_equal(a.ups, 1);
	assert_int_equal(b.ups, 1);
	stack_tcp_close(a.t);
	net_run(&net, 1000);
	assert_true(b.eof);
	assert_no_connections(&net);
	net_close(&net);
}

static void refused_dial(void **state)
{
	struct net net;
	struct end a = {0};

	(void)state;
	net_open(&net);
	net.node[1].policy = REFUSE;
	end_dial(&net, &a, false, 80);
	net_run(&net, 100);
	assert_true(a.over);
	assert_int_equal(a.err, -ECONNREFUSED);
	assert_int_equal(net.node[1].syns, 1);
	assert_no_connections(&net);
	net_close(&net);
}

static void dropped_dial_times_out_after_127_s(void **state)
{
	struct net net;
	struct end a = {0};
	uint64_t start;

	(void)state;
	net_open(&net);
	net.node[1].policy = DROP;
	start = net.now_ms;
	end_dial(&net, &a, false, 80);
	while (!a.over && net_step(&net, start + 300000))
		;
	assert_true(a.over);
	assert_int_equal(a.err, -ETIMEDOUT);
	assert_in_range(net.now_ms - start, 126000, 129000);
	assert_in_range(net.node[1].syns, 7, 8);
	net_close(&net);
}

static void held_syn_absorbs_its_duplicates(void **state)
{
	struct net net;
	struct end a = {0}, b = {0};

	(void)state;
	net_open(&net);
	end_dial(&net, &a, false, 80);
	net_run(&net, 8000); /* retransmitted at 1, 3 and 7 s */
	assert_int_equal(net.node[0].sent, 4);
	assert_int_equal(net.node[1].syns, 1);
	assert_false(a.up);
	end_accept(&net.node[1], &b, net.node[1].syn);
	net_run(&net, 100);
	assert_true(a.up && b.up);
	stack_tcp_abort(a.t);
	net_run(&net, 100);
	assert_int_equal(b.err, -ECONNRESET);
	net_close(&net);
}

static void held_syn_goes_after_30_s(void **state)
{
	struct net net;
	struct end a = {0};

	(void)state;
	net_open(&net);
	end_dial(&net, &a, false, 80);
	net_run(&net, 100);
	net.is_cut = true;
	net_run(&net, 31000);
	assert_int_equal(net.node[1].syns_gone, 1);
	net_close(&net);
}

static void held_syn_goes_when_the_dialler_resets(void **state)
{
	struct net net;
	struct end a = {0};

	(void)state;
	net_open(&net);
	end_dial(&net, &a, false, 80);
	net_run(&net, 100);
	stack_tcp_abort(a.t);
	net_run(&net, 100);
	assert_int_equal(net.node[1].syns_gone, 1);
	net_close(&net);
}

static void pending_syns_are_capped(void **state)
{
	struct net net;
	struct end *ends = calloc(1100, sizeof(*ends));

	(void)state;
	assert_non_null(ends);
	net_open(&net);
	for (int i = 0; i < 1100; i++)
		end_dial(&net, &ends[i], false, 80);
	net_run(&net, 100);
	assert_int_equal(net.node[1].syns, 1024);
	net_close(&net);
	free(ends);
}

static void transfer(struct net *net, uint64_t bytes, uint64_t limit_ms)
{
	struct end a = {.is_greedy = true, .shut_when_written = true,
			.to_write = bytes};
	struct end b = a;

	net->node[1].policy = ACCEPT;
	net->node[1].accept_end = &b;
	end_dial(net, &a, false, 80);
	while (!(a.over && b.over) && net_step(net, net->now_ms + limit_ms))
		;
	assert_int_equal(a.read, bytes);
	assert_int_equal(b.read, bytes);
	assert_true(a.eof && b.eof && a.over && b.over);
	assert_int_equal(a.err, 0);
	assert_int_equal(b.err, 0);
	assert_no_connections(net);
}

static void bulk_both_ways_arrives_whole(void **state)
{
	struct net net;

	(void)state;
	net_open(&net);
	transfer(&net, 20 * MEGABYTE, 30000);
	net_close(&net);
}

static void loss_reordering_and_doubles_do_no_harm(void **state)
{
	struct net net;

	(void)state;
	net_open(&net);
	net.loss_permille = 20;
	net.double_permille = 10;
	net.reorder_permille = 50;
	transfer(&net, 2 * MEGABYTE, 600000);
	net_close(&net);
}

static void rare_loss_with_much_in_flight(void **state)
{
	struct net net;

	(void)state;
	net_open(&net);
	net.delay_ms = 10;
	net.loss_permille = 1;
	net.reorder_permille = 1;
	net.double_permille = 1;
	transfer(&net, 20 * MEGABYTE, 600000);
	net_close(&net);
}

/* at any point of a fast transfer, by either side */
static void abort_with_much_in_flight(void **state)
{
	(void)state;
	for (uint64_t ms = 45; ms < 400; ms += 13) {
		struct net net;
		struct end a = {.to_write = 20 * MEGABYTE};
		struct end b = {.is_greedy = true};
		struct end *who = ms % 2 ? &a : &b;

		net_open(&net);
		net.delay_ms = 10;
		net.node[1].policy = ACCEPT;
		net.node[1].accept_end = &b;
		end_dial(&net, &a, false, 80);
		net_run(&net, ms);
		stack_tcp_abort(who->t);
		net_run(&net, 1000);
		assert_int_equal(who == &a ? b.err : a.err, -ECONNRESET);
		assert_no_connections(&net);
		net_close(&net);
	}
}

static void half_close_leaves_the_other_way_open(void **state)
{
	struct net net;
	struct end a = {.is_greedy = true}, b = {.is_greedy = true};

	(void)state;
	net_open(&net);
	net_connect(&net, &a, &b);
	stack_tcp_shutdown_write(a.t);
	net_run(&net, 1000);
	assert_true(b.eof);
	assert_false(a.eof || a.over || b.over);
	b.to_write = MEGABYTE;
	end_write(&b);
	net_run(&net, 60000); /* longer than any FIN-WAIT time-out */
	assert_int_equal(a.read, MEGABYTE);
	stack_tcp_shutdown_write(b.t);
	net_run(&net, 1000);
	assert_true(a.eof);
	assert_true(a.over && b.over);
	assert_int_equal(a.err, 0);
	assert_int_equal(b.err, 0);
	assert_no_connections(&net);
	net_close(&net);
}

static void simultaneous_close(void **state)
{
	struct net net;
	struct end a = {.is_greedy = true}, b = {.is_greedy = true};

	(void)state;
	net_open(&net);
	net_connect(&net, &a, &b);
	stack_tcp_shutdown_write(a.t);
	stack_tcp_shutdown_write(b.t);
	net_run(&net, 1000);
	assert_true(a.over && b.over && a.eof && b.eof);
	assert_int_equal(a.err, 0);
	assert_int_equal(b.err, 0);
	assert_no_connections(&net);
	net_close(&net);
}

static void closing_with_unread_input_resets(void **state)
{
	struct net net;
	struct end a = {.to_write = 1000}, b = {0};

	(void)state;
	net_open(&net);
	net_connect(&net, &a, &b);
	net_run(&net, 100);
	stack_tcp_close(b.t);
	net_run(&net, 100);
	assert_int_equal(a.err, -ECONNRESET);
	assert_no_connections(&net);
	net_close(&net);
}

static void close_sends_what_was_queued(void **state)
{
	struct net net;
	struct end a = {.to_write = 100000, .close_when_written = true};
	struct end b = {.is_greedy = true, .close_on_eof = true};

	(void)state;
	net_open(&net);
	net_connect(&net, &a, &b);
	net_run(&net, 1000);
	assert_int_equal(b.read, 100000);
	assert_true(b.eof);
	assert_no_connections(&net);
	net_close(&net);
}

static void data_after_close_is_reset(void **state)
{
	struct net net;
	struct end a = {0}, b = {0};

	(void)state;
	net_open(&net);
	net_connect(&net, &a, &b);
	stack_tcp_close(a.t);
	net_run(&net, 100);
	b.to_write = 10;
	end_write(&b);
	net_run(&net, 100);
	assert_true(b.over);
	assert_int_equal(b.err, -ECONNRESET);
	net_close(&net);
}

static void eof_comes_after_all_data_and_gone_after_eof(void **state)
{
	struct net net;
	struct end a = {.to_write = 5000, .shut_when_written = true};
	struct end b = {0}; /* reads when told to */

	(void)state;
	net_open(&net);
	net_connect(&net, &a, &b);
	stack_tcp_shutdown_write(b.t);
	net_run(&net, 1000);
	assert_false(b.eof || b.over);
	end_read(&b, 4999);
	assert_false(b.eof);
	end_read(&b, SIZE_MAX);
	assert_true(b.eof);
	assert_int_equal(b.read, 5000);
	net_run(&net, 10);
	assert_true(b.over);
	assert_int_equal(b.err, 0);
	net_close(&net);
}

static void window_stalls_and_reopens(void **state)
{
	struct net net;
	struct end a = {.to_write = 2 * MEGABYTE}, b = {0};
	uint64_t written;

	(void)state;
	net_open(&net);
	net_connect(&net, &a, &b);
	net_run(&net, 60000); /* many zero-window probes */
	written = a.written;
	assert_true(written < MEGABYTE);
	assert_false(a.over);
	b.is_greedy = true;
	end_read(&b, SIZE_MAX);
	net_run(&net, 2000);
	assert_int_equal(a.written, 2 * MEGABYTE);
	assert_int_equal(b.read, 2 * MEGABYTE);
	net_close(&net);
}

static bool lose_pure_acks(struct net *net, const uint8_t *ip, size_t len)
{
	return !(len == 40 && ip[15] == 2 && net->now_ms % 2 == 0);
}

static void lost_window_update_is_found_by_probes(void **state)
{
	struct net net;
	struct end a = {.to_write = MEGABYTE}, b = {0};

	(void)state;
	net_open(&net);
	net_connect(&net, &a, &b);
	net_run(&net, 5000);
	net.may_pass = lose_pure_acks;
	net.now_ms &= ~1ull;
	b.is_greedy = true;
	end_read(&b, SIZE_MAX);
	net.may_pass = NULL;
	net_run(&net, 30000);
	assert_int_equal(b.read, MEGABYTE);
	net_close(&net);
}

static void window_grows_for_a_reader(void **state)
{
	struct net net;
	struct end a = {.to_write = 40 * MEGABYTE}, b = {.is_greedy = true};
	uint64_t start;

	(void)state;
	net_open(&net);
	net.delay_ms = 50; /* 100 ms: 256 KB a round trip would take 16 s */
	net_connect(&net, &a, &b);
	start = net.now_ms;
	while (b.read < a.to_write && net_step(&net, start + 60000))
		;
	assert_int_equal(b.read, a.to_write);
	assert_true(net.now_ms - start < 4000);
	net_close(&net);
}

static void cut_connection_times_out(void **state)
{
	struct net net;
	struct end a = {0}, b = {0};

	(void)state;
	net_open(&net);
	net_connect(&net, &a, &b);
	net.is_cut = true;
	a.to_write = 1000;
	end_write(&a);
	net_run(&net, 1000000);
	assert_true(a.over);
	assert_int_equal(a.err, -ETIMEDOUT);
	assert_false(b.over); /* it waits for nothing */
	net_close(&net);
}

static void outage_of_a_minute_is_survived(void **state)
{
	struct net net;
	struct end a = {0}, b = {.is_greedy = true};

	(void)state;
	net_open(&net);
	net_connect(&net, &a, &b);
	net.is_cut = true;
	a.to_write = 100000;
	end_write(&a);
	net_run(&net, 60000);
	net.is_cut = false;
	net_run(&net, 120000);
	assert_int_equal(b.read, 100000);
	net_close(&net);
}

static void keepalive_finds_a_dead_peer(void **state)
{
	struct net net;
	struct end a = {0}, b = {0};

	(void)state;
	net_open(&net);
	net_connect(&net, &a, &b);
	stack_tcp_set_options(
		a.t, &(struct stack_tcp_options){.keepalive = true});
	net_run(&net, 7300 * 1000);
	assert_false(a.over); /* answered */
	net.is_cut = true;
	net_run(&net, 9000 * 1000);
	assert_int_equal(a.err, -ETIMEDOUT);
	net_close(&net);
}

static void idle_connection_needs_no_timer(void **state)
{
	struct net net;
	struct end a = {.to_write = 3000}, b = {.is_greedy = true};

	(void)state;
	net_open(&net);
	net_connect(&net, &a, &b);
	net_run(&net, 5000);
	assert_int_equal(b.read, 3000);
	assert_int_equal(stack_deadline_ms(net.node[0].s), UINT64_MAX);
	assert_int_equal(stack_deadline_ms(net.node[1].s), UINT64_MAX);
	net_close(&net);
}

static void ping_pong_does_not_wait_for_delayed_acks(void **state)
{
	struct net net;
	struct end a = {0}, b = {.is_greedy = true, .echo = true};
	uint64_t start;

	(void)state;
	net_open(&net);
	net_connect(&net, &a, &b);
	a.is_greedy = true;
	start = net.now_ms;
	for (uint64_t i = 1; i <= 100; i++) {
		a.to_write = i;
		end_write(&a);
		while (a.read < i && net_step(&net, start + 10000))
			;
		assert_int_equal(a.read, i);
	}
	assert_in_range(net.now_ms - start, 200, 220); /* 2 ms each */
	net_close(&net);
}

/* write, write, read: the second write must not wait for an ACK */
static void two_small_writes_leave_at_once(void **state)
{
	struct net net;
	struct end a = {.to_write = 1}, b = {.is_greedy = true};
	uint64_t start;

	(void)state;
	net_open(&net);
	net_connect(&net, &a, &b);
	start = net.now_ms;
	a.to_write = 2;
	end_write(&a);
	a.to_write = 3;
	end_write(&a);
	while (b.read < 3 && net_step(&net, start + 1000))
		;
	assert_true(net.now_ms - start <= 2);
	net_close(&net);
}

static void tuple_in_time_wait_opens_anew(void **state)
{
	struct net net;
	struct ts_addr to;

	(void)state;
	net_open(&net);
	to = net_addr(&net, 1, false, 80);
	net.node[1].policy = ACCEPT;
	for (int i = 0; i < 6; i++) {
		struct end a = {.is_greedy = true, .close_on_eof = true};
		struct end b = a;
		uint64_t start = net.now_ms;
		int err;

		/* either side closes first: each keeps TIME-WAIT in turn */
		b.to_write = 100;
		b.close_when_written = i % 2;
		a.to_write = 100;
		a.close_when_written = i % 2 == 0;
		net.node[1].accept_end = &b;
		a.t = stack_tcp_dial(net.node[0].s, &to, 4000, &END_OPS, &a,
				     net.now_ms, &err);
		assert_non_null(a.t);
		while ((net_active(&net, 0) || net_active(&net, 1)) &&
		       net_step(&net, start + 5000))
			;
		assert_true(a.up);
		assert_true(b.up);
		assert_no_connections(&net);
		assert_true(net.now_ms - start < 100);
	}
	net_close(&net);
}

static void used_tuple_cannot_be_dialled_again(void **state)
{
	struct net net;
	struct end a = {0}, b = {0};
	struct ts_addr to;
	int err;

	(void)state;
	net_open(&net);
	net_connect(&net, &a, &b);
	to = net_addr(&net, 1, false, 80);
	assert_null(stack_tcp_dial(net.node[0].s, &to,
				   stack_tcp_local(a.t).port, &END_OPS, &a,
				   net.now_ms, &err));
	assert_int_equal(err, -EADDRINUSE);
	net_close(&net);
}

static void no_address_of_the_family(void **state)
{
	struct net net;
	struct ts_addr to;
	int err;

	(void)state;
	net_open(&net);
	stack_set_addrs(net.node[0].s, &net.node[0].v4, &TS_IP_ZERO);
	to = net_addr(&net, 1, true, 80);
	assert_null(stack_tcp_dial(net.node[0].s, &to, 0, &END_OPS, NULL,
				   net.now_ms, &err));
	assert_int_equal(err, -ENETUNREACH);
	net_close(&net);
}

static void changed_address_ends_connections(void **state)
{
	struct net net;
	struct end a = {0}, b = {0};
	struct ts_ip other = ip_of("100.64.9.9");

	(void)state;
	net_open(&net);
	net_connect(&net, &a, &b);
	stack_set_addrs(net.node[0].s, &other, &net.node[0].v6);
	net_run(&net, 10);
	assert_true(a.over);
	assert_int_equal(net_active(&net, 0), 0);
	net_close(&net);
}

static void ipv6_connection(void **state)
{
	struct net net;
	struct end a = {.to_write = MEGABYTE, .shut_when_written = true};
	struct end b = {.is_greedy = true};

	(void)state;
	net_open(&net);
	net.node[1].policy = ACCEPT;
	net.node[1].accept_end = &b;
	end_dial(&net, &a, true, 443);
	net_run(&net, 2000);
	assert_int_equal(b.read, MEGABYTE);
	assert_true(b.eof);
	assert_int_equal(stack_tcp_remote(b.t).port,
			 stack_tcp_local(a.t).port);
	net_close(&net);
}

static void mss_option(const struct net *net, size_t ip_head, unsigned mss)
{
	const uint8_t *tcp = net->last + ip_head;

	assert_int_equal(tcp[20], 2);
	assert_int_equal(tcp[21], 4);
	assert_int_equal(tcp[22] << 8 | tcp[23], mss);
}

static void mss_follows_the_mtu(void **state)
{
	struct net net;
	struct end a = {0}, b = {0};

	(void)state;
	net_open(&net);
	end_dial(&net, &a, false, 80);
	mss_option(&net, 20, 1240);
	end_dial(&net, &b, true, 80);
	mss_option(&net, 40, 1220);
	net_close(&net);
}

static void found_by_its_ends(void **state)
{
	struct net net;
	struct end a = {0}, b = {0};
	struct ts_addr local, remote;

	(void)state;
	net_open(&net);
	net_connect(&net, &a, &b);
	local = stack_tcp_local(a.t);
	remote = stack_tcp_remote(a.t);
	assert_ptr_equal(stack_tcp_find(net.node[0].s, &local, &remote), a.t);
	assert_null(stack_tcp_find(net.node[1].s, &remote, &local));
	stack_tcp_fail(a.t, -ENETUNREACH);
	assert_null(stack_tcp_find(net.node[0].s, &local, &remote));
	assert_false(a.over); /* not from inside our own call */
	net_run(&net, 10);
	assert_int_equal(a.err, -ENETUNREACH);
	net_close(&net);
}

static void pending_counts_down_to_zero(void **state)
{
	struct net net;
	struct end a = {0}, b = {.is_greedy = true};

	(void)state;
	net_open(&net);
	net_connect(&net, &a, &b);
	assert_int_equal(stack_tcp_pending(a.t), 0);
	a.to_write = 5000;
	end_write(&a);
	assert_int_equal(stack_tcp_pending(a.t), 5000);
	net_run(&net, 100);
	assert_int_equal(stack_tcp_pending(a.t), 0);
	net_close(&net);
}

static void half_accepted_connection_goes_in_time(void **state)
{
	struct net net;
	struct end a = {0}, b = {0};

	(void)state;
	net_open(&net);
	end_dial(&net, &a, false, 80);
	net_run(&net, 10);
	net.is_cut = true;
	end_accept(&net.node[1], &b, net.node[1].syn);
	net_run(&net, 60000);
	assert_true(b.over);
	assert_int_equal(b.err, -ETIMEDOUT);
	assert_false(b.up);
	net_close(&net);
}

static void orphan_with_a_dead_peer_goes_in_time(void **state)
{
	struct net net;
	struct end a = {.to_write = 1000, .close_when_written = true}, b = {0};

	(void)state;
	net_open(&net);
	net_connect(&net, &b, &a);
	net.is_cut = true;
	net_run(&net, 400000);
	assert_int_equal(net_active(&net, 1), 0);
	net_close(&net);
}

/* The owner takes its time, and nobody tells the stack. */
static void waiting_for_an_accept_is_no_round_trip(void **state)
{
	struct stack_tcp_info info;
	struct end a = {0}, b = {0};
	struct net net;

	(void)state;
	net_open(&net);
	end_dial(&net, &a, false, 80);
	net_run(&net, 5);
	net.now_ms += 500;
	end_accept(&net.node[1], &b, net.node[1].syn);
	net_run(&net, 100);
	assert_true(b.up);
	assert_int_equal(stack_tcp_info(b.t, &info), 0);
	/* The handshake's ACK waits a millisecond for the first bytes. */
	assert_in_range(info.rtt_us, 2 * net.delay_ms * 1000,
			(2 * net.delay_ms + 1) * 1000);
	net_close(&net);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(handshake_and_close),
		cmocka_unit_test(refused_dial),
		cmocka_unit_test(dropped_dial_times_out_after_127_s),
		cmocka_unit_test(held_syn_absorbs_its_duplicates),
		cmocka_unit_test(held_syn_goes_after_30_s),
		cmocka_unit_test(held_syn_goes_when_the_dialler_resets),
		cmocka_unit_test(pending_syns_are_capped),
		cmocka_unit_test(bulk_both_ways_arrives_whole),
		cmocka_unit_test(loss_reordering_and_doubles_do_no_harm),
		cmocka_unit_test(rare_loss_with_much_in_flight),
		cmocka_unit_test(abort_with_much_in_flight),
		cmocka_unit_test(half_close_leaves_the_other_way_open),
		cmocka_unit_test(simultaneous_close),
		cmocka_unit_test(closing_with_unread_input_resets),
		cmocka_unit_test(close_sends_what_was_queued),
		cmocka_unit_test(data_after_close_is_reset),
		cmocka_unit_test(eof_comes_after_all_data_and_gone_after_eof),
		cmocka_unit_test(window_stalls_and_reopens),
		cmocka_unit_test(lost_window_update_is_found_by_probes),
		cmocka_unit_test(window_grows_for_a_reader),
		cmocka_unit_test(cut_connection_times_out),
		cmocka_unit_test(outage_of_a_minute_is_survived),
		cmocka_unit_test(keepalive_finds_a_dead_peer),
		cmocka_unit_test(idle_connection_needs_no_timer),
		cmocka_unit_test(ping_pong_does_not_wait_for_delayed_acks),
		cmocka_unit_test(two_small_writes_leave_at_once),
		cmocka_unit_test(tuple_in_time_wait_opens_anew),
		cmocka_unit_test(used_tuple_cannot_be_dialled_again),
		cmocka_unit_test(no_address_of_the_family),
		cmocka_unit_test(changed_address_ends_connections),
		cmocka_unit_test(ipv6_connection),
		cmocka_unit_test(mss_follows_the_mtu),
		cmocka_unit_test(found_by_its_ends),
		cmocka_unit_test(pending_counts_down_to_zero),
		cmocka_unit_test(half_accepted_connection_goes_in_time),
		cmocka_unit_test(orphan_with_a_dead_peer_goes_in_time),
		cmocka_unit_test(waiting_for_an_accept_is_no_round_trip),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
