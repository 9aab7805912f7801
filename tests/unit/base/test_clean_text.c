/* SPDX-License-Identifier: BSD-3-Clause
 * test_clean_text.c - control characters in the text of others
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/base/clean_text.h"

static void only_control_characters_are_not_clean(void **state)
{
	(void)state;
	assert_true(ts_is_clean_text(""));
	assert_true(ts_is_clean_text("a b~ \xc3\xa9"));
	assert_false(ts_is_clean_text("a\nb"));
	assert_false(ts_is_clean_text("\x1b[2J"));
	assert_false(ts_is_clean_text("a\x7f"));
	assert_false(ts_is_clean_text("\x01"));
}

static void each_is_marked_and_the_rest_stays(void **state)
{
	char text[] = "\r\nb\x1b[2J \xc3\xa9\x7f";

	(void)state;
	ts_clean_text(text, '?');
	assert_string_equal(text, "??b?[2J \xc3\xa9?");
	assert_true(ts_is_clean_text(text));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_control_characters_are_not_clean),
		cmocka_unit_test(each_is_marked_and_the_rest_stays),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
