/* SPDX-License-Identifier: BSD-3-Clause
 * local_server_stream.c - replies of the LocalAPI that come bit by bit
 *
 * libmicrohttpd asks for bytes when it can send some. While there are none the
 * connection is suspended, else it would ask again and again; the source wakes
 * it. A suspended connection is out of libmicrohttpd's sight, so its end is
 * looked for here: who listens sends nothing, and a descriptor that becomes
 * readable has been closed at the other end. A slow reader is no concern of
 * this file: whoever makes the bytes bounds what waits.
 */
#include "core/engine/local_server_stream.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/socket.h>

enum { BLOCK_LEN = 64 * 1024 };

struct local_stream {
	struct local_streams *all; /* NULL: the server ends */
	struct local_stream *next, **pprev;
	struct MHD_Connection *conn;
	struct ts_localapi_stream *source;
	struct ts_watch *watch; /* while suspended */
	bool is_suspended, is_gone;
};

static void resume(struct local_stream *s)
{
	if (!s->is_suspended)
		return;
	s->is_suspended = false;
	ts_watch_free(s->watch);
	s->watch = NULL;
	local_server_loop_resume(s->all->loop, s->conn);
}

static int descriptor_of(const struct local_stream *s)
{
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(
		s->conn, MHD_CONNECTION_INFO_CONNECTION_FD);

	return info ? info->connect_fd : -1;
}

static void on_readable(void *ctx, unsigned events)
{
	struct local_stream *s = ctx;
	char byte;
	ssize_t n = recv(descriptor_of(s), &byte, 1, MSG_PEEK | MSG_DONTWAIT);

	(void)events;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	/* Bytes in the middle of an answer: it asks for more than this. */
	s->is_gone = true;
	resume(s);
}

static void suspend(struct local_stream *s)
{
	MHD_suspend_connection(s->conn);
	s->is_suspended = true;
	s->watch = ts_watch_new(s->all->loop->loop, descriptor_of(s),
				TS_READABLE, on_readable, s);
	if (s->watch)
		return;
	s->is_gone = true; /* its end would not be noticed */
	resume(s);
}

static ssize_t on_wanted(void *ctx, uint64_t at, char *out, size_t cap)
{
	struct local_stream *s = ctx;
	ssize_t n;

	(void)at;
	if (!s->all || s->is_gone)
		return MHD_CONTENT_READER_END_OF_STREAM;
	n = s->source->read(s->source->ctx, out, cap);
	if (n < 0)
		return MHD_CONTENT_READER_END_OF_STREAM;
	if (n == 0)
		suspend(s);
	return n;
}

static void on_wake(void *ctx)
{
	resume(ctx);
}

struct local_stream *local_stream_new(struct local_streams *all,
				      struct MHD_Connection *conn,
				      struct ts_localapi_stream *source)
{
	struct local_stream *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->all = all;
	s->conn = conn;
	s->source = source;
	s->next = all->list;
	s->pprev = &all->list;
	if (s->next)
		s->next->pprev = &s->next;
	all->list = s;
	source->wake = on_wake;
	source->wake_ctx = s;
	return s;
}

struct MHD_Response *local_stream_response(struct local_stream *s)
{
	return MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK_LEN,
						 on_wanted, s, NULL);
}

void local_stream_free(struct local_stream *s)
{
	*s->pprev = s->next;
	if (s->next)
		s->next->pprev = s->pprev;
	ts_watch_free(s->watch);
	s->source->close(s->source->ctx);
	free(s);
}

void local_streams_end(struct local_streams *all)
{
	for (struct local_stream *s = all->list; s; s = s->next) {
		resume(s);
		s->all = NULL;
	}
}
