/* SPDX-License-Identifier: BSD-3-Clause
 * h2_server.c - the server side of one HTTP/2 connection, on nghttp2
 *
 * nghttp2 forbids sending from inside its receive callbacks, where handlers
 * run; so every call only queues, and lab_h2_pump() writes: after each input
 * and once a turn of the loop by the owner. Pumping stops while the queue
 * behind send() is long, which leaves the bytes in the streams' own queues,
 * where the map poll can see that its reader is slow.
 *
 * Response bodies come from a queue per stream; an empty queue of an open
 * body defers the stream until the next write.
 */
#include "tests/lab/h2_server.h"

#include <errno.h>
#include <nghttp2/nghttp2.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/byte_queue.h"
#include "core/base/err.h"

enum {
	PUMP_MAX_QUEUED = 1 << 20,
	STREAM_QUEUE_MAX = 256 << 20,
	MAX_STREAMS = 256,
	WINDOW_LEN = 1 << 20,
	METHOD_CAP = 16,
	PATH_CAP = 512,
};

struct lab_h2_stream {
	struct lab_h2 *h2;
	struct lab_h2_stream *next, **pprev;
	int32_t id;
	char method[METHOD_CAP], path[PATH_CAP];
	struct ts_byte_queue body, out;
	bool too_large, answered, ended, aborted;
	void (*gone)(void *ctx);
	void *gone_ctx;
};

struct lab_h2 {
	nghttp2_session *session;
	const struct lab_h2_ops *ops;
	void *ctx;
	struct lab_h2_stream *streams;
};

/* -- streams -------------------------------------------------------------- */

static struct lab_h2_stream *stream_new(struct lab_h2 *h2, int32_t id)
{
	struct lab_h2_stream *st = calloc(1, sizeof(*st));

	if (!st)
		return NULL;
	st->h2 = h2;
	st->id = id;
	ts_byte_queue_init(&st->body, LAB_H2_BODY_MAX + 1);
	ts_byte_queue_init(&st->out, STREAM_QUEUE_MAX);
	st->next = h2->streams;
	st->pprev = &h2->streams;
	if (st->next)
		st->next->pprev = &st->next;
	h2->streams = st;
	return st;
}

static void stream_free(struct lab_h2_stream *st)
{
	*st->pprev = st->next;
	if (st->next)
		st->next->pprev = st->pprev;
	if (st->gone)
		st->gone(st->gone_ctx);
	ts_byte_queue_deinit(&st->body);
	ts_byte_queue_deinit(&st->out);
	free(st);
}

static struct lab_h2_stream *stream_of(nghttp2_session *session, int32_t id)
{
	return nghttp2_session_get_stream_user_data(session, id);
}

/* -- nghttp2's callbacks -------------------------------------------------- */

static int on_begin_headers(nghttp2_session *session,
			    const nghttp2_frame *frame, void *user)
{
	struct lab_h2_stream *st;

	if (frame->hd.type != NGHTTP2_HEADERS ||
	    frame->headers.cat != NGHTTP2_HCAT_REQUEST)
		return 0;
	st = stream_new(user, frame->hd.stream_id);
	if (!st)
		return NGHTTP2_ERR_CALLBACK_FAILURE;
	nghttp2_session_set_stream_user_data(session, st->id, st);
	return 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame,
		     const uint8_t *name, size_t name_len, const uint8_t *value,
		     size_t value_len, uint8_t flags, void *user)
{
	struct lab_h2_stream *st = stream_of(session, frame->hd.stream_id);

	(void)flags;
	(void)user;
	if (!st)
		return 0;
	if (name_len == 7 && !memcmp(name, ":method", 7))
		snprintf(st->method, sizeof(st->method), "%.*s", (int)value_len,
			 (const char *)value);
	else if (name_len == 5 && !memcmp(name, ":path", 5))
		snprintf(st->path, sizeof(st->path), "%.*s", (int)value_len,
			 (const char *)value);
	return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id,
		   const uint8_t *data, size_t len, void *user)
{
	struct lab_h2_stream *st = stream_of(session, id);

	(void)flags;
	(void)user;
	if (!st || st->too_large)
		return 0;
	/* One byte of the limit is kept for the NUL. */
	if (len > LAB_H2_BODY_MAX - ts_byte_queue_len(&st->body) ||
	    ts_byte_queue_push(&st->body, data, len))
		st->too_large = true;
	return 0;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame,
		    void *user)
{
	struct lab_h2 *h2 = user;
	struct lab_h2_stream *st;
	struct lab_h2_request req;

	if ((frame->hd.type != NGHTTP2_HEADERS &&
	     frame->hd.type != NGHTTP2_DATA) ||
	    !(frame->hd.flags & NGHTTP2_FLAG_END_STREAM))
		return 0;
	st = stream_of(session, frame->hd.stream_id);
	if (!st)
		return 0;
	if (st->too_large || ts_byte_queue_push(&st->body, "", 1)) {
		lab_h2_respond(st, 413, "text/plain", NULL, "too large\n", 10);
		return 0;
	}
	req = (struct lab_h2_request){
		.method = st->method,
		.path = st->path,
		.body = ts_byte_queue_data(&st->body),
		.body_len = ts_byte_queue_len(&st->body) - 1,
	};
	h2->ops->request(h2->ctx, st, &req);
	return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t id,
			   uint32_t error_code, void *user)
{
	struct lab_h2_stream *st = stream_of(session, id);

	(void)error_code;
	(void)user;
	if (st)
		stream_free(st);
	return 0;
}

