/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/state/state_file.h"

static int set_up(void **state)
{
	*state = ts_state_new();
	return *state ? 0 : -1;
}

static int tear_down(void **state)
{
	ts_state_free(*state);
	return 0;
}

static int parse(struct ts_state *s, const char *text)
{
	char err[128] = "";
	int code = ts_state_parse(s, (const uint8_t *)text, strlen(text), err);

	assert_int_equal(code != 0, err[0] != '\0');
	return code;
}

static void expect_format(const struct ts_state *s, const char *expected)
{
	size_t len = 0;
	char *text = ts_state_format(s, &len);

	assert_non_null(text);
	assert_string_equal(text, expected);
	assert_int_equal(len, strlen(expected));
	free(text);
}

static void expect_data(const struct ts_state *s, const char *key,
			 const char *expected)
{
	size_t len = 0;
	const uint8_t *data = ts_state_get(s, key, &len);

	assert_non_null(data);
	assert_int_equal(len, strlen(expected));
	assert_memory_equal(data, expected, len);
}

/* As Go's json.MarshalIndent(map[string][]byte, "", "  ") writes it. */
static const char sample[] = "{\n"
			     "  \"_current-profile\": \"cHJvZmlsZS0xYTJi\",\n"
			     "  \"_future\": \"AAH/\",\n"
			     "  \"empty\": \"\"\n"
			     "}";

static void a_file_is_written_back_as_it_came(void **state)
{
	struct ts_state *s = *state;
	size_t len;

	assert_int_equal(parse(s, sample), 0);
	expect_data(s, "_current-profile", "profile-1a2b");
	expect_data(s, "empty", "");
	assert_memory_equal(ts_state_get(s, "_future", &len), "\x00\x01\xff",
			    3);
	assert_int_equal(len, 3);
	assert_null(ts_state_get(s, "missing", &len));
	expect_format(s, sample);
}

static void an_empty_file_is_an_empty_state(void **state)
{
	struct ts_state *s = *state;

	assert_int_equal(parse(s, ""), 0);
	assert_int_equal(parse(s, " \n"), 0);
	assert_int_equal(parse(s, "{}"), 0);
	expect_format(s, "{}");
}

static void setting_tells_what_changed(void **state)
{
	struct ts_state *s = *state;
	size_t len;

	assert_int_equal(ts_state_set(s, "b", "2", 1), 1);
	assert_int_equal(ts_state_set(s, "b", "2", 1), 0);
	assert_int_equal(ts_state_set(s, "b", "22", 2), 1);
	assert_int_equal(ts_state_set(s, "a", "1", 1), 1);
	assert_int_equal(ts_state_set(s, "c", NULL, 0), 0);
	expect_format(s, "{\n  \"a\": \"MQ==\",\n  \"b\": \"MjI=\"\n}");
	assert_int_equal(ts_state_set(s, "a", NULL, 0), 1);
	assert_null(ts_state_get(s, "a", &len));
	expect_data(s, "b", "22");
}

static void many_keys_stay_sorted(void **state)
{
	struct ts_state *s = *state;
	char key[16], value[16];

	for (unsigned i = 0; i < 200; i++) {
		snprintf(key, sizeof(key), "k%03u", i * 77 % 200);
		snprintf(value, sizeof(value), "%u", i);
		assert_int_equal(ts_state_set(s, key, value, strlen(value)), 1);
	}
	for (unsigned i = 0; i < 200; i++) {
		snprintf(key, sizeof(key), "k%03u", i * 77 % 200);
		snprintf(value, sizeof(value), "%u", i);
		expect_data(s, key, value);
	}
}

static void a_torn_file_is_refused_at_each_length(void **state)
{
	struct ts_state *s = *state;

	ts_state_set(s, "kept", "x", 1);
	for (size_t cut = 1; cut < sizeof(sample) - 1; cut++) {
		char err[128] = "";

		assert_int_equal(ts_state_parse(s, (const uint8_t *)sample, cut,
						err),
				 -EBADMSG);
		assert_string_not_equal(err, "");
		assert_null(strstr(err, "cHJvZm")); /* no contents quoted */
	}
	expect_data(s, "kept", "x");
}

static void foreign_files_are_refused_and_change_nothing(void **state)
{
	static const char *const texts[] = {
		"[]", "1", "null", "\"x\"", "{\"a\": 1}", "{\"a\": {}}",
		"{\"a\": \"MQ\"}", "{\"a\": \"M!==\"}", "{\"a\": \"MQ==\"} x",
		"{\"a\": \"\", \"a\": \"\"}", "[node]\nport = 1\n",
		"{\"key\": {}, \"nonce\": \"\", \"data\": \"\"}",
		"{\"a\\u0000b\": \"\"}", "{\"good\": \"MQ==\", \"bad\": 7}",
	};
	struct ts_state *s = *state;

	ts_state_set(s, "kept", "x", 1);
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		assert_int_equal(parse(s, texts[i]), -EBADMSG);
	expect_format(s, "{\n  \"kept\": \"eA==\"\n}");
}

static void a_value_deleted_in_memory_reads_as_absent(void **state)
{
	struct ts_state *s = *state;

	assert_int_equal(parse(s, "{\"a\": null, \"b\": \"MQ==\"}"), 0);
	expect_format(s, "{\n  \"b\": \"MQ==\"\n}");
}

static void odd_keys_are_quoted(void **state)
{
	struct ts_state *s = *state;

	assert_int_equal(parse(s, "{\"a\\\"\\n\": \"MQ==\"}"), 0);
	expect_format(s, "{\n  \"a\\\"\\n\": \"MQ==\"\n}");
}

/* -- the machine key ------------------------------------------------------ */

static void a_machine_key_is_made_once(void **state)
{
	struct ts_state *s = *state;
	struct ts_private_key first, second;
	char err[128] = "", text[TS_KEY_TEXT_CAP];
	bool created = false;

	assert_int_equal(ts_state_machine_key(s, &first, &created, err), 0);
	assert_true(created);
	assert_int_equal(ts_state_machine_key(s, &second, &created, err), 0);
	assert_false(created);
	assert_memory_equal(first.bytes, second.bytes, TS_KEY_LEN);
	expect_data(s, "_machinekey", ts_private_key_format(&first, text));
}

static void a_machine_key_that_is_none_is_refused(void **state)
{
	static const char *const texts[] = {
		"", "privkey:", "nodekey:00",
		"privkey:0000000000000000000000000000000000000000000000000000"
		"000000000000",
	};
	struct ts_state *s = *state;
	struct ts_private_key key;
	char err[128];
	bool created;

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		ts_state_set(s, "_machinekey", texts[i], strlen(texts[i]));
		assert_int_equal(ts_state_machine_key(s, &key, &created, err),
				 -EBADMSG);
		assert_true(ts_private_key_is_zero(&key));
		expect_data(s, "_machinekey", texts[i]);
	}
}

#define CASE(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(a_file_is_written_back_as_it_came),
		CASE(an_empty_file_is_an_empty_state),
		CASE(setting_tells_what_changed),
		CASE(many_keys_stay_sorted),
		CASE(a_torn_file_is_refused_at_each_length),
		CASE(foreign_files_are_refused_and_change_nothing),
		CASE(a_value_deleted_in_memory_reads_as_absent),
		CASE(odd_keys_are_quoted),
		CASE(a_machine_key_is_made_once),
		CASE(a_machine_key_that_is_none_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
