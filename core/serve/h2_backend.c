/* SPDX-License-Identifier: BSD-3-Clause
 * h2_backend.c - a backend that speaks HTTP/2, as one of HTTP/1.1
 *
 * The stream's window is given back as the answer is read. A backend may end
 * its answer before it has the whole request: that is then thrown away.
 */
#include "core/serve/h2_backend.h"

#include <errno.h>
#include <nghttp2/nghttp2.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/err.h"
#include "core/serve/h2_body.h"
#include "core/serve/h2_head.h"
#include "core/serve/h2_text.h"

enum { ACKS_MAX = 200 };

struct ts_h2_backend {
	nghttp2_session *session;
	bool is_tls, is_over;
	int err; /* of the answer: here it breaks off */
	int32_t id; /* of the stream; 0: none */
	/* The request. */
	struct ts_h2_body request;
	bool has_request, is_head;
	/* The answer. */
	struct ts_h2_head head; /* then its trailers */
	struct ts_h2_text answer;
	size_t unread; /* bytes of the backend's windows */
	bool has_answer, is_whole;
};

/* -- the answer ----------------------------------------------------------- */

static void fail(struct ts_h2_backend *h2, int err)
{
	if (!h2->err)
		h2->err = err;
}

static void note(struct ts_h2_backend *h2, int err)
{
	if (err)
		fail(h2, err);
}

static int on_begin_headers(nghttp2_session *session,
			    const nghttp2_frame *frame, void *user)
{
	struct ts_h2_backend *h2 = user;

	(void)session;
	(void)frame;
	ts_h2_head_deinit(&h2->head);
	ts_h2_head_init(&h2->head);
	return 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame,
		     const uint8_t *name, size_t name_len,
		     const uint8_t *value, size_t value_len, uint8_t flags,
		     void *user)
{
	struct ts_h2_backend *h2 = user;

	(void)session;
	(void)frame;
	(void)flags;
	ts_h2_head_add(&h2->head, name, name_len, value, value_len);
	return 0;
}

/* What ends with its head ends there in text, too. */
static int say_empty(struct ts_h2_backend *h2)
{
	if (h2->is_head || h2->head.length || h2->head.status == 204 ||
	    h2->head.status == 304)
		return 0;
	h2->head.length = strdup("0");
	return h2->head.length ? 0 : -ENOMEM;
}

static void take_head(struct ts_h2_backend *h2, bool is_end)
{
	bool is_final = h2->head.status >= 200;

	h2->has_answer = is_final;
	h2->answer.is_chunked = is_final &&
			ts_h2_head_is_chunked(&h2->head, !is_end);
	if (is_final && is_end)
		note(h2, say_empty(h2));
	note(h2, ts_h2_head_answer(&h2->head, is_final && !is_end,
				   &h2->answer.head));
}

static void take_end(struct ts_h2_backend *h2, bool has_trailers)
{
	h2->is_whole = true;
	if (h2->answer.is_chunked)
		note(h2, ts_h2_text_end(&h2->answer,
					has_trailers ? &h2->head : NULL));
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame,
		    void *user)
{
	bool is_end = frame->hd.flags & NGHTTP2_FLAG_END_STREAM;
	bool is_headers = frame->hd.type == NGHTTP2_HEADERS;
	struct ts_h2_backend *h2 = user;

	(void)session;
	if (frame->hd.type == NGHTTP2_GOAWAY)
		h2->is_over = true; /* after the answer that is under way */
	if (frame->hd.stream_id != h2->id || h2->id == 0 ||
	    (!is_headers && frame->hd.type != NGHTTP2_DATA))
		return 0;
	if (is_headers && !h2->has_answer)
		take_head(h2, is_end);
	if (is_end)
		take_end(h2, is_headers);
	return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id,
		   const uint8_t *data, size_t len, void *user)
{
	struct ts_h2_backend *h2 = user;

	(void)flags;
	if (id != h2->id) {
		nghttp2_session_consume(session, id, len);
		return 0;
	}
	h2->unread += len;
	note(h2, ts_byte_queue_push(&h2->answer.body, data, len));
	return 0;
}

