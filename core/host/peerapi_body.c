/* SPDX-License-Identifier: BSD-3-Clause
 * peerapi_body.c - bodies that a route of our PeerAPI takes as they come
 *
 * Such a body may be of any length. Its connection ends with the answer, which
 * may come early; then what the peer still sends is passed over for a while, as
 * a reset could overtake the answer.
 */
#include "core/host/peerapi_conn.h"

/* false: it makes no sense, or the connection is over. */
static bool feed(struct ts_peerapi_conn *conn, const uint8_t *at, size_t left)
{
	const uint8_t *piece;
	size_t len;
	ssize_t n;

	while (left > 0 && !conn->body.is_done && !conn->is_over) {
		n = ts_http_body_next(&conn->body, at, left, &piece, &len);
		if (n < 0) {
			peerapi_conn_abort(conn);
			return false;
		}
		if (len > 0 && conn->taker)
			conn->taker->data(conn->taker_ctx, piece, len);
		at += n;
		left -= (size_t)n;
	}
	return !conn->is_over;
}

static void give_up(struct ts_peerapi_conn *conn)
{
	struct stack_tcp *tcp = conn->tcp;

	if (!conn->is_lingering) {
		peerapi_conn_abort(conn);
		return;
	}
	conn->tcp = NULL;
	stack_tcp_close(tcp);
	peerapi_conn_end(conn);
}

/* What is read already, then what is in the tunnel. */
static void read_body(struct ts_peerapi_conn *conn)
{
	struct iovec view;
	int count = 0;

	if (ts_byte_queue_len(&conn->in) > 0) {
		if (!feed(conn, ts_byte_queue_data(&conn->in),
			  ts_byte_queue_len(&conn->in)))
			return;
		ts_byte_queue_clear(&conn->in);
	}
	while (!conn->body.is_done && conn->tcp &&
	       (count = stack_tcp_read_view(conn->tcp, &view, 1)) > 0) {
		if (!feed(conn, view.iov_base, view.iov_len) || !conn->tcp)
			return;
		stack_tcp_consume(conn->tcp, view.iov_len);
		if (!conn->is_lingering)
			peerapi_conn_set_due(conn, PEERAPI_BODY_MS);
	}
	if (count < 0) /* less than it said */
		give_up(conn);
}

void peerapi_body_take(struct ts_peerapi_conn *conn)
{
	read_body(conn);
	if (!conn->is_over && conn->taker && !conn->is_ended &&
	    conn->body.is_done) {
		conn->is_ended = true;
		conn->taker->end(conn->taker_ctx);
	}
}

void ts_peerapi_take_body(struct ts_peerapi_conn *conn,
			  const struct ts_peerapi_taker *taker, void *ctx)
{
	conn->taker = taker;
	conn->taker_ctx = ctx;
}
