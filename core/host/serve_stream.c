/* SPDX-License-Identifier: BSD-3-Clause
 * serve_stream.c - a client's bytes, plain or out of TLS
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "core/host/serve_internal.h"
#include "core/host/tls_server.h"

enum { VIEWS = 32 };

static void on_event(void *user)
{
	struct serve_stream *s = user;

	serve_conn_line_up(s->owner);
}

static void on_connected(void *user)
{
	struct serve_stream *s = user;

	s->is_up = true;
	serve_conn_line_up(s->owner);
}

static void on_gone(void *user, int err)
{
	struct serve_stream *s = user;

	(void)err;
	s->tcp = NULL;
	serve_conn_kill(s->owner);
}

static const struct stack_tcp_ops stream_ops = {
	.connected = on_connected,
	.readable = on_event,
	.writable = on_event,
	.gone = on_gone,
};

/* -- TLS ------------------------------------------------------------------ */

static void on_tls_gone(void *user, int err)
{
	struct serve_stream *s = user;

	(void)err;
	s->tls = NULL;
	serve_conn_kill(s->owner);
}

static const struct ts_tls_conn_ops tls_ops = {
	.ready = on_connected,
	.readable = on_event,
	.writable = on_event,
	.gone = on_tls_gone,
};

/* TLS has the connection from here, in every case. */
static int put_tls(struct serve_stream *s)
{
	const struct ts_tls_wish wish = {.alpn = TS_ALPN_HTTP2_HTTP1};
	struct stack_tcp *tcp = s->tcp;

	s->tcp = NULL;
	s->tls = ts_tls_accept_tcp(s->owner->member, tcp, &s->owner->remote,
				   &wish, &tls_ops, s);
	return s->tls ? 0 : -ENOMEM;
}

static int put_tls_fd(struct serve_stream *s, int fd)
{
	const struct ts_tls_wish wish = {.alpn = TS_ALPN_HTTP2_HTTP1};

	s->tls = ts_tls_accept_fd(s->owner->member, fd, &s->owner->remote,
				  &wish, &tls_ops, s);
	return s->tls ? 0 : -ENOMEM;
}

/* -- beginnings ----------------------------------------------------------- */

static void set_up(struct stack_tcp *tcp)
{
	const struct stack_tcp_options options = {.keepalive = true};

	stack_tcp_set_options(tcp, &options);
	stack_tcp_set_nodelay(tcp, true);
}

int serve_stream_accept(struct serve_stream *s, struct stack_syn *syn,
			bool is_tls)
{
	s->tcp = stack_syn_accept(syn, &stream_ops, s,
				  ts_host_now_ms(s->owner->member->host));
	if (!s->tcp)
		return -ENOMEM;
	set_up(s->tcp);
	return is_tls ? put_tls(s) : 0;
}

int serve_stream_adopt(struct serve_stream *s, struct stack_tcp *tcp)
{
	s->tcp = tcp;
	set_up(tcp);
	return put_tls(s);
}

static void on_socket(void *ctx, unsigned events)
{
	struct serve_stream *s = ctx;

	(void)events;
	serve_conn_line_up(s->owner); /* worked on before the loop sleeps */
}

int serve_stream_take(struct serve_stream *s, int fd, bool is_tls)
{
	if (is_tls)
		return put_tls_fd(s, fd);
	s->fd = fd;
	s->is_up = true;
	s->watch = ts_watch_new(s->owner->member->host->loop, fd, TS_READABLE,
				on_socket, s);
	return s->watch ? 0 : -ENOMEM;
}

void serve_stream_watch(struct serve_stream *s, bool wants_bytes,
			bool wants_room)
{
	if (s->watch)
		ts_watch_set(s->watch, (wants_bytes ? TS_READABLE : 0u) |
					       (wants_room ? TS_WRITABLE : 0u));
}

const char *serve_stream_name(const struct serve_stream *s)
{
	if (s->carrier)
		return serve_stream_name(&s->carrier->stream);
	return s->tls ? ts_tls_conn_name(s->tls) : "";
}

bool serve_stream_is_h2(const struct serve_stream *s)
{
	return s->tls && s->is_up &&
	       strcmp(ts_tls_conn_protocol(s->tls), "h2") == 0;
}

/* -- bytes ---------------------------------------------------------------- */

