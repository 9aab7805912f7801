/* SPDX-License-Identifier: BSD-3-Clause
 * proxy_request.c - what a client asks of the proxy: SOCKS5 and HTTP
 *
 * Any program of this machine can reach the port, so nothing is done for one
 * that does not know the password, and it is compared in constant time.
 */
#include "core/host/proxy_request.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/base/addr.h"
#include "core/base/encode.h"
#include "core/base/err.h"
#include "core/base/http1.h"
#include "core/base/wire.h"
#include "core/crypto/secret.h"

enum {
	SOCKS_VERSION = 5,
	SOCKS_BY_PASSWORD = 2,
	SOCKS_NO_METHOD = 0xff,
	SOCKS_AUTH_VERSION = 1,
	SOCKS_CONNECT = 1,
	SOCKS_ASSOCIATE = 3,
	SOCKS_V4 = 1,
	SOCKS_NAME = 3,
	SOCKS_V6 = 4,
	SOCKS_GENERAL_FAILURE = 1,
	SOCKS_NETWORK_UNREACHABLE = 3,
	SOCKS_HOST_UNREACHABLE = 4,
	SOCKS_REFUSED = 5,
	SOCKS_TTL_EXPIRED = 6,
	SOCKS_NO_COMMAND = 7,
	SOCKS_NO_ADDRESS_TYPE = 8,
	HTTP_PORT = 80,
};

static bool is_secret(const char *mine, const void *theirs, size_t len)
{
	char padded[PROXY_SECRET_CAP] = "", own[PROXY_SECRET_CAP] = "";

	if (len >= sizeof(padded) || strlen(mine) >= sizeof(own))
		return false;
	memcpy(padded, theirs, len);
	memcpy(own, mine, strlen(mine));
	return strlen(mine) == len &&
	       ts_secret_equal(padded, own, sizeof(own));
}

static enum ts_proxy_step say(struct ts_proxy_parser *p,
			      enum ts_proxy_step step, const void *bytes,
			      size_t len)
{
	memcpy(p->answer, bytes, len);
	p->answer_len = len;
	return step;
}

/* -- SOCKS5 -------------------------------------------------------------- */

static void socks_reply(struct ts_proxy_parser *p, uint8_t code)
{
	const uint8_t reply[10] = {SOCKS_VERSION, code, 0, SOCKS_V4};

	(void)say(p, PROXY_SAY, reply, sizeof(reply));
}

static void write_address(struct ts_writer *w, const struct ts_addr *addr)
{
	if (ts_ip_is_v4(&addr->ip)) {
		ts_write_u8(w, SOCKS_V4);
		ts_write_bytes(w, addr->ip.bytes + TS_IP_V4_AT, 4);
	} else {
		ts_write_u8(w, SOCKS_V6);
		ts_write_bytes(w, addr->ip.bytes, TS_IP_LEN);
	}
	ts_write_be16(w, addr->port);
}

void ts_proxy_answer_at(struct ts_proxy_parser *p, const struct ts_addr *at)
{
	struct ts_writer w = ts_writer_init(p->answer, sizeof(p->answer));

	ts_write_u8(&w, SOCKS_VERSION);
	ts_write_u8(&w, 0); /* succeeded */
	ts_write_u8(&w, 0);
	write_address(&w, at);
	p->answer_len = w.len;
}

static enum ts_proxy_step socks_fail(struct ts_proxy_parser *p, uint8_t code)
{
	socks_reply(p, code);
	return PROXY_FAIL;
}

static enum ts_proxy_step socks_greet(struct ts_proxy_parser *p,
				      const uint8_t *data, size_t len,
				      size_t *used)
{
	static const uint8_t yes[] = {SOCKS_VERSION, SOCKS_BY_PASSWORD};
	static const uint8_t no[] = {SOCKS_VERSION, SOCKS_NO_METHOD};

	if (len < 2 || len < 2u + data[1])
		return PROXY_MORE;
	*used = 2u + data[1];
	if (!memchr(data + 2, SOCKS_BY_PASSWORD, data[1]))
		return say(p, PROXY_FAIL, no, sizeof(no));
	p->is_greeted = true;
	return say(p, PROXY_SAY, yes, sizeof(yes));
}

