/* SPDX-License-Identifier: BSD-3-Clause
 * peerapi_request.c - what a peer asks of our PeerAPI
 */
#include "core/host/peerapi_request.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/encode.h"
#include "core/base/form.h"

#define DNS_MESSAGE "application/dns-message"

static bool method_is(const struct ts_peerapi_request *req, const char *method)
{
	return req->head.method_len == strlen(method) &&
	       memcmp(req->head.method, method, req->head.method_len) == 0;
}

/* Digits only, so that nobody else counts otherwise. */
static int read_length(const struct ts_http1_field *field, size_t *out)
{
	*out = 0;
	if (!field)
		return 0;
	if (field->value_len == 0 || field->value_len > 9)
		return -EBADMSG;
	for (size_t i = 0; i < field->value_len; i++) {
		char c = field->value[i];

		if (c < '0' || c > '9')
			return -EBADMSG;
		*out = *out * 10 + (size_t)(c - '0');
	}
	return *out > PEERAPI_BODY_MAX ? -EMSGSIZE : 0;
}

/* Two of them are two opinions about where the request ends. */
static bool is_given_twice(const struct ts_http1_head *head, const char *name)
{
	const struct ts_http1_field *first = ts_http1_find(head, name);
	size_t count = 0;

	for (size_t i = 0; first && i < head->field_count; i++) {
		struct ts_http1_head one = {.field_count = 1};

		one.fields[0] = head->fields[i];
		count += ts_http1_find(&one, name) != NULL;
	}
	return count > 1;
}

static void split_target(struct ts_peerapi_request *req)
{
	const char *mark = memchr(req->head.target, '?', req->head.target_len);

	req->path = req->head.target;
	req->path_len = mark ? (size_t)(mark - req->path)
			     : req->head.target_len;
	if (!mark)
		return;
	req->query = mark + 1;
	req->query_len = req->head.target_len - req->path_len - 1;
}

int ts_peerapi_read(const uint8_t *data, size_t len,
		    struct ts_peerapi_request *out)
{
	int err;

	memset(out, 0, sizeof(*out));
	err = ts_http1_read_request(data, len, &out->head);
	if (err)
		return err;
	if (ts_http1_find(&out->head, "Transfer-Encoding") ||
	    is_given_twice(&out->head, "Content-Length") ||
	    is_given_twice(&out->head, "Host"))
		return -EBADMSG;
	err = read_length(ts_http1_find(&out->head, "Content-Length"),
			  &out->body_len);
	if (err)
		return err;
	if (len - out->head.head_len < out->body_len)
		return -EAGAIN;
	out->body = data + out->head.head_len;
	out->len = out->head.head_len + out->body_len;
	out->keep_alive = !ts_http1_value_is(
		ts_http1_find(&out->head, "Connection"), "close");
	split_target(out);
	return 0;
}

bool ts_peerapi_path_is(const struct ts_peerapi_request *req, const char *path)
{
	return req->path_len == strlen(path) &&
	       memcmp(req->path, path, req->path_len) == 0;
}

bool ts_peerapi_host(const struct ts_peerapi_request *req, char *out,
		     size_t cap)
{
	const struct ts_http1_field *field = ts_http1_find(&req->head, "Host");
	const char *at = field ? field->value : NULL, *end;
	size_t len = field ? field->value_len : 0;

	if (len > 0 && *at == '[') {
		at++;
		end = memchr(at, ']', len - 1);
		if (!end)
			return false;
		len = (size_t)(end - at);
	} else if (len > 0) {
		end = memchr(at, ':', len);
		len = end ? (size_t)(end - at) : len;
	}
	if (len == 0 || len >= cap)
		return false;
	memcpy(out, at, len);
	out[len] = '\0';
	return true;
}

bool ts_peerapi_is_of_browser(const struct ts_peerapi_request *req)
{
	const struct ts_http1_field *referer =
		ts_http1_find(&req->head, "Referer");
	const struct ts_http1_field *origin =
		ts_http1_find(&req->head, "Origin");

	return (referer && referer->value_len > 0) ||
	       (origin && origin->value_len > 0);
}

/* -- DNS over HTTP ---------------------------------------------------------- */

/* Base64url without padding, as standard base64 with it. */
static int decode_url(const char *text, size_t text_len, uint8_t **out,
		      size_t *len)
{
	char *copy = malloc(text_len + 4);
	size_t n = text_len;
	int err;

	if (!copy)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		copy[i] = text[i] == '-'   ? '+'
			  : text[i] == '_' ? '/'
					   : text[i];
	while (n % 4)
		copy[n++] = '=';
	err = ts_base64_decode(copy, n, out, len);
	free(copy);
	return err;
}

static int query_of_get(const struct ts_peerapi_request *req, uint8_t **out,
			size_t *len, const char **problem)
{
	size_t text_len = 0;
	const char *text = ts_form_find(req->query, req->query_len, "dns",
					&text_len);
	int err;

	*problem = "missing 'dns' parameter; try '?dns=' (DoH standard) or use "
		   "'?q=<name>' for JSON debug mode";
	if (!text || text_len == 0)
		return -EBADMSG;
	*problem = "invalid 'dns' base64 encoding";
	err = decode_url(text, text_len, out, len);
	if (!err && *len > PEERAPI_BODY_MAX) {
		free(*out);
		err = -EBADMSG;
	}
	return err;
}

static int query_of_post(const struct ts_peerapi_request *req, uint8_t **out,
			 size_t *len, const char **problem)
{
	*problem = "unexpected Content-Type";
	if (!ts_http1_value_is(ts_http1_find(&req->head, "Content-Type"),
			       DNS_MESSAGE))
		return -EBADMSG;
	*out = malloc(req->body_len + 1);
	if (!*out)
		return -ENOMEM;
	memcpy(*out, req->body, req->body_len);
	*len = req->body_len;
	return 0;
}

bool ts_peerapi_is_get(const struct ts_peerapi_request *req)
{
	return method_is(req, "GET");
}

int ts_peerapi_dns_query(const struct ts_peerapi_request *req, uint8_t **out,
			 size_t *len, const char **problem)
{
	if (ts_peerapi_is_get(req))
		return query_of_get(req, out, len, problem);
	if (method_is(req, "POST"))
		return query_of_post(req, out, len, problem);
	*problem = "bad HTTP method";
	return -EBADMSG;
}