static size_t read_tls(struct serve_stream *s, void *out, size_t cap)
{
	ssize_t n = s->is_up ? ts_tls_conn_read(s->tls, out, cap) : -EAGAIN;

	if (n == 0)
		s->has_ended = true;
	return n > 0 ? (size_t)n : 0; /* broken: gone() follows */
}

static size_t read_tcp(struct serve_stream *s, uint8_t *to, size_t cap)
{
	struct iovec views[VIEWS];
	size_t n = 0;
	int count;

	while (s->tcp && s->is_up && n < cap &&
	       (count = stack_tcp_read_view(s->tcp, views, VIEWS)) != 0) {
		size_t taken = 0;

		if (count < 0) {
			s->has_ended = true;
			break;
		}
		for (int i = 0; i < count && n < cap; i++) {
			size_t len = views[i].iov_len < cap - n
					     ? views[i].iov_len : cap - n;

			memcpy(to + n, views[i].iov_base, len);
			n += len;
			taken += len;
		}
		stack_tcp_consume(s->tcp, taken);
	}
	return n;
}

/* Bytes moved, of what recv() or send() returned. */
static size_t moved(struct serve_stream *s, ssize_t n)
{
	if (n >= 0)
		return (size_t)n;
	if (errno != EAGAIN && errno != EINTR)
		serve_conn_kill(s->owner);
	return 0;
}

static size_t read_fd(struct serve_stream *s, void *out, size_t cap)
{
	ssize_t n = recv(s->fd, out, cap, 0);

	if (n == 0)
		s->has_ended = true;
	return moved(s, n);
}

size_t serve_stream_read(struct serve_stream *s, void *out, size_t cap)
{
	if (s->h2)
		return ts_h2_stream_read(s->h2, out, cap, &s->has_ended);
	if (s->tls)
		return read_tls(s, out, cap);
	return s->fd >= 0 ? read_fd(s, out, cap) : read_tcp(s, out, cap);
}

size_t serve_stream_write(struct serve_stream *s, const void *data, size_t len)
{
	if (!s->is_up)
		return 0;
	if (s->h2)
		return ts_h2_stream_write(s->h2, data, len);
	if (s->tls)
		return ts_tls_conn_write(s->tls, data, len);
	if (s->fd >= 0)
		return moved(s, send(s->fd, data, len, MSG_NOSIGNAL));
	return s->tcp ? stack_tcp_write(s->tcp, data, len) : 0;
}

void serve_stream_flush(struct serve_stream *s)
{
	if (s->tcp)
		stack_tcp_flush(s->tcp);
}

bool serve_stream_is_pending(const struct serve_stream *s)
{
	return s->h2 && ts_h2_stream_is_pending(s->h2);
}

/* -- ends ----------------------------------------------------------------- */

void serve_stream_end(struct serve_stream *s)
{
	if (s->h2) {
		ts_h2_stream_end(s->h2);
		s->has_ended = true; /* there is no second request */
	}
	if (s->tls)
		ts_tls_conn_shutdown_write(s->tls);
	if (s->fd >= 0)
		(void)shutdown(s->fd, SHUT_WR);
	if (s->tcp)
		stack_tcp_shutdown_write(s->tcp);
}

static void close_fd(struct serve_stream *s)
{
	ts_watch_free(s->watch);
	s->watch = NULL;
	ts_sock_close(s->fd);
	s->fd = -1;
}

static void close_h2(struct serve_stream *s)
{
	if (s->h2)
		ts_h2_stream_close(s->h2);
	s->h2 = NULL;
	s->carrier = NULL;
}

void serve_stream_close(struct serve_stream *s)
{
	struct stack_tcp *tcp = s->tcp;
	struct ts_tls_conn *tls = s->tls;

	s->tcp = NULL;
	s->tls = NULL;
	close_h2(s);
	if (tls)
		ts_tls_conn_close(tls);
	close_fd(s);
	if (tcp)
		stack_tcp_close(tcp);
}

void serve_stream_abort(struct serve_stream *s)
{
	struct stack_tcp *tcp = s->tcp;
	struct ts_tls_conn *tls = s->tls;

	s->tcp = NULL;
	s->tls = NULL;
	close_h2(s);
	if (tls)
		ts_tls_conn_abort(tls);
	close_fd(s);
	if (tcp)
		stack_tcp_abort(tcp);
}
