/* SPDX-License-Identifier: BSD-3-Clause
 * h2_server.c - a client's HTTP/2 connection, each stream as HTTP/1.1
 *
 * A stream lives from its first HEADERS until nghttp2 closes it; its owner may
 * let go of it earlier, and what still comes is then thrown away. Its window is
 * given back as its owner reads, byte for byte.
 */
#include "core/serve/h2_server.h"

#include <errno.h>
#include <nghttp2/nghttp2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/err.h"
#include "core/serve/h2_body.h"
#include "core/serve/h2_head.h"
#include "core/serve/h2_text.h"

enum {
	/* Resets: so many at once, so many each second. */
	RESETS_BURST = 500,
	RESETS_RATE = 50,
	ACKS_MAX = 200,
	SETTINGS_MAX = 32,
};

struct ts_h2_server {
	nghttp2_session *session;
	struct ts_h2_server_ops ops;
	void *ctx;
	struct ts_h2_stream *streams;
	size_t count;
	/* Frames that cost nothing. */
	uint64_t now_ms, refilled_ms;
	unsigned credit;
	bool is_failed;
};

struct ts_h2_stream {
	struct ts_h2_server *server;
	struct ts_h2_stream *next;
	int32_t id;
	void *owner; /* NULL: none yet, or none any more */
	/* The request. */
	struct ts_h2_head head; /* then its trailers */
	struct ts_h2_text in;
	size_t unread; /* bytes of the client's windows */
	bool is_head, has_request, in_ended;
	/* The answer. */
	struct ts_h2_body answer;
	bool has_answer, is_sent;
};

/* -- streams -------------------------------------------------------------- */

static struct ts_h2_stream *stream_new(struct ts_h2_server *server, int32_t id)
{
	struct ts_h2_stream *st = calloc(1, sizeof(*st));

	if (!st)
		return NULL;
	st->server = server;
	st->id = id;
	ts_h2_head_init(&st->head);
	ts_h2_text_init(&st->in, TS_H2_STREAM_WINDOW);
	ts_h2_body_init(&st->answer, TS_H2_ANSWER_BYTES);
	st->next = server->streams;
	server->streams = st;
	server->count++;
	return st;
}

static void stream_free(struct ts_h2_stream *st)
{
	struct ts_h2_stream **at = &st->server->streams;

	while (*at != st)
		at = &(*at)->next;
	*at = st->next;
	st->server->count--;
	ts_h2_head_deinit(&st->head);
	ts_h2_text_deinit(&st->in);
	ts_h2_body_deinit(&st->answer);
	free(st);
}

static void tell(struct ts_h2_stream *st)
{
	if (st->owner)
		st->server->ops.news(st->owner);
}

static void reset(struct ts_h2_stream *st, uint32_t code)
{
	nghttp2_submit_rst_stream(st->server->session, NGHTTP2_FLAG_NONE,
				  st->id, code);
	st->server->ops.wants_output(st->server->ctx);
}

/* -- floods --------------------------------------------------------------- */

static void refill(struct ts_h2_server *server)
{
	uint64_t more = (server->now_ms - server->refilled_ms) /
			TS_H2_IDLE_FRAME_MS;

	if (more == 0)
		return;
	server->refilled_ms += more * TS_H2_IDLE_FRAME_MS;
	server->credit = more + server->credit > TS_H2_IDLE_FRAMES
				 ? TS_H2_IDLE_FRAMES
				 : server->credit + (unsigned)more;
}

static bool costs_nothing(const nghttp2_frame *frame)
{
	switch (frame->hd.type) {
	case NGHTTP2_PING:
	case NGHTTP2_SETTINGS:
	case NGHTTP2_PRIORITY:
	case NGHTTP2_RST_STREAM:
		return true;
	case NGHTTP2_DATA:
		return frame->hd.length == frame->data.padlen &&
		       !(frame->hd.flags & NGHTTP2_FLAG_END_STREAM);
	default:
		return false;
	}
}

static void charge(struct ts_h2_server *server)
{
	if (server->credit > 0)
		server->credit--;
	else
		nghttp2_session_terminate_session(server->session,
						  NGHTTP2_ENHANCE_YOUR_CALM);
}

static void count_frame(struct ts_h2_server *server,
			const nghttp2_frame *frame)
{
	if (costs_nothing(frame))
		charge(server);
}

/* It makes us break off a stream, as a reset of the client's would. */
static int on_invalid_frame(nghttp2_session *session,
			    const nghttp2_frame *frame, int code, void *user)
{
	(void)session;
	(void)frame;
	(void)code;
	charge(user);
	return 0;
}

