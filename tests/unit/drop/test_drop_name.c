/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/unit/test.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/base/err.h"
#include "core/drop/drop_block.h"
#include "core/drop/drop_name.h"

static void names_that_are_good(void **state)
{
	static const char *const good[] = {
		"a", "foo.jpg", ".hidden", "M\xc3\xa4rz 2024.tar.gz",
		"\xe6\x97\xa5\xe6\x9c\xac.txt", "\xf0\x9f\x98\x80", "a b",
		"...", "~", "a%b", "a?b", "partial", ".partially",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		if (!ts_drop_name_is_good(good[i]))
			fail_msg("%s is good", good[i]);
}

static void names_that_are_not(void **state)
{
	static const char *const bad[] = {
		"", ".", "..", "/", "a/b", "../a", "a\\b", "a:b", "a*b",
		"a\"b", "a<b", "a>b", "a|b", " a", "a ", "\ta", "a\n",
		"a\tb", "a\x01", "a\x7f", "a.partial", ".partial", "a.deleted",
		"\xc2\xa0" "a", "a\xe3\x80\x80", /* spaces, too */
		"a\xe2\x80\xae" "b", "a\xe2\x80\x8d" "b", "\xef\xbb\xbf" "a",
		"a\xc2\xad" "b", "a\xee\x80\x80", "a\xf3\xa0\x80\x81",
		"\xff", "a\xc0\xaf", "a\xe0\x80\xaf", "a\xed\xa0\x80",
		"a\xf4\x90\x80\x80", "a\xc3", "a\xe2\x82", "a\x80",
	};
	char longest[TS_DROP_NAME_MAX + 2];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		if (ts_drop_name_is_good(bad[i]))
			fail_msg("%zu: %s is not good", i, bad[i]);
	memset(longest, 'a', sizeof(longest));
	longest[TS_DROP_NAME_MAX + 1] = '\0';
	assert_false(ts_drop_name_is_good(longest));
	longest[TS_DROP_NAME_MAX] = '\0';
	assert_true(ts_drop_name_is_good(longest));
}

/* Upstream's own cases and more. */
static void the_next_name(void **state)
{
	static const struct {
		const char *name, *next;
	} cases[] = {
		{"foo", "foo (1)"},
		{"foo (1)", "foo (2)"},
		{"foo (9)", "foo (10)"},
		{"foo (0)", "foo (0) (1)"},
		{"foo(1)", "foo(1) (1)"},
		{"foo.tar", "foo (1).tar"},
		{"foo.tar.gz", "foo (1).tar.gz"},
		{"foo.tar (1).gz", "foo.tar (2).gz"},
		{".config", ".config (1)"},
		{".config.toml", ".config (1).toml"},
		{"foo.7z", "foo (1).7z"},
		{"foo.123", "foo.123 (1)"},
		{"foo.toolongext", "foo.toolongext (1)"},
		{"foo.abcdefg", "foo (1).abcdefg"},
		{"foo.a b", "foo.a b (1)"},
		{"v1.2.3.tar", "v1.2.3 (1).tar"},
		{"foo (1).tar.gz", "foo (2).tar.gz"},
		{" (1)", " (2)"},
		{"(1)", "(1) (1)"},
		{"x (99999999999999999999)", "x (99999999999999999999) (1)"},
	};
	char next[TS_DROP_NAME_CAP], longest[TS_DROP_NAME_CAP];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_int_equal(ts_drop_name_next(cases[i].name, next), 0);
		assert_string_equal(next, cases[i].next);
	}
	memset(longest, 'a', sizeof(longest));
	longest[TS_DROP_NAME_MAX] = '\0';
	assert_int_equal(ts_drop_name_next(longest, next), -ENAMETOOLONG);
}

