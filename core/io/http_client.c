/* SPDX-License-Identifier: BSD-3-Clause
 * http_client.c - HTTPS requests of the engine (libcurl multi on the loop)
 *
 * libcurl would resolve names on a thread of its own, and in a preloaded
 * program that thread looks like the program's. So we resolve first (the
 * host's name, or the proxy's when the environment names one) and hand libcurl
 * the addresses; it gets the proxy explicitly for the same reason. Redirects
 * are therefore followed here, each with its own look-up, and never from https
 * to http.
 *
 * A request is done in two steps: when libcurl says so it is only marked, and
 * the answer goes out after libcurl is off the stack, so that callbacks may
 * start and cancel requests.
 */
#include <curl/curl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/crypto/secret.h"
#include "core/io/http_internal.h"
#include "core/io/link_cert.h"
#include "core/io/link_tls.h"

enum { REDIRECTS_MAX = 5, DNS_ANSWER_MAX = 65535 };

/* -- the end of a request ------------------------------------------------- */

static void detach(struct ts_http_request *rq)
{
	if (rq->is_added)
		curl_multi_remove_handle(rq->client->multi, rq->easy);
	rq->is_added = false;
	if (rq->easy)
		curl_easy_cleanup(rq->easy);
	rq->easy = NULL;
	curl_slist_free_all(rq->resolved);
	rq->resolved = NULL;
	ts_resolve_cancel(rq->lookup);
	rq->lookup = NULL;
	ts_wipe(&rq->way.proxy, sizeof(rq->way.proxy));
}

static void free_request(struct ts_http_request *rq)
{
	struct ts_http_request **at = &rq->client->requests;

	while (*at && *at != rq)
		at = &(*at)->next;
	if (*at)
		*at = rq->next;
	detach(rq);
	ts_timer_free(rq->timer);
	ts_byte_queue_deinit(&rq->body);
	/* Both may hold a credential. */
	for (struct curl_slist *line = rq->headers; line; line = line->next)
		ts_wipe(line->data, strlen(line->data));
	curl_slist_free_all(rq->headers);
	free(rq->at);
	ts_wipe_free_text(rq->post);
	free(rq->method);
	for (size_t i = 0; i < TS_HTTP_WANT_MAX; i++)
		free(rq->want_fields[i]);
	free(rq->ca_pem);
	free(rq->url);
	free(rq);
}

void ts_http_cancel(struct ts_http_request *request)
{
	if (request)
		free_request(request);
}

static void deliver_soon(struct ts_http_request *rq)
{
	rq->is_ready = true;
	ts_timer_set(rq->timer, ts_loop_now_ms(rq->client->loop));
}

static void fail(struct ts_http_request *rq, const char *reason)
{
	rq->status = 0;
	snprintf(rq->error, sizeof(rq->error), "%s:%u: %s", rq->way.host,
		 rq->way.port, reason);
	deliver_soon(rq);
}

/* The request leaves the list before fn runs, which may then free the client
 * or cancel others, but has nothing of this one left to cancel. */
static void deliver(struct ts_http_request *rq)
{
	struct ts_http_request done = *rq;
	struct ts_http_reply reply = {0};
	const char *body = "";
	size_t len = 0;

	if (done.status && ts_byte_queue_push(&rq->body, "", 1) == 0) {
		body = (const char *)ts_byte_queue_data(&rq->body);
		len = ts_byte_queue_len(&rq->body) - 1;
	}
	done.body = rq->body;
	ts_byte_queue_init(&rq->body, 0);
	free_request(rq);
	for (size_t i = 0; i < TS_HTTP_WANT_MAX; i++)
		reply.fields[i] = done.fields[i];
	reply.status = done.status;
	reply.body = done.status ? body : "";
	reply.len = len;
	reply.error = done.status ? NULL : done.error;
	if (done.reply_fn)
		done.reply_fn(done.ctx, &reply);
	else
		done.fn(done.ctx, reply.status, reply.body, len, reply.error);
	ts_byte_queue_deinit(&done.body);
}

static void on_request_timer(void *ctx)
{
	struct ts_http_request *rq = ctx;
	char reason[64];

	if (!rq->is_ready) {
		snprintf(reason, sizeof(reason), "%s: time-out after %u ms",
			 rq->lookup ? "resolve" : "request", rq->timeout_ms);
		detach(rq);
		fail(rq, reason);
	}
	deliver(rq);
}

