/* SPDX-License-Identifier: BSD-3-Clause
 * fuzz_serve_h2.c - frames of a client, or (first byte odd) of a backend
 *
 * What comes out is text that the readers of HTTP/1.1 understand, one request
 * or answer of it, whatever the frames were.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/byte_queue.h"
#include "core/serve/h2_backend.h"
#include "core/serve/h2_server.h"
#include "core/serve/http_request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { OWNERS = 512, PIECE = 61, TEXT_MAX = 1 << 23 };

struct owner {
	struct ts_h2_stream *stream;
	struct ts_byte_queue text;
	bool has_ended;
};

static struct {
	struct owner owners[OWNERS];
	size_t count;
} t;

static void *on_opened(void *ctx, struct ts_h2_stream *stream)
{
	struct owner *o = &t.owners[t.count];

	(void)ctx;
	if (t.count == OWNERS)
		return NULL;
	t.count++;
	o->stream = stream;
	o->has_ended = false;
	ts_byte_queue_init(&o->text, TEXT_MAX);
	return o;
}

static void on_news(void *owner)
{
	(void)owner;
}

static void on_gone(void *owner)
{
	((struct owner *)owner)->stream = NULL;
}

static const struct ts_h2_server_ops ops = {
	.opened = on_opened, .news = on_news, .gone = on_gone,
	.wants_output = on_news,
};

/* The body's end, when its owner saw it, is where the text ends. */
static void check_request(const struct owner *o)
{
	const uint8_t *at = ts_byte_queue_data(&o->text), *payload;
	size_t len = ts_byte_queue_len(&o->text), payload_len;
	struct ts_serve_request req;

	if (len == 0 || ts_serve_request_read(at, len, &req))
		return;
	at += req.head.head_len;
	len -= req.head.head_len;
	while (!req.body.is_done) {
		ssize_t n = ts_http_body_next(&req.body, at, len, &payload,
					      &payload_len);

		if (n < 0 || (n == 0 && o->has_ended && o->stream))
			abort();
		if (n == 0)
			break;
		at += n;
		len -= (size_t)n;
	}
	if (req.body.is_done && len > 0)
		abort(); /* a second request */
	ts_serve_request_deinit(&req);
}

static void serve(struct owner *o, size_t i)
{
	static const char answer[] = "HTTP/1.1 200 OK\r\n"
		"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"
		"0\r\nX-Sum: 1\r\n\r\n";
	uint8_t out[1024];
	size_t n;

	while (o->stream && !o->has_ended &&
	       (n = ts_h2_stream_read(o->stream, out, sizeof(out),
				      &o->has_ended)) > 0)
		if (ts_byte_queue_push(&o->text, out, n))
			abort();
	if (!o->stream || (i % 3 == 1 && !o->has_ended))
		return;
	if (i % 3 == 2) {
		ts_h2_stream_close(o->stream);
		o->stream = NULL;
		return;
	}
	(void)ts_h2_stream_write(o->stream, answer, sizeof(answer) - 1);
	ts_h2_stream_end(o->stream);
}

static void run_server(const uint8_t *data, size_t len)
{
	struct ts_h2_server *server = ts_h2_server_new(&ops, NULL);
	const uint8_t *out;

	t.count = 0;
	if (!server)
		return;
	for (size_t at = 0; at < len; at += PIECE) {
		size_t n = len - at < PIECE ? len - at : PIECE;

		if (ts_h2_server_input(server, data + at, n, 1000 + at))
			break;
		for (size_t i = 0; i < t.count; i++)
			serve(&t.owners[i], i);
		while (ts_h2_server_output(server, &out) > 0)
			;
		if (ts_h2_server_is_over(server))
			break;
		if (ts_h2_server_streams(server) > TS_H2_STREAMS_MAX)
			abort();
	}
	for (size_t i = 0; i < t.count; i++) {
		check_request(&t.owners[i]);
		ts_byte_queue_deinit(&t.owners[i].text);
	}
	ts_h2_server_free(server);
}

static void check_answer(const struct ts_byte_queue *text)
{
	struct ts_http1_head head;
	size_t len = ts_byte_queue_len(text);
	int err = len ? ts_http1_read_response(ts_byte_queue_data(text), len,
					       &head)
		      : 0;

	if (err && err != -EMSGSIZE)
		abort();
}

static void run_backend(const uint8_t *data, size_t len)
{
	static const char request[] = "POST /a HTTP/1.1\r\nHost: h\r\n"
		"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
	struct ts_h2_backend *h2 = ts_h2_backend_new(false);
	struct ts_byte_queue text;
	const uint8_t *out;
	uint8_t buf[1024];
	ssize_t n;

	if (!h2)
		return;
	ts_byte_queue_init(&text, TEXT_MAX);
	(void)ts_h2_backend_write(h2, request, sizeof(request) - 1);
	for (size_t at = 0; at < len; at += PIECE) {
		while (ts_h2_backend_output(h2, &out) > 0)
			;
		if (ts_h2_backend_input(h2, data + at, len - at < PIECE
							       ? len - at
							       : PIECE))
			break;
		while ((n = ts_h2_backend_read(h2, buf, sizeof(buf))) > 0)
			if (ts_byte_queue_push(&text, buf, (size_t)n))
				abort();
	}
	check_answer(&text);
	ts_byte_queue_deinit(&text);
	ts_h2_backend_free(h2);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	if (len == 0)
		return 0;
	if (data[0] % 2)
		run_backend(data + 1, len - 1);
	else
		run_server(data + 1, len - 1);
	return 0;
}
