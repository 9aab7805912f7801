/* SPDX-License-Identifier: BSD-3-Clause
 * test_prefix_list.c - lists of prefixes
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "core/base/prefix_list.h"

static struct ts_prefix prefix(const char *text)
{
	struct ts_prefix p;

	assert_int_equal(ts_prefix_parse(text, &p), 0);
	return p;
}

static void has_what_is_listed_and_not_what_lies_in_it(void **state)
{
	const struct ts_prefix list[] = {prefix("10.0.0.0/8"),
					 prefix("fd00::/64")};
	const struct ts_prefix inner = prefix("10.0.0.0/16");

	(void)state;
	assert_true(ts_prefix_list_has(list, 2, &list[1]));
	assert_false(ts_prefix_list_has(list, 1, &list[1]));
	assert_false(ts_prefix_list_has(list, 2, &inner));
	assert_false(ts_prefix_list_has(NULL, 0, &inner));
}

static void equal_are_the_same_in_the_same_order(void **state)
{
	const struct ts_prefix a[] = {prefix("10.0.0.0/8"), prefix("::/0")};
	const struct ts_prefix b[] = {prefix("::/0"), prefix("10.0.0.0/8")};

	(void)state;
	assert_true(ts_prefix_list_equal(a, 2, a, 2));
	assert_true(ts_prefix_list_equal(NULL, 0, a, 0));
	assert_false(ts_prefix_list_equal(a, 2, b, 2));
	assert_false(ts_prefix_list_equal(a, 1, a, 2));
}

static void copy_stands_alone(void **state)
{
	struct ts_prefix list[] = {prefix("10.0.0.0/8"), prefix("::/0")};
	struct ts_prefix *copy = ts_prefix_list_copy(list, 2);
	struct ts_prefix *empty = ts_prefix_list_copy(NULL, 0);

	(void)state;
	assert_non_null(copy);
	assert_non_null(empty);
	assert_true(ts_prefix_list_equal(copy, 2, list, 2));
	list[0] = list[1];
	assert_false(ts_prefix_list_equal(copy, 2, list, 2));
	free(copy);
	free(empty);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(has_what_is_listed_and_not_what_lies_in_it),
		cmocka_unit_test(equal_are_the_same_in_the_same_order),
		cmocka_unit_test(copy_stands_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