/* -- the request ---------------------------------------------------------- */

static struct ts_h2_stream *stream_of(nghttp2_session *session, int32_t id)
{
	return nghttp2_session_get_stream_user_data(session, id);
}

static int on_begin_headers(nghttp2_session *session,
			    const nghttp2_frame *frame, void *user)
{
	struct ts_h2_server *server = user;
	struct ts_h2_stream *st;

	if (frame->headers.cat != NGHTTP2_HCAT_REQUEST) {
		st = stream_of(session, frame->hd.stream_id);
		if (st) {
			ts_h2_head_deinit(&st->head);
			ts_h2_head_init(&st->head);
		}
		return 0;
	}
	st = server->count < TS_H2_STREAMS_MAX
		     ? stream_new(server, frame->hd.stream_id) : NULL;
	if (!st) {
		charge(server);
		nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE,
					  frame->hd.stream_id,
					  NGHTTP2_REFUSED_STREAM);
	}
	nghttp2_session_set_stream_user_data(session, frame->hd.stream_id, st);
	return 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame,
		     const uint8_t *name, size_t name_len,
		     const uint8_t *value, size_t value_len, uint8_t flags,
		     void *user)
{
	struct ts_h2_stream *st = stream_of(session, frame->hd.stream_id);

	(void)flags;
	(void)user;
	if (st)
		ts_h2_head_add(&st->head, name, name_len, value, value_len);
	return 0;
}

/* Without anybody who would answer. */
static void answer_alone(struct ts_h2_stream *st, const char *status)
{
	struct ts_h2_fields fields = {0};

	ts_h2_fields_add(&fields, ":status", status, strlen(status));
	nghttp2_submit_response(st->server->session, st->id, fields.nv,
				fields.count, NULL);
	st->has_answer = true;
}

static void begin(struct ts_h2_stream *st, bool has_body)
{
	struct ts_h2_server *server = st->server;
	int err = ts_h2_head_request(&st->head, has_body, &st->in.head);

	st->has_request = true;
	st->is_head = st->head.method && strcmp(st->head.method, "HEAD") == 0;
	st->in.is_chunked = ts_h2_head_is_chunked(&st->head, has_body);
	if (err) {
		answer_alone(st, err == -EMSGSIZE ? "431" :
				 err == -EBADMSG ? "400" : "500");
		return;
	}
	st->owner = server->ops.opened(server->ctx, st);
	if (!st->owner) {
		charge(server);
		reset(st, NGHTTP2_REFUSED_STREAM);
	}
}

static void end_request(struct ts_h2_stream *st, bool has_trailers)
{
	st->in_ended = true;
	if (st->in.is_chunked && st->owner &&
	    ts_h2_text_end(&st->in, has_trailers ? &st->head : NULL))
		reset(st, NGHTTP2_PROTOCOL_ERROR);
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame,
		    void *user)
{
	bool is_end = frame->hd.flags & NGHTTP2_FLAG_END_STREAM;
	bool is_headers = frame->hd.type == NGHTTP2_HEADERS;
	struct ts_h2_stream *st;

	count_frame(user, frame);
	if (!is_headers && frame->hd.type != NGHTTP2_DATA)
		return 0;
	st = stream_of(session, frame->hd.stream_id);
	if (!st)
		return 0;
	if (is_headers && !st->has_request)
		begin(st, !is_end);
	if (is_end)
		end_request(st, is_headers);
	tell(st);
	return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id,
		   const uint8_t *data, size_t len, void *user)
{
	struct ts_h2_stream *st = stream_of(session, id);

	(void)flags;
	(void)user;
	if (!st || !st->owner) {
		nghttp2_session_consume(session, id, len);
		return 0;
	}
	st->unread += len;
	if (ts_byte_queue_push(&st->in.body, data, len))
		reset(st, NGHTTP2_INTERNAL_ERROR);
	return 0;
}

static int on_close(nghttp2_session *session, int32_t id, uint32_t code,
		    void *user)
{
	struct ts_h2_stream *st = stream_of(session, id);

	(void)code;
	(void)user;
	if (!st)
		return 0;
	nghttp2_session_consume_connection(session, st->unread);
	if (st->owner)
		st->server->ops.gone(st->owner);
	stream_free(st);
	return 0;
}

