/* SPDX-License-Identifier: BSD-3-Clause
 * lab_http1.c - the HTTP/1.1 that comes before an upgrade
 *
 * Every answer ends its connection: no client of a tailnet asks twice.
 */
#include "tests/lab/lab_http1.h"

#include <stdio.h>
#include <string.h>

#include "core/base/err.h"

enum { ANSWER_HEAD_CAP = 1024 };

static const struct {
	int status;
	const char *text;
} REASONS[] = {
	{200, "OK"},
	{204, "No Content"},
	{400, "Bad Request"},
	{404, "Not Found"},
	{405, "Method Not Allowed"},
	{426, "Upgrade Required"},
};

static const char *reason(int status)
{
	for (size_t i = 0; i < ARRAY_LEN(REASONS); i++)
		if (REASONS[i].status == status)
			return REASONS[i].text;
	return "Error";
}

bool lab_http1_is(const struct ts_http1_head *req, const char *method)
{
	return req->method_len == strlen(method) &&
	       !memcmp(req->method, method, req->method_len);
}

static size_t path_len(const struct ts_http1_head *req)
{
	const char *query = memchr(req->target, '?', req->target_len);

	return query ? (size_t)(query - req->target) : req->target_len;
}

bool lab_http1_path_is(const struct ts_http1_head *req, const char *path)
{
	return path_len(req) == strlen(path) &&
	       !memcmp(req->target, path, strlen(path));
}

bool lab_http1_path_below(const struct ts_http1_head *req, const char *path)
{
	size_t len = strlen(path);

	return path_len(req) > len + 1 && !memcmp(req->target, path, len) &&
	       req->target[len] == '/';
}

void lab_http1_respond(struct lab_stream *stream, int status, const char *type,
		       const char *extra, const char *body)
{
	char head[ANSWER_HEAD_CAP];
	int len = snprintf(head, sizeof(head),
			   "HTTP/1.1 %d %s\r\n"
			   "Content-Type: %s\r\n"
			   "Content-Length: %zu\r\n"
			   "Connection: close\r\n%s\r\n",
			   status, reason(status), type, strlen(body),
			   extra ? extra : "");

	if (len > 0 && (size_t)len < sizeof(head)) {
		lab_stream_write(stream, head, (size_t)len);
		lab_stream_write(stream, body, strlen(body));
	}
	lab_stream_finish(stream);
}
