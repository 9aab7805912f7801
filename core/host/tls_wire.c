/* SPDX-License-Identifier: BSD-3-Clause
 * tls_wire.c - the ciphertext of a TLS connection
 *
 * OpenSSL reads from the tunnel's connection where the bytes lie, and gives
 * back the window for what it took; what it writes is queued and sent once a
 * turn of the loop. A turn moves so much and no more, for others to have
 * theirs.
 */
#include <errno.h>
#include <openssl/bio.h>
#include <string.h>
#include <sys/socket.h>

#include "core/host/tls_conn.h"

enum { VIEWS = 8 };

/* -- in ------------------------------------------------------------------- */

/* > 0 bytes, 0: the end, -EAGAIN, else it is broken. */
static ssize_t read_tunnel(struct ts_tls_conn *conn, char *out, size_t cap)
{
	struct iovec views[VIEWS];
	int count = conn->tcp && conn->is_up
			    ? stack_tcp_read_view(conn->tcp, views, VIEWS)
			    : 0;
	size_t done = 0;

	if (count == -EPIPE || conn->wire_gone)
		return 0;
	for (int i = 0; i < count && done < cap; i++) {
		size_t n = views[i].iov_len < cap - done ? views[i].iov_len
							 : cap - done;

		memcpy(out + done, views[i].iov_base, n);
		done += n;
	}
	if (done == 0)
		return -EAGAIN;
	stack_tcp_consume(conn->tcp, done);
	return (ssize_t)done;
}

static ssize_t read_socket(struct ts_tls_conn *conn, char *out, size_t cap)
{
	ssize_t n = recv(conn->fd, out, cap, MSG_DONTWAIT);

	if (n < 0)
		return errno == EINTR ? -EAGAIN : -errno;
	return n;
}

static ssize_t read_early(struct ts_tls_conn *conn, char *out, size_t cap)
{
	size_t len = ts_byte_queue_len(&conn->early);

	if (len > cap)
		len = cap;
	memcpy(out, ts_byte_queue_data(&conn->early), len);
	ts_byte_queue_drop(&conn->early, len);
	return (ssize_t)len;
}

static ssize_t read_wire(struct ts_tls_conn *conn, char *out, size_t cap)
{
	if (ts_byte_queue_len(&conn->early) > 0)
		return read_early(conn, out, cap);
	if (conn->wire_ended)
		return 0;
	if (conn->fd >= 0)
		return read_socket(conn, out, cap);
	return read_tunnel(conn, out, cap);
}

static int bio_read(BIO *bio, char *out, size_t cap, size_t *done)
{
	struct ts_tls_conn *conn = BIO_get_data(bio);
	ssize_t n;

	BIO_clear_retry_flags(bio);
	*done = 0;
	if (conn->budget == 0) { /* its turn is over */
		ts_tls_line_up(conn);
		BIO_set_retry_read(bio);
		return 0;
	}
	n = read_wire(conn, out, cap);
	conn->wants_bytes = n == -EAGAIN;
	if (conn->wants_bytes) {
		BIO_set_retry_read(bio);
		return 0;
	}
	if (n < 0)
		conn->err = (int)n;
	if (n == 0)
		conn->wire_ended = true;
	if (n <= 0)
		return 0;
	*done = (size_t)n;
	conn->budget -= (size_t)n < conn->budget ? (size_t)n : conn->budget;
	return 1;
}

/* -- out ------------------------------------------------------------------ */

static int bio_write(BIO *bio, const char *data, size_t len, size_t *done)
{
	struct ts_tls_conn *conn = BIO_get_data(bio);

	BIO_clear_retry_flags(bio);
	*done = 0;
	if (ts_byte_queue_push(&conn->out, data, len)) {
		conn->err = -ENOBUFS; /* a client that makes us answer */
		return 0;
	}
	*done = len;
	return 1;
}

static long bio_ctrl(BIO *bio, int cmd, long num, void *ptr)
{
	const struct ts_tls_conn *conn = BIO_get_data(bio);

	(void)num;
	(void)ptr;
	if (cmd == BIO_CTRL_EOF)
		return conn->wire_ended;
	return cmd == BIO_CTRL_FLUSH; /* by ts_tls_wire_flush() */
}

BIO_METHOD *ts_tls_wire_method(void)
{
	BIO_METHOD *method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "tsnet wire");

	if (method && BIO_meth_set_read_ex(method, bio_read) &&
	    BIO_meth_set_write_ex(method, bio_write) &&
	    BIO_meth_set_ctrl(method, bio_ctrl))
		return method;
	BIO_meth_free(method);
	return NULL;
}