static int on_close(nghttp2_session *session, int32_t id, uint32_t code,
		    void *user)
{
	struct ts_h2_backend *h2 = user;

	(void)code;
	if (id != h2->id)
		return 0;
	nghttp2_session_consume_connection(session, h2->unread);
	h2->unread = 0;
	h2->id = 0;
	if (!h2->is_whole)
		fail(h2, -ECONNRESET);
	return 0;
}

ssize_t ts_h2_backend_read(struct ts_h2_backend *h2, void *out, size_t cap)
{
	size_t payload, n = ts_h2_text_read(&h2->answer, out, cap, &payload);

	if (n == 0 && ts_h2_text_is_empty(&h2->answer))
		return h2->err;
	/* Once the stream is closed all is given back. */
	if (payload > 0 && h2->id) {
		nghttp2_session_consume(h2->session, h2->id, payload);
		h2->unread -= payload;
	}
	return (ssize_t)n;
}

/* -- the request ---------------------------------------------------------- */

static ssize_t read_request(nghttp2_session *session, int32_t id, uint8_t *out,
			    size_t room, uint32_t *flags,
			    nghttp2_data_source *source, void *user)
{
	(void)user;
	return ts_h2_body_send(source->ptr, session, id, out, room, flags);
}

static void add_first_line(struct ts_h2_fields *fields,
			   const struct ts_h2_backend *h2,
			   const struct ts_http1_head *head)
{
	const struct ts_http1_field *host = ts_http1_find(head, "Host");
	const char *scheme = h2->is_tls ? "https" : "http";

	ts_h2_fields_add(fields, ":method", head->method, head->method_len);
	ts_h2_fields_add(fields, ":scheme", scheme, strlen(scheme));
	if (host)
		ts_h2_fields_add(fields, ":authority", host->value,
				 host->value_len);
	ts_h2_fields_add(fields, ":path", head->target, head->target_len);
}

/* The host is said already. */
static void drop_host(struct ts_http1_head *head)
{
	size_t count = 0;

	for (size_t i = 0; i < head->field_count; i++)
		if (!ts_http1_is_named(&head->fields[i], "Host"))
			head->fields[count++] = head->fields[i];
	head->field_count = count;
}

static int submit(struct ts_h2_backend *h2, struct ts_http1_head *head)
{
	nghttp2_data_provider body = {.source.ptr = &h2->request,
				      .read_callback = read_request};
	struct ts_h2_fields fields = {0};
	int err = ts_http_body_of_request(head, &h2->request.frame);
	int32_t id;

	if (err)
		return err;
	h2->is_head = head->method_len == 4 &&
		      memcmp(head->method, "HEAD", 4) == 0;
	add_first_line(&fields, h2, head);
	drop_host(head);
	ts_h2_fields_copy(&fields, head);
	id = nghttp2_submit_request(h2->session, NULL, fields.nv, fields.count,
				    h2->request.frame.is_done ? NULL : &body,
				    NULL);
	if (id < 0)
		return id == NGHTTP2_ERR_NOMEM ? -ENOMEM : -EPROTO;
	h2->id = id;
	h2->has_request = true;
	return 0;
}

/* -EAGAIN: not all of it is there. */
static int read_head(struct ts_h2_backend *h2)
{
	struct ts_byte_queue *text = &h2->request.text;
	struct ts_http1_head head;
	int err = ts_http1_read_request(ts_byte_queue_data(text),
					ts_byte_queue_len(text), &head);
	size_t head_len = head.head_len;

	if (!err)
		err = submit(h2, &head);
	if (!err)
		ts_byte_queue_drop(text, head_len);
	return err;
}

void ts_h2_backend_begin(struct ts_h2_backend *h2)
{
	ts_byte_queue_clear(&h2->request.text);
	ts_byte_queue_clear(&h2->request.trailers);
	h2->request.is_deferred = false;
	h2->has_request = h2->has_answer = false;
	h2->is_whole = false;
	ts_h2_text_clear(&h2->answer);
}

