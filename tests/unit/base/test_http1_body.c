/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/unit/test.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "core/base/http1_body.h"

struct taken {
	char text[256];
	size_t len, used;
	int err;
	bool is_whole;
};

/* A message's head, then its body in pieces of that many bytes. */
static struct taken take(const char *fields, const char *body, size_t len,
			 size_t piece)
{
	struct ts_http1_head head;
	struct ts_http1_body b;
	struct taken t = {.len = 0};
	char text[512];

	snprintf(text, sizeof(text), "PUT / HTTP/1.1\r\n%s\r\n", fields);
	assert_int_equal(ts_http1_read_request(text, strlen(text), &head), 0);
	t.err = ts_http1_body_init(&b, &head);
	while (!t.err && t.used < len && !ts_http1_body_is_whole(&b)) {
		size_t n = len - t.used < piece ? len - t.used : piece;
		const uint8_t *at = (const uint8_t *)body + t.used, *data;
		size_t left = n, data_len;

		do {
			t.err = ts_http1_body_read(&b, &at, &left, &data,
						   &data_len);
			memcpy(t.text + t.len, data, data_len);
			t.len += data_len;
		} while (!t.err && data_len > 0);
		t.used += n - left;
	}
	t.is_whole = !t.err && ts_http1_body_is_whole(&b);
	return t;
}

static void by_its_length(void **state)
{
	(void)state;
	for (size_t piece = 1; piece < 9; piece++) {
		struct taken t = take("Content-Length: 5\r\n", "helloPUT", 8,
				      piece);

		assert_true(t.is_whole);
		assert_int_equal(t.used, 5);
		assert_string_equal(t.text, "hello");
	}
	assert_false(take("Content-Length: 5\r\n", "hell", 4, 9).is_whole);
	assert_true(take("Content-Length: 0\r\n", "", 0, 9).is_whole);
	assert_true(take("", "", 0, 9).is_whole); /* a request has none */
}

#define CHUNKS "4;a=b\r\nWiki\r\n6\r\npedia \r\n00A\r\nin chunks.\r\n"

static void in_chunks(void **state)
{
	static const char whole[] = CHUNKS "0\r\nA: b\r\n\r\nGET";

	(void)state;
	for (size_t piece = 1; piece < sizeof(whole); piece++) {
		struct taken t = take("Transfer-Encoding: chunked\r\n", whole,
				      sizeof(whole) - 1, piece);

		assert_true(t.is_whole);
		assert_int_equal(t.used, sizeof(whole) - 4);
		assert_string_equal(t.text, "Wikipedia in chunks.");
	}
	for (size_t len = 0; len < sizeof(whole) - 4; len++)
		assert_false(take("Transfer-Encoding: chunked\r\n", whole, len,
				  7).is_whole);
}

static void chunks_that_are_none(void **state)
{
	static const char *const bad[] = {
		"x", "\r\n", ";\r\n", "-1\r\n", "4\r\nWikiX", "0x4\r\n",
		"fffffffffffffffff\r\n", "4 4\r\nWikiXX",
	};
	char line[512];

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(take("Transfer-Encoding: chunked\r\n", bad[i],
				      strlen(bad[i]), 99).err, -EBADMSG);
	memset(line, ';', sizeof(line));
	line[0] = '1';
	assert_int_equal(take("Transfer-Encoding: chunked\r\n", line,
			      sizeof(line), 99).err, -EBADMSG);
}

static void two_opinions(void **state)
{
	static const char *const bad[] = {
		"Content-Length: 5\r\nContent-Length: 5\r\n",
		"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
		"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
		"Transfer-Encoding: gzip\r\n",
		"Transfer-Encoding: gzip, chunked\r\n",
		"Content-Length: \r\n", "Content-Length: +5\r\n",
		"Content-Length: 5,5\r\n",
		"Content-Length: 9999999999999999999\r\n",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(take(bad[i], "hello", 5, 99).err, -EBADMSG);
}

static void a_response_ends_with_its_connection(void **state)
{
	static const char text[] = "HTTP/1.1 200 OK\r\n\r\n";
	static const char none[] = "HTTP/1.1 204 No Content\r\n\r\n";
	struct ts_http1_head head;
	struct ts_http1_body b;
	const uint8_t *at = (const uint8_t *)"abc", *data;
	size_t left = 3, len;

	(void)state;
	assert_int_equal(ts_http1_read_response(text, strlen(text), &head), 0);
	assert_int_equal(ts_http1_body_init(&b, &head), 0);
	assert_int_equal(ts_http1_body_read(&b, &at, &left, &data, &len), 0);
	assert_int_equal(len, 3);
	assert_false(ts_http1_body_is_whole(&b));
	assert_int_equal(ts_http1_read_response(none, strlen(none), &head), 0);
	assert_int_equal(ts_http1_body_init(&b, &head), 0);
	assert_true(ts_http1_body_is_whole(&b));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(by_its_length),
		cmocka_unit_test(in_chunks),
		cmocka_unit_test(chunks_that_are_none),
		cmocka_unit_test(two_opinions),
		cmocka_unit_test(a_response_ends_with_its_connection),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
