/* SPDX-License-Identifier: BSD-3-Clause
 * c2n.c - requests of the control server to this node
 *
 * The request is read with our strict reader of HTTP heads; its body is what
 * Content-Length says, or the rest. Answers have their length and close
 * nothing, as they travel in the body of another request.
 */
#include "core/control/c2n.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/decimal.h"
#include "core/base/form.h"
#include "core/base/http1.h"
#include "core/base/http_reason.h"
#include "core/base/wire.h"

enum { HEAD_CAP = 256 };

/* -- the request ---------------------------------------------------------- */
static int copy(char *out, size_t cap, const char *text, size_t len)
{
	if (len >= cap)
		return -EMSGSIZE;
	memcpy(out, text, len);
	out[len] = '\0';
	return 0;
}

static size_t body_length(const struct ts_http1_head *head, size_t rest)
{
	const struct ts_http1_field *field =
		ts_http1_find(head, "Content-Length");
	uint64_t len;

	return field && ts_decimal_parse(field->value, field->value_len, rest,
					 &len) == 0
		       ? (size_t)len : rest;
}

static int read_request(const uint8_t *text, size_t len,
			struct ts_c2n_request *out)
{
	struct ts_http1_head head;
	const char *query;
	size_t path_len;
	int err = ts_http1_read_request(text, len, &head);

	if (err)
		return err == -EAGAIN ? -EBADMSG : err;
	query = memchr(head.target, '?', head.target_len);
	path_len = query ? (size_t)(query - head.target) : head.target_len;
	out->query[0] = '\0';
	if (query)
		err = copy(out->query, sizeof(out->query), query + 1,
			   head.target_len - path_len - 1);
	if (!err)
		err = copy(out->path, sizeof(out->path), head.target, path_len);
	if (!err)
		err = copy(out->method, sizeof(out->method), head.method,
			   head.method_len);
	out->body = text + head.head_len;
	out->body_len = body_length(&head, len - head.head_len);
	return err;
}

bool ts_c2n_query(const struct ts_c2n_request *request, const char *name,
		  char *out, size_t cap)
{
	size_t len = 0;
	const char *value = ts_form_find(request->query,
					 strlen(request->query), name, &len);

	if (value && ts_form_decode(value, len, out, cap))
		return true;
	out[0] = '\0';
	return false;
}

/* -- the response --------------------------------------------------------- */

static size_t write_head(char head[static HEAD_CAP],
			 const struct ts_c2n_reply *reply)
{
	int len = snprintf(head, HEAD_CAP, "HTTP/1.1 %d %s\r\n", reply->status,
			   ts_http_reason(reply->status));

	if (reply->status != 204)
		len += snprintf(head + len, HEAD_CAP - (size_t)len,
				"Content-Length: %zu\r\n", reply->body_len);
	if (reply->type)
		len += snprintf(head + len, HEAD_CAP - (size_t)len,
				"Content-Type: %s\r\n"
				"X-Content-Type-Options: nosniff\r\n",
				reply->type);
	len += snprintf(head + len, HEAD_CAP - (size_t)len, "\r\n");
	return (size_t)len;
}

static int write_response(const struct ts_c2n_reply *reply, char **out,
			  size_t *out_len)
{
	char head[HEAD_CAP];
	size_t head_len = write_head(head, reply);
	size_t room = head_len + reply->body_len;
	struct ts_writer w;
	char *text = malloc(room + 1);

	if (!text)
		return -ENOMEM;
	w = ts_writer_init(text, room + 1);
	ts_write_bytes(&w, head, head_len);
	ts_write_bytes(&w, reply->body, reply->body_len);
	ts_write_u8(&w, 0);
	*out = text;
	*out_len = room;
	return 0;
}

void ts_c2n_reply_text(struct ts_c2n_reply *reply, int status,
		       const char *type, const char *text)
{
	int len = asprintf(&reply->body, "%s\n", text);

	if (len < 0)
		reply->body = NULL;
	reply->status = len < 0 ? 500 : status;
	reply->type = type;
	reply->body_len = len < 0 ? 0 : (size_t)len;
}

int ts_c2n_answer(const uint8_t *text, size_t len, ts_c2n_fn fn, void *ctx,
		  char **out, size_t *out_len)
{
	struct ts_c2n_request request;
	struct ts_c2n_reply reply = {0};
	int err = read_request(text, len, &request);

	if (err)
		return err;
	if (fn)
		fn(ctx, &request, &reply);
	if (reply.status == 0)
		ts_c2n_reply_text(&reply, 400, "text/plain; charset=utf-8",
				  "unknown c2n path");
	err = write_response(&reply, out, out_len);
	free(reply.body);
	return err;
}
