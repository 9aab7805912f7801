/* SPDX-License-Identifier: BSD-3-Clause
 * http_body.c - where the body of an HTTP/1.1 message ends
 */
#include "core/base/http_body.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "core/base/decimal.h"
#include "core/base/encode.h"

enum { LINES_MAX = 16384, SIZE_DIGITS_MAX = 15 };

enum chunk_state {
	CHUNK_SIZE,	/* hex digits */
	CHUNK_SIZE_SPACE, /* behind them */
	CHUNK_EXTENSION, /* up to the CR */
	CHUNK_SIZE_LF,
	CHUNK_DATA,
	CHUNK_DATA_CR,
	CHUNK_DATA_LF,
	CHUNK_TRAILER, /* the beginning of a line */
	CHUNK_TRAILER_LINE,
	CHUNK_TRAILER_LF,
	CHUNK_LAST_LF,
};

/* -- fields --------------------------------------------------------------- */

static bool field_lists(const struct ts_http1_field *f, const char *name)
{
	const char *at = f->value, *end = f->value + f->value_len;
	size_t name_len = strlen(name);

	while (at < end) {
		const char *comma = memchr(at, ',', (size_t)(end - at));
		const char *stop = comma ? comma : end;

		while (at < stop && (*at == ' ' || *at == '\t'))
			at++;
		while (stop > at && (stop[-1] == ' ' || stop[-1] == '\t'))
			stop--;
		if ((size_t)(stop - at) == name_len &&
		    strncasecmp(at, name, name_len) == 0)
			return true;
		at = comma ? comma + 1 : end;
	}
	return false;
}

bool ts_http_lists(const struct ts_http1_head *head, const char *field,
		   const char *name)
{
	for (size_t i = 0; i < head->field_count; i++)
		if (ts_http1_is_named(&head->fields[i], field) &&
		    field_lists(&head->fields[i], name))
			return true;
	return false;
}

static int set_length(const struct ts_http1_head *head,
		      struct ts_http_body *out)
{
	const struct ts_http1_field *f = ts_http1_find(head, "Content-Length");

	if (ts_http1_count(head, "Content-Length") > 1)
		return -EBADMSG;
	out->kind = TS_BODY_LENGTH;
	return ts_decimal_parse(f->value, f->value_len, INT64_MAX,
				&out->left);
}

static int set_coding(const struct ts_http1_head *head,
		      struct ts_http_body *out)
{
	if (head->minor == 0 || ts_http1_count(head, "Transfer-Encoding") > 1)
		return -EBADMSG;
	out->kind = TS_BODY_CHUNKED;
	return ts_http1_value_is(ts_http1_find(head, "Transfer-Encoding"),
				 "chunked")
		       ? 0 : -EOPNOTSUPP;
}

static void settle(struct ts_http_body *body)
{
	body->is_done = body->kind == TS_BODY_NONE ||
			(body->kind == TS_BODY_LENGTH && body->left == 0);
}

int ts_http_body_of_request(const struct ts_http1_head *head,
			    struct ts_http_body *out)
{
	bool has_length = ts_http1_find(head, "Content-Length");
	bool has_coding = ts_http1_find(head, "Transfer-Encoding");
	int err = 0;

	*out = (struct ts_http_body){.kind = TS_BODY_NONE};
	if (has_length && has_coding)
		return -EBADMSG;
	if (has_coding)
		err = set_coding(head, out);
	else if (has_length)
		err = set_length(head, out);
	settle(out);
	return err;
}

int ts_http_body_of_response(const struct ts_http1_head *head, bool is_head,
			     struct ts_http_body *out)
{
	int err = 0;

	*out = (struct ts_http_body){.kind = TS_BODY_NONE};
	if (is_head || head->status < 200 || head->status == 204 ||
	    head->status == 304)
		out->kind = TS_BODY_NONE;
	else if (ts_http1_find(head, "Transfer-Encoding"))
		err = set_coding(head, out); /* a length beside it is void */
	else if (ts_http1_find(head, "Content-Length"))
		err = set_length(head, out);
	else
		out->kind = TS_BODY_TO_END;
	settle(out);
	return err;
}

/* -- chunks --------------------------------------------------------------- */

static int expect(struct ts_http_body *b, uint8_t c, uint8_t wanted,
		  enum chunk_state next)
{
	b->state = next;
	return c == wanted ? 0 : -EBADMSG;
}

