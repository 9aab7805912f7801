/* SPDX-License-Identifier: BSD-3-Clause
 * multipart.c - a multipart/form-data body, part by part, as it comes
 *
 * CONTENT is searched for the delimiter, CR LF "--" boundary; what stands in
 * front of the first one is content of nobody's, and begins as if behind a line.
 * LINE is the rest of a delimiter's line: "--" for the last one, or nothing.
 * HEAD are a part's header lines.
 *
 * A delimiter may come in pieces. How much of it was there is counted, not
 * kept: when it goes on differently, these bytes were content, and are in the
 * delimiter to be read. As CR is its first byte alone, no other delimiter can
 * have begun within them.
 */
#include "core/base/multipart.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "core/base/clean_text.h"

enum { LINE_MAX_LEN = 64, CRLF_LEN = 2 };

/* -- header values --------------------------------------------------------- */

static const char *skip_blanks(const char *at)
{
	while (*at == ' ' || *at == '\t')
		at++;
	return at;
}

/* A token or a quoted text, into out. NULL: it is neither, or too long. */
static const char *read_value(const char *at, char *out, size_t cap)
{
	bool is_quoted = *at == '"';
	size_t len = 0;

	if (is_quoted)
		at++;
	while (*at && (is_quoted ? *at != '"' : !strchr("; \t", *at))) {
		if (is_quoted && *at == '\\' && at[1])
			at++;
		if (len + 1 >= cap)
			return NULL;
		out[len++] = *at++;
	}
	out[len] = '\0';
	if (!is_quoted)
		return at;
	return *at == '"' ? at + 1 : NULL;
}

/* TYPE; a=b; name="value". false: it is not there, or nonsense stands before
 * it. */
static bool read_param(const char *text, const char *name, char *out,
		       size_t cap)
{
	size_t name_len = strlen(name);
	const char *at = text + strcspn(text, ";");

	while (at && *at == ';') {
		const char *key = skip_blanks(at + 1);
		size_t key_len = strcspn(key, "=; \t");

		if (key[key_len] != '=')
			return false;
		at = read_value(key + key_len + 1, out, cap);
		if (at && key_len == name_len &&
		    strncasecmp(key, name, name_len) == 0)
			return true;
		if (at)
			at = skip_blanks(at);
	}
	return false;
}

/* -- a part's head --------------------------------------------------------- */

static void read_file_name(const char *disposition,
			   char out[static TS_MULTIPART_VALUE_CAP])
{
	char name[TS_MULTIPART_VALUE_CAP];
	const char *slash;

	if (!read_param(disposition, "filename", name, sizeof(name)))
		return;
	slash = strrchr(name, '/');
	strcpy(out, slash ? slash + 1 : name); /* of the same size */
}

/* One line, without its end. */
static int read_line(const char *line, size_t len,
		     struct ts_multipart_part *part)
{
	const char *colon = memchr(line, ':', len);
	size_t name_len = colon ? (size_t)(colon - line) : 0;
	char value[TS_MULTIPART_HEAD_MAX + 1];
	const char *text;

	if (name_len == 0 || memchr(line, '\0', len) || *line == ' ' ||
	    *line == '\t')
		return -EBADMSG;
	memcpy(value, colon + 1, len - name_len - 1);
	value[len - name_len - 1] = '\0';
	text = skip_blanks(value);
	if (!ts_is_clean_text(text))
		return -EBADMSG;
	if (name_len == strlen("Content-Type") &&
	    strncasecmp(line, "Content-Type", name_len) == 0) {
		if (strlen(text) >= TS_MULTIPART_VALUE_CAP)
			return -EMSGSIZE;
		strcpy(part->content_type, text);
	}
	if (name_len == strlen("Content-Disposition") &&
	    strncasecmp(line, "Content-Disposition", name_len) == 0)
		read_file_name(text, part->file_name);
	return 0;
}

static int read_head(const struct ts_multipart *m,
		     struct ts_multipart_part *part)
{
	const char *at = m->head, *all_end = m->head + m->head_len - CRLF_LEN;
	int err = 0;

	part->content_type[0] = part->file_name[0] = '\0';
	while (!err && at < all_end) {
		const char *end = memmem(at, (size_t)(all_end - at) + CRLF_LEN,
					 "\r\n", CRLF_LEN);

		err = read_line(at, (size_t)(end - at), part);
		at = end + CRLF_LEN;
	}
	return err;
}

static bool head_is_whole(const struct ts_multipart *m)
{
	const char *end = m->head + m->head_len;

	return (m->head_len == CRLF_LEN && memcmp(m->head, "\r\n", 2) == 0) ||
	       (m->head_len >= 2 * CRLF_LEN &&
		memcmp(end - 2 * CRLF_LEN, "\r\n\r\n", 2 * CRLF_LEN) == 0);
}

/* -- byte by byte ---------------------------------------------------------- */

