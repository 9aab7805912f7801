/* SPDX-License-Identifier: BSD-3-Clause
 * test_h2.c - HTTP/2 streams as HTTP/1.1, with nghttp2 as the client
 */
#include "../test.h"

#include <errno.h>
#include <nghttp2/nghttp2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/err.h"
#include "core/serve/h2_server.h"

enum { OWNERS = 160 };

/* Who answers a stream. */
struct owner {
	struct ts_h2_stream *stream;
	char text[600 * 1024];
	size_t len;
	bool has_ended, is_gone;
};

static struct {
	struct ts_h2_server *server;
	struct owner *owners[OWNERS];
	size_t count, refuse_from;
	uint64_t now_ms;
	/* What the client has got. */
	nghttp2_session *client;
	char fields[8192];
	size_t body_len;
	uint8_t body[1 << 20];
	int closed, goaways, resets;
	uint32_t reset_code, goaway_code;
	/* What it sends. */
	const char *upload;
	size_t upload_len;
	const char *trailer;
} t;

static void *on_opened(void *ctx, struct ts_h2_stream *stream)
{
	struct owner *o;

	(void)ctx;
	if (t.count >= t.refuse_from)
		return NULL;
	o = calloc(1, sizeof(*o));
	assert_non_null(o);
	o->stream = stream;
	t.owners[t.count++] = o;
	return o;
}

static void on_news(void *owner)
{
	(void)owner;
}

static void on_gone(void *owner)
{
	struct owner *o = owner;

	o->is_gone = true;
	o->stream = NULL;
}

static const struct ts_h2_server_ops ops = {
	.opened = on_opened, .news = on_news, .gone = on_gone,
	.wants_output = on_news,
};

/* -- the client ----------------------------------------------------------- */

static int on_header(nghttp2_session *s, const nghttp2_frame *frame,
		     const uint8_t *name, size_t name_len,
		     const uint8_t *value, size_t value_len, uint8_t flags,
		     void *user)
{
	size_t at = strlen(t.fields);

	(void)s;
	(void)frame;
	(void)flags;
	(void)user;
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
	assert_true(t.body_len + len <= sizeof(t.body));
	memcpy(t.body + t.body_len, data, len);
	t.body_len += len;
	return 0;
}

static int on_frame(nghttp2_session *s, const nghttp2_frame *frame, void *user)
{
	(void)s;
	(void)user;
	if (frame->hd.type == NGHTTP2_GOAWAY) {
		t.goaways++;
		t.goaway_code = frame->goaway.error_code;
	} else if (frame->hd.type == NGHTTP2_RST_STREAM) {
		t.resets++;
		t.reset_code = frame->rst_stream.error_code;
	}
	return 0;
}

static int on_close(nghttp2_session *s, int32_t id, uint32_t code, void *user)
{
	(void)s;
	(void)id;
	(void)code;
	(void)user;
	t.closed++;
	return 0;
}

static ssize_t read_upload(nghttp2_session *s, int32_t id, uint8_t *out,
			   size_t room, uint32_t *flags,
			   nghttp2_data_source *source, void *user)
{
	size_t n = t.upload_len < room ? t.upload_len : room;
	nghttp2_nv nv = {.name = (uint8_t *)"x-sum", .namelen = 5};

	(void)source;
	(void)user;
	memcpy(out, t.upload, n);
	t.upload += n;
	t.upload_len -= n;
	if (t.upload_len > 0)
		return (ssize_t)n;
	*flags |= NGHTTP2_DATA_FLAG_EOF;
	if (t.trailer) {
		nv.value = (uint8_t *)(uintptr_t)t.trailer;
		nv.valuelen = strlen(t.trailer);
		*flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
		assert_int_equal(nghttp2_submit_trailer(s, id, &nv, 1), 0);
	}
	return (ssize_t)n;
}

#define NV(n, v) {.name = (uint8_t *)(uintptr_t)(n), .namelen = strlen(n), \
		  .value = (uint8_t *)(uintptr_t)(v), .valuelen = strlen(v)}
#define PSEUDO(method, path) NV(":method", method), NV(":scheme", "https"), \
	NV(":authority", "a.ts.net"), NV(":path", path)

static int32_t submit(const nghttp2_nv *nv, size_t count, bool has_body)
{
	nghttp2_data_provider body = {.read_callback = read_upload};

	return nghttp2_submit_request(t.client, NULL, nv, count,
				      has_body ? &body : NULL, NULL);
}

