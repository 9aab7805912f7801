/* SPDX-License-Identifier: BSD-3-Clause
 * byte_queue, key_map, encode, http1, log: the small things of core/base */
#include "unit/test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/byte_queue.h"
#include "core/base/encode.h"
#include "core/base/http1.h"
#include "core/base/key_map.h"
#include "core/base/log.h"

static void a_queue_keeps_order_and_limit(void **state)
{
	struct ts_byte_queue q;
	uint8_t chunk[1000];
	uint8_t next_in = 0, next_out = 0;

	(void)state;
	ts_byte_queue_init(&q, 50000);
	for (int round = 0; round < 500; round++) {
		for (size_t i = 0; i < sizeof(chunk); i++)
			chunk[i] = next_in++;
		if (ts_byte_queue_push(&q, chunk, sizeof(chunk)))
			next_in = (uint8_t)(next_in - sizeof(chunk));
		for (int i = 0; i < 990 && ts_byte_queue_len(&q) > 0; i++) {
			assert_int_equal(*ts_byte_queue_data(&q), next_out++);
			ts_byte_queue_drop(&q, 1);
		}
	}
	assert_true(ts_byte_queue_len(&q) <= 50000);
	assert_int_equal(ts_byte_queue_push(&q, chunk, SIZE_MAX), -EMSGSIZE);
	ts_byte_queue_deinit(&q);
}

static void a_map_finds_what_was_put_and_not_taken(void **state)
{
	enum { N = 5000 };
	static int values[N];
	struct ts_key_map m;
	size_t pos = 0, seen = 0;

	(void)state;
	ts_key_map_init(&m, sizeof(uint32_t), 42);
	assert_null(ts_key_map_get(&m, &(uint32_t){1}));
	for (uint32_t i = 0; i < N; i++)
		assert_int_equal(ts_key_map_put(&m, &i, &values[i]), 0);
	for (uint32_t i = 0; i < N; i += 3)
		assert_ptr_equal(ts_key_map_take(&m, &i), &values[i]);
	for (uint32_t i = 0; i < N; i++)
		assert_ptr_equal(ts_key_map_get(&m, &i),
				 i % 3 ? &values[i] : NULL);
	while (ts_key_map_next(&m, &pos))
		seen++;
	assert_int_equal(seen, m.len);
	ts_key_map_deinit(&m);
}

