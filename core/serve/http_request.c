/* SPDX-License-Identifier: BSD-3-Clause
 * http_request.c - what a client asks of a web server of ours
 */
#include "core/serve/http_request.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/base/encode.h"
#include "core/base/err.h"

/* -- the target ----------------------------------------------------------- */

/* Percent signs undone; a NUL in a path is nobody's file. */
static int decode_path(const char *raw, size_t len, char **out)
{
	char *path = malloc(len + 1);
	size_t n = 0;

	if (!path)
		return -ENOMEM;
	for (size_t i = 0; i < len; i++) {
		int byte = -1;

		if (raw[i] != '%') {
			path[n++] = raw[i];
			continue;
		}
		if (len - i > 2)
			byte = ts_hex_byte(raw + i + 1);
		if (byte <= 0) {
			free(path);
			return -EBADMSG;
		}
		path[n++] = (char)byte;
		i += 2;
	}
	path[n] = '\0';
	*out = path;
	return 0;
}

static bool is_host_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c >= '0' && c <= '9') || (c && strchr("-._:[]%~!$&'()*+,;=", c));
}

static int set_host(struct ts_serve_request *req, const char *text, size_t len)
{
	if (len >= sizeof(req->host))
		return -EBADMSG;
	for (size_t i = 0; i < len; i++)
		if (!is_host_char(text[i]))
			return -EBADMSG;
	memcpy(req->host, text, len);
	req->host[len] = '\0';
	return 0;
}

/* "http://host/path": the host in it is the one that counts. */
static int cut_authority(struct ts_serve_request *req, const char **at,
			 size_t *len)
{
	const char *rest = *at, *end = *at + *len, *slash;

	if (*len >= 7 && strncasecmp(rest, "http://", 7) == 0)
		rest += 7;
	else if (*len >= 8 && strncasecmp(rest, "https://", 8) == 0)
		rest += 8;
	else
		return -EBADMSG;
	for (slash = rest; slash < end && *slash != '/' && *slash != '?';)
		slash++;
	*at = slash;
	*len = (size_t)(end - slash);
	return slash == rest ? -EBADMSG
			     : set_host(req, rest, (size_t)(slash - rest));
}

static int read_host(struct ts_serve_request *req)
{
	const struct ts_http1_field *host = ts_http1_find(&req->head, "Host");

	if (ts_http1_count(&req->head, "Host") > 1)
		return -EBADMSG;
	if (!host)
		return req->is_http10 ? 0 : -EBADMSG;
	return set_host(req, host->value, host->value_len);
}

static int read_target(struct ts_serve_request *req)
{
	const char *at = req->head.target, *mark;
	size_t len = req->head.target_len;
	int err = 0;

	if (ts_serve_request_is(req, "CONNECT") ||
	    (len == 1 && *at == '*')) {
		req->raw_path = at;
		req->path = strdup("");
		return req->path ? 0 : -ENOMEM;
	}
	if (*at != '/')
		err = cut_authority(req, &at, &len);
	if (err)
		return err;
	mark = memchr(at, '?', len);
	req->raw_path = at;
	req->raw_path_len = mark ? (size_t)(mark - at) : len;
	if (mark) {
		req->query = mark;
		req->query_len = len - req->raw_path_len;
	}
	if (req->raw_path_len == 0) {
		req->raw_path = "/";
		req->raw_path_len = 1;
	}
	return decode_path(req->raw_path, req->raw_path_len, &req->path);
}

/* -- the whole ------------------------------------------------------------ */

static int read_version(struct ts_serve_request *req)
{
	req->is_http10 = req->head.minor == 0;
	return req->head.minor > 1 ? -ERANGE : 0;
}

static bool has_text(const struct ts_http1_field *f, const char *text)
{
	size_t len = strlen(text);

	for (size_t at = 0; at + len <= f->value_len; at++)
		if (strncasecmp(f->value + at, text, len) == 0)
			return true;
	return false;
}

/* "h2c", "HTTP/2.0", "TLS/1.0": another way to make requests. */
static bool upgrades_to_http(const struct ts_http1_head *head)
{
	static const char *const others[] = {"h2", "http/", "tls/"};

	for (size_t i = 0; i < head->field_count; i++) {
		const struct ts_http1_field *f = &head->fields[i];

		if (f->name_len != 7 || strncasecmp(f->name, "Upgrade", 7) != 0)
			continue;
		for (size_t k = 0; k < ARRAY_LEN(others); k++)
			if (has_text(f, others[k]))
				return true;
	}
	return false;
}

static void read_connection(struct ts_serve_request *req)
{
	const struct ts_http1_head *head = &req->head;

	if (req->is_http10)
		req->keep_alive = ts_http_lists(head, "Connection",
						"keep-alive");
	else
		req->keep_alive = !ts_http_lists(head, "Connection", "close");
	req->is_head = ts_serve_request_is(req, "HEAD");
	req->expects_continue = !req->is_http10 &&
		ts_http1_value_is(ts_http1_find(head, "Expect"),
				  "100-continue");
	/* After one to HTTP/2 in the clear a client would speak to the backend
	 * by itself, and say that he is anybody. RFC 9113 has it no more. */
	req->is_upgrade = !req->is_http10 &&
			  ts_http1_find(head, "Upgrade") &&
			  ts_http_lists(head, "Connection", "upgrade") &&
			  !upgrades_to_http(head);
}

int ts_serve_request_read(const void *data, size_t len,
			  struct ts_serve_request *out)
{
	int err;

	memset(out, 0, sizeof(*out));
	err = ts_http1_read_request(data, len, &out->head);
	if (err)
		return err;
	err = read_version(out);
	if (!err)
		err = read_host(out);
	if (!err)
		err = ts_http_body_of_request(&out->head, &out->body);
	if (!err)
		err = read_target(out);
	if (!err)
		read_connection(out);
	else
		ts_serve_request_deinit(out);
	return err;
}

void ts_serve_request_deinit(struct ts_serve_request *req)
{
	free(req->path);
	req->path = NULL;
}

bool ts_serve_request_is(const struct ts_serve_request *req,
			 const char *method)
{
	return req->head.method_len == strlen(method) &&
	       memcmp(req->head.method, method, req->head.method_len) == 0;
}

const char *ts_serve_request_field(const struct ts_serve_request *req,
				   const char *name, char *out, size_t cap)
{
	const struct ts_http1_field *f = ts_http1_find(&req->head, name);

	snprintf(out, cap, "%.*s", f ? (int)f->value_len : 0,
		 f ? f->value : "");
	return out;
}