static enum ts_proxy_step socks_authorize(struct ts_proxy_parser *p,
					  const uint8_t *data, size_t len,
					  size_t *used)
{
	static const uint8_t yes[] = {SOCKS_AUTH_VERSION, 0};
	static const uint8_t no[] = {SOCKS_AUTH_VERSION, 1};
	size_t user_len, password_len;
	bool is_user, is_password;
	const uint8_t *password;

	if (len < 2 || len < 3u + data[1])
		return PROXY_MORE;
	user_len = data[1];
	password_len = data[2 + user_len];
	password = data + 3 + user_len;
	if (len < 3 + user_len + password_len)
		return PROXY_MORE;
	*used = 3 + user_len + password_len;
	/* Both, in the same time whichever is wrong. */
	is_user = is_secret(p->user, data + 2, user_len);
	is_password = is_secret(p->password, password, password_len);
	if (data[0] != SOCKS_AUTH_VERSION || !is_user || !is_password)
		return say(p, PROXY_FAIL, no, sizeof(no));
	p->is_authorized = true;
	return say(p, PROXY_SAY, yes, sizeof(yes));
}

static bool set_name(char host[static PROXY_HOST_CAP], const void *name,
		     size_t len)
{
	if (len == 0 || len >= PROXY_HOST_CAP || memchr(name, '\0', len))
		return false;
	memcpy(host, name, len);
	host[len] = '\0';
	return true;
}

/* The address at at; its length, 0: more bytes, or -EAFNOSUPPORT. */
static int socks_address(char host[static PROXY_HOST_CAP], uint8_t type,
			 const uint8_t *at, size_t left)
{
	struct ts_ip ip;

	switch (type) {
	case SOCKS_V4:
		if (left < 4)
			return 0;
		ip = ts_ip_from_v4(at);
		(void)ts_ip_format(&ip, host);
		return 4;
	case SOCKS_V6:
		if (left < sizeof(ip.bytes))
			return 0;
		memcpy(ip.bytes, at, sizeof(ip.bytes));
		(void)ts_ip_format(&ip, host);
		return sizeof(ip.bytes);
	case SOCKS_NAME:
		if (left < 1 || left < 1u + at[0])
			return 0;
		return set_name(host, at + 1, at[0]) ? 1 + at[0] : -EAFNOSUPPORT;
	default:
		return -EAFNOSUPPORT;
	}
}

static enum ts_proxy_step socks_request(struct ts_proxy_parser *p,
					const uint8_t *data, size_t len,
					size_t *used)
{
	int n;

	if (len < 4)
		return PROXY_MORE;
	if (data[0] != SOCKS_VERSION)
		return PROXY_FAIL;
	if (data[1] != SOCKS_CONNECT && data[1] != SOCKS_ASSOCIATE)
		return socks_fail(p, SOCKS_NO_COMMAND);
	n = socks_address(p->host, data[3], data + 4, len - 4);
	if (n < 0)
		return socks_fail(p, SOCKS_NO_ADDRESS_TYPE);
	if (n == 0 || len < 4u + (size_t)n + 2)
		return PROXY_MORE;
	p->port = (uint16_t)(data[4 + n] << 8 | data[5 + n]);
	*used = 4u + (size_t)n + 2;
	return data[1] == SOCKS_CONNECT ? PROXY_CALL : PROXY_ASSOCIATE;
}

int ts_proxy_read_datagram(const uint8_t *in, size_t len,
			   char host[static PROXY_HOST_CAP], uint16_t *port,
			   const uint8_t **data, size_t *data_len)
{
	size_t head_len;
	int n;

	if (len < 4)
		return -EBADMSG;
	if (in[2] != 0) /* FRAG */
		return -ENOTSUP;
	n = socks_address(host, in[3], in + 4, len - 4);
	head_len = 4 + (n > 0 ? (size_t)n : 0) + 2;
	if (n <= 0 || len < head_len)
		return -EBADMSG;
	*port = (uint16_t)(in[head_len - 2] << 8 | in[head_len - 1]);
	*data = in + head_len;
	*data_len = len - head_len;
	return 0;
}

