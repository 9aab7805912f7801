/* SPDX-License-Identifier: BSD-3-Clause
 * peerapi_answer.c - what our PeerAPI says, at once or bit by bit
 */
#include <stdio.h>

#include "core/base/http_reason.h"
#include "core/host/peerapi_conn.h"

void peerapi_answer_close_source(struct ts_peerapi_conn *conn)
{
	const struct ts_peerapi_source *source = conn->source;

	conn->source = NULL;
	if (source)
		source->close(conn->source_ctx);
}

/* The next piece of an answer, with its frame. 0, or -errno. */
static int push_piece(struct ts_peerapi_conn *conn)
{
	char piece[PEERAPI_PIECE_MAX], head[24];
	ssize_t n = conn->source->read(conn->source_ctx, piece);
	int len, err;

	if (n < 0)
		return (int)n;
	len = snprintf(head, sizeof(head), "%zx\r\n", (size_t)n);
	err = ts_byte_queue_push(&conn->out, head, (size_t)len);
	if (!err && n > 0)
		err = ts_byte_queue_push(&conn->out, piece, (size_t)n);
	if (!err)
		err = ts_byte_queue_push(&conn->out, "\r\n", 2);
	if (n == 0)
		peerapi_answer_close_source(conn);
	return err;
}

/* A piece at a time, as each may be work for the disk. */
void peerapi_answer_send(struct ts_peerapi_conn *conn)
{
	bool had_source = conn->source != NULL;
	size_t len, took = 0;

	if (!conn->tcp || !conn->is_up)
		return;
	if (had_source && ts_byte_queue_len(&conn->out) < PEERAPI_OUT_LOW &&
	    push_piece(conn)) {
		peerapi_conn_abort(conn);
		return;
	}
	len = ts_byte_queue_len(&conn->out);
	if (len > 0)
		took = stack_tcp_write(conn->tcp,
				       ts_byte_queue_data(&conn->out), len);
	if (!conn->tcp)
		return;
	ts_byte_queue_drop(&conn->out, took);
	if (took > 0) {
		stack_tcp_flush(conn->tcp);
		peerapi_conn_set_due(conn, PEERAPI_REQUEST_MS);
	}
	if (had_source && took == len) /* else it will be writable */
		ts_peerapi_want_turn(conn);
}

/* An answer has begun. */
static void say(struct ts_peerapi_conn *conn, const char *head, size_t head_len,
		const void *body, size_t len)
{
	conn->is_busy = false;
	conn->taker = NULL;
	if (ts_byte_queue_push(&conn->out, head, head_len) ||
	    (!conn->is_head && ts_byte_queue_push(&conn->out, body, len))) {
		peerapi_conn_abort(conn);
		return;
	}
	peerapi_conn_set_due(conn, PEERAPI_IDLE_MS);
	if (!conn->is_deep) /* the next one may be waiting */
		peerapi_conn_work(conn);
}

void ts_peerapi_reply(struct ts_peerapi_conn *conn, int status,
		      const char *type, const void *body, size_t len)
{
	char head[256];
	int n = snprintf(head, sizeof(head),
			 "HTTP/1.1 %d %s\r\nContent-Type: %s\r\n"
			 "Content-Length: %zu\r\n"
			 "X-Content-Type-Options: nosniff\r\n%s\r\n",
			 status, ts_http_reason(status), type, len,
			 conn->closes ? "Connection: close\r\n" : "");

	say(conn, head, (size_t)n, body, len);
}

void ts_peerapi_reply_source(struct ts_peerapi_conn *conn, const char *type,
			     const struct ts_peerapi_source *source, void *ctx)
{
	char head[256];
	int n = snprintf(head, sizeof(head),
			 "HTTP/1.1 200 OK\r\nContent-Type: %s\r\n"
			 "Transfer-Encoding: chunked\r\n"
			 "X-Content-Type-Options: nosniff\r\n%s\r\n",
			 type, conn->closes ? "Connection: close\r\n" : "");

	if (conn->is_head) {
		source->close(ctx);
	} else {
		conn->source = source;
		conn->source_ctx = ctx;
	}
	say(conn, head, (size_t)n, "", 0);
}
