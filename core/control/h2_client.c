/* SPDX-License-Identifier: BSD-3-Clause
 * h2_client.c - HTTP/2 requests over a byte stream in memory
 *
 * The windows are large, since one full netmap is one response of tens of
 * megabytes; what arrives is consumed at once, so a large window costs no
 * memory here. A stream's struct lives from submit to on_stream_close; a
 * cancelled one only loses its callbacks.
 * Source: RFC 9113; nghttp2's documentation
 */
#include "core/control/h2_client.h"

#include <errno.h>
#include <nghttp2/nghttp2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/base/err.h"
#include "core/crypto/secret.h"

enum {
	STREAM_WINDOW = 4 << 20,
	CONNECTION_WINDOW = 16 << 20,
	FIELDS_MAX = 8,
};

struct ts_h2_client {
	nghttp2_session *session;
	struct ts_h2_ops ops;
	void *ctx;
	struct stream *streams; /* open and not yet sent ones, newest first */
};

struct stream {
	struct stream *next;
	int32_t id;
	const struct ts_h2_reply_ops *ops; /* NULL: cancelled */
	void *ctx;
	uint8_t *body;
	size_t body_len, body_sent;
	int status;
	char retry_after[TS_H2_RETRY_AFTER_CAP];
};

/* Request bodies may hold an auth key. */
static void stream_free(struct stream *stream)
{
	if (!stream)
		return;
	if (stream->body)
		ts_wipe(stream->body, stream->body_len);
	free(stream->body);
	free(stream);
}

/* By ID and not by nghttp2's user data, which a request that still waits to be
 * sent does not show. */
static struct stream *find_stream(const struct ts_h2_client *h2, int32_t id)
{
	struct stream *stream = h2->streams;

	while (stream && stream->id != id)
		stream = stream->next;
	return stream;
}

static struct stream *take_stream(struct ts_h2_client *h2, int32_t id)
{
	for (struct stream **at = &h2->streams; *at; at = &(*at)->next)
		if ((*at)->id == id) {
			struct stream *stream = *at;

			*at = stream->next;
			return stream;
		}
	return NULL;
}

static bool text_is(const uint8_t *text, size_t len, const char *expected)
{
	return len == strlen(expected) &&
	       strncasecmp((const char *)text, expected, len) == 0;
}

static int parse_status(const uint8_t *value, size_t len)
{
	int status = 0;

	for (size_t i = 0; i < len && i < 3; i++) {
		if (value[i] < '0' || value[i] > '9')
			return 0;
		status = status * 10 + (value[i] - '0');
	}
	return len == 3 ? status : 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame,
		     const uint8_t *name, size_t name_len,
		     const uint8_t *value, size_t value_len, uint8_t flags,
		     void *user)
{
	struct stream *stream = find_stream(user, frame->hd.stream_id);

	(void)session;
	(void)flags;
	if (!stream)
		return 0;
	if (text_is(name, name_len, ":status"))
		stream->status = parse_status(value, value_len);
	else if (text_is(name, name_len, "retry-after") &&
		 value_len < sizeof(stream->retry_after))
		snprintf(stream->retry_after, sizeof(stream->retry_after),
			 "%.*s", (int)value_len, (const char *)value);
	return 0;
}

static void report_head(struct ts_h2_client *h2, const nghttp2_frame *frame)
{
	struct stream *stream = find_stream(h2, frame->hd.stream_id);
	/* Informational answers and trailers are no heads. */
	bool is_head = frame->headers.cat == NGHTTP2_HCAT_RESPONSE ||
		       frame->headers.cat == NGHTTP2_HCAT_HEADERS;

	if (!stream || !stream->ops || !is_head || stream->status < 200)
		return;
	stream->ops->head(stream->ctx, stream->status, stream->retry_after);
	stream->status = 0;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame,
		    void *user)
{
	struct ts_h2_client *h2 = user;

	(void)session;
	if (frame->hd.type == NGHTTP2_HEADERS)
		report_head(h2, frame);
	else if (frame->hd.type == NGHTTP2_GOAWAY)
		h2->ops.goaway(h2->ctx, frame->goaway.error_code);
	return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t stream_id,
		   const uint8_t *data, size_t len, void *user)
{
	struct stream *stream = find_stream(user, stream_id);

	(void)session;
	(void)flags;
	if (stream && stream->ops)
		stream->ops->body(stream->ctx, data, len);
	return 0;
}

static int on_close(nghttp2_session *session, int32_t stream_id,
		    uint32_t code, void *user)
{
	struct stream *stream = take_stream(user, stream_id);
	char text[64];

	(void)session;
	if (!stream)
		return 0;
	snprintf(text, sizeof(text), "stream closed: %s",
		 nghttp2_http2_strerror(code));
	if (stream->ops)
		stream->ops->end(stream->ctx,
				 code == NGHTTP2_NO_ERROR ? NULL : text);
	stream_free(stream);
	return 0;
}

static ssize_t read_body(nghttp2_session *session, int32_t stream_id,
			 uint8_t *out, size_t room, uint32_t *flags,
			 nghttp2_data_source *source, void *user)
{
	struct stream *stream = source->ptr;
	size_t left = stream->body_len - stream->body_sent;
	size_t n = left < room ? left : room;

	(void)session;
	(void)stream_id;
	(void)user;
	memcpy(out, stream->body + stream->body_sent, n);
	stream->body_sent += n;
	if (n == left)
		*flags |= NGHTTP2_DATA_FLAG_EOF;
	return (ssize_t)n;
}

