/* SPDX-License-Identifier: BSD-3-Clause
 * test_h2_backend.c - a backend of HTTP/2 as one of HTTP/1.1, with nghttp2 as
 * the backend
 */
#include "../test.h"

#include <errno.h>
#include <nghttp2/nghttp2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/err.h"
#include "core/serve/h2_backend.h"

static struct {
	struct ts_h2_backend *h2;
	nghttp2_session *server;
	/* What the backend got. */
	char fields[4096], body[8192];
	size_t body_len;
	int32_t id; /* of the last stream */
	bool has_ended;
	/* What it sends. */
	size_t left;
	bool has_trailers;
} t;

#define NV(n, v) {.name = (uint8_t *)(uintptr_t)(n), .namelen = strlen(n), \
		  .value = (uint8_t *)(uintptr_t)(v), .valuelen = strlen(v)}

static int on_header(nghttp2_session *s, const nghttp2_frame *frame,
		     const uint8_t *name, size_t name_len,
		     const uint8_t *value, size_t value_len, uint8_t flags,
		     void *user)
{
	size_t at = strlen(t.fields);

	(void)s;
	(void)flags;
	(void)user;
	t.id = frame->hd.stream_id;
	snprintf(t.fields + at, sizeof(t.fields) - at, "%.*s: %.*s\n",
		 (int)name_len, (const char *)name, (int)value_len,
		 (const char *)value);
	return 0;
}

static int on_chunk(nghttp2_session *s, uint8_t flags, int32_t id,
		    const uint8_t *data, size_t len, void *user)
{
	(void)s;
	(void)flags;
	(void)id;
	(void)user;
	if (t.body_len + len <= sizeof(t.body))
		memcpy(t.body + t.body_len, data, len);
	t.body_len += len;
	return 0;
}

static int on_frame(nghttp2_session *s, const nghttp2_frame *frame, void *user)
{
	(void)s;
	(void)user;
	if (t.id && frame->hd.stream_id == t.id &&
	    (frame->hd.flags & NGHTTP2_FLAG_END_STREAM))
		t.has_ended = true;
	return 0;
}

static ssize_t read_answer(nghttp2_session *s, int32_t id, uint8_t *out,
			   size_t room, uint32_t *flags,
			   nghttp2_data_source *source, void *user)
{
	const nghttp2_nv nv = NV("grpc-status", "0");
	size_t n = t.left < room ? t.left : room;

	(void)source;
	(void)user;
	memset(out, 'a', n);
	t.left -= n;
	if (t.left == 0)
		*flags |= NGHTTP2_DATA_FLAG_EOF;
	if (t.left == 0 && t.has_trailers) {
		*flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
		nghttp2_submit_trailer(s, id, &nv, 1);
	}
	return (ssize_t)n;
}

static void respond(size_t body_len, bool has_trailers)
{
	const nghttp2_nv nv[] = {NV(":status", "200"),
				 NV("content-type", "application/grpc")};
	nghttp2_data_provider body = {.read_callback = read_answer};

	t.left = body_len;
	t.has_trailers = has_trailers;
	assert_int_equal(nghttp2_submit_response(t.server, t.id, nv,
						 ARRAY_LEN(nv),
						 body_len ? &body : NULL), 0);
}

/* All that either has to say. */
static void exchange(void)
{
	bool more = true;

	while (more) {
		const uint8_t *data;
		ssize_t n;

		more = false;
		while ((n = ts_h2_backend_output(t.h2, &data)) > 0) {
			more = true;
			assert_int_equal(nghttp2_session_mem_recv(
						 t.server, data, (size_t)n), n);
		}
		while ((n = nghttp2_session_mem_send(t.server, &data)) > 0) {
			more = true;
			assert_int_equal(ts_h2_backend_input(t.h2, data,
							     (size_t)n), 0);
		}
	}
}

static int set_up(void **state)
{
	nghttp2_session_callbacks *cb;

	(void)state;
	memset(&t, 0, sizeof(t));
	t.h2 = ts_h2_backend_new(false);
	assert_non_null(t.h2);
	assert_int_equal(nghttp2_session_callbacks_new(&cb), 0);
	nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_chunk);
	nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame);
	assert_int_equal(nghttp2_session_server_new(&t.server, cb, NULL), 0);
	nghttp2_session_callbacks_del(cb);
	nghttp2_submit_settings(t.server, NGHTTP2_FLAG_NONE, NULL, 0);
	exchange();
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	nghttp2_session_del(t.server);
	ts_h2_backend_free(t.h2);
	return 0;
}

static void write_text(const char *text)
{
	assert_int_equal(ts_h2_backend_write(t.h2, text, strlen(text)),
			 strlen(text));
	exchange();
}

/* All there is of the answer. */
static const char *read_text(void)
{
	static char text[8192];
	ssize_t n = ts_h2_backend_read(t.h2, text, sizeof(text) - 1);

	assert_true(n >= 0);
	text[n] = '\0';
	return text;
}

#define HEAD "POST /a/b HTTP/1.1\r\nHost: h\r\nTE: trailers\r\n" \
	"Connection: x\r\nTransfer-Encoding: chunked\r\n\r\n"