/* RFC 4648 section 10 */
static void encodings_match_the_rfc(void **state)
{
	static const char *const vectors[][2] = {
		{"", ""},	  {"f", "Zg=="},	{"fo", "Zm8="},
		{"foo", "Zm9v"},  {"foob", "Zm9vYg=="}, {"foobar", "Zm9vYmFy"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
		const char *plain = vectors[i][0];
		size_t len = strlen(plain), out_len;
		char *b64 = ts_base64_encode(plain, len);
		uint8_t *back;

		assert_string_equal(b64, vectors[i][1]);
		assert_int_equal(ts_base64_decode(b64, strlen(b64), &back,
						  &out_len), 0);
		assert_int_equal(out_len, len);
		assert_memory_equal(back, plain, len);
		free(back);
		free(b64);
	}
}

static void bad_encodings_are_refused(void **state)
{
	static const char *const bad[] = {
		"Z", "Zg=", "Zg==Zg==", "Z===", "Zm9*", "====", "Zm=v"};
	uint8_t *out, raw[2];
	size_t len;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(ts_base64_decode(bad[i], strlen(bad[i]), &out,
						  &len), -EBADMSG);
	assert_int_equal(ts_hex_decode("0g", 2, raw, 1), -EBADMSG);
	assert_int_equal(ts_hex_decode("0", 1, raw, 1), -EBADMSG);
	assert_int_equal(ts_hex_decode("aBcD", 4, raw, 2), 0);
	assert_memory_equal(raw, "\xab\xcd", 2);
}

static const char response[] = "HTTP/1.1 101 Switching Protocols\r\n"
			       "Upgrade: tailscale-control-protocol\r\n"
			       "X-Empty:\r\n\r\nrest";

static void a_response_head_is_read(void **state)
{
	struct ts_http1_head head;

	(void)state;
	assert_int_equal(ts_http1_read_response(response, sizeof(response) - 1,
						&head), 0);
	assert_int_equal(head.status, 101);
	assert_int_equal(head.head_len, sizeof(response) - 1 - 4);
	assert_true(ts_http1_value_is(ts_http1_find(&head, "upgrade"),
				      "Tailscale-Control-Protocol"));
	assert_true(ts_http1_value_is(ts_http1_find(&head, "X-EMPTY"), ""));
	assert_null(ts_http1_find(&head, "X-Emp"));
}

static void a_cut_response_head_wants_more(void **state)
{
	struct ts_http1_head head;

	(void)state;
	for (size_t cut = 0; cut < sizeof(response) - 1 - 4; cut++)
		assert_int_equal(ts_http1_read_response(response, cut, &head),
				 -EAGAIN);
}

static void bad_heads_are_refused(void **state)
{
	static const char *const bad[] = {
		"HTTP/2 200 OK\r\n\r\n", "HTTP/1.1 20 OK\r\n\r\n",
		"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
		"HTTP/1.1 200 OK\r\n folded: x\r\n\r\n",
		"HTTP/1.1 200 OK\r\nspace : x\r\n\r\n", "\r\n\r\n",
		"HTTP/1.x 200 OK\r\n\r\n",
		"HTTP/1.1 200 OK\r\nX: a\rB: b\r\n\r\n"};
	static char huge[TS_HTTP1_HEAD_MAX + 2];
	struct ts_http1_head head;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(ts_http1_read_response(bad[i], strlen(bad[i]),
							&head), -EBADMSG);
	memset(huge, 'a', sizeof(huge));
	assert_int_equal(ts_http1_read_response(huge, sizeof(huge), &head),
			 -EMSGSIZE);
}

static void a_request_head_is_read(void **state)
{
	static const char in[] = "POST /ts2021 HTTP/1.1\r\nHost: x\r\n\r\n";
	struct ts_http1_head head;

	(void)state;
	assert_int_equal(ts_http1_read_request(in, sizeof(in) - 1, &head), 0);
	assert_memory_equal(head.method, "POST", head.method_len);
	assert_memory_equal(head.target, "/ts2021", head.target_len);
	assert_int_equal(head.minor, 1);
	assert_int_equal(ts_http1_count(&head, "hOST"), 1);
}

/* What the next reader could take for something else. */
static void bad_request_heads_are_refused(void **state)
{
	static const char *const bad[] = {
		"GET  HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\n\n",
		"GET / HTTP/1.1\r\nX: y\n\r\n", "GET / HTTP/1.1\r\nX: y\r\n\n",
		"GET / HTTP/1.1\r\nX: a\rB: b\r\n\r\n",
		"GET / HTTP/1.1\r\nX: a\r\r\n\r\n",
		"GET / HTTP/1.1\r\nX: a\x01\r\n\r\n",
		"GET / HTTP/1.1\r\nX : a\r\n\r\n",
		"GET / HTTP/1.1\r\nX: a\r\n b\r\n\r\n",
		"GET / HTTP/1.1\r\n: a\r\n\r\n",
		"GET /\x01 HTTP/1.1\r\n\r\n", "GET /\ta HTTP/1.1\r\n\r\n",
		"G(T / HTTP/1.1\r\n\r\n", "GET / HTTP/1.x\r\n\r\n"};
	struct ts_http1_head head;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (ts_http1_read_request(bad[i], strlen(bad[i]), &head) !=
		    -EBADMSG)
			fail_msg("%s", bad[i]);
}

static char last_line[256];

static void keep_line(void *ctx, enum ts_log_level level, const char *line)
{
	(void)ctx;
	(void)level;
	snprintf(last_line, sizeof(last_line), "%s", line);
}

static void a_log_line_cannot_be_forged(void **state)
{
	(void)state;
	ts_log_set_sink(keep_line, NULL);
	log_warn("server said: %s", "bad\nerror fake line\033[2J");
	ts_log_set_sink(NULL, NULL);
	assert_string_equal(last_line,
			    "server said: bad?error fake line?[2J");
}

static void a_log_limit_lets_a_burst_through_then_one_a_second(void **state)
{
	struct ts_log_limit limit = {0};
	int lines = 0;

	(void)state;
	for (int i = 0; i < 100; i++)
		lines += ts_log_allowed(&limit, 5000);
	assert_int_equal(lines, 5);
	assert_true(ts_log_allowed(&limit, 6000));
	assert_false(ts_log_allowed(&limit, 6001));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_queue_keeps_order_and_limit),
		cmocka_unit_test(a_map_finds_what_was_put_and_not_taken),
		cmocka_unit_test(encodings_match_the_rfc),
		cmocka_unit_test(bad_encodings_are_refused),
		cmocka_unit_test(a_response_head_is_read),
		cmocka_unit_test(a_cut_response_head_wants_more),
		cmocka_unit_test(bad_heads_are_refused),
		cmocka_unit_test(a_request_head_is_read),
		cmocka_unit_test(bad_request_heads_are_refused),
		cmocka_unit_test(a_log_line_cannot_be_forged),
		cmocka_unit_test(
			a_log_limit_lets_a_burst_through_then_one_a_second),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
