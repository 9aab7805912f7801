/* SPDX-License-Identifier: BSD-3-Clause
 * h2_head.h - heads between HTTP/2's fields and HTTP/1.1's text
 *
 * All that serves and all that proxies here reads and writes HTTP/1.1. HTTP/2
 * is put in front of it and behind it: fields become the text of a head, and
 * that becomes fields. The text goes through the same readers as any other, so
 * what they refuse is refused in both.
 *
 * Bodies in that text: with the length where one was said and no trailers
 * were, else in chunks.
 * Source: RFC 9113 section 8
 */
#ifndef CORE_SERVE_H2_HEAD_H
#define CORE_SERVE_H2_HEAD_H

#include <nghttp2/nghttp2.h>
#include <stdbool.h>

#include "core/base/byte_queue.h"
#include "core/base/http1.h"

enum {
	TS_H2_FIELDS_MAX = TS_HTTP1_HEADERS_MAX - 4, /* we add some */
	/* As SETTINGS_MAX_HEADER_LIST_SIZE counts: 32 more for each field. */
	TS_H2_LIST_MAX = TS_HTTP1_HEAD_MAX,
};

/* -- from HTTP/2 ---------------------------------------------------------- */
struct ts_h2_head {
	char *method, *path, *authority; /* heap, or NULL */
	int status;
	struct ts_byte_queue lines, cookie;
	char *host, *length; /* heap, or NULL */
	bool has_trailer;
	size_t count, size;
	int err; /* the first; what follows is passed over */
};

void ts_h2_head_init(struct ts_h2_head *head);
void ts_h2_head_deinit(struct ts_h2_head *head);
/* Remembers what went wrong: -EMSGSIZE, -ENOMEM. */
void ts_h2_head_add(struct ts_h2_head *head, const uint8_t *name,
		    size_t name_len, const uint8_t *value, size_t value_len);
/* A body follows, and it is in chunks. */
bool ts_h2_head_is_chunked(const struct ts_h2_head *head, bool has_body);
/* As text. 0, -EBADMSG, -EMSGSIZE, -ENOMEM. */
int ts_h2_head_request(const struct ts_h2_head *head, bool has_body,
		       struct ts_byte_queue *out);
int ts_h2_head_answer(const struct ts_h2_head *head, bool has_body,
		      struct ts_byte_queue *out);

/* -- to HTTP/2 ------------------------------------------------------------ */
/* Views into others' bytes. */
struct ts_h2_fields {
	nghttp2_nv nv[TS_HTTP1_HEADERS_MAX + 4];
	size_t count;
};

void ts_h2_fields_add(struct ts_h2_fields *fields, const char *name,
		      const char *value, size_t value_len);
/* All of a head that are the message's, and not the connection's. */
void ts_h2_fields_copy(struct ts_h2_fields *fields,
		       const struct ts_http1_head *head);

#endif
