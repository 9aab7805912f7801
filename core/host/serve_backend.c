/* SPDX-License-Identifier: BSD-3-Clause
 * serve_backend.c - a proxy handler's connection to its backend
 */
#include "core/host/serve_backend.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "core/base/http_trailers.h"

static void on_socket(void *ctx, unsigned events)
{
	struct serve_backend *b = ctx;

	(void)events;
	/* Worked on before the loop sleeps. */
	serve_conn_line_up(b->conn);
}

static void close_socket(struct serve_backend *b)
{
	ts_watch_free(b->watch);
	b->watch = NULL;
	ts_sock_close(b->fd);
	b->fd = -1;
}

static void die(struct serve_backend *b, int err)
{
	b->err = err;
	b->has_ended = true;
	b->is_deaf = true;
	close_socket(b);
}

static const struct ts_tls_client_ops *tls_ops(const struct serve_backend *b)
{
	return b->conn->member->host->tls_client;
}

static void on_shake_timer(void *ctx)
{
	struct serve_backend *b = ctx;

	die(b, -ETIMEDOUT);
	serve_conn_line_up(b->conn);
}

static int begin_tls(struct serve_backend *b)
{
	const struct ts_serve_target *target = &b->dial.target;
	struct ts_loop *loop = b->conn->member->host->loop;

	if (!tls_ops(b))
		return -EPROTONOSUPPORT;
	b->tls = tls_ops(b)->open(b->conn->member->host->tls_client_ctx, b->fd,
				  target->host,
				  target->scheme == TS_SERVE_HTTPS,
				  b->wants_h2);
	b->shake_timer = ts_timer_new(loop, on_shake_timer, b);
	if (!b->tls || !b->shake_timer)
		return -ENOMEM;
	ts_timer_set(b->shake_timer, ts_loop_now_ms(loop) + SERVE_DIAL_MS);
	return 0;
}

static int begin_h2(struct serve_backend *b)
{
	b->h2 = ts_h2_backend_new(b->tls);
	return b->h2 ? 0 : -ENOMEM;
}

bool serve_backend_shake(struct serve_backend *b)
{
	struct ts_serve *serve = b->conn->member->serve;
	char why[256] = "";
	int err;

	if (!b->tls || b->is_up || b->has_ended)
		return false;
	err = tls_ops(b)->handshake(b->tls, why);
	if (err == -EAGAIN)
		return false;
	ts_timer_free(b->shake_timer);
	b->shake_timer = NULL;
	/* A person can do something about a certificate. */
	if (err && ts_log_allowed(&serve->backend_limit,
				  ts_host_now_ms(serve->member->host)))
		log_warn("serve: backend %s: %s", b->dial.target.host, why);
	if (!err && b->wants_h2 && tls_ops(b)->is_h2(b->tls))
		err = begin_h2(b);
	if (err)
		die(b, err);
	else
		b->is_up = true;
	return true;
}

static bool is_https(const struct serve_backend *b)
{
	return b->dial.target.scheme == TS_SERVE_HTTPS ||
	       b->dial.target.scheme == TS_SERVE_HTTPS_INSECURE;
}

static void on_dialled(void *ctx, int err, int fd)
{
	struct serve_backend *b = ctx;

	b->fd = fd;
	if (!err) {
		b->watch = ts_watch_new(b->conn->member->host->loop, fd, 0,
					on_socket, b);
		err = b->watch ? 0 : -ENOMEM;
	}
	if (!err && is_https(b))
		err = begin_tls(b);
	else if (!err && b->wants_h2)
		err = begin_h2(b); /* with prior knowledge */
	if (err)
		die(b, err);
	else
		b->is_up = !b->tls;
	serve_conn_line_up(b->conn);
}