size_t ts_proxy_write_datagram_head(const struct ts_addr *from,
				    uint8_t out[static PROXY_DATAGRAM_HEAD_MAX])
{
	struct ts_writer w = ts_writer_init(out, PROXY_DATAGRAM_HEAD_MAX);

	ts_write_zeros(&w, 3); /* RSV, FRAG */
	write_address(&w, from);
	return w.len;
}

static enum ts_proxy_step parse_socks(struct ts_proxy_parser *p,
				      const uint8_t *data, size_t len,
				      size_t *used)
{
	if (!p->is_greeted)
		return socks_greet(p, data, len, used);
	if (!p->is_authorized)
		return socks_authorize(p, data, len, used);
	return socks_request(p, data, len, used);
}

static uint8_t socks_code(int err)
{
	switch (err) {
	case 0:
		return 0;
	case -ENETUNREACH:
	case -ENETDOWN:
		return SOCKS_NETWORK_UNREACHABLE;
	case -EHOSTUNREACH:
	case -ENOENT:
		return SOCKS_HOST_UNREACHABLE;
	case -ECONNREFUSED:
		return SOCKS_REFUSED;
	case -ETIMEDOUT:
		return SOCKS_TTL_EXPIRED;
	default:
		return SOCKS_GENERAL_FAILURE;
	}
}

/* -- HTTP ---------------------------------------------------------------- */

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
	ok = colon && is_secret(p->local_password, colon + 1,
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
	unsigned port = 0;

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
	for (const char *at = colon ? colon + 1 : end; at < end; at++) {
		if (*at < '0' || *at > '9' || port > UINT16_MAX)
			return false;
		port = port * 10 + (unsigned)(*at - '0');
	}
	if (!colon || colon + 1 == end)
		port = otherwise;
	if (port == 0 || port > UINT16_MAX)
		return false;
	p->port = (uint16_t)port;
	return set_name(p->host, host, host_len);
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

static enum ts_proxy_step parse_http(struct ts_proxy_parser *p,
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

static bool is_named(const struct ts_http1_field *f, const char *name)
{
	return f->name_len == strlen(name) &&
	       strncasecmp(f->name, name, f->name_len) == 0;
}

/* Of this connection, not of the request. */
static bool is_hop_field(const struct ts_http1_field *f)
{
	return is_named(f, "Connection") || is_named(f, "Keep-Alive") ||
	       is_named(f, "Proxy-Connection") ||
	       is_named(f, "Proxy-Authorization");
}

/* The LocalAPI takes requests for itself, and none with our password. */
static bool is_local_field(const struct ts_http1_field *f)
{
	return is_named(f, "Host") || is_named(f, "Authorization");
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

/* -- both ---------------------------------------------------------------- */

enum ts_proxy_step ts_proxy_parse(struct ts_proxy_parser *p,
				  const uint8_t *data, size_t len,
				  size_t *used)
{
	*used = 0;
	p->answer_len = 0;
	if (len == 0)
		return PROXY_MORE;
	if (!p->is_known) {
		p->is_known = true;
		p->kind = data[0] == SOCKS_VERSION ? PROXY_SOCKS
						   : PROXY_HTTP_CONNECT;
	}
	return p->kind == PROXY_SOCKS ? parse_socks(p, data, len, used)
				      : parse_http(p, data, len, used);
}

void ts_proxy_answer(struct ts_proxy_parser *p, int err)
{
	static const char ok[] = "HTTP/1.1 200 Connection established\r\n\r\n";

	p->answer_len = 0;
	if (p->kind == PROXY_SOCKS)
		socks_reply(p, socks_code(err));
	else if (err)
		(void)http_fail(p, err == -ETIMEDOUT ? "504 Gateway Timeout"
						     : "502 Bad Gateway", "");
	else if (p->kind == PROXY_HTTP_CONNECT)
		(void)say(p, PROXY_SAY, ok, sizeof(ok) - 1);
}
