/* SPDX-License-Identifier: BSD-3-Clause
 * http_trailers.c - fields that come after a chunked body
 */
#include "core/base/http_trailers.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/err.h"

/* The parser of heads wants a head. */
#define START_LINE "HTTP/1.1 200 OK\r\n"

static const char *const kept_back[] = {
	"Connection", "Proxy-Connection", "Keep-Alive", "Te", "Trailer",
	"Transfer-Encoding", "Upgrade", "Content-Length", "Content-Encoding",
	"Content-Type", "Content-Range", "Host", "Expect", "Range",
	"Cache-Control", "Max-Forwards", "Authorization", "Set-Cookie",
	"Cookie", "Proxy-Authenticate", "Proxy-Authorization",
	"WWW-Authenticate", "Forwarded",
};
/* With whatever comes after: who is calling, and by which way. */
static const char *const kept_back_families[] = {
	"Tailscale-", "X-Forwarded-",
};

static bool goes_on(const struct ts_http1_field *f)
{
	for (size_t i = 0; i < ARRAY_LEN(kept_back); i++)
		if (f->name_len == strlen(kept_back[i]) &&
		    ts_http1_begins_alike(f, kept_back[i]))
			return false;
	for (size_t i = 0; i < ARRAY_LEN(kept_back_families); i++)
		if (ts_http1_begins_alike(f, kept_back_families[i]))
			return false;
	for (size_t i = 0; i < f->value_len; i++)
		if (((unsigned char)f->value[i] < ' ' && f->value[i] != '\t') ||
		    f->value[i] == 0x7f)
			return false;
	return true;
}

static char *as_head(const struct ts_byte_queue *lines, size_t *len)
{
	size_t start_len = strlen(START_LINE), n = ts_byte_queue_len(lines);
	char *text = malloc(start_len + n + 2);

	if (!text)
		return NULL;
	memcpy(text, START_LINE, start_len);
	if (n > 0)
		memcpy(text + start_len, ts_byte_queue_data(lines), n);
	memcpy(text + start_len + n, "\r\n", 2);
	*len = start_len + n + 2;
	return text;
}

int ts_http_trailers_read(const struct ts_byte_queue *lines,
			  struct ts_http1_head *out, char **text)
{
	size_t len, count = 0;
	int err;

	*text = as_head(lines, &len);
	if (!*text)
		return -ENOMEM;
	err = ts_http1_read_response(*text, len, out);
	if (err)
		return err == -EAGAIN ? -EBADMSG : err;
	if (out->head_len != len)
		return -EBADMSG;
	for (size_t i = 0; i < out->field_count; i++)
		if (goes_on(&out->fields[i]))
			out->fields[count++] = out->fields[i];
	out->field_count = count;
	return 0;
}

static int write_fields(struct ts_byte_queue *out,
			const struct ts_http1_head *head)
{
	int err = ts_byte_queue_push(out, "0\r\n", 3);

	for (size_t i = 0; !err && i < head->field_count; i++) {
		const struct ts_http1_field *f = &head->fields[i];

		err = ts_byte_queue_push(out, f->name, f->name_len);
		if (!err)
			err = ts_byte_queue_push(out, ": ", 2);
		if (!err)
			err = ts_byte_queue_push(out, f->value, f->value_len);
		if (!err)
			err = ts_byte_queue_push(out, "\r\n", 2);
	}
	return err ? err : ts_byte_queue_push(out, "\r\n", 2);
}

int ts_http_trailers_write(struct ts_byte_queue *out,
			   const struct ts_byte_queue *lines)
{
	struct ts_http1_head head;
	char *text;
	int err = ts_http_trailers_read(lines, &head, &text);

	if (!err)
		err = write_fields(out, &head);
	free(text);
	return err;
}
