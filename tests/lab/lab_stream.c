/* SPDX-License-Identifier: BSD-3-Clause
 * lab_stream.c - one TCP or Unix connection on the loop, plain or TLS
 *
 * Writing only queues and arms the watch: whatever several callers queue in
 * one turn of the loop leaves in as few system calls and TLS records as
 * possible, and no error can surface inside a caller that is in the middle of
 * something else. Everything happens in on_event(); it counts its depth so
 * that a callback which frees the stream only marks it, and the memory goes
 * when the last frame of on_event() unwinds.
 *
 * OpenSSL may want to write while we read (handshake) and the reverse; after
 * each event both directions are tried, and want_write remembers to wait for
 * room when a read needs it.
 */
#include "tests/lab/lab_stream.h"

#include <errno.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/base/byte_queue.h"

enum {
	READ_CHUNK = 16384,
	READS_PER_EVENT = 16, /* then others get their turn */
	QUEUE_MAX_BYTES = 96 << 20,
};

struct lab_stream {
	struct ts_watch *watch;
	int fd;
	SSL *ssl; /* NULL: plain */
	struct ts_byte_queue out;
	const struct lab_stream_ops *ops;
	void *ctx;
	unsigned depth;
	bool freed, closed, finishing, stalled, want_write;
};

static void release(struct lab_stream *s)
{
	ts_watch_free(s->watch);
	if (s->ssl) {
		SSL_shutdown(s->ssl);
		ERR_clear_error();
		SSL_free(s->ssl);
	}
	if (s->fd >= 0)
		close(s->fd);
	ts_byte_queue_deinit(&s->out);
	free(s);
}

static void update_watch(struct lab_stream *s)
{
	unsigned events = TS_READABLE;

	if (s->closed || s->stalled)
		events = 0;
	else if (s->want_write || s->finishing || ts_byte_queue_len(&s->out))
		events |= TS_WRITABLE;
	ts_watch_set(s->watch, events);
}

static void report_closed(struct lab_stream *s, int err)
{
	if (s->closed)
		return;
	s->closed = true;
	s->ops->closed(s->ctx, err);
}

/* Bytes moved, or -EAGAIN, -EPIPE (end of stream), another error. */
static int tls_result(struct lab_stream *s, int n)
{
	int why = SSL_get_error(s->ssl, n);

	ERR_clear_error();
	switch (why) {
	case SSL_ERROR_WANT_WRITE:
		s->want_write = true;
		return -EAGAIN;
	case SSL_ERROR_WANT_READ:
		return -EAGAIN;
	case SSL_ERROR_ZERO_RETURN:
		return -EPIPE;
	case SSL_ERROR_SYSCALL:
		return errno ? -errno : -EPIPE;
	default:
		return -EPROTO;
	}
}

static int stream_read(struct lab_stream *s, uint8_t *buf, size_t cap)
{
	ssize_t n;

	if (s->ssl) {
		int got = SSL_read(s->ssl, buf, (int)cap);

		return got > 0 ? got : tls_result(s, got);
	}
	n = recv(s->fd, buf, cap, MSG_DONTWAIT);
	if (n > 0)
		return (int)n;
	return n == 0 ? -EPIPE : -errno;
}

static int stream_write(struct lab_stream *s, const uint8_t *data, size_t len)
{
	ssize_t n;

	if (s->ssl) {
		int put = SSL_write(s->ssl, data,
				    (int)(len < READ_CHUNK ? len : READ_CHUNK));

		return put > 0 ? put : tls_result(s, put);
	}
	n = send(s->fd, data, len < 1 << 20 ? len : 1 << 20,
		 MSG_DONTWAIT | MSG_NOSIGNAL);
	return n >= 0 ? (int)n : -errno;
}

static bool is_live(const struct lab_stream *s)
{
	return !s->freed && !s->closed && !s->stalled;
}

static void read_some(struct lab_stream *s)
{
	uint8_t buf[READ_CHUNK];

	for (int i = 0; i < READS_PER_EVENT && is_live(s); i++) {
		int n = stream_read(s, buf, sizeof(buf));

		if (n == -EAGAIN || n == -EINTR)
			return;
		if (n < 0) {
			report_closed(s, n == -EPIPE ? 0 : n);
			return;
		}
		if (!s->finishing)
			s->ops->input(s->ctx, buf, (size_t)n);
	}
}

static void write_queue(struct lab_stream *s)
{
	bool had = ts_byte_queue_len(&s->out) > 0;

	while (is_live(s) && ts_byte_queue_len(&s->out)) {
		int n = stream_write(s, ts_byte_queue_data(&s->out),
				     ts_byte_queue_len(&s->out));

		if (n == -EAGAIN || n == -EINTR)
			return;
		if (n < 0) {
			report_closed(s, n);
			return;
		}
		ts_byte_queue_drop(&s->out, (size_t)n);
	}
	if (!is_live(s))
		return;
	if (s->finishing)
		report_closed(s, 0);
	else if (had && s->ops->drained)
		s->ops->drained(s->ctx);
}

static void on_event(void *ctx, unsigned events)
{
	struct lab_stream *s = ctx;

	s->depth++;
	s->want_write = false;
	/* Pending TLS bytes do not show on the fd, so always read as well. */
	if (s->ssl || (events & TS_READABLE))
		read_some(s);
	write_queue(s);
	s->depth--;
	if (s->freed) {
		if (!s->depth)
			release(s);
		return;
	}
	/* A read that stopped early leaves bytes inside OpenSSL. */
	if (s->ssl && SSL_pending(s->ssl) > 0)
		s->want_write = true;
	update_watch(s);
}

static SSL *new_session(SSL_CTX *tls, int fd)
{
	SSL *ssl = SSL_new(tls);

	if (!ssl)
		return NULL;
	SSL_set_mode(ssl, SSL_MODE_ENABLE_PARTIAL_WRITE |
				  SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_set_accept_state(ssl);
	if (SSL_set_fd(ssl, fd) == 1)
		return ssl;
	SSL_free(ssl);
	return NULL;
}

struct lab_stream *lab_stream_new(struct ts_loop *loop, int fd, SSL_CTX *tls,
				  const struct lab_stream_ops *ops, void *ctx)
{
	struct lab_stream *s = calloc(1, sizeof(*s));

	if (!s) {
		close(fd);
		return NULL;
	}
	*s = (struct lab_stream){.fd = fd, .ops = ops, .ctx = ctx};
	ts_byte_queue_init(&s->out, QUEUE_MAX_BYTES);
	s->watch = ts_watch_new(loop, fd, TS_READABLE, on_event, s);
	if (tls)
		s->ssl = new_session(tls, fd);
	if (s->watch && (!tls || s->ssl))
		return s;
	release(s);
	return NULL;
}

void lab_stream_free(struct lab_stream *s)
{
	if (!s)
		return;
	s->freed = true;
	if (!s->depth)
		release(s);
}

int lab_stream_write(struct lab_stream *s, const void *data, size_t len)
{
	int err;

	if (s->freed || s->closed)
		return -EPIPE;
	err = ts_byte_queue_push(&s->out, data, len);
	if (!err && !s->depth)
		update_watch(s);
	return err;
}

size_t lab_stream_queued(const struct lab_stream *s)
{
	return ts_byte_queue_len(&s->out);
}

void lab_stream_finish(struct lab_stream *s)
{
	s->finishing = true;
	if (!s->depth)
		update_watch(s);
}

void lab_stream_stall(struct lab_stream *s, bool on)
{
	s->stalled = on;
	if (!s->depth)
		update_watch(s);
}
