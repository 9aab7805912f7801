/* SPDX-License-Identifier: BSD-3-Clause
 * test_flood.c - when a flood is one, and how often it is told
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/base/flood.h"

enum { LIMIT = 100, START_MS = 50000 };

/* per_ms events a millisecond for so long; the lines, and what they said. */
static unsigned pour(struct ts_flood *f, uint64_t *now_ms, unsigned per_ms,
		     uint64_t for_ms, uint64_t *said)
{
	unsigned lines = 0;

	for (uint64_t end_ms = *now_ms + for_ms; *now_ms < end_ms; ++*now_ms)
		for (unsigned i = 0; i < per_ms; i++) {
			uint64_t n = ts_flood_count(f, LIMIT, *now_ms);

			lines += n > 0;
			*said += n;
		}
	return lines;
}

static void a_burst_is_no_flood(void **state)
{
	struct ts_flood f = {0};
	uint64_t now_ms = START_MS, said = 0;

	(void)state;
	assert_int_equal(pour(&f, &now_ms, 1000, 900, &said), 0);
	now_ms += 5000;
	assert_int_equal(pour(&f, &now_ms, 1000, 900, &said), 0);
}

static void the_usual_is_no_flood(void **state)
{
	struct ts_flood f = {0};

	(void)state;
	for (uint64_t i = 0; i < 10000; i++)
		assert_int_equal(ts_flood_count(&f, LIMIT, START_MS + i * 10),
				 0);
}

static void a_flood_is_told_once_a_minute(void **state)
{
	struct ts_flood f = {0};
	uint64_t now_ms = START_MS, said = 0;

	(void)state;
	assert_int_equal(pour(&f, &now_ms, 10, 1500, &said), 1);
	assert_in_range(said, 10000, 10020);
	assert_int_equal(pour(&f, &now_ms, 10, 58000, &said), 0);
	assert_int_equal(pour(&f, &now_ms, 10, 3000, &said), 1);
	assert_in_range(said, 590000, 620000);
}

static void the_next_flood_counts_from_its_own_begin(void **state)
{
	struct ts_flood f = {0};
	uint64_t now_ms = START_MS, said = 0;

	(void)state;
	assert_int_equal(pour(&f, &now_ms, 10, 5000, &said), 1);
	now_ms += TS_FLOOD_TOLD_MS;
	said = 0;
	assert_int_equal(pour(&f, &now_ms, 10, 1500, &said), 1);
	assert_in_range(said, 10000, 10020);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_burst_is_no_flood),
		cmocka_unit_test(the_usual_is_no_flood),
		cmocka_unit_test(a_flood_is_told_once_a_minute),
		cmocka_unit_test(the_next_flood_counts_from_its_own_begin),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
