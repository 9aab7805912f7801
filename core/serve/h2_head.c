/* SPDX-License-Identifier: BSD-3-Clause
 * h2_head.c - heads between HTTP/2's fields and HTTP/1.1's text
 *
 * nghttp2 has checked which characters names and values are made of; the few
 * that would end a line, or a part of the first line, are looked at again here,
 * since that is where they would do harm.
 */
#include "core/serve/h2_head.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/base/decimal.h"
#include "core/base/err.h"
#include "core/base/http_trailers.h"

enum { FIELD_COST = 32 };

static const char *const connection_fields[] = {
	"connection", "proxy-connection", "keep-alive", "transfer-encoding",
	"upgrade", "http2-settings",
};

static bool is_named(const void *name, size_t len, const char *text)
{
	return len == strlen(text) && strncasecmp(name, text, len) == 0;
}

static bool is_connections(const void *name, size_t len)
{
	for (size_t i = 0; i < ARRAY_LEN(connection_fields); i++)
		if (is_named(name, len, connection_fields[i]))
			return true;
	return false;
}

/* -- from HTTP/2 ---------------------------------------------------------- */

void ts_h2_head_init(struct ts_h2_head *head)
{
	*head = (struct ts_h2_head){0};
	ts_byte_queue_init(&head->lines, TS_HTTP1_HEAD_MAX);
	ts_byte_queue_init(&head->cookie, TS_HTTP1_HEAD_MAX);
}

void ts_h2_head_deinit(struct ts_h2_head *head)
{
	free(head->method);
	free(head->path);
	free(head->authority);
	free(head->host);
	free(head->length);
	ts_byte_queue_deinit(&head->lines);
	ts_byte_queue_deinit(&head->cookie);
}

static int push_text(struct ts_byte_queue *q, const char *text)
{
	return ts_byte_queue_push(q, text, strlen(text));
}

static int push_field(struct ts_byte_queue *q, const void *name,
		      size_t name_len, const void *value, size_t value_len)
{
	int err = ts_byte_queue_push(q, name, name_len);

	if (!err)
		err = push_text(q, ": ");
	if (!err)
		err = ts_byte_queue_push(q, value, value_len);
	return err ? err : push_text(q, "\r\n");
}

/* Cookies may come in pieces. */
static int add_cookie(struct ts_h2_head *head, const uint8_t *value, size_t len)
{
	int err = ts_byte_queue_len(&head->cookie) > 0
			  ? push_text(&head->cookie, "; ") : 0;

	return err ? err : ts_byte_queue_push(&head->cookie, value, len);
}

static bool is_clean(const uint8_t *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if ((text[i] < ' ' && text[i] != '\t') || text[i] == 0x7f)
			return false;
	return true;
}

/* The one that counts is the first: nghttp2 refuses a second. */
static int set(char **out, const uint8_t *value, size_t len)
{
	if (*out)
		return 0;
	*out = strndup((const char *)value, len);
	return *out ? 0 : -ENOMEM;
}

static int set_status(struct ts_h2_head *head, const uint8_t *value,
		      size_t len)
{
	uint64_t status;

	if (len != 3 || ts_decimal_parse((const char *)value, len, 999,
					 &status))
		return -EBADMSG;
	head->status = (int)status;
	return 0;
}

static int add_pseudo(struct ts_h2_head *head, const char *name,
		      size_t name_len, const uint8_t *value, size_t len)
{
	if (is_named(name, name_len, ":method"))
		return set(&head->method, value, len);
	if (is_named(name, name_len, ":path"))
		return set(&head->path, value, len);
	if (is_named(name, name_len, ":authority"))
		return set(&head->authority, value, len);
	if (is_named(name, name_len, ":status"))
		return set_status(head, value, len);
	return 0; /* :scheme: we know it */
}

static int add(struct ts_h2_head *head, const uint8_t *name, size_t name_len,
	       const uint8_t *value, size_t value_len)
{
	head->size += name_len + value_len + FIELD_COST;
	if (head->size > TS_H2_LIST_MAX || ++head->count > TS_H2_FIELDS_MAX)
		return -EMSGSIZE;
	if (!is_clean(value, value_len))
		return -EBADMSG;
	if (name_len > 0 && name[0] == ':')
		return add_pseudo(head, (const char *)name, name_len, value,
				  value_len);
	if (is_connections(name, name_len))
		return 0;
	if (is_named(name, name_len, "host"))
		return set(&head->host, value, value_len);
	if (is_named(name, name_len, "content-length"))
		return set(&head->length, value, value_len);
	if (is_named(name, name_len, "cookie"))
		return add_cookie(head, value, value_len);
	if (is_named(name, name_len, "trailer"))
		head->has_trailer = true;
	return push_field(&head->lines, name, name_len, value, value_len);
}

