/* SPDX-License-Identifier: BSD-3-Clause
 * dns_stream.c - a program's TCP connection to the name server
 * Source: RFC 1035 section 4.2.2, RFC 7766 (pipelining, idle connections)
 *
 * The host's end of a loopback connection: no tunnel and no peer are behind it.
 * Each message has its length before it; several may be on their way at once,
 * and answers go out as they come. A program that asks more than it reads is
 * not read from until it does. After its end of the stream, what it has asked
 * is still answered.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "core/base/byte_queue.h"
#include "core/base/wire.h"
#include "core/host/dns_service.h"
#include "core/host/host_internal.h"

enum {
	STREAMS_MAX = 256,
	PENDING_MAX = 16, /* queries of one stream */
	IDLE_MS = 30 * 1000,
	READ_BYTES = 4096,
	PREFIX_LEN = 2,
	MESSAGE_MAX = 65535,
	OUT_FULL_BYTES = 64 * 1024, /* no more queries are read then */
};

struct ts_dns_stream {
	struct ts_link link; /* in host->dns_streams, the most idle first */
	struct ts_host *host;
	struct ts_member *only;
	int fd;
	struct ts_watch *watch;
	struct ts_timer *idle;
	struct ts_entry *entry;
	struct ts_byte_queue in, out;
	size_t pending; /* asked, not answered */
	bool has_ended; /* nothing more comes from the program */
	bool is_broken; /* to be freed by whoever holds it */
	bool is_busy;	/* inside run() */
};

static void free_stream(struct ts_dns_stream *s, bool reset)
{
	struct ts_host *host = s->host;

	ts_dns_service_cancel(host, s);
	ts_list_remove(&s->link);
	host->dns_stream_count--;
	ts_watch_free(s->watch);
	ts_timer_free(s->idle);
	if (reset)
		ts_sock_reset(s->fd);
	else
		ts_sock_close(s->fd);
	ts_entry_end(host, s->entry, HOST_ENTRY_LINGER_MS);
	ts_byte_queue_deinit(&s->in);
	ts_byte_queue_deinit(&s->out);
	free(s);
}

static bool is_full(const struct ts_dns_stream *s)
{
	return s->pending >= PENDING_MAX ||
	       ts_byte_queue_len(&s->out) >= OUT_FULL_BYTES;
}

/* -- out ------------------------------------------------------------------ */

static void flush(struct ts_dns_stream *s)
{
	while (!s->is_broken && ts_byte_queue_len(&s->out) > 0) {
		ssize_t n = send(s->fd, ts_byte_queue_data(&s->out),
				 ts_byte_queue_len(&s->out),
				 MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n > 0)
			ts_byte_queue_drop(&s->out, (size_t)n);
		else if (errno == EAGAIN)
			return;
		else if (errno != EINTR)
			s->is_broken = true;
	}
}

static void run(struct ts_dns_stream *s);

static void on_answer(void *ctx, const uint8_t *answer, size_t len)
{
	struct ts_dns_stream *s = ctx;
	uint8_t prefix[PREFIX_LEN];
	struct ts_writer w = ts_writer_init(prefix, sizeof(prefix));

	s->pending--;
	ts_write_be16(&w, (uint16_t)len);
	/* What cannot be answered is not DNS: no more of that. */
	if (!answer || len > MESSAGE_MAX ||
	    ts_byte_queue_push(&s->out, prefix, sizeof(prefix)) ||
	    ts_byte_queue_push(&s->out, answer, len))
		s->is_broken = true;
	if (!s->is_busy)
		run(s);
}

/* -- in ------------------------------------------------------------------- */

static bool ask_one(struct ts_dns_stream *s)
{
	struct ts_reader r = ts_reader_init(ts_byte_queue_data(&s->in),
					    ts_byte_queue_len(&s->in));
	size_t len = ts_read_be16(&r);
	const uint8_t *query = ts_read_view(&r, len);

	if (r.bad)
		return false;
	s->pending++;
	ts_dns_service_ask_all(s->host, s->only, query, len, on_answer, s);
	ts_byte_queue_drop(&s->in, PREFIX_LEN + len);
	return true;
}

