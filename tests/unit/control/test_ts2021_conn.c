/* SPDX-License-Identifier: BSD-3-Clause
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>

#include "core/base/byte_queue.h"
#include "core/base/encode.h"
#include "core/control/ts2021_conn.h"
#include "core/control/ts2021_noise.h"
#include "core/crypto/secret.h"

static const char SWITCHING[] = "HTTP/1.1 101 Switching Protocols\r\n"
				"upgrade: Tailscale-Control-Protocol\r\n"
				"Connection: upgrade\r\n\r\n";

/* One connection, and what the server will have said. */
struct fixture {
	struct ts_private_key control;
	struct ts_ts2021_conn *conn;
	struct ts_noise_session server;
	struct ts_byte_queue written, stream;
	bool is_opened;
	int stream_answer;
};

static void on_write(void *ctx, const uint8_t *data, size_t len)
{
	ts_byte_queue_push(&((struct fixture *)ctx)->written, data, len);
}

static int on_opened(void *ctx)
{
	((struct fixture *)ctx)->is_opened = true;
	return 0;
}

static int on_stream(void *ctx, const uint8_t *data, size_t len)
{
	struct fixture *f = ctx;

	ts_byte_queue_push(&f->stream, data, len);
	return f->stream_answer;
}

static struct fixture *fixture_new(void)
{
	static const struct ts_ts2021_ops ops = {on_write, on_opened,
						 on_stream};
	struct ts_ts2021_config config = {.authority = "h:1", .version = 145};
	struct fixture *f = calloc(1, sizeof(*f));

	ts_private_key_generate(&f->control);
	ts_private_key_generate(&config.machine_key);
	ts_public_key_from_private(&f->control, &config.server_key);
	ts_byte_queue_init(&f->written, 1 << 20);
	ts_byte_queue_init(&f->stream, 1 << 26);
	f->conn = ts_ts2021_new(&config, &ops, f);
	assert_int_equal(ts_ts2021_start(f->conn), 0);
	return f;
}

static void fixture_free(struct fixture *f)
{
	ts_ts2021_free(f->conn);
	ts_noise_session_deinit(&f->server);
	ts_byte_queue_deinit(&f->written);
	ts_byte_queue_deinit(&f->stream);
	free(f);
}

/* The server's answer to the request: 101 and the Noise response. */
static size_t answer(struct fixture *f, uint8_t *out)
{
	const char *request = (const char *)ts_byte_queue_data(&f->written);
	const char *header = memmem(request, ts_byte_queue_len(&f->written),
				    "Handshake: ", 11);
	size_t len;
	uint8_t *initiation;

	assert_non_null(header);
	assert_int_equal(ts_base64_decode(header + 11, 136, &initiation, &len),
			 0);
	memcpy(out, SWITCHING, strlen(SWITCHING));
	assert_int_equal(ts_noise_respond(&f->control, NULL, initiation,
					  out + strlen(SWITCHING), &f->server),
			 0);
	free(initiation);
	ts_byte_queue_clear(&f->written);
	return strlen(SWITCHING) + TS_NOISE_RESPONSE_LEN;
}

static size_t add_record(struct fixture *f, uint8_t *out, const void *data,
			 size_t len)
{
	assert_int_equal(ts_noise_seal_record(&f->server, data, len, out), 0);
	return len + TS_NOISE_RECORD_OVERHEAD;
}

static int input(struct fixture *f, const uint8_t *data, size_t len)
{
	return ts_ts2021_input(f->conn, data, len);
}

static void assert_stream(struct fixture *f, const char *expected)
{
	assert_int_equal(ts_byte_queue_len(&f->stream), strlen(expected));
	assert_memory_equal(ts_byte_queue_data(&f->stream), expected,
			    strlen(expected));
}

