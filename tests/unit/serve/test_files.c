/* SPDX-License-Identifier: BSD-3-Clause
 * test_files.c - which parts of a file are sent, and when nothing is
 */
#include "tests/unit/test.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/serve/byte_ranges.h"
#include "core/serve/file_condition.h"

enum { CHANGED = 784111777 };
#define BEFORE "Sun, 06 Nov 1994 08:49:36 GMT"
#define THEN "Sun, 06 Nov 1994 08:49:37 GMT"
#define AFTER "Mon, 07 Nov 1994 00:00:00 GMT"

static char request_text[2048];

static struct ts_http1_head head_of(const char *fields)
{
	struct ts_http1_head head;

	snprintf(request_text, sizeof(request_text),
		 "GET / HTTP/1.1\r\n%s\r\n", fields);
	assert_int_equal(ts_http1_read_request(request_text,
					       strlen(request_text), &head),
			 0);
	return head;
}

/* "first+len ..." */
static int ranges_of(const char *value, uint64_t size, char *out)
{
	struct ts_http1_field field = {.value = value,
				       .value_len = strlen(value)};
	struct ts_byte_ranges ranges;
	int status = ts_byte_ranges_read(&field, size, &ranges);

	*out = '\0';
	for (size_t i = 0; status == 206 && i < ranges.count; i++)
		out += sprintf(out, "%s%d+%d", i ? " " : "",
			       (int)ranges.list[i].first,
			       (int)ranges.list[i].len);
	return status;
}

static void ranges_are_read(void **state)
{
	static const struct {
		const char *value;
		int size, status;
		const char *want;
	} cases[] = {
		{"bytes=0-4", 10, 206, "0+5"}, {"bytes=5-", 10, 206, "5+5"},
		{"bytes=-3", 10, 206, "7+3"}, {"bytes=-30", 10, 206, "0+10"},
		{"bytes=0-99", 10, 206, "0+10"},
		{"bytes=0-0,-1", 10, 206, "0+1 9+1"},
		{"bytes= 0-1 , 4-5,\t8-", 10, 206, "0+2 4+2 8+2"},
		{"bytes=0-1,20-30", 10, 206, "0+2"}, {"bytes=,0-1,", 10, 206, "0+2"},
		/* more than there is: the whole */
		{"bytes=0-5,0-5", 10, 200, ""}, {"bytes=0-,0-,0-", 10, 200, ""},
		{"bytes=0-1", 0, 200, ""}, {"lines=0-1", 10, 200, ""},
		{"bytes=", 10, 200, ""},
		{"bytes=10-", 10, 416, ""}, {"bytes=-0", 10, 416, ""},
		{"bytes=20-30,40-", 10, 416, ""}, {"bytes=5-4", 10, 416, ""},
		{"bytes=a-b", 10, 416, ""}, {"bytes=1", 10, 416, ""},
		{"bytes=-", 10, 416, ""}, {"bytes=--1", 10, 416, ""},
		{"bytes=0-1,x", 10, 416, ""}, {"bytes=0-5,0-5,x", 10, 416, ""},
		{"bytes=+0-1", 10, 416, ""},
		{"bytes=99999999999999999999-", 10, 416, ""},
	};
	char got[256];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int status = ranges_of(cases[i].value, (uint64_t)cases[i].size,
				       got);

		if (status != cases[i].status || strcmp(got, cases[i].want))
			fail_msg("%s: %d %s", cases[i].value, status, got);
	}
}

static void very_many_ranges_are_the_whole(void **state)
{
	char value[1024] = "bytes=", got[1024];
	int n = 6;

	(void)state;
	for (int i = 0; i < TS_BYTE_RANGES_MAX; i++)
		n += sprintf(value + n, "%d-%d,", 2 * i, 2 * i);
	assert_int_equal(ranges_of(value, 1000, got), 206);
	sprintf(value + n, "500-");
	assert_int_equal(ranges_of(value, 1000, got), 200);
}

static void a_multipart_is_as_long_as_it_says(void **state)
{
	struct ts_byte_ranges r = {.list = {{0, 2}, {8, 1}}, .count = 2,
				   .size = 10};
	char text[3 * TS_BYTE_RANGES_PART_CAP], *at = text;

	(void)state;
	at += ts_byte_ranges_part(&r, 0, "B", "text/plain", at);
	at = stpcpy(at, "ab");
	at += ts_byte_ranges_part(&r, 1, "B", "text/plain", at);
	at = stpcpy(at, "c");
	at += ts_byte_ranges_part(&r, 2, "B", "text/plain", at);
	assert_string_equal(text,
		"--B\r\nContent-Range: bytes 0-1/10\r\n"
		"Content-Type: text/plain\r\n\r\nab"
		"\r\n--B\r\nContent-Range: bytes 8-8/10\r\n"
		"Content-Type: text/plain\r\n\r\nc\r\n--B--\r\n");
	assert_int_equal(ts_byte_ranges_length(&r, "B", "text/plain"),
			 strlen(text));
}

static void conditions_are_asked_in_their_order(void **state)
{
	static const struct {
		const char *fields;
		int status;
	} cases[] = {
		{"", 200},
		{"If-Modified-Since: " BEFORE "\r\n", 200},
		{"If-Modified-Since: " THEN "\r\n", 304},
		{"If-Modified-Since: " AFTER "\r\n", 304},
		{"If-Modified-Since: Sunday, 06-Nov-94 08:49:37 GMT\r\n", 304},
		{"If-Modified-Since: yesterday\r\n", 200},
		{"If-None-Match: *\r\n", 304},
		{"If-None-Match: \"a\"\r\nIf-Modified-Since: " THEN "\r\n", 200},
		{"If-Unmodified-Since: " BEFORE "\r\n", 412},
		{"If-Unmodified-Since: " THEN "\r\n", 200},
		{"If-Match: *\r\nIf-Unmodified-Since: " BEFORE "\r\n", 200},
		{"If-Match: \"a\"\r\n", 412},
		{"If-Match: \"a\"\r\nIf-None-Match: *\r\n", 412},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct ts_http1_head head = head_of(cases[i].fields);

		if (ts_file_condition(&head, CHANGED) != cases[i].status)
			fail_msg("%s", cases[i].fields);
	}
}

static void of_a_file_without_a_time_nothing_is_known(void **state)
{
	struct ts_http1_head head = head_of("If-Modified-Since: " AFTER "\r\n");

	(void)state;
	assert_int_equal(ts_file_condition(&head, 0), 200);
	head = head_of("If-Range: Thu, 01 Jan 1970 00:00:00 GMT\r\n");
	assert_false(ts_file_range_counts(&head, 0));
}

static void a_part_of_another_version_is_of_no_use(void **state)
{
	static const struct {
		const char *fields;
		bool counts;
	} cases[] = {
		{"", true}, {"If-Range: " THEN "\r\n", true},
		{"If-Range: " AFTER "\r\n", false},
		{"If-Range: \"a\"\r\n", false}, {"If-Range: W/\"a\"\r\n", false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct ts_http1_head head = head_of(cases[i].fields);

		assert_int_equal(ts_file_range_counts(&head, CHANGED),
				 cases[i].counts);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ranges_are_read),
		cmocka_unit_test(very_many_ranges_are_the_whole),
		cmocka_unit_test(a_multipart_is_as_long_as_it_says),
		cmocka_unit_test(conditions_are_asked_in_their_order),
		cmocka_unit_test(of_a_file_without_a_time_nothing_is_known),
		cmocka_unit_test(a_part_of_another_version_is_of_no_use),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
