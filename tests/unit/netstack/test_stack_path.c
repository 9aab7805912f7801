/* SPDX-License-Identifier: BSD-3-Clause
 * test_stack_path.c - what waits is sent again when the way is another one
 */
#include "unit/netstack/two_stacks.h"

enum { SOON_MS = 50 };

static bool everybody(void *ctx, const struct ts_ip *remote)
{
	(void)ctx;
	(void)remote;
	return true;
}

static bool nobody(void *ctx, const struct ts_ip *remote)
{
	(void)ctx;
	(void)remote;
	return false;
}

static void try_again(struct net *net, int i)
{
	stack_try_again(net->node[i].s, everybody, NULL, net->now_ms);
}

/* Half of what is written is on its way when nothing passes any more. */
static void start_and_cut(struct net *net, struct end *a, struct end *b)
{
	net_open(net);
	b->is_greedy = true;
	net_connect(net, a, b);
	a->to_write = 20000;
	end_write(a);
	net_run(net, 100);
	assert_int_equal(b->read, 20000);
	net->is_cut = true;
	a->to_write += 20000;
	end_write(a);
	net_run(net, 5000);
}

static void a_backed_off_segment_goes_at_once(void **state)
{
	struct end a = {0}, b = {0};
	struct net net;
	uint64_t read;

	(void)state;
	start_and_cut(&net, &a, &b);
	net.is_cut = false;
	read = b.read;
	stack_try_again(net.node[0].s, nobody, NULL, net.now_ms);
	net_run(&net, SOON_MS);
	assert_int_equal(b.read, read); /* another peer's */
	try_again(&net, 0);
	net_run(&net, SOON_MS);
	assert_int_equal(b.read, 40000);
	assert_int_equal(b.read_sum, a.write_sum);
	net_close(&net);
}

/* And the next time-outs are short again, though this try is lost too. */
static void the_back_off_begins_anew(void **state)
{
	struct end a = {0}, b = {0};
	struct net net;

	(void)state;
	start_and_cut(&net, &a, &b);
	try_again(&net, 0);
	net_run(&net, SOON_MS);
	net.is_cut = false;
	net_run(&net, 300);
	assert_int_equal(b.read, 40000);
	net_close(&net);
}

/* Whoever only receives shows the peer where it is now. */
static void the_receiver_acknowledges_once_more(void **state)
{
	struct end a = {0}, b = {0};
	struct net net;
	uint64_t sent;

	(void)state;
	net_open(&net);
	b.is_greedy = true;
	net_connect(&net, &a, &b);
	a.to_write = 1000;
	end_write(&a);
	net_run(&net, 1000);
	sent = net.node[1].sent;
	try_again(&net, 1);
	assert_int_equal(net.node[1].sent, sent + 1);
	net_run(&net, 20000); /* not after so long a silence */
	try_again(&net, 1);
	assert_int_equal(net.node[1].sent, sent + 1);
	net_close(&net);
}

/* Nothing of the call passes. */
static void dial_and_cut(struct net *net, struct end *a, struct end *b)
{
	net_open(net);
	net->node[1].policy = ACCEPT;
	net->node[1].accept_end = b;
	net->is_cut = true;
	end_dial(net, a, false, 80);
}

static void a_syn_goes_at_once_but_not_twice(void **state)
{
	struct end a = {0}, b = {0};
	struct net net;
	uint64_t sent;

	(void)state;
	dial_and_cut(&net, &a, &b);
	net_run(&net, 100);
	sent = net.node[0].sent;
	try_again(&net, 0); /* it may still be answered */
	net_run(&net, SOON_MS);
	assert_int_equal(net.node[0].sent, sent);
	net_run(&net, 300);
	net.is_cut = false;
	try_again(&net, 0);
	net_run(&net, SOON_MS);
	assert_true(a.up && b.up);
	net_close(&net);
}

/* However often the path changes, an attempt is not given up sooner. */
static void new_ways_cost_no_tries(void **state)
{
	struct end a = {0}, b = {0};
	struct net net;

	(void)state;
	dial_and_cut(&net, &a, &b);
	for (int i = 0; i < 40; i++) {
		net_run(&net, 400);
		try_again(&net, 0);
	}
	assert_false(a.over);
	net.is_cut = false;
	net_run(&net, 3000);
	assert_true(a.up);
	net_close(&net);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_backed_off_segment_goes_at_once),
		cmocka_unit_test(the_back_off_begins_anew),
		cmocka_unit_test(the_receiver_acknowledges_once_more),
		cmocka_unit_test(a_syn_goes_at_once_but_not_twice),
		cmocka_unit_test(new_ways_cost_no_tries),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
