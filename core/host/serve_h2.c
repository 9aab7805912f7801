/* SPDX-License-Identifier: BSD-3-Clause
 * serve_h2.c - a client's connection that speaks HTTP/2
 *
 * What has the client's bytes only carries streams. Each is a connection of
 * its own for the rest of the server, with one request on it, and counted as
 * such: so it has the same handlers, limits and time-outs. Its address, name
 * and way in are those of what carries it.
 * Source: net/http (http2Server), ipn/ipnlocal/serve.go (getServeHandler)
 */
#include "core/base/err.h"
#include "core/host/serve_backend.h"
#include "core/host/serve_internal.h"

/* -- streams -------------------------------------------------------------- */

static void *on_opened(void *ctx, struct ts_h2_stream *h2)
{
	struct serve_conn *carrier = ctx, *conn = serve_conn_new_stream(carrier);

	if (!conn)
		return NULL;
	conn->stream.h2 = h2;
	conn->stream.carrier = carrier;
	conn->stream.is_up = true;
	serve_conn_line_up(conn);
	return conn;
}

static void on_news(void *owner)
{
	serve_conn_line_up(owner);
}

static void on_gone(void *owner)
{
	struct serve_conn *conn = owner;

	conn->stream.h2 = NULL;
	conn->stream.carrier = NULL;
	serve_conn_kill(conn);
}

static void on_wants_output(void *ctx)
{
	serve_conn_line_up(ctx);
}

static const struct ts_h2_server_ops h2_ops = {
	.opened = on_opened,
	.news = on_news,
	.gone = on_gone,
	.wants_output = on_wants_output,
};

/* -- backends between two streams ----------------------------------------- */

static void drop_idle(struct serve_conn *carrier, unsigned i)
{
	serve_backend_free(carrier->idle[i]);
	carrier->idle[i] = NULL;
}

void serve_h2_keep_backend(struct serve_conn *conn)
{
	struct serve_conn *carrier = conn->stream.carrier;

	for (unsigned i = 0; carrier && i < SERVE_IDLE_BACKENDS; i++) {
		if (carrier->idle[i])
			continue;
		carrier->idle[i] = conn->backend;
		conn->backend->conn = carrier;
		serve_backend_watch(conn->backend);
		conn->backend = NULL;
		return;
	}
}

struct serve_backend *
serve_h2_take_backend(struct serve_conn *conn,
		      const struct ts_serve_target *target, bool wants_h2)
{
	struct serve_conn *carrier = conn->stream.carrier;

	for (unsigned i = 0; carrier && i < SERVE_IDLE_BACKENDS; i++) {
		struct serve_backend *b = carrier->idle[i];

		if (!b || !serve_backend_fits(b, target, wants_h2))
			continue;
		carrier->idle[i] = NULL;
		b->conn = conn;
		return b;
	}
	return NULL;
}

/* What a backend says unasked is its end. */
static void look_at_idle(struct serve_conn *carrier)
{
	for (unsigned i = 0; i < SERVE_IDLE_BACKENDS; i++) {
		struct serve_backend *b = carrier->idle[i];

		if (!b)
			continue;
		(void)serve_backend_fill(b);
		if (b->has_ended || ts_byte_queue_len(&b->in) > 0)
			drop_idle(carrier, i);
	}
}

void serve_h2_close(struct serve_conn *carrier)
{
	struct ts_link *head = &carrier->member->serve->conns;

	if (!carrier->h2)
		return;
	for (unsigned i = 0; i < SERVE_IDLE_BACKENDS; i++)
		drop_idle(carrier, i);
	for (struct ts_link *at = head->next; at != head; at = at->next) {
		struct serve_conn *conn =
			TS_LINK_OWNER(at, struct serve_conn, link);

		if (conn->stream.carrier == carrier)
			on_gone(conn);
	}
	ts_h2_server_free(carrier->h2);
	carrier->h2 = NULL;
}

/* -- what carries them ---------------------------------------------------- */

bool serve_h2_begin(struct serve_conn *conn)
{
	if (!serve_stream_is_h2(&conn->stream))
		return false;
	conn->h2 = ts_h2_server_new(&h2_ops, conn);
	conn->state = SERVE_H2;
	conn->is_over = !conn->h2;
	return true;
}

/* true: there was some. What says -EPROTO has said why to the client. */
static bool take_input(struct serve_conn *conn)
{
	size_t len = ts_byte_queue_len(&conn->in);
	int err;

	if (len == 0 || ts_byte_queue_len(&conn->out) >= SERVE_BUFFER_BYTES)
		return false;
	err = ts_h2_server_input(conn->h2, ts_byte_queue_data(&conn->in), len,
				 ts_host_now_ms(conn->member->host));
	ts_byte_queue_clear(&conn->in);
	if (err)
		log_debug("serve-%llu: HTTP/2: %s",
			  (unsigned long long)conn->id, ts_strerror(err));
	return true;
}

static bool give_output(struct serve_conn *conn)
{
	const uint8_t *data;
	bool had_some = false;
	ssize_t n = 0;

	while (ts_byte_queue_len(&conn->out) < SERVE_BUFFER_BYTES &&
	       (n = ts_h2_server_output(conn->h2, &data)) > 0) {
		had_some = true;
		if (ts_byte_queue_push(&conn->out, data, (size_t)n))
			serve_conn_kill(conn);
	}
	return had_some;
}

/* First out with what there is to say: while there is some, nothing new that
 * has to be answered is taken, or who hardly reads would have it pile up. */
bool serve_h2_step(struct serve_conn *conn)
{
	bool more = give_output(conn);

	more |= take_input(conn);
	more |= give_output(conn);
	look_at_idle(conn);
	if (!ts_h2_server_is_over(conn->h2) &&
	    !(conn->stream.has_ended && ts_byte_queue_len(&conn->in) == 0))
		return more;
	serve_h2_close(conn);
	conn->state = SERVE_LAST;
	return true;
}

/* Its streams have time-outs of their own. */
void serve_h2_follow_due(struct serve_conn *conn, bool has_moved)
{
	bool is_stuck = ts_byte_queue_len(&conn->out) > 0;

	if (!is_stuck && ts_h2_server_streams(conn->h2) > 0)
		serve_conn_set_due(conn, UINT64_MAX);
	else if (conn->due_ms == UINT64_MAX || (is_stuck && has_moved))
		serve_conn_set_due(conn, SERVE_IDLE_MS);
}

bool serve_h2_end(struct serve_conn *conn)
{
	if (!conn->h2 || ts_h2_server_streams(conn->h2) > 0 ||
	    ts_byte_queue_len(&conn->out) > 0)
		return false;
	ts_h2_server_end(conn->h2);
	(void)give_output(conn);
	(void)serve_stream_write(&conn->stream,
				 ts_byte_queue_data(&conn->out),
				 ts_byte_queue_len(&conn->out));
	return true;
}
