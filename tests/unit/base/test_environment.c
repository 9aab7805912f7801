/* SPDX-License-Identifier: BSD-3-Clause
 * test_environment.c - what a list of NAME=value entries has
 */
#include "unit/test.h"

#include <stdlib.h>

#include "core/base/environment.h"

static void a_name_is_found_whole(void **state)
{
	char a[] = "HOMES=/x", b[] = "HOME=/a=b", c[] = "HOME=/later";
	char *env[] = {a, b, c, NULL};

	(void)state;
	assert_string_equal(ts_environment_get(env, "HOME"), "/a=b");
	assert_null(ts_environment_get(env, "HOM"));
	assert_null(ts_environment_get(NULL, "HOME"));
	assert_null(ts_environment_get(env, NULL));
}

static void what_is_empty_is_not_set(void **state)
{
	char a[] = "EMPTY=", b[] = "NONE";
	char *env[] = {a, b, NULL};

	(void)state;
	assert_null(ts_environment_get(env, "EMPTY"));
	assert_null(ts_environment_get(env, "NONE"));
}

static void the_programs_own_is_the_one_that_getenv_reads(void **state)
{
	(void)state;
	assert_int_equal(setenv("TSNET_TEST_ENVIRONMENT", "here", 1), 0);
	assert_string_equal(ts_environment_get(ts_environment(),
					       "TSNET_TEST_ENVIRONMENT"),
			    "here");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_name_is_found_whole),
		cmocka_unit_test(what_is_empty_is_not_set),
		cmocka_unit_test(the_programs_own_is_the_one_that_getenv_reads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