static int32_t get(const char *path)
{
	const nghttp2_nv nv[] = {PSEUDO("GET", path)};

	return submit(nv, ARRAY_LEN(nv), false);
}

/* All that either has to say. 0, or what the server thinks of it. */
static int exchange(void)
{
	bool more = true;
	int err = 0;

	while (more && !err) {
		const uint8_t *data;
		ssize_t n = nghttp2_session_mem_send(t.client, &data);

		assert_true(n >= 0);
		more = n > 0;
		if (n > 0)
			err = ts_h2_server_input(t.server, data, (size_t)n,
						 t.now_ms);
		while (!err && (n = ts_h2_server_output(t.server, &data)) > 0) {
			assert_int_equal(nghttp2_session_mem_recv(
						 t.client, data, (size_t)n), n);
			more = true;
		}
	}
	return err;
}

static int set_up(void **state)
{
	nghttp2_session_callbacks *cb;

	(void)state;
	memset(&t, 0, sizeof(t));
	t.refuse_from = OWNERS;
	t.now_ms = 1000;
	t.server = ts_h2_server_new(&ops, NULL);
	assert_non_null(t.server);
	assert_int_equal(nghttp2_session_callbacks_new(&cb), 0);
	nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_chunk);
	nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame);
	nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_close);
	assert_int_equal(nghttp2_session_client_new(&t.client, cb, NULL), 0);
	nghttp2_session_callbacks_del(cb);
	nghttp2_submit_settings(t.client, NGHTTP2_FLAG_NONE, NULL, 0);
	return exchange();
}

static int tear_down(void **state)
{
	(void)state;
	nghttp2_session_del(t.client);
	ts_h2_server_free(t.server);
	for (size_t i = 0; i < t.count; i++)
		free(t.owners[i]);
	return 0;
}

/* -- the owner's side ----------------------------------------------------- */

static const char *read_all(size_t i)
{
	struct owner *o = t.owners[i];
	size_t n;

	while ((n = ts_h2_stream_read(o->stream, o->text + o->len,
				      sizeof(o->text) - 1 - o->len,
				      &o->has_ended)) > 0)
		o->len += n;
	return o->text;
}

static size_t answer(size_t i, const char *text)
{
	return ts_h2_stream_write(t.owners[i]->stream, text, strlen(text));
}

/* -- requests ------------------------------------------------------------- */

static void a_request_is_text(void **state)
{
	const nghttp2_nv nv[] = {
		PSEUDO("GET", "/a?b"), NV("cookie", "a=1"), NV("te", "trailers"),
		NV("host", "other"), NV("cookie", "b=2"), NV("accept", "*/*")};

	(void)state;
	submit(nv, ARRAY_LEN(nv), false);
	assert_int_equal(exchange(), 0);
	assert_string_equal(read_all(0), "GET /a?b HTTP/1.1\r\n"
		"host: a.ts.net\r\nte: trailers\r\naccept: */*\r\n"
		"cookie: a=1; b=2\r\n\r\n");
	assert_true(t.owners[0]->has_ended);
}

static void a_body_keeps_its_length_or_comes_in_chunks(void **state)
{
	const nghttp2_nv sized[] = {PSEUDO("PUT", "/"),
				    NV("content-length", "5")};
	const nghttp2_nv open[] = {PSEUDO("PUT", "/")};

	(void)state;
	t.upload = "hello";
	t.upload_len = 5;
	submit(sized, ARRAY_LEN(sized), true);
	assert_int_equal(exchange(), 0);
	assert_string_equal(read_all(0), "PUT / HTTP/1.1\r\nhost: a.ts.net\r\n"
			    "content-length: 5\r\n\r\nhello");
	t.upload = "hello";
	t.upload_len = 5;
	t.trailer = "42";
	submit(open, ARRAY_LEN(open), true);
	assert_int_equal(exchange(), 0);
	assert_string_equal(read_all(1), "PUT / HTTP/1.1\r\nhost: a.ts.net\r\n"
			    "transfer-encoding: chunked\r\n\r\n"
			    "5\r\nhello\r\n0\r\nx-sum: 42\r\n\r\n");
	assert_true(t.owners[1]->has_ended);
}

