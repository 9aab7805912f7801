/* SPDX-License-Identifier: BSD-3-Clause
 * peerapi_conn.c - one connection to our PeerAPI: a request after the other
 *
 * One is answered at a time; what comes meanwhile waits in the tunnel. A
 * request whose body is not taken as it comes is answered when it is whole,
 * and PEERAPI_INPUT_MAX has room for the longest: what is there is read on
 * until it is, as the stack tells of bytes once.
 */
#include "core/host/peerapi_conn.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/host/dns_service.h"

enum { VIEWS = 16, LINGER_MS = 5000 };

/* -- ends ----------------------------------------------------------------- */

static void leave_taker(struct ts_peerapi_conn *conn)
{
	const struct ts_peerapi_taker *taker = conn->taker;

	conn->taker = NULL;
	if (taker)
		taker->gone(conn->taker_ctx);
}

static void free_conn(struct ts_peerapi_conn *conn)
{
	struct ts_peerapi *api = conn->member->peerapi;

	leave_taker(conn);
	peerapi_answer_close_source(conn);
	ts_dns_service_cancel(conn->member->host, conn);
	ts_list_remove(&conn->link);
	api->count--;
	ts_byte_queue_deinit(&conn->in);
	ts_byte_queue_deinit(&conn->out);
	free(conn);
}

void peerapi_conn_end(struct ts_peerapi_conn *conn)
{
	if (conn->is_deep)
		conn->is_over = true;
	else
		free_conn(conn);
}

void peerapi_conn_abort(struct ts_peerapi_conn *conn)
{
	struct stack_tcp *tcp = conn->tcp;

	conn->tcp = NULL;
	if (tcp)
		stack_tcp_abort(tcp);
	peerapi_conn_end(conn);
}

struct stack_tcp *ts_peerapi_hijack(struct ts_peerapi_conn *conn)
{
	struct stack_tcp *tcp = conn->tcp;

	conn->tcp = NULL;
	peerapi_conn_end(conn);
	return tcp;
}

void peerapi_conn_set_due(struct ts_peerapi_conn *conn, uint64_t in_ms)
{
	conn->due_ms = ts_host_now_ms(conn->member->host) + in_ms;
}

static void linger(struct ts_peerapi_conn *conn)
{
	if (conn->is_lingering)
		return;
	conn->is_lingering = true;
	stack_tcp_shutdown_write(conn->tcp);
	peerapi_conn_set_due(conn, LINGER_MS);
}

/* In order, once all is said. */
static void close_if_done(struct ts_peerapi_conn *conn)
{
	struct stack_tcp *tcp = conn->tcp;

	if (!tcp || !conn->closes || conn->is_busy || conn->source ||
	    ts_byte_queue_len(&conn->out) > 0)
		return;
	if (conn->in_body && !conn->body.is_done) {
		linger(conn);
		return;
	}
	conn->tcp = NULL;
	stack_tcp_close(tcp);
	peerapi_conn_end(conn);
}

/* -- requests ------------------------------------------------------------- */

static void refuse(struct ts_peerapi_conn *conn, int status, const char *text)
{
	conn->closes = true;
	ts_peerapi_reply(conn, status, "text/plain; charset=utf-8", text,
			 strlen(text));
}

static void begin(struct ts_peerapi_conn *conn,
		  const struct ts_peerapi_request *req)
{
	conn->closes = conn->is_last = !req->keep_alive;
	conn->is_head = ts_peerapi_method_is(req, "HEAD");
	conn->is_busy = true;
	peerapi_conn_set_due(conn, PEERAPI_REQUEST_MS);
}

/* Whoever waits for leave to send gets it. */
static void let_it_come(struct ts_peerapi_conn *conn,
			const struct ts_peerapi_request *req)
{
	static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";

	if (conn->taker &&
	    ts_http1_value_is(ts_http1_find(&req->head, "Expect"),
			      "100-continue") &&
	    ts_byte_queue_push(&conn->out, go_on, sizeof(go_on) - 1))
		peerapi_conn_abort(conn);
}

static void serve_head(struct ts_peerapi_conn *conn,
		       const struct ts_peerapi_request *req)
{
	begin(conn, req);
	conn->body = req->framing;
	conn->in_body = !conn->body.is_done ||
			ts_peerapi_method_is(req, "PUT");
	conn->closes |= conn->in_body;
	ts_peerapi_serve(conn, req);
	if (conn->is_over)
		return;
	let_it_come(conn, req);
	if (!conn->is_over)
		ts_byte_queue_drop(&conn->in, req->head.head_len);
}

