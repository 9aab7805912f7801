/* SPDX-License-Identifier: BSD-3-Clause
 * http_options.c - what libcurl is told about a request
 *
 * The addresses and the proxy, so that it neither resolves a name nor reads
 * the environment; our CA roots; and limits on the answer.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/base/err.h"
#include "core/io/http_internal.h"
#include "core/io/link_cert.h"

static size_t take_body(char *data, size_t size, size_t count, void *ctx)
{
	struct ts_http_request *rq = ctx;
	size_t len = size * count;

	if (ts_byte_queue_len(&rq->body) + len > rq->body_max) {
		rq->is_too_long = true;
		return 0;
	}
	return ts_byte_queue_push(&rq->body, data, len) ? 0 : len;
}

/* The value of a line "Name: value". One that is too long is none. */
static void note_field(const char *name, const char *line, size_t len,
		       char out[static TS_HTTP_FIELD_CAP])
{
	size_t at = strlen(name), end = len;

	if (at + 1 >= len || line[at] != ':' ||
	    strncasecmp(line, name, at) != 0)
		return;
	at++;
	while (at < end && line[at] == ' ')
		at++;
	while (end > at && strchr(" \r\n", line[end - 1]))
		end--;
	if (end - at < TS_HTTP_FIELD_CAP) {
		memcpy(out, line + at, end - at);
		out[end - at] = '\0';
	}
}

/* One line of the head. */
static size_t take_field(char *data, size_t size, size_t count, void *ctx)
{
	struct ts_http_request *rq = ctx;
	size_t len = size * count;

	for (size_t i = 0; i < TS_HTTP_WANT_MAX; i++)
		if (rq->want_fields[i])
			note_field(rq->want_fields[i], data, len,
				   rq->fields[i]);
	return len;
}

static CURLcode load_roots(CURL *easy, void *ssl_ctx, void *ctx)
{
	const struct ts_http_request *rq = ctx;

	(void)easy;
	if (!rq->ca_pem)
		ts_cert_load_roots(ssl_ctx);
	else if (!ts_cert_load_pem(ssl_ctx, rq->ca_pem))
		return CURLE_SSL_CACERT_BADFILE;
	return CURLE_OK;
}

static bool set_options(struct ts_http_request *rq, const char *proxy)
{
	CURL *easy = rq->easy;
	uint64_t now_ms = ts_loop_now_ms(rq->client->loop);
	CURLcode bad = 0;

	bad |= curl_easy_setopt(easy, CURLOPT_URL, rq->url);
	bad |= curl_easy_setopt(easy, CURLOPT_PRIVATE, rq);
	bad |= curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	bad |= curl_easy_setopt(easy, CURLOPT_HTTP_VERSION,
				(long)(rq->is_dns ? CURL_HTTP_VERSION_2TLS
						  : CURL_HTTP_VERSION_1_1));
	bad |= curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_body);
	bad |= curl_easy_setopt(easy, CURLOPT_WRITEDATA, rq);
	bad |= curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, rq->curl_error);
	bad |= curl_easy_setopt(easy, CURLOPT_PROXY, proxy);
	bad |= curl_easy_setopt(easy, CURLOPT_NOPROXY, ""); /* decided */
	bad |= curl_easy_setopt(easy, CURLOPT_RESOLVE, rq->resolved);
	bad |= curl_easy_setopt(easy, CURLOPT_USERAGENT, "tsnet-shim");
	/* Our own timer ends it; this one only keeps libcurl's own default
	 * (five minutes to connect) out of the way. */
	bad |= curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS,
				(long)(rq->end_ms > now_ms
					       ? rq->end_ms - now_ms : 1));
	/* Ours are found on every system; libcurl's were fixed when it was
	 * built, and it fails where they are not. */
	bad |= curl_easy_setopt(easy, CURLOPT_CAINFO, NULL);
	bad |= curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
	bad |= curl_easy_setopt(easy, CURLOPT_SSL_CTX_FUNCTION, load_roots);
	bad |= curl_easy_setopt(easy, CURLOPT_SSL_CTX_DATA, rq);
	if (rq->ca_pem) /* no session is taken up that others vouched for */
		bad |= curl_easy_setopt(easy, CURLOPT_SSL_SESSIONID_CACHE, 0L);
#if LIBCURL_VERSION_NUM >= 0x075700
	/* What load_roots adds would stay in a store that outlives this one. */
	bad |= curl_easy_setopt(easy, CURLOPT_CA_CACHE_TIMEOUT, 0L);
#endif
	return bad == CURLE_OK;
}