static int new_session(struct ts_h2_client *h2)
{
	nghttp2_session_callbacks *callbacks;
	int err;

	if (nghttp2_session_callbacks_new(&callbacks))
		return -ENOMEM;
	nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
	nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks,
							     on_frame);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks,
								  on_data);
	nghttp2_session_callbacks_set_on_stream_close_callback(callbacks,
							       on_close);
	err = nghttp2_session_client_new(&h2->session, callbacks, h2);
	nghttp2_session_callbacks_del(callbacks);
	return err ? -ENOMEM : 0;
}

static int submit_settings(struct ts_h2_client *h2)
{
	static const nghttp2_settings_entry settings[] = {
		{NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
		{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, STREAM_WINDOW},
	};

	if (nghttp2_submit_settings(h2->session, NGHTTP2_FLAG_NONE, settings,
				    ARRAY_LEN(settings)) ||
	    nghttp2_session_set_local_window_size(
		    h2->session, NGHTTP2_FLAG_NONE, 0, CONNECTION_WINDOW))
		return -ENOMEM;
	return 0;
}

struct ts_h2_client *ts_h2_new(const struct ts_h2_ops *ops, void *ctx)
{
	struct ts_h2_client *h2 = calloc(1, sizeof(*h2));

	if (!h2)
		return NULL;
	h2->ops = *ops;
	h2->ctx = ctx;
	if (new_session(h2) || submit_settings(h2)) {
		ts_h2_free(h2);
		return NULL;
	}
	return h2;
}

void ts_h2_free(struct ts_h2_client *h2)
{
	struct stream *stream;

	if (!h2)
		return;
	nghttp2_session_del(h2->session);
	while ((stream = h2->streams)) {
		h2->streams = stream->next;
		stream_free(stream);
	}
	free(h2);
}

static void add_field(nghttp2_nv *fields, size_t *count, const char *name,
		      const char *value)
{
	if (!value)
		return;
	fields[(*count)++] = (nghttp2_nv){
		.name = (uint8_t *)(uintptr_t)name,
		.value = (uint8_t *)(uintptr_t)value,
		.namelen = strlen(name),
		.valuelen = strlen(value),
	};
}

static struct stream *stream_new(const struct ts_h2_request *request)
{
	struct stream *stream = calloc(1, sizeof(*stream));

	if (!stream)
		return NULL;
	stream->ops = request->ops;
	stream->ctx = request->ctx;
	if (!request->body)
		return stream;
	stream->body = malloc(request->body_len ? request->body_len : 1);
	if (!stream->body) {
		free(stream);
		return NULL;
	}
	memcpy(stream->body, request->body, request->body_len);
	stream->body_len = request->body_len;
	return stream;
}

int32_t ts_h2_submit(struct ts_h2_client *h2,
		     const struct ts_h2_request *request)
{
	nghttp2_data_provider body = {.read_callback = read_body};
	nghttp2_nv fields[FIELDS_MAX];
	struct stream *stream;
	size_t count = 0;
	int32_t id;

	if (!nghttp2_session_check_request_allowed(h2->session))
		return -EPROTO;
	stream = stream_new(request);
	if (!stream)
		return -ENOMEM;
	add_field(fields, &count, ":method", request->method);
	add_field(fields, &count, ":scheme", "https");
	add_field(fields, &count, ":authority", request->authority);
	add_field(fields, &count, ":path", request->path);
	if (request->body)
		add_field(fields, &count, "content-type", "application/json");
	for (size_t i = 0; i < TS_H2_LB_MAX; i++)
		add_field(fields, &count, "ts-lb", request->lb[i]);
	body.source.ptr = stream;
	id = nghttp2_submit_request(h2->session, NULL, fields, count,
				    stream->body ? &body : NULL, NULL);
	if (id < 0) {
		stream_free(stream);
		return -ENOMEM;
	}
	stream->id = id;
	stream->next = h2->streams;
	h2->streams = stream;
	return id;
}

void ts_h2_cancel(struct ts_h2_client *h2, int32_t stream_id)
{
	struct stream *stream = find_stream(h2, stream_id);

	if (!stream)
		return;
	stream->ops = NULL;
	nghttp2_submit_rst_stream(h2->session, NGHTTP2_FLAG_NONE, stream_id,
				  NGHTTP2_CANCEL);
}

void ts_h2_ping(struct ts_h2_client *h2)
{
	nghttp2_submit_ping(h2->session, NGHTTP2_FLAG_NONE, NULL);
}

int ts_h2_input(struct ts_h2_client *h2, const uint8_t *data, size_t len)
{
	ssize_t n = nghttp2_session_mem_recv(h2->session, data, len);

	if (n < 0)
		return n == NGHTTP2_ERR_NOMEM ? -ENOMEM : -EBADMSG;
	/* Protocol errors become a GOAWAY of our own: flush, then the end. */
	return ts_h2_flush(h2);
}

int ts_h2_flush(struct ts_h2_client *h2)
{
	const uint8_t *data;
	ssize_t n;

	while ((n = nghttp2_session_mem_send(h2->session, &data)) > 0) {
		int err = h2->ops.write(h2->ctx, data, (size_t)n);

		if (err)
			return err;
	}
	if (n < 0)
		return n == NGHTTP2_ERR_NOMEM ? -ENOMEM : -EBADMSG;
	if (!nghttp2_session_want_read(h2->session) &&
	    !nghttp2_session_want_write(h2->session))
		return -EBADMSG;
	return 0;
}
