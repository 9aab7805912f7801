/* SPDX-License-Identifier: BSD-3-Clause
 * test_http_body.c - where bodies end, and which heads leave that open
 */
#include "tests/unit/test.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/http_body.h"

struct taken {
	char text[256];
	size_t len, used;
	int err;
	bool is_done;
};

static void read_body(struct ts_http_body *body, const char *text, size_t len,
		      size_t piece, struct taken *t)
{
	while (!t->err && t->used < len && !body->is_done) {
		size_t n = len - t->used < piece ? len - t->used : piece;
		const uint8_t *payload;
		size_t payload_len;
		ssize_t took = ts_http_body_next(
			body, (const uint8_t *)text + t->used, n, &payload,
			&payload_len);

		if (took < 0) {
			t->err = (int)took;
			return;
		}
		assert_true(took > 0);
		memcpy(t->text + t->len, payload, payload_len);
		t->len += payload_len;
		t->used += (size_t)took;
	}
	t->is_done = body->is_done;
}

/* A request's fields, then its body in pieces of that many bytes. */
static struct taken take(const char *version, const char *fields,
			 const char *body, size_t len, size_t piece)
{
	struct ts_http1_head head;
	struct ts_http_body b;
	struct taken t = {.len = 0};
	char text[512];

	snprintf(text, sizeof(text), "PUT / HTTP/%s\r\n%s\r\n", version,
		 fields);
	assert_int_equal(ts_http1_read_request(text, strlen(text), &head), 0);
	t.err = ts_http_body_of_request(&head, &b);
	read_body(&b, body, len, piece, &t);
	return t;
}

static struct taken chunks(const char *text, size_t piece)
{
	return take("1.1", "Transfer-Encoding: chunked\r\n", text,
		    strlen(text), piece);
}

static void by_its_length(void **state)
{
	static const char fields[] = "Content-Length: 5\r\n";

	(void)state;
	for (size_t piece = 1; piece < 9; piece++) {
		struct taken t = take("1.1", fields, "helloPUT", 8, piece);

		assert_true(t.is_done);
		assert_int_equal(t.used, 5);
		assert_string_equal(t.text, "hello");
	}
	assert_false(take("1.1", fields, "hell", 4, 9).is_done);
	assert_true(take("1.1", "Content-Length: 0\r\n", "", 0, 9).is_done);
	assert_true(take("1.1", "", "", 0, 9).is_done); /* it has none */
}

#define CHUNKS "4;a=b\r\nWiki\r\n6 \t;a\r\npedia \r\n00A\t\r\nin chunks.\r\n"

static void chunks_are_put_together(void **state)
{
	static const char whole[] = CHUNKS "0\r\nA: b\r\nB:\r\n\r\nGET";

	(void)state;
	for (size_t piece = 1; piece < sizeof(whole); piece++) {
		struct taken t = chunks(whole, piece);

		assert_true(t.is_done);
		assert_int_equal(t.used, sizeof(whole) - 4);
		assert_string_equal(t.text, "Wikipedia in chunks.");
	}
	for (size_t len = 0; len < sizeof(whole) - 4; len++)
		assert_false(take("1.1", "Transfer-Encoding: chunked\r\n",
				  whole, len, 7).is_done);
}

