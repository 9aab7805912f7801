/* SPDX-License-Identifier: BSD-3-Clause
 * test_stack_mtu.c - packets as large as the way carries
 */
#include "unit/netstack/two_stacks.h"

enum { LARGE = 8928, SMALL = 1280, HEADS = 40 };

static void set_way(struct net *net, size_t now, size_t carries)
{
	net->mtu = (struct stack_mtu){.now = now, .most = LARGE};
	net->carries = carries;
	for (int i = 0; i < 2; i++)
		stack_path_changed(net->node[i].s);
}

static void start(struct net *net, struct end *a, struct end *b, size_t now)
{
	net_open(net);
	b->is_greedy = true;
	set_way(net, now, now);
	net_connect(net, a, b);
}

/* How much more of the pattern comes over; the largest packet meanwhile. */
static size_t transfer(struct net *net, struct end *a, const struct end *b,
		       uint64_t bytes, uint64_t limit_ms)
{
	uint64_t until = net->now_ms + limit_ms;

	a->to_write += bytes;
	net->largest = 0;
	end_write(a);
	while (b->read < a->to_write && net_step(net, until))
		;
	assert_int_equal(b->read, a->to_write);
	return net->largest;
}

static uint16_t mss_of(const struct end *e)
{
	struct stack_tcp_info info;

	assert_int_equal(stack_tcp_info(e->t, &info), 0);
	return info.send_mss;
}

static void segments_fill_the_way(void **state)
{
	struct end a = {0}, b = {0};
	struct net net;

	(void)state;
	start(&net, &a, &b, LARGE);
	assert_int_equal(transfer(&net, &a, &b, 1000000, 10000), LARGE);
	assert_int_equal(mss_of(&a), LARGE - HEADS);
	net_close(&net);
}

/* The SYN says what we would take, not what the way carries now. */
static void a_wider_way_is_used_at_once(void **state)
{
	struct end a = {0}, b = {0};
	struct net net;

	(void)state;
	start(&net, &a, &b, SMALL);
	assert_int_equal(transfer(&net, &a, &b, 100000, 10000), SMALL);
	set_way(&net, LARGE, LARGE);
	assert_int_equal(transfer(&net, &a, &b, 100000, 10000), LARGE);
	net_close(&net);
}

static void a_peer_that_offers_less_gets_less(void **state)
{
	struct end a = {0}, b = {0};
	struct net net;

	(void)state;
	net_open(&net);
	b.is_greedy = true;
	net.mtu = (struct stack_mtu){.now = LARGE, .most = SMALL};
	net_connect(&net, &a, &b);
	set_way(&net, LARGE, LARGE);
	assert_int_equal(transfer(&net, &a, &b, 100000, 10000), SMALL);
	net_close(&net);
}

/* Much is cut and under way: it goes in fragments, and nothing is lost. */
static void a_narrower_way_keeps_what_was_cut(void **state)
{
	struct end a = {0}, b = {0};
	struct net net;

	(void)state;
	start(&net, &a, &b, LARGE);
	a.to_write = 3000000;
	end_write(&a);
	net_run(&net, 3);
	assert_in_range(b.read, 1, a.to_write - 500000);
	set_way(&net, SMALL, SMALL);
	assert_int_equal(transfer(&net, &a, &b, 0, 20000), SMALL);
	assert_int_equal(mss_of(&a), SMALL - HEADS);
	net_close(&net);
}

/* The way became narrower and nobody says so. */
static void after_time_outs_it_goes_on_small(void **state)
{
	struct end a = {0}, b = {0};
	struct net net;

	(void)state;
	start(&net, &a, &b, LARGE);
	transfer(&net, &a, &b, 100000, 10000);
	net.carries = SMALL;
	assert_int_equal(transfer(&net, &a, &b, 300000, 5000), LARGE);
	assert_int_equal(mss_of(&a), SMALL - HEADS);
	net.largest = 0;
	assert_int_equal(transfer(&net, &a, &b, 300000, 5000), SMALL);
	net_close(&net);
}

static void datagrams_are_whole_where_they_fit(void **state)
{
	static const uint8_t data[5000];
	struct ts_addr from, to;
	struct stack_udp *udp;
	struct net net;
	int err;

	(void)state;
	net_open(&net);
	from = net_addr(&net, 0, false, 7);
	to = net_addr(&net, 1, false, 7);
	udp = stack_udp_open(net.node[0].s, &from, NULL, NULL, &err);
	assert_non_null(udp);
	set_way(&net, LARGE, 0);
	assert_int_equal(stack_udp_send(udp, &to, data, sizeof(data)), 0);
	assert_int_equal(net.node[0].sent, 1);
	set_way(&net, SMALL, 0);
	assert_int_equal(stack_udp_send(udp, &to, data, sizeof(data)), 0);
	assert_int_equal(net.node[0].sent, 1 + 4);
	assert_int_equal(net.largest, 28 + sizeof(data));
	stack_udp_close(udp);
	net_close(&net);
}

/* Owners may say anything. */
static void sizes_have_bounds(void **state)
{
	struct end a = {0}, b = {0};
	struct net net;

	(void)state;
	start(&net, &a, &b, 100);
	net.carries = 0;
	assert_int_equal(transfer(&net, &a, &b, 100000, 10000), SMALL);
	set_way(&net, 65535, 0);
	assert_int_equal(transfer(&net, &a, &b, 100000, 10000), LARGE);
	net_close(&net);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(segments_fill_the_way),
		cmocka_unit_test(a_wider_way_is_used_at_once),
		cmocka_unit_test(a_peer_that_offers_less_gets_less),
		cmocka_unit_test(a_narrower_way_keeps_what_was_cut),
		cmocka_unit_test(after_time_outs_it_goes_on_small),
		cmocka_unit_test(datagrams_are_whole_where_they_fit),
		cmocka_unit_test(sizes_have_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