static void no_field_ends_a_line(void **state)
{
	const nghttp2_nv path[] = {PSEUDO("GET", "/ HTTP/1.1\r\nx: y\r\n\r\n")};
	const nghttp2_nv value[] = {PSEUDO("GET", "/"), NV("a", "b\r\nc: d")};
	const nghttp2_nv coding[] = {PSEUDO("POST", "/"),
				     NV("transfer-encoding", "chunked")};

	(void)state;
	submit(path, ARRAY_LEN(path), false);
	assert_int_equal(exchange(), 0);
	submit(coding, ARRAY_LEN(coding), false);
	assert_int_equal(exchange(), 0);
	submit(value, ARRAY_LEN(value), false);
	assert_int_equal(exchange(), 0);
	assert_int_equal(t.count, 0);
	assert_int_equal(t.resets, 3);
	assert_int_equal(t.reset_code, NGHTTP2_PROTOCOL_ERROR);
}

static void heads_are_bounded(void **state)
{
	static char value[20000];
	nghttp2_nv nv[80] = {PSEUDO("GET", "/")};
	nghttp2_nv big[] = {PSEUDO("GET", "/"), NV("x", "")};

	(void)state;
	for (size_t i = 4; i < ARRAY_LEN(nv); i++)
		nv[i] = (nghttp2_nv)NV("x-y", "z");
	submit(nv, ARRAY_LEN(nv), false);
	assert_int_equal(exchange(), 0);
	assert_string_equal(t.fields, ":status: 431\n");
	memset(value, 'v', sizeof(value));
	big[4].value = (uint8_t *)value;
	big[4].valuelen = sizeof(value);
	submit(big, ARRAY_LEN(big), false);
	assert_int_equal(exchange(), 0);
	assert_string_equal(t.fields, ":status: 431\n:status: 431\n");
	assert_int_equal(t.count, 0);
	assert_int_equal(t.closed, 2);
	assert_int_equal(ts_h2_server_streams(t.server), 0);
}

static void a_body_waits_until_it_is_read(void **state)
{
	static char data[400 * 1024];
	const nghttp2_nv nv[] = {PSEUDO("PUT", "/"),
				 NV("content-length", "409600")};

	(void)state;
	memset(data, 'd', sizeof(data));
	t.upload = data;
	t.upload_len = sizeof(data);
	submit(nv, ARRAY_LEN(nv), true);
	assert_int_equal(exchange(), 0);
	assert_int_equal(sizeof(data) - t.upload_len, TS_H2_STREAM_WINDOW);
	read_all(0);
	assert_int_equal(exchange(), 0);
	assert_true(sizeof(data) - t.upload_len > TS_H2_STREAM_WINDOW);
	while (!t.owners[0]->has_ended) {
		read_all(0);
		assert_int_equal(exchange(), 0);
	}
	assert_int_equal(t.upload_len, 0);
	assert_memory_equal(t.owners[0]->text + t.owners[0]->len - 1000, data,
			    1000);
}

static void streams_are_bounded(void **state)
{
	(void)state;
	t.refuse_from = 50;
	for (int i = 0; i < 120; i++)
		get("/");
	assert_int_equal(exchange(), 0);
	assert_int_equal(t.count, 50);
	assert_true(t.resets > 0);
	assert_int_equal(t.reset_code, NGHTTP2_REFUSED_STREAM);
	assert_int_equal(ts_h2_server_streams(t.server), 50);
}

/* -- answers -------------------------------------------------------------- */

static void an_answer_is_frames(void **state)
{
	(void)state;
	get("/");
	assert_int_equal(exchange(), 0);
	read_all(0);
	answer(0, "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
		  "HTTP/1.1 200 OK\r\nConnection: close\r\nX-Back: yes\r\n"
		  "Transfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n");
	assert_int_equal(exchange(), 0);
	assert_memory_equal(t.body, "body", 4);
	assert_int_equal(t.closed, 0);
	assert_true(ts_h2_stream_is_pending(t.owners[0]->stream));
	answer(0, "0\r\nX-Sum: 7\r\nTailscale-User-Login: me\r\n\r\n");
	assert_int_equal(exchange(), 0);
	assert_string_equal(t.fields, ":status: 103\nlink: x\n:status: 200\n"
				      "x-back: yes\nx-sum: 7\n");
	assert_int_equal(t.closed, 1);
	assert_int_equal(t.resets, 0);
	assert_true(t.owners[0]->is_gone);
}

