/* SPDX-License-Identifier: BSD-3-Clause
 * serve_backend.c - a proxy handler's connection to its backend
 */
#include "core/host/serve_backend.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

static void on_socket(void *ctx, unsigned events)
{
	struct serve_backend *b = ctx;

	(void)events;
	/* Worked on before the loop sleeps. */
	serve_conn_line_up(b->conn);
}

static void die(struct serve_backend *b, int err)
{
	b->err = err;
	b->has_ended = true;
	b->is_deaf = true;
	ts_watch_free(b->watch);
	b->watch = NULL;
	ts_sock_close(b->fd);
	b->fd = -1;
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
	if (err)
		die(b, err);
	else
		b->is_up = true;
	serve_conn_line_up(b->conn);
}

struct serve_backend *serve_backend_new(struct serve_conn *conn,
					const struct ts_serve_target *target)
{
	struct serve_backend *b = calloc(1, sizeof(*b));

	if (!b)
		return NULL;
	b->conn = conn;
	b->fd = -1;
	ts_byte_queue_init(&b->in, SERVE_QUEUE_BYTES);
	ts_byte_queue_init(&b->out, SERVE_QUEUE_BYTES);
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
	ts_watch_free(b->watch);
	ts_sock_close(b->fd);
	ts_byte_queue_deinit(&b->in);
	ts_byte_queue_deinit(&b->out);
	free(b->resend);
	free(b);
}

bool serve_backend_fits(const struct serve_backend *b,
			const struct ts_serve_target *target)
{
	const struct ts_serve_target *has = &b->dial.target;

	return b->is_up && !b->has_ended && !b->is_deaf &&
	       ts_byte_queue_len(&b->in) == 0 &&
	       ts_byte_queue_len(&b->out) == 0 &&
	       has->scheme == target->scheme && has->port == target->port &&
	       strcmp(has->host, target->host) == 0;
}

bool serve_backend_fill(struct serve_backend *b)
{
	uint8_t *scratch = b->conn->member->host->scratch;
	size_t len = ts_byte_queue_len(&b->in);
	ssize_t n;

	if (b->fd < 0 || !b->is_up || b->has_ended ||
	    len >= SERVE_BUFFER_BYTES)
		return false;
	n = recv(b->fd, scratch, SERVE_BUFFER_BYTES - len, 0);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (n < 0)
		die(b, -errno);
	else if (n == 0)
		b->has_ended = true;
	else if (ts_byte_queue_push(&b->in, scratch, (size_t)n))
		die(b, -ENOMEM);
	return true;
}

/* A backend that takes no more may still have an answer for us. */
bool serve_backend_drain(struct serve_backend *b)
{
	size_t len = ts_byte_queue_len(&b->out);
	ssize_t n;

	if (b->fd < 0 || !b->is_up || len == 0)
		return false;
	n = b->is_deaf ? (ssize_t)len
		       : send(b->fd, ts_byte_queue_data(&b->out), len,
			      MSG_NOSIGNAL);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (n < 0) {
		b->is_deaf = true;
		n = (ssize_t)len;
	}
	ts_byte_queue_drop(&b->out, (size_t)n);
	return true;
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
	if (!b->has_ended && ts_byte_queue_len(&b->in) < SERVE_BUFFER_BYTES)
		events |= TS_READABLE;
	if (ts_byte_queue_len(&b->out) > 0)
		events |= TS_WRITABLE;
	ts_watch_set(b->watch, events);
}