/* -- what libcurl made of it ---------------------------------------------- */

static void start_request(struct ts_http_request *rq);

static bool is_redirect(int status)
{
	return status == 301 || status == 302 || status == 303 ||
	       status == 307 || status == 308;
}

/* Returns whether the request goes on at another place. */
static bool follow(struct ts_http_request *rq)
{
	char *to = NULL;
	char *copy;

	if (rq->is_near || rq->stays || !is_redirect(rq->status))
		return false;
	curl_easy_getinfo(rq->easy, CURLINFO_REDIRECT_URL, &to);
	if (!to)
		return false;
	if (rq->redirects++ == REDIRECTS_MAX) {
		fail(rq, "too many redirects");
		return true;
	}
	if (strncasecmp(rq->url, "https:", 6) == 0 &&
	    strncasecmp(to, "https:", 6) != 0) {
		fail(rq, "a redirect from https to http is refused");
		return true;
	}
	copy = strdup(to);
	if (!copy) {
		fail(rq, "out of memory");
		return true;
	}
	detach(rq);
	free(rq->url);
	rq->url = copy;
	ts_byte_queue_clear(&rq->body);
	start_request(rq);
	return true;
}

static void fail_transfer(struct ts_http_request *rq, CURLcode code)
{
	char reason[CURL_ERROR_SIZE + HTTP_HINT_CAP];

	snprintf(reason, sizeof(reason), "%s%s",
		 rq->curl_error[0] ? rq->curl_error : curl_easy_strerror(code),
		 code == CURLE_PEER_FAILED_VERIFICATION && !rq->ca_pem
			 ? ts_cert_missing_roots_hint()
			 : "");
	fail(rq, reason);
}

static bool is_dns_answer(const struct ts_http_request *rq)
{
	char *type = NULL;

	curl_easy_getinfo(rq->easy, CURLINFO_CONTENT_TYPE, &type);
	return type && strcasecmp(type, HTTP_DNS_TYPE) == 0;
}

void ts_http_request_done(struct ts_http_request *rq, CURLcode code)
{
	long status = 0;

	curl_easy_getinfo(rq->easy, CURLINFO_RESPONSE_CODE, &status);
	if (rq->is_too_long) {
		fail(rq, "the answer is too long");
	} else if (code != CURLE_OK) {
		fail_transfer(rq, code);
	} else if (rq->is_dns && !is_dns_answer(rq)) {
		fail(rq, "the answer is no DNS message");
	} else {
		rq->status = (int)status;
		if (!follow(rq))
			deliver_soon(rq);
	}
}

/* -- one request ---------------------------------------------------------- */

static void start_at(struct ts_http_request *rq, const struct ts_ip *ips,
		     size_t count)
{
	/* Which CURLOPT_RESOLVE has no way to name; libcurl needs no help. */
	bool is_ip6_literal = strchr(rq->way.host, ':');

	if (!is_ip6_literal)
		rq->resolved = ts_http_way_resolved(&rq->way, ips, count);
	if ((!rq->resolved && !is_ip6_literal) || !ts_http_start_transfer(rq))
		fail(rq, "out of memory");
}

static void on_resolved(void *ctx, const char *error, const struct ts_ip *ips,
			size_t count)
{
	struct ts_http_request *rq = ctx;
	char reason[128];

	rq->lookup = NULL;
	if (error) {
		snprintf(reason, sizeof(reason), "resolve: %s", error);
		fail(rq, reason);
		return;
	}
	start_at(rq, ips, count);
}

static void start_request(struct ts_http_request *rq)
{
	char err[128];

	if (ts_http_way_choose(rq->url, rq->is_near || rq->is_inside, &rq->way,
			       err)) {
		fail(rq, err);
		return;
	}
	if (rq->at && !rq->way.has_proxy) {
		start_at(rq, rq->at, rq->at_count);
		return;
	}
	rq->lookup = ts_resolver_lookup(rq->client->resolver, rq->way.host,
					on_resolved, rq);
	if (!rq->lookup)
		fail(rq, "out of memory");
}