struct serve_backend *serve_backend_new(struct serve_conn *conn,
					const struct ts_serve_target *target,
					bool wants_h2)
{
	struct serve_backend *b = calloc(1, sizeof(*b));

	if (!b)
		return NULL;
	b->conn = conn;
	b->fd = -1;
	b->wants_h2 = wants_h2;
	ts_byte_queue_init(&b->wire, SERVE_QUEUE_BYTES);
	ts_byte_queue_init(&b->in, SERVE_QUEUE_BYTES);
	ts_byte_queue_init(&b->out, SERVE_QUEUE_BYTES);
	ts_byte_queue_init(&b->trailers, TS_HTTP_TRAILERS_MAX);
	if (serve_dial_start(&b->dial, conn->member, target, on_dialled, b)) {
		serve_backend_free(b);
		return NULL;
	}
	return b;
}

void serve_backend_free(struct serve_backend *b)
{
	if (!b)
		return;
	serve_dial_cancel(&b->dial);
	ts_timer_free(b->shake_timer);
	if (b->tls)
		tls_ops(b)->close(b->tls);
	ts_watch_free(b->watch);
	ts_sock_close(b->fd);
	ts_byte_queue_deinit(&b->in);
	ts_byte_queue_deinit(&b->out);
	ts_byte_queue_deinit(&b->wire);
	ts_h2_backend_free(b->h2);
	ts_byte_queue_deinit(&b->trailers);
	free(b->resend);
	free(b);
}

bool serve_backend_fits(const struct serve_backend *b,
			const struct ts_serve_target *target, bool wants_h2)
{
	const struct ts_serve_target *has = &b->dial.target;

	return b->wants_h2 == wants_h2 &&
	       (!b->h2 || ts_h2_backend_is_free(b->h2)) && b->is_up && !b->has_ended && !b->is_deaf &&
	       ts_byte_queue_len(&b->in) == 0 &&
	       ts_byte_queue_len(&b->out) == 0 &&
	       has->scheme == target->scheme && has->port == target->port &&
	       strcmp(has->host, target->host) == 0;
}

/* As read() and write(), with a negative errno. */
static ssize_t receive(struct serve_backend *b, uint8_t *out, size_t cap)
{
	ssize_t n;

	if (b->tls) {
		tls_ops(b)->readable(b->tls);
		return tls_ops(b)->read(b->tls, out, cap);
	}
	n = recv(b->fd, out, cap, 0);
	if (n >= 0)
		return n;
	return errno == EINTR ? -EAGAIN : -errno;
}

static ssize_t transmit(struct serve_backend *b, const void *data, size_t len)
{
	ssize_t n;

	if (b->tls)
		return tls_ops(b)->write(b->tls, data, len);
	n = send(b->fd, data, len, MSG_NOSIGNAL);
	if (n >= 0)
		return n;
	return errno == EINTR ? -EAGAIN : -errno;
}

/* -- frames --------------------------------------------------------------- */

/* Text becomes frames, as far as there is room for them. < 0: it is over. */
static int make_frames(struct serve_backend *b)
{
	const uint8_t *data;
	ssize_t n = 0;

	if (ts_byte_queue_len(&b->out) > 0)
		n = ts_h2_backend_write(b->h2, ts_byte_queue_data(&b->out),
					ts_byte_queue_len(&b->out));
	if (n > 0)
		ts_byte_queue_drop(&b->out, (size_t)n);
	while (n >= 0 && ts_byte_queue_len(&b->wire) < SERVE_BUFFER_BYTES) {
		n = ts_h2_backend_output(b->h2, &data);
		if (n <= 0)
			break;
		if (ts_byte_queue_push(&b->wire, data, (size_t)n))
			n = -ENOMEM;
	}
	return n < 0 ? (int)n : 0;
}

static bool has_room(const struct serve_backend *b)
{
	return ts_byte_queue_len(&b->in) + TS_H2_CHUNK_MIN <=
	       SERVE_BUFFER_BYTES;
}

/* What the answer has is passed on before its end is. */
static bool read_text(struct serve_backend *b)
{
	uint8_t *scratch = b->conn->member->host->scratch;
	size_t len = ts_byte_queue_len(&b->in);
	ssize_t n;

	if (!has_room(b))
		return false;
	n = ts_h2_backend_read(b->h2, scratch, SERVE_BUFFER_BYTES - len);
	if (n > 0 && ts_byte_queue_push(&b->in, scratch, (size_t)n))
		n = -ENOMEM;
	if (n < 0)
		die(b, (int)n);
	return n != 0;
}