static void the_request_is_as_the_server_wants_it(void **state)
{
	struct fixture *f = fixture_new();
	const char *text = (const char *)ts_byte_queue_data(&f->written);

	(void)state;
	assert_memory_equal(text, "POST /ts2021 HTTP/1.1\r\nHost: h:1\r\n", 34);
	assert_non_null(memmem(text, ts_byte_queue_len(&f->written),
			       "\r\nContent-Length: 0\r\n\r\n", 23));
	assert_int_equal(ts_ts2021_send(f->conn, (const uint8_t *)"x", 1),
			 -EPROTO);
	fixture_free(f);
}

/* The same bytes in two pieces, cut anywhere. */
static void check_cuts(const char *early, size_t early_len)
{
	for (size_t cut = 0; cut < 260; cut++) {
		struct fixture *f = fixture_new();
		uint8_t bytes[2048];
		size_t len = answer(f, bytes);

		if (early_len)
			len += add_record(f, bytes + len, early, early_len);
		len += add_record(f, bytes + len, "", 0);
		len += add_record(f, bytes + len, "12345", 5);
		len += add_record(f, bytes + len, "6789abc", 7);
		assert_int_equal(input(f, bytes, cut < len ? cut : len), 0);
		if (cut < len)
			assert_int_equal(input(f, bytes + cut, len - cut), 0);
		assert_true(f->is_opened);
		assert_stream(f, "123456789abc");
		fixture_free(f);
	}
}

static void a_stream_without_early_payload_at_any_cut(void **state)
{
	(void)state;
	check_cuts(NULL, 0);
}

static void a_stream_with_early_payload_at_any_cut(void **state)
{
	(void)state;
	check_cuts("\xff\xff\xffTS\0\0\0\x02{}", 11);
}

static void early_payload_and_stream_may_share_a_record(void **state)
{
	static const char data[] = "\xff\xff\xffTS\0\0\0\x07{\"a\":1}HTTP/2";
	struct fixture *f = fixture_new();
	uint8_t bytes[2048];
	size_t len = answer(f, bytes);

	(void)state;
	len += add_record(f, bytes + len, data, sizeof(data) - 1);
	assert_int_equal(input(f, bytes, len), 0);
	assert_stream(f, "HTTP/2");
	fixture_free(f);
}

static void bad_early_payloads_end_it(void **state)
{
	static const struct {
		const char *data;
		size_t len;
		int err;
	} cases[] = {
		{"\xff\xff\xffTS\0\0\0\x02[]", 11, -EBADMSG},
		{"\xff\xff\xffTS\0\0\0\x01{", 10, -EBADMSG},
		{"\xff\xff\xffTS\0\0\0\0", 9, -EBADMSG},
		{"\xff\xff\xffTS\0\0\0\x03{}x", 12, -EBADMSG},
		{"\xff\xff\xffTS\0\xa0\0\x01", 9, -EMSGSIZE},
		{"\xff\xff\xffTS\xff\xff\xff\xff", 9, -EMSGSIZE},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct fixture *f = fixture_new();
		uint8_t bytes[2048];
		size_t len = answer(f, bytes);

		len += add_record(f, bytes + len, cases[i].data,
				  cases[i].len);
		assert_int_equal(input(f, bytes, len), cases[i].err);
		assert_int_equal(input(f, bytes, 1), -EPROTO);
		fixture_free(f);
	}
}

