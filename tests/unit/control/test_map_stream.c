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
#include <zstd.h>

#include "core/control/map_stream.h"

struct notes {
	struct ts_map_stream stream;
	unsigned messages, keep_alives;
	size_t last_len;
	char last[64];
	int answer; /* of message() */
};

static int on_message(void *ctx, const char *json, size_t len)
{
	struct notes *n = ctx;

	n->messages++;
	n->last_len = len;
	snprintf(n->last, sizeof(n->last), "%.*s", (int)(len < 63 ? len : 63),
		 json);
	return n->answer;
}

static void on_keep_alive(void *ctx)
{
	((struct notes *)ctx)->keep_alives++;
}

static int setup(void **state)
{
	static const struct ts_map_stream_ops ops = {on_message,
						     on_keep_alive};
	struct notes *n = calloc(1, sizeof(*n));

	ts_map_stream_init(&n->stream, &ops, n);
	*state = n;
	return 0;
}

static int teardown(void **state)
{
	struct notes *n = *state;

	ts_map_stream_deinit(&n->stream);
	free(n);
	return 0;
}

static void put_size(uint8_t *out, size_t size)
{
	for (int i = 0; i < 4; i++)
		out[i] = (uint8_t)(size >> 8 * i);
}

/* Heap. with_size: the frame says how long its contents are. */
static uint8_t *frame(const void *data, size_t data_len, bool with_size,
		      size_t *len)
{
	size_t bound = ZSTD_compressBound(data_len), n;
	uint8_t *out = malloc(4 + bound);
	ZSTD_CCtx *cctx = ZSTD_createCCtx();

	ZSTD_CCtx_setParameter(cctx, ZSTD_c_contentSizeFlag, with_size);
	ZSTD_CCtx_setParameter(cctx, ZSTD_c_checksumFlag, 1);
	n = ZSTD_compress2(cctx, out + 4, bound, data, data_len);
	ZSTD_freeCCtx(cctx);
	assert_false(ZSTD_isError(n));
	put_size(out, n);
	*len = n + 4;
	return out;
}

static int input(struct notes *n, const uint8_t *data, size_t len)
{
	return ts_map_stream_input(&n->stream, data, len);
}

static void messages_come_out_whole_at_any_cut(void **state)
{
	struct notes *n = *state;
	size_t len;
	uint8_t *bytes = frame("{\"a\":1}", 7, true, &len);

	for (size_t cut = 0; cut <= len; cut++) {
		unsigned before = n->messages;

		assert_int_equal(input(n, bytes, cut), 0);
		assert_int_equal(n->messages - before, cut == len);
		assert_int_equal(ts_map_stream_is_partial(&n->stream),
				 cut > 0 && cut < len);
		assert_int_equal(input(n, bytes + cut, len - cut), 0);
		assert_int_equal(n->messages - before, 1);
		assert_string_equal(n->last, "{\"a\":1}");
	}
	free(bytes);
}

static void contents_of_unknown_and_large_size_come_out(void **state)
{
	struct notes *n = *state;
	size_t len, big = 5 << 20;
	char *data = malloc(big);
	uint8_t *bytes;

	for (size_t i = 0; i < big; i++)
		data[i] = (char)('a' + i * i % 23);
	for (int with_size = 0; with_size < 2; with_size++) {
		bytes = frame(data, big, with_size, &len);
		assert_int_equal(input(n, bytes, len), 0);
		assert_int_equal(n->last_len, big);
		free(bytes);
	}
	free(data);
}

static void concatenated_frames_are_one_message(void **state)
{
	struct notes *n = *state;
	size_t a_len, b_len;
	uint8_t *a = frame("{\"a\"", 4, true, &a_len);
	uint8_t *b = frame(":1}", 3, false, &b_len);
	uint8_t *both = malloc(a_len + b_len - 4);

	memcpy(both, a, a_len);
	memcpy(both + a_len, b + 4, b_len - 4);
	put_size(both, a_len + b_len - 8);
	assert_int_equal(input(n, both, a_len + b_len - 4), 0);
	assert_string_equal(n->last, "{\"a\":1}");
	free(a);
	free(b);
	free(both);
}