/* What was said before it is still passed on. */
static void lose(struct serve_backend *b, int err)
{
	b->lost = err;
	b->is_deaf = true;
	ts_byte_queue_clear(&b->wire);
	close_socket(b);
}

/* Frames are read whatever the client takes: windows bound what waits. */
static bool fill_h2(struct serve_backend *b)
{
	uint8_t *scratch = b->conn->member->host->scratch;
	bool more = read_text(b);
	ssize_t n;

	if (b->has_ended || !b->is_up)
		return more;
	if (b->fd < 0) {
		if (more || !has_room(b))
			return more;
		die(b, b->lost);
		return true;
	}
	n = receive(b, scratch, SERVE_BUFFER_BYTES);
	if (n == -EAGAIN)
		return more;
	if (n > 0)
		n = ts_h2_backend_input(b->h2, scratch, (size_t)n);
	else if (n == 0)
		n = -ECONNRESET;
	if (n < 0)
		lose(b, (int)n);
	return true;
}

static bool drain_h2(struct serve_backend *b)
{
	size_t had = ts_byte_queue_len(&b->out), len;
	ssize_t n;
	int err;

	if (b->fd < 0 || !b->is_up)
		return false;
	err = make_frames(b);
	len = ts_byte_queue_len(&b->wire);
	n = len > 0 ? transmit(b, ts_byte_queue_data(&b->wire), len) : -EAGAIN;
	if (n > 0)
		ts_byte_queue_drop(&b->wire, (size_t)n);
	else if (n != -EAGAIN && !err)
		err = (int)n;
	if (err)
		lose(b, err);
	return n > 0 || err || ts_byte_queue_len(&b->out) < had;
}

/* -- bytes ---------------------------------------------------------------- */

static bool fill_plain(struct serve_backend *b)
{
	uint8_t *scratch = b->conn->member->host->scratch;
	size_t len = ts_byte_queue_len(&b->in);
	ssize_t n;

	if (b->fd < 0 || !b->is_up || b->has_ended ||
	    len >= SERVE_BUFFER_BYTES)
		return false;
	n = receive(b, scratch, SERVE_BUFFER_BYTES - len);
	if (n == -EAGAIN)
		return false;
	if (n < 0)
		die(b, (int)n);
	else if (n == 0)
		b->has_ended = true;
	else if (ts_byte_queue_push(&b->in, scratch, (size_t)n))
		die(b, -ENOMEM);
	return true;
}

/* One that takes no more may still have an answer for us. */
static bool drain_plain(struct serve_backend *b)
{
	size_t len = ts_byte_queue_len(&b->out);
	ssize_t n;

	if (b->fd < 0 || !b->is_up || len == 0)
		return false;
	n = b->is_deaf ? (ssize_t)len
		       : transmit(b, ts_byte_queue_data(&b->out), len);
	if (n == -EAGAIN)
		return false;
	if (n < 0) {
		b->is_deaf = true;
		n = (ssize_t)len;
	}
	ts_byte_queue_drop(&b->out, (size_t)n);
	return true;
}

bool serve_backend_fill(struct serve_backend *b)
{
	return b->h2 ? fill_h2(b) : fill_plain(b);
}

bool serve_backend_drain(struct serve_backend *b)
{
	return b->h2 ? drain_h2(b) : drain_plain(b);
}

void serve_backend_end(struct serve_backend *b)
{
	if (b->fd >= 0)
		(void)shutdown(b->fd, SHUT_WR);
}

void serve_backend_watch(struct serve_backend *b)
{
	unsigned events = 0;

	if (!b || !b->watch)
		return;
	if (!b->has_ended &&
	    (b->h2 || ts_byte_queue_len(&b->in) < SERVE_BUFFER_BYTES))
		events |= TS_READABLE;
	if (b->is_up ? ts_byte_queue_len(b->h2 ? &b->wire : &b->out) > 0
		     : b->tls && tls_ops(b)->wants_write(b->tls))
		events |= TS_WRITABLE;
	ts_watch_set(b->watch, events);
}
