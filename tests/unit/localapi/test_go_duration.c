/* SPDX-License-Identifier: BSD-3-Clause
 * Lengths of time as Go writes them.
 */
#include "unit/test.h"

#include <errno.h>

#include "core/localapi/go_duration.h"

static void lengths_are_seconds(void **state)
{
	static const struct {
		const char *text;
		int64_t seconds;
	} good[] = {
		{"0", 0},	 {"0s", 0},	    {"720h0m0s", 2592000},
		{"1h30m", 5400}, {"1.5h", 5400},    {"100ms", 1},
		{"1ns", 1},	 {"-2m", -120},	    {"+3s", 3},
		{".5m", 30},	 {"1.s", 1},	    {"2000000us", 2},
		{"1\xc2\xb5s", 1}, {"2562047h", 9223369200},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		int64_t seconds = -1;

		assert_int_equal(localapi_read_duration(good[i].text, &seconds),
				 0);
		assert_int_equal(seconds, good[i].seconds);
	}
}

static void what_is_none_is_refused(void **state)
{
	static const char *const bad[] = {
		"", "-", "1", "h", "1d", "2 days", ".s", "1h ", "1hx", "00",
		"2562048h", "99999999999999999999s", "9000000000000000000s",
		"1h9223372036854775807ns",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		int64_t seconds = -1;

		assert_int_equal(localapi_read_duration(bad[i], &seconds),
				 -EBADMSG);
		assert_int_equal(seconds, -1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lengths_are_seconds),
		cmocka_unit_test(what_is_none_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