static ssize_t write_wire(struct ts_tls_conn *conn, const uint8_t *data,
			  size_t len)
{
	ssize_t n;

	if (conn->tcp) {
		n = (ssize_t)stack_tcp_write(conn->tcp, data, len);
		stack_tcp_flush(conn->tcp);
		return n > 0 ? n : -EAGAIN;
	}
	if (conn->fd < 0)
		return -EPIPE;
	n = send(conn->fd, data, len, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (n < 0)
		return errno == EINTR ? -EAGAIN : -errno;
	return n;
}

static void end_writing(struct ts_tls_conn *conn)
{
	conn->has_fin = true;
	if (conn->tcp)
		stack_tcp_shutdown_write(conn->tcp);
	else if (conn->fd >= 0)
		(void)shutdown(conn->fd, SHUT_WR);
}

static void watch_socket(struct ts_tls_conn *conn)
{
	/* What the owner does not read is left where it is. */
	unsigned events = conn->wants_bytes ? TS_READABLE : 0;

	if (!conn->watch)
		return;
	if (ts_byte_queue_len(&conn->out) > 0)
		events |= TS_WRITABLE;
	ts_watch_set(conn->watch, events);
}

void ts_tls_wire_flush(struct ts_tls_conn *conn)
{
	ssize_t n = 0;

	while ((conn->is_up || conn->fd >= 0) &&
	       ts_byte_queue_len(&conn->out) > 0) {
		n = write_wire(conn, ts_byte_queue_data(&conn->out),
			       ts_byte_queue_len(&conn->out));
		if (n <= 0)
			break;
		ts_byte_queue_drop(&conn->out, (size_t)n);
	}
	if (n < 0 && n != -EAGAIN)
		ts_tls_break(conn, (int)n);
	else if (conn->wants_fin && !conn->has_fin &&
		 ts_byte_queue_len(&conn->out) == 0)
		end_writing(conn);
	watch_socket(conn);
}

/* -- events --------------------------------------------------------------- */

static void on_connected(void *user)
{
	struct ts_tls_conn *conn = user;

	conn->is_up = true;
	ts_tls_line_up(conn);
}

static void on_news(void *user)
{
	ts_tls_line_up(user);
}

static void on_gone(void *user, int err)
{
	struct ts_tls_conn *conn = user;

	conn->tcp = NULL;
	if (err) {
		ts_tls_break(conn, err);
		return;
	}
	conn->wire_gone = conn->wire_ended = true;
	ts_tls_line_up(conn);
}

static const struct stack_tcp_ops wire_ops = {
	.connected = on_connected,
	.readable = on_news,
	.writable = on_news,
	.gone = on_gone,
};

static void on_socket(void *ctx, unsigned events)
{
	struct ts_tls_conn *conn = ctx;

	(void)events;
	conn->wants_bytes = false;
	ts_watch_set(conn->watch, 0); /* until it has been looked at */
	ts_tls_line_up(conn);
}

int ts_tls_wire_open(struct ts_tls_conn *conn, const struct ts_tls_wish *wish)
{
	struct stack_tcp_info info;

	ts_byte_queue_init(&conn->early, TLS_EARLY_MAX);
	ts_byte_queue_init(&conn->out, TLS_OUT_MAX);
	if (wish->early_len > 0 &&
	    ts_byte_queue_push(&conn->early, wish->early, wish->early_len))
		return -ENOBUFS;
	if (conn->tcp) {
		stack_tcp_set_user(conn->tcp, &wire_ops, conn);
		conn->is_up = stack_tcp_info(conn->tcp, &info) == 0 &&
			      info.state != STACK_SYN_RECEIVED &&
			      info.state != STACK_SYN_SENT;
		return 0;
	}
	conn->is_up = true;
	conn->watch = ts_watch_new(conn->host->loop, conn->fd, TS_READABLE,
				   on_socket, conn);
	return conn->watch ? 0 : -ENOMEM;
}

void ts_tls_wire_close(struct ts_tls_conn *conn, bool in_order)
{
	struct stack_tcp *tcp = conn->tcp;

	ts_watch_free(conn->watch);
	conn->watch = NULL;
	conn->tcp = NULL;
	if (tcp && in_order)
		stack_tcp_close(tcp);
	else if (tcp)
		stack_tcp_abort(tcp);
	if (conn->fd >= 0 && in_order)
		ts_sock_close(conn->fd);
	else if (conn->fd >= 0)
		ts_sock_reset(conn->fd);
	conn->fd = -1;
}
