/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The router's small parts: timers, token bucket, own endpoints.
 */
#include "unit/addresses.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/token_bucket.h"
#include "core/path/endpoints.h"
#include "core/path/timer_heap.h"

enum { TIMERS = 500 };

static void timers_come_out_in_order(void **state)
{
	static struct ts_heap_timer timers[TIMERS];
	struct ts_timer_heap h = {0};
	uint32_t seed = 1;
	uint64_t last_ms = 0;
	size_t taken = 0;
	struct ts_heap_timer *t;

	(void)state;
	assert_true(ts_timer_heap_deadline_ms(&h) == UINT64_MAX);
	for (int round = 0; round < 3; round++)
		for (size_t i = 0; i < TIMERS; i++) {
			seed = seed * 1664525 + 1013904223;
			assert_int_equal(
				ts_timer_heap_set(&h, &timers[i], seed % 1000),
				0);
		}
	assert_int_equal(h.len, TIMERS);
	for (size_t i = 0; i < TIMERS; i += 3)
		ts_timer_heap_clear(&h, &timers[i]);
	ts_timer_heap_clear(&h, &timers[0]); /* twice is fine */
	assert_int_equal(ts_timer_heap_set(&h, &timers[1], UINT64_MAX), 0);
	while ((t = ts_timer_heap_take_due(&h, 999))) {
		assert_true(t->at_ms >= last_ms);
		assert_int_equal(t->slot, 0);
		last_ms = t->at_ms;
		taken++;
	}
	assert_int_equal(taken, TIMERS - (TIMERS + 2) / 3 - 1);
	assert_true(ts_timer_heap_deadline_ms(&h) == UINT64_MAX);
	ts_timer_heap_deinit(&h);
}

static void a_timer_is_not_due_before_its_time(void **state)
{
	struct ts_timer_heap h = {0};
	struct ts_heap_timer t = {0};

	(void)state;
	assert_int_equal(ts_timer_heap_set(&h, &t, 100), 0);
	assert_null(ts_timer_heap_take_due(&h, 99));
	assert_ptr_equal(ts_timer_heap_take_due(&h, 100), &t);
	ts_timer_heap_deinit(&h);
}

static void a_bucket_refills_at_its_rate(void **state)
{
	struct ts_token_bucket b;

	(void)state;
	ts_token_bucket_init(&b, 10, 5, 1000);
	for (int i = 0; i < 5; i++)
		assert_true(ts_token_bucket_take(&b, 1, 1000));
	assert_false(ts_token_bucket_take(&b, 1, 1000));
	assert_false(ts_token_bucket_take(&b, 1, 1099));
	assert_true(ts_token_bucket_take(&b, 1, 1100));
	assert_false(ts_token_bucket_take(&b, 6, 1000000)); /* over burst */
	assert_true(ts_token_bucket_take(&b, 5, 1000000));
	assert_false(ts_token_bucket_take(&b, 1, 500)); /* time went back */
}

static void a_bucket_without_rate_has_no_limit(void **state)
{
	struct ts_token_bucket b = {0};

	(void)state;
	for (int i = 0; i < 1000; i++)
		assert_true(ts_token_bucket_take(&b, UINT64_MAX, 0));
	ts_token_bucket_init(&b, UINT64_MAX, UINT64_MAX, 0);
	assert_true(ts_token_bucket_take(&b, 1 << 20, UINT64_MAX));
}

static void endpoints_are_unknown_before_the_first_check(void **state)
{
	struct ts_endpoints e = {0};
	struct ts_addr local[3] = {
		addr_of("192.168.1.2:41641"),
		addr_of("100.64.0.7:41641"), /* a tailnet's */
		addr_of("[fe80::1]:41641")};
	struct ts_addr seen = addr_of("203.0.113.7:1234");

	(void)state;
	assert_false(ts_endpoints_set_local(&e, local, 3));
	assert_int_equal(e.count, 0);
	assert_true(ts_endpoints_checked(&e, &seen, 1, 1000));
	assert_int_equal(e.count, 3);
	assert_true(ts_addr_equal(&e.addrs[0], &seen));
	assert_int_equal(e.types[0], TS_ENDPOINT_STUN);
	assert_true(ts_addr_equal(&e.addrs[1], &local[0]));
	assert_int_equal(e.types[1], TS_ENDPOINT_LOCAL);
	assert_false(ts_endpoints_checked(&e, &seen, 1, 2000)); /* no news */
	assert_true(ts_endpoints_set_local(&e, local, 1));
	assert_int_equal(e.count, 2);
}