static struct ts_http_request *new_request(struct ts_http_client *client,
					   const char *url, size_t body_max,
					   unsigned timeout_ms, ts_http_fn fn,
					   void *ctx)
{
	struct ts_http_request *rq = calloc(1, sizeof(*rq));

	if (!rq)
		return NULL;
	rq->client = client;
	rq->body_max = body_max;
	rq->timeout_ms = timeout_ms;
	rq->end_ms = ts_loop_now_ms(client->loop) + timeout_ms;
	rq->fn = fn;
	rq->ctx = ctx;
	rq->url = strdup(url);
	rq->timer = ts_timer_new(client->loop, on_request_timer, rq);
	ts_byte_queue_init(&rq->body, body_max + 1); /* and the NUL */
	rq->next = client->requests;
	client->requests = rq;
	if (rq->url && rq->timer)
		return rq;
	free_request(rq);
	return NULL;
}

struct ts_http_request *ts_http_get(struct ts_http_client *client,
				    const char *url, size_t body_max,
				    unsigned timeout_ms, ts_http_fn fn,
				    void *ctx)
{
	struct ts_http_request *rq =
		new_request(client, url, body_max, timeout_ms, fn, ctx);

	if (!rq)
		return NULL;
	ts_timer_set(rq->timer, rq->end_ms);
	start_request(rq);
	return rq;
}

struct ts_http_request *ts_http_call_near(struct ts_http_client *client,
					  const char *url,
					  const char *soap_action,
					  const char *soap_body,
					  size_t body_max, unsigned timeout_ms,
					  ts_http_fn fn, void *ctx)
{
	struct ts_http_request *rq =
		new_request(client, url, body_max, timeout_ms, fn, ctx);

	if (!rq)
		return NULL;
	rq->is_near = true;
	if (soap_action && !ts_http_set_soap(rq, soap_action, soap_body)) {
		free_request(rq);
		return NULL;
	}
	ts_timer_set(rq->timer, rq->end_ms);
	start_request(rq);
	return rq;
}

struct ts_http_request *ts_http_call(struct ts_http_client *client,
				     const struct ts_http_call *call,
				     ts_http_reply_fn fn, void *ctx)
{
	struct ts_http_request *rq =
		new_request(client, call->url, call->body_max,
			    call->timeout_ms, NULL, ctx);

	if (!rq)
		return NULL;
	rq->reply_fn = fn;
	rq->is_near = call->is_near;
	rq->stays = true;
	if (!ts_http_set_call(rq, call)) {
		free_request(rq);
		return NULL;
	}
	ts_timer_set(rq->timer, rq->end_ms);
	start_request(rq);
	return rq;
}

static bool set_place(struct ts_http_request *rq, const struct ts_ip *ips,
		      size_t count)
{
	if (count == 0)
		return true;
	rq->at = calloc(count, sizeof(*rq->at));
	if (!rq->at)
		return false;
	memcpy(rq->at, ips, count * sizeof(*rq->at));
	rq->at_count = count;
	return true;
}

struct ts_http_request *ts_http_ask_dns(struct ts_http_client *client,
					const char *url,
					const struct ts_ip *ips, size_t count,
					const uint8_t *query, size_t len,
					unsigned timeout_ms, ts_http_fn fn,
					void *ctx)
{
	struct ts_http_request *rq = new_request(client, url, DNS_ANSWER_MAX,
						 timeout_ms, fn, ctx);

	if (!rq)
		return NULL;
	rq->stays = true;
	rq->is_inside = ts_http_tunnel_claims(client, ips, count);
	if (!set_place(rq, ips, count) || !ts_http_set_dns(rq, query, len)) {
		free_request(rq);
		return NULL;
	}
	ts_http_tunnel_follow(client);
	ts_timer_set(rq->timer, rq->end_ms);
	start_request(rq);
	return rq;
}

/* -- the client ----------------------------------------------------------- */

static pthread_once_t curl_once = PTHREAD_ONCE_INIT;

static void start_curl(void)
{
	ts_tls_init(); /* first, so that OpenSSL leaves exit handlers alone */
	curl_global_init(CURL_GLOBAL_DEFAULT);
}

struct ts_http_client *ts_http_client_new(struct ts_loop *loop)
{
	struct ts_http_client *client = calloc(1, sizeof(*client));

	if (!client)
		return NULL;
	pthread_once(&curl_once, start_curl);
	client->loop = loop;
	client->resolver = ts_resolver_new(loop);
	if (!client->resolver || !ts_http_multi_open(client)) {
		ts_http_client_free(client);
		return NULL;
	}
	return client;
}

void ts_http_client_free(struct ts_http_client *client)
{
	if (!client)
		return;
	while (client->requests)
		free_request(client->requests);
	ts_http_multi_close(client);
	ts_resolver_free(client->resolver);
	free(client);
}