static ssize_t take_head(struct ts_multipart *m, const char *data, size_t len)
{
	struct ts_multipart_part part;
	int err;

	for (size_t i = 0; i < len; i++) {
		if (m->head_len == sizeof(m->head))
			return -EMSGSIZE;
		m->head[m->head_len++] = data[i];
		if (!head_is_whole(m))
			continue;
		err = read_head(m, &part);
		m->head_len = 0;
		m->has_part = true;
		m->state = MULTIPART_CONTENT;
		if (!err)
			err = m->ops->part(m->ctx, &part);
		return err ? err : (ssize_t)i + 1;
	}
	return (ssize_t)len;
}

/* Blanks may stand behind a delimiter (transport padding). */
static ssize_t take_line(struct ts_multipart *m, const char *data, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		m->head[m->head_len++] = data[i];
		if (m->head_len == 2 && memcmp(m->head, "--", 2) == 0) {
			m->state = MULTIPART_OVER;
			return (ssize_t)i + 1;
		}
		if (data[i] == '\n') {
			if (m->head[0] == '-' || m->head_len < CRLF_LEN ||
			    m->head[m->head_len - CRLF_LEN] != '\r')
				return -EBADMSG;
			m->head_len = 0;
			m->state = MULTIPART_HEAD;
			return (ssize_t)i + 1;
		}
		if (!data[i] ||
		    !strchr(m->head_len == 1 ? "- \t\r" : " \t\r", data[i]) ||
		    m->head_len == LINE_MAX_LEN)
			return -EBADMSG;
	}
	return (ssize_t)len;
}

static size_t give(struct ts_multipart *m, const char *data, size_t len)
{
	size_t n = m->has_part && len ? m->ops->data(m->ctx, data, len) : len;

	if (n < len)
		m->is_held = true;
	return n;
}

static void give_owed(struct ts_multipart *m)
{
	m->given += give(m, m->delimiter + m->given, m->owed - m->given);
	if (m->given == m->owed)
		m->owed = m->given = 0;
}

static void end_content(struct ts_multipart *m)
{
	m->matched = 0;
	m->head_len = 0;
	m->state = MULTIPART_LINE;
	if (m->has_part && !m->ops->part_end(m->ctx))
		m->is_held = true;
	m->has_part = false;
}

/* Up to the next CR. */
static size_t take_plain(struct ts_multipart *m, const char *data, size_t len)
{
	const char *cr = memchr(data, '\r', len);
	size_t plain = cr ? (size_t)(cr - data) : len;
	size_t n = give(m, data, plain);

	if (!cr || n < plain)
		return n;
	m->matched = 1;
	return plain + 1;
}

static ssize_t take_content(struct ts_multipart *m, const char *data,
			    size_t len)
{
	size_t used = 0;

	while (used < len && !m->is_held && m->state == MULTIPART_CONTENT) {
		if (m->owed > 0) {
			give_owed(m);
		} else if (m->matched == 0) {
			used += take_plain(m, data + used, len - used);
		} else if (data[used] != m->delimiter[m->matched]) {
			m->owed = m->matched;
			m->matched = 0;
		} else {
			used++;
			if (++m->matched == m->delimiter_len)
				end_content(m);
		}
	}
	return (ssize_t)used;
}

/* -- for the owner --------------------------------------------------------- */

int ts_multipart_init(struct ts_multipart *m, const char *content_type,
		      const struct ts_multipart_ops *ops, void *ctx)
{
	char boundary[TS_MULTIPART_BOUNDARY_MAX + 1];
	size_t len;

	if (strncasecmp(content_type, "multipart/", strlen("multipart/")) ||
	    !read_param(content_type, "boundary", boundary, sizeof(boundary)) ||
	    !*boundary || !ts_is_clean_text(boundary))
		return -EINVAL;
	len = strlen(boundary);
	*m = (struct ts_multipart){.ops = ops, .ctx = ctx,
				   .delimiter_len = 4 + len,
				   .matched = CRLF_LEN}; /* of a line before */
	memcpy(m->delimiter, "\r\n--", 4);
	memcpy(m->delimiter + 4, boundary, len);
	return 0;
}

ssize_t ts_multipart_input(struct ts_multipart *m, const char *data,
			   size_t len)
{
	size_t used = 0;
	ssize_t n = 0;

	m->is_held = false;
	while (used < len && !m->is_held && n >= 0) {
		const char *at = data + used;
		size_t left = len - used;

		if (m->state == MULTIPART_OVER)
			return (ssize_t)len;
		if (m->state == MULTIPART_CONTENT)
			n = take_content(m, at, left);
		else if (m->state == MULTIPART_LINE)
			n = take_line(m, at, left);
		else
			n = take_head(m, at, left);
		if (n > 0)
			used += (size_t)n;
	}
	return n < 0 ? n : (ssize_t)used;
}

bool ts_multipart_is_over(const struct ts_multipart *m)
{
	return m->state == MULTIPART_OVER;
}
