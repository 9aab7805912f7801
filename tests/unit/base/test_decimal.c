/* SPDX-License-Identifier: BSD-3-Clause
 * test_decimal.c - numbers that others write
 */
#include "tests/unit/test.h"

#include <errno.h>
#include <string.h>

#include "core/base/decimal.h"

static void digits_alone(void **state)
{
	static const char *const wrong[] = {
		"", "-1", "+1", " 1", "1 ", "0x1", "1.0", "256", "a",
		"1234567890123456789", "18446744073709551617"};
	uint64_t n = 7;

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		if (ts_decimal_parse(wrong[i], strlen(wrong[i]), 255, &n) !=
		    -EBADMSG)
			fail_msg("%s", wrong[i]);
	assert_int_equal(n, 7);
	assert_int_equal(ts_decimal_parse("255x", 3, 255, &n), 0);
	assert_int_equal(n, 255);
	assert_int_equal(ts_decimal_parse("00", 2, 0, &n), 0);
	assert_int_equal(n, 0);
	assert_int_equal(ts_decimal_parse("999999999999999999", 18, UINT64_MAX,
					  &n), 0);
	assert_int_equal(n, 999999999999999999);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(digits_alone)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
