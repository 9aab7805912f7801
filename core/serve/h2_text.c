/* SPDX-License-Identifier: BSD-3-Clause
 * h2_text.c - a message of HTTP/2 as it comes in, read as HTTP/1.1's text
 */
#include "core/serve/h2_text.h"

#include <stdio.h>
#include <string.h>

#include "core/base/http_trailers.h"

void ts_h2_text_init(struct ts_h2_text *text, size_t window)
{
	*text = (struct ts_h2_text){0};
	/* Heads of answers on the way, and the last one. */
	ts_byte_queue_init(&text->head, 4 * TS_HTTP1_HEAD_MAX);
	ts_byte_queue_init(&text->body, window);
	ts_byte_queue_init(&text->tail, TS_HTTP1_HEAD_MAX);
}

void ts_h2_text_deinit(struct ts_h2_text *text)
{
	ts_byte_queue_deinit(&text->head);
	ts_byte_queue_deinit(&text->body);
	ts_byte_queue_deinit(&text->tail);
}

void ts_h2_text_clear(struct ts_h2_text *text)
{
	ts_byte_queue_clear(&text->head);
	ts_byte_queue_clear(&text->body);
	ts_byte_queue_clear(&text->tail);
	text->is_chunked = false;
}

int ts_h2_text_end(struct ts_h2_text *text, const struct ts_h2_head *head)
{
	struct ts_byte_queue none;

	ts_byte_queue_init(&none, 0);
	if (head && head->err)
		return head->err;
	return ts_http_trailers_write(&text->tail,
				      head ? &head->lines : &none);
}

static size_t take(struct ts_byte_queue *from, uint8_t *out, size_t cap)
{
	size_t len = ts_byte_queue_len(from), n = len < cap ? len : cap;

	if (n > 0)
		memcpy(out, ts_byte_queue_data(from), n);
	ts_byte_queue_drop(from, n);
	return n;
}

static size_t take_chunk(struct ts_byte_queue *from, uint8_t *out, size_t cap,
			 size_t *payload)
{
	size_t len = ts_byte_queue_len(from), n;

	if (cap < TS_H2_CHUNK_MIN)
		return 0;
	if (len > cap - TS_H2_CHUNK_MIN + 1)
		len = cap - TS_H2_CHUNK_MIN + 1;
	n = (size_t)snprintf((char *)out, cap, "%zx\r\n", len);
	*payload = take(from, out + n, len);
	memcpy(out + n + len, "\r\n", 2);
	return n + len + 2;
}

static size_t take_body(struct ts_h2_text *text, uint8_t *out, size_t cap,
			size_t *payload)
{
	if (text->is_chunked)
		return take_chunk(&text->body, out, cap, payload);
	return *payload = take(&text->body, out, cap);
}

size_t ts_h2_text_read(struct ts_h2_text *text, void *out, size_t cap,
		       size_t *payload)
{
	uint8_t *to = out;
	size_t n = take(&text->head, to, cap);

	*payload = 0;
	if (ts_byte_queue_len(&text->head) == 0 &&
	    ts_byte_queue_len(&text->body) > 0)
		n += take_body(text, to + n, cap - n, payload);
	if (ts_byte_queue_len(&text->head) == 0 &&
	    ts_byte_queue_len(&text->body) == 0)
		n += take(&text->tail, to + n, cap - n);
	return n;
}

bool ts_h2_text_is_empty(const struct ts_h2_text *text)
{
	return ts_byte_queue_len(&text->head) == 0 &&
	       ts_byte_queue_len(&text->body) == 0 &&
	       ts_byte_queue_len(&text->tail) == 0;
}
