/* SPDX-License-Identifier: BSD-3-Clause
 * http1_body.h - the body of one HTTP/1.1 message, as it comes
 *
 * Bytes in, pieces of content out, as views into those bytes: nothing is
 * gathered, so a body may be of any length. Source: RFC 9112 sections 6, 7.1
 */
#ifndef CORE_BASE_HTTP1_BODY_H
#define CORE_BASE_HTTP1_BODY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/http1.h"

enum ts_http1_framing {
	TS_HTTP1_BY_LENGTH,
	TS_HTTP1_CHUNKED,
	TS_HTTP1_TO_THE_END, /* of the connection: responses alone */
};

struct ts_http1_body {
	enum ts_http1_framing framing;
	uint64_t left; /* of the length, or of this chunk */
	int stage;     /* of chunks: http1_body.c */
	size_t line_len; /* so far, of a line between chunks */
	size_t trailer_len;
	bool has_digits, is_whole;
};

/* How the message's body ends. A response that cannot have one (204, 304) has
 * an empty one. 0; -EBADMSG: two opinions, or a length that is no number. */
int ts_http1_body_init(struct ts_http1_body *b,
		       const struct ts_http1_head *head);
/* The declared length; UINT64_MAX: none is. */
uint64_t ts_http1_body_length(const struct ts_http1_body *b);

/* Goes on from *at, of which *left bytes are there, to the next piece of
 * content. *piece_len 0: all were used, and there is no more of it yet, or the
 * body is whole. 0, -EBADMSG. */
int ts_http1_body_read(struct ts_http1_body *b, const uint8_t **at,
		       size_t *left, const uint8_t **piece,
		       size_t *piece_len);
/* Where the end of the connection is the body's it never is. */
static inline bool ts_http1_body_is_whole(const struct ts_http1_body *b)
{
	return b->is_whole;
}

#endif
