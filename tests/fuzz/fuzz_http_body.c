/* SPDX-License-Identifier: BSD-3-Clause
 * fuzz_http_body.c - a message of HTTP/1.1, its body in pieces
 *
 * The first byte is how large the pieces are. However it is cut, the content
 * is the same, and the body ends at the same place: that of the next message.
 */
#include <stdlib.h>
#include <string.h>

#include "core/base/http_body.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

struct taken {
	uint8_t *content;
	size_t len, used;
	int err;
	bool is_done;
};

static struct taken take(struct ts_http_body body, const uint8_t *at,
			 size_t len, size_t piece)
{
	struct taken t = {.content = malloc(len + 1)};

	while (!t.err && t.used < len && !body.is_done) {
		size_t n = len - t.used < piece ? len - t.used : piece, got;
		const uint8_t *from = at + t.used, *content;
		ssize_t took = ts_http_body_next(&body, from, n, &content,
						 &got);

		if (took < 0) {
			t.err = (int)took;
			break;
		}
		if (took == 0 || (size_t)took > n || content < from ||
		    content + got > from + took)
			abort();
		memcpy(t.content + t.len, content, got);
		t.len += got;
		t.used += (size_t)took;
	}
	t.is_done = body.is_done;
	return t;
}

static void compare(const struct ts_http_body *body, const uint8_t *data,
		    size_t len, size_t piece)
{
	struct taken whole = take(*body, data, len, len + 1);
	struct taken cut = take(*body, data, len, piece);

	if (whole.err != cut.err || whole.is_done != cut.is_done ||
	    whole.len != cut.len || whole.used != cut.used ||
	    memcmp(whole.content, cut.content, cut.len) != 0)
		abort();
	free(whole.content);
	free(cut.content);
}

/* Nothing of a request is a line end that another reader would not see. */
static void check_request(const struct ts_http1_head *head)
{
	for (size_t i = 0; i < head->field_count; i++)
		for (size_t k = 0; k < head->fields[i].value_len; k++)
			if (strchr("\r\n", head->fields[i].value[k]))
				abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct ts_http1_head head;
	struct ts_http_body body;
	size_t piece;

	if (len < 1)
		return 0;
	piece = (size_t)*data % 64 + 1;
	data++;
	len--;
	if (ts_http1_read_request(data, len, &head) == 0) {
		check_request(&head);
		if (ts_http_body_of_request(&head, &body) == 0)
			compare(&body, data + head.head_len,
				len - head.head_len, piece);
	}
	if (ts_http1_read_response(data, len, &head) == 0 &&
	    ts_http_body_of_response(&head, false, &body) == 0)
		compare(&body, data + head.head_len, len - head.head_len,
			piece);
	return 0;
}
