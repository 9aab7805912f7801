/* SPDX-License-Identifier: BSD-3-Clause
 * http1_body.c - the body of one HTTP/1.1 message, as it comes
 *
 * Two opinions about where a message ends are how requests are smuggled, so
 * lengths that are given twice, or beside chunks, are no message at all. Lines
 * between chunks are bounded, and extensions and trailers are passed over.
 */
#include "core/base/http1_body.h"

#include <errno.h>
#include <string.h>

enum stage { SIZE, SIZE_REST, CONTENT, CONTENT_END, TRAILER };
enum {
	LINE_MAX = 256, /* a chunk's size with its extensions */
	TRAILER_MAX = 8192,
	LENGTH_DIGITS_MAX = 18,
	NO_CONTENT = 204,
	NOT_MODIFIED = 304,
};
#define CHUNK_MAX (UINT64_MAX >> 5)

static const struct ts_http1_field *find_only(const struct ts_http1_head *head,
					      const char *name, bool *is_twice)
{
	const struct ts_http1_field *found = NULL;

	for (size_t i = 0; i < head->field_count; i++) {
		struct ts_http1_head one = {.field_count = 1};

		one.fields[0] = head->fields[i];
		if (!ts_http1_find(&one, name))
			continue;
		*is_twice |= found != NULL;
		found = &head->fields[i];
	}
	return found;
}

static int read_length(const struct ts_http1_field *field, uint64_t *out)
{
	*out = 0;
	if (field->value_len == 0 || field->value_len > LENGTH_DIGITS_MAX)
		return -EBADMSG;
	for (size_t i = 0; i < field->value_len; i++) {
		char c = field->value[i];

		if (c < '0' || c > '9')
			return -EBADMSG;
		*out = *out * 10 + (uint64_t)(c - '0');
	}
	return 0;
}

int ts_http1_body_init(struct ts_http1_body *b,
		       const struct ts_http1_head *head)
{
	bool is_twice = false;
	const struct ts_http1_field *length =
		find_only(head, "Content-Length", &is_twice);
	const struct ts_http1_field *coding =
		find_only(head, "Transfer-Encoding", &is_twice);
	int err = 0;

	memset(b, 0, sizeof(*b));
	if (is_twice || (length && coding) ||
	    (coding && !ts_http1_value_is(coding, "chunked")))
		return -EBADMSG;
	if (coding) {
		b->framing = TS_HTTP1_CHUNKED;
		return 0;
	}
	if (length)
		err = read_length(length, &b->left);
	else if (head->status && head->status != NO_CONTENT &&
		 head->status != NOT_MODIFIED)
		b->framing = TS_HTTP1_TO_THE_END;
	b->is_whole = b->framing == TS_HTTP1_BY_LENGTH && b->left == 0;
	return err;
}

uint64_t ts_http1_body_length(const struct ts_http1_body *b)
{
	return b->framing == TS_HTTP1_BY_LENGTH ? b->left : UINT64_MAX;
}

/* -- between chunks -------------------------------------------------------- */

static int hex_digit(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int end_size(struct ts_http1_body *b)
{
	if (!b->has_digits)
		return -EBADMSG;
	b->has_digits = false;
	b->line_len = 0;
	b->stage = b->left > 0 ? CONTENT : TRAILER;
	return 0;
}

static int in_size(struct ts_http1_body *b, uint8_t c)
{
	int digit = hex_digit(c);

	if (b->stage == SIZE && digit >= 0) {
		if (b->left > CHUNK_MAX)
			return -EBADMSG;
		b->left = b->left << 4 | (uint64_t)digit;
		b->has_digits = true;
		return 0;
	}
	if (c == '\n')
		return end_size(b);
	if (b->stage == SIZE && c != '\r' && c != ';' && c != ' ' && c != '\t')
		return -EBADMSG;
	b->stage = SIZE_REST;
	return 0;
}

static int in_trailer(struct ts_http1_body *b, uint8_t c)
{
	if (++b->trailer_len > TRAILER_MAX)
		return -EBADMSG;
	if (c == '\n') {
		b->is_whole = b->line_len == 0;
		b->line_len = 0;
	} else if (c != '\r') {
		b->line_len++;
	}
	return 0;
}

/* One byte that is no content. */
static int take(struct ts_http1_body *b, uint8_t c)
{
	if (b->stage == TRAILER)
		return in_trailer(b, c);
	if (b->stage == CONTENT_END) {
		if (c == '\n')
			b->stage = SIZE;
		return c == '\n' || c == '\r' ? 0 : -EBADMSG;
	}
	if (++b->line_len > LINE_MAX)
		return -EBADMSG;
	return in_size(b, c);
}

/* -- content --------------------------------------------------------------- */

static void give(struct ts_http1_body *b, const uint8_t **at, size_t *left,
		 const uint8_t **piece, size_t *piece_len)
{
	size_t n = *left;

	if (b->framing != TS_HTTP1_TO_THE_END) {
		n = b->left < n ? (size_t)b->left : n;
		b->left -= n;
	}
	*piece = *at;
	*piece_len = n;
	*at += n;
	*left -= n;
}

int ts_http1_body_read(struct ts_http1_body *b, const uint8_t **at,
		       size_t *left, const uint8_t **piece, size_t *piece_len)
{
	*piece = *at;
	*piece_len = 0;
	while (*left > 0 && !b->is_whole) {
		if (b->framing != TS_HTTP1_CHUNKED || b->stage == CONTENT) {
			give(b, at, left, piece, piece_len);
			if (b->framing == TS_HTTP1_BY_LENGTH)
				b->is_whole = b->left == 0;
			else if (b->framing == TS_HTTP1_CHUNKED && !b->left)
				b->stage = CONTENT_END;
			return 0;
		}
		if (take(b, **at))
			return -EBADMSG;
		++*at;
		--*left;
	}
	return 0;
}
