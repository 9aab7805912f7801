/* SPDX-License-Identifier: BSD-3-Clause
 * http1.c - the head of one HTTP/1.1 message
 *
 * Source: RFC 9112 sections 2 to 5
 */
#include "core/base/http1.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <strings.h>

struct line {
	const char *at;
	size_t len;
};

/* The end of the head (bytes with the empty line), 0: not there yet. */
static size_t head_length(const char *data, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (data[i] != '\n')
			continue;
		if (i + 1 < len && data[i + 1] == '\n')
			return i + 2;
		if (i + 2 < len && data[i + 1] == '\r' && data[i + 2] == '\n')
			return i + 3;
	}
	return 0;
}

static bool next_line(const char **at, const char *end, struct line *out)
{
	const char *nl = memchr(*at, '\n', (size_t)(end - *at));

	if (!nl)
		return false;
	out->at = *at;
	out->len = (size_t)(nl - *at);
	if (out->len > 0 && out->at[out->len - 1] == '\r')
		out->len--;
	*at = nl + 1;
	return true;
}

/* Line ends that only some readers would see. */
static bool has_odd_line_end(const char *data, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (data[i] == '\n' && (i == 0 || data[i - 1] != '\r'))
			return true;
		if (data[i] == '\r' && (i + 1 == len || data[i + 1] != '\n'))
			return true;
	}
	return false;
}

static bool is_token(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (text[i] <= ' ' || text[i] >= 0x7f ||
		    strchr("()<>@,;:\\\"/[]?={}", text[i]))
			return false;
	return len > 0;
}

static bool has_control(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (((unsigned char)text[i] < ' ' && text[i] != '\t') ||
		    text[i] == 0x7f)
			return true;
	return false;
}

static int read_minor(char digit, struct ts_http1_head *out)
{
	if (digit < '0' || digit > '9')
		return -EBADMSG;
	out->minor = digit - '0';
	return 0;
}

static int read_field(const struct line *line, struct ts_http1_field *out)
{
	const char *colon = memchr(line->at, ':', line->len);
	const char *end = line->at + line->len;

	if (!colon || !is_token(line->at, (size_t)(colon - line->at)))
		return -EBADMSG;
	out->name = line->at;
	out->name_len = (size_t)(colon - line->at);
	for (colon++; colon < end && (*colon == ' ' || *colon == '\t');)
		colon++;
	while (end > colon && (end[-1] == ' ' || end[-1] == '\t'))
		end--;
	out->value = colon;
	out->value_len = (size_t)(end - colon);
	if (memchr(out->value, '\0', out->value_len) ||
	    memchr(out->value, '\r', out->value_len))
		return -EBADMSG;
	return 0;
}

static int read_fields(const char *at, const char *end,
		       struct ts_http1_head *out)
{
	struct line line;

	while (next_line(&at, end, &line) && line.len > 0) {
		if (out->field_count == TS_HTTP1_HEADERS_MAX)
			return -EMSGSIZE;
		if (read_field(&line, &out->fields[out->field_count]))
			return -EBADMSG;
		out->field_count++;
	}
	return 0;
}

static int read_status_line(const struct line *line, struct ts_http1_head *out)
{
	if (line->len < 12 || strncmp(line->at, "HTTP/1.", 7) != 0 ||
	    read_minor(line->at[7], out) || line->at[8] != ' ' || (line->len > 12 && line->at[12] != ' '))
		return -EBADMSG;
	for (int i = 9; i < 12; i++) {
		if (line->at[i] < '0' || line->at[i] > '9')
			return -EBADMSG;
		out->status = out->status * 10 + (line->at[i] - '0');
	}
	return out->status >= 100 ? 0 : -EBADMSG;
}

static int read_request_line(const struct line *line, struct ts_http1_head *out)
{
	const char *end = line->at + line->len;
	const char *target = memchr(line->at, ' ', line->len);
	const char *version;

	if (!target || !is_token(line->at, (size_t)(target - line->at)))
		return -EBADMSG;
	target++;
	version = memchr(target, ' ', (size_t)(end - target));
	if (!version || version == target || end - version != 9 ||
	    strncmp(version, " HTTP/1.", 8) != 0 || read_minor(end[-1], out) ||
	    has_control(target, (size_t)(version - target)) ||
	    memchr(target, '\t', (size_t)(version - target)))
		return -EBADMSG;
	out->method = line->at;
	out->method_len = (size_t)(target - line->at) - 1;
	out->target = target;
	out->target_len = (size_t)(version - target);
	return 0;
}

static int read_head(const void *data, size_t len, struct ts_http1_head *out,
		     int (*read_start)(const struct line *,
				       struct ts_http1_head *))
{
	const char *at = data, *end;
	struct line line;

	memset(out, 0, sizeof(*out));
	out->head_len = head_length(data, len);
	if (out->head_len > TS_HTTP1_HEAD_MAX ||
	    (out->head_len == 0 && len > TS_HTTP1_HEAD_MAX))
		return -EMSGSIZE;
	if (out->head_len == 0)
		return -EAGAIN;
	end = at + out->head_len;
	if (!next_line(&at, end, &line) || read_start(&line, out))
		return -EBADMSG;
	return read_fields(at, end, out);
}

int ts_http1_read_response(const void *data, size_t len,
			   struct ts_http1_head *out)
{
	return read_head(data, len, out, read_status_line);
}

int ts_http1_read_request(const void *data, size_t len,
			  struct ts_http1_head *out)
{
	int err = read_head(data, len, out, read_request_line);

	if (!err && has_odd_line_end(data, out->head_len))
		err = -EBADMSG;
	for (size_t i = 0; !err && i < out->field_count; i++)
		if (has_control(out->fields[i].value, out->fields[i].value_len))
			err = -EBADMSG;
	return err;
}

bool ts_http1_is_named(const struct ts_http1_field *f, const char *name)
{
	return f->name_len == strlen(name) &&
	       strncasecmp(f->name, name, f->name_len) == 0;
}

bool ts_http1_begins_alike(const struct ts_http1_field *f, const char *name)
{
	size_t len = strlen(name);

	if (f->name_len < len)
		return false;
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)f->name[i];

		if (isalnum(c) ? tolower(c) != tolower((unsigned char)name[i])
			       : name[i] != '-')
			return false;
	}
	return true;
}

const struct ts_http1_field *ts_http1_find(const struct ts_http1_head *head,
					   const char *name)
{
	for (size_t i = 0; i < head->field_count; i++)
		if (ts_http1_is_named(&head->fields[i], name))
			return &head->fields[i];
	return NULL;
}

size_t ts_http1_count(const struct ts_http1_head *head, const char *name)
{
	size_t count = 0;

	for (size_t i = 0; i < head->field_count; i++)
		count += ts_http1_is_named(&head->fields[i], name);
	return count;
}

bool ts_http1_value_is(const struct ts_http1_field *field, const char *text)
{
	return field && field->value_len == strlen(text) &&
	       strncasecmp(field->value, text, field->value_len) == 0;
}