static void odd_chunks_are_refused(void **state)
{
	static const char *const wrong[] = {
		"\r\n", "x\r\n", ";\r\n", "-1\r\n", "+1\r\n",
		"0x5\r\nhello\r\n", "5\nhello\r\n", "5\rhello\r\n",
		"5\r\nhelloX\r\n", "5\r\nhello\n", "5\r\nhello\r5",
		"1234567890abcdef0\r\n", "5;a\nb\r\n", "5;a\rb\r\n",
		"0\r\nX: y\n\r\n", "0\r\nX: y\rZ: 1\r\n\r\n", "0\r\n\n",
		"5 5\r\nhello\r\n", "5 x\r\nhello\r\n", " 5\r\nhello\r\n",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		if (chunks(wrong[i], 64).err != -EBADMSG)
			fail_msg("%s", wrong[i]);
}

static void endless_lines_end(void **state)
{
	static const char *const beginnings[] = {"5;", "5 ", "0\r\n"};
	char *text = malloc(20000);

	(void)state;
	text[19999] = '\0';
	for (size_t i = 0; i < 3; i++) {
		memset(text, i == 1 ? ' ' : 'a', 19999);
		memcpy(text, beginnings[i], strlen(beginnings[i]));
		assert_int_equal(chunks(text, 20000).err, -EMSGSIZE);
	}
	free(text);
}

static void two_opinions(void **state)
{
	static const struct {
		const char *version, *fields;
		int err;
	} cases[] = {
		{"1.1", "Content-Length: 5\r\nContent-Length: 5\r\n", -EBADMSG},
		{"1.1", "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
		 -EBADMSG},
		{"1.1", "Transfer-Encoding: chunked\r\n"
			"Transfer-Encoding: chunked\r\n", -EBADMSG},
		{"1.1", "Transfer-Encoding: gzip\r\n", -EOPNOTSUPP},
		{"1.1", "Transfer-Encoding: gzip, chunked\r\n", -EOPNOTSUPP},
		{"1.1", "Transfer-Encoding: \r\n", -EOPNOTSUPP},
		{"1.0", "Transfer-Encoding: chunked\r\n", -EBADMSG},
		{"1.1", "Content-Length: \r\n", -EBADMSG},
		{"1.1", "Content-Length: +5\r\n", -EBADMSG},
		{"1.1", "Content-Length: 5,5\r\n", -EBADMSG},
		{"1.1", "Content-Length: 9999999999999999999\r\n", -EBADMSG},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (take(cases[i].version, cases[i].fields, "hello", 5, 99)
			    .err != cases[i].err)
			fail_msg("%s", cases[i].fields);
}

static void answers_end_as_their_heads_say(void **state)
{
	static const struct {
		const char *text;
		bool is_head;
		int err;
		enum ts_http_body_kind kind;
	} cases[] = {
		{"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", false, 0,
		 TS_BODY_LENGTH},
		{"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", true, 0,
		 TS_BODY_NONE},
		{"HTTP/1.1 304 Not Modified\r\nContent-Length: 3\r\n\r\n",
		 false, 0, TS_BODY_NONE},
		{"HTTP/1.1 204 No Content\r\n\r\n", false, 0, TS_BODY_NONE},
		{"HTTP/1.1 103 Early Hints\r\n\r\n", false, 0, TS_BODY_NONE},
		{"HTTP/1.1 200 OK\r\n\r\n", false, 0, TS_BODY_TO_END},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"
		 "Content-Length: 3\r\n\r\n", false, 0, TS_BODY_CHUNKED},
		{"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
		 false, -EBADMSG, TS_BODY_CHUNKED},
		{"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n"
		 "Content-Length: 4\r\n\r\n", false, -EBADMSG, TS_BODY_LENGTH},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct ts_http1_head head;
		struct ts_http_body body;

		assert_int_equal(ts_http1_read_response(
			cases[i].text, strlen(cases[i].text), &head), 0);
		assert_int_equal(ts_http_body_of_response(
			&head, cases[i].is_head, &body), cases[i].err);
		if (!cases[i].err)
			assert_int_equal(body.kind, cases[i].kind);
	}
}

static void to_the_end_of_the_connection(void **state)
{
	static const char text[] = "HTTP/1.1 200 OK\r\n\r\n";
	struct ts_http1_head head;
	struct ts_http_body body;
	struct taken t = {.len = 0};

	(void)state;
	assert_int_equal(ts_http1_read_response(text, strlen(text), &head), 0);
	assert_int_equal(ts_http_body_of_response(&head, false, &body), 0);
	read_body(&body, "abc", 3, 2, &t);
	assert_string_equal(t.text, "abc");
	assert_false(t.is_done);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(by_its_length),
		cmocka_unit_test(chunks_are_put_together),
		cmocka_unit_test(odd_chunks_are_refused),
		cmocka_unit_test(endless_lines_end),
		cmocka_unit_test(two_opinions),
		cmocka_unit_test(answers_end_as_their_heads_say),
		cmocka_unit_test(to_the_end_of_the_connection),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
