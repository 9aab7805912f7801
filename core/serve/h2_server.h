/* SPDX-License-Identifier: BSD-3-Clause
 * h2_server.h - a client's HTTP/2 connection, each stream as HTTP/1.1
 *
 * Bytes in, bytes out; no I/O. To whoever answers, a stream is a connection
 * with one request on it: its text is read from it, the answer's text is
 * written to it, and it ends. What is read of a body makes room for more of it
 * (flow control), and the answer is taken as far as the client has room.
 *
 * Bounds: streams at once, the size of a head, bytes of bodies that wait each
 * way, and frames that cost the client nothing (resets, pings, settings, empty
 * ones, those that make no sense, streams that are too many): who sends more of
 * those than any client needs gets GOAWAY.
 * Source: RFC 9113; nghttp2's documentation
 */
#ifndef CORE_SERVE_H2_SERVER_H
#define CORE_SERVE_H2_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum {
	TS_H2_STREAMS_MAX = 100,
	TS_H2_STREAM_WINDOW = 256 * 1024,
	TS_H2_WINDOW = 512 * 1024, /* of all streams of a connection */
	TS_H2_ANSWER_BYTES = 64 * 1024, /* of one, that wait */
	/* Frames that cost nothing: so many at once, one more each so often. */
	TS_H2_IDLE_FRAMES = 1000,
	TS_H2_IDLE_FRAME_MS = 20,
};

struct ts_h2_server;
struct ts_h2_stream;

/* Called inside of the functions below: they may only take notes. */
struct ts_h2_server_ops {
	/* A request has come: who answers it? NULL: it is refused. */
	void *(*opened)(void *ctx, struct ts_h2_stream *stream);
	/* There are bytes, or their end, or room for some. */
	void (*news)(void *owner);
	/* stream is no longer valid. */
	void (*gone)(void *owner);
	/* There is something for ts_h2_server_output() to say. */
	void (*wants_output)(void *ctx);
};

/* NULL: out of memory. */
struct ts_h2_server *ts_h2_server_new(const struct ts_h2_server_ops *ops,
				      void *ctx);
/* Streams end without a callback. NULL is fine. */
void ts_h2_server_free(struct ts_h2_server *server);
/* 0; -EPROTO: it made no sense; -ENOMEM. Then what is to be said still is,
 * and no more is taken. */
int ts_h2_server_input(struct ts_h2_server *server, const uint8_t *data,
		       size_t len, uint64_t now_ms);
/* The next bytes for the client, valid until the next call; 0: none. < 0: as
 * ts_h2_server_input(). */
ssize_t ts_h2_server_output(struct ts_h2_server *server,
			    const uint8_t **data);
/* No new requests; those under way are answered. */
void ts_h2_server_end(struct ts_h2_server *server);
/* Nothing more will come of it, once it has no output. */
bool ts_h2_server_is_over(const struct ts_h2_server *server);
/* Those that somebody answers. */
size_t ts_h2_server_streams(const struct ts_h2_server *server);

/* -- one stream, by its owner --------------------------------------------- */
/* Text of the request; 0: none now, or, with *has_ended, ever, or cap is less
 * than a small chunk needs. */
size_t ts_h2_stream_read(struct ts_h2_stream *stream, void *out, size_t cap,
			 bool *has_ended);
/* Text of the answer. Bytes taken; less than len: news() tells of room. */
size_t ts_h2_stream_write(struct ts_h2_stream *stream, const void *data,
			  size_t len);
/* Nothing more will be written. */
void ts_h2_stream_end(struct ts_h2_stream *stream);
/* Bytes of the answer that the client has no room for yet. */
size_t ts_h2_stream_waiting(const struct ts_h2_stream *stream);
/* The answer is not whole on its way yet. */
bool ts_h2_stream_is_pending(const struct ts_h2_stream *stream);
/* Not the owner's any more, no callback follows. What is not whole is broken
 * off. */
void ts_h2_stream_close(struct ts_h2_stream *stream);

#endif