static void a_known_keep_alive_is_not_decoded(void **state)
{
	struct notes *n = *state;
	size_t len;
	uint8_t *bytes = frame("{\"KeepAlive\":true}", 18, true, &len);

	n->answer = TS_MAP_KEEP_ALIVE;
	assert_int_equal(input(n, bytes, len), 0);
	assert_int_equal(input(n, bytes, len), 0);
	assert_int_equal(input(n, bytes, len), 0);
	assert_int_equal(n->messages, 1);
	assert_int_equal(n->keep_alives, 2);
	free(bytes);
}

static void stop_holds_what_follows(void **state)
{
	struct notes *n = *state;
	size_t len;
	uint8_t *bytes = frame("{}", 2, true, &len);

	n->answer = TS_MAP_STOP;
	assert_int_equal(input(n, bytes, len), 0);
	assert_int_equal(input(n, bytes, len), 0);
	assert_int_equal(input(n, bytes, len), 0);
	assert_int_equal(n->messages, 1);
	n->answer = TS_MAP_MESSAGE;
	assert_int_equal(ts_map_stream_resume(&n->stream), 0);
	assert_int_equal(n->messages, 3);
	free(bytes);
}

static void an_error_of_the_listener_ends_the_stream(void **state)
{
	struct notes *n = *state;
	size_t len;
	uint8_t *bytes = frame("{}", 2, true, &len);

	n->answer = -EBADMSG;
	assert_int_equal(input(n, bytes, len), -EBADMSG);
	free(bytes);
}

static void huge_and_empty_sizes_are_refused(void **state)
{
	struct notes *n = *state;
	static const uint8_t huge[] = {1, 0, 0, 0x10}, empty[] = {0, 0, 0, 0};

	assert_int_equal(input(n, huge, 4), -EMSGSIZE);
	ts_byte_queue_clear(&n->stream.in);
	assert_int_equal(input(n, empty, 4), -EBADMSG);
}

static void damaged_frames_are_refused(void **state)
{
	struct notes *n = *state;
	size_t len;
	uint8_t *bytes = frame("{\"abcdefgh\":12345678}", 21, true, &len);

	for (size_t i = 4; i < len; i++) {
		bytes[i] ^= 0x10;
		/* The checksum finds what the format does not; a bit of the
		 * header may also be of no consequence. */
		if (input(n, bytes, len) == 0)
			assert_string_equal(n->last,
					    "{\"abcdefgh\":12345678}");
		bytes[i] ^= 0x10;
		ts_byte_queue_clear(&n->stream.in);
	}
	for (size_t cut = 1; cut < len - 4; cut++) {
		put_size(bytes, cut);
		assert_int_equal(input(n, bytes, cut + 4), -EBADMSG);
		ts_byte_queue_clear(&n->stream.in);
	}
	free(bytes);
}

/* 300 MB of zeros are a few kilobytes of zstd. */
static void a_bomb_stops_at_the_limit(void **state)
{
	struct notes *n = *state;
	size_t chunk = 1 << 20, room = ZSTD_compressBound(chunk);
	ZSTD_CCtx *cctx = ZSTD_createCCtx();
	uint8_t *zeros = calloc(1, chunk), *bytes = malloc(4 + room);
	ZSTD_outBuffer out = {bytes + 4, room, 0};

	for (int i = 0; i < 300; i++) {
		ZSTD_inBuffer in = {zeros, chunk, 0};

		ZSTD_compressStream2(cctx, &out, &in,
				     i == 299 ? ZSTD_e_end : ZSTD_e_continue);
	}
	put_size(bytes, out.pos);
	assert_int_equal(input(n, bytes, out.pos + 4), -EMSGSIZE);
	assert_int_equal(n->messages, 0);
	ZSTD_freeCCtx(cctx);
	free(zeros);
	free(bytes);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		CASE(messages_come_out_whole_at_any_cut),
		CASE(contents_of_unknown_and_large_size_come_out),
		CASE(concatenated_frames_are_one_message),
		CASE(a_known_keep_alive_is_not_decoded),
		CASE(stop_holds_what_follows),
		CASE(an_error_of_the_listener_ends_the_stream),
		CASE(huge_and_empty_sizes_are_refused),
		CASE(damaged_frames_are_refused),
		CASE(a_bomb_stops_at_the_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
