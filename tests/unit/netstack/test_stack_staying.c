/* SPDX-License-Identifier: BSD-3-Clause
 * Packets that stay where they came for a while: what is read late is whole,
 * and nothing of them is looked at later. They are freed: sanitizers see it.
 */
#include "two_stacks.h"

enum { BYTES = 2000000 };

static void set_out(struct net *net, struct end *a, struct end *b,
		    unsigned stay_for)
{
	net_open(net);
	net->stay_for = stay_for;
	net_connect(net, a, b);
}

static void what_is_read_at_once_is_whole(void **state)
{
	struct end a = {.to_write = BYTES}, b = {.is_greedy = true};
	struct net net;

	(void)state;
	set_out(&net, &a, &b, 16);
	net_run(&net, 20000);
	assert_int_equal(b.read, BYTES);
	net_close(&net);
}

static void what_is_read_late_is_whole(void **state)
{
	struct end a = {.to_write = BYTES}, b = {0};
	struct net net;

	(void)state;
	for (unsigned stay_for = 1; stay_for < 60; stay_for += 7) {
		a = (struct end){.to_write = BYTES};
		b = (struct end){0};
		set_out(&net, &a, &b, stay_for);
		while (b.read < BYTES) {
			net_run(&net, 1 + b.read % 3);
			end_read(&b, 1 + b.read % 90000);
		}
		net_close(&net);
	}
}

static void what_overtakes_is_whole(void **state)
{
	struct end a = {.to_write = BYTES}, b = {.is_greedy = true};
	struct net net;

	(void)state;
	net_open(&net);
	net.loss_permille = 20;
	net.double_permille = 10;
	net.reorder_permille = 50;
	net.stay_for = 11;
	net_connect(&net, &a, &b);
	net_run(&net, 60000);
	assert_int_equal(b.read, BYTES);
	net_close(&net);
}

/* The largest packets, and what was put together of fragments. */
static void large_ones_are_whole(void **state)
{
	struct end a = {.to_write = BYTES}, b = {0};
	struct net net;

	(void)state;
	net_open(&net);
	net.mtu = (struct stack_mtu){TS_INNER_MTU_MAX, TS_INNER_MTU_MAX};
	net.stay_for = 5;
	net_connect(&net, &a, &b);
	net_run(&net, 3);
	net.mtu = (struct stack_mtu){TS_INNER_MTU, TS_INNER_MTU};
	stack_path_changed(net.node[0].s);
	while (b.read < BYTES) {
		net_run(&net, 5);
		end_read(&b, 50000);
	}
	net_close(&net);
}

/* Packets lie about, and nobody reads. */
static void fill(struct net *net, struct end *a, struct end *b)
{
	*a = (struct end){.to_write = BYTES};
	*b = (struct end){0};
	set_out(net, a, b, 1000);
	net_run(net, 100);
	assert_in_range(net->staying_count, 1, 999);
}

static void an_owner_may_go_before_the_packets(void **state)
{
	struct end a, b;
	struct net net;

	(void)state;
	fill(&net, &a, &b);
	stack_tcp_abort(b.t);
	net.stay_for = 1;
	net_run(&net, 1000);
	assert_no_connections(&net);
	net_close(&net);
}

static void the_stack_may_go_before_the_packets(void **state)
{
	struct end a, b;
	struct net net;

	(void)state;
	fill(&net, &a, &b);
	net_close(&net);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_read_at_once_is_whole),
		cmocka_unit_test(what_is_read_late_is_whole),
		cmocka_unit_test(what_overtakes_is_whole),
		cmocka_unit_test(large_ones_are_whole),
		cmocka_unit_test(an_owner_may_go_before_the_packets),
		cmocka_unit_test(the_stack_may_go_before_the_packets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