static int step_size_space(struct ts_http_body *b, uint8_t c)
{
	if (c == ' ' || c == '\t') {
		b->state = CHUNK_SIZE_SPACE;
		return ++b->line_len > LINES_MAX ? -EMSGSIZE : 0;
	}
	if (c == ';') {
		b->state = CHUNK_EXTENSION;
		return 0;
	}
	return expect(b, c, '\r', CHUNK_SIZE_LF);
}

static int step_size(struct ts_http_body *b, uint8_t c)
{
	int digit = ts_hex_digit((char)c);

	if (digit >= 0) {
		b->left = b->left * 16 + (uint64_t)digit;
		return ++b->digits > SIZE_DIGITS_MAX ? -EBADMSG : 0;
	}
	return b->digits == 0 ? -EBADMSG : step_size_space(b, c);
}

/* In extensions and trailers. */
static int step_line(struct ts_http_body *b, uint8_t c, enum chunk_state next)
{
	if (++b->line_len > LINES_MAX)
		return -EMSGSIZE;
	if (c == '\r')
		b->state = next;
	return c == '\n' || c == '\0' ? -EBADMSG : 0;
}

static int keep(struct ts_http_body *b, uint8_t c)
{
	return b->trailers ? ts_byte_queue_push(b->trailers, &c, 1) : 0;
}

static int step_trailer(struct ts_http_body *b, uint8_t c)
{
	int err = step_line(b, c, CHUNK_TRAILER_LF);

	return err ? err : keep(b, c);
}

static int end_of_trailer(struct ts_http_body *b, uint8_t c)
{
	int err = expect(b, c, '\n', CHUNK_TRAILER);

	return err ? err : keep(b, c);
}

static int end_of_size(struct ts_http_body *b, uint8_t c)
{
	b->digits = 0;
	return expect(b, c, '\n', b->left > 0 ? CHUNK_DATA : CHUNK_TRAILER);
}

static int step(struct ts_http_body *b, uint8_t c)
{
	switch ((enum chunk_state)b->state) {
	case CHUNK_SIZE:
		return step_size(b, c);
	case CHUNK_SIZE_SPACE:
		return step_size_space(b, c);
	case CHUNK_EXTENSION:
		return step_line(b, c, CHUNK_SIZE_LF);
	case CHUNK_SIZE_LF:
		return end_of_size(b, c);
	case CHUNK_DATA_CR:
		return expect(b, c, '\r', CHUNK_DATA_LF);
	case CHUNK_DATA_LF:
		return expect(b, c, '\n', CHUNK_SIZE);
	case CHUNK_TRAILER:
		if (c == '\r') {
			b->state = CHUNK_LAST_LF;
			return 0;
		}
		b->state = CHUNK_TRAILER_LINE;
		return step_trailer(b, c);
	case CHUNK_TRAILER_LINE:
		return step_trailer(b, c);
	case CHUNK_TRAILER_LF:
		return end_of_trailer(b, c);
	case CHUNK_LAST_LF:
		b->is_done = true;
		return c == '\n' ? 0 : -EBADMSG;
	case CHUNK_DATA:
		break;
	}
	return -EBADMSG;
}

static size_t take(struct ts_http_body *b, const uint8_t *data, size_t len,
		   const uint8_t **payload, size_t *payload_len)
{
	size_t n = b->left < len ? (size_t)b->left : len;

	*payload = data;
	*payload_len = n;
	b->left -= n;
	return n;
}

static ssize_t next_chunked(struct ts_http_body *b, const uint8_t *data,
			    size_t len, const uint8_t **payload,
			    size_t *payload_len)
{
	size_t at = 0;
	int err;

	while (at < len && !b->is_done) {
		if (b->state == CHUNK_DATA) {
			at += take(b, data + at, len - at, payload,
				   payload_len);
			if (b->left == 0)
				b->state = CHUNK_DATA_CR;
			break;
		}
		err = step(b, data[at++]);
		if (err)
			return err;
	}
	return (ssize_t)at;
}

ssize_t ts_http_body_next(struct ts_http_body *b, const uint8_t *data,
			  size_t len, const uint8_t **payload,
			  size_t *payload_len)
{
	size_t n;

	*payload = data;
	*payload_len = 0;
	if (b->is_done)
		return 0;
	switch (b->kind) {
	case TS_BODY_CHUNKED:
		return next_chunked(b, data, len, payload, payload_len);
	case TS_BODY_LENGTH:
		n = take(b, data, len, payload, payload_len);
		b->is_done = b->left == 0;
		return (ssize_t)n;
	case TS_BODY_TO_END:
		*payload_len = len;
		return (ssize_t)len;
	default:
		return 0;
	}
}
