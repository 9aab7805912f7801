/* SPDX-License-Identifier: BSD-3-Clause
 * http_body.h - where the body of an HTTP/1.1 message ends
 *
 * Bytes in, payload out; no I/O. What two readers could understand in two ways
 * is refused: Content-Length beside Transfer-Encoding (of a server, the length
 * is void), several lengths, codings other than chunked, or in HTTP/1.0, chunk
 * sizes that are not plain hex, bare line feeds.
 * Source: RFC 9112 sections 6 and 7
 */
#ifndef CORE_BASE_HTTP_BODY_H
#define CORE_BASE_HTTP_BODY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/base/byte_queue.h"
#include "core/base/http1.h"

enum ts_http_body_kind {
	TS_BODY_NONE,
	TS_BODY_LENGTH,
	TS_BODY_CHUNKED,
	TS_BODY_TO_END, /* a response: until the connection ends */
};

struct ts_http_body {
	enum ts_http_body_kind kind;
	uint64_t left; /* of the length, or of the chunk */
	bool is_done;
	/* chunked */
	unsigned state; /* enum chunk_state */
	unsigned digits;
	size_t line_len; /* of extensions and trailers, all together */
	struct ts_byte_queue *trailers; /* lines go there; NULL: nowhere */
};

/* 0; -EBADMSG: refused; -EOPNOTSUPP: a coding that we do not know. */
int ts_http_body_of_request(const struct ts_http1_head *head,
			    struct ts_http_body *out);
/* is_head: it answers HEAD. */
int ts_http_body_of_response(const struct ts_http1_head *head, bool is_head,
			     struct ts_http_body *out);
/* Takes bytes from the front of data: how many, and which of them (*payload,
 * *payload_len) are the body's. 0: it is done, or more is needed. -EBADMSG,
 * -EMSGSIZE (extensions or trailers without end), -ENOMEM. */
ssize_t ts_http_body_next(struct ts_http_body *body, const uint8_t *data,
			  size_t len, const uint8_t **payload,
			  size_t *payload_len);
/* Is name in the comma-separated list of this field? All fields of it count. */
bool ts_http_lists(const struct ts_http1_head *head, const char *field,
		   const char *name);

#endif
