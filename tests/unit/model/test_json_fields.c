/* SPDX-License-Identifier: BSD-3-Clause
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>

#include "core/model/json_fields.h"

static json_t *parse(const char *text)
{
	json_t *json = json_loads(text, TS_JSON_READ_FLAGS, NULL);

	assert_non_null(json);
	return json;
}

static void names_match_in_any_case_and_exact_wins(void **state)
{
	json_t *json = parse("{\"id\":1,\"ID\":2,\"nAmE\":\"x\",\"n\":null}");

	(void)state;
	assert_int_equal(ts_json_int(json, "ID"), 2);
	assert_int_equal(ts_json_int(json, "Id"), 1);
	assert_string_equal(ts_json_text(json, "Name"), "x");
	assert_null(ts_json_get(json, "N"));
	assert_null(ts_json_get(json, "Nam"));
	assert_null(ts_json_get(NULL, "x"));
	json_decref(json);
}

static void integers_are_exact(void **state)
{
	json_t *json = parse("{\"a\":9007199254740993,\"b\":-9223372036854775"
			     "808,\"c\":1.5,\"d\":\"7\",\"e\":70000}");

	(void)state;
	assert_true(ts_json_int(json, "a") == 9007199254740993);
	assert_true(ts_json_int(json, "b") == INT64_MIN);
	assert_int_equal(ts_json_int(json, "c"), 0);
	assert_int_equal(ts_json_int(json, "d"), 0);
	assert_int_equal(ts_json_small(json, "e", 0, 65535), 0);
	assert_int_equal(ts_json_small(json, "e", 0, 70000), 70000);
	json_decref(json);
}

static void text_with_a_nul_reads_as_absent(void **state)
{
	json_t *json = parse("{\"a\":\"x\\u0000y\",\"l\":[\"x\\u0000\",\"y\"]"
			     "}");
	size_t count;
	char **list;

	(void)state;
	assert_null(ts_json_text(json, "a"));
	assert_int_equal(
		ts_json_dup_list(ts_json_array(json, "l"), &list, &count), 0);
	assert_int_equal(count, 1);
	assert_string_equal(list[0], "y");
	ts_text_list_free(list, count);
	json_decref(json);
}

static void tristates(void **state)
{
	json_t *json = parse("{\"t\":true,\"f\":false,\"n\":null,\"x\":1}");

	(void)state;
	assert_int_equal(ts_json_opt_bool(json, "t"), TS_YES);
	assert_int_equal(ts_json_opt_bool(json, "f"), TS_NO);
	assert_int_equal(ts_json_opt_bool(json, "n"), TS_UNKNOWN);
	assert_int_equal(ts_json_opt_bool(json, "x"), TS_UNKNOWN);
	assert_int_equal(ts_json_opt_bool(json, "y"), TS_UNKNOWN);
	json_decref(json);
}

static void keys_are_strict(void **state)
{
	json_t *json = parse(
		"{\"good\":\"nodekey:00000000000000000000000000000000000000000"
		"000000000000000000000ff\",\"bad\":\"nodekey:1\",\"num\":7,"
		"\"empty\":\"\"}");
	struct ts_public_key key;

	(void)state;
	assert_int_equal(ts_json_key(json, "good", TS_PREFIX_NODE, &key), 0);
	assert_int_equal(key.bytes[31], 0xff);
	assert_int_equal(ts_json_key(json, "good", TS_PREFIX_DISCO, &key),
			 -EBADMSG);
	assert_int_equal(ts_json_key(json, "bad", TS_PREFIX_NODE, &key),
			 -EBADMSG);
	assert_int_equal(ts_json_key(json, "num", TS_PREFIX_NODE, &key),
			 -EBADMSG);
	assert_int_equal(ts_json_key(json, "empty", TS_PREFIX_NODE, &key), 0);
	assert_true(ts_public_key_is_zero(&key));
	json_decref(json);
}

static void times_are_rfc_3339(void **state)
{
	static const struct {
		const char *text;
		int64_t unix_s;
	} good[] = {
		{"1970-01-01T00:02:03Z", 123},
		{"2023-11-14T22:13:20Z", 1700000000},
		{"2023-11-14T22:13:20.999999999Z", 1700000000},
		{"2023-11-15T00:13:20+02:00", 1700000000},
		{"2023-11-14T17:43:20.5-04:30", 1700000000},
		{"2024-02-29t12:00:00z", 1709208000},
		{"0001-01-01T00:00:00Z", 0},
		{"1969-12-31T23:59:59Z", -1},
		{"9999-12-31T23:59:59Z", 253402300799},
	};
	static const char *const bad[] = {
		"",
		"2023",
		"2023-11-14",
		"2023-11-14 22:13:20Z",
		"2023-11-14T22:13:20",
		"2023-13-14T22:13:20Z",
		"2023-11-32T22:13:20Z",
		"2023-11-14T24:13:20Z",
		"2023-11-14T22:60:20Z",
		"2023-11-14T22:13:20.Z",
		"2023-11-14T22:13:20Zx",
		"2023-11-14T22:13:20+0200",
		"+023-11-14T22:13:20Z",
		"-2023-11-14T22:13:20Z",
	};
	char text[TS_TIME_TEXT_CAP];
	int64_t unix_s;

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_int_equal(ts_time_parse(good[i].text, &unix_s), 0);
		assert_true(unix_s == good[i].unix_s);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(ts_time_parse(bad[i], &unix_s), -EBADMSG);
	assert_string_equal(ts_time_format(123, text), "1970-01-01T00:02:03Z");
	assert_string_equal(ts_time_format(0, text), "0001-01-01T00:00:00Z");
	assert_string_equal(ts_time_format(INT64_MAX, text),
			    "0001-01-01T00:00:00Z");
}

static void map_keys_are_whole_numbers(void **state)
{
	static const char *const bad[] = {"",	"x",  "1x", " 1", "+1",
					  "1.5", "-", "9223372036854775808"};
	int64_t v;

	(void)state;
	assert_int_equal(ts_int_parse("-9223372036854775808", &v), 0);
	assert_true(v == INT64_MIN);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(ts_int_parse(bad[i], &v), -EBADMSG);
}

static void bytes_are_written_as_base64(void **state)
{
	json_t *some = ts_json_base64("\xff\0a", 3);
	json_t *none = ts_json_base64("", 0);

	(void)state;
	assert_string_equal(json_string_value(some), "/wBh");
	assert_string_equal(json_string_value(none), "");
	json_decref(some);
	json_decref(none);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_match_in_any_case_and_exact_wins),
		cmocka_unit_test(integers_are_exact),
		cmocka_unit_test(text_with_a_nul_reads_as_absent),
		cmocka_unit_test(tristates),
		cmocka_unit_test(keys_are_strict),
		cmocka_unit_test(times_are_rfc_3339),
		cmocka_unit_test(map_keys_are_whole_numbers),
		cmocka_unit_test(bytes_are_written_as_base64),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