static void an_answer_without_a_body(void **state)
{
	const nghttp2_nv nv[] = {PSEUDO("HEAD", "/")};

	(void)state;
	submit(nv, ARRAY_LEN(nv), false);
	assert_int_equal(exchange(), 0);
	answer(0, "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n");
	assert_int_equal(exchange(), 0);
	assert_string_equal(t.fields, ":status: 200\ncontent-length: 99\n");
	assert_int_equal(t.body_len, 0);
	assert_int_equal(t.closed, 1);
}

static void an_answer_to_half_a_request(void **state)
{
	static char data[300 * 1024];
	const nghttp2_nv nv[] = {PSEUDO("POST", "/")};
	struct ts_h2_stream *stream;

	(void)state;
	t.upload = data;
	t.upload_len = sizeof(data);
	submit(nv, ARRAY_LEN(nv), true);
	assert_int_equal(exchange(), 0);
	stream = t.owners[0]->stream;
	answer(0, "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno");
	ts_h2_stream_end(stream);
	assert_int_equal(exchange(), 0);
	assert_false(ts_h2_stream_is_pending(stream));
	ts_h2_stream_close(stream);
	assert_int_equal(exchange(), 0);
	assert_string_equal(t.fields, ":status: 403\ncontent-length: 2\n");
	assert_int_equal(t.resets, 1);
	assert_int_equal(t.reset_code, NGHTTP2_NO_ERROR);
	/* The rest of the connection has its window back. */
	assert_int_equal(ts_h2_server_streams(t.server), 0);
}

static void what_breaks_off_is_an_error(void **state)
{
	static const char *const texts[] = {
		"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npart",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n",
		"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
		"nonsense\r\n\r\n", ""};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		get("/");
		assert_int_equal(exchange(), 0);
		answer(i, texts[i]);
		assert_int_equal(exchange(), 0);
		if (t.owners[i]->stream) {
			ts_h2_stream_close(t.owners[i]->stream);
			assert_int_equal(exchange(), 0);
		}
		assert_int_equal(t.resets, i + 1);
		assert_int_equal(t.reset_code, NGHTTP2_INTERNAL_ERROR);
	}
}

static void a_client_that_takes_nothing(void **state)
{
	static char data[200 * 1024];
	const nghttp2_settings_entry none = {
		NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 0};
	size_t taken;

	(void)state;
	memset(data, 'x', sizeof(data));
	nghttp2_submit_settings(t.client, NGHTTP2_FLAG_NONE, &none, 1);
	get("/");
	assert_int_equal(exchange(), 0);
	taken = answer(0, "HTTP/1.1 200 OK\r\nContent-Length: 204800\r\n\r\n");
	taken = ts_h2_stream_write(t.owners[0]->stream, data, sizeof(data));
	assert_int_equal(exchange(), 0);
	assert_int_equal(taken, TS_H2_ANSWER_BYTES);
	assert_int_equal(ts_h2_stream_write(t.owners[0]->stream, data, 1), 0);
	assert_int_equal(t.body_len, 0);
	nghttp2_submit_window_update(t.client, NGHTTP2_FLAG_NONE, 1, 1000);
	assert_int_equal(exchange(), 0);
	assert_true(t.body_len > 0);
	assert_int_equal(ts_h2_stream_write(t.owners[0]->stream, data,
					    sizeof(data)), t.body_len);
}

/* -- floods --------------------------------------------------------------- */

static void pings_are_bounded(void **state)
{
	(void)state;
	/* No faster than they are given back: for ever. */
	for (int i = 0; i < 3 * TS_H2_IDLE_FRAMES; i++) {
		nghttp2_submit_ping(t.client, NGHTTP2_FLAG_NONE, NULL);
		t.now_ms += TS_H2_IDLE_FRAME_MS;
		assert_int_equal(exchange(), 0);
	}
	assert_int_equal(t.goaways, 0);
	for (int i = 0; i < TS_H2_IDLE_FRAMES + 10; i++) {
		nghttp2_submit_ping(t.client, NGHTTP2_FLAG_NONE, NULL);
		(void)exchange();
	}
	assert_int_equal(t.goaways, 1);
	assert_int_equal(t.goaway_code, NGHTTP2_ENHANCE_YOUR_CALM);
	assert_true(ts_h2_server_is_over(t.server));
}