/* One piece; false when there is none for now. */
static bool receive_piece(struct ts_dns_stream *s)
{
	uint8_t piece[READ_BYTES];
	ssize_t n = recv(s->fd, piece, sizeof(piece), MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (n == 0)
		s->has_ended = true;
	else if (n < 0 || ts_byte_queue_push(&s->in, piece, (size_t)n))
		s->is_broken = true;
	return n > 0 && !s->is_broken;
}

static void take_queries(struct ts_dns_stream *s)
{
	size_t pieces = 0;

	do {
		while (!s->is_broken && !is_full(s) && ask_one(s))
			continue;
	} while (!s->is_broken && !is_full(s) && !s->has_ended &&
		 pieces++ < HOST_TURN_BYTES / READ_BYTES && receive_piece(s));
}

static bool is_over(const struct ts_dns_stream *s)
{
	return s->has_ended && s->pending == 0 &&
	       ts_byte_queue_len(&s->out) == 0;
}

static void watch_again(struct ts_dns_stream *s)
{
	unsigned events = 0;

	if (!is_full(s) && !s->has_ended)
		events |= TS_READABLE;
	if (ts_byte_queue_len(&s->out) > 0)
		events |= TS_WRITABLE;
	ts_watch_set(s->watch, events);
	ts_timer_set(s->idle, ts_host_now_ms(s->host) + IDLE_MS);
	ts_list_remove(&s->link);
	ts_list_insert(&s->host->dns_streams, &s->link);
}

/* May free s. */
static void run(struct ts_dns_stream *s)
{
	s->is_busy = true;
	take_queries(s);
	flush(s);
	s->is_busy = false;
	if (s->is_broken || is_over(s))
		free_stream(s, s->is_broken);
	else
		watch_again(s);
}

static void on_socket(void *ctx, unsigned events)
{
	(void)events;
	run(ctx);
}

/* No byte moved for so long, and no answer came: a program that reads nothing,
 * or that keeps the connection for later. */
static void on_idle(void *ctx)
{
	free_stream(ctx, false);
}

/* -- from and to the host ------------------------------------------------- */

static void make_room(struct ts_host *host)
{
	if (host->dns_stream_count >= STREAMS_MAX)
		free_stream(TS_LINK_OWNER(host->dns_streams.next,
					  struct ts_dns_stream, link),
			    false);
}

void ts_dns_stream_start(struct ts_host *host, struct ts_member *only, int fd,
			 struct ts_entry *entry)
{
	struct ts_dns_stream *s = calloc(1, sizeof(*s));

	if (!s) {
		ts_sock_reset(fd);
		ts_entry_end(host, entry, HOST_ENTRY_LINGER_MS);
		return;
	}
	make_room(host);
	s->host = host;
	s->only = only;
	s->fd = fd;
	s->entry = entry;
	ts_byte_queue_init(&s->in, PREFIX_LEN + MESSAGE_MAX + READ_BYTES);
	ts_byte_queue_init(&s->out, OUT_FULL_BYTES +
			   (PENDING_MAX + 1) * (PREFIX_LEN + MESSAGE_MAX));
	ts_list_insert(&host->dns_streams, &s->link);
	host->dns_stream_count++;
	s->watch = ts_watch_new(host->loop, fd, TS_READABLE, on_socket, s);
	s->idle = ts_timer_new(host->loop, on_idle, s);
	if (!s->watch || !s->idle)
		free_stream(s, true);
	else
		watch_again(s);
}

void ts_dns_streams_close(struct ts_host *host)
{
	while (!ts_list_is_empty(&host->dns_streams))
		free_stream(TS_LINK_OWNER(host->dns_streams.next,
					  struct ts_dns_stream, link),
			    true);
}