static bool set_call_options(struct ts_http_request *rq)
{
	CURLcode bad = 0;

	if (rq->is_near)
		bad |= curl_easy_setopt(rq->easy, CURLOPT_FORBID_REUSE, 1L);
	if (rq->headers)
		bad |= curl_easy_setopt(rq->easy, CURLOPT_HTTPHEADER,
					rq->headers);
	if (rq->is_dns)
		bad |= curl_easy_setopt(rq->easy, CURLOPT_POSTFIELDSIZE,
					(long)rq->post_len);
	if (rq->post)
		bad |= curl_easy_setopt(rq->easy, CURLOPT_POSTFIELDS, rq->post);
	if (rq->method)
		bad |= curl_easy_setopt(rq->easy, CURLOPT_CUSTOMREQUEST,
					rq->method);
	if (rq->method && strcmp(rq->method, "HEAD") == 0)
		bad |= curl_easy_setopt(rq->easy, CURLOPT_NOBODY, 1L);
	if (rq->want_fields[0]) {
		bad |= curl_easy_setopt(rq->easy, CURLOPT_HEADERFUNCTION,
					take_field);
		bad |= curl_easy_setopt(rq->easy, CURLOPT_HEADERDATA, rq);
	}
	if (rq->is_dns && !rq->way.has_proxy &&
	    !ts_http_tunnel_set_options(rq))
		return false;
	return bad == CURLE_OK;
}

bool ts_http_start_transfer(struct ts_http_request *rq)
{
	const struct ts_http_way *way = &rq->way;
	char *url = ts_http_way_proxy_url(way);
	bool ok;

	rq->easy = url ? curl_easy_init() : NULL;
	ok = rq->easy && set_options(rq, url);
	if (ok && way->has_proxy && way->proxy.userinfo[0])
		ok = curl_easy_setopt(rq->easy, CURLOPT_PROXYUSERPWD,
				      way->proxy.userinfo) == CURLE_OK;
	free(url);
	if (ok)
		ok = set_call_options(rq);
	if (ok)
		ok = curl_multi_add_handle(rq->client->multi, rq->easy) ==
		     CURLM_OK;
	rq->is_added = ok;
	return ok;
}

static bool add_header(struct ts_http_request *rq, const char *line)
{
	struct curl_slist *list = curl_slist_append(rq->headers, line);

	if (list)
		rq->headers = list;
	return list != NULL;
}

bool ts_http_set_call(struct ts_http_request *rq,
		      const struct ts_http_call *call)
{
	bool ok = add_header(rq, "Expect:"); /* bodies are small */

	for (size_t i = 0; ok && i < call->field_count; i++)
		ok = add_header(rq, call->fields[i]);
	rq->method = strdup(call->method);
	if (call->body)
		rq->post = strdup(call->body);
	for (size_t i = 0; ok && i < TS_HTTP_WANT_MAX; i++)
		if (call->want_fields[i]) {
			rq->want_fields[i] = strdup(call->want_fields[i]);
			ok = rq->want_fields[i];
		}
	if (call->ca_pem)
		rq->ca_pem = strdup(call->ca_pem);
	return ok && rq->method && (rq->post || !call->body) &&
	       (rq->ca_pem || !call->ca_pem);
}

bool ts_http_set_dns(struct ts_http_request *rq, const uint8_t *query,
		     size_t len)
{
	static const char *const fixed[] = {
		"Content-Type: " HTTP_DNS_TYPE, "Accept: " HTTP_DNS_TYPE,
		"Expect:"};
	bool ok = true;

	rq->is_dns = true;
	rq->post = calloc(1, len + 1);
	if (!rq->post)
		return false;
	memcpy(rq->post, query, len);
	rq->post_len = len;
	for (size_t i = 0; ok && i < ARRAY_LEN(fixed); i++)
		ok = add_header(rq, fixed[i]);
	return ok;
}

/* Expect: the devices are small, and wait is all that many make of it. */
bool ts_http_set_soap(struct ts_http_request *rq, const char *action,
		      const char *body)
{
	static const char *const fixed[] = {
		"Content-Type: text/xml; charset=\"utf-8\"", "Expect:"};
	char line[HTTP_HINT_CAP];
	bool ok;

	snprintf(line, sizeof(line), "SOAPAction: %s", action);
	rq->post = strdup(body);
	ok = add_header(rq, line);
	for (size_t i = 0; ok && i < ARRAY_LEN(fixed); i++)
		ok = add_header(rq, fixed[i]);
	return ok && rq->post;
}
