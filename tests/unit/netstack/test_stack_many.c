/* SPDX-License-Identifier: BSD-3-Clause
 * test_stack_many.c - many connections, several stacks, and oneself
 */
#include "unit/netstack/two_stacks.h"

enum { AT_ONCE = 500, IDLE = 10000 };

static void five_hundred_connections_at_once(void **state)
{
	struct net net;
	struct end *a = calloc(AT_ONCE, sizeof(*a));
	struct end *b = calloc(AT_ONCE, sizeof(*b));

	(void)state;
	assert_non_null(a);
	assert_non_null(b);
	net_open(&net);
	net.loss_permille = 5;
	net.node[1].policy = ACCEPT;
	net.node[1].accept_ends = b;
	for (int i = 0; i < AT_ONCE; i++) {
		a[i].is_greedy = b[i].is_greedy = true;
		a[i].to_write = b[i].to_write = 20000;
		a[i].shut_when_written = b[i].shut_when_written = true;
		end_dial(&net, &a[i], i % 2, 80);
	}
	net_run(&net, 120000);
	for (int i = 0; i < AT_ONCE; i++) {
		assert_int_equal(a[i].read, 20000);
		assert_int_equal(b[i].read, 20000);
		assert_true(a[i].over && b[i].over);
		assert_int_equal(a[i].err, 0);
		assert_int_equal(b[i].err, 0);
	}
	assert_no_connections(&net);
	net_close(&net);
	free(a);
	free(b);
}

/* More connections one after the other than there are ports: TIME-WAIT must
 * neither use them up nor slow anything down. */
static void time_wait_does_not_use_up_the_ports(void **state)
{
	struct net net;
	int done = 0;

	(void)state;
	net_open(&net);
	net.delay_ms = 0;
	net.node[1].policy = ACCEPT;
	for (int i = 0; i < 60000; i++) {
		struct end a = {.is_greedy = true, .close_on_eof = true};
		struct end b = a;

		a.close_when_written = true;
		net.node[1].accept_end = &b;
		end_dial(&net, &a, false, 80);
		net_run(&net, 0);
		done += a.up && b.up && !a.over && !b.over;
		assert_no_connections(&net);
	}
	assert_int_equal(done, 60000);
	net_close(&net);
}

static void idle_connections_do_not_slow_the_rest(void **state)
{
	struct net net;
	struct end *a = calloc(IDLE + 1, sizeof(*a));
	struct end *b = calloc(IDLE + 1, sizeof(*b));
	uint64_t start;

	(void)state;
	assert_non_null(a);
	assert_non_null(b);
	net_open(&net);
	net.delay_ms = 0;
	net.node[1].policy = ACCEPT;
	net.node[1].accept_ends = b;
	for (int i = 0; i <= IDLE; i++) {
		end_dial(&net, &a[i], false, 80);
		net_run(&net, 1); /* the handshake's ACK may wait so long */
		assert_true(a[i].up && b[i].up);
	}
	assert_int_equal(net_active(&net, 0), IDLE + 1);
	net_run(&net, 1000);
	assert_int_equal(stack_deadline_ms(net.node[0].s), UINT64_MAX);
	net.delay_ms = 1;
	a[0].is_greedy = b[0].is_greedy = b[0].echo = true;
	start = net.now_ms;
	for (uint64_t i = 1; i <= 1000; i++) {
		a[0].to_write = i;
		end_write(&a[0]);
		while (a[0].read < i && net_step(&net, start + 10000))
			;
	}
	assert_int_equal(a[0].read, 1000);
	assert_in_range(net.now_ms - start, 2000, 2100);
	net_close(&net);
	free(a);
	free(b);
}