static void resets_are_bounded(void **state)
{
	int i;

	(void)state;
	t.refuse_from = 0; /* nobody answers: it is about the rest */
	for (i = 0; i < 2000 && !ts_h2_server_is_over(t.server); i++) {
		int32_t id = get("/");
		const uint8_t *data;
		ssize_t n = nghttp2_session_mem_send(t.client, &data);

		if (n <= 0 || ts_h2_server_input(t.server, data, (size_t)n,
						 t.now_ms))
			break;
		nghttp2_submit_rst_stream(t.client, NGHTTP2_FLAG_NONE, id,
					  NGHTTP2_CANCEL);
		(void)exchange();
	}
	assert_in_range(i, 400, 1100);
	assert_true(ts_h2_server_is_over(t.server));
}

static void who_does_not_speak_it_is_refused(void **state)
{
	static const char text[] = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
	struct ts_h2_server *server = ts_h2_server_new(&ops, NULL);

	(void)state;
	assert_non_null(server);
	assert_int_equal(ts_h2_server_input(server, (const uint8_t *)text,
					    sizeof(text) - 1, 1), -EPROTO);
	assert_true(ts_h2_server_is_over(server));
	ts_h2_server_free(server);
}

/* Its time is that of a silent connection, not of an answer. */
static void half_a_head_is_nobodys_stream(void **state)
{
	static const uint8_t half[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
		"\0\0\0\4\0\0\0\0\0"
		"\0\0\1\1\0\0\0\0\1\x82"; /* HEADERS without their end */
	static const uint8_t rest[] = "\0\0\5\x9\4\0\0\0\1\x84\x87\x41\1a";
	struct ts_h2_server *server = ts_h2_server_new(&ops, NULL);

	(void)state;
	assert_non_null(server);
	assert_int_equal(ts_h2_server_input(server, half, sizeof(half) - 1, 1),
			 0);
	assert_int_equal(ts_h2_server_streams(server), 0);
	assert_int_equal(ts_h2_server_input(server, rest, sizeof(rest) - 1, 1),
			 0);
	assert_int_equal(ts_h2_server_streams(server), 1);
	ts_h2_server_free(server);
}

/* A client that has not heard yet how many streams there may be. */
static void what_is_refused_is_bounded(void **state)
{
	static const uint8_t preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
					 "\0\0\0\4\0\0\0\0\0";
	struct ts_h2_server *server = ts_h2_server_new(&ops, NULL);
	uint8_t get[] = "\0\0\6\1\4\0\0\0\0\x82\x84\x87\x41\1a";
	const uint8_t *data;
	int i, id = 1;

	(void)state;
	assert_non_null(server);
	assert_int_equal(ts_h2_server_input(server, preface,
					    sizeof(preface) - 1, 1), 0);
	for (i = 0; i < 5000 && !ts_h2_server_is_over(server); i++, id += 2) {
		get[7] = (uint8_t)(id >> 8);
		get[8] = (uint8_t)id;
		if (ts_h2_server_input(server, get, sizeof(get) - 1, 1))
			break;
		while (ts_h2_server_output(server, &data) > 0)
			;
	}
	assert_in_range(i, 1000, 1200);
	ts_h2_server_free(server);
}

static void the_end_is_said(void **state)
{
	(void)state;
	get("/");
	assert_int_equal(exchange(), 0);
	ts_h2_server_end(t.server);
	assert_int_equal(exchange(), 0);
	assert_int_equal(t.goaways, 1);
	answer(0, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
	assert_int_equal(exchange(), 0);
	assert_int_equal(t.body_len, 2);
	assert_int_equal(t.closed, 1);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(a_request_is_text),
		TEST(a_body_keeps_its_length_or_comes_in_chunks),
		TEST(no_field_ends_a_line),
		TEST(heads_are_bounded),
		TEST(a_body_waits_until_it_is_read),
		TEST(streams_are_bounded),
		TEST(an_answer_is_frames),
		TEST(an_answer_without_a_body),
		TEST(an_answer_to_half_a_request),
		TEST(what_breaks_off_is_an_error),
		TEST(a_client_that_takes_nothing),
		TEST(pings_are_bounded),
		TEST(resets_are_bounded),
		TEST(who_does_not_speak_it_is_refused),
		TEST(half_a_head_is_nobodys_stream),
		TEST(what_is_refused_is_bounded),
		TEST(the_end_is_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
