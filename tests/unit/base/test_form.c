/* SPDX-License-Identifier: BSD-3-Clause */
#include "unit/test.h"

#include <string.h>

#include "core/base/form.h"

static const char *find(const char *form, const char *field, size_t *len)
{
	return ts_form_find(form, strlen(form), field, len);
}

static void the_first_of_a_name_counts(void **state)
{
	size_t len = 99;

	(void)state;
	assert_memory_equal(find("ab=1&b=22&b=3", "b", &len), "22", 2);
	assert_int_equal(len, 2);
	assert_non_null(find("x&b=", "b", &len));
	assert_int_equal(len, 0);
	assert_null(find("", "b", &len));
	assert_null(find("b", "b", &len));
	assert_null(find("bb=1&&c=b=1", "b", &len));
	assert_null(ts_form_find(NULL, 0, "b", &len));
	assert_null(ts_form_find("a=1&b=2", 5, "b", &len));
}

static void values_are_decoded(void **state)
{
	static const char *const bad[] = {"%", "%4", "a%4", "%zz", "%00",
					  "12345678"};
	char out[8];

	(void)state;
	assert_true(ts_form_decode("a+b%2bC%3D", 10, out, sizeof(out)));
	assert_string_equal(out, "a b+C=");
	assert_true(ts_form_decode("1234567", 7, out, sizeof(out)));
	assert_string_equal(out, "1234567");
	assert_true(ts_form_decode(NULL, 0, out, sizeof(out)));
	assert_string_equal(out, "");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(ts_form_decode(bad[i], strlen(bad[i]), out,
					    sizeof(out)));
	assert_false(ts_form_decode("a\0b", 3, out, sizeof(out)));
	assert_false(ts_form_decode("", 0, out, 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_of_a_name_counts),
		cmocka_unit_test(values_are_decoded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
