/* SPDX-License-Identifier: BSD-3-Clause
 * http_trailers.h - fields that come after a chunked body
 *
 * Lines as ts_http_body collects them. They go on like fields of the head, but
 * never as one that has a meaning for framing, routing, authentication or who
 * is calling: that was settled when the head was read.
 * Source: RFC 9110 section 6.5
 */
#ifndef CORE_BASE_HTTP_TRAILERS_H
#define CORE_BASE_HTTP_TRAILERS_H

#include "core/base/byte_queue.h"
#include "core/base/http1.h"

enum { TS_HTTP_TRAILERS_MAX = 8192 };

/* The fields among lines that may go on: views into *text, which is the
 * caller's to free, also after an error. 0, -EBADMSG, -EMSGSIZE, -ENOMEM. */
int ts_http_trailers_read(const struct ts_byte_queue *lines,
			  struct ts_http1_head *out, char **text);
/* The end of a chunked body, with what may go on of lines. As above, and
 * -EMSGSIZE of out. */
int ts_http_trailers_write(struct ts_byte_queue *out,
			   const struct ts_byte_queue *lines);

#endif
