/* SPDX-License-Identifier: BSD-3-Clause
 * h2_backend.h - a backend that speaks HTTP/2, as one of HTTP/1.1
 *
 * For gRPC, which knows nothing else. The text of one request after the other
 * goes in, and the text of its answer comes out; between them are the frames
 * of one connection, with one stream at a time. Bytes in, bytes out; no I/O.
 * Source: RFC 9113; nghttp2's documentation
 */
#ifndef CORE_SERVE_H2_BACKEND_H
#define CORE_SERVE_H2_BACKEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum {
	TS_H2_CHUNK_MIN = 32, /* of room, for text of a body */
	TS_H2_REQUEST_BYTES = 64 * 1024, /* that wait */
	TS_H2_BACKEND_WINDOW = 256 * 1024,
};

struct ts_h2_backend;

/* NULL: out of memory. */
struct ts_h2_backend *ts_h2_backend_new(bool is_tls);
void ts_h2_backend_free(struct ts_h2_backend *h2); /* NULL is fine */
/* Good for another request: the last one's answer was whole, and is read. */
bool ts_h2_backend_is_free(const struct ts_h2_backend *h2);
/* The next one: what is written from now on is its text. */
void ts_h2_backend_begin(struct ts_h2_backend *h2);
/* The connection: frames in, and the next ones out (0: none), which are valid
 * until the next call. < 0: it is over. -EPROTO, -ENOMEM, -ECONNRESET. */
int ts_h2_backend_input(struct ts_h2_backend *h2, const uint8_t *data,
			size_t len);
ssize_t ts_h2_backend_output(struct ts_h2_backend *h2, const uint8_t **data);
/* Text of a request. Bytes taken, or < 0: as above. */
ssize_t ts_h2_backend_write(struct ts_h2_backend *h2, const void *data,
			    size_t len);
/* Text of the answer. 0: none now; < 0: it breaks off here. */
ssize_t ts_h2_backend_read(struct ts_h2_backend *h2, void *out, size_t cap);

#endif
