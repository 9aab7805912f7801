/* SPDX-License-Identifier: BSD-3-Clause
 * test_http_date.c - dates in three forms, and what is none
 */
#include "tests/unit/test.h"

#include <errno.h>
#include <string.h>

#include "core/base/http_date.h"

enum { THEN = 784111777 };

static void three_forms_are_read_and_one_is_written(void **state)
{
	static const char *const texts[] = {
		"Sun, 06 Nov 1994 08:49:37 GMT",
		"Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"};
	char text[TS_HTTP_DATE_CAP];
	time_t at;

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(ts_http_date_parse(texts[i], strlen(texts[i]),
						    &at), 0);
		assert_int_equal(at, THEN);
		for (size_t cut = 0; cut < strlen(texts[i]); cut++)
			assert_int_equal(ts_http_date_parse(texts[i], cut, &at),
					 -EBADMSG);
	}
	assert_string_equal(ts_http_date_format(THEN, text), texts[0]);
	assert_string_equal(ts_http_date_format(0, text),
			    "Thu, 01 Jan 1970 00:00:00 GMT");
	assert_string_equal(ts_http_date_format((time_t)1 << 60, text),
			    "Thu, 01 Jan 1970 00:00:00 GMT");
}

static void what_is_no_date(void **state)
{
	static const char *const texts[] = {
		"", "now", "Sun, 06 Nov 1994 08:49:37 CET",
		"Sun, 06 Nov 1994 08:49:37 GMT ", "Sun, 31 Feb 1994 08:49:37 GMT",
		"Sun, 06 Nov 1994 24:49:37 GMT", "Sun, 06 Now 1994 08:49:37 GMT",
		"Sun, +6 Nov 1994 08:49:37 GMT", "So, 06 Nov 1994 08:49:37 GMT",
		"Sunwhatever, 06-Nov-94 08:49:37 GMT"};
	time_t at;

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if (ts_http_date_parse(texts[i], strlen(texts[i]), &at) !=
		    -EBADMSG)
			fail_msg("%s", texts[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(three_forms_are_read_and_one_is_written),
		cmocka_unit_test(what_is_no_date),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