ssize_t ts_h2_backend_write(struct ts_h2_backend *h2, const void *data,
			    size_t len)
{
	struct ts_byte_queue *text = &h2->request.text;
	size_t room;
	int err;

	if (h2->has_request && h2->id == 0)
		return (ssize_t)len; /* nobody wants it any more */
	room = TS_H2_REQUEST_BYTES - ts_byte_queue_len(text);
	if (len > room)
		len = room;
	err = ts_byte_queue_push(text, data, len);
	if (!err && !h2->has_request)
		err = read_head(h2);
	if (err && err != -EAGAIN)
		return err;
	if (h2->id)
		ts_h2_body_resume(&h2->request, h2->session, h2->id);
	return (ssize_t)len;
}

/* -- the connection ------------------------------------------------------- */

static int new_session(struct ts_h2_backend *h2, nghttp2_option *option)
{
	nghttp2_session_callbacks *cb;
	int err;

	if (nghttp2_session_callbacks_new(&cb))
		return -ENOMEM;
	nghttp2_session_callbacks_set_on_begin_headers_callback(
		cb, on_begin_headers);
	nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_data);
	nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame);
	nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_close);
	err = nghttp2_session_client_new2(&h2->session, cb, h2, option);
	nghttp2_session_callbacks_del(cb);
	return err ? -ENOMEM : 0;
}

static int open_session(struct ts_h2_backend *h2)
{
	static const nghttp2_settings_entry settings[] = {
		{NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
		{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, TS_H2_BACKEND_WINDOW},
		{NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, TS_H2_LIST_MAX},
	};
	nghttp2_option *option;
	int err;

	if (nghttp2_option_new(&option))
		return -ENOMEM;
	nghttp2_option_set_no_auto_window_update(option, 1);
	nghttp2_option_set_max_outbound_ack(option, ACKS_MAX);
	err = new_session(h2, option);
	nghttp2_option_del(option);
	if (!err && (nghttp2_submit_settings(h2->session, NGHTTP2_FLAG_NONE,
					     settings, ARRAY_LEN(settings)) ||
		     nghttp2_session_set_local_window_size(
			     h2->session, NGHTTP2_FLAG_NONE, 0,
			     TS_H2_BACKEND_WINDOW)))
		err = -ENOMEM;
	return err;
}

struct ts_h2_backend *ts_h2_backend_new(bool is_tls)
{
	struct ts_h2_backend *h2 = calloc(1, sizeof(*h2));

	if (!h2)
		return NULL;
	h2->is_tls = is_tls;
	ts_h2_head_init(&h2->head);
	ts_h2_body_init(&h2->request, TS_H2_REQUEST_BYTES);
	ts_h2_text_init(&h2->answer, TS_H2_BACKEND_WINDOW);
	if (open_session(h2)) {
		ts_h2_backend_free(h2);
		return NULL;
	}
	return h2;
}

void ts_h2_backend_free(struct ts_h2_backend *h2)
{
	if (!h2)
		return;
	nghttp2_session_del(h2->session);
	ts_h2_head_deinit(&h2->head);
	ts_h2_body_deinit(&h2->request);
	ts_h2_text_deinit(&h2->answer);
	free(h2);
}

bool ts_h2_backend_is_free(const struct ts_h2_backend *h2)
{
	return !h2->is_over && !h2->err && h2->id == 0 &&
	       ts_h2_text_is_empty(&h2->answer) &&
	       nghttp2_session_check_request_allowed(h2->session);
}

int ts_h2_backend_input(struct ts_h2_backend *h2, const uint8_t *data,
			size_t len)
{
	ssize_t n = nghttp2_session_mem_recv(h2->session, data, len);

	if (n < 0)
		return n == NGHTTP2_ERR_NOMEM ? -ENOMEM : -EPROTO;
	return 0;
}

ssize_t ts_h2_backend_output(struct ts_h2_backend *h2, const uint8_t **data)
{
	ssize_t n = nghttp2_session_mem_send(h2->session, data);

	if (n < 0)
		return n == NGHTTP2_ERR_NOMEM ? -ENOMEM : -EPROTO;
	if (n == 0 && !nghttp2_session_want_read(h2->session) &&
	    !nghttp2_session_want_write(h2->session))
		return -ECONNRESET;
	return n;
}