/* Two pairs of stacks with the same addresses, ports and times. */
static void equal_addresses_in_one_process_do_not_mix(void **state)
{
	struct net one, two;
	struct end a1 = {.to_write = 100000, .shut_when_written = true};
	struct end a2 = {.to_write = 50000, .shut_when_written = true};
	struct end b1 = {.is_greedy = true}, b2 = {.is_greedy = true};
	struct ts_addr to;
	int err;

	(void)state;
	net_open(&one);
	net_open(&two);
	to = net_addr(&one, 1, false, 80);
	one.node[1].policy = two.node[1].policy = ACCEPT;
	one.node[1].accept_end = &b1;
	two.node[1].accept_end = &b2;
	a1.t = stack_tcp_dial(one.node[0].s, &to, 5000, &END_OPS, &a1,
			      one.now_ms, &err);
	a2.t = stack_tcp_dial(two.node[0].s, &to, 5000, &END_OPS, &a2,
			      two.now_ms, &err);
	assert_non_null(a1.t);
	assert_non_null(a2.t);
	for (int i = 0; i < 1000; i++) {
		net_run(&one, 1);
		net_run(&two, 1);
	}
	assert_int_equal(b1.read, 100000);
	assert_int_equal(b2.read, 50000);
	assert_true(b1.eof && b2.eof);
	stack_tcp_abort(b1.t);
	net_run(&one, 100);
	net_run(&two, 100);
	assert_int_equal(a1.err, -ECONNRESET);
	assert_false(a2.over);
	net_close(&one);
	net_close(&two);
}

static void dial_to_oneself(void **state)
{
	struct net net;
	struct end a = {.to_write = 200000, .shut_when_written = true};
	struct end b = {.is_greedy = true, .close_on_eof = true};
	struct ts_addr to;
	int err;

	(void)state;
	net_open(&net);
	net.node[0].policy = ACCEPT;
	net.node[0].accept_end = &b;
	to = net_addr(&net, 0, false, 80);
	a.t = stack_tcp_dial(net.node[0].s, &to, 0, &END_OPS, &a, net.now_ms,
			     &err);
	assert_non_null(a.t);
	net_run(&net, 1000);
	assert_int_equal(b.read, 200000);
	assert_true(b.eof);
	assert_int_equal(net.node[0].sent, 0); /* nothing left the node */
	net_close(&net);
}

/* Owners that end connections from every callback. */
static void abort_in_callback(void *user)
{
	struct end *e = user;

	stack_tcp_abort(e->t);
	e->t = NULL;
	e->over = true;
}

static void close_in_callback(void *user)
{
	struct end *e = user;

	stack_tcp_close(e->t);
	e->t = NULL;
	e->over = true;
}

static void owners_may_end_it_in_any_callback(void **state)
{
	static const struct stack_tcp_ops ops[] = {
		{abort_in_callback, NULL, NULL, end_gone},
		{close_in_callback, NULL, NULL, end_gone},
		{NULL, abort_in_callback, NULL, end_gone},
		{NULL, close_in_callback, NULL, end_gone},
		{NULL, NULL, abort_in_callback, end_gone},
		{NULL, NULL, close_in_callback, end_gone},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
		struct net net;
		struct end a = {0};
		struct end b = {.is_greedy = true, .to_write = 500000};

		net_open(&net);
		net.node[1].policy = ACCEPT;
		net.node[1].accept_end = &b;
		end_dial(&net, &a, false, 80);
		stack_tcp_set_user(a.t, &ops[i], &a);
		if (i >= 4) {
			uint8_t big[200000] = {0};

			stack_tcp_write(a.t, big, sizeof(big));
		}
		net_run(&net, 1000);
		assert_true(a.over);
		net_run(&net, 400000);
		assert_int_equal(net_active(&net, 0), 0);
		net_close(&net);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(five_hundred_connections_at_once),
		cmocka_unit_test(time_wait_does_not_use_up_the_ports),
		cmocka_unit_test(idle_connections_do_not_slow_the_rest),
		cmocka_unit_test(equal_addresses_in_one_process_do_not_mix),
		cmocka_unit_test(dial_to_oneself),
		cmocka_unit_test(owners_may_end_it_in_any_callback),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
