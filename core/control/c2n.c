/* SPDX-License-Identifier: BSD-3-Clause
 * c2n.c - requests of the control server to this node
 *
 * Only /echo has something to answer with here; every other path gets what an
 * upstream client says to a path that it does not know, which servers take as
 * "not available".
 */
#include "core/control/c2n.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/http1.h"
#include "core/base/wire.h"

enum { HEAD_CAP = 256 };

static int write_response(const char *status, const void *body,
			  size_t body_len, char **out, size_t *out_len)
{
	char head[HEAD_CAP];
	int head_len = snprintf(head, sizeof(head),
				"HTTP/1.1 %s\r\n"
				"Content-Length: %zu\r\n"
				"Content-Type: text/plain; charset=utf-8\r\n"
				"X-Content-Type-Options: nosniff\r\n\r\n",
				status, body_len);
	size_t room = (size_t)head_len + body_len;
	struct ts_writer w;
	char *text = malloc(room + 1);

	if (!text)
		return -ENOMEM;
	w = ts_writer_init(text, room + 1);
	ts_write_bytes(&w, head, (size_t)head_len);
	ts_write_bytes(&w, body, body_len);
	*out = text;
	*out_len = w.len;
	return 0;
}

/* The path ends where the query starts. */
static bool path_is(const struct ts_http1_head *head, const char *path)
{
	const char *query = memchr(head->target, '?', head->target_len);
	size_t len = query ? (size_t)(query - head->target) : head->target_len;

	return len == strlen(path) && memcmp(head->target, path, len) == 0;
}

int ts_c2n_answer(const uint8_t *request, size_t len, char **out,
		  size_t *out_len)
{
	static const char unknown[] = "unknown c2n path\n";
	struct ts_http1_head head;
	int err = ts_http1_read_request(request, len, &head);

	if (err)
		return err == -EAGAIN ? -EBADMSG : err;
	if (path_is(&head, "/echo"))
		return write_response("200 OK", request + head.head_len,
				      len - head.head_len, out, out_len);
	return write_response("400 Bad Request", unknown, strlen(unknown), out,
			      out_len);
}
