/* SPDX-License-Identifier: BSD-3-Clause
 * serve_http.c - one request after the other: which handler has it
 *
 * HTTP/1.1 and 1.0; streams of HTTP/2 come as HTTP/1.1 (serve_h2.c). The head of the request that is
 * being answered is kept apart from what comes after it, so views into it hold
 * while more is read. A body that no handler wants is read and thrown away up
 * to a bound, so that a client that sends before it listens gets its answer.
 * Source: ipn/ipnlocal/serve.go (serveWebHandler, getServeHandler)
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/host/serve_backend.h"
#include "core/host/serve_internal.h"
#include "core/serve/funnel_rule.h"

void serve_http_forget(struct serve_conn *conn)
{
	ts_serve_request_deinit(&conn->req);
	memset(&conn->req, 0, sizeof(conn->req));
	conn->req.body.is_done = true;
	ts_byte_queue_clear(&conn->trailers);
	free(conn->head);
	conn->head = NULL;
}

/* -- dispatch ------------------------------------------------------------- */

/* The name whose handlers are asked for; "": none. */
static void web_name(const struct serve_conn *conn,
		     char out[static TS_SERVE_HOST_CAP])
{
	const struct ts_netmap *map = ts_node_netmap(conn->member->node);
	char *suffix = ts_netmap_magic_suffix(map);

	out[0] = '\0';
	if (conn->is_tls)
		snprintf(out, TS_SERVE_HOST_CAP, "%.253s",
			 serve_stream_name(&conn->stream));
	else if (suffix && conn->service[0])
		snprintf(out, TS_SERVE_HOST_CAP, "%s.%.180s",
			 conn->service + strlen("svc:"), suffix);
	else if (suffix)
		ts_serve_web_name(conn->req.host, suffix, out);
	free(suffix);
	for (char *at = out; *at; at++)
		*at = (char)tolower((unsigned char)*at);
}

static void answer_text(struct serve_conn *conn, const char *text)
{
	serve_answer(conn, 200, "text/plain; charset=utf-8", "", text,
		     strlen(text));
}

static void redirect(struct serve_conn *conn, const char *redirect_text)
{
	int status;
	char *to = ts_serve_redirect(redirect_text, &conn->req, &status);

	if (to)
		serve_answer_redirect(conn, status, to);
	else
		serve_answer_status(conn, 500);
	free(to);
}

/* Who came while it was open to the internet must not see what is the
 * tailnet's alone by now, nor another name's handlers. */
static bool is_open_to(const struct serve_conn *conn, const char *name)
{
	char target[TS_SERVE_HOST_CAP + 8];

	if (!conn->is_funnel)
		return true;
	snprintf(target, sizeof(target), "%s:%u", name, conn->port);
	return ts_serve_lets_funnel(ts_node_serve(conn->member->node), target);
}

static void refuse_to_go_on(struct serve_conn *conn)
{
	conn->closes = true;
	serve_answer_status(conn, 403);
}

static void dispatch(struct serve_conn *conn)
{
	const json_t *config = ts_node_serve(conn->member->node), *handlers;
	char name[TS_SERVE_HOST_CAP];
	struct ts_serve_handler h;

	web_name(conn, name);
	handlers = ts_serve_find_web(config,
				     conn->service[0] ? conn->service : NULL,
				     name, conn->port);
	log_debug("serve-%llu: %.*s %.*s of %s",
		  (unsigned long long)conn->id, (int)conn->req.head.method_len,
		  conn->req.head.method, (int)conn->req.raw_path_len,
		  conn->req.raw_path, name);
	if (!is_open_to(conn, name))
		refuse_to_go_on(conn);
	else if (!ts_serve_find_handler(handlers, conn->req.path, &h))
		serve_answer_status(conn, 404);
	else if (h.text)
		answer_text(conn, h.text);
	else if (h.redirect)
		redirect(conn, h.redirect);
	else if (h.path)
		serve_files(conn, h.path, h.mount);
	else if (h.proxy)
		serve_proxy(conn, &h);
	else
		serve_answer_status(conn, 500);
}

/* -- requests ------------------------------------------------------------- */

static int status_of(int err)
{
	switch (err) {
	case -EMSGSIZE:
		return 431;
	case -EOPNOTSUPP:
		return 501;
	case -ERANGE:
		return 505;
	case -ENOMEM:
		return 500;
	default:
		return 400;
	}
}

/* Where the next request begins is not known. */
static void refuse(struct serve_conn *conn, int err)
{
	serve_http_forget(conn);
	conn->closes = true;
	serve_answer_status(conn, status_of(err));
}

/* The head moves out of the queue; its views are made anew. */
static int take_head(struct serve_conn *conn)
{
	size_t len = conn->req.head.head_len;

	ts_serve_request_deinit(&conn->req);
	conn->head = malloc(len);
	if (!conn->head)
		return -ENOMEM;
	memcpy(conn->head, ts_byte_queue_data(&conn->in), len);
	ts_byte_queue_drop(&conn->in, len);
	return ts_serve_request_read(conn->head, len, &conn->req);
}

