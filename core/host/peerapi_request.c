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

bool ts_peerapi_method_is(const struct ts_peerapi_request *req,
			  const char *method)
{
	return req->head.method_len == strlen(method) &&
	       memcmp(req->head.method, method, req->head.method_len) == 0;
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

int ts_peerapi_read_head(const uint8_t *data, size_t len,
			 struct ts_peerapi_request *out)
{
	int err;

	memset(out, 0, sizeof(*out));
	err = ts_http1_read_request(data, len, &out->head);
	if (!err)
		err = ts_http_body_of_request(&out->head, &out->framing);
	if (err)
		return err;
	/* Two opinions about whom the request is for. */
	if (ts_http1_count(&out->head, "Host") > 1)
		return -EBADMSG;
	out->keep_alive = out->head.minor > 0 &&
			  !ts_http_lists(&out->head, "Connection", "close");
	split_target(out);
	return 0;
}

int ts_peerapi_read(const uint8_t *data, size_t len,
		    struct ts_peerapi_request *out)
{
	int err = ts_peerapi_read_head(data, len, out);

	if (err)
		return err;
	if (out->framing.kind == TS_BODY_CHUNKED)
		return -EBADMSG;
	if (out->framing.left > PEERAPI_BODY_MAX)
		return -EMSGSIZE;
	out->body_len = (size_t)out->framing.left;
	if (len - out->head.head_len < out->body_len)
		return -EAGAIN;
	out->body = data + out->head.head_len;
	out->len = out->head.head_len + out->body_len;
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

/* -- DNS over HTTP -------------------------------------------------------- */

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
	return ts_peerapi_method_is(req, "GET");
}

int ts_peerapi_dns_query(const struct ts_peerapi_request *req, uint8_t **out,
			 size_t *len, const char **problem)
{
	if (ts_peerapi_is_get(req))
		return query_of_get(req, out, len, problem);
	if (ts_peerapi_method_is(req, "POST"))
		return query_of_post(req, out, len, problem);
	*problem = "bad HTTP method";
	return -EBADMSG;
}
