/* SPDX-License-Identifier: BSD-3-Clause
 * serve_answer.c - answers of our own: texts, redirects, errors
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/base/http_date.h"
#include "core/base/http_reason.h"
#include "core/host/serve_internal.h"

static void put(struct serve_conn *conn, const void *data, size_t len)
{
	if (ts_byte_queue_push(&conn->out, data, len))
		serve_conn_kill(conn);
}

static void put_text(struct serve_conn *conn, const char *text)
{
	put(conn, text, strlen(text));
}

void serve_answer_head(struct serve_conn *conn, int status, const char *type,
		       const char *more, uint64_t len)
{
	char head[256], date[TS_HTTP_DATE_CAP];

	snprintf(head, sizeof(head), "HTTP/1.1 %d %s\r\nDate: %s\r\n%s",
		 status, ts_http_reason(status),
		 ts_http_date_format(time(NULL), date),
		 conn->closes ? "Connection: close\r\n" :
		 conn->req.is_http10 ? "Connection: keep-alive\r\n" : "");
	put_text(conn, head);
	if (type) {
		snprintf(head, sizeof(head), "Content-Type: %s\r\n", type);
		put_text(conn, head);
	}
	put_text(conn, more);
	snprintf(head, sizeof(head), "Content-Length: %llu\r\n\r\n",
		 (unsigned long long)len);
	put_text(conn, status == 304 ? "\r\n" : head);
}

void serve_answer(struct serve_conn *conn, int status, const char *type,
		  const char *more, const char *body, size_t len)
{
	serve_answer_head(conn, status, type, more, len);
	if (!conn->req.is_head)
		put(conn, body, len);
	serve_http_answered(conn);
}

void serve_answer_status(struct serve_conn *conn, int status)
{
	char text[64];
	int n = status == 404
			? snprintf(text, sizeof(text), "404 page not found\n")
			: snprintf(text, sizeof(text), "%d %s\n", status,
				   ts_http_reason(status));

	serve_answer(conn, status, "text/plain; charset=utf-8",
		     "X-Content-Type-Options: nosniff\r\n", text, (size_t)n);
}

/* What may be a path of the client's goes into a page: nothing in it is markup
 * there. Heap. */
char *serve_escape_html(const char *text)
{
	char *out = malloc(strlen(text) * 6 + 1), *to = out;

	for (; out && *text; text++) {
		switch (*text) {
		case '<':
			to = stpcpy(to, "&lt;");
			break;
		case '>':
			to = stpcpy(to, "&gt;");
			break;
		case '&':
			to = stpcpy(to, "&amp;");
			break;
		case '"':
			to = stpcpy(to, "&#34;");
			break;
		case '\'':
			to = stpcpy(to, "&#39;");
			break;
		default:
			*to++ = *text;
			break;
		}
	}
	if (out)
		*to = '\0';
	return out;
}

static bool is_clean(const char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < ' ' || *text == 0x7f)
			return false;
	return true;
}

void serve_answer_redirect(struct serve_conn *conn, int status, const char *to)
{
	char *escaped = is_clean(to) ? serve_escape_html(to) : NULL;
	char *more = NULL, *page = NULL;
	int n = 0;

	if (escaped && asprintf(&more, "Location: %s\r\n", to) >= 0)
		n = asprintf(&page, "<a href=\"%s\">%s</a>.\n\n", escaped,
			     ts_http_reason(status));
	if (page && n > 0)
		serve_answer(conn, status, "text/html; charset=utf-8", more,
			     page, (size_t)n);
	else
		serve_answer_status(conn, 500);
	free(escaped);
	free(more);
	free(page);
}