void ts_h2_head_add(struct ts_h2_head *head, const uint8_t *name,
		    size_t name_len, const uint8_t *value, size_t value_len)
{
	if (!head->err)
		head->err = add(head, name, name_len, value, value_len);
}

bool ts_h2_head_is_chunked(const struct ts_h2_head *head, bool has_body)
{
	return has_body && (!head->length || head->has_trailer);
}

/* All but the first line. */
static int write_fields(const struct ts_h2_head *head, bool has_body,
			struct ts_byte_queue *out)
{
	const struct ts_byte_queue *cookie = &head->cookie;
	size_t len = ts_byte_queue_len(&head->lines);
	int err = len ? ts_byte_queue_push(
				out, ts_byte_queue_data(&head->lines), len)
		      : 0;

	if (!err && ts_byte_queue_len(cookie) > 0)
		err = push_field(out, "cookie", strlen("cookie"),
				 ts_byte_queue_data(cookie),
				 ts_byte_queue_len(cookie));
	if (err)
		return err;
	if (ts_h2_head_is_chunked(head, has_body))
		err = push_text(out, "transfer-encoding: chunked\r\n");
	else if (head->length)
		err = push_field(out, "content-length",
				 strlen("content-length"), head->length,
				 strlen(head->length));
	return err ? err : push_text(out, "\r\n");
}

/* Is it one word of the first line? */
static bool is_word(const char *text)
{
	return text && *text && !strpbrk(text, " \t\r\n");
}

int ts_h2_head_request(const struct ts_h2_head *head, bool has_body,
		       struct ts_byte_queue *out)
{
	const char *host = head->authority ? head->authority : head->host;
	/* CONNECT has no path. */
	const char *target = head->path ? head->path : head->authority;
	int err = head->err;

	if (!err && (!is_word(head->method) || !is_word(target) || !host))
		err = -EBADMSG;
	if (!err)
		err = push_text(out, head->method);
	if (!err)
		err = push_text(out, " ");
	if (!err)
		err = push_text(out, target);
	if (!err)
		err = push_text(out, " HTTP/1.1\r\n");
	if (!err)
		err = push_field(out, "host", strlen("host"), host,
				 strlen(host));
	return err ? err : write_fields(head, has_body, out);
}

int ts_h2_head_answer(const struct ts_h2_head *head, bool has_body,
		      struct ts_byte_queue *out)
{
	char line[32];
	int err = head->err;

	if (!err && (head->status < 100 || head->status == 101))
		err = -EBADMSG;
	snprintf(line, sizeof(line), "HTTP/1.1 %03d \r\n", head->status);
	if (!err)
		err = push_text(out, line);
	return err ? err : write_fields(head, has_body, out);
}

/* -- to HTTP/2 ------------------------------------------------------------ */

static void add_field(struct ts_h2_fields *fields, const char *name,
		      size_t name_len, const char *value, size_t value_len)
{
	if (fields->count == ARRAY_LEN(fields->nv))
		return;
	fields->nv[fields->count++] = (nghttp2_nv){
		.name = (uint8_t *)(uintptr_t)name, /* it is copied */
		.namelen = name_len,
		.value = (uint8_t *)(uintptr_t)value,
		.valuelen = value_len,
	};
}

void ts_h2_fields_add(struct ts_h2_fields *fields, const char *name,
		      const char *value, size_t value_len)
{
	add_field(fields, name, strlen(name), value, value_len);
}

void ts_h2_fields_copy(struct ts_h2_fields *fields,
		       const struct ts_http1_head *head)
{
	for (size_t i = 0; i < head->field_count; i++) {
		const struct ts_http1_field *f = &head->fields[i];

		if (!is_connections(f->name, f->name_len) &&
		    nghttp2_check_header_value((const uint8_t *)f->value,
					       f->value_len))
			add_field(fields, f->name, f->name_len, f->value,
				  f->value_len);
	}
}
