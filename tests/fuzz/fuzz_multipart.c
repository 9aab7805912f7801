/* SPDX-License-Identifier: BSD-3-Clause
 * fuzz_multipart.c - a multipart body, in pieces
 *
 * The first byte is how large the pieces are, and how much is taken of each.
 * The first line is the Content-Type, the rest the body. However it is cut, the
 * content is the same.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/multipart.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

struct taken {
	char *content;
	size_t len, cap, room;
	unsigned parts, ends;
	bool is_over, is_bad;
};

static int on_part(void *ctx, const struct ts_multipart_part *part)
{
	struct taken *t = ctx;

	if (strlen(part->content_type) >= sizeof(part->content_type) ||
	    strchr(part->file_name, '/') || t->parts++ != t->ends)
		abort();
	return 0;
}

static size_t on_data(void *ctx, const char *data, size_t len)
{
	struct taken *t = ctx;

	if (len > t->room)
		len = t->room;
	if (t->len + len > t->cap || t->parts != t->ends + 1)
		abort();
	memcpy(t->content + t->len, data, len);
	t->len += len;
	return len;
}

static bool on_part_end(void *ctx)
{
	struct taken *t = ctx;

	t->ends++;
	return t->room % 2;
}

static const struct ts_multipart_ops ops = {
	.part = on_part, .data = on_data, .part_end = on_part_end};

static struct taken take(const char *type, const char *body, size_t len,
			 size_t piece, size_t room)
{
	struct taken t = {.content = malloc(len + 1), .cap = len, .room = room};
	struct ts_multipart m;
	size_t at = 0;

	if (ts_multipart_init(&m, type, &ops, &t))
		return t;
	while (at < len && !t.is_bad) {
		size_t n = len - at < piece ? len - at : piece;
		ssize_t used = ts_multipart_input(&m, body + at, n);

		if (used > (ssize_t)n)
			abort();
		t.is_bad = used < 0;
		at += used > 0 ? (size_t)used : 0;
	}
	t.is_over = ts_multipart_is_over(&m);
	return t;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	const uint8_t *line = len > 1 ? memchr(data + 1, '\n', len - 1) : NULL;
	struct taken whole, cut;
	const char *body;
	char *type;

	if (!line)
		return 0;
	type = strndup((const char *)data + 1, (size_t)(line - data) - 1);
	body = (const char *)line + 1;
	len -= (size_t)(line - data) + 1;
	whole = take(type, body, len, len + 1, len + 1);
	cut = take(type, body, len, *data % 16 + 1u, *data / 16 + 1u);
	if (whole.is_bad != cut.is_bad || whole.is_over != cut.is_over ||
	    whole.len != cut.len || whole.parts != cut.parts ||
	    memcmp(whole.content, cut.content, cut.len) != 0)
		abort();
	free(whole.content);
	free(cut.content);
	free(type);
	return 0;
}