static ssize_t read_body(nghttp2_session *session, int32_t id, uint8_t *buf,
			 size_t len, uint32_t *flags, nghttp2_data_source *src,
			 void *user)
{
	struct lab_h2_stream *st = src->ptr;
	size_t n = ts_byte_queue_len(&st->out);

	(void)user;
	if (n > len)
		n = len;
	if (n) {
		memcpy(buf, ts_byte_queue_data(&st->out), n);
		ts_byte_queue_drop(&st->out, n);
	}
	if (ts_byte_queue_len(&st->out))
		return (ssize_t)n;
	if (st->aborted) {
		nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, id,
					  NGHTTP2_INTERNAL_ERROR);
		return n ? (ssize_t)n : NGHTTP2_ERR_DEFERRED;
	}
	if (st->ended)
		*flags |= NGHTTP2_DATA_FLAG_EOF;
	else if (!n)
		return NGHTTP2_ERR_DEFERRED;
	return (ssize_t)n;
}

/* -- connection ----------------------------------------------------------- */

static nghttp2_session *session_new(struct lab_h2 *h2)
{
	const nghttp2_settings_entry settings[] = {
		{NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, MAX_STREAMS},
		{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, WINDOW_LEN},
	};
	nghttp2_session_callbacks *cb;
	nghttp2_session *session = NULL;

	if (nghttp2_session_callbacks_new(&cb))
		return NULL;
	nghttp2_session_callbacks_set_on_begin_headers_callback(
		cb, on_begin_headers);
	nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_data);
	nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame);
	nghttp2_session_callbacks_set_on_stream_close_callback(cb,
							       on_stream_close);
	if (nghttp2_session_server_new(&session, cb, h2))
		session = NULL;
	nghttp2_session_callbacks_del(cb);
	if (session && nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE,
					       settings, ARRAY_LEN(settings))) {
		nghttp2_session_del(session);
		session = NULL;
	}
	return session;
}

struct lab_h2 *lab_h2_new(const struct lab_h2_ops *ops, void *ctx)
{
	struct lab_h2 *h2 = calloc(1, sizeof(*h2));

	if (!h2)
		return NULL;
	h2->ops = ops;
	h2->ctx = ctx;
	h2->session = session_new(h2);
	if (h2->session)
		return h2;
	free(h2);
	return NULL;
}

void lab_h2_free(struct lab_h2 *h2)
{
	if (!h2)
		return;
	while (h2->streams)
		stream_free(h2->streams);
	nghttp2_session_del(h2->session);
	free(h2);
}

int lab_h2_input(struct lab_h2 *h2, const uint8_t *data, size_t len)
{
	ssize_t n = nghttp2_session_mem_recv(h2->session, data, len);

	if (n < 0)
		return -EBADMSG;
	return lab_h2_pump(h2);
}

int lab_h2_pump(struct lab_h2 *h2)
{
	while (h2->ops->queued(h2->ctx) < PUMP_MAX_QUEUED) {
		const uint8_t *data;
		ssize_t n = nghttp2_session_mem_send(h2->session, &data);
		int err;

		if (n < 0)
			return -EPROTO;
		if (n == 0)
			break;
		err = h2->ops->send(h2->ctx, data, (size_t)n);
		if (err)
			return err;
	}
	if (!nghttp2_session_want_read(h2->session) &&
	    !nghttp2_session_want_write(h2->session))
		return -EPIPE;
	return 0;
}

/* -- answers -------------------------------------------------------------- */

void lab_h2_on_gone(struct lab_h2_stream *st, void (*fn)(void *ctx), void *ctx)
{
	st->gone = fn;
	st->gone_ctx = ctx;
}

static nghttp2_nv header(const char *name, size_t name_len, const char *value)
{
	return (nghttp2_nv){.name = (uint8_t *)(uintptr_t)name,
			    .namelen = name_len,
			    .value = (uint8_t *)(uintptr_t)value,
			    .valuelen = strlen(value)};
}

static void submit(struct lab_h2_stream *st, int status, const char *type,
		   const char *extra)
{
	const char *sep = extra ? strstr(extra, ": ") : NULL;
	nghttp2_data_provider body = {.source.ptr = st,
				      .read_callback = read_body};
	nghttp2_nv fields[3];
	size_t count = 0;
	char code[16];

	if (st->answered)
		return;
	st->answered = true;
	snprintf(code, sizeof(code), "%d", status);
	fields[count++] = header(":status", strlen(":status"), code);
	if (type)
		fields[count++] =
			header("content-type", strlen("content-type"), type);
	if (sep)
		fields[count++] = header(extra, (size_t)(sep - extra), sep + 2);
	nghttp2_submit_response(st->h2->session, st->id, fields, count, &body);
}

void lab_h2_respond(struct lab_h2_stream *st, int status, const char *type,
		    const char *extra, const void *body, size_t len)
{
	if (len)
		lab_h2_write(st, body, len);
	st->ended = true;
	submit(st, status, type, extra);
}

void lab_h2_begin(struct lab_h2_stream *st, int status, const char *type)
{
	submit(st, status, type, NULL);
}

int lab_h2_write(struct lab_h2_stream *st, const void *data, size_t len)
{
	int err;

	if (st->ended || st->aborted)
		return -EPIPE;
	err = ts_byte_queue_push(&st->out, data, len);
	if (!err && st->answered)
		nghttp2_session_resume_data(st->h2->session, st->id);
	return err;
}

void lab_h2_end(struct lab_h2_stream *st)
{
	st->ended = true;
	nghttp2_session_resume_data(st->h2->session, st->id);
}

void lab_h2_abort(struct lab_h2_stream *st)
{
	st->aborted = true;
	nghttp2_session_resume_data(st->h2->session, st->id);
}

size_t lab_h2_queued(const struct lab_h2_stream *st)
{
	return ts_byte_queue_len(&st->out);
}