static void names_of_parts(void **state)
{
	char part[TS_DROP_NAME_CAP], name[TS_DROP_NAME_CAP];

	(void)state;
	assert_int_equal(ts_drop_name_partial("a.txt", "n1CNTRL", part), 0);
	assert_string_equal(part, "a.txt.n1CNTRL.partial");
	assert_true(ts_drop_name_is_partial_of(part, "n1CNTRL"));
	assert_false(ts_drop_name_is_partial_of(part, "1CNTRL"));
	assert_false(ts_drop_name_is_partial_of(part, "n2CNTRL"));
	assert_true(ts_drop_name_is_internal(part));
	assert_int_equal(ts_drop_name_partial("a", "", part), 0);
	assert_string_equal(part, "a.partial");
	assert_int_equal(ts_drop_name_partial("../a", "n1", part), -EINVAL);
	assert_int_equal(ts_drop_name_partial("a", "../n1", part), -EINVAL);
	memset(name, 'a', sizeof(name));
	name[250] = '\0';
	assert_int_equal(ts_drop_name_partial(name, "n1", part), -EINVAL);
}

static void in_a_url(void **state)
{
	char text[TS_DROP_ESCAPED_CAP], name[TS_DROP_NAME_CAP];
	static const char odd[] = "100% M\xc3\xa4rz?#&.txt";
	static const char *const bad[] = {"%", "%4", "%zz", "a%00b", "%2e%2e",
					  "a%2Fb", "%FF", ""};

	(void)state;
	ts_drop_name_escape(odd, text);
	assert_string_equal(text, "100%25%20M%C3%A4rz%3F%23&.txt");
	assert_int_equal(ts_drop_name_unescape(text, strlen(text), name), 0);
	assert_string_equal(name, odd);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(ts_drop_name_unescape(bad[i], strlen(bad[i]),
						       name), -EINVAL);
}

static void blocks(void **state)
{
	/* As upstream's node wrote it. */
	static const char line[] =
		"{\"checksum\":\"ba7816bf8f01cfea414140de5dae2223b00361a396177"
		"a9cb410ff61f20015ad\",\"algo\":\"sha256\",\"size\":3}\n";
	static const char *const bad[] = {
		"{}", "[]", "", "{\"checksum\":\"00\",\"algo\":\"sha256\","
		"\"size\":3}",
		"{\"checksum\":\"ba7816bf8f01cfea414140de5dae2223b00361a396177"
		"a9cb410ff61f20015ad\",\"algo\":\"md5\",\"size\":3}",
		"{\"checksum\":\"ba7816bf8f01cfea414140de5dae2223b00361a396177"
		"a9cb410ff61f20015ad\",\"algo\":\"sha256\",\"size\":65537}",
		"{\"checksum\":\"ba7816bf8f01cfea414140de5dae2223b00361a396177"
		"a9cb410ff61f20015ad\",\"algo\":\"sha256\",\"size\":-1}",
	};
	char out[TS_DROP_LINE_CAP];
	struct ts_drop_block b;

	(void)state;
	assert_int_equal(ts_drop_block_format("abc", 3, out), sizeof(line) - 1);
	assert_string_equal(out, line);
	assert_int_equal(ts_drop_block_parse(line, sizeof(line) - 1, &b), 0);
	assert_int_equal(b.len, 3);
	assert_true(ts_drop_block_is(&b, "abc", 3));
	assert_false(ts_drop_block_is(&b, "abd", 3));
	for (size_t cut = 0; cut < sizeof(line) - 2; cut++)
		assert_int_equal(ts_drop_block_parse(line, cut, &b), -EBADMSG);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(ts_drop_block_parse(bad[i], strlen(bad[i]),
						     &b), -EBADMSG);
}

static void ranges(void **state)
{
	static const char *const bad[] = {
		"", "bytes=-", "bytes=1-2", "bytes=-5", "bytes=1-,2-",
		"lines=1-", "bytes=1", "bytes=99999999999999999999-",
		"bytes= 1-", "bytes=0x1-",
	};
	uint64_t at;

	(void)state;
	assert_int_equal(ts_drop_range_parse("bytes=65536-", 12, &at), 0);
	assert_int_equal(at, 65536);
	assert_int_equal(ts_drop_range_parse("bytes=0-", 8, &at), 0);
	assert_int_equal(at, 0);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(ts_drop_range_parse(bad[i], strlen(bad[i]),
						     &at), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_that_are_good),
		cmocka_unit_test(names_that_are_not),
		cmocka_unit_test(the_next_name),
		cmocka_unit_test(names_of_parts),
		cmocka_unit_test(in_a_url),
		cmocka_unit_test(blocks),
		cmocka_unit_test(ranges),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
