/* SPDX-License-Identifier: BSD-3-Clause
 * test_tcp_sender.c - the scoreboard and its sender under random orders
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "netstack/tcp_rtt.h"
#include "unit/netstack/sender_model.h"

static void any_orders_keep_the_books_straight(void **state)
{
	uint8_t orders[2048];
	uint32_t x = 1;

	(void)state;
	for (int run = 0; run < 60; run++) {
		struct ts_reader r = ts_reader_init(orders, sizeof(orders));

		for (size_t i = 0; i < sizeof(orders); i++) {
			x = x * 1664525u + 1013904223u;
			orders[i] = (uint8_t)(x >> 24);
		}
		model_run(&r); /* aborts when something is wrong */
	}
}

/* -- the scoreboard ------------------------------------------------------- */
static void ids_survive_growth(void **state)
{
	struct sent_list l;

	(void)state;
	stack_sent_init(&l);
	for (uint32_t i = 0; i < 1000; i++) {
		assert_int_equal(stack_sent_reserve(&l), 0);
		stack_sent_push(&l, i * 10, 10, NULL, i);
		if (i % 3 == 2)
			stack_sent_pop(&l);
	}
	assert_int_equal(l.end - l.first, 667);
	for (uint64_t id = l.first; id < l.end; id++)
		assert_int_equal(stack_sent_at(&l, id)->seq, id * 10);
	assert_int_equal(l.flight_bytes, 6670);
	assert_int_equal(stack_sent_find(&l, 5005), 500);
	assert_int_equal(stack_sent_find(&l, 5010), 501);
	assert_int_equal(stack_sent_find(&l, 1u << 30), l.end);
	stack_sent_deinit(&l);
}

static void lost_ones_come_in_order(void **state)
{
	struct sent_list l;

	(void)state;
	stack_sent_init(&l);
	for (uint32_t i = 0; i < 20; i++) {
		assert_int_equal(stack_sent_reserve(&l), 0);
		stack_sent_push(&l, i * 10, 10, NULL, i);
	}
	assert_int_equal(stack_sent_next_lost(&l), SENT_NONE);
	stack_sent_set_lost(&l, 7);
	stack_sent_set_lost(&l, 12);
	assert_int_equal(stack_sent_next_lost(&l), 7);
	stack_sent_set_resent(&l, 7, 100);
	assert_int_equal(l.newest, 7);
	assert_int_equal(stack_sent_next_lost(&l), 12);
	stack_sent_set_lost(&l, 3);
	assert_int_equal(stack_sent_next_lost(&l), 3);
	stack_sent_set_sacked(&l, 3);
	stack_sent_set_sacked(&l, 12);
	assert_int_equal(stack_sent_next_lost(&l), SENT_NONE);
	assert_int_equal(l.sacked_bytes, 20);
	stack_sent_deinit(&l);
}

/* -- the round trip ------------------------------------------------------- */
static void time_outs_of_rfc_6298(void **state)
{
	struct tcp_rtt r = {0};

	(void)state;
	assert_int_equal(stack_rtt_timeout(&r), 1000000);
	stack_rtt_add(&r, 100000, 100000, 1);
	assert_int_equal(r.srtt_us, 100000);
	assert_int_equal(r.var_us, 50000);
	assert_int_equal(stack_rtt_timeout(&r), 300000);
	for (int i = 0; i < 50; i++)
		stack_rtt_add(&r, 100000, 90000, 2);
	assert_int_equal(r.srtt_us, 100000);
	assert_int_equal(stack_rtt_min(&r), 90000);
	assert_int_equal(stack_rtt_timeout(&r), 300000); /* the floor */
}

/* A shorter path is forgotten after a minute. */
static void the_least_trip_has_an_age(void **state)
{
	struct tcp_rtt r = {0};
	uint64_t now = 1;

	(void)state;
	stack_rtt_add(&r, 1000, 1000, now);
	while (now < 29000000)
		stack_rtt_add(&r, 50000, 50000, now += 100000);
	assert_int_equal(stack_rtt_min(&r), 1000);
	while (now < 65000000)
		stack_rtt_add(&r, 50000, 50000, now += 100000);
	assert_int_equal(stack_rtt_min(&r), 50000);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_orders_keep_the_books_straight),
		cmocka_unit_test(ids_survive_growth),
		cmocka_unit_test(lost_ones_come_in_order),
		cmocka_unit_test(time_outs_of_rfc_6298),
		cmocka_unit_test(the_least_trip_has_an_age),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