/* A window is given back to who has nothing more to send, too. */
static void give_back(struct ts_h2_stream *st, size_t n)
{
	if (n == 0)
		return;
	st->unread -= n;
	nghttp2_session_consume(st->server->session, st->id, n);
	st->server->ops.wants_output(st->server->ctx);
}

size_t ts_h2_stream_read(struct ts_h2_stream *st, void *out, size_t cap,
			 bool *has_ended)
{
	size_t payload, n = ts_h2_text_read(&st->in, out, cap, &payload);

	give_back(st, payload);
	*has_ended = st->in_ended && ts_h2_text_is_empty(&st->in);
	return n;
}

/* -- the answer ----------------------------------------------------------- */

static ssize_t read_answer(nghttp2_session *session, int32_t id, uint8_t *out,
			   size_t room, uint32_t *flags,
			   nghttp2_data_source *source, void *user)
{
	struct ts_h2_stream *st = source->ptr;
	ssize_t n = ts_h2_body_send(&st->answer, session, id, out, room,
				    flags);

	(void)user;
	if (n > 0)
		tell(st); /* there is room again */
	return n;
}

static int submit_head(struct ts_h2_stream *st,
		       const struct ts_http1_head *head)
{
	nghttp2_data_provider body = {.source.ptr = st,
				      .read_callback = read_answer};
	nghttp2_session *session = st->server->session;
	struct ts_h2_fields fields = {0};
	char status[8];
	int err;

	snprintf(status, sizeof(status), "%03d", head->status);
	ts_h2_fields_add(&fields, ":status", status, 3);
	ts_h2_fields_copy(&fields, head);
	if (head->status < 200)
		return nghttp2_submit_headers(session, NGHTTP2_FLAG_NONE,
					      st->id, NULL, fields.nv,
					      fields.count, NULL);
	err = ts_http_body_of_response(head, st->is_head, &st->answer.frame);
	if (err)
		return err;
	st->has_answer = true;
	return nghttp2_submit_response(session, st->id, fields.nv,
				       fields.count,
				       st->answer.frame.is_done ? NULL : &body);
}

/* -EAGAIN: not there yet. */
static int read_head(struct ts_h2_stream *st)
{
	struct ts_http1_head head;
	size_t len = ts_byte_queue_len(&st->answer.text);
	int err = len ? ts_http1_read_response(ts_byte_queue_data(&st->answer.text),
					       len, &head)
		      : -EAGAIN;

	if (!err && head.status == 101)
		err = -EPROTO;
	if (!err)
		err = submit_head(st, &head);
	if (!err)
		ts_byte_queue_drop(&st->answer.text, head.head_len);
	return err;
}

size_t ts_h2_stream_write(struct ts_h2_stream *st, const void *data,
			  size_t len)
{
	size_t room = TS_H2_ANSWER_BYTES - ts_byte_queue_len(&st->answer.text);
	int err;

	if (st->has_answer && st->answer.frame.is_done)
		return len; /* after its end */
	if (len > room)
		len = room;
	err = ts_byte_queue_push(&st->answer.text, data, len);
	while (!err && !st->has_answer)
		err = read_head(st);
	if (err && err != -EAGAIN) {
		reset(st, NGHTTP2_INTERNAL_ERROR);
		return len;
	}
	ts_h2_body_resume(&st->answer, st->server->session, st->id);
	st->server->ops.wants_output(st->server->ctx);
	return len;
}

void ts_h2_stream_end(struct ts_h2_stream *st)
{
	st->answer.has_ended = true;
	ts_h2_body_resume(&st->answer, st->server->session, st->id);
	st->server->ops.wants_output(st->server->ctx);
}

size_t ts_h2_stream_waiting(const struct ts_h2_stream *st)
{
	return ts_byte_queue_len(&st->answer.text);
}

bool ts_h2_stream_is_pending(const struct ts_h2_stream *st)
{
	return st->has_answer && !st->is_sent;
}

void ts_h2_stream_close(struct ts_h2_stream *st)
{
	st->owner = NULL;
	ts_h2_text_clear(&st->in);
	give_back(st, st->unread);
	/* RFC 9113, 8.1: a whole answer to half a request is no error. */
	if (!st->is_sent)
		reset(st, NGHTTP2_INTERNAL_ERROR);
	else if (!st->in_ended)
		reset(st, NGHTTP2_NO_ERROR);
}

