/* SPDX-License-Identifier: BSD-3-Clause
 * proxy_http.c - HTTP: CONNECT, absolute targets, and the LocalAPI's paths
 *
 * Source: RFC 9110 section 9.3.6, RFC 9112; the LocalAPI's part: tsnet/tsnet.go
 */
#include "core/host/proxy_parts.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/base/decimal.h"
#include "core/base/encode.h"
#include "core/base/http1.h"
#include "core/base/wire.h"
#include "core/crypto/secret.h"

enum { HTTP_PORT = 80 };

static enum ts_proxy_step http_fail_with(struct ts_proxy_parser *p,
					 const char *status, const char *more,
					 const char *body)
{
	int n = snprintf((char *)p->answer, sizeof(p->answer),
			 "HTTP/1.1 %s\r\n%sContent-Length: %zu\r\n"
			 "Connection: close\r\n\r\n%s",
			 status, more, strlen(body), body);

	p->answer_len = (size_t)n;
	return PROXY_FAIL;
}

static enum ts_proxy_step http_fail(struct ts_proxy_parser *p,
				    const char *status, const char *more)
{
	return http_fail_with(p, status, more, "");
}

/* The bytes of "Basic ...", heap. */
static bool read_basic(const struct ts_http1_field *field, uint8_t **out,
		       size_t *len)
{
	return field && field->value_len >= 6 &&
	       strncasecmp(field->value, "Basic ", 6) == 0 &&
	       !ts_base64_decode(field->value + 6, field->value_len - 6, out,
				 len);
}

static bool http_may(const struct ts_proxy_parser *p,
		     const struct ts_http1_head *head)
{
	char both[2 * PROXY_SECRET_CAP];
	uint8_t *theirs = NULL;
	size_t len = 0;
	bool ok;

	if (!read_basic(ts_http1_find(head, "Proxy-Authorization"), &theirs,
			&len))
		return false;
	snprintf(both, sizeof(both), "%s:%s", p->user, p->password);
	ok = len == strlen(both) && ts_secret_equal(theirs, both, len);
	ts_wipe(both, sizeof(both));
	free(theirs);
	return ok;
}

/* Whatever the user is called. */
static bool local_may(const struct ts_proxy_parser *p,
		      const struct ts_http1_head *head)
{
	uint8_t *theirs = NULL;
	const uint8_t *colon;
	size_t len = 0;
	bool ok;

	if (!read_basic(ts_http1_find(head, "Authorization"), &theirs, &len))
		return false;
	colon = memchr(theirs, ':', len);
	ok = colon && ts_proxy_is_secret(p->local_password, colon + 1,
				(size_t)(theirs + len - colon - 1));
	ts_wipe(theirs, len);
	free(theirs);
	return ok;
}

/* A browser can be made to send a password that it knows, but no header of
 * this name. */
static enum ts_proxy_step local_request(struct ts_proxy_parser *p,
					const struct ts_http1_head *head)
{
	const struct ts_http1_field *mark =
		ts_http1_find(head, "Sec-Tailscale");

	p->kind = PROXY_LOCALAPI;
	if (!mark || !ts_http1_value_is(mark, "localapi"))
		return http_fail_with(p, "403 Forbidden",
				      "Content-Type: text/plain\r\n",
				      "missing 'Sec-Tailscale: localapi' "
				      "header\n");
	if (!local_may(p, head))
		return http_fail(p, "401 Unauthorized",
				 "WWW-Authenticate: Basic realm=\"tsnet\""
				 "\r\n");
	p->is_authorized = true;
	return PROXY_CALL;
}

/* "host:port", "[v6]:port", or without port where otherwise is not 0. */
static bool split_authority(struct ts_proxy_parser *p, const char *text,
			    size_t len, uint16_t otherwise)
{
	const char *end = text + len, *host = text, *colon = NULL;
	size_t host_len = len;
	uint64_t port = otherwise;

	if (len > 0 && *text == '[') {
		const char *close = memchr(text, ']', len);

		if (!close)
			return false;
		host = text + 1;
		host_len = (size_t)(close - host);
		if (close + 1 < end && close[1] != ':')
			return false;
		colon = close + 1 < end ? close + 1 : NULL;
	} else {
		colon = memchr(text, ':', len);
		if (colon)
			host_len = (size_t)(colon - text);
	}
	if (colon && colon + 1 < end &&
	    ts_decimal_parse(colon + 1, (size_t)(end - colon) - 1, UINT16_MAX,
			     &port))
		return false;
	if (port == 0)
		return false;
	p->port = (uint16_t)port;
	return ts_proxy_set_name(p->host, host, host_len);
}

static const char SCHEME[] = "http://";

/* The authority of "http://authority/path". */
static bool find_authority(const struct ts_http1_head *head,
			   const char **authority, size_t *len)
{
	const size_t scheme_len = sizeof(SCHEME) - 1;
	const char *slash;

	if (head->target_len <= scheme_len ||
	    strncasecmp(head->target, SCHEME, scheme_len) != 0)
		return false;
	*authority = head->target + scheme_len;
	*len = head->target_len - scheme_len;
	slash = memchr(*authority, '/', *len);
	if (!slash)
		slash = memchr(*authority, '?', *len);
	if (slash)
		*len = (size_t)(slash - *authority);
	return !memchr(*authority, '@', *len);
}