static void a_request_is_frames(void **state)
{
	(void)state;
	write_text("POST /a/b HTTP/1.1\r\nHost: h\r\n");
	assert_string_equal(t.fields, "");
	write_text("TE: trailers\r\nConnection: x\r\n"
		   "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
	assert_string_equal(t.fields, ":method: POST\n:scheme: http\n"
			    ":authority: h\n:path: /a/b\nte: trailers\n");
	assert_memory_equal(t.body, "abc", 3);
	assert_false(t.has_ended);
	write_text("1\r\nd\r\n0\r\nX-Sum: 1\r\n\r\n");
	assert_memory_equal(t.body, "abcd", 4);
	assert_non_null(strstr(t.fields, "x-sum: 1\n"));
	assert_true(t.has_ended);
}

static void an_answer_is_text(void **state)
{
	const nghttp2_nv early = NV(":status", "103");

	(void)state;
	write_text(HEAD "0\r\n\r\n");
	nghttp2_submit_headers(t.server, NGHTTP2_FLAG_NONE, t.id, NULL, &early,
			       1, NULL);
	respond(3, true);
	exchange();
	assert_string_equal(read_text(), "HTTP/1.1 103 \r\n\r\n"
		"HTTP/1.1 200 \r\ncontent-type: application/grpc\r\n"
		"transfer-encoding: chunked\r\n\r\n"
		"3\r\naaa\r\n0\r\ngrpc-status: 0\r\n\r\n");
	assert_true(ts_h2_backend_is_free(t.h2));
}

static void an_answer_may_be_a_head_alone(void **state)
{
	(void)state;
	write_text(HEAD "0\r\n\r\n");
	respond(0, false);
	exchange();
	assert_string_equal(read_text(), "HTTP/1.1 200 \r\n"
		"content-type: application/grpc\r\n"
		"content-length: 0\r\n\r\n");
}

static void a_connection_is_used_again(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++) {
		ts_h2_backend_begin(t.h2);
		assert_true(ts_h2_backend_is_free(t.h2));
		write_text(HEAD "1\r\nz\r\n0\r\n\r\n");
		assert_false(ts_h2_backend_is_free(t.h2));
		respond(1, true);
		exchange();
		assert_non_null(strstr(read_text(), "grpc-status: 0"));
	}
	assert_int_equal(t.id, 5);
	nghttp2_submit_goaway(t.server, NGHTTP2_FLAG_NONE, 5, 0, NULL, 0);
	exchange();
	assert_false(ts_h2_backend_is_free(t.h2));
}

static void what_breaks_off_says_so(void **state)
{
	char text[8192];

	(void)state;
	write_text(HEAD "0\r\n\r\n");
	respond(1000000, true);
	exchange();
	nghttp2_submit_rst_stream(t.server, NGHTTP2_FLAG_NONE, t.id,
				  NGHTTP2_INTERNAL_ERROR);
	exchange();
	while (ts_h2_backend_read(t.h2, text, sizeof(text)) > 0)
		;
	assert_int_equal(ts_h2_backend_read(t.h2, text, sizeof(text)),
			 -ECONNRESET);
	assert_false(ts_h2_backend_is_free(t.h2));
}

static void an_early_answer_ends_the_request(void **state)
{
	static char data[100000];

	(void)state;
	write_text(HEAD "1\r\na\r\n");
	respond(1, true);
	exchange();
	nghttp2_submit_rst_stream(t.server, NGHTTP2_FLAG_NONE, t.id,
				  NGHTTP2_NO_ERROR);
	exchange();
	assert_non_null(strstr(read_text(), "grpc-status: 0"));
	/* Nobody wants the rest, and it is not another request. */
	assert_int_equal(ts_h2_backend_write(t.h2, data, sizeof(data)),
			 sizeof(data));
	assert_int_equal(ts_h2_backend_read(t.h2, data, sizeof(data)), 0);
}

static void an_answer_waits_until_it_is_read(void **state)
{
	static char text[1 << 21];
	ssize_t n;
	size_t all = 0;

	(void)state;
	write_text(HEAD "0\r\n\r\n");
	respond(1000000, true);
	exchange();
	assert_true(t.left >= 1000000 - TS_H2_BACKEND_WINDOW);
	while ((n = ts_h2_backend_read(t.h2, text, sizeof(text))) > 0) {
		all += (size_t)n;
		exchange();
	}
	assert_int_equal(t.left, 0);
	assert_true(all > 1000000);
	assert_true(ts_h2_backend_is_free(t.h2));
}

static void a_request_waits_for_its_reader(void **state)
{
	static char data[100000];

	(void)state;
	memset(data, 'a', sizeof(data));
	write_text("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 900000\r\n\r\n");
	/* The backend's window is 65,535: then as much again waits. */
	for (int i = 0; i < 4; i++) {
		(void)ts_h2_backend_write(t.h2, data, sizeof(data));
		exchange();
		nghttp2_session_set_local_window_size(
			t.server, NGHTTP2_FLAG_NONE, t.id, 0);
	}
	assert_true(ts_h2_backend_write(t.h2, data, sizeof(data)) <
		    (ssize_t)sizeof(data));
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(a_request_is_frames),
		TEST(an_answer_is_text),
		TEST(an_answer_may_be_a_head_alone),
		TEST(a_connection_is_used_again),
		TEST(what_breaks_off_says_so),
		TEST(an_early_answer_ends_the_request),
		TEST(an_answer_waits_until_it_is_read),
		TEST(a_request_waits_for_its_reader),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
