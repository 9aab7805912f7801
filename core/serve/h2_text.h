/* SPDX-License-Identifier: BSD-3-Clause
 * h2_text.h - a message of HTTP/2 as it comes in, read as HTTP/1.1's text
 *
 * Bytes of the body wait as they came, and are put into chunks when they are
 * read: however small the frames were, what waits is no more than the sender's
 * window let through.
 */
#ifndef CORE_SERVE_H2_TEXT_H
#define CORE_SERVE_H2_TEXT_H

#include <stdbool.h>
#include <stddef.h>

#include "core/serve/h2_backend.h"
#include "core/serve/h2_head.h"

struct ts_h2_text {
	struct ts_byte_queue head, body, tail; /* in this order */
	bool is_chunked;
};

void ts_h2_text_init(struct ts_h2_text *text, size_t window);
void ts_h2_text_deinit(struct ts_h2_text *text);
void ts_h2_text_clear(struct ts_h2_text *text);
/* Of a chunked body: its end, with the trailers in head, or NULL. 0, -EBADMSG,
 * -EMSGSIZE, -ENOMEM. */
int ts_h2_text_end(struct ts_h2_text *text, const struct ts_h2_head *head);
/* 0: none now, or cap is too small for a chunk (TS_H2_CHUNK_MIN). *payload: how
 * many of the bytes that waited are the body's, for its window. */
size_t ts_h2_text_read(struct ts_h2_text *text, void *out, size_t cap,
		       size_t *payload);
bool ts_h2_text_is_empty(const struct ts_h2_text *text);

#endif