enum ts_proxy_step ts_proxy_http_parse(struct ts_proxy_parser *p,
				       const uint8_t *data, size_t len,
				       size_t *used)
{
	struct ts_http1_head head;
	const char *authority;
	size_t authority_len;
	int err = ts_http1_read_request(data, len, &head);

	if (err == -EAGAIN && len < PROXY_INPUT_MAX)
		return PROXY_MORE;
	if (err)
		return http_fail(p, "400 Bad Request", "");
	if (p->local_password && head.target_len > 0 && *head.target == '/')
		return local_request(p, &head);
	if (!http_may(p, &head))
		return http_fail(p, "407 Proxy Authentication Required",
				 "Proxy-Authenticate: Basic realm=\"tsnet\""
				 "\r\n");
	p->is_authorized = true;
	if (head.method_len == 7 && memcmp(head.method, "CONNECT", 7) == 0) {
		p->kind = PROXY_HTTP_CONNECT;
		if (!split_authority(p, head.target, head.target_len, 0))
			return http_fail(p, "400 Bad Request", "");
		*used = head.head_len;
		return PROXY_CALL;
	}
	p->kind = PROXY_HTTP_FORWARD;
	if (!find_authority(&head, &authority, &authority_len) ||
	    !split_authority(p, authority, authority_len, HTTP_PORT))
		return http_fail(p, "400 Bad Request", "");
	return PROXY_CALL;
}

/* Of this connection, not of the request. */
static bool is_hop_field(const struct ts_http1_field *f)
{
	return ts_http1_is_named(f, "Connection") || ts_http1_is_named(f, "Keep-Alive") ||
	       ts_http1_is_named(f, "Proxy-Connection") ||
	       ts_http1_is_named(f, "Proxy-Authorization");
}

/* The LocalAPI takes requests for itself, and none with our password. */
static bool is_local_field(const struct ts_http1_field *f)
{
	return ts_http1_is_named(f, "Host") || ts_http1_is_named(f, "Authorization");
}

static void write_line(struct ts_writer *w, const struct ts_http1_head *head,
		       const char *path)
{
	size_t path_len = (size_t)(head->target + head->target_len - path);

	ts_write_bytes(w, head->method, head->method_len);
	ts_write_bytes(w, " /", path_len && *path == '/' ? 1 : 2);
	ts_write_bytes(w, path, path_len);
	ts_write_bytes(w, " HTTP/1.1\r\n", 11);
}

static void write_field(struct ts_writer *w, const struct ts_http1_field *f)
{
	ts_write_bytes(w, f->name, f->name_len);
	ts_write_bytes(w, ": ", 2);
	ts_write_bytes(w, f->value, f->value_len);
	ts_write_bytes(w, "\r\n", 2);
}

static int write_head(const struct ts_http1_head *head, const char *path,
		      bool is_local, uint8_t *out, size_t cap)
{
	/* The next request of this client may be for another server. */
	static const char last[] = "Connection: close\r\n\r\n";
	static const char host[] = "Host: local-tailscaled.sock\r\n";
	struct ts_writer w = ts_writer_init(out, cap);

	write_line(&w, head, path);
	if (is_local)
		ts_write_bytes(&w, host, sizeof(host) - 1);
	for (size_t i = 0; i < head->field_count; i++) {
		const struct ts_http1_field *f = &head->fields[i];

		if (!is_hop_field(f) && !(is_local && is_local_field(f)))
			write_field(&w, f);
	}
	ts_write_bytes(&w, last, sizeof(last) - 1);
	return w.bad ? -ENOBUFS : (int)w.len;
}

int ts_proxy_forward(const uint8_t *data, size_t len, uint8_t *out, size_t cap,
		     size_t *used)
{
	struct ts_http1_head head;
	const char *authority;
	size_t authority_len;

	if (ts_http1_read_request(data, len, &head) ||
	    !find_authority(&head, &authority, &authority_len))
		return -EBADMSG;
	*used = head.head_len;
	return write_head(&head, authority + authority_len, false, out, cap);
}

int ts_proxy_forward_local(const uint8_t *data, size_t len, uint8_t *out,
			   size_t cap, size_t *used)
{
	struct ts_http1_head head;

	if (ts_http1_read_request(data, len, &head) || head.target_len == 0)
		return -EBADMSG;
	*used = head.head_len;
	return write_head(&head, head.target, true, out, cap);
}

void ts_proxy_http_answer(struct ts_proxy_parser *p, int err)
{
	static const char ok[] = "HTTP/1.1 200 Connection established\r\n\r\n";

	if (err)
		(void)http_fail(p, err == -ETIMEDOUT ? "504 Gateway Timeout"
						     : "502 Bad Gateway", "");
	else if (p->kind == PROXY_HTTP_CONNECT)
		(void)ts_proxy_say(p, PROXY_SAY, ok, sizeof(ok) - 1);
}
