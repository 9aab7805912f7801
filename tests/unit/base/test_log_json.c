/* SPDX-License-Identifier: BSD-3-Clause
 * test_log_json.c - a line of the log as JSON, whatever somebody put into it
 */
#include "unit/test.h"

#include <jansson.h>
#include <string.h>

#include "core/base/log_json.h"

static const struct timespec WHEN = {.tv_sec = 1767323045,
				     .tv_nsec = 678000000};

static json_t *write_and_read(const char *line, size_t cap)
{
	char out[2048];
	size_t len = ts_log_write_json(out, cap, &WHEN, TS_LOG_WARN, line);
	json_t *json;

	assert_true(len <= cap);
	assert_int_equal(out[len - 1], '\n');
	json = json_loadb(out, len, 0, NULL);
	if (!json)
		fail_msg("not JSON: %.*s", (int)len, out);
	assert_int_equal(json_object_size(json), 4);
	return json;
}

static void check(const char *line, const char *component, const char *message)
{
	json_t *json = write_and_read(line, 2048);

	assert_string_equal(json_string_value(json_object_get(json, "time")),
			    "2026-01-02T03:04:05.678Z");
	assert_string_equal(json_string_value(json_object_get(json, "level")),
			    "warn");
	assert_string_equal(
		json_string_value(json_object_get(json, "component")),
		component);
	assert_string_equal(
		json_string_value(json_object_get(json, "message")), message);
	json_decref(json);
}

static void component_and_message_are_apart(void **state)
{
	(void)state;
	check("derp-7: closed: reset", "derp-7", "closed: reset");
	check("node-web.x: up", "node-web.x", "up");
	check("no component here", "", "no component here");
	check("two words: here", "", "two words: here");
	check("", "", "");
	check(": x", "", ": x");
}

static void what_others_wrote_stays_a_string(void **state)
{
	(void)state;
	check("a: quote \" back \\ slash", "a", "quote \" back \\ slash");
	check("a\"b: c", "", "a\"b: c");
	check("a: tab\tline", "a", "tab\tline");
	check("peer: gr\xc3\xbc\xc3\x9f \xf0\x9f\x98\x80", "peer",
	      "gr\xc3\xbc\xc3\x9f \xf0\x9f\x98\x80");
	check("x: \xff\xc0\x80\xed\xa0\x80!", "x",
	      "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"
	      "\xef\xbf\xbd!");
	check("cut: \xe2\x82", "cut", "\xef\xbf\xbd\xef\xbf\xbd");
}

static void a_line_too_long_is_cut_and_whole(void **state)
{
	char line[1024];

	(void)state;
	memset(line, '"', sizeof(line) - 1);
	line[sizeof(line) - 1] = '\0';
	memcpy(line, "x: ", 3);
	for (size_t cap = TS_LOG_JSON_MIN; cap < 700; cap++)
		json_decref(write_and_read(line, cap));
	memset(line, 0x01, 600);
	json_decref(write_and_read(line, TS_LOG_JSON_MIN));
	memset(line, 'c', 80);
	memcpy(line + 80, ": m", 4);
	json_decref(write_and_read(line, TS_LOG_JSON_MIN));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(component_and_message_are_apart),
		cmocka_unit_test(what_others_wrote_stays_a_string),
		cmocka_unit_test(a_line_too_long_is_cut_and_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
