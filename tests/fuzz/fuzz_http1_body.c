/* SPDX-License-Identifier: BSD-3-Clause
 * fuzz_http1_body.c - a message of HTTP/1.1, its body in pieces
 *
 * The first byte is how large the pieces are. However it is cut, the content
 * is the same.
 */
#include <stdlib.h>
#include <string.h>

#include "core/base/http1_body.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

struct taken {
	uint8_t *content;
	size_t len;
	int err;
	bool is_whole;
};

static struct taken take(const struct ts_http1_head *head, const uint8_t *at,
			 size_t left, size_t piece)
{
	struct taken t = {.content = malloc(left + 1)};
	struct ts_http1_body b;

	t.err = ts_http1_body_init(&b, head);
	while (!t.err && left > 0 && !ts_http1_body_is_whole(&b)) {
		size_t n = left < piece ? left : piece, rest = n, got;
		const uint8_t *from = at, *content;

		do {
			t.err = ts_http1_body_read(&b, &from, &rest, &content,
						   &got);
			if (content < at || content + got > at + n)
				abort();
			memcpy(t.content + t.len, content, got);
			t.len += got;
		} while (!t.err && got > 0);
		at += n - rest;
		left -= n - rest;
	}
	t.is_whole = !t.err && ts_http1_body_is_whole(&b);
	return t;
}

static void compare(const struct ts_http1_head *head, const uint8_t *body,
		    size_t len, size_t piece)
{
	struct taken whole = take(head, body, len, len + 1);
	struct taken cut = take(head, body, len, piece);

	if (whole.err != cut.err || whole.is_whole != cut.is_whole ||
	    whole.len != cut.len ||
	    memcmp(whole.content, cut.content, cut.len) != 0)
		abort();
	free(whole.content);
	free(cut.content);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct ts_http1_head head;
	size_t piece;

	if (len < 1)
		return 0;
	piece = (size_t)*data % 64 + 1;
	data++;
	len--;
	if (ts_http1_read_request(data, len, &head) == 0 ||
	    ts_http1_read_response(data, len, &head) == 0)
		compare(&head, data + head.head_len, len - head.head_len,
			piece);
	return 0;
}
