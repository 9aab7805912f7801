/* SPDX-License-Identifier: BSD-3-Clause
 * serve_stream.c - a client's bytes
 */
#include <errno.h>
#include <string.h>

#include "core/host/serve_internal.h"

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

static void set_up(struct serve_stream *s)
{
	const struct stack_tcp_options options = {.keepalive = true};

	stack_tcp_set_options(s->tcp, &options);
	stack_tcp_set_nodelay(s->tcp, true);
}

int serve_stream_accept(struct serve_stream *s, struct stack_syn *syn)
{
	s->tcp = stack_syn_accept(syn, &stream_ops, s,
				  ts_host_now_ms(s->owner->member->host));
	if (!s->tcp)
		return -ENOMEM;
	set_up(s);
	return 0;
}

void serve_stream_adopt(struct serve_stream *s, struct stack_tcp *tcp)
{
	s->tcp = tcp;
	s->is_up = true;
	stack_tcp_set_user(tcp, &stream_ops, s);
	set_up(s);
}

size_t serve_stream_read(struct serve_stream *s, void *out, size_t cap)
{
	struct iovec views[VIEWS];
	uint8_t *to = out;
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

size_t serve_stream_write(struct serve_stream *s, const void *data, size_t len)
{
	return s->tcp && s->is_up ? stack_tcp_write(s->tcp, data, len) : 0;
}

void serve_stream_flush(struct serve_stream *s)
{
	if (s->tcp)
		stack_tcp_flush(s->tcp);
}

void serve_stream_end(struct serve_stream *s)
{
	if (s->tcp)
		stack_tcp_shutdown_write(s->tcp);
}

void serve_stream_close(struct serve_stream *s)
{
	struct stack_tcp *tcp = s->tcp;

	s->tcp = NULL;
	if (tcp)
		stack_tcp_close(tcp);
}

void serve_stream_abort(struct serve_stream *s)
{
	struct stack_tcp *tcp = s->tcp;

	s->tcp = NULL;
	if (tcp)
		stack_tcp_abort(tcp);
}