/* Servers pass over a line end or two in front of a request. */
static void skip_line_ends(struct ts_byte_queue *in)
{
	while (ts_byte_queue_len(in) >= 2 &&
	       memcmp(ts_byte_queue_data(in), "\r\n", 2) == 0)
		ts_byte_queue_drop(in, 2);
}

static bool begin(struct serve_conn *conn)
{
	int err;

	if (!conn->has_begun) {
		conn->has_begun = true;
		serve_conn_set_due(conn, SERVE_HEAD_MS);
	}
	skip_line_ends(&conn->in);
	err = ts_serve_request_read(ts_byte_queue_data(&conn->in),
				    ts_byte_queue_len(&conn->in), &conn->req);
	if (err == -EAGAIN && !conn->stream.has_ended)
		return false;
	if (!err)
		err = take_head(conn);
	if (err) {
		refuse(conn, err);
		return true;
	}
	conn->closes = !conn->req.keep_alive;
	conn->discarded = 0;
	conn->has_continued = false;
	dispatch(conn);
	return true;
}

static void next_request(struct serve_conn *conn)
{
	serve_http_forget(conn);
	conn->has_begun = false;
	serve_conn_set_due(conn, SERVE_IDLE_MS);
	conn->state = conn->closes ? SERVE_LAST : SERVE_HEAD;
}

void serve_http_answered(struct serve_conn *conn)
{
	/* Who waits for our word before he sends the body, sends none. */
	if (conn->req.expects_continue && !conn->has_continued &&
	    !conn->req.body.is_done)
		conn->closes = true;
	conn->state = SERVE_DISCARD;
	if (conn->due_ms == UINT64_MAX)
		serve_conn_set_due(conn, SERVE_STALL_MS);
	if (conn->req.body.is_done || conn->closes)
		next_request(conn);
}

/* -- the states ----------------------------------------------------------- */

static bool step_head(struct serve_conn *conn)
{
	if (!conn->has_begun && serve_h2_begin(conn))
		return true;
	if (conn->backend && conn->backend->is_up) {
		(void)serve_backend_fill(conn->backend);
		if (conn->backend->has_ended ||
		    ts_byte_queue_len(&conn->backend->in) > 0) {
			serve_backend_free(conn->backend);
			conn->backend = NULL;
		}
	}
	if (ts_byte_queue_len(&conn->out) > SERVE_BUFFER_BYTES)
		return false;
	if (ts_byte_queue_len(&conn->in) > 0)
		return begin(conn);
	if (conn->stream.has_ended)
		conn->state = SERVE_LAST;
	return conn->stream.has_ended;
}

static bool step_discard(struct serve_conn *conn)
{
	const uint8_t *payload;
	size_t payload_len;
	ssize_t n = ts_http_body_next(&conn->req.body,
				      ts_byte_queue_data(&conn->in),
				      ts_byte_queue_len(&conn->in), &payload,
				      &payload_len);

	if (n > 0) {
		ts_byte_queue_drop(&conn->in, (size_t)n);
		conn->discarded += (uint64_t)n;
	}
	if (n < 0 || conn->discarded > SERVE_DISCARD_BYTES ||
	    (n == 0 && conn->stream.has_ended))
		conn->closes = true;
	if (!conn->req.body.is_done && !conn->closes)
		return n > 0;
	next_request(conn);
	return true;
}

static bool step_last(struct serve_conn *conn)
{
	if (ts_byte_queue_len(&conn->out) > 0 ||
	    serve_stream_is_pending(&conn->stream))
		return false;
	serve_backend_free(conn->backend);
	conn->backend = NULL;
	serve_stream_end(&conn->stream);
	conn->state = SERVE_LINGER;
	serve_conn_set_due(conn, SERVE_LINGER_MS);
	return true;
}

static bool step_linger(struct serve_conn *conn)
{
	bool had_some = ts_byte_queue_len(&conn->in) > 0;

	ts_byte_queue_clear(&conn->in);
	if (!conn->stream.has_ended)
		return had_some;
	serve_stream_close(&conn->stream);
	conn->is_over = true;
	return false;
}

bool serve_http_step(struct serve_conn *conn)
{
	switch (conn->state) {
	case SERVE_HEAD:
		return step_head(conn);
	case SERVE_H2:
		return serve_h2_step(conn);
	case SERVE_DISCARD:
		return step_discard(conn);
	case SERVE_FILE:
		return serve_files_step(conn);
	case SERVE_PROXY:
		return serve_proxy_step(conn);
	case SERVE_TUNNEL:
		return serve_tunnel_step(conn);
	case SERVE_LAST:
		return step_last(conn);
	case SERVE_LINGER:
		return step_linger(conn);
	}
	return false;
}