static int on_sent(nghttp2_session *session, const nghttp2_frame *frame,
		   void *user)
{
	struct ts_h2_stream *st;

	(void)user;
	if (!(frame->hd.flags & NGHTTP2_FLAG_END_STREAM) ||
	    (frame->hd.type != NGHTTP2_HEADERS &&
	     frame->hd.type != NGHTTP2_DATA))
		return 0;
	st = stream_of(session, frame->hd.stream_id);
	if (!st)
		return 0;
	st->is_sent = true;
	if (!st->owner && !st->in_ended)
		reset(st, NGHTTP2_NO_ERROR);
	tell(st);
	return 0;
}

/* -- the connection ------------------------------------------------------- */

static int new_session(struct ts_h2_server *server, nghttp2_option *option)
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
	nghttp2_session_callbacks_set_on_frame_send_callback(cb, on_sent);
	nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(
		cb, on_invalid_frame);
	nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_close);
	err = nghttp2_session_server_new2(&server->session, cb, server, option);
	nghttp2_session_callbacks_del(cb);
	return err ? -ENOMEM : 0;
}

static int open_session(struct ts_h2_server *server)
{
	nghttp2_option *option;
	int err;

	if (nghttp2_option_new(&option))
		return -ENOMEM;
	nghttp2_option_set_no_auto_window_update(option, 1);
	nghttp2_option_set_no_closed_streams(option, 1);
	nghttp2_option_set_max_outbound_ack(option, ACKS_MAX);
	nghttp2_option_set_max_settings(option, SETTINGS_MAX);
	nghttp2_option_set_stream_reset_rate_limit(option, RESETS_BURST,
						   RESETS_RATE);
	err = new_session(server, option);
	nghttp2_option_del(option);
	return err;
}

static int submit_settings(struct ts_h2_server *server)
{
	static const nghttp2_settings_entry settings[] = {
		{NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, TS_H2_STREAMS_MAX},
		{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, TS_H2_STREAM_WINDOW},
		{NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, TS_H2_LIST_MAX},
	};

	if (nghttp2_submit_settings(server->session, NGHTTP2_FLAG_NONE,
				    settings, ARRAY_LEN(settings)) ||
	    nghttp2_session_set_local_window_size(
		    server->session, NGHTTP2_FLAG_NONE, 0, TS_H2_WINDOW))
		return -ENOMEM;
	return 0;
}

struct ts_h2_server *ts_h2_server_new(const struct ts_h2_server_ops *ops,
				      void *ctx)
{
	struct ts_h2_server *server = calloc(1, sizeof(*server));

	if (!server)
		return NULL;
	server->ops = *ops;
	server->ctx = ctx;
	server->credit = TS_H2_IDLE_FRAMES;
	if (open_session(server) || submit_settings(server)) {
		ts_h2_server_free(server);
		return NULL;
	}
	return server;
}

void ts_h2_server_free(struct ts_h2_server *server)
{
	if (!server)
		return;
	nghttp2_session_del(server->session);
	while (server->streams)
		stream_free(server->streams);
	free(server);
}

static int failed(struct ts_h2_server *server, ssize_t code)
{
	server->is_failed = true;
	return code == NGHTTP2_ERR_NOMEM ? -ENOMEM : -EPROTO;
}

int ts_h2_server_input(struct ts_h2_server *server, const uint8_t *data,
		       size_t len, uint64_t now_ms)
{
	ssize_t n;

	if (server->is_failed)
		return -EPROTO;
	if (server->now_ms == 0)
		server->refilled_ms = now_ms;
	server->now_ms = now_ms;
	refill(server);
	n = nghttp2_session_mem_recv(server->session, data, len);
	return n < 0 ? failed(server, n) : 0;
}

ssize_t ts_h2_server_output(struct ts_h2_server *server, const uint8_t **data)
{
	ssize_t n = nghttp2_session_mem_send(server->session, data);

	return n < 0 ? failed(server, n) : n;
}

void ts_h2_server_end(struct ts_h2_server *server)
{
	nghttp2_submit_goaway(
		server->session, NGHTTP2_FLAG_NONE,
		nghttp2_session_get_last_proc_stream_id(server->session),
		NGHTTP2_NO_ERROR, NULL, 0);
}

bool ts_h2_server_is_over(const struct ts_h2_server *server)
{
	return server->is_failed ||
	       (!nghttp2_session_want_read(server->session) &&
		!nghttp2_session_want_write(server->session));
}

/* Of what has only begun to come nobody knows when it will end. */
size_t ts_h2_server_streams(const struct ts_h2_server *server)
{
	size_t count = 0;

	for (const struct ts_h2_stream *st = server->streams; st; st = st->next)
		count += st->owner != NULL;
	return count;
}