static void an_address_that_is_local_too_is_listed_once(void **state)
{
	struct ts_endpoints e = {0};
	struct ts_addr both = addr_of("203.0.113.7:1234");

	(void)state;
	ts_endpoints_set_local(&e, &both, 1);
	assert_true(ts_endpoints_checked(&e, &both, 1, 1000));
	assert_int_equal(e.count, 1);
	assert_int_equal(e.types[0], TS_ENDPOINT_STUN);
}

static void stun_addresses_fade_after_five_minutes(void **state)
{
	struct ts_endpoints e = {0};
	struct ts_addr one = addr_of("203.0.113.7:1"),
		       two = addr_of("203.0.113.7:2");

	(void)state;
	assert_true(ts_endpoints_checked(&e, &one, 1, 1000));
	assert_true(ts_endpoints_checked(&e, &two, 1, 2000));
	assert_int_equal(e.count, 2);
	assert_true(ts_addr_equal(&e.addrs[0], &two)); /* the newest first */
	assert_false(ts_endpoints_checked(&e, &two, 1, 311000));
	assert_true(ts_endpoints_checked(&e, &two, 1, 311001));
	assert_int_equal(e.count, 1);
	ts_endpoints_network_changed(&e);
	assert_true(ts_endpoints_checked(&e, NULL, 0, 311002));
	assert_int_equal(e.count, 0);
}

static void endpoints_are_bounded(void **state)
{
	struct ts_endpoints e = {0};
	struct ts_addr many[100];

	(void)state;
	for (uint16_t i = 0; i < 100; i++) {
		many[i] = addr_of("192.168.1.2:1");
		many[i].port = (uint16_t)(i + 1);
	}
	ts_endpoints_set_local(&e, many, 100);
	for (uint16_t i = 0; i < 100; i++) {
		many[i].ip = addr_of("203.0.113.1:1").ip;
		ts_endpoints_checked(&e, &many[i], 1, 1000 + i);
	}
	many[0] = addr_of("203.0.113.2:7");
	ts_endpoints_set_port_mapping(&e, &many[0]);
	assert_int_equal(e.count, ENDPOINTS_LOCAL_MAX + ENDPOINTS_STUN_MAX + 1);
	assert_int_equal(e.addrs[1].port, 100);
}

static void a_mapped_port_comes_first(void **state)
{
	struct ts_endpoints e = {0};
	struct ts_addr seen = addr_of("203.0.113.7:1");
	struct ts_addr mapped = addr_of("203.0.113.7:40000");
	struct ts_addr tailnet = addr_of("100.64.0.7:40000");

	(void)state;
	assert_false(ts_endpoints_set_port_mapping(&e, &mapped));
	assert_true(ts_endpoints_checked(&e, &seen, 1, 1000));
	assert_int_equal(e.count, 2);
	assert_true(ts_addr_equal(&e.addrs[0], &mapped));
	assert_int_equal(e.types[0], TS_ENDPOINT_PORT_MAPPED);
	assert_false(ts_endpoints_set_port_mapping(&e, &mapped));
	assert_true(ts_endpoints_set_port_mapping(&e, &tailnet));
	assert_int_equal(e.count, 1);
	/* What STUN sees too is listed once. */
	assert_false(ts_endpoints_set_port_mapping(&e, NULL));
	assert_true(ts_endpoints_set_port_mapping(&e, &mapped));
	assert_false(ts_endpoints_checked(&e, &mapped, 1, 2000));
	assert_int_equal(e.count, 2);
	assert_int_equal(e.types[0], TS_ENDPOINT_PORT_MAPPED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(timers_come_out_in_order),
		cmocka_unit_test(a_timer_is_not_due_before_its_time),
		cmocka_unit_test(a_bucket_refills_at_its_rate),
		cmocka_unit_test(a_bucket_without_rate_has_no_limit),
		cmocka_unit_test(endpoints_are_unknown_before_the_first_check),
		cmocka_unit_test(an_address_that_is_local_too_is_listed_once),
		cmocka_unit_test(stun_addresses_fade_after_five_minutes),
		cmocka_unit_test(endpoints_are_bounded),
		cmocka_unit_test(a_mapped_port_comes_first),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
