/* SPDX-License-Identifier: BSD-3-Clause
 * test_wg_load.c - when we are under load, and what one source gets then
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/crypto/secret.h"
#include "core/wireguard/wg_load.h"

static struct ts_wg_load load;

static void burst_of_400_is_load_for_a_second(void **state)
{
	(void)state;
	for (int i = 0; i < WG_LOAD_QUEUE_MAX; i++)
		assert_false(ts_wg_load_is_high(&load, 1000));
	assert_true(ts_wg_load_is_high(&load, 1000));
	assert_true(ts_wg_load_is_high(&load, 1999));
	assert_false(ts_wg_load_is_high(&load, 2000));
}

static void slow_arrivals_are_no_load(void **state)
{
	(void)state;
	for (uint64_t i = 0; i < 5000; i++)
		assert_false(ts_wg_load_is_high(&load, 1000 + i * 2));
}

static void lasting_excess_is_load(void **state)
{
	unsigned high = 0;

	(void)state;
	for (uint64_t i = 0; i < 5000; i++)
		high += ts_wg_load_is_high(&load, 1000 + i);
	assert_true(high > 4000);
}

static void source_has_a_burst_of_5_then_20_a_second(void **state)
{
	struct ts_ip ip = ts_ip_from_v4_host(1);
	unsigned allowed = 0;

	(void)state;
	for (int i = 0; i < 20; i++)
		allowed += ts_wg_load_allows(&load, &ip, false, 5000);
	assert_int_equal(allowed, 5);
	for (uint64_t ms = 5001; ms <= 7000; ms++)
		allowed += ts_wg_load_allows(&load, &ip, false, ms);
	assert_int_equal(allowed, 45);
}

static void sources_do_not_share(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < 200; i++) {
		struct ts_ip ip = ts_ip_from_v4_host(i);

		assert_true(ts_wg_load_allows(&load, &ip, false, 5000));
	}
}

static unsigned allowed_to_new_sources(uint32_t count, uint64_t now_ms)
{
	static uint32_t next = 1;
	unsigned allowed = 0;

	for (uint32_t i = 0; i < count; i++) {
		struct ts_ip ip = ts_ip_from_v4_host(next++ * 7919);

		allowed += ts_wg_load_allows(&load, &ip, false, now_ms);
	}
	return allowed;
}

/* Whoever has thousands of addresses can prove each of them. */
static void all_sources_together_have_a_limit(void **state)
{
	unsigned allowed = 0;

	(void)state;
	assert_int_equal(allowed_to_new_sources(5000, 5000), WG_PROVEN_BURST);
	for (uint64_t ms = 5001; ms <= 6000; ms++)
		allowed += allowed_to_new_sources(5, ms);
	assert_int_equal(allowed, WG_PROVEN_PER_S);
	assert_int_equal(allowed_to_new_sources(5000, 90000), WG_PROVEN_BURST);
}

static void peers_have_no_part_in_what_strangers_have(void **state)
{
	struct ts_ip ip = {{0xfd, 0x7a, 0x11, 0x5c}};
	unsigned allowed = 0;

	(void)state;
	allowed_to_new_sources(5000, 5000);
	for (int i = 0; i < 200; i++) {
		ip.bytes[15] = (uint8_t)i; /* and each is somebody */
		assert_true(ts_wg_load_allows(&load, &ip, true, 5000));
	}
	for (int i = 0; i < 20; i++)
		allowed += ts_wg_load_allows(&load, &ip, true, 5000);
	assert_int_equal(allowed, 4);
}

static void cookies_are_so_many_a_second(void **state)
{
	unsigned sent = 0;

	(void)state;
	for (uint64_t i = 0; i < 40000; i++)
		sent += ts_wg_load_may_reply(&load, 7000 + i / 20);
	assert_int_equal(sent, 2 * WG_COOKIES_PER_S);
}

static void addresses_of_one_v6_network_share(void **state)
{
	struct ts_ip ip = {{0x20, 0x01, 0x0d, 0xb8}};
	unsigned allowed = 0;

	(void)state;
	for (int i = 0; i < 20; i++) {
		ip.bytes[15] = (uint8_t)i;
		allowed += ts_wg_load_allows(&load, &ip, false, 5000);
	}
	assert_int_equal(allowed, 5);
}

static void table_does_not_grow(void **state)
{
	struct ts_wg_source *table = NULL;

	(void)state;
	for (uint32_t i = 0; i < 100000; i++) {
		struct ts_ip ip = ts_ip_from_v4_host(i * 7919);

		if (i == 1)
			table = load.sources;
		ts_wg_load_allows(&load, &ip, false, 5000 + i);
	}
	assert_ptr_equal(load.sources, table);
}

static int setup(void **state)
{
	(void)state;
	ts_wg_load_init(&load);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	ts_wg_load_deinit(&load);
	return 0;
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(burst_of_400_is_load_for_a_second),
		CASE(slow_arrivals_are_no_load),
		CASE(lasting_excess_is_load),
		CASE(source_has_a_burst_of_5_then_20_a_second),
		CASE(sources_do_not_share),
		CASE(all_sources_together_have_a_limit),
		CASE(peers_have_no_part_in_what_strangers_have),
		CASE(cookies_are_so_many_a_second),
		CASE(addresses_of_one_v6_network_share),
		CASE(table_does_not_grow),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
