/* SPDX-License-Identifier: BSD-3-Clause
 * test_wg_replay.c - the window against a list of all counters seen
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/wireguard/wg_replay.h"

static struct ts_wg_replay win;

static void counters_count_once(void **state)
{
	(void)state;
	assert_true(ts_wg_replay_accept(&win, 0));
	assert_false(ts_wg_replay_accept(&win, 0));
	assert_true(ts_wg_replay_accept(&win, 1));
	assert_false(ts_wg_replay_accept(&win, 1));
	assert_true(ts_wg_replay_accept(&win, 9));
	assert_true(ts_wg_replay_accept(&win, 8));
	assert_false(ts_wg_replay_accept(&win, 8));
}

static void window_is_8128_wide(void **state)
{
	(void)state;
	assert_int_equal(WG_REPLAY_WINDOW, 8128);
	assert_true(ts_wg_replay_accept(&win, 20000));
	assert_true(ts_wg_replay_accept(&win, 20000 - 8128));
	assert_false(ts_wg_replay_accept(&win, 20000 - 8129));
}

static void leaps_clear_the_window(void **state)
{
	(void)state;
	for (uint64_t i = 0; i < 10000; i++)
		assert_true(ts_wg_replay_accept(&win, i));
	assert_true(ts_wg_replay_accept(&win, 1ULL << 60));
	assert_true(ts_wg_replay_accept(&win, (1ULL << 60) - 8128));
	assert_false(ts_wg_replay_accept(&win, 9999));
	assert_true(ts_wg_replay_accept(&win, UINT64_MAX));
	assert_false(ts_wg_replay_accept(&win, UINT64_MAX));
}

static void asking_changes_nothing(void **state)
{
	struct ts_wg_replay before;

	(void)state;
	ts_wg_replay_accept(&win, 100);
	before = win;
	assert_true(ts_wg_replay_is_fresh(&win, 5000));
	assert_true(ts_wg_replay_is_fresh(&win, 99));
	assert_false(ts_wg_replay_is_fresh(&win, 100));
	assert_memory_equal(&before, &win, sizeof(win));
}

static void random_order_agrees_with_a_list(void **state)
{
	enum { MAX = 40000 };
	static bool seen[MAX];
	uint64_t last = 0;
	uint32_t rng = 99;

	(void)state;
	memset(seen, 0, sizeof(seen));
	for (int i = 0; i < 100000; i++) {
		uint64_t counter;
		bool want;

		rng = rng * 1664525 + 1013904223;
		counter = last + 30 > (rng >> 8) % 9000
				  ? last + 30 - (rng >> 8) % 9000
				  : 0;
		if (counter >= MAX)
			break;
		want = !seen[counter] &&
		       (counter > last || last - counter <= WG_REPLAY_WINDOW);
		assert_int_equal(ts_wg_replay_accept(&win, counter), want);
		if (want)
			seen[counter] = true;
		if (counter > last)
			last = counter;
	}
	assert_true(last > 5000);
}

static int setup(void **state)
{
	(void)state;
	memset(&win, 0, sizeof(win));
	return 0;
}

#define CASE(f) cmocka_unit_test_setup(f, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(counters_count_once),
		CASE(window_is_8128_wide),
		CASE(leaps_clear_the_window),
		CASE(asking_changes_nothing),
		CASE(random_order_agrees_with_a_list),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