/* false: no whole request is there. */
static bool serve_one(struct ts_peerapi_conn *conn)
{
	const uint8_t *data = ts_byte_queue_data(&conn->in);
	size_t len = ts_byte_queue_len(&conn->in);
	struct ts_peerapi_request req;
	int err = ts_peerapi_read_head(data, len, &req);

	if (!err && ts_peerapi_takes_body(&req)) {
		serve_head(conn, &req);
		return true;
	}
	if (!err)
		err = ts_peerapi_read(data, len, &req);
	if (err == -EAGAIN)
		return false;
	if (err) {
		conn->is_last = true;
		refuse(conn, err == -EMSGSIZE ? 413 :
			     err == -EOPNOTSUPP ? 501 : 400, "bad request\n");
		return false;
	}
	begin(conn, &req);
	ts_peerapi_serve(conn, &req);
	if (!conn->is_over)
		ts_byte_queue_drop(&conn->in, req.len);
	return true;
}

/* -- what there is to do -------------------------------------------------- */

/* false: there is no room for more, or the connection is over. */
static bool take_view(struct ts_peerapi_conn *conn, const struct iovec *view)
{
	size_t room = PEERAPI_INPUT_MAX - ts_byte_queue_len(&conn->in);
	size_t len = view->iov_len < room ? view->iov_len : room;

	if (ts_byte_queue_push(&conn->in, view->iov_base, len)) {
		peerapi_conn_abort(conn);
		return false;
	}
	stack_tcp_consume(conn->tcp, len);
	return len == view->iov_len;
}

/* All that there is room for: nobody tells twice that it is there. */
static void read_some(struct ts_peerapi_conn *conn)
{
	struct iovec views[VIEWS];
	int count;

	while (conn->tcp && !conn->is_busy && !conn->source &&
	       !conn->is_last &&
	       (count = stack_tcp_read_view(conn->tcp, views, VIEWS)) != 0) {
		if (count < 0) { /* it asks for nothing more */
			conn->closes = true;
			return;
		}
		for (int i = 0; i < count; i++)
			if (!take_view(conn, &views[i]))
				return;
	}
}

static bool may_serve(const struct ts_peerapi_conn *conn)
{
	return !conn->is_over && conn->tcp && !conn->in_body &&
	       !conn->is_busy && !conn->source && !conn->is_last;
}

static bool has_enough_to_say(const struct ts_peerapi_conn *conn)
{
	return ts_byte_queue_len(&conn->out) >= PEERAPI_OUT_LOW;
}

void peerapi_conn_work(struct ts_peerapi_conn *conn)
{
	bool waits = false; /* a request, for room */

	conn->is_deep = true;
	do {
		if (conn->in_body)
			peerapi_body_take(conn);
		else
			read_some(conn);
		waits = has_enough_to_say(conn);
	} while (may_serve(conn) && !waits && serve_one(conn));
	if (!conn->is_over)
		peerapi_answer_send(conn);
	if (!conn->is_over && waits && !has_enough_to_say(conn))
		ts_peerapi_want_turn(conn); /* else it will be writable */
	if (!conn->is_over)
		close_if_done(conn);
	conn->is_deep = false;
	if (conn->is_over)
		free_conn(conn);
}

/* A route goes on with long work; its answer may end the connection. */
void peerapi_conn_take_turn(struct ts_peerapi_conn *conn)
{
	conn->is_deep = true;
	if (conn->taker) {
		peerapi_conn_set_due(conn, PEERAPI_BODY_MS);
		conn->taker->turn(conn->taker_ctx);
	}
	conn->is_deep = false;
	if (conn->is_over)
		free_conn(conn);
	else
		peerapi_conn_work(conn);
}

/* -- events --------------------------------------------------------------- */

static void on_connected(void *user)
{
	struct ts_peerapi_conn *conn = user;

	conn->is_up = true;
	peerapi_conn_work(conn);
}

static void on_readable(void *user)
{
	struct ts_peerapi_conn *conn = user;

	if (conn->is_up && !conn->is_deep)
		peerapi_conn_work(conn);
}

static void on_gone(void *user, int err)
{
	struct ts_peerapi_conn *conn = user;

	(void)err;
	conn->tcp = NULL;
	peerapi_conn_end(conn);
}

const struct stack_tcp_ops peerapi_conn_ops = {
	.connected = on_connected,
	.readable = on_readable,
	.writable = on_readable,
	.gone = on_gone,
};