static void large_data_goes_through_both_ways(void **state)
{
	struct fixture *f = fixture_new();
	uint8_t bytes[TS_NOISE_FRAME_MAX], plain[TS_NOISE_PLAIN_MAX];
	size_t len = answer(f, bytes), total = 1 << 20, got = 0, plain_len;
	uint8_t *data = malloc(total);
	int used;

	(void)state;
	ts_random_bytes(data, total);
	assert_int_equal(input(f, bytes, len), 0);
	for (size_t at = 0; at < total;) {
		size_t n = total - at < TS_NOISE_PLAIN_MAX
				   ? total - at
				   : TS_NOISE_PLAIN_MAX;

		len = add_record(f, bytes, data + at, n);
		assert_int_equal(input(f, bytes, len), 0);
		at += n;
	}
	assert_int_equal(ts_byte_queue_len(&f->stream), total);
	assert_memory_equal(ts_byte_queue_data(&f->stream), data, total);

	total = 100000;
	assert_int_equal(ts_ts2021_send(f->conn, data, total), 0);
	while ((used = ts_noise_open_record(
			&f->server, ts_byte_queue_data(&f->written),
			ts_byte_queue_len(&f->written), plain, &plain_len)) >
	       0) {
		assert_memory_equal(plain, data + got, plain_len);
		got += plain_len;
		ts_byte_queue_drop(&f->written, (size_t)used);
	}
	assert_int_equal(got, total);
	free(data);
	fixture_free(f);
}

static void hostile_answers_end_it_with_a_reason(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
		const char *error;
	} cases[] = {
		{"HTTP/1.1 403 Forbidden\r\n\r\n", 26,
		 "upgrade refused: http 403"},
		{"HTTP/1.1 101 x\r\n\r\n", 18, "upgraded to another protocol"},
		{"HTTP/1.1 101 x\r\nUpgrade: websocket\r\n\r\n", 38,
		 "upgraded to another protocol"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct fixture *f = fixture_new();

		assert_true(input(f, (const uint8_t *)cases[i].bytes,
				  cases[i].len) < 0);
		assert_string_equal(ts_ts2021_error(f->conn), cases[i].error);
		fixture_free(f);
	}
}

static void an_endless_head_is_refused(void **state)
{
	struct fixture *f = fixture_new();
	char line[] = "X-Filler: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n";
	int err = input(f, (const uint8_t *)"HTTP/1.1 101 x\r\n", 16);

	(void)state;
	for (int i = 0; i < 10000 && !err; i++)
		err = input(f, (const uint8_t *)line, strlen(line));
	assert_true(err < 0);
	fixture_free(f);
}

static void a_noise_error_is_quoted_and_cleaned(void **state)
{
	struct fixture *f = fixture_new();
	uint8_t bytes[256];
	size_t n = strlen(SWITCHING);

	(void)state;
	memcpy(bytes, SWITCHING, n);
	memcpy(bytes + n, "\x03\x00\x07go\naway", 10);
	for (size_t cut = n; cut < n + 9; cut++) {
		struct fixture *g = fixture_new();

		assert_int_equal(input(g, bytes, cut), 0);
		fixture_free(g);
	}
	assert_int_equal(input(f, bytes, n + 10), -EACCES);
	assert_string_equal(ts_ts2021_error(f->conn),
			    "server error: \"go away\"");
	fixture_free(f);
}

static void an_error_of_the_listener_ends_it(void **state)
{
	struct fixture *f = fixture_new();
	uint8_t bytes[2048];
	size_t len = answer(f, bytes);

	(void)state;
	f->stream_answer = -EBADMSG;
	len += add_record(f, bytes + len, "123456789", 9);
	assert_int_equal(input(f, bytes, len), -EBADMSG);
	assert_false(ts_ts2021_is_open(f->conn));
	fixture_free(f);
}

static int setup(void **state)
{
	(void)state;
	return ts_crypto_init();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_request_is_as_the_server_wants_it),
		cmocka_unit_test(a_stream_without_early_payload_at_any_cut),
		cmocka_unit_test(a_stream_with_early_payload_at_any_cut),
		cmocka_unit_test(early_payload_and_stream_may_share_a_record),
		cmocka_unit_test(bad_early_payloads_end_it),
		cmocka_unit_test(large_data_goes_through_both_ways),
		cmocka_unit_test(hostile_answers_end_it_with_a_reason),
		cmocka_unit_test(an_endless_head_is_refused),
		cmocka_unit_test(a_noise_error_is_quoted_and_cleaned),
		cmocka_unit_test(an_error_of_the_listener_ends_it),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
