/* SPDX-License-Identifier: BSD-3-Clause
 * h2_server.h - the server side of one HTTP/2 connection
 *
 * Bytes in, bytes out through ops->send; no I/O. A request is handed over
 * when its body is complete. It is then answered in one piece, or kept open
 * as a stream of bytes (the map poll), now or later.
 */
#ifndef TESTS_LAB_H2_SERVER_H
#define TESTS_LAB_H2_SERVER_H

#include <stddef.h>
#include <stdint.h>

enum { LAB_H2_BODY_MAX = 1 << 20 };

struct lab_h2;	      /* one connection */
struct lab_h2_stream; /* one request and its answer */

struct lab_h2_request {
	const char *method, *path;
	const uint8_t *body; /* NUL behind the last byte */
	size_t body_len;
};

struct lab_h2_ops {
	/* 0, or a negative errno: the connection is of no more use. */
	int (*send)(void *ctx, const uint8_t *data, size_t len);
	/* Bytes that send() took and that are not on the wire yet. */
	size_t (*queued)(void *ctx);
	void (*request)(void *ctx, struct lab_h2_stream *stream,
			const struct lab_h2_request *req);
};

/* NULL: out of memory. */
struct lab_h2 *lab_h2_new(const struct lab_h2_ops *ops, void *ctx);
/* Closes all streams (their gone functions are called). NULL is fine. */
void lab_h2_free(struct lab_h2 *h2);
/* 0 or a negative errno: drop the connection. */
int lab_h2_input(struct lab_h2 *h2, const uint8_t *data, size_t len);
/* Write what waits, as far as the queue behind send() is short. */
int lab_h2_pump(struct lab_h2 *h2);

/* fn(ctx) when the stream is gone for whatever reason; it must not be used
 * any more from then on. fn NULL: forget. */
void lab_h2_on_gone(struct lab_h2_stream *stream, void (*fn)(void *ctx),
		    void *ctx);
/* A whole answer. type: Content-Type. extra: NULL or one "name: value". */
void lab_h2_respond(struct lab_h2_stream *stream, int status, const char *type,
		    const char *extra, const void *body, size_t len);
/* The head of an answer whose bytes follow by lab_h2_write(). */
void lab_h2_begin(struct lab_h2_stream *stream, int status, const char *type);
int lab_h2_write(struct lab_h2_stream *stream, const void *data, size_t len);
void lab_h2_end(struct lab_h2_stream *stream);
/* RST_STREAM once the queued bytes are out. */
void lab_h2_abort(struct lab_h2_stream *stream);
/* Bytes of this stream that wait for the client's window or the network. */
size_t lab_h2_queued(const struct lab_h2_stream *stream);

#endif
